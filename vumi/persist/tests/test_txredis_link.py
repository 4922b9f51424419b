"""One connection: the login, and what Redis says that is no reply to keep.

The server is made up, as a real one says these things only in rare moments.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from txredisapi import RedisProtocol

from vumi.errors import StoreError, StoreUnavailable
from vumi.persist.address import Login, RedisAddress
from vumi.persist.blocking import BlockingRedis
from vumi.persist.interface import ResponseError
from vumi.persist.outages import Refused
from vumi.persist.txredis_command import Command
from vumi.persist.txredis_link import Link, connect_link

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Answer = Callable[[Sequence[bytes]], bytes]

OK = b"+OK\r\n"
PONG = b"+PONG\r\n"


class ReplyTests(TestCase):
    """What is made of what comes."""

    def setUp(self) -> None:
        self.clock = Clock()

    def link(self) -> Link:
        link = Link(self.clock, 5, "there:6379")
        self.transport = StringTransport()
        link.makeConnection(self.transport)
        return link

    def sent(self, link: Link, name: bytes = b"INCR") -> Command:
        command = Command([name, b"key"], deadline=10)
        link.send(command)
        return command

    async def test_replies_of_all_kinds(self) -> None:
        for received, reply in (
            (b"+OK\r\n", "OK"),
            (b":7\r\n", 7),
            (b":-1\r\n", -1),
            (b"$-1\r\n", None),
            (b"$0\r\n\r\n", b""),
            (b"$4\r\n0012\r\n", b"0012"),
            (b"$6\r\nQUEUED\r\n", b"QUEUED"),
            (b"$2\r\n\xff\xfe\r\n", b"\xff\xfe"),
            (b"*0\r\n", []),
            (b"*-1\r\n", None),
            (b"*3\r\n:1\r\n$1\r\nx\r\n$-1\r\n", [1, b"x", None]),
            (b"*2\r\n*1\r\n$1\r\nx\r\n*0\r\n", [[b"x"], []]),
        ):
            link = self.link()
            command = self.sent(link)
            link.dataReceived(received)
            given = await command.result
            # A status is a text or bytes, as the parser likes.
            self.assertEqual(given.decode() if given == b"OK" else given, reply)

    def test_an_error_is_an_error_with_redis_own_words(self) -> None:
        for received, code, text in (
            (b"-ERR no such key\r\n", "ERR", "no such key"),
            (b"-WRONGTYPE Operation against\r\n", "WRONGTYPE", "WRONGTYPE Operation against"),
            (b"-NOSCRIPT No matching script\r\n", "NOSCRIPT", "NOSCRIPT No matching script"),
        ):
            link = self.link()
            command = self.sent(link)
            link.dataReceived(received)
            error = self.failureResultOf(command.result, ResponseError).value
            assert isinstance(error, ResponseError)
            self.assertEqual((error.code, str(error)), (code, text))
            self.assertEqual(self.transport.disconnecting, False)

    def test_what_redis_does_not_do_now_is_put_off_and_the_connection_given_up(self) -> None:
        link = self.link()
        commands = [self.sent(link) for _ in range(3)]
        link.dataReceived(b"-READONLY You can't\r\n")
        # Those that are in flight are waited for: whether they were executed is known then.
        assert not self.transport.disconnecting
        link.dataReceived(b":7\r\n")
        link.dataReceived(b"-LOADING Redis is loading\r\n")
        self.assertEqual(link.put_off, [commands[0], commands[2]])
        self.assertEqual(self.successResultOf(commands[1].result), 7)
        self.assertNoResult(commands[0].result)
        assert self.transport.disconnecting

    def test_what_redis_can_not_do_for_now_makes_the_store_unavailable(self) -> None:
        for said in (
            b"-OOM command not allowed when used memory > 'maxmemory'.",
            b"-MISCONF Redis is configured to save RDB snapshots, but can't",
            b"-NOREPLICAS Not enough good replicas to write.",
            b"-CLUSTERDOWN The cluster is down",
            b"-TRYAGAIN Multiple keys request during rehashing of slot",
            b"-BUSY Redis is busy running a script.",
            b"-ERR max number of clients reached",
            # As Redis 6 tells it of a script.
            b"-ERR Error running script (call to f_6b): @user_script:1: @user_script: 1: "
            b"-OOM command not allowed when used memory > 'maxmemory'. ",
        ):
            link = self.link()
            command = self.sent(link)
            link.dataReceived(said + b"\r\n")
            error = self.failureResultOf(command.result, StoreUnavailable).value
            assert "Redis at there:6379 does not execute INCR for now" in str(error)
            assert isinstance(error, StoreUnavailable)
            assert not error.maybe_executed
            # The connection is as good as another.
            assert not self.transport.disconnecting

    def test_what_was_not_asked_for_ends_the_connection_with_its_words(self) -> None:
        link = self.link()
        link.dataReceived(b"-ERR max number of clients reached\r\n")
        link.connectionLost(self.closed())
        assert "max number of clients" in str(self.successResultOf(link.lost))

    def closed(self) -> Any:
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        return Failure(ConnectionDone())

    def test_our_own_questions_die_with_the_connection(self) -> None:
        link = self.link()
        asked, command = link.ask(b"PING"), self.sent(link)
        link.connectionLost(self.closed())
        self.failureResultOf(asked, StoreUnavailable)
        self.assertNoResult(command.result)
        self.assertEqual(list(link.in_flight)[1:], [command])


class MadeUpServer(RedisProtocol):
    """Speaks Redis's protocol from the other side."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._answer = answer

    def connectionMade(self) -> None:
        """Wait for what is asked."""

    def replyReceived(self, reply: Any) -> None:
        self.transport.write(self._answer(reply))


class ConnectTests(TestCase):
    """Connecting to a made up server."""

    timeout = 10

    def serve(self, answer: Answer) -> tuple[str, int]:
        factory: Any = Factory.forProtocol(lambda: MadeUpServer(answer))
        factory.noisy = False
        listening: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        return "127.0.0.1", listening.getHost().port

    def answers(self, *given: bytes) -> tuple[list[Sequence[bytes]], Answer]:
        """An answer to each question in turn, and the questions."""
        to_give = list(given)
        asked: list[Sequence[bytes]] = []

        def answer(words: Sequence[bytes]) -> bytes:
            asked.append(words)
            return to_give.pop(0)

        return asked, answer

    async def connect(self, address: RedisAddress, seconds: float = 5) -> Link:
        link = await connect_link(address, reactor, seconds)

        def over() -> Any:
            link.abort()
            return link.lost

        self.addCleanup(over)
        return link

    async def failing(self, address: RedisAddress, seconds: float = 5) -> StoreError:
        try:
            await self.connect(address, seconds)
        except StoreError as error:
            return error
        raise AssertionError("connected")

    async def test_login_database_and_a_first_question(self) -> None:
        for login, db, expected in (
            (Login(), 0, [[b"PING"]]),
            (Login(None, "pw"), 0, [[b"AUTH", b"pw"], [b"PING"]]),
            (Login("me", "pw"), 2, [[b"AUTH", b"me", b"pw"], [b"SELECT", b"2"], [b"PING"]]),
        ):
            asked, answer = self.answers(*[OK] * (len(expected) - 1), PONG)
            await self.connect(RedisAddress((self.serve(answer),), db=db, login=login))
            self.assertEqual(asked, expected)

    async def test_the_system_sends_at_once_and_watches_for_a_dead_peer(self) -> None:
        _, answer = self.answers(PONG)
        link = await self.connect(RedisAddress((self.serve(answer),)), seconds=8)
        handle = link.transport.getHandle()
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            option = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            self.assertEqual(option, 4000)

    async def test_a_redis_that_loads_its_data_is_not_there_yet(self) -> None:
        for answers in ([b"-LOADING Redis is loading\r\n"], [OK, b"-LOADING Redis\r\n"]):
            _, answer = self.answers(*answers)
            db = len(answers) - 1
            error = await self.failing(RedisAddress((self.serve(answer),), db=db))
            assert "LOADING" in str(error)
            assert not isinstance(error, Refused)

    async def test_a_refusal_is_told_as_such(self) -> None:
        for said in (b"-NOAUTH Authentication required.\r\n", b"-NOPERM no permissions\r\n"):
            _, answer = self.answers(said)
            error = await self.failing(RedisAddress((self.serve(answer),)))
            assert isinstance(error, Refused)
            assert "username and password of redis_manager" in str(error)

    async def test_a_connection_that_is_closed_during_the_login(self) -> None:
        def hang_up(words: Sequence[bytes]) -> bytes:
            raise ConnectionAbortedError

        error = await self.failing(RedisAddress((self.serve(hang_up),)))
        self.flushLoggedErrors(ConnectionAbortedError)
        assert isinstance(error, StoreUnavailable)

    async def test_a_server_that_says_nothing_is_not_waited_for_long(self) -> None:
        _, answer = self.answers(b"")
        error = await self.failing(RedisAddress((self.serve(answer),)), seconds=0.1)
        assert "did not answer within 0.1 s" in str(error)

    # Who blocks

    async def test_a_blocking_client_too_asks_again_when_redis_has_loaded_its_data(self) -> None:
        asked, loaded = self.answers(b"-LOADING Redis is loading\r\n", b":7\r\n")
        host, port = self.serve(lambda words: loaded(words) if words[0] == b"INCR" else OK)
        client = BlockingRedis(RedisAddress(((host, port),)), timeout=5)
        self.addCleanup(client.close)
        self.assertEqual(await deferToThread(client.execute, [b"INCR", b"n"]), 7)
        self.assertEqual(asked, [[b"INCR", b"n"]] * 2)

    async def test_a_blocking_client_too_asks_again_what_redis_does_not_do_for_now(self) -> None:
        for said in (
            b"-READONLY You can't write against a read only replica.\r\n",
            b"-OOM command not allowed\r\n",
            b"-BUSY Redis is busy running a script.\r\n",
            b"-MASTERDOWN Link with MASTER is down\r\n",
        ):
            asked, answer = self.answers(said, OK)
            where = self.serve(
                lambda words, answer=answer: answer(words) if words[0] == b"SET" else OK  # type: ignore[misc]  # its own answer in each turn
            )
            client = BlockingRedis(RedisAddress((where,)), timeout=5)
            self.addCleanup(client.close)
            self.assertEqual(await deferToThread(client.execute, [b"SET", b"key", b"x"]), b"OK")
            self.assertEqual(len(asked), 2)

    async def test_a_blocking_client_gives_up_what_redis_does_not_do_in_time(self) -> None:
        where = self.serve(lambda words: b"-OOM command not allowed\r\n")
        client = BlockingRedis(RedisAddress((where,)), timeout=0.2)
        self.addCleanup(client.close)
        with self.assertRaisesRegex(StoreUnavailable, "does not execute SET for now: OOM"):
            await deferToThread(client.execute, [b"SET", b"key", b"x"])

    # Sentinels

    def sentinel(self, *answers: bytes, login: Login | None = None) -> RedisAddress:
        _, answer = self.answers(*answers)
        return RedisAddress((self.serve(answer),), service="main", sentinel_login=login or Login())

    def master(self, *answers: bytes) -> bytes:
        """What a Sentinel says where such a master is."""
        _, answer = self.answers(*answers)
        host, port = self.serve(answer)
        return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%d\r\n" % (
            len(host),
            host.encode(),
            len(str(port)),
            port,
        )

    async def test_the_master_is_where_the_sentinel_says(self) -> None:
        where = self.master(PONG, b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
        link = await self.connect(self.sentinel(where))
        command = Command([b"INCR", b"n"], deadline=10)
        link.send(command)
        link.replyReceived(7)
        self.assertEqual(await command.result, 7)

    async def test_the_sentinels_have_their_own_login(self) -> None:
        where = self.master(PONG, b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
        asked, answer = self.answers(OK, where)
        address = RedisAddress(
            (self.serve(answer),), service="main", sentinel_login=Login(None, "pw")
        )
        await self.connect(address)
        self.assertEqual(
            asked, [[b"AUTH", b"pw"], [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"main"]]
        )

    async def test_a_sentinel_that_is_behind_the_times_is_not_believed(self) -> None:
        where = self.master(PONG, b"*5\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n$1\r\nx\r\n:0\r\n")
        error = await self.failing(self.sentinel(where))
        assert "not the master any more" in str(error)

    async def test_sentinels_are_asked_in_turn_and_all_problems_told(self) -> None:
        unknown = self.sentinel(b"*-1\r\n").hosts
        refusing = self.sentinel(b"-NOAUTH Authentication required.\r\n").hosts
        silent = self.sentinel(b"").hosts
        address = RedisAddress(unknown + refusing + silent, service="main")
        error = await self.failing(address, seconds=2)
        for words in ("does not know that service", "Authentication required", "did not answer"):
            assert words in str(error), error
