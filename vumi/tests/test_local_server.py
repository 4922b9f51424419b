"""What a private server's process promises, shown with small scripts instead of servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vumi.tests import (
    certificates,
    local_server,
    postgres_server,
    rabbitmq_server,
    redis_server,
    servers,
)
from vumi.tests.local_server import LOOPBACK, LocalServer, ServerError, free_port
from vumi.tests.servers import ExternalPostgres, ExternalRabbitMQ, ExternalRedis, require

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.integration


class Script(LocalServer):
    """A shell script in a server's place; it *answers* once it made the file ``up``."""

    title = "Script"
    debian_package = "script-server"
    script = "touch up; exec sleep 1000"

    @classmethod
    def missing(cls) -> str:
        return ""

    def _port_names(self) -> Sequence[str]:
        return ["main", "other"]

    def _command(self) -> Sequence[Path | str]:
        return ["/bin/sh", "-c", self.script]

    def _answers(self) -> bool:
        return (self.directory / "up").exists()


def alive(pid: int) -> bool:
    """Whether a child of ours is there; one that ended and was waited for is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_is_started_once_and_stopped(tmp_path: Path) -> None:
    server = Script(tmp_path / "made")
    with pytest.raises(ServerError, match="never started"):
        _ = server.port
    with server:
        assert server.running
        pids = [process.pid for process in server._processes]
        with pytest.raises(ServerError, match="started already"):
            server.start()
    assert not server.running
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(ServerError, match="not running"):
        server.pause()


def test_stopping_twice_or_before_the_start_is_no_error(tmp_path: Path) -> None:
    server = Script(tmp_path)
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_a_restart_keeps_the_ports(tmp_path: Path) -> None:
    with Script(tmp_path) as server:
        ports, pid = dict(server._ports), server.pid
        server.restart()
        assert server._ports == ports
        assert server.pid != pid


def test_a_killed_server_can_be_started_again(tmp_path: Path) -> None:
    with Script(tmp_path) as server:
        server.kill()
        assert not server.running
        server.start()
        assert server.running


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    class Broken(Script):
        script = "echo the reason; exit 3"

    with pytest.raises(ServerError, match=r"(?s)ended with status 3.*the reason"):
        Broken(tmp_path).start()


def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    class Mute(Script):
        script = "echo $$ > pid; exec sleep 1000"

        def _answers(self) -> bool:
            # Bounded by its own first words, not by how fast this machine is.
            if (self.directory / "pid").exists():
                self._start_timeout = 0
            return False

    server = Mute(tmp_path, start_timeout=0.2)
    with pytest.raises(ServerError, match=r"did not answer within"):
        server.start()
    assert not server._processes


def test_a_server_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    class Deaf(Script):
        # The shell stays, since it has a trap.
        script = "trap '' TERM; touch up; sleep 1000; true"

    server = Deaf(tmp_path, stop_timeout=0.01)
    server.start()
    group = server.pid
    server.stop()
    assert not alive(group)
    # What the script itself started is not the server's helper: this test ends it.
    os.killpg(group, signal.SIGKILL)


def test_a_paused_server_stands_still_and_goes_on(tmp_path: Path) -> None:
    with Script(tmp_path) as server:
        server.pause()
        stopped = os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)
        assert stopped is not None
        assert stopped.si_status == signal.SIGSTOP
        server.resume()
        assert os.waitid(os.P_PID, server.pid, os.WCONTINUED | os.WNOWAIT) is not None


def test_a_paused_server_can_be_stopped(tmp_path: Path) -> None:
    server = Script(tmp_path)
    server.start()
    server.pause()
    server.stop()
    assert not server.running


def test_a_port_that_somebody_took_first_is_left_to_them(tmp_path: Path) -> None:
    class Unlucky(Script):
        script = (
            "if [ -e tried ]; then touch up; exec sleep 1000; fi\n"
            "touch tried; echo bind: Address already in use; exit 1"
        )

    with Unlucky(tmp_path) as server:
        assert server.running


def test_nothing_is_left_behind_when_we_are_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = (
        "import os, signal, sys\n"
        "from vumi.tests.test_local_server import Script\n"
        f"Script.script = 'touch up; exec sleep 1000 > {fifo}'\n"
        "server = Script(sys.argv[1])\n"
        "server.start()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env=os.environ | {"PYTHONPATH": str(root)}
    )
    # The end of the file comes when the last process that could write is gone.
    assert fifo.read_bytes() == b""
    assert child.wait() == -signal.SIGKILL


def test_a_free_port_is_free() -> None:
    with socket.create_server((LOOPBACK, free_port())) as listening:
        assert listening.getsockname()[1] in local_server._PORTS


class Helped(Script):
    """It needs a helper first, a program that listens on the second port."""

    helper = "import socket, time; s = socket.create_server(('127.0.0.1', {})); time.sleep(1000)"

    def _helpers(self) -> Sequence[tuple[Sequence[Path | str], int]]:
        port = self._port("other")
        return [([sys.executable, "-c", self.helper.format(port)], port)]


def test_helpers_listen_before_the_server_starts_and_end_with_it(tmp_path: Path) -> None:
    class Eager(Helped):
        def _command(self) -> Sequence[Path | str]:
            socket.create_connection((LOOPBACK, self._port("other"))).close()
            return super()._command()

    server = Eager(tmp_path)
    with server:
        pids = [process.pid for process in server._processes]
        assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_helper_that_ends_is_a_failed_start(tmp_path: Path) -> None:
    class Broken(Helped):
        helper = "exit('no {}')"

    with pytest.raises(ServerError, match=r"(?s)ended with status 1.*no \d+"):
        Broken(tmp_path).start()


# Servers that are missing


class Missing(Script):
    """A server that this machine does not have."""

    @classmethod
    def missing(cls) -> str:
        return local_server.not_installed(cls, "script-server")


MISSING = "script-server is not installed.*apt-get install script-server"


def test_a_missing_server_says_what_to_install(tmp_path: Path) -> None:
    assert not Missing.available()
    assert Script.available()
    with pytest.raises(ServerError, match=MISSING):
        Missing(tmp_path).start()


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_on_a_laptop_a_missing_server_skips_the_test(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("VUMI_TEST_REQUIRE_SERVERS", value)
    with pytest.raises(unittest.SkipTest, match=MISSING):
        require(Missing)
    require(Script)


@pytest.mark.parametrize("name", ["CI", "VUMI_TEST_REQUIRE_SERVERS"])
def test_where_servers_are_required_a_missing_one_fails_the_test(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv(name, "1")
    with pytest.raises(AssertionError, match=MISSING):
        require(Missing)
    require(Script)


# Servers that somebody else runs


def test_an_external_rabbitmq_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VUMI_TEST_RABBITMQ_URL", "amqp://u:p@h:1/%2Fv")
    server = servers.shared_rabbitmq()
    assert isinstance(server, ExternalRabbitMQ)
    assert server.url() == "amqp://u:p@h:1/%2Fv"
    assert server.url("a/b") == "amqp://u:p@h:1/a%2Fb"
    with pytest.raises(unittest.SkipTest, match="not ours"):
        server.add_vhost("x")


def test_an_external_redis_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VUMI_TEST_REDIS_URL", "redis://h:1/5")
    server = servers.shared_redis()
    assert isinstance(server, ExternalRedis)
    assert server.url() == "redis://h:1/5"
    assert server.url(7) == "redis://h:1/7"


def test_an_external_postgresql_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VUMI_TEST_POSTGRES_URL", "postgresql://u:p@h:1/base?sslmode=require")
    server = servers.shared_postgres()
    assert isinstance(server, ExternalPostgres)
    assert server.url() == "postgresql://u:p@h:1/base?sslmode=require"
    assert server.url("a/b") == "postgresql://u:p@h:1/a%2Fb?sslmode=require"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (certificates, ["TLSFiles", "make_test_certificates"]),
        (local_server, ["LocalServer", "ServerError", "find_program", "free_port"]),
        (postgres_server, ["PostgresServer"]),
        (rabbitmq_server, ["DEFAULT_VHOST", "RabbitMQServer"]),
        (redis_server, ["RedisServer"]),
    ],
)
def test_the_servers_module_gives_the_same_objects(module: object, names: list[str]) -> None:
    for name in names:
        assert getattr(servers, name) is getattr(module, name)
