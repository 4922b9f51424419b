"""Tests of vumi broker, with a stand-in for rabbitmqctl and with the real one."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from vumi.cli.command import vumi
from vumi.tests.rabbitmq_server import RabbitMQServer
from vumi.tests.servers import require

if TYPE_CHECKING:
    from pathlib import Path

# Keeps users and virtual hosts in a file; logs how it was called; has a bad day if told so.
STAND_IN = """
import json, sys
from pathlib import Path
folder = Path({folder!r})
state = json.loads((folder / "state.json").read_text())
arguments = sys.argv[1:]
assert arguments.pop(0) == "--silent"
secret = sys.stdin.read().removesuffix("\\n")
state["calls"].append([*arguments, secret])
if state["boots"]:
    state["boots"].pop()
    (folder / "state.json").write_text(json.dumps(state))
    print("Error: this command requires the 'rabbit' app to be running on the target node "
          "'rabbit@here'. Start it with 'rabbitmqctl start_app'.", file=sys.stderr)
    sys.exit(64)
if state["complaint"]:
    print(state["complaint"], file=sys.stderr)
    sys.exit(69)
command, *rest = arguments
if command == "list_vhosts":
    print("\\n".join(state["vhosts"]))
elif command == "list_users":
    print("\\n".join(f"{{name}}\\t[]" for name in state["users"]))
elif command == "add_vhost":
    state["vhosts"].append(*rest)
elif command == "add_user":
    [name] = rest
    state["users"][name] = secret
elif command == "authenticate_user":
    [name] = rest
    if state["users"][name] != secret:
        sys.exit(65)
elif command == "set_permissions":
    state["permissions"] = rest
(folder / "state.json").write_text(json.dumps(state))
"""


class Tool:
    """A stand-in for rabbitmqctl, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rabbitmqctl"
        self._state = folder / "state.json"
        script = folder / "rabbitmqctl.py"
        script.write_text(STAND_IN.format(folder=str(folder)))
        self.path.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n'
        )
        self.path.chmod(0o755)
        self.set(
            vhosts=["/"],
            users={"guest": "guest"},
            permissions=[],
            calls=[],
            complaint="",
            boots=[],
        )

    def set(self, **changes: Any) -> None:
        state = self.state if self._state.exists() else {}
        self._state.write_text(json.dumps({**state, **changes}))

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._state.read_text())
        return state

    def call(self, *args: str) -> Result:
        return setup("--rabbitmqctl", str(self.path), *args)


def setup(*args: str) -> Result:
    return CliRunner().invoke(vumi, ["broker", "setup", *args])


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


def test_everything_that_workers_use_by_default_is_made(tool: Tool) -> None:
    result = tool.call()
    assert result.exit_code == 0
    assert result.output == (
        "The virtual host /develop was made.\n"
        "The user vumi was made.\n"
        "The user vumi may do everything in /develop.\n"
    )
    state = tool.state
    assert state["vhosts"] == ["/", "/develop"]
    assert state["users"] == {"guest": "guest", "vumi": "vumi"}
    assert state["permissions"] == ["-p", "/develop", "vumi", ".*", ".*", ".*"]


def test_a_second_time_changes_nothing(tool: Tool) -> None:
    tool.call()
    before = tool.state
    result = tool.call()
    assert result.output == (
        "The virtual host /develop is there.\n"
        "The user vumi is there.\n"
        "The user vumi may do everything in /develop.\n"
    )
    assert {**tool.state, "calls": []} == {**before, "calls": []}


def test_a_rabbitmq_that_is_starting_is_waited_for(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vumi.cli.broker.STARTING_PAUSE", 0)
    tool.set(boots=[1, 1, 1])
    result = tool.call()
    assert result.exit_code == 0
    assert result.output.splitlines()[:2] == [
        "RabbitMQ is starting. Waiting for it.",
        "The virtual host /develop was made.",
    ]


def test_a_rabbitmq_that_does_not_come_up_is_told(tool: Tool) -> None:
    tool.set(boots=[1])
    result = tool.call("--wait=0")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "RabbitMQ is still starting" in line
    assert "--wait" in line


def test_names_and_the_password_can_be_chosen(tool: Tool) -> None:
    password = 'it\'s "$HOME" `x`\\'
    result = tool.call("--vhost=a b", "--username=me", f"--password={password}")
    assert result.exit_code == 0
    assert "a b" in tool.state["vhosts"]
    assert tool.state["users"]["me"] == password
    assert tool.state["permissions"][:3] == ["-p", "a b", "me"]


def test_a_password_is_given_where_no_list_of_processes_shows_it(tool: Tool) -> None:
    for _ in range(2):
        result = tool.call("--password=sekrit")
        assert "sekrit" not in result.output
    for *arguments, secret in tool.state["calls"]:
        assert "sekrit" not in arguments
        assert (secret == "sekrit") is (arguments[0] in ("add_user", "authenticate_user"))


def test_a_user_with_another_password_is_left_alone(tool: Tool) -> None:
    tool.call("--password=first")
    result = tool.call("--password=second")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: The user vumi is there, but with another password.")
    assert tool.state["users"]["vumi"] == "first"


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        ("Only root or rabbitmq should run rabbitmqctl", "try it with sudo"),
        (
            "Error: unable to perform an operation on node 'rabbit@here'. Please see\n...",
            "RabbitMQ isn't running on this machine",
        ),
        ("Error:\n{:badthing, 5}\nmore", "list_vhosts failed: Error: {:badthing, 5}"),
        (" ", "it does not say why"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(tool: Tool, complaint: str, words: str) -> None:
    tool.set(complaint=complaint)
    result = tool.call()
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: rabbitmqctl ")
    assert words in line


@pytest.mark.parametrize(
    ("path", "words"),
    [("/no/such/rabbitmqctl", "No such file"), ("/", "Permission denied")],
)
def test_a_tool_that_cannot_be_run_is_told(path: str, words: str) -> None:
    result = setup("--rabbitmqctl", path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {path} can't be run: {words}")


def test_a_tool_that_is_not_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    monkeypatch.setattr("vumi.cli.broker.MORE_PATH", ())
    result = setup()
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "rabbitmqctl was not found" in line
    assert "--rabbitmqctl" in line
    assert "--print" in line


def test_the_tool_is_found_where_systems_put_it(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vumi.cli.broker.MORE_PATH", (str(tool.path.parent),))
    monkeypatch.setenv("PATH", "/bin")
    assert setup().exit_code == 0
    assert tool.state["calls"]


def test_commands_are_shown_and_not_run(tool: Tool) -> None:
    result = setup("--print", "--vhost=a b", "--password=p$w")
    assert result.stdout.splitlines() == [
        "rabbitmqctl add_vhost 'a b'",
        "rabbitmqctl add_user vumi 'p$w'",
        "rabbitmqctl set_permissions -p 'a b' vumi '.*' '.*' '.*'",
    ]
    assert tool.call("--print").stdout.startswith(f"{tool.path} add_vhost")
    assert tool.state["calls"] == []


@pytest.mark.integration
def test_the_real_tool_makes_a_real_user(tmp_path: Path) -> None:
    require(RabbitMQServer)
    with RabbitMQServer(tmp_path / "server") as server:
        # As the server's own tests call it; the distribution's wrapper would change the user.
        wrapper = tmp_path / "rabbitmqctl"
        lines = [f"export {name}={shlex.quote(value)}" for name, value in _environment(server)]
        lines.append(f'exec {shlex.quote(str(_real_tool()))} "$@"')
        wrapper.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        wrapper.chmod(0o755)
        args = ["--rabbitmqctl", str(wrapper), "--vhost=/new", "--username=me", "--password=p$w "]
        first, second = setup(*args), setup(*args)
        assert first.output.splitlines()[:2] == [
            "The virtual host /new was made.",
            "The user me was made.",
        ]
        assert second.output.splitlines()[:2] == [
            "The virtual host /new is there.",
            "The user me is there.",
        ]
        wrong = setup(*args[:-1], "--password=other")
        assert "with another password" in wrong.stderr
        permissions = server.rabbitmqctl("list_permissions", "--silent", "-p", "/new")
        assert "me\t.*\t.*\t.*" in permissions


def _environment(server: RabbitMQServer) -> list[tuple[str, str]]:
    return sorted({**server._environment(), "PATH": os.environ["PATH"]}.items())


def _real_tool() -> Path:
    from vumi.tests.rabbitmq_server import _rabbitmq_scripts

    folder = _rabbitmq_scripts()
    assert folder is not None
    return folder / "rabbitmqctl"
