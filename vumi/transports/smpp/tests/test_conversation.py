"""A conversation over three processes: the SMSC, the transport and the application.

A phone writes; the application replies; the SMSC acknowledges the reply and reports on it; the
application is told both.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from vumi.tests.faults.chain import WorkerProcess
from vumi.tests.servers import shared_rabbitmq, shared_redis
from vumi.transports.smpp.tests.processes import BrokerClient, SmscProcess, wait_for

pytestmark = pytest.mark.integration

NAME = "smpp_conversation"
PHONE, SHORT_CODE = "+27831234567", "8080"
#: What an SMSC is like -> how the simulator is told so, and how the transport.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "texts": ({"report_form": "text"}, {}),
    "parameters, hexadecimal ids": (
        {"report_form": "tlv", "id_format": "hex_to_decimal"},
        {"remote_id_format": "hex_to_decimal"},
    ),
}
#: What is said: in the default alphabet, in another, and longer than a message is.
TEXTS = ("hello {€}", "привет", "x" * 150 + "€" * 30)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_is_delivered_and_its_report_consumed(kind: str) -> None:
    script, options = KINDS[kind]
    directory = Path(tempfile.mkdtemp(prefix="vumi-smpp-"))
    broker = shared_rabbitmq().url()
    with BrokerClient.connected(broker) as client:
        for ending in ("inbound", "outbound", "event"):
            client.declare(f"{NAME}.{ending}")
    smsc = SmscProcess(broker, directory, accounts={"me": "secret"}, **script)
    transport = WorkerProcess(
        "transport",
        "vumi.transports.smpp.SmppTransceiverTransport",
        {
            "transport_name": NAME,
            "twisted_endpoint": f"tcp:127.0.0.1:{smsc.port}",
            "system_id": "me",
            "password": "secret",
            "initial_reconnect_delay": 0.2,
            "redis_manager": {"url": shared_redis().url(), "key_prefix": f"{NAME}-{smsc.port}"},
            "submit_short_message_processor_config": {
                "submit_sm_encoding": "auto",
                "long_messages": "udh8",
            },
            **options,
        },
        broker,
        directory,
    )
    application = WorkerProcess(
        "application",
        "vumi.transports.smpp.tests.conversing.Conversing",
        {"transport_name": NAME},
        broker,
        directory,
    )
    processes = (smsc, transport, application)
    try:
        for process in processes:
            process.start()
        smsc.wait_bound(transport)
        for text in TEXTS:
            converse(text, smsc, application, lambda: "\n".join(p.log[-4000:] for p in processes))
    finally:
        for process in processes:
            process.stop()
    rmtree(directory)


def converse(text: str, smsc: SmscProcess, application: WorkerProcess, logs: Any) -> None:
    """A phone says something, and gets it back, the other way round."""
    known = len(smsc.ask("GET", "messages"))
    statuses = smsc.ask("POST", "mo", {"from": PHONE, "to": SHORT_CODE, "text": text})
    assert set(statuses["statuses"]) == {"ESME_ROK"}, statuses
    wait_for(lambda: len(smsc.ask("GET", "messages")) > known, logs)
    reply = smsc.ask("GET", "messages")[-1]
    assert (reply["from"], reply["to"], reply["text"]) == (SHORT_CODE, PHONE, text[::-1])
    ids = [part["id"] for part in reply["parts"]]

    ack = rf"ack (\w+) {re.escape(','.join(sorted(ids)))}$"
    acked = wait_for(lambda: re.search(ack, application.log, re.MULTILINE), logs)
    # The confirmation of the reply may come after the ack.
    wait_for(lambda: f"replied {acked[1]}" in application.log, logs)
    # A report of each part, all of the same message.
    reports = rf"report {acked[1]} delivered \w+"
    wait_for(lambda: len(re.findall(reports, application.log)) == len(ids), logs)
    wait_for(
        lambda: all(
            part["reports"] == [{"state": "DELIVRD", "answer": "ESME_ROK"}]
            for part in smsc.ask("GET", "messages")[-1]["parts"]
        ),
        logs,
    )
