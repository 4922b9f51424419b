"""Tests for vumi check: a folder of wrong files, and what is said of each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from vumi.cli.check import check
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

TELNET = "vumi.transports.telnet.TelnetServerTransport"
ECHO = "vumi.demos.words.EchoWorker"
SMPP = "vumi.transports.smpp.SmppTransceiverTransport"
SCRIPT = "vumi.application.sandbox.JsSandbox"
ROUTER = "vumi.dispatchers.RoutingTableDispatcher"
LOGGING = "vumi.application.sandbox.resources.LoggingResource"

SMSC = {
    "transport_name": "smsc",
    "twisted_endpoint": "'tcp:host=localhost:port=2775'",
    "system_id": "me",
    "password": "secret",
}


def smpp(**options: str) -> tuple[str, str]:
    """A file of an SMPP transport."""
    return SMPP, "\n".join(f"{name}: {value}" for name, value in {**SMSC, **options}.items())


def echo(text: str) -> tuple[str, str]:
    """A file of an application."""
    return ECHO, text


def telnet(text: str) -> tuple[str, str]:
    """A file of a telnet transport."""
    return TELNET, "transport_name: line\n" + text


def script(sandbox: str) -> tuple[str, str]:
    """A file of a sandbox application."""
    return SCRIPT, (
        "transport_name: line\nexecutable: /usr/bin/env\njavascript: '0'\n"
        f"sandbox: {{log: {sandbox}}}\n"
    )


def two(first: str, second: str, of_first: str, of_second: str) -> tuple[str, str]:
    """A file of two workers."""
    return "", f"workers: {{a: {first}, b: {second}}}\na: {of_first}\nb: {of_second}\n"


def telnet_at(name: str, endpoint: str) -> str:
    """The section of a telnet transport."""
    return f"{{transport_name: {name}, twisted_endpoint: '{endpoint}'}}"


#: File -> the worker's class, the content, and what is said of it.
WRONG: dict[str, tuple[tuple[str, str], str]] = {
    "system_id": (smpp(system_id="x" * 21), "Field 'system_id' has 21 octets, but SMPP has room"),
    "system_type": (smpp(system_type="x" * 13), "Field 'system_type' has 13 octets"),
    "address_range": (smpp(address_range="x" * 41), "Field 'address_range' has 41 octets"),
    "service_type": (smpp(service_type="x" * 6), "Field 'service_type' has 6 octets"),
    "not_ascii": (smpp(system_type="é"), "Field 'system_type' must be of ASCII characters."),
    "validity": (smpp(validity_period="1 day"), "Field 'validity_period' is not a time in SMPP's"),
    "encoding": (
        smpp(submit_short_message_processor_config="{submit_sm_encoding: klingon}"),
        "submit_short_message_processor_config: Field 'submit_sm_encoding' is not the name of an",
    ),
    "encodings": (
        smpp(deliver_short_message_processor_config="{data_coding_overrides: {3: klingon}}"),
        "Field 'data_coding_overrides.3' is not the name of an encoding: 'klingon'.",
    ),
    "processor_typo": (
        smpp(submit_short_message_processor_config="{long_mesages: sar}"),
        "submit_short_message_processor_config: Unknown option 'long_mesages'. Did you mean 'lo",
    ),
    "rules": (smpp(dest_addr_rules="[{match: 1}]"), "dest_addr_rules.1: Field 'match' is not"),
    "redis": (smpp(redis_manager="{hots: x}"), "redis_manager: Unknown option 'hots'. Did you"),
    "port_range": (telnet("telnet_port: 99999"), "Field 'telnet_port' must be from 0 to 65535."),
    "sexagesimal": (telnet("telnet_port: 1:30"), "Field 'telnet_port' could not be converted"),
    "number": (
        telnet("telnet_port: 1\nto_addr: +27831234567"),
        "Option 'to_addr' is a text: YAML",
    ),
    "quoted_no": (
        telnet("telnet_port: 1\nbroadcast_unknown_addr: 'no'"),
        "Option 'broadcast_unknown_addr' is neither true nor false, and counts as true.",
    ),
    "bool_as_number": (
        telnet("telnet_port: 1\nidle_timeout: yes"),
        "Option 'idle_timeout' is a n",
    ),
    "nan": (telnet("telnet_port: 1\nidle_timeout: .nan"), "Field 'idle_timeout' must not be neg"),
    "infinite": (echo("transport_name: a\nhandler_timeout: .inf"), "Field 'handler_timeout' must"),
    "norway": (
        echo("transport_name: NO"),
        "Option 'transport_name' is a text: YAML makes true or",
    ),
    "choice": (
        echo("transport_name: a\namqp_queue_type: quorums"),
        "Field 'amqp_queue_type' must be one of classic, quorum. Did you mean 'quorum'?",
    ),
    "option_typo": (echo("transport_nam: a"), "Did you mean 'transport_name'?"),
    "twice": (
        echo("transport_name: a\ntransport_name: b"),
        "line 2, column 1: the key 'transport_name' is given twice, first in line 1: remove one.",
    ),
    "middleware_class": (
        echo("transport_name: a\nmiddleware: [{log: vumi.middleware.LogingMiddleware}]"),
        "Did you mean 'vumi.middleware.LoggingMiddleware'?",
    ),
    "middleware_typo": (
        echo(
            "transport_name: a\nmiddleware: [{log: vumi.middleware.LoggingMiddleware}]\n"
            "log: {log_levl: info}"
        ),
        "log: Unknown option 'log_levl'. Did you mean 'log_level'?",
    ),
    "resource_typo": (script(f"{{cls: {LOGGING}, brust: 1}}"), "sandbox.log: Unknown option 'bru"),
    "resource_value": (script(f"{{cls: {LOGGING}, burst: 0}}"), "sandbox.log: Field 'burst' must"),
    "resource_class": (script(f"{{cls: {LOGGING[:-1]}}}"), f"Did you mean '{LOGGING}'?"),
    "class_typo": (
        ("", "workers: {a: vumi.demos.words.EchoWoker}\na: {transport_name: a}"),
        "a: Worker class 'vumi.demos.words.EchoWoker' can't be loaded:",
    ),
    "module_typo": (
        ("", "workers: {a: vumi.demos.word.EchoWorker}\na: {transport_name: a}"),
        "Did you mean 'vumi.demos.words.EchoWorker'?",
    ),
    "one_port": (
        two(
            TELNET,
            TELNET,
            telnet_at("a", "tcp:9010"),
            telnet_at("b", "tcp:port=9010:interface=127.0.0.1"),
        ),
        "b: It listens on port 9010, as a does: choose another port.",
    ),
    "one_name": (
        two(TELNET, TELNET, telnet_at("a", "tcp:9010"), telnet_at("a", "tcp:9011")),
        "b: Its transport_name 'a' is that of the transport a, too",
    ),
    "not_meeting": (
        two(TELNET, ECHO, telnet_at("line", "tcp:9010"), "{transport_name: lime}"),
        "a: No application or dispatcher in this file has the name 'line', and there is none for "
        "'lime'",
    ),
    "route_missing": (
        (
            "",
            f"workers: {{a: {ROUTER}}}\na: {{receive_inbound_connectors: [t], "
            "receive_outbound_connectors: [x], routing_table: {x: {default: t}}}",
        ),
        "a: Field 'routing_table' has nothing for 't'",
    ),
    "aliases": (
        echo(
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
                for old, new in zip("abcdefg", "bcdefgh", strict=True)
            )
        ),
        "the aliases in this file multiply to too many values.",
    ),
    "pipe": (echo("transport_name: !include a_pipe"), "a_pipe can't be read: it is not a regular"),
    "device": (echo("transport_name: !include /dev/zero"), "it is not a regular file."),
}

RIGHT: dict[str, tuple[str, str]] = {
    "smpp": smpp(validity_period="000001000000000R", system_id="x" * 15),
    "old_octal": telnet("telnet_port: 1\nto_addr: 0123"),
    "date": telnet("telnet_port: 1\nto_addr: 2024-04-01"),
    "meeting": two(TELNET, ECHO, telnet_at("line", "tcp:9010"), "{transport_name: line}"),
    "two_interfaces": two(
        TELNET,
        ECHO,
        telnet_at("a", "tcp:9010:interface=127.0.0.1"),
        "{transport_name: a}",
    ),
    "elsewhere": two(ECHO, ECHO, "{transport_name: a}", "{transport_name: b}"),
}


def checked(folder: Path, name: str, worker_class: str, text: str) -> list[str]:
    """What vumi check says of a file; nothing if it is all right."""
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    arguments = ["--worker-class", worker_class] if worker_class else []
    # A command keeps the names of its help option from its first call on.
    names = ["-h", "--help"]
    result = CliRunner().invoke(check, [str(path), *arguments], help_option_names=names)
    if result.exit_code == 0:
        assert result.output == "OK\n"
        return []
    assert isinstance(result.exception, ConfigError)
    return list(result.exception.problems)


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_file_has_its_line(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "a_pipe")
    (worker_class, text), line = WRONG[name]
    problems = checked(tmp_path, name, worker_class, text)
    assert any(line in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_a_file_that_is_right(tmp_path: Path, name: str) -> None:
    assert checked(tmp_path, name, *RIGHT[name]) == []
