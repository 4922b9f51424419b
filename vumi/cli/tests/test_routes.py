"""Tests of vumi routes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml
from click.testing import CliRunner

import vumi as package
from vumi.cli.command import vumi
from vumi.dispatchers import BaseDispatchRouter, Dispatcher

if TYPE_CHECKING:
    from click.testing import Result

CONFIG = Path(package.__file__).parents[1] / "config"

SIMPLE: dict[str, Any] = {
    "router_class": "vumi.dispatchers.SimpleDispatchRouter",
    "transport_names": ["t1", "t2", "t3"],
    "exposed_names": ["app1", "app2"],
    "route_mappings": {"t1": "app1", "t2": ["app1", "app2"], "t3": []},
}
NOTE = (
    "  An inbound message or an event without a route becomes a dead letter, an outbound message "
    "is nacked."
)


class UsersRouter(BaseDispatchRouter):
    """Does what it wants."""


class UsersDispatcher(Dispatcher):
    """Does what it wants."""

    process_inbound: ClassVar[Any] = print
    process_outbound: ClassVar[Any] = print
    process_event: ClassVar[Any] = print


def call(tmp_path: Path, config: dict[str, Any], *options: str) -> Result:
    path = tmp_path / "dispatcher.yaml"
    path.write_text(yaml.safe_dump(config))
    return CliRunner().invoke(vumi, ["routes", str(path), *options])


def test_routes_are_grouped_by_kind_and_target(tmp_path: Path) -> None:
    result = call(tmp_path, SIMPLE)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "dispatcher: vumi.dispatchers.BaseDispatchWorker, SimpleDispatchRouter",
        "  messages from users",
        "    t1, t2  ->  app1",
        "    t2      ->  app2",
        "    t3      ->  (dropped)",
        "  messages to users",
        "    app1, app2  ->  t1  transport_name 't1'",
        "    app1, app2  ->  t2  transport_name 't2'",
        "    app1, app2  ->  t3  transport_name 't3'",
        "  events",
        "    t1, t2  ->  app1",
        "    t2      ->  app2",
        "    t3      ->  (dropped)",
        NOTE,
    ]


def test_a_default_and_names_behind_another_dispatcher(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "worker_name": "behind",
        "transport_names": ["t1"],
        "exposed_names": ["app1", "app2"],
        "route_mappings": {"smsc": "app1"},
        "transport_mappings": {"smsc": "t1"},
        "default_exposed_name": "app2",
    }
    assert call(tmp_path, {**SIMPLE, **changes}).output.splitlines() == [
        "behind: vumi.dispatchers.BaseDispatchWorker, SimpleDispatchRouter",
        "  messages from users",
        "    t1  ->  app1  transport_name 'smsc'",
        "  messages to users",
        "    app1, app2  ->  t1  transport_name 't1'",
        "    app1, app2  ->  t1  transport_name 'smsc'",
        "  events",
        "    t1  ->  app1  transport_name 'smsc'",
        "  An inbound message or an event without a route goes to app2, an outbound message is "
        "nacked.",
    ]


def test_endpoints_and_replies_without_a_way_back(tmp_path: Path) -> None:
    config = {
        "receive_inbound_connectors": ["t1"],
        "receive_outbound_connectors": ["app"],
        "routing_table": {
            "t1": {"default": ["app", "sms"], "ussd": "app"},
            "app": {"default": ["t1", "ussd"]},
        },
    }
    assert call(tmp_path, config).output.splitlines() == [
        "dispatcher: vumi.dispatchers.RoutingTableDispatcher",
        "  messages from users",
        "    t1 [default]  ->  app [sms]",
        "    t1 [ussd]     ->  app [default]",
        "  messages to users",
        "    app [default]  ->  t1 [ussd]",
        "  events",
        "    t1 [default]  ->  app [sms]",
        "    t1 [ussd]     ->  app [default]",
        "  Replies of app, endpoint sms, have no route.",
        NOTE,
    ]
    config["default_route"] = ["app", "default"]
    assert "goes to app, endpoint default" in call(tmp_path, config).output


def test_who_is_at_the_connectors_of_a_file_with_several_workers(tmp_path: Path) -> None:
    config = {
        "workers": {
            "line": "vumi.transports.devnull.DevNullTransport",
            "router": "vumi.dispatchers.BaseDispatchWorker",
            "echo": "vumi.demos.words.EchoWorker",
        },
        "line": {"transport_name": "t1", "ack_rate": 1, "failure_rate": 0, "reply_rate": 0},
        "router": {**SIMPLE, "transport_names": ["t1", "t2"], "route_mappings": {"t1": "app1"}},
        "echo": {"transport_name": "app1"},
    }
    output = call(tmp_path, config).output
    assert output.startswith("router: vumi.dispatchers.BaseDispatchWorker, SimpleDispatchRouter\n")
    assert output.partition("connectors\n")[2].splitlines() == [
        "  t1    line (vumi.transports.devnull.DevNullTransport), router",
        "  t2    router, nobody else in this file",
        "  app1  echo (vumi.demos.words.EchoWorker), router",
        "  app2  router, nobody else in this file",
    ]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ({**SIMPLE, "router_class": f"{__name__}.UsersRouter"}, []),
        (
            {"receive_inbound_connectors": "t1", "receive_outbound_connectors": "app"},
            ["--worker-class", f"{__name__}.UsersDispatcher"],
        ),
    ],
)
def test_what_only_the_code_knows_is_said_to_be_so(
    tmp_path: Path, config: dict[str, Any], options: list[str]
) -> None:
    result = call(tmp_path, config, *options)
    assert result.exit_code == 0
    assert re.search(r"  Users(Router|Dispatcher) decides by its code\.\n", result.output)


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        (
            {**SIMPLE, "route_mappings": {"t1": "a", "t2": "b"}},
            [
                "Error: Field 'route_mappings' names 'a', which is none of 'exposed_names'.",
                "Error: Field 'route_mappings' names 'b', which is none of 'exposed_names'.",
            ],
        ),
        (
            {"workers": {"router": "vumi.dispatchers.BaseDispatchWorker"}},
            ["Error: router: Missing required config field 'router_class'"],
        ),
        (
            {
                "workers": {"quiet": "vumi.cli.tests.samples.QuietWorker"},
                "quiet": {},
            },
            ["Error: No worker of this file has a connector: nothing is routed."],
        ),
    ],
)
def test_every_mistake_has_a_line(
    tmp_path: Path, config: dict[str, Any], lines: list[str]
) -> None:
    result = call(tmp_path, config)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == lines


def test_a_file_that_may_be_for_anything(tmp_path: Path) -> None:
    result = call(tmp_path, {"transport_name": "x"})
    assert result.exit_code == 1
    assert "is for no known dispatcher: give --worker-class CLASS." in result.stderr


def samples() -> list[Path]:
    return [*sorted(CONFIG.glob("dispatchers/*.yaml")), CONFIG / "examples/sms_and_ussd.yaml"]


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.stem)
def test_the_samples_can_be_shown_and_drawn(path: Path) -> None:
    for output_format in ("text", "dot"):
        result = CliRunner().invoke(vumi, ["routes", str(path), "--format", output_format])
        assert result.exit_code == 0, result.stderr
        assert result.output


@pytest.mark.parametrize("name", ["dispatchers/content_keyword", "examples/sms_and_ussd"])
def test_the_documentation_shows_what_is_told(name: str) -> None:
    page = (CONFIG.parent / "docs/operations/routes.rst").read_text("utf-8")
    output = CliRunner().invoke(vumi, ["routes", str(CONFIG / f"{name}.yaml")]).output
    shown = output.partition("connectors\n")[2] or output
    assert "".join(f"   {line}\n" for line in shown.splitlines()) in page


def test_a_graph_has_each_connector_worker_and_way_once(tmp_path: Path) -> None:
    path = CONFIG / "examples/sms_and_ussd.yaml"
    result = CliRunner().invoke(vumi, ["routes", str(path), "--format", "dot"])
    lines = [line.strip() for line in result.output.splitlines()]
    assert len(lines) == len(set(lines))
    assert lines[0] == "digraph routes {"
    assert lines[-1] == "}"
    nodes = [re.match(r'"([^"]+)" \[', line) for line in lines]
    assert [match[1] for match in nodes if match] == [
        "connector sms",
        "worker sms",
        "connector ussd",
        "worker ussd",
        "connector reverse",
        "worker reverse",
    ]
    edges = [re.match(r'("[^"]+" -> "[^"]+") .*tooltip="([^"]+)"', line) for line in lines]
    assert [(match[1], match[2]) for match in edges if match] == [
        ('"connector sms" -> "connector reverse"', "messages from users"),
        ('"connector ussd" -> "connector reverse"', "messages from users"),
        ('"connector sms" -> "connector reverse"', "events"),
        ('"connector ussd" -> "connector reverse"', "events"),
        ('"connector reverse" -> "connector sms"', "messages to users"),
        ('"connector reverse" -> "connector ussd"', "messages to users"),
    ]


def test_what_is_special_in_the_graph_language_is_escaped(tmp_path: Path) -> None:
    config = {
        "router_class": "vumi.dispatchers.ToAddrRouter",
        "transport_names": "t1",
        "exposed_names": ["app"],
        "toaddr_mappings": {"app": '\\d+"'},
    }
    output = call(tmp_path, config, "--format", "dot").output
    assert r'label="to_addr matches \\d+\""' in output


def test_what_is_dropped_and_which_of_several_dispatchers_it_is(tmp_path: Path) -> None:
    config = {
        "workers": {
            "one": "vumi.dispatchers.BaseDispatchWorker",
            "two": "vumi.dispatchers.BaseDispatchWorker",
        },
        "one": SIMPLE,
        "two": {**SIMPLE, "transport_names": "app1", "exposed_names": "x", "route_mappings": {}},
    }
    output = call(tmp_path, config, "--format", "dot").output
    assert '"dropped 0" [label=dropped, shape=plaintext];' in output
    assert '"connector t3" -> "dropped 0" [label="one:"' in output
    assert """[label="two: transport_name 'app1'\"""" in output


DRAWER = "#!/bin/sh\nif [ \"$1\" = -Tsvg ]; then echo '<svg>'; cat; echo '</svg>'; fi\n"


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "dot"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_graphviz_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, DRAWER, monkeypatch)
    graph = call(tmp_path, SIMPLE, "--format", "dot").output
    assert call(tmp_path, SIMPLE, "--format", "svg").output == f"<svg>\n{graph[:-1]}</svg>\n\n"


def test_graphviz_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "#!/bin/sh\necho 'no such font' >&2\nexit 1\n", monkeypatch)
    result = call(tmp_path, SIMPLE, "--format", "svg")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path}/dot has failed: no such font\n"


def test_graphviz_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    result = call(tmp_path, SIMPLE, "--format", "svg")
    assert result.exit_code == 1
    assert "install Graphviz, or use --format dot" in result.stderr


def test_without_a_dispatcher_workers_are_in_a_straight_line(tmp_path: Path) -> None:
    config = {
        "workers": {
            "line": "vumi.transports.telnet.TelnetServerTransport",
            "echo": "vumi.demos.words.EchoWorker",
            "lonely": "vumi.demos.words.EchoWorker",
        },
        "line": {"transport_name": "t", "twisted_endpoint": "tcp:0"},
        "echo": {"transport_name": "t"},
        "lonely": {"transport_name": "u"},
    }
    assert call(tmp_path, config).output.splitlines() == [
        "line (vumi.transports.telnet.TelnetServerTransport) <-> t <-> "
        "echo (vumi.demos.words.EchoWorker)",
        "lonely (vumi.demos.words.EchoWorker) <-> u <-> nobody else in this file",
    ]
