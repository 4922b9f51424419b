"""A page whose commands are carried out, one after another, as its reader would.

Knows blocks of code, the shell, and what programs that a test can't call must be played: ``make``,
``sudo`` and ``telnet``. Knows no page.

* A block with a file name is written to that file.
* The commands of a ``console`` block are run. What stands in the ``text`` block after it is what
  the last one must print; three dots there stand for anything. It must succeed, unless it is to
  print an error.
* A ``vumi chat`` without a script is given the lines that the block after it marks as typed.
* A program that stays in the foreground goes on until the next such one is started, or the page
  ends; then Ctrl-C is pressed.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from doc_blocks import ROOT, code_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doc_blocks import Block

__all__ = ["Walkthrough"]

#: Seconds that anything may take on a machine that is busy.
PATIENCE = 60.0

#: Stay in the foreground -> what they print when they are ready.
SERVERS = {
    re.compile(r"vumi run "): "All workers run",
    re.compile(r"supervisord -n "): "success: visits entered RUNNING state",
}


class Walkthrough:
    """Carries a page out in a folder.

    :param page: The page.
    :param folder: Where its reader is at first.
    :param changes: What the reader's surroundings are called in the page -> what they are here:
        ports and URLs, changed in all YAML files.
    :param typed: The lines of telnet sessions that are typed; all others are received.
    :param stubs: Further programs -> shell scripts.
    """

    def __init__(
        self,
        page: Path,
        folder: Path,
        changes: Mapping[str, str],
        typed: frozenset[str] = frozenset(),
        stubs: Mapping[str, str] | None = None,
    ) -> None:
        self.blocks = list(code_blocks(page.read_text("utf-8")))
        self.commands_run: list[str] = []
        self._page = page
        self._folder = folder
        self._changes = changes
        self._typed = typed
        self._server: subprocess.Popen[str] | None = None
        self._server_output = folder.parent / f"{folder.name}-server-output"
        programs = folder.parent / f"{folder.name}-programs"
        programs.mkdir()
        python = shlex.quote(sys.executable)
        for name, script in {
            "vumi": f'exec {python} -m vumi.cli "$@"',
            # It would get all packages from the network.
            "make": f'[ "$*" = venv ] && ln -s {shlex.quote(sys.prefix)} .venv',
            "sudo": 'exec "$@"',
            **(stubs or {}),
        }.items():
            path = programs / name
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        paths = (str(programs), str(Path(sys.executable).parent), os.environ["PATH"])
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join(paths),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def walk(self) -> None:
        """Do everything that the page says, in its order."""
        try:
            for block, after in zip(self.blocks, [*self.blocks[1:], None], strict=True):
                if block.file_name:
                    path = self._folder / block.file_name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(block.text, "utf-8")
                    self._change_files()
                elif block.language == "console":
                    shown = _shown(after)
                    *commands, last = _commands(block)
                    for command in commands:
                        self._do(block, command, None)
                    self._do(block, last, shown)
            self._end_server()
        finally:
            self._kill_server()

    def _change_files(self) -> None:
        for path in self._folder.rglob("*.yaml"):
            text = path.read_text("utf-8")
            for here, there in self._changes.items():
                text = text.replace(here, there)
            path.write_text(text, "utf-8")

    def _do(self, block: Block, command: str, shown: str | None) -> None:
        self.commands_run.append(command)
        where = f"{self._page}, line {block.line}: {command}"
        if command.startswith("cd "):
            self._folder = self._folder / command.removeprefix("cd ")
            assert self._folder.is_dir(), where
        elif command.startswith("telnet "):
            assert shown is not None, where
            self._telnet(where, shown)
        elif any(pattern.match(command) for pattern in SERVERS):
            self._start_server(where, command)
        else:
            is_chat = command.startswith("vumi chat ") and "--script" not in command
            keys = "".join(f"{line}\n" for line in _typed_lines(shown or "")) if is_chat else ""
            self._run(where, command, shown, keys)
            self._change_files()
            if command.startswith("supervisorctl") and command.endswith(" shutdown"):
                # A signal that came while it ends would kill it.
                self._end_server(was_told=True)

    # Programs that end

    def _run(self, where: str, command: str, shown: str | None, keys: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            input=keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        report = f"{where}\n{done.stdout}\n{self._server_log()}"
        may_fail = shown is not None and re.search(r"^Error: |, line \d+: ", shown, re.MULTILINE)
        assert (done.returncode == 0) is not bool(may_fail), report
        if shown is not None:
            assert _matches(shown, done.stdout), report

    # Programs that stay

    def _start_server(self, where: str, command: str) -> None:
        self._end_server()
        with self._server_output.open("w") as output:
            self._server = subprocess.Popen(
                # So that Ctrl-C reaches the program and not its shell.
                ["bash", "-c", f"exec {command}"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        [ready] = (words for pattern, words in SERVERS.items() if pattern.match(command))
        self._wait_until(lambda: ready in self._server_log(), where)

    def _server_log(self) -> str:
        if not self._server_output.exists():
            return ""
        logs = [self._server_output, *sorted(self._folder.glob("*.log"))]
        return "\n".join(path.read_text("utf-8", "replace") for path in logs)

    def _wait_until(self, is_so: Callable[[], bool], where: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            ended = self._server is not None and self._server.poll() is not None
            assert not ended, f"{where}: ended\n{self._server_log()}"
            assert time.monotonic() < deadline, f"{where}\n{self._server_log()}"
            time.sleep(0.05)

    def _end_server(self, was_told: bool = False) -> None:
        if self._server is None:
            return
        if not was_told:
            with suppress(ProcessLookupError):
                self._server.send_signal(signal.SIGINT)
        status = self._server.wait(PATIENCE)
        assert status == 0, f"{status}\n{self._server_log()}"
        assert "Traceback" not in self._server_log(), self._server_log()
        self._server = None

    def _kill_server(self) -> None:
        if self._server is not None and self._server.poll() is None:
            # supervisord takes its processes along when it is told to stop, not when it is killed.
            self._server.terminate()
            try:
                self._server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._server.kill()

    # Telnet

    def _telnet(self, where: str, shown: str) -> None:
        port = int(self._changes["tcp:port=9010"].rpartition("=")[2])
        connections: list[socket.socket] = []

        def connected() -> bool:
            with suppress(ConnectionRefusedError):
                connections.append(socket.create_connection(("127.0.0.1", port), PATIENCE))
            return bool(connections)

        self._wait_until(connected, where)
        with connections[0] as connection, connection.makefile("rwb") as stream:
            for line in shown.splitlines():
                if line in self._typed:
                    stream.write(f"{line}\r\n".encode())
                    stream.flush()
                else:
                    received = stream.readline().decode().rstrip()
                    assert received == line, f"{where}: {received!r}\n{self._server_log()}"


def _commands(block: Block) -> list[str]:
    lines = block.text.replace("\\\n", " ").split("\n")
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def _shown(after: Block | None) -> str | None:
    """What a block says that shows what a command prints."""
    if after is None or after.language != "text" or after.file_name:
        return None
    return after.text


def _typed_lines(shown: str) -> list[str]:
    """The lines of a conversation at the handset that were typed."""
    return [
        line.removeprefix(">").removeprefix(" ")
        for line in shown.splitlines()
        if line.startswith((">", "/")) and line != "/closed"
    ]


def _matches(shown: str, printed: str) -> bool:
    pattern = "\n".join(
        re.escape(line).replace(r"\.\.\.", ".*") for line in shown.rstrip().splitlines()
    )
    printed_lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    return re.fullmatch(pattern, "\n".join(printed_lines)) is not None
