"""What happens when a real Redis is away, stuck, kills connections or does not let us in.

That nothing takes longer than its bound shows in the tests' own timeouts: they are short.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import redis
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vumi.errors import StoreError, StoreUnavailable
from vumi.persist.config import TEST_DB_VARIABLE
from vumi.persist.redis_manager import RedisManager
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tests.local_server import ask
from vumi.tests.servers import RedisServer, SentinelServer, free_port, make_test_certificates
from vumi.tests.servers import require as require_server
from vumi.tests.utils import LogCatcher

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

PASSWORD = "s3cret@/:pass word"

E = TypeVar("E", bound=Exception)


class OutageCase(TestCase):
    """A test with Redis servers of its own."""

    timeout = 30

    def setUp(self) -> None:
        without = {key: text for key, text in os.environ.items() if key != TEST_DB_VARIABLE}
        self.patch(os, "environ", without)

    def server(self, **options: Any) -> RedisServer:
        require_server(RedisServer)
        server = RedisServer(self.mktemp(), **options)
        server.start()
        self.addCleanup(server.stop)
        return server

    async def manager(self, server: RedisServer | SentinelServer, **options: Any) -> Any:
        options = {"url": server.url(), "key_prefix": "p", "timeout": 10} | options
        manager = await TxRedisManager.from_config(options)
        self.addCleanup(manager.close_manager)
        return manager

    def blocking_manager(self, server: RedisServer | SentinelServer, **options: Any) -> Any:
        options = {"url": server.url(), "key_prefix": "p", "timeout": 10} | options
        manager = RedisManager.from_config(options)
        self.addCleanup(manager.close_manager)
        return manager

    async def failing(self, result: Any, error_type: type[E]) -> E:
        """The error that a Deferred fails with."""
        try:
            value = await result
        except error_type as error:
            return error
        raise AssertionError(f"it did not fail, but gave {value!r}")

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(reactor, 0.01)

    def link(self, manager: Any) -> Any:
        return manager._store._link


class AwayTests(OutageCase):
    """Redis is not there."""

    async def test_what_is_asked_while_redis_is_away_is_done_when_it_is_back(self) -> None:
        server = self.server(persistent=True)
        manager = await self.manager(server)
        await manager.set("n", 41)
        with LogCatcher(message="Redis") as catcher:
            server.stop()
            await self.until(lambda: self.link(manager) is None)
            results = [manager.incr("n"), manager.get("n"), manager.rpush("l", "x")]
            server.start()
            self.assertEqual(await gatherResults(results), [42, "42", 1])
        messages = catcher.messages()
        assert any("lost: " in text and "Next try in" in text for text in messages), messages
        assert any("Connected to Redis at 127.0.0.1" in text for text in messages), messages

    async def test_a_redis_that_loads_its_data_is_waited_for(self) -> None:
        server = self.server(load_delay=500)
        manager = await self.manager(server)
        await manager.set("n", 41)
        admin = redis.Redis.from_url(server.url())
        self.addCleanup(admin.close)
        with admin.pipeline(transaction=False) as pipeline:
            for number in range(5000):
                pipeline.set(f"key-{number}", number)
            pipeline.execute()
        admin.save()
        server.stop()
        await self.until(lambda: self.link(manager) is None)
        waiting = manager.incr("n")
        starting = deferToThread(server.start)
        await self.until(lambda: self.is_loading(server))
        new = await self.manager(server)
        self.assertEqual(await waiting, 42)
        self.assertEqual(await new.get("n"), "42")
        await starting

    def is_loading(self, server: RedisServer) -> bool:
        answer = ask(server.port, b"PING\r\n", b"-LOADING", b"+PONG")
        assert b"+PONG" not in answer, "Redis had loaded its data before this was seen."
        return b"-LOADING" in answer

    async def test_what_waits_too_long_fails_and_tells_where_and_what_to_do(self) -> None:
        server = self.server(password=PASSWORD)
        manager = await self.manager(server, timeout=0.8)
        server.stop()
        await self.until(lambda: self.link(manager) is None)
        error = await self.failing(manager.incr("n"), StoreUnavailable)
        for words in (
            f"127.0.0.1:{server.port}",
            "INCRBY",
            "refused",
            "0.8 s",
            "Is Redis running",
        ):
            assert words in str(error), error
        assert PASSWORD not in repr(error)
        assert not error.maybe_executed

    async def test_it_goes_on_after_a_failure(self) -> None:
        server = self.server()
        manager = await self.manager(server, timeout=0.3)
        server.stop()
        await self.failing(manager.get("key"), StoreUnavailable)
        server.start()
        await self.until(lambda: self.link(manager) is not None)
        self.assertEqual(await manager.set("key", "x"), True)

    async def test_starting_waits_for_redis(self) -> None:
        server = self.server()
        server.stop()
        with LogCatcher(message="not made: .*refused.*Next try in"):
            connecting = self.manager(server)
            waiting = Deferred.fromCoroutine(connecting)
            await deferLater(reactor, 0.2)
            self.assertNoResult(waiting)
            server.start()
            manager = await waiting
        self.assertEqual(await manager.set("key", "x"), True)

    async def test_starting_gives_up_and_tells_why(self) -> None:
        port = free_port()
        connecting = TxRedisManager.from_config({"port": port, "connect_timeout": 0.8})
        error = await self.failing(connecting, StoreUnavailable)
        for words in (f"127.0.0.1:{port}", "refused", "Connecting was given up after 0.8 s"):
            assert words in str(error), error

    async def test_starting_can_be_given_up_from_outside(self) -> None:
        for delay in (0, 0.15):
            connecting = TxRedisManager.from_config({"port": free_port()})
            await deferLater(reactor, delay)
            connecting.cancel()
            await self.failing(connecting, Exception)

    async def test_a_host_that_nobody_knows(self) -> None:
        connecting = TxRedisManager.from_config(
            {"host": "redis.invalid", "connect_timeout": 0.3, "timeout": 0.3}
        )
        error = await self.failing(connecting, StoreUnavailable)
        assert "redis.invalid:6379" in str(error)

    async def test_closing_while_redis_is_away_fails_what_waits(self) -> None:
        server = self.server()
        manager = await self.manager(server)
        server.stop()
        await self.until(lambda: self.link(manager) is None)
        waiting = manager.get("key")
        both = gatherResults([manager.close_manager(), manager._close()])
        error = await self.failing(waiting, StoreError)
        assert "closed" in str(error)
        await both

    async def test_the_blocking_manager_waits_and_gives_up(self) -> None:
        server = self.server()
        manager = self.blocking_manager(server)
        manager.set("n", 1)
        server.stop()
        waiting = deferToThread(manager.incr, "n")
        await deferLater(reactor, 0.3)
        server.start()
        self.assertEqual(await waiting, 1)
        server.stop()
        manager = self.blocking_manager(server, timeout=0.3)
        with self.assertRaises(StoreUnavailable) as caught:
            manager.get("key")
        assert f"127.0.0.1:{server.port}" in str(caught.exception)


class StuckTests(OutageCase):
    """Redis is there, and says nothing."""

    async def test_nothing_waits_longer_than_the_timeout(self) -> None:
        server = self.server()
        manager = await self.manager(server, timeout=0.5)
        await manager.set("n", 1)
        server.pause()
        self.addCleanup(server.resume)
        reading, counting = manager.get("n"), manager.incr("n")
        error = await self.failing(reading, StoreUnavailable)
        assert "did not answer GET within 0.5 s" in str(error)
        assert not error.maybe_executed
        error = await self.failing(counting, StoreUnavailable)
        assert "did not answer INCRBY" in str(error)
        assert error.maybe_executed
        # The link has gone, and a new one is not taken for good before it answers.
        await self.until(lambda: self.link(manager) is None)
        error = await self.failing(manager.get("n"), StoreUnavailable)
        server.resume()
        await self.until(lambda: self.link(manager) is not None)
        assert await manager.get("n") in ("1", "2")

    async def test_a_short_pause_is_waited_for(self) -> None:
        server = self.server()
        manager = await self.manager(server)
        link = self.link(manager)
        server.pause()
        results = gatherResults([manager.incr("n"), manager.incr("n"), manager.get("n")])
        await deferLater(reactor, 0.2)
        self.assertNoResult(results)
        server.resume()
        self.assertEqual(await results, [1, 2, "2"])
        assert self.link(manager) is link

    async def test_starting_at_something_that_says_nothing(self) -> None:
        protocols: list[Protocol] = []

        class Silent(Protocol):
            def connectionMade(self) -> None:
                protocols.append(self)

        port = self.listen(Silent)
        connecting = TxRedisManager.from_config(
            {"port": port, "timeout": 0.2, "connect_timeout": 0.5}
        )
        error = await self.failing(connecting, StoreUnavailable)
        assert "did not answer within 0.2 s" in str(error)
        assert len(protocols) > 1

    async def test_starting_at_something_that_is_no_redis(self) -> None:
        class Babble(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b"220 mail.example.com ESMTP ready\r\n")
                self.transport.loseConnection()

        port = self.listen(Babble)
        connecting = TxRedisManager.from_config({"port": port, "connect_timeout": 0.8})
        await self.failing(connecting, StoreUnavailable)

    def listen(self, protocol: type[Protocol]) -> int:
        factory: Any = Factory.forProtocol(protocol)
        factory.noisy = False
        listening: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        port: int = listening.getHost().port
        return port

    async def test_closing_does_not_wait_for_ever(self) -> None:
        self.patch_close_seconds(0.2)
        server = self.server()
        manager = await self.manager(server)
        server.pause()
        self.addCleanup(server.resume)
        counting, reading = manager.incr("n"), manager.get("n")
        await manager.close_manager()
        error = await self.failing(counting, StoreUnavailable)
        assert error.maybe_executed
        await self.failing(reading, StoreError)

    def patch_close_seconds(self, seconds: float) -> None:
        import vumi.persist.txredis_client

        self.patch(vumi.persist.txredis_client, "CLOSE_SECONDS", seconds)

    async def test_the_blocking_manager_gives_up(self) -> None:
        server = self.server()
        for command, may_have_been_executed in (("get", False), ("incr", True)):
            manager = self.blocking_manager(server, timeout=0.3)
            manager.set("n", 1)
            server.pause()
            with self.assertRaises(StoreUnavailable) as caught:
                getattr(manager, command)("n")
            error = caught.exception
            self.assertEqual(error.maybe_executed, may_have_been_executed)
            assert "did not answer" in str(error), error
            # Now there is a connection, as far as the system goes, but no handshake.
            with self.assertRaises(StoreUnavailable) as caught:
                getattr(manager, command)("n")
            assert "can't be reached" in str(caught.exception), caught.exception
            server.resume()
            assert manager.get("n") in ("1", "2")


class LostConnectionTests(OutageCase):
    """The connection is lost, with and without something under way."""

    async def test_an_idle_connection_that_was_killed_is_made_again(self) -> None:
        server = self.server()
        manager = await self.manager(server)
        killer = self.blocking_manager(server)
        link = self.link(manager)
        killer._store.execute([b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"])
        self.assertEqual(await manager.set("key", "x"), True)
        await self.until(lambda: self.link(manager) not in (link, None))
        self.assertEqual(await manager.incr("n"), 1)

    async def test_in_flight_what_may_be_repeated_is_and_the_rest_fails(self) -> None:
        server = self.server(persistent=True)
        manager = await self.manager(server)
        await manager.set("key", "x")
        script = manager.script("return redis.call('GET', KEYS[1])", repeatable=True)
        once = manager.script("return redis.call('INCR', KEYS[1])")
        await script(["key"])
        await once(["n"])
        server.pause()
        repeated = [
            manager.get("key"),
            manager.set("other", "y"),
            manager.hmset("h", {"f": "1"}),
            script(["key"]),
            manager.get("other"),
        ]
        failing = [
            manager.incr("n"),
            manager.rpush("l", "x"),
            manager.spop("s"),
            manager.setnx("lock", "x"),
            manager.delete("key"),
            once(["n"]),
        ]
        server.kill()
        for result in failing:
            error = await self.failing(result, StoreUnavailable)
            assert error.maybe_executed
            assert "may have been executed" in str(error)
        server.start()
        self.assertEqual(await gatherResults(repeated), ["x", True, True, "x", "y"])
        self.assertEqual(await manager.get("n"), "1")

    async def test_commands_stay_in_order(self) -> None:
        server = self.server()
        manager = await self.manager(server)
        server.stop()
        await self.until(lambda: self.link(manager) is None)
        results = [manager.rpush("l", number) for number in range(100)]
        server.start()
        self.assertEqual(await gatherResults(results), list(range(1, 101)))
        self.assertEqual(await manager.lrange("l", 0, -1), [str(n) for n in range(100)])

    async def test_closing_finishes_what_is_in_flight(self) -> None:
        server = self.server()
        manager = await self.manager(server)
        results = [manager.incr("n") for _ in range(10)]
        await manager.close_manager()
        self.assertEqual([self.successResultOf(result) for result in results], list(range(1, 11)))

    async def test_closing_may_be_done_from_any_callback(self) -> None:
        server = self.server()
        manager = await self.manager(server)
        self.assertEqual(await manager.set("key", "x"), True)
        await manager.get("key").addCallback(lambda _: manager.close_manager())
        manager = await self.manager(server)
        server.pause()
        counting = manager.incr("n")
        counting.addErrback(lambda _: manager.close_manager())
        server.kill()
        await counting

    async def test_scripts_are_sent_again_to_a_redis_that_has_forgotten_them(self) -> None:
        server = self.server()
        manager = await self.manager(server)
        blocking = self.blocking_manager(server)
        scripts = [one.script("return ARGV[1]") for one in (manager, blocking)]
        for text in ("a", "b"):
            self.assertEqual(await scripts[0]([], [text]), text)
            self.assertEqual(scripts[1]([], [text]), text)
            blocking._store.execute([b"SCRIPT", b"FLUSH"])

    async def test_the_blocking_manager_repeats_what_it_may(self) -> None:
        server = self.server(persistent=True)
        manager = self.blocking_manager(server)
        manager.set("n", 1)
        for command, expected in (("get", "1"), ("incr", None)):
            server.pause()
            result = deferToThread(getattr(manager, command), "n")
            await deferLater(reactor, 0.2)
            server.kill()
            server.start()
            if expected is None:
                error = await self.failing(result, StoreUnavailable)
                assert error.maybe_executed
                assert "may have been executed" in str(error)
            else:
                self.assertEqual(await result, expected)
        self.assertEqual(manager.get("n"), "1")


class LoginTests(OutageCase):
    """Redis lets nobody in who may not."""

    async def test_the_password_is_used(self) -> None:
        server = self.server(password=PASSWORD)
        for options in (
            {"url": server.url()},
            {"url": f"redis://127.0.0.1:{server.port}", "password": PASSWORD},
            {"host": "127.0.0.1", "port": server.port, "password": PASSWORD},
            {"port": server.port, "password": PASSWORD, "username": "default", "db": 3},
        ):
            manager = await TxRedisManager.from_config(options)
            self.addCleanup(manager.close_manager)
            self.assertEqual(await manager.set("key", "x"), True)
            blocking = RedisManager.from_config(options)
            self.assertEqual(blocking.get("key"), "x")
            blocking.delete("key")
            blocking.close_manager()

    async def test_a_wrong_password_or_database_is_told_at_once(self) -> None:
        server = self.server(password=PASSWORD)
        open_server = self.server()
        for options, words in (
            ({"port": server.port, "password": "wr0ng-s3cret"}, "password"),
            ({"port": server.port}, "password"),
            ({"port": server.port, "username": "bob", "password": "wr0ng-s3cret"}, "username"),
            ({"port": open_server.port, "password": "wr0ng-s3cret"}, "password"),
            ({"port": open_server.port, "db": 99}, "db of redis_manager"),
        ):
            with LogCatcher() as catcher:
                error = await self.failing(
                    TxRedisManager.from_config({"connect_timeout": 20, **options}), StoreError
                )
                blocking = RedisManager.from_config(options)
                with self.assertRaises(StoreError) as caught:
                    blocking.get("key")
                blocking.close_manager()
            for text in (str(error), str(caught.exception)):
                assert f"127.0.0.1:{options['port']} refused us" in text
                assert words in text, text
            told = [str(error), str(caught.exception), *catcher.messages()]
            assert not any("wr0ng" in text for text in told), told

    async def test_a_password_that_was_changed_is_told_by_what_waits(self) -> None:
        server = self.server()
        manager = await self.manager(server, timeout=0.5)
        admin = self.blocking_manager(server)
        admin._store.execute([b"CONFIG", b"SET", b"requirepass", b"new"])
        admin._store.execute([b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"])
        await self.until(lambda: self.link(manager) is None)
        error = await self.failing(manager.get("key"), StoreUnavailable)
        assert "Authentication required" in str(error)
        admin._store.execute([b"CONFIG", b"SET", b"requirepass", b""])
        await self.until(lambda: self.link(manager) is not None)
        self.assertEqual(await manager.set("key", "x"), True)


class TLSTests(OutageCase):
    """Redis behind TLS."""

    async def test_tls_with_certificates_on_both_sides(self) -> None:
        files = make_test_certificates(self.mktemp())
        server = self.server(password=PASSWORD, tls=files, require_client_certificate=True)
        url = (
            f"{server.url(db=2, tls=True)}?ca_certs={files.ca_certificate}"
            f"&certfile={files.client_certificate}&keyfile={files.client_key}"
        )
        for more in ("", "&server_name=localhost"):
            manager = await TxRedisManager.from_config({"url": url + more})
            self.addCleanup(manager.close_manager)
            self.assertEqual(await manager.set("key", "x"), True)
            under_tls = self.link(manager).transport.transport.getHandle()
            assert under_tls.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            blocking = RedisManager.from_config({"url": url + more})
            self.addCleanup(blocking.close_manager)
            self.assertEqual(blocking.get("key"), "x")

    async def test_a_certificate_that_nobody_vouches_for_is_refused(self) -> None:
        files = make_test_certificates(self.mktemp())
        others = make_test_certificates(self.mktemp())
        server = self.server(tls=files)
        for options in (
            f"ca_certs={others.ca_certificate}",
            f"ca_certs={files.ca_certificate}&server_name=redis.example.com",
        ):
            url = f"{server.url(tls=True)}?{options}"
            config = {"url": url, "connect_timeout": 0.5, "timeout": 0.5}
            error = await self.failing(TxRedisManager.from_config(config), StoreUnavailable)
            assert "certificate" in str(error), error
            blocking = RedisManager.from_config(config)
            with self.assertRaises(StoreUnavailable) as caught:
                blocking.get("key")
            assert "certificate verify failed" in str(caught.exception), caught.exception


class SentinelTests(OutageCase):
    """Sentinels know where the master is."""

    timeout = 60

    async def watched(self) -> tuple[RedisServer, RedisServer, SentinelServer]:
        master = self.server()
        replica = self.server(replica_of=master)
        copied = self.blocking_manager(replica)
        await self.until(lambda: b"master_link_status:up" in self.replication(copied))
        sentinel = SentinelServer(self.mktemp(), master)
        sentinel.start()
        self.addCleanup(sentinel.stop)
        await self.until(sentinel.knows_replica)
        return master, replica, sentinel

    def replication(self, manager: Any) -> Any:
        return manager._store.execute([b"INFO", b"replication"])

    async def test_when_the_master_dies_another_one_is_used(self) -> None:
        master, replica, sentinel = await self.watched()
        manager = await self.manager(sentinel, timeout=30)
        blocking = self.blocking_manager(sentinel, timeout=30)
        assert "Sentinel, service mymaster" in repr(manager)
        await manager.set("n", 1)
        copied = self.blocking_manager(replica)
        await self.until(lambda: copied.get("n") == blocking.get("n"))
        master.kill()
        await self.until(lambda: self.link(manager) is None)
        self.assertEqual(await manager.incr("n"), 2)
        self.assertEqual(await manager.set("key", "x"), True)
        self.assertEqual(await deferToThread(blocking.get, "key"), "x")
        direct = self.blocking_manager(replica)
        self.assertEqual(direct.get("key"), "x")

    async def test_sentinels_that_do_not_answer_are_passed_over(self) -> None:
        _, _, sentinel = await self.watched()
        url = sentinel.url().replace("://", f"://127.0.0.1:{free_port()},")
        manager = await TxRedisManager.from_config({"url": url})
        self.addCleanup(manager.close_manager)
        self.assertEqual(await manager.set("key", "x"), True)
        blocking = RedisManager.from_config({"url": url})
        self.addCleanup(blocking.close_manager)
        self.assertEqual(blocking.get("key"), "x")

    async def test_a_service_that_no_sentinel_knows(self) -> None:
        _, _, sentinel = await self.watched()
        url = sentinel.url().replace("/mymaster/", "/other/")
        config = {"url": url, "timeout": 0.5, "connect_timeout": 0.5}
        error = await self.failing(TxRedisManager.from_config(config), StoreUnavailable)
        assert "where the master of 'other' is" in str(error), error
        blocking = RedisManager.from_config(config)
        with self.assertRaises(StoreUnavailable) as caught:
            blocking.get("key")
        assert "where the master of 'other' is" in str(caught.exception), caught.exception

    async def test_a_master_that_becomes_a_replica_is_left(self) -> None:
        _, replica, sentinel = await self.watched()
        manager = await self.manager(sentinel, timeout=30)
        await manager.set("n", 1)
        link = self.link(manager)
        blocking = self.blocking_manager(sentinel, timeout=30)
        copied = self.blocking_manager(replica)
        await self.until(lambda: copied.get("n") == blocking.get("n"))
        admin = redis.Redis(port=sentinel.port)
        self.addCleanup(admin.close)
        await self.until(lambda: self.fails_over(admin))
        await self.until(lambda: self.link(manager) not in (link, None))
        self.assertEqual(await manager.incr("n"), 2)
        self.assertEqual(await deferToThread(blocking.get, "n"), "2")

    def fails_over(self, admin: redis.Redis) -> bool:
        try:
            admin.execute_command("SENTINEL", "FAILOVER", "mymaster")
        except redis.ResponseError:
            # The replica is not ready for it yet.
            return False
        return True
