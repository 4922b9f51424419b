"""Each thing that breaks between a transport and its SMSC: nothing is lost, all is answered.

Real processes: a transport, the simulated SMSC, RabbitMQ and Redis. Numbered messages go out at a
steady rate while one thing is broken and mended. Afterwards every message has exactly one ack or
nack, every one that was acked was submitted and has its delivery report, and every message from a
phone that the transport took was published.

With ``VUMI_UPDATE_DOCS=1`` the results are written into ``docs/transports/smpp-simulator.rst``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import pytest

from vumi.message import TransportUserMessage
from vumi.tests.faults.chain import ROOT, FreezingLink, WorkerProcess
from vumi.tests.servers import RedisServer, require, shared_rabbitmq
from vumi.transports.smpp.tests.processes import BrokerClient, SmscProcess, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

NAME = "smpp_faults"
PAGE = ROOT / "docs" / "transports" / "smpp-simulator.rst"
#: How many messages go out in each test, how many a second, and how many phones write meanwhile.
MESSAGES, RATE, PHONES = 240, 150, 20
#: How long the SMSC waits before each answer, in seconds: so there are always some in flight.
SMSC_DELAY = 0.1
WINDOW = 50
#: Seconds. A link that is dead is noticed after two intervals.
ENQUIRE_INTERVAL, RESPONSE_TIMEOUT = 0.5, 4


class Setting:
    """The processes."""

    def __init__(self, directory: Path) -> None:
        broker = shared_rabbitmq().url()
        self.redis = RedisServer(directory / "redis", persistent=True)
        self.redis.start()
        self.smsc = SmscProcess(
            broker,
            directory,
            delay=SMSC_DELAY,
            reports=[{"state": "delivered", "after": 2 * SMSC_DELAY}],
            response_timeout=2,
            retry_delay=0.2,
        )
        self.link = FreezingLink(self.smsc.port)
        self.transport = WorkerProcess(
            "transport",
            "vumi.transports.smpp.SmppTransceiverTransport",
            {
                "transport_name": NAME,
                "twisted_endpoint": f"tcp:127.0.0.1:{self.link.port}",
                "system_id": "me",
                "password": "secret",
                "window_size": WINDOW,
                "mt_tps": RATE,
                "initial_reconnect_delay": 0.2,
                "max_reconnect_delay": 0.5,
                "smpp_enquire_link_interval": ENQUIRE_INTERVAL,
                "smpp_bind_timeout": 2,
                "submit_sm_resp_timeout": RESPONSE_TIMEOUT,
                "retry_delay": 0.5,
                "redis_manager": {"url": self.redis.url()},
                "submit_short_message_processor_config": {"submit_sm_encoding": "auto"},
            },
            broker,
            directory,
        )
        self.broker = BrokerClient(broker)
        for ending in ("inbound", "outbound", "event", "failures"):
            self.broker.declare(f"{NAME}.{ending}")
        self.smsc.start()
        self.transport.start()
        self.smsc.wait_bound(self.transport)

    def stop(self) -> None:
        self.broker.close()
        for process in (self.transport, self.smsc):
            process.stop()
        self.link.close()
        self.redis.stop()

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.log[-4000:]}" for p in (self.transport, self.smsc))


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    require(RedisServer)
    directory = Path(tempfile.mkdtemp(prefix="vumi-smpp-faults-"))
    made = Setting(directory)
    yield made
    made.stop()
    rmtree(directory)


@dataclass(frozen=True)
class Fault:
    """Something that breaks, and is mended.

    :param title: What, for the table.
    :param breaks: Does it.
    :param evidence: Words that a process logs because of it: which process, which words.
    :param twice: What may reach a phone twice; nothing if empty.
    :param nacked: Why some may be nacked; none if empty.
    :param answered_twice: Whether an application may be told again what it was told.
    :param smsc_forgets: Whether the SMSC loses what it had to deliver, reports too.
    """

    title: str
    breaks: Callable[[Setting], None]
    evidence: tuple[str, str]
    twice: str = ""
    nacked: str = ""
    answered_twice: bool = False
    smsc_forgets: bool = False


def _smsc_killed(setting: Setting) -> None:
    setting.smsc.kill()
    setting.smsc.start()


def _smsc_restarted(setting: Setting) -> None:
    setting.smsc.stop()
    setting.smsc.start()


def _frozen(setting: Setting) -> None:
    setting.link.freeze()
    time.sleep(RESPONSE_TIMEOUT - 0.5)
    setting.link.thaw()


def _response_lost(setting: Setting) -> None:
    setting.smsc.ask("PUT", "rules", [{"every": 20, "times": 5, "lose": True}])


def _transport_killed(setting: Setting) -> None:
    setting.transport.kill()
    setting.transport.start()


def _connection_cut(setting: Setting) -> None:
    setting.smsc.ask("POST", "disconnect", {})


def _redis_away(setting: Setting) -> None:
    setting.redis.stop()
    time.sleep(5)
    setting.redis.start()


IN_FLIGHT = "what had no answer yet"
UNBOUND = "the connection is lost"

FAULTS = {
    "smsc_killed": Fault(
        "SMSC killed and started",
        _smsc_killed,
        ("transport", UNBOUND),
        twice=IN_FLIGHT,
        smsc_forgets=True,
    ),
    "smsc_restarted": Fault(
        "SMSC stopped and started",
        _smsc_restarted,
        ("transport", "unbind comes"),
        twice=IN_FLIGHT,
        smsc_forgets=True,
    ),
    "connection_cut": Fault(
        "connection cut by the SMSC", _connection_cut, ("transport", UNBOUND), twice=IN_FLIGHT
    ),
    "link_frozen": Fault(
        "TCP link frozen for 3.5 s",
        _frozen,
        ("transport", "Disconnecting, no response from SMSC"),
        twice=IN_FLIGHT,
    ),
    "response_lost": Fault(
        "5 responses lost", _response_lost, ("smsc", "Starting a"), nacked="no answer in time"
    ),
    "transport_killed": Fault(
        "transport killed and started",
        _transport_killed,
        ("transport", "Starting a"),
        twice=IN_FLIGHT,
        answered_twice=True,
    ),
    "redis_away": Fault("Redis away for 5 s", _redis_away, ("transport", "Connected to Redis")),
}

HEADINGS = (
    "fault",
    "sent",
    "acked",
    "nacked",
    "lost",
    "twice",
    "told twice",
    "reported",
    "received",
    "lost",
    "twice",
)
ROWS: dict[str, tuple[str, ...]] = {}


class Book:
    """What was sent, and what became of it."""

    def __init__(self, setting: Setting, fault: str) -> None:
        self._setting = setting
        self._fault = fault
        #: Texts by message id.
        self.texts: dict[str, str] = {}
        self.events: dict[str, list[str]] = {}
        self.reported: set[str] = set()
        self.published: Counter[str] = Counter()

    def send(self) -> None:
        for number in range(MESSAGES):
            message = TransportUserMessage.send(
                f"+2782{number:07}",
                f"{self._fault} {number}",
                from_addr="8080",
                transport_name=NAME,
                transport_type="sms",
            )
            self.texts[message["message_id"]] = str(message["content"])
            self._setting.broker.publish(NAME, message)

    def submitted(self) -> Counter[str]:
        """How often each text was submitted."""
        return Counter(
            line["text"]
            for line in self._setting.smsc.journal("submitted")
            if line["text"].startswith(f"{self._fault} ")
        )

    def phones_write(self) -> None:
        for number in range(PHONES):
            self._setting.smsc.ask(
                "POST",
                "mo",
                {
                    "from": f"+2783{number:07}",
                    "to": "8080",
                    "text": f"{self._fault} {number}",
                    "account": "me",
                    "wait": 0,
                },
            )

    def taken(self) -> set[str]:
        """The phones' texts that the transport said it has."""
        return {
            line["text"]
            for line in self._setting.smsc.journal("mo_answered")
            if line["text"].startswith(f"{self._fault} ") and line["statuses"] == ["ESME_ROK"]
        }

    def collect(self) -> None:
        for event in self._setting.broker.take(f"{NAME}.event"):
            if event["user_message_id"] not in self.texts:
                # A report on what the test before has sent.
                continue
            if event["event_type"] == "delivery_report":
                assert event["delivery_status"] == "delivered"
                self.reported.add(event["user_message_id"])
                continue
            self.events.setdefault(event["user_message_id"], []).append(event["event_type"])
        for message in self._setting.broker.take(f"{NAME}.inbound"):
            if message["content"].startswith(f"{self._fault} "):
                self.published[message["content"]] += 1

    def all_answered(self) -> bool:
        self.collect()
        return self.texts.keys() <= self.events.keys()

    @property
    def unanswered(self) -> list[str]:
        return [text for id_, text in self.texts.items() if id_ not in self.events]


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost(name: str, setting: Setting) -> None:
    fault = FAULTS[name]
    smsc = setting.smsc
    smsc.ask("PUT", "rules", [])
    book = Book(setting, name)
    process, words = fault.evidence
    told = getattr(setting, process).log.count(words)
    book.send()
    wait_for(lambda: len(book.submitted()) > MESSAGES / 4, setting.logs)
    book.phones_write()
    fault.breaks(setting)
    wait_for(
        lambda: book.all_answered(),
        lambda: f"{len(book.unanswered)} without an answer: {book.unanswered}\n{setting.logs()}",
    )
    acked_ids = {id_ for id_, events in book.events.items() if "ack" in events}
    if not fault.smsc_forgets:
        wait_for(lambda: len(book.taken()) == PHONES, setting.logs)
        wait_for(
            lambda: book.all_answered() and acked_ids <= book.reported,
            lambda: f"{len(acked_ids - book.reported)} without a report\n{setting.logs()}",
        )
    smsc.wait_bound(setting.transport)
    book.collect()

    submitted = book.submitted()
    events = [event for events in book.events.values() for event in events]
    acked = {book.texts[id_] for id_ in acked_ids}
    lost = acked - submitted.keys()
    lost_from_phones = book.taken() - book.published.keys()
    twice = sum(submitted.values()) - len(submitted)
    told_twice = len(events) - len(book.events)
    ROWS[name] = (
        fault.title,
        str(len(book.texts)),
        str(len(acked)),
        str(len(book.texts) - len(acked)),
        str(len(lost)),
        str(twice),
        str(told_twice),
        str(len(book.reported)),
        str(len(book.taken())),
        str(len(lost_from_phones)),
        str(sum(book.published.values()) - len(book.published)),
    )
    assert book.events.keys() == book.texts.keys()
    assert not lost
    assert not lost_from_phones
    if not fault.nacked:
        assert set(events) == {"ack"}
    if not fault.twice:
        assert twice == 0, setting.logs()
    # What the transport has in its hands can come twice, and no more.
    assert twice <= WINDOW
    if not fault.answered_twice:
        assert told_twice == 0, setting.logs()
    if process == "transport":
        assert getattr(setting, process).log.count(words) > told, "the fault did not happen"


def test_the_table_is_told() -> None:
    """Prints it, and writes it into the documentation if that is asked for."""
    if len(ROWS) < len(FAULTS):
        pytest.skip("not all faults were tried")
    table = as_table([HEADINGS, *ROWS.values()])
    print(f"\n{table}")
    if os.environ.get("VUMI_UPDATE_DOCS"):
        before, mark, rest = PAGE.read_text().partition(".. the faults begin\n\n")
        _, end, after = rest.partition("\n.. the faults end")
        assert mark, PAGE
        assert end, PAGE
        PAGE.write_text(f"{before}{mark}{table}\n{end}{after}")


def as_table(rows: list[tuple[Any, ...]]) -> str:
    """A table in reStructuredText."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])
