"""Tests of vumi smsc: as a process, with an ESME on a socket."""

from __future__ import annotations

import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import vumi as package
from vumi.cli.command import vumi
from vumi.cli.smsc import STYLES
from vumi.handset.screen import STYLES as SCREEN_STYLES
from vumi.tests.servers import free_port
from vumi.transports.smpp.pdu import BindTransceiver, DeliverSm, PduReader, SubmitSm, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(package.__file__).parents[1]
TIMEOUT = 60


def test_the_styles_are_those_of_the_screen() -> None:
    assert set(STYLES.values()) <= SCREEN_STYLES.keys()


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["--port", "0"], 2, "0 is not in the range"),
        (["--account", "me"], 2, "--account needs SYSTEM_ID:PASSWORD, not 'me'."),
        (["--script", "none.yaml"], 1, "none.yaml can't be read"),
        (["--script", "wrong.yaml"], 1, "Error: Field 'rules': Rule 1 does nothing"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(
    args: list[str], status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text("rules: [{to: '1'}]\n")
    result = CliRunner().invoke(vumi, ["smsc", *args])
    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.stderr


class Esme:
    """An ESME on a socket."""

    def __init__(self, port: int, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._reader = PduReader()
        self._pdus: list[Any] = []
        self.bound = self.ask(BindTransceiver(system_id="me", password=password))

    def ask(self, pdu: Any) -> Any:
        pdu.sequence_number = 1
        self._socket.sendall(pdu.encode())
        return self.receive()

    def receive(self) -> Any:
        while not self._pdus:
            data = self._socket.recv(65536)
            assert data, "the connection has ended"
            self._pdus += map(decode, self._reader.feed(data))
        return self._pdus.pop(0)

    def answer(self, pdu: Any) -> None:
        self._socket.sendall(pdu.respond().encode())

    def close(self) -> None:
        self._socket.close()


@contextmanager
def command(folder: Path, *args: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "vumi.cli", "smsc", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": ""},
        start_new_session=True,
        **streams,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.mark.integration
def test_lines_of_another_program_are_messages(tmp_path: Path) -> None:
    port = free_port()
    args = ("--port", str(port), "--account", "me:secret", "--journal", "journal")
    pipe = subprocess.PIPE
    with command(tmp_path, *args, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        greeting = f"# An SMSC listens on 127.0.0.1, port {port}.\n"
        assert process.stdout.readline().decode() == greeting
        refused = Esme(port, "wrong")
        assert refused.bound.status_name == "ESME_RINVPASWD"
        refused.close()
        esme = Esme(port, "secret")
        assert esme.bound.ok
        process.stdin.write(b"+2783 -> 8080: hello\n")
        process.stdin.flush()
        delivered = esme.receive()
        assert isinstance(delivered, DeliverSm)
        assert (delivered.source_addr, delivered.short_message) == ("+2783", b"hello")
        esme.answer(delivered)
        assert esme.ask(SubmitSm(destination_addr="+2783", short_message=b"hi")).ok
        process.stdin.close()
        process.terminate()
        output = process.stdout.read().decode()
        assert process.wait(TIMEOUT) == 0
        esme.close()
    lines = re.sub(r"\d{10,}", "ID", output).splitlines()
    assert [line for line in lines if " WARN " not in line] == [
        "# 'me' is not let in: ESME_RINVPASWD",
        "# me is bound: BOUND_TRX",
        "> +2783 -> 8080: hello",
        "<  -> +2783: hi  [ID]",
        "Stopping. Again to stop at once.",
        "# me is gone: we want to end",
    ]
    assert len((tmp_path / "journal").read_text().splitlines()) > 5


@pytest.mark.integration
def test_a_port_that_somebody_else_has_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "vumi.cli", "smsc", "--port", str(port)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    assert done.returncode == 1
    assert "could not start" in done.stdout
    assert "Address already in use" in done.stdout
    assert "listens" not in done.stdout


@pytest.mark.integration
def test_at_a_terminal(tmp_path: Path) -> None:
    port = free_port()
    manager, inner = pty.openpty()
    shown = ""

    def read_until(words: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + TIMEOUT
        while words not in shown:
            ready, _, _ = select.select([manager], [], [], deadline - time.monotonic())
            assert ready, shown
            with suppress(OSError):
                # Linux says so when nobody has the terminal any more.
                shown += os.read(manager, 65536).decode("utf-8", "replace")
        shown = shown.partition(words)[2]

    with command(
        tmp_path, "--port", str(port), stdin=inner, stdout=inner, stderr=inner
    ) as process:
        os.close(inner)
        read_until("/quit ends.")
        esme = Esme(port, "")
        read_until("# me is bound: BOUND_TRX")
        os.write(manager, "+2783 -> 8080: grüße\r".encode())
        delivered = esme.receive()
        assert delivered.short_message == b"gr\x7e\x1ee"
        esme.answer(delivered)
        read_until("> +2783 -> 8080: grüße")
        os.write(manager, b"/quit\r")
        assert process.wait(TIMEOUT) == 0
        esme.close()
    os.close(manager)
