"""A real server's process on this machine: private, on loopback, gone afterwards.

Knows processes, ports and logs; which server it is, subclasses say (:mod:`vumi.tests.servers`).
Knows neither Twisted nor pytest: everything here blocks, so that benches and demos can use it too.

Theory of operation: :meth:`LocalServer.start` picks free ports, lets the subclass write the
server's files, starts its helpers and the server itself and asks until it answers, a process ends
or the time is over. Beside each process runs a *guard*, a shell that waits on a pipe that only we
hold: it kills the process if we end without having stopped it, so a test run that was killed
leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn

from vumi.errors import VumiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

__all__ = [
    "LOOPBACK",
    "LocalServer",
    "ServerError",
    "ask",
    "find_program",
    "free_port",
    "not_installed",
]

LOOPBACK = "127.0.0.1"

# Below the ports that systems hand out to outgoing connections (Linux: from 32768), so that
# no client takes a server's port while that server restarts.
_PORTS = range(15000, 32000)
_PORT_TRIES = 100
_START_TRIES = 3
# As Erlang, the system and Erlang's name service say it.
_PORT_TAKEN = ("eaddrinuse", "already in use", "already a epmd")
_POLL_SECONDS = 0.05
_PROBE_SECONDS = 5.0
_LOG_TAIL_LINES = 30
# Not in an ordinary user's PATH, but where Debian and others put servers.
_MORE_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/sbin")
_GUARD = 'read -r _; kill -KILL "$1"'


class ServerError(VumiError):
    """A private server could not be started or did not do what it was asked."""


def find_program(name: str) -> Path | None:
    """Find a program in ``PATH`` and where servers are usually kept.

    :return: its path, or None.
    """
    found = shutil.which(name, path=_search_path())
    return Path(found) if found else None


def free_port() -> int:
    """Choose a port of the loopback address that nothing listens on.

    Not from :mod:`random`, whose seed tools for property tests fix: two test runs would choose
    the same ports.

    :raises ServerError: if none was found.
    """
    for _ in range(_PORT_TRIES):
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    raise ServerError(f"no free port on {LOOPBACK} after {_PORT_TRIES} tries")


def ask(port: int, question: bytes, *ends: bytes) -> bytes:
    """Send something to a port of ours and read until one of the ends appears.

    :return: what came, also if that was nothing or broke off.
    """
    answer = b""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_PROBE_SECONDS) as connection:
            connection.sendall(question)
            while not any(end in answer for end in ends):
                received = connection.recv(65536)
                if not received:
                    break
                answer += received
    except OSError:
        pass  # not there yet; the caller asks again
    return answer


def not_installed(server: type[LocalServer], what: str) -> str:
    """What to say when a program of a server is missing: what, and how to get it."""
    return (
        f"{what} is not installed: get {server.title}, on Debian or Ubuntu with "
        f"'apt-get install {server.debian_package}' or 'utils/install-test-servers'"
    )


class LocalServer:
    """One server process of our own, with its data and logs in one directory.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    :param directory: where the server keeps everything; made at the start, not removed.
    :param start_timeout: how long the server may take until it answers, in seconds.
    :param stop_timeout: how long it may take to end by itself, in seconds, before it is killed.
    """

    #: What people call the server, for messages.
    title: ClassVar[str]
    #: The Debian package that has it.
    debian_package: ClassVar[str]

    #: What asks it to end.
    _stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self, directory: Path | str, *, start_timeout: float = 60.0, stop_timeout: float = 20.0
    ) -> None:
        self.directory = Path(directory).absolute()
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._ports: dict[str, int] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._guards: list[subprocess.Popen[bytes]] = []

    # What a subclass says

    @classmethod
    def missing(cls) -> str:
        """What this machine lacks to run the server, in words; empty if nothing."""
        raise NotImplementedError

    def _port_names(self) -> Sequence[str]:
        """Names for the ports that the server needs; the first one is its own protocol's."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Write the server's files; called before every start, when the ports are known."""

    def _helpers(self) -> Sequence[tuple[Sequence[Path | str], int]]:
        """What must run before the server: each one's command and the port that it listens on."""
        return ()

    def _command(self) -> Sequence[Path | str]:
        """The command that becomes the server."""
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        """The environment of the server's processes; nothing of ours but the path gets in."""
        return {"PATH": _search_path(), "HOME": str(self.directory), "LANG": "C.UTF-8"}

    def _user(self) -> str | None:
        """The name of the user that it must run as; ``None``: ours."""
        return None

    def _answers(self) -> bool:
        """Whether it is this very server that answers on its port."""
        raise NotImplementedError

    def _logs(self) -> Sequence[Path]:
        """The files that tell why the server didn't start, besides its output."""
        return ()

    # Facts

    @classmethod
    def available(cls) -> bool:
        """Whether this machine has the server installed."""
        return not cls.missing()

    @property
    def running(self) -> bool:
        """Whether the server's process is there (a paused one is)."""
        return bool(self._processes) and self._processes[-1].poll() is None

    @property
    def port(self) -> int:
        """The port of the server's own protocol, on 127.0.0.1; the same after a restart.

        :raises ServerError: before the first start.
        """
        return self._port(self._port_names()[0])

    @property
    def pid(self) -> int:
        """The process id of the server itself.

        :raises ServerError: if it isn't running.
        """
        return self._server().pid

    def _port(self, name: str) -> int:
        try:
            return self._ports[name]
        except KeyError:
            raise ServerError(f"{self.title} has no {name} port (it was never started)") from None

    def _server(self) -> subprocess.Popen[bytes]:
        if not self.running:
            raise ServerError(f"{self.title} is not running")
        return self._processes[-1]

    # Its life

    def start(self) -> None:
        """Start the server and wait until it answers.

        :raises ServerError: if it is not installed, runs already, or doesn't answer in time;
            says what the server's log says.
        """
        if self._processes:
            raise ServerError(f"{self.title} was started already")
        if reason := self.missing():
            raise ServerError(reason)
        self.directory.mkdir(parents=True, exist_ok=True)
        problem = self._try_start() if self._ports else self._try_start_on_free_ports()
        if problem:
            raise ServerError(problem)

    def stop(self) -> None:
        """End the server (as it wants to be asked, and SIGKILL if it takes too long) and its
        helpers.
        """
        if self.running:
            server = self._server()
            # A paused process would not even see the signal.
            server.send_signal(signal.SIGCONT)
            server.send_signal(self._stop_signal)
            with suppress(subprocess.TimeoutExpired):
                server.wait(self._stop_timeout)
        self.kill()

    def kill(self) -> None:
        """End the server and its helpers at once (SIGKILL), as a crash or a power cut would."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()
        for guard in self._guards:
            guard.kill()
            guard.communicate()
        self._guards.clear()

    def restart(self) -> None:
        """Stop (unless it is dead already) and start again: same ports, same data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server: connections stay open, but nothing is answered (SIGSTOP)."""
        self._server().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        self._server().send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Starting

    def _try_start_on_free_ports(self) -> str:
        problem = ""
        for _ in range(_START_TRIES):
            self._ports = {name: free_port() for name in self._port_names()}
            problem = self._try_start()
            if not problem:
                return ""
            # Somebody was faster between our look and the server's bind; else it's hopeless.
            if not any(words in problem for words in _PORT_TAKEN):
                break
        self._ports = {}
        return problem

    def _try_start(self) -> str:
        """Start once; return what went wrong, or nothing."""
        try:
            self._prepare()
            problem = self._launch()
        except BaseException:
            self.kill()
            raise
        if problem:
            self.kill()
            problem = f"{problem}\n{self._log_tail()}"
        return problem

    def _launch(self) -> str:
        deadline = time.monotonic() + self._start_timeout
        for command, port in self._helpers():
            self._spawn(command)
            if problem := self._wait(deadline, partial(_listens, port)):
                return problem
        self._spawn(self._command())
        return self._wait(deadline, self._answers)

    def _spawn(self, command: Sequence[Path | str]) -> None:
        user = self._user()
        with self._output().open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for us; we stop the server when we are done with it.
                start_new_session=True,
                user=user,
                extra_groups=None if user is None else [],
            )
        self._processes.append(process)
        self._guards.append(_start_guard(process.pid))

    def _wait(self, deadline: float, ready: Callable[[], bool]) -> str:
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    return f"{self.title} ended with status {process.returncode} while starting"
            if ready():
                return ""
            time.sleep(_POLL_SECONDS)
        return f"{self.title} did not answer within {self._start_timeout:g} seconds"

    def _output(self) -> Path:
        return self.directory / "output.log"

    def _log_tail(self) -> str:
        parts = []
        for path in [self._output(), *self._logs()]:
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                parts += [f"--- the end of {path}:", *lines[-_LOG_TAIL_LINES:]]
        return "\n".join(parts)

    def _fail(self, what: str, output: str) -> NoReturn:
        raise ServerError(f"{self.title}: {what}: {output.strip()}")


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_PATH])


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((LOOPBACK, port)) == 0


def _start_guard(pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "vumi-server-guard", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
