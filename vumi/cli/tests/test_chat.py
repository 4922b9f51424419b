"""Tests of vumi chat, as a process of its own and at a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import vumi as package
from vumi.cli.chat import TRANSPORT_TYPES
from vumi.cli.command import vumi
from vumi.cli.tests import samples
from vumi.message import TransportUserMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(package.__file__).parents[1]
SAMPLES = samples.__name__
ECHO = "vumi.demos.words.EchoWorker"
CHATTY = "vumi.handset.tests.samples.Sample"
TIMEOUT = 60


def test_the_transport_types_are_those_of_messages() -> None:
    assert set(TRANSPORT_TYPES) == TransportUserMessage.TRANSPORT_TYPES


# What is refused


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["no.such.Class"], 1, "No module named 'no'"),
        ([f"{SAMPLES}.PortTransport"], 1, "is no application"),
        ([f"{SAMPLES}.QuietWorker"], 1, "is no application"),
        ([ECHO, "--config", "none.yaml"], 1, "none.yaml can't be read"),
        ([ECHO, "--set-option", "worker_concurrency:x"], 1, "worker_concurrency"),
        ([ECHO, "--set-option", ":x"], 2, "--set-option needs key:value"),
        ([ECHO, "--transport-type", "pigeon"], 2, "pigeon"),
        ([ECHO, "--timeout", "0"], 2, "0.0 is not in the range"),
        ([ECHO, "--script", "none.chat"], 1, "none.chat can't be read: No such file"),
        ([ECHO, "--script", "latin.chat"], 1, "latin.chat is no text in UTF-8"),
        ([ECHO, "--script", "wrong.chat"], 1, "wrong.chat, line 2: a line begins with"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(
    args: list[str],
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.chat").write_bytes("> grüß".encode("latin-1"))
    (tmp_path / "wrong.chat").write_text("> fine\nwrong\n")
    result = CliRunner().invoke(vumi, ["chat", *args])
    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.stderr


# In a process of its own


def chat(
    folder: Path, *args: str, typed: str = "", script: str | None = None
) -> subprocess.CompletedProcess[str]:
    if script is not None:
        (folder / "x.chat").write_text(script)
        args = (*args, "--script", "x.chat")
    return subprocess.run(
        [sys.executable, "-m", "vumi.cli", "chat", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


@pytest.mark.integration
def test_a_script_that_passes(tmp_path: Path) -> None:
    done = chat(tmp_path, ECHO, script=">\n< Enter text to echo:\n> hi\n< hi\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "OK: x.chat, 4 steps.\n", "")


@pytest.mark.integration
def test_a_script_that_fails_shows_the_difference(tmp_path: Path) -> None:
    done = chat(tmp_path, ECHO, script=">\n< Enter text to echo:\n> hi\n< ho\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "x.chat, line 4: The reply is not the one expected (-) but another one (+).\n"
        "    - ho\n    + hi\n"
    )


@pytest.mark.integration
def test_a_script_whose_application_raises_fails_with_the_traceback(tmp_path: Path) -> None:
    done = chat(tmp_path, CHATTY, script=">\n<~ .*\n> raise\n")
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert first == (
        "x.chat, line 3: The application could not handle a message of handset.inbound "
        "(handler-failed): ValueError: so what"
    )
    assert "ValueError: so what" in last
    assert done.stderr.count("Traceback") == 1


@pytest.mark.integration
def test_all_can_be_seen(tmp_path: Path) -> None:
    args = ("--transport-type=sms", "--from=+27831112222", "--to=8864", "--verbose")
    done = chat(tmp_path, ECHO, *args, script="> hi\n< hi\n")
    assert done.stdout == "> hi\n< hi\n# ack, 2 characters, 1 SMS\nOK: x.chat, 2 steps.\n"
    assert "Starting a worker of the class EchoWorker" in done.stderr


@pytest.mark.integration
def test_lines_of_another_program_are_taken_too(tmp_path: Path) -> None:
    done = chat(tmp_path, ECHO, typed="\nhello\n/close\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        ">\n# new session\n< Enter text to echo:\n# ack, 19 characters\n"
        "> hello\n< hello\n# ack, 5 characters\n"
        "/close\n# You have closed the session; the application is told.\n"
    )
    assert chat(tmp_path, CHATTY, typed="\nraise\n").returncode == 1


@pytest.mark.integration
@pytest.mark.parametrize("source", ["file", "pipe"])
def test_lines_that_are_there_before_the_application_has_started_are_all_sent(
    tmp_path: Path, source: str
) -> None:
    lines = [f"line {number}" for number in range(5)]
    given = tmp_path / "lines.txt"
    given.write_text("\n".join(lines))
    command = [sys.executable, "-m", "vumi.cli", "chat", f"{SAMPLES}.SlowToStart"]
    with given.open(encoding="utf-8") as file:
        done = subprocess.run(
            [*command, "--transport-type", "sms"],
            **({"stdin": file} if source == "file" else {"input": file.read()}),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    heard = [line for line in done.stdout.splitlines() if line.startswith("< ")]
    assert heard == [f"< You said {line}" for line in lines]


def test_an_application_that_can_not_start_is_told(tmp_path: Path) -> None:
    unwilling = "vumi.handset.tests.samples.Unwilling"
    for extra in ({"typed": "hi\n"}, {"script": "> hi\n"}):
        done = chat(tmp_path, unwilling, **extra)
        assert done.returncode == 1
        lines = (done.stdout + done.stderr).splitlines()
        assert lines[-1] == "Error: Unwilling could not start: OSError: The disk is full."


@pytest.mark.integration
def test_options_that_nobody_knows_are_warned_of(tmp_path: Path) -> None:
    done = chat(tmp_path, ECHO, "--set-option=colour:red", script="> hi\n<~ .*\n")
    assert done.returncode == 0
    assert "Unknown option 'colour'." in done.stderr


# At a terminal


def _take_signals() -> None:
    """Have signals end the process, though they may be ignored here (nohup, a shell's ``&``)."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """A terminal in which the command runs."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.output = ""
        self.manager, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vumi.cli", "chat", *args],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": ""},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_take_signals,
        )
        os.close(inner)

    def type(self, keys: str) -> None:
        os.write(self.manager, keys.encode())

    def read_until(self, words: str) -> str:
        """What is shown until some words are, from where reading has come to."""
        deadline = time.monotonic() + TIMEOUT
        while words not in self.output:
            assert time.monotonic() < deadline, self.output
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{words!r} was not shown: {self.output}")
        before, found, self.output = self.output.partition(words)
        return before + found

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.manager], [], [], seconds)
        data = b""
        with suppress(OSError):
            # Linux says so when nobody has the terminal any more.
            data = os.read(self.manager, 65536) if ready else b""
        self.output += data.decode("utf-8", "replace")
        return bool(data)

    def rest(self) -> str:
        """What is shown until the end."""
        while self._read(TIMEOUT):
            pass
        return self.output


@contextmanager
def terminal(folder: Path, *args: str) -> Iterator[Terminal]:
    opened = Terminal(folder, *args)
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait()
        os.close(opened.manager)


@pytest.mark.integration
def test_a_conversation_at_a_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, ECHO, "--from", "+2783") as typing:
        typing.read_until(f"# {ECHO}, ussd. Enter dials.")
        typing.read_until("+2783> ")
        typing.type("\r")
        typing.read_until("\x1b[32m< Enter text to echo:\x1b[0m")
        typing.read_until("+2783 in session> ")
        typing.type("helo\x1b[Dl\r")
        typing.read_until("< hello")
        typing.type("\x1b[A!\r")
        typing.read_until("< hello!")
        typing.type("/quit\r")
        rest = typing.rest()
        assert typing.process.wait(TIMEOUT) == 0
    assert "Traceback" not in rest
    # The screen is left as it is, with nothing half typed on it.
    assert re.search(r"\r\x1b\[K$", rest)


@pytest.mark.integration
def test_the_terminal_is_ready_again_after_control_z(tmp_path: Path) -> None:
    with terminal(tmp_path, ECHO) as typing:
        typing.read_until("> ")
        mode = termios.tcgetattr(typing.manager)
        mode[3] |= termios.ICANON | termios.ECHO
        # As the shell has it, when it is given the terminal.
        termios.tcsetattr(typing.manager, termios.TCSANOW, mode)
        typing.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + TIMEOUT
        while termios.tcgetattr(typing.manager)[3] & (termios.ICANON | termios.ECHO):
            assert time.monotonic() < deadline, typing.output
            time.sleep(0.01)
        typing.type("/quit\r")
        typing.rest()
        assert typing.process.wait(TIMEOUT) == 0


@pytest.mark.integration
@pytest.mark.parametrize("way", ["control-c", "control-d", "terminate", "hang up"])
def test_ways_to_end_a_conversation(tmp_path: Path, way: str) -> None:
    with terminal(tmp_path, CHATTY) as typing:
        typing.read_until("> ")
        typing.type("\r")
        typing.read_until("< Welcome!")
        if way == "control-d":
            typing.type("\x04")
        else:
            number = {"control-c": signal.SIGINT, "terminate": signal.SIGTERM}
            typing.process.send_signal(number.get(way, signal.SIGHUP))
        rest = typing.rest()
        status = typing.process.wait(TIMEOUT)
    assert "Traceback" not in rest
    assert status == (-signal.SIGHUP if way == "hang up" else 0)
