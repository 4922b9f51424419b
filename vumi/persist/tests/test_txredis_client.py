"""Keeping a connection: what waits, what is sent again, and when it is tried anew.

No network: connections are made up, and time is a Clock's.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vumi.errors import ConfigError, StoreError, StoreUnavailable
from vumi.persist import txredis_client
from vumi.persist.address import RedisAddress
from vumi.persist.interface import IKeyValueStore
from vumi.persist.outages import Refused
from vumi.persist.txredis_client import CLOSE_SECONDS, RETRY_MAX_DELAY, TxRedisClient
from vumi.persist.txredis_command import Command
from vumi.tests.utils import LogCatcher

if TYPE_CHECKING:
    from vumi.persist.interface import Reply

ADDRESS = RedisAddress((("redis.test", 6379),))
TIMEOUT = 10.0


class MadeUpLink:
    """A connection that does what the test says."""

    def __init__(self, clock: Clock) -> None:
        self.in_flight: deque[Command] = deque()
        self.put_off: list[Command] = []
        self.lost: Deferred[Any] = Deferred()
        self.written: list[bytes] = []
        self.aborted: list[object] = []
        self.heard_at = clock.seconds()
        self._clock = clock

    def send(self, command: Command) -> None:
        self.in_flight.append(command)
        self.written.append(command.name)

    def ask(self, *words: bytes) -> Deferred[Reply]:
        command = Command(words)
        self.send(command)
        return command.result

    def abort(self, reason: object = None) -> None:
        self.aborted.append(reason)

    # What the test says

    def answer(self, *replies: Reply) -> None:
        self.heard_at = self._clock.seconds()
        for reply in replies:
            self.in_flight.popleft().succeed(reply)

    def lose(self, reason: object | None = None) -> None:
        self.lost.callback(reason or ConnectionLost())


class ClientCase(SynchronousTestCase):
    """A client whose attempts to connect the test answers."""

    def setUp(self) -> None:
        # Chance has no say in tests.
        self.patch(txredis_client, "_jitter", lambda: 0.05)
        self.clock = Clock()
        self.attempts: list[Deferred[Any]] = []
        self.client = TxRedisClient(ADDRESS, self.clock, TIMEOUT, connect=self.connect)

    async def connect(self, address: RedisAddress, reactor: Any, seconds: float) -> Any:
        self.assertEqual((address, reactor, seconds), (ADDRESS, self.clock, TIMEOUT))
        attempt: Deferred[Any] = Deferred()
        self.attempts.append(attempt)
        return await attempt

    def connected(self) -> MadeUpLink:
        """Have the last attempt succeed."""
        link = MadeUpLink(self.clock)
        self.attempts[-1].callback(link)
        return link

    def refused(self) -> None:
        """Have the last attempt fail."""
        self.attempts[-1].errback(ConnectionRefusedError())

    def started(self) -> MadeUpLink:
        started = self.client.start(30)
        link = self.connected()
        self.successResultOf(started)
        return link

    def reconnected(self) -> MadeUpLink:
        """Wait for the next attempt, unless one is being made, and have it succeed."""
        self.attempted()
        return self.connected()

    def attempted(self) -> None:
        """Wait for the next attempt, unless one is being made."""
        for _ in range(1000):
            if not self.attempts[-1].called:
                return
            self.clock.advance(0.05)
        self.fail("no attempt is made")

    def get(self, key: bytes = b"key") -> Deferred[Any]:
        return self.client.execute([b"GET", key], repeatable=True)

    def incr(self, key: bytes = b"n") -> Deferred[Any]:
        return self.client.execute([b"INCR", key])

    def unavailable(self, result: Deferred[Any]) -> StoreUnavailable:
        failure = self.failureResultOf(result, StoreUnavailable)
        assert isinstance(failure.value, StoreUnavailable)
        return failure.value


class CommandTests(ClientCase):
    """Commands on their way."""

    def test_a_command_is_an_array_of_bulk_strings(self) -> None:
        command = Command([b"SET", b"key", "\N{SNOWMAN}\r\n".encode()])
        self.assertEqual(
            command.data, b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\n\xe2\x98\x83\r\n\r\n"
        )

    def test_provides_the_interface(self) -> None:
        verifyObject(IKeyValueStore, self.client)

    def test_replies_are_given_in_order(self) -> None:
        link = self.started()
        results = [self.get(), self.incr(), self.get()]
        link.answer(b"a", 1)
        self.assertEqual([self.successResultOf(r) for r in results[:2]], [b"a", 1])
        self.assertNoResult(results[2])
        link.answer(None)
        self.assertEqual(self.successResultOf(results[2]), None)

    def test_what_waits_is_sent_in_order_when_there_is_a_connection(self) -> None:
        self.started().lose()
        results = [self.incr(), self.get(), self.incr()]
        link = self.reconnected()
        self.assertEqual(link.written, [b"INCR", b"GET", b"INCR"])
        link.answer(1, b"1", 2)
        self.assertEqual([self.successResultOf(r) for r in results], [1, b"1", 2])

    def test_of_what_was_in_flight_only_the_repeatable_is_sent_again_and_before_the_rest(
        self,
    ) -> None:
        link = self.started()
        first, counting, second = self.get(b"1"), self.incr(), self.get(b"2")
        link.lose()
        later = self.incr(b"3")
        error = self.unavailable(counting)
        assert error.maybe_executed
        assert "redis.test:6379" in str(error)
        link = self.reconnected()
        self.assertEqual(link.written, [b"GET", b"GET", b"INCR"])
        link.answer(b"a", b"b", 3)
        self.assertEqual(
            [self.successResultOf(r) for r in (first, second, later)], [b"a", b"b", 3]
        )

    def test_what_redis_has_put_off_is_sent_again_whatever_it_is(self) -> None:
        link = self.started()
        counting = self.incr()
        link.put_off.append(link.in_flight.popleft())
        link.lose("READONLY")
        link = self.reconnected()
        link.answer(7)
        self.assertEqual(self.successResultOf(counting), 7)

    def test_what_was_cancelled_is_not_sent(self) -> None:
        self.started().lose()
        counting, other = self.incr(b"1"), self.incr(b"2")
        counting.cancel()
        self.failureResultOf(counting)
        link = self.reconnected()
        self.assertEqual(len(link.written), 1)
        link.answer(1)
        self.assertEqual(self.successResultOf(other), 1)

    def test_what_was_cancelled_in_flight_does_not_shift_the_replies(self) -> None:
        link = self.started()
        counting, other = self.incr(b"1"), self.incr(b"2")
        counting.cancel()
        self.failureResultOf(counting)
        link.answer(1, 2)
        self.assertEqual(self.successResultOf(other), 2)


class TimeoutTests(ClientCase):
    """Nothing takes longer than it may."""

    def test_what_waits_fails_in_time_and_is_not_sent_later(self) -> None:
        self.started().lose()
        counting = self.incr()
        self.clock.advance(4)
        later = self.incr()
        self.refused()
        self.clock.advance(TIMEOUT - 4.1)
        self.assertNoResult(counting)
        self.clock.advance(0.1)
        error = self.unavailable(counting)
        assert not error.maybe_executed
        assert "refused" in str(error)
        self.assertNoResult(later)
        link = self.reconnected()
        self.assertEqual(link.written, [b"INCR"])
        link.answer(1)
        self.assertEqual(self.successResultOf(later), 1)

    def test_what_is_not_answered_fails_in_time(self) -> None:
        link = self.started()
        reading, counting = self.get(), self.incr()
        self.clock.advance(TIMEOUT - 0.1)
        self.assertNoResult(reading)
        self.clock.advance(0.1)
        assert not self.unavailable(reading).maybe_executed
        assert self.unavailable(counting).maybe_executed
        self.assertEqual(len(link.aborted), 1)

    def test_a_connection_on_which_something_is_heard_is_kept(self) -> None:
        link = self.started()
        first = self.incr(b"1")
        second = self.incr(b"2")
        self.clock.advance(TIMEOUT - 0.1)
        link.answer(1)
        self.clock.advance(0.1)
        self.successResultOf(first)
        self.unavailable(second)
        self.assertEqual(link.aborted, [])
        # The late reply is nobody's, the next one's is the next one's.
        third = self.incr(b"3")
        link.answer(2, 3)
        self.assertEqual(self.successResultOf(third), 3)

    def test_time_in_flight_and_time_waiting_count_together(self) -> None:
        link = self.started()
        reading = self.get()
        self.clock.advance(6)
        link.lose()
        self.reconnected()
        self.clock.advance(3)
        self.assertNoResult(reading)
        self.clock.advance(1)
        self.unavailable(reading)

    def test_one_timer_does_for_all_and_none_is_left(self) -> None:
        link = self.started()
        for _ in range(100):
            _ = self.get()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        link.answer(*[None] * 100)
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ConnectingTests(ClientCase):
    """Connecting for the first time, and again."""

    def test_starting_tries_until_there_is_a_connection(self) -> None:
        with LogCatcher(message="Next try in") as catcher:
            started = self.client.start(30)
            for _ in range(3):
                self.refused()
                self.clock.advance(1)
        self.assertNoResult(started)
        self.assertEqual(len(catcher.logs), 3)
        self.connected()
        self.successResultOf(started)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_starting_gives_up_after_its_time(self) -> None:
        started = self.client.start(30)
        self.refused()
        self.clock.advance(30)
        error = self.unavailable(started)
        assert "refused" in str(error)
        assert "30 s" in str(error)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.failureResultOf(self.get(), StoreError)

    def test_starting_gives_up_while_an_attempt_is_made(self) -> None:
        started = self.client.start(30)
        self.clock.advance(30)
        self.unavailable(started)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_starting_fails_at_once_when_trying_is_no_use(self) -> None:
        for error in (Refused("wrong password"), ConfigError("no such certificate")):
            self.setUp()
            started = self.client.start(30)
            self.attempts[-1].errback(error)
            self.assertIs(self.failureResultOf(started).value, error)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_later_also_a_refusal_is_tried_again(self) -> None:
        self.started().lose()
        self.attempted()
        self.attempts[-1].errback(Refused("wrong password"))
        reading = self.get()
        link = self.reconnected()
        link.answer(b"x")
        self.assertEqual(self.successResultOf(reading), b"x")

    def test_an_error_that_nobody_thought_of_is_logged_and_tried_again(self) -> None:
        started = self.client.start(30)
        self.attempts[-1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.reconnected()
        self.successResultOf(started)

    def test_pauses_grow_up_to_a_bound_and_start_small_after_a_good_connection(self) -> None:
        link = self.started()
        self.clock.advance(60)
        link.lose()
        pauses = [self.pause()]
        for _ in range(20):
            self.refused()
            pauses.append(self.pause())
        assert pauses[0] <= 0.25, pauses
        assert pauses[-1] >= RETRY_MAX_DELAY, pauses
        assert max(pauses) <= RETRY_MAX_DELAY + 0.2, pauses
        link = self.connected()
        self.clock.advance(60)
        link.lose()
        assert self.pause() <= 0.25

    def test_pauses_grow_too_if_connections_are_made_and_lost_at_once(self) -> None:
        link = self.started()
        pauses = []
        for _ in range(20):
            link.lose()
            pauses.append(self.pause())
            link = self.connected()
        assert pauses[-1] >= RETRY_MAX_DELAY

    def pause(self) -> float:
        """The time until the next attempt is made."""
        begun = self.clock.seconds()
        self.attempted()
        return self.clock.seconds() - begun


class ClosingTests(ClientCase):
    """Closing, at any moment, leaves nothing behind."""

    def assert_over(self, closed: Deferred[Any]) -> None:
        self.successResultOf(closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        failure = self.failureResultOf(self.get(), StoreError)
        assert "closed" in str(failure.value)
        self.successResultOf(self.client.close())

    def test_before_the_start(self) -> None:
        self.assert_over(self.client.close())

    def test_when_idle(self) -> None:
        link = self.started()
        closed = self.client.close()
        self.assertEqual(link.written, [b"QUIT"])
        link.answer("OK")
        link.lose()
        self.assert_over(closed)

    def test_what_is_in_flight_is_finished(self) -> None:
        link = self.started()
        counting = self.incr()
        closed = self.client.close()
        self.assertNoResult(closed)
        link.answer(1, "OK")
        self.assertEqual(self.successResultOf(counting), 1)
        link.lose()
        self.assert_over(closed)

    def test_a_redis_that_says_nothing_is_not_waited_for_long(self) -> None:
        link = self.started()
        counting, reading = self.incr(), self.get()
        closed = self.client.close()
        self.clock.advance(CLOSE_SECONDS)
        self.assertEqual(len(link.aborted), 1)
        link.lose()
        assert self.unavailable(counting).maybe_executed
        self.failureResultOf(reading, StoreError)
        self.assert_over(closed)

    def test_while_waiting_to_connect_again(self) -> None:
        self.started().lose()
        waiting = self.get()
        closed = self.client.close()
        self.failureResultOf(waiting, StoreError)
        self.assert_over(closed)

    def test_while_connecting(self) -> None:
        self.started().lose()
        self.attempted()
        waiting = self.get()
        closed = self.client.close()
        self.failureResultOf(waiting, StoreError)
        self.assert_over(closed)

    def test_from_what_is_told_about_a_lost_command(self) -> None:
        link = self.started()
        closed: list[Deferred[Any]] = []
        _ = self.incr().addErrback(lambda _: closed.append(self.client.close()))
        link.lose()
        self.assert_over(closed[0])

    def test_from_what_is_told_about_a_late_command(self) -> None:
        self.started().lose()
        self.refuse_all()
        closed: list[Deferred[Any]] = []
        _ = self.incr().addErrback(lambda _: closed.append(self.client.close()))
        self.clock.advance(TIMEOUT)
        self.assert_over(closed[0])

    def refuse_all(self) -> None:
        async def connect(*args: Any) -> Any:
            raise ConnectionRefusedError

        self.client._connect = connect

    def test_at_the_very_moment_of_connecting(self) -> None:
        started = self.client.start(30)
        closed: list[Deferred[Any]] = []
        _ = started.addCallback(lambda _: closed.append(self.client.close()))
        link = self.connected()
        self.assertEqual(link.written, [b"QUIT"])
        link.lose()
        self.assert_over(closed[0])


class ImportTests(SynchronousTestCase):
    """What the manager's module brings along."""

    def test_importing_the_manager_does_not_choose_a_reactor(self) -> None:
        program = (
            "import sys, vumi.persist.txredis_manager, vumi.persist.config; "
            "sys.exit('twisted.internet.reactor' in sys.modules or 'fakeredis' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program], check=False)
        self.assertEqual(done.returncode, 0)
