"""A Redis server of our own, and a Sentinel that watches some: private, on loopback.

Knows Redis's settings; how a process lives and dies is :mod:`vumi.tests.local_server`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from vumi.tests.local_server import (
    LOOPBACK,
    LocalServer,
    ServerError,
    ask,
    find_program,
    not_installed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vumi.tests.certificates import TLSFiles

__all__ = ["RedisServer", "SentinelServer"]

_DATABASES = 16


class RedisServer(LocalServer):
    """A Redis server of our own.

    :param directory: where it keeps everything.
    :param password: the password that it asks for, none if empty.
    :param persistent: whether it writes every change to disk, so that a restart keeps them.
    :param tls: certificates for a second port that speaks TLS, :attr:`tls_port`.
    :param require_client_certificate: whether that port refuses clients without one.
    :param replica_of: the server, started before, that this one is a copy of.
    :param load_delay: microseconds that loading each key from disk takes, to test ``LOADING``.
    """

    title: ClassVar[str] = "Redis"
    debian_package: ClassVar[str] = "redis-server"

    def __init__(
        self,
        directory: Path | str,
        *,
        password: str = "",
        persistent: bool = False,
        tls: TLSFiles | None = None,
        require_client_certificate: bool = False,
        replica_of: RedisServer | None = None,
        load_delay: int = 0,
        start_timeout: float = 30.0,
        stop_timeout: float = 20.0,
    ) -> None:
        super().__init__(directory, start_timeout=start_timeout, stop_timeout=stop_timeout)
        self._password = password
        self._replica_of = replica_of
        self._persistent = persistent
        self._load_delay = load_delay
        self._tls = tls
        self._require_client_certificate = require_client_certificate

    @classmethod
    def missing(cls) -> str:
        """What this machine lacks to run the server, in words; empty if nothing."""
        return "" if find_program("redis-server") else not_installed(cls, "redis-server")

    @property
    def tls_port(self) -> int:
        """The port that speaks TLS."""
        return self._port("tls")

    def url(self, db: int | None = None, *, tls: bool = False) -> str:
        """The server as a URL, with the password if it has one.

        :param db: the number of the database, by default 0.
        :param tls: whether to name the TLS port (``rediss:``).
        """
        scheme, port = ("rediss", self.tls_port) if tls else ("redis", self.port)
        password = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"{scheme}://{password}{LOOPBACK}:{port}/{db or 0}"

    def _port_names(self) -> Sequence[str]:
        return ["redis"] if self._tls is None else ["redis", "tls"]

    def _prepare(self) -> None:
        path = self.directory / "redis.conf"
        # It may have a password in it.
        path.touch(mode=0o600)
        path.write_text("\n".join(self._configuration()) + "\n", encoding="utf-8")

    def _configuration(self) -> list[str]:
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f'dir "{self.directory}"',
            "daemonize no",
            'save ""',
            f"appendonly {'yes' if self._persistent else 'no'}",
            "appendfsync always",
            f"databases {_DATABASES}",
            # A replica gets the data at once, not only after waiting for more replicas to come.
            "repl-diskless-sync-delay 0",
            f"key-load-delay {self._load_delay}",
            # Clients are answered often while it loads.
            "loading-process-events-interval-bytes 1024",
        ]
        if self._password:
            escaped = self._password.replace("\\", "\\\\").replace('"', '\\"')
            lines += [f'requirepass "{escaped}"', f'masterauth "{escaped}"']
        if self._replica_of is not None:
            lines.append(f"replicaof {LOOPBACK} {self._replica_of.port}")
        if self._tls is not None:
            lines += [
                f"tls-port {self.tls_port}",
                f'tls-ca-cert-file "{self._tls.ca_certificate}"',
                f'tls-cert-file "{self._tls.server_certificate}"',
                f'tls-key-file "{self._tls.server_key}"',
                f"tls-auth-clients {'yes' if self._require_client_certificate else 'optional'}",
            ]
        return lines

    def _command(self) -> Sequence[Path | str]:
        program = find_program("redis-server")
        if program is None:
            raise ServerError(self.missing())
        return [program, self.directory / "redis.conf"]

    def _answers(self) -> bool:
        """Whether the server on our port says that it is our process."""
        question = _redis_command("INFO", "server")
        if self._password:
            question = _redis_command("AUTH", self._password) + question
        expected = f"process_id:{self._processes[-1].pid}\r\n".encode()
        # While it loads its data it refuses; the answer's first part then has an error.
        return expected in ask(self.port, question, expected, b"-LOADING")


class SentinelServer(LocalServer):
    """A Sentinel of our own, that has the say alone: what it finds dead is replaced at once.

    :param directory: where it keeps everything.
    :param master: the server that it watches, started before, without a password; its replicas
        it finds by itself.
    :param service: the name that it knows the master by.
    :param down_after: after how many seconds without an answer a server is taken for dead.
    """

    title: ClassVar[str] = "Redis Sentinel"
    debian_package: ClassVar[str] = "redis-sentinel"

    def __init__(
        self,
        directory: Path | str,
        master: RedisServer,
        *,
        service: str = "mymaster",
        down_after: float = 0.5,
        start_timeout: float = 30.0,
        stop_timeout: float = 20.0,
    ) -> None:
        super().__init__(directory, start_timeout=start_timeout, stop_timeout=stop_timeout)
        self._master = master
        self._service = service
        self._down_after = down_after

    @classmethod
    def missing(cls) -> str:
        """What this machine lacks to run the server, in words; empty if nothing."""
        # The same program under another name; a Redis without it has it all the same.
        return RedisServer.missing()

    def url(self, db: int | None = None) -> str:
        """Where clients ask for the master, as a URL."""
        return f"redis+sentinel://{LOOPBACK}:{self.port}/{self._service}/{db or 0}"

    def knows_replica(self) -> bool:
        """Whether it has found a replica that could take the master's place."""
        question = _redis_command("SENTINEL", "REPLICAS", self._service)
        return b"\r\nslave\r\n" in ask(self.port, question, b"replica-announced", b"*0\r\n")

    def _port_names(self) -> Sequence[str]:
        return ["sentinel"]

    def _prepare(self) -> None:
        milliseconds = round(self._down_after * 1000)
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f'dir "{self.directory}"',
            f"sentinel monitor {self._service} {LOOPBACK} {self._master.port} 1",
            f"sentinel down-after-milliseconds {self._service} {milliseconds}",
            f"sentinel failover-timeout {self._service} 5000",
        ]
        path = self.directory / "sentinel.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _command(self) -> Sequence[Path | str]:
        program = find_program("redis-server")
        if program is None:
            raise ServerError(self.missing())
        return [program, self.directory / "sentinel.conf", "--sentinel"]

    def _answers(self) -> bool:
        """Whether the Sentinel on our port says that it is our process."""
        expected = f"process_id:{self._processes[-1].pid}\r\n".encode()
        return expected in ask(self.port, _redis_command("INFO", "server"), expected)


def _redis_command(*words: str) -> bytes:
    lines = [f"*{len(words)}"]
    for word in words:
        lines += [f"${len(word.encode())}", word]
    return "".join(f"{line}\r\n" for line in lines).encode()
