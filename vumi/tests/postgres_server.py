"""A PostgreSQL server of our own: private, on loopback.

Knows PostgreSQL's settings and its ways of starting and stopping; how a process lives and dies
otherwise is :mod:`vumi.tests.local_server`'s business.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from vumi.tests.local_server import (
    LOOPBACK,
    LocalServer,
    ServerError,
    find_program,
    not_installed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PostgresServer"]

#: Debian keeps each version's programs in a folder of its own, and not in the PATH.
_DEBIAN_PROGRAMS = "/usr/lib/postgresql/*/bin"
_USER = "vumi"
#: Of those that Debian has, who may run a server that root starts: PostgreSQL refuses root.
_UNPRIVILEGED = ("postgres", "nobody")
_KILL_SECONDS = 5.0


class PostgresServer(LocalServer):
    """A PostgreSQL server of our own, small, but with everything written to disk as it should be.

    :param directory: where it keeps everything. If we are root it is given to the user that the
        server runs as, who must be able to reach it.
    """

    title: ClassVar[str] = "PostgreSQL"
    debian_package: ClassVar[str] = "postgresql"

    # SIGTERM would wait until all clients have gone.
    _stop_signal = signal.SIGINT

    def __init__(
        self, directory: Path | str, *, start_timeout: float = 60.0, stop_timeout: float = 20.0
    ) -> None:
        super().__init__(directory, start_timeout=start_timeout, stop_timeout=stop_timeout)
        self._password = secrets.token_hex(8)

    @classmethod
    def missing(cls) -> str:
        """What this machine lacks to run the server, in words; empty if nothing."""
        return "" if _find("postgres") and _find("initdb") else not_installed(cls, "postgres")

    def url(self, database: str | None = None) -> str:
        """The server as a URL, with user and password.

        :param database: by default ``postgres``.
        """
        name = quote(database or "postgres", safe="")
        return f"postgresql://{_USER}:{self._password}@{LOOPBACK}:{self.port}/{name}"

    def kill(self) -> None:
        """End the server at once: what it had not written to disk is lost, as in a crash."""
        if self.running:
            server = self._server()
            # Its way to end without a word to the disk; SIGKILL alone would leave its children.
            server.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                server.wait(_KILL_SECONDS)
        super().kill()

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _port_names(self) -> Sequence[str]:
        return ["postgresql"]

    def _user(self) -> str | None:
        if os.geteuid() != 0:
            return None
        for name in _UNPRIVILEGED:
            with suppress(KeyError):
                return pwd.getpwnam(name).pw_name
        raise ServerError(f"PostgreSQL can't run as root, and there is no user {_UNPRIVILEGED[0]}")

    def _prepare(self) -> None:
        if self._data.exists():
            return
        user = self._user()
        passwords = self.directory / "password"
        passwords.touch(mode=0o600)
        passwords.write_text(self._password + "\n", encoding="utf-8")
        if user is not None:
            for path in (self.directory, passwords):
                shutil.chown(path, user)
        made = subprocess.run(
            [
                _program("initdb"),
                f"--pgdata={self._data}",
                f"--username={_USER}",
                f"--pwfile={passwords}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                # A new and empty one needs not survive anything yet.
                "--no-sync",
            ],
            cwd=self.directory,
            env=self._environment(),
            user=user,
            extra_groups=None if user is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            self._fail("initdb failed", made.stderr or made.stdout)

    def _command(self) -> Sequence[Path | str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "shared_buffers": "64MB",
            "max_connections": 60,
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "logging_collector": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [_program("postgres"), "-D", self._data, *options]

    def _answers(self) -> bool:
        """Whether the server says that it is our process, and ready."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        ours = bool(lines) and lines[0].strip() == str(self._processes[-1].pid)
        return ours and len(lines) >= 8 and lines[7].strip() == "ready"


def _find(name: str) -> Path | None:
    """A program of the newest PostgreSQL that is installed."""
    programs = list(Path("/").glob(_DEBIAN_PROGRAMS.lstrip("/") + f"/{name}"))
    if not programs:
        return find_program(name)
    return max(programs, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))])


def _program(name: str) -> Path:
    found = _find(name)
    if found is None:
        raise ServerError(PostgresServer.missing())
    return found
