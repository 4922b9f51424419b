"""The real servers that tests use, used once for real."""

from __future__ import annotations

import socket
import ssl
import tempfile
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pika
import psycopg
import pytest
import redis
from pika.exceptions import AMQPConnectionError

from vumi.tests.local_server import LOOPBACK, ask
from vumi.tests.servers import (
    PostgresServer,
    RabbitMQServer,
    RedisServer,
    ServerError,
    make_test_certificates,
    require,
    shared_postgres,
    shared_rabbitmq,
    shared_redis,
    stop_shared_servers,
)
from vumi.tests.test_local_server import alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.tests.local_server import LocalServer

pytestmark = pytest.mark.integration


def open_ports(ports: dict[str, int], address: str = LOOPBACK) -> list[str]:
    """The names of the ports on which something listens."""
    found = []
    for name, port in ports.items():
        with socket.socket() as connection:
            if connection.connect_ex((address, port)) == 0:
                found.append(name)
    return found


def connect(url: str) -> pika.BlockingConnection:
    """Open a blocking connection to RabbitMQ."""
    return pika.BlockingConnection(pika.URLParameters(url))


def stop_and_look(server: LocalServer) -> None:
    """Stop a server and check that nothing of it is left."""
    pids = [process.pid for process in server._processes]
    assert len(open_ports(server._ports)) == len(server._ports)
    server.stop()
    assert not any(alive(pid) for pid in pids)
    assert open_ports(server._ports) == []


# RabbitMQ


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """A node that tests of this module may stop, if they start it again."""
    require(RabbitMQServer)
    with RabbitMQServer(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


def test_rabbitmq_listens_on_its_own_address_only(rabbitmq: RabbitMQServer) -> None:
    assert open_ports(rabbitmq._ports) == ["amqp", "distribution", "epmd"]
    # Another address of this machine, which a server for all addresses would answer at.
    assert open_ports(rabbitmq._ports, "127.0.0.2") == []


def test_rabbitmq_has_the_default_user_and_vhost(rabbitmq: RabbitMQServer) -> None:
    assert rabbitmq.url() == f"amqp://vumi:vumi@127.0.0.1:{rabbitmq.port}/%2Fdevelop"
    connect(rabbitmq.url()).close()


def test_rabbitmq_makes_and_deletes_vhosts(rabbitmq: RabbitMQServer) -> None:
    name = "a 'name' with/ünusual \"characters\""
    url = rabbitmq.add_vhost(name)
    connection = connect(url)
    assert name in rabbitmq.rabbitmqctl("list_vhosts", "--quiet", "name").splitlines()
    rabbitmq.delete_vhost(name)
    with pytest.raises(AMQPConnectionError):
        connection.channel()
    with pytest.raises(AMQPConnectionError):
        connect(url)
    with pytest.raises(ServerError, match="no_such_vhost"):
        rabbitmq.delete_vhost(name)


def test_rabbitmqctl_that_fails_says_what_it_said(rabbitmq: RabbitMQServer) -> None:
    with pytest.raises(ServerError, match=r"rabbitmqctl failed.*nobody"):
        rabbitmq.rabbitmqctl("delete_user", "nobody")


def test_rabbitmq_keeps_messages_over_a_restart_and_a_kill(rabbitmq: RabbitMQServer) -> None:
    with connect(rabbitmq.url()) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", "kept", b"hello", pika.BasicProperties(delivery_mode=2))
    port = rabbitmq.port
    rabbitmq.restart()
    assert rabbitmq.port == port
    with connect(rabbitmq.url()) as connection:
        _, _, body = connection.channel().basic_get("kept")
        assert body == b"hello"
    rabbitmq.kill()
    with pytest.raises(AMQPConnectionError):
        connect(rabbitmq.url())
    rabbitmq.start()
    with connect(rabbitmq.url()) as connection:
        _, _, body = connection.channel().basic_get("kept", auto_ack=True)
        assert body == b"hello"


def test_rabbitmq_blocks_publishers_while_its_memory_is_full(rabbitmq: RabbitMQServer) -> None:
    seen: list[str] = []
    with connect(rabbitmq.url()) as connection:
        connection.add_on_connection_blocked_callback(lambda *_: seen.append("blocked"))
        connection.add_on_connection_unblocked_callback(lambda *_: seen.append("unblocked"))
        rabbitmq.node_memory_alarm(True)
        channel = connection.channel()
        channel.queue_declare("blocked", exclusive=True)
        # Only a connection that publishes is told.
        channel.basic_publish("", "blocked", b"hello")
        while not seen:
            connection.process_data_events(None)
        rabbitmq.node_memory_alarm(False)
        while len(seen) < 2:
            connection.process_data_events(None)
    assert seen == ["blocked", "unblocked"]


def test_a_stopped_rabbitmq_leaves_nothing(rabbitmq: RabbitMQServer) -> None:
    stop_and_look(rabbitmq)
    rabbitmq.start()


def test_rabbitmq_with_management_and_tls(tmp_path: Path) -> None:
    require(RabbitMQServer)
    files = make_test_certificates(tmp_path)
    server = RabbitMQServer(
        tmp_path / "node",
        plugins=["rabbitmq_management"],
        tls=files,
        require_client_certificate=True,
    )
    with server:
        page = f"http://{LOOPBACK}:{server.management_port}/"
        with urllib.request.urlopen(page) as answer:
            assert answer.status == 200
        context = ssl.create_default_context(cafile=str(files.ca_certificate))
        with (
            pytest.raises(ssl.SSLError, match="certificate required"),
            socket.create_connection((LOOPBACK, server.tls_port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.recv(1)
        parameters = pika.URLParameters(server.url(tls=True))
        parameters.ssl_options = pika.SSLOptions(context, "localhost")
        context.load_cert_chain(files.client_certificate, files.client_key)
        pika.BlockingConnection(parameters).close()


# Redis


def test_redis_answers_with_and_without_tls(tmp_path: Path) -> None:
    require(RedisServer)
    files = make_test_certificates(tmp_path)
    with RedisServer(tmp_path / "redis", password='a "pass" \\word', tls=files) as server:
        with redis.Redis.from_url(server.url()) as client:
            assert client.ping()
        with redis.Redis.from_url(
            server.url(3, tls=True), ssl_ca_certs=str(files.ca_certificate)
        ) as client:
            assert client.ping()
        assert ask(server.port, b"PING\r\n", b"\r\n").startswith(b"-NOAUTH")
        stop_and_look(server)


@pytest.mark.parametrize(("persistent", "found"), [(True, b"value"), (False, None)])
def test_redis_keeps_keys_over_a_kill_if_asked(
    tmp_path: Path, persistent: bool, found: bytes | None
) -> None:
    require(RedisServer)
    with RedisServer(tmp_path, persistent=persistent) as server:
        with redis.Redis.from_url(server.url()) as client:
            client.set("key", "value")
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url()) as client:
            assert client.get("key") == found


# PostgreSQL


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server that tests of this module may stop, if they start it again."""
    require(PostgresServer)
    # Not pytest's folder: a server that root starts runs as a user who can't get in there.
    with (
        tempfile.TemporaryDirectory(prefix="vumi-postgresql-") as directory,
        PostgresServer(directory) as server,
    ):
        yield server


def test_postgresql_listens_on_its_own_address_only(postgres: PostgresServer) -> None:
    assert open_ports(postgres._ports) == ["postgresql"]
    assert open_ports(postgres._ports, "127.0.0.2") == []


def test_postgresql_asks_for_its_password(postgres: PostgresServer) -> None:
    url = postgres.url().replace("@", "wrong@", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_postgresql_does_not_run_as_root(postgres: PostgresServer) -> None:
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0


def test_postgresql_keeps_rows_over_a_restart_and_a_kill(postgres: PostgresServer) -> None:
    port = postgres.port
    with psycopg.connect(postgres.url()) as connection:
        connection.execute("CREATE TABLE kept (name text)")
    for number, end in enumerate((postgres.stop, postgres.kill), 1):
        with psycopg.connect(postgres.url()) as connection:
            connection.execute("INSERT INTO kept VALUES ('row')")
        end()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres.url())
        postgres.start()
        assert postgres.port == port
        with psycopg.connect(postgres.url()) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (number,)


def test_a_stopped_postgresql_leaves_nothing_though_clients_are_connected(
    postgres: PostgresServer,
) -> None:
    with psycopg.connect(postgres.url()):
        stop_and_look(postgres)
    postgres.start()


# The shared ones


def test_tests_share_one_postgresql() -> None:
    server = shared_postgres()
    assert shared_postgres().url() == server.url()
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_tests_share_one_rabbitmq() -> None:
    server = shared_rabbitmq()
    assert shared_rabbitmq().url() == server.url()
    name = f"shared-{uuid.uuid4().hex}"
    connect(server.add_vhost(name)).close()
    server.delete_vhost(name)


def test_a_shared_server_that_was_stopped_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    require(RedisServer)
    monkeypatch.delenv("VUMI_TEST_REDIS_URL", raising=False)
    monkeypatch.setattr("vumi.tests.servers._shared", type(_shared())())
    first = shared_redis()
    assert isinstance(first, RedisServer)
    assert shared_redis() is first
    stop_shared_servers()
    assert not first.running
    assert not first.directory.exists()
    second = shared_redis()
    assert second is not first
    with redis.Redis.from_url(second.url()) as client:
        assert client.ping()
    stop_shared_servers()


def _shared() -> object:
    from vumi.tests import servers

    return servers._shared
