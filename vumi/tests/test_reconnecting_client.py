"""ReconnectingClientService, timed by a clock, connecting to a fake server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vumi.reconnecting_client import ReconnectingClientService
from vumi.tests.fake_connection import FakeConnection, FakeServer, ProtocolDouble
from vumi.tests.utils import LogCatcher

if TYPE_CHECKING:
    from twisted.python.failure import Failure


class RecordingService(ReconnectingClientService):
    """Notes the calls of its hooks and then does what it always does."""

    jitter: float | None = None

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.calls: list[tuple[str, Any]] = []

    def clientConnected(self, protocol: IProtocol) -> Any:
        self.calls.append(("connected", protocol))
        return super().clientConnected(protocol)

    def clientConnectionFailed(self, reason: Failure) -> Any:
        self.calls.append(("failed", reason.type))
        return super().clientConnectionFailed(reason)

    def clientConnectionLost(self, reason: Failure) -> Any:
        self.calls.append(("lost", reason.type))
        return super().clientConnectionLost(reason)


class ReconnectingClientServiceCase(SynchronousTestCase):
    """What the tests below share."""

    service_class: type[RecordingService] = RecordingService

    def setUp(self) -> None:
        self.clock = Clock()
        #: The connections that were asked for and not looked at yet.
        self.asked: list[FakeConnection] = []
        self.server = FakeServer.for_protocol(
            ProtocolDouble,
            auto_accept=False,
            on_connect=self.asked.append,
            reactor=self.clock,
        )
        self.factory = Factory.forProtocol(ProtocolDouble)
        self.service = self.service_class(self.server.endpoint, self.factory, clock=self.clock)

    def next_connection(self) -> FakeConnection:
        """The one connection that the service has just asked for."""
        [connection] = self.asked
        self.asked.clear()
        return connection

    def connect(self) -> FakeConnection:
        """Start the service; its accepted connection."""
        self.service.startService()
        connection = self.next_connection()
        connection.accept_connection()
        return connection

    def lose(self, connection: FakeConnection) -> None:
        """Have the server close a connection."""
        server: Any = connection.server_protocol
        server.transport.loseConnection()
        self.turn()

    def turn(self) -> None:
        """Let some turns of the reactor pass, and no time."""
        for _ in range(4):
            self.clock.advance(0)

    def assert_retry_in(self, seconds: float) -> None:
        """The next attempt is made after that many seconds, not before."""
        self.assertEqual(self.asked, [])
        [call] = self.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - self.clock.seconds(), seconds)

    def assert_idle(self) -> None:
        """Nothing is planned, nothing is under way."""
        self.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([connection for connection in self.asked if connection.pending], [])

    def advance_to_retry(self) -> FakeConnection:
        """Let time pass until the next attempt; its connection."""
        [call] = self.clock.getDelayedCalls()
        self.clock.advance(call.getTime() - self.clock.seconds())
        return self.next_connection()


class ConnectingTests(ReconnectingClientServiceCase):
    """Connecting, losing, connecting again."""

    def test_it_is_a_service_with_the_documented_attributes(self) -> None:
        verifyObject(IService, self.service)
        service = ReconnectingClientService(self.server.endpoint, self.factory)
        expected = {
            "maxDelay": 3600,
            "initialDelay": 1.0,
            "factor": 2.718281828459045,
            "jitter": 0.11962656472,
            "maxRetries": None,
            "clock": None,
            "noisy": False,
            "delay": 1.0,
            "retries": 0,
            "continueTrying": False,
            "endpoint": self.server.endpoint,
            "factory": self.factory,
        }
        self.assertEqual({name: getattr(service, name) for name in expected}, expected)

    def test_it_connects_when_started_and_not_before(self) -> None:
        self.assert_idle()
        connection = self.connect()
        self.assertTrue(connection.connected)
        self.assertTrue(self.service.continueTrying)
        self.assertEqual([name for name, _ in self.service.calls], ["connected"])

    def test_the_hook_gets_what_the_factory_built_itself(self) -> None:
        built = ProtocolDouble()
        self.service.factory = Factory.forProtocol(lambda: built)
        self.connect()
        self.assertIs(self.service.calls[0][1], built)
        self.assertIs(built.factory, self.service.factory)

    def test_starting_twice_connects_once(self) -> None:
        self.connect()
        self.service.startService()
        self.assert_idle()

    def test_data_flows_both_ways(self) -> None:
        connection = self.connect()
        client: Any = self.service.calls[0][1]
        server: Any = connection.server_protocol
        client.transport.write(b"ping")
        server.transport.write(b"pong")
        self.turn()
        self.assertEqual((client.received, server.received), (b"pong", b"ping"))

    def test_a_lost_connection_is_told_to_protocol_and_hook_and_made_again(self) -> None:
        connection = self.connect()
        client: Any = self.service.calls[0][1]
        self.lose(connection)
        self.assertTrue(client.disconnected_reason.check(ConnectionDone))
        self.assertEqual(self.service.calls[1:], [("lost", ConnectionDone)])
        self.advance_to_retry().accept_connection()
        [(name, new_client)] = self.service.calls[2:]
        self.assertEqual(name, "connected")
        self.assertIsNot(new_client, client)

    def test_a_failed_attempt_is_made_again(self) -> None:
        self.service.startService()
        self.next_connection().reject_connection()
        self.assertEqual(self.service.calls, [("failed", ConnectionRefusedError)])
        self.advance_to_retry().accept_connection()
        self.assertEqual(self.service.calls[1][0], "connected")

    def test_failures_are_logged_with_endpoint_and_reason(self) -> None:
        self.service.startService()
        with LogCatcher() as catcher:
            self.next_connection().reject_connection()
        [text] = catcher.messages()
        self.assertIn("Can't connect to <vumi.tests.fake_connection", text)
        self.assertIn("refused", text)

    def test_delays_grow_up_to_the_longest_and_start_again_after_a_connection(self) -> None:
        service = self.service
        service.initialDelay, service.factor, service.maxDelay = 2, 3, 50
        service.startService()
        connection = self.next_connection()
        for retries, delay in enumerate([6, 18, 50, 50], 1):
            connection.reject_connection()
            self.assert_retry_in(delay)
            self.assertEqual((service.delay, service.retries), (delay, retries))
            connection = self.advance_to_retry()
        connection.accept_connection()
        self.assertEqual((service.delay, service.retries), (2, 0))
        self.lose(connection)
        self.assert_retry_in(6)

    def test_no_jitter_takes_a_delay_beyond_the_longest(self) -> None:
        for jitter in (0.1, 1, 50):
            service = self.service
            service.jitter, service.maxDelay = jitter, 10
            service.continueTrying = True
            service.resetDelay()
            for _ in range(200):
                service.retry()
                [call] = self.clock.getDelayedCalls()
                self.assertEqual(call.getTime(), service.delay)
                self.assertTrue(0 <= service.delay <= 10, service.delay)
            _ = service.stopService()

    def test_jitter_makes_delays_differ(self) -> None:
        delays = set()
        for _ in range(5):
            service = ReconnectingClientService(self.server.endpoint, self.factory, self.clock)
            service.continueTrying = True
            service.retry()
            delays.add(service.delay)
        self.assertEqual(len(delays), 5)

    def test_it_gives_up_after_the_retries_allowed(self) -> None:
        self.service.maxRetries = 2
        self.service.startService()
        self.next_connection().reject_connection()
        self.advance_to_retry().reject_connection()
        with LogCatcher(message="Giving up") as catcher:
            self.advance_to_retry().reject_connection()
        self.assert_idle()
        self.assertEqual(len(catcher.messages()), 1)
        self.assertEqual(len(self.service.calls), 3)
        self.successResultOf(self.service.stopService())
        self.connect()

    def test_it_can_be_told_to_stop_trying_while_connected(self) -> None:
        connection = self.connect()
        self.service.continueTrying = False
        self.lose(connection)
        self.assertEqual(self.service.calls[1:], [("lost", ConnectionDone)])
        self.assert_idle()

    def test_a_retry_can_be_asked_for_at_a_time(self) -> None:
        self.service.startService()
        self.next_connection().reject_connection()
        self.service.retry(delay=0.5)
        self.assert_retry_in(0.5)
        self.service.retry(delay=99)
        self.assert_retry_in(99)

    def test_a_retry_does_nothing_while_connecting_connected_or_stopped(self) -> None:
        self.service.retry()
        self.assert_idle()
        self.service.startService()
        self.service.retry(0)
        connection = self.next_connection()
        self.turn()
        self.assertEqual(self.asked, [])
        connection.accept_connection()
        self.service.retry(0)
        self.assert_idle()

    def test_attempts_are_logged_if_it_is_noisy(self) -> None:
        self.service.noisy = True
        with LogCatcher() as catcher:
            self.service.startService()
            self.next_connection().reject_connection()
            self.advance_to_retry()
        texts = [text.partition(" <")[0] for text in catcher.messages()]
        self.assertEqual(
            texts, ["Connecting to", "Can't connect to", "Connecting to", "Connecting to"]
        )

    def test_an_endpoint_that_raises_is_a_failed_attempt(self) -> None:
        @implementer(IStreamClientEndpoint)
        class Broken:
            """Can't connect."""

            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
                raise ZeroDivisionError

        self.service.endpoint = Broken()
        self.service.startService()
        self.assertEqual(self.service.calls, [("failed", ZeroDivisionError)])
        self.assert_retry_in(self.service.delay)

    def test_an_endpoint_that_gives_something_else_is_a_failed_attempt(self) -> None:
        @implementer(IStreamClientEndpoint)
        class Odd:
            """Gives a protocol that nobody asked for."""

            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
                return succeed(Protocol())

        self.service.endpoint = Odd()
        self.service.startService()
        self.assertEqual(self.service.calls, [("failed", TypeError)])

    def test_a_factory_without_a_protocol_is_a_failed_attempt(self) -> None:
        class Empty(Factory):
            """Has no protocol."""

            def buildProtocol(self, addr: object) -> None:
                return None

        self.service.factory = Empty()
        self.service.startService()
        self.next_connection().accept_connection()
        self.assertEqual([name for name, _ in self.service.calls], ["failed"])

    def test_what_a_protocol_and_its_factory_provide_is_seen_by_the_endpoint(self) -> None:
        seen: list[Any] = []

        @implementer(IHalfCloseableProtocol)
        class HalfCloseable(ProtocolDouble):
            """Can be half closed."""

            def readConnectionLost(self) -> None:
                """Nothing to do."""

            def writeConnectionLost(self) -> None:
                """Nothing to do."""

        @implementer(IStreamClientEndpoint)
        class Curious:
            """Looks at what it is given."""

            def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
                seen.append(protocolFactory.noisy)
                protocolFactory.doStart()
                protocolFactory.doStop()
                protocol = protocolFactory.buildProtocol(None)
                seen.extend([IHalfCloseableProtocol.providedBy(protocol), protocol.received])
                return fail(ConnectionRefusedError())

        self.service.endpoint = Curious()
        self.service.factory = Factory.forProtocol(HalfCloseable)
        self.service.factory.noisy = False
        self.service.startService()
        self.assertEqual(seen, [False, True, b""])

    def test_a_connection_lost_before_it_was_told_of_is_lost_after_it(self) -> None:
        from twisted.python.failure import Failure

        @implementer(IStreamClientEndpoint)
        class Brief:
            """Its connections end at once."""

            def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
                protocol = protocolFactory.buildProtocol(None)
                protocol.makeConnection(None)
                protocol.connectionLost(Failure(ConnectionDone()))
                return succeed(protocol)

        self.service.endpoint = Brief()
        self.service.startService()
        self.assertEqual([name for name, _ in self.service.calls], ["connected", "lost"])
        self.assert_retry_in(self.service.delay)


class StoppingTests(ReconnectingClientServiceCase):
    """Stopping, and starting again."""

    def test_stopping_one_that_was_not_started_is_done_at_once(self) -> None:
        self.successResultOf(self.service.stopService())

    def test_stopping_while_waiting_cancels_the_wait(self) -> None:
        self.service.startService()
        self.next_connection().reject_connection()
        self.successResultOf(self.service.stopService())
        self.assertFalse(self.service.continueTrying)
        self.assertFalse(self.service.running)
        self.assert_idle()

    def test_stopping_while_connecting_cancels_that_and_is_no_failure(self) -> None:
        self.service.startService()
        connection = self.next_connection()
        self.successResultOf(self.service.stopService())
        self.assertFalse(connection.pending)
        self.assertEqual(self.service.calls, [])
        self.assert_idle()

    def test_stopping_waits_for_an_endpoint_that_takes_its_time(self) -> None:
        connecting: Deferred[IProtocol] = Deferred(lambda _: None)

        @implementer(IStreamClientEndpoint)
        class Slow:
            """Is told to stop and doesn't, at first."""

            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
                return connecting

        # Cancelling calls the canceller; if that doesn't end the Deferred, Twisted does.
        self.service.endpoint = Slow()
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.service.calls, [])

    def test_stopping_while_connected_closes_and_waits_for_the_end(self) -> None:
        connection = self.connect()
        stopped, stopped_again = self.service.stopService(), self.service.stopService()
        self.assertNoResult(stopped)
        self.turn()
        self.successResultOf(stopped)
        self.successResultOf(stopped_again)
        self.assertFalse(connection.connected)
        self.assertEqual(self.service.calls[1:], [("lost", ConnectionDone)])
        self.assert_idle()

    def test_started_again_after_a_stop_it_connects_again(self) -> None:
        self.connect()
        stopped = self.service.stopService()
        self.turn()
        self.successResultOf(stopped)
        self.connect()
        self.assertEqual([n for n, _ in self.service.calls], ["connected", "lost", "connected"])

    def test_started_again_while_stopping_it_waits_for_the_end_and_connects(self) -> None:
        old = self.connect()
        stopped = self.service.stopService()
        self.service.startService()
        self.assertEqual(self.asked, [])
        self.turn()
        self.successResultOf(stopped)
        self.assertFalse(old.connected)
        self.next_connection().accept_connection()
        self.assertEqual([n for n, _ in self.service.calls], ["connected", "lost", "connected"])
        self.assert_idle()

    def test_stopped_started_and_stopped_it_stays_stopped(self) -> None:
        self.connect()
        first = self.service.stopService()
        self.service.startService()
        second = self.service.stopService()
        self.turn()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assert_idle()
        self.assertEqual(self.asked, [])

    def test_a_hook_may_stop_the_service(self) -> None:
        class OneShot(RecordingService):
            """Wants one connection only."""

            def clientConnected(self, protocol: IProtocol) -> Any:
                super().clientConnected(protocol)
                self.stopped = self.stopService()

        service = OneShot(self.server.endpoint, self.factory, self.clock)
        service.startService()
        self.next_connection().accept_connection()
        self.turn()
        self.successResultOf(service.stopped)
        self.assertEqual([name for name, _ in service.calls], ["connected", "lost"])
        self.assert_idle()


class OverriddenHookTests(ReconnectingClientServiceCase):
    """Hooks as programs write them."""

    def use(self, cls: type[RecordingService]) -> None:
        """Test that class."""
        self.service = cls(self.server.endpoint, self.factory, clock=self.clock)

    def test_a_hook_that_does_not_call_retry_ends_the_attempts(self) -> None:
        class Once(RecordingService):
            """Never tries again."""

            def clientConnectionFailed(self, reason: Failure) -> Any:
                self.calls.append(("failed", reason.type))

            def clientConnectionLost(self, reason: Failure) -> Any:
                self.calls.append(("lost", reason.type))

        self.use(Once)
        self.service.startService()
        self.next_connection().reject_connection()
        self.assert_idle()
        self.service.retry(0)
        self.clock.advance(0)
        connection = self.next_connection()
        connection.accept_connection()
        self.lose(connection)
        self.assert_idle()
        self.assertEqual([n for n, _ in self.service.calls], ["failed", "connected", "lost"])

    def test_a_hook_that_does_not_call_its_base_is_still_stopped_cleanly(self) -> None:
        class Bare(RecordingService):
            """Does nothing of what the base does."""

            def clientConnected(self, protocol: IProtocol) -> Any:
                """Nothing to do."""

            def clientConnectionLost(self, reason: Failure) -> Any:
                """Nothing to do."""

        self.use(Bare)
        self.connect()
        stopped = self.service.stopService()
        self.turn()
        self.successResultOf(stopped)

    def test_a_hook_may_choose_the_delay(self) -> None:
        class Patient(RecordingService):
            """Always waits a minute."""

            def clientConnectionFailed(self, reason: Failure) -> Any:
                self.retry(delay=60)

        self.use(Patient)
        self.service.startService()
        for _ in range(3):
            self.next_connection().reject_connection()
            self.assert_retry_in(60)
            self.clock.advance(60)

    def test_a_delay_that_is_reset_at_login_grows_until_then(self) -> None:
        class LogsIn(RecordingService):
            """Resets its delay when it has logged in."""

            def clientConnected(self, protocol: IProtocol) -> Any:
                """No reset yet."""

        self.use(LogsIn)
        connection = self.connect()
        delays = []
        for _ in range(3):
            self.lose(connection)
            delays.append(self.service.delay)
            connection = self.advance_to_retry()
            connection.accept_connection()
        self.assertEqual(delays, sorted(set(delays)))
        self.service.resetDelay()
        self.assertEqual(self.service.delay, self.service.initialDelay)

    def check_errors(self, cls: type[RecordingService]) -> None:
        """A service whose hooks all fail logs that and goes on."""
        self.use(cls)
        self.service.startService()
        self.next_connection().reject_connection()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        connection = self.advance_to_retry()
        connection.accept_connection()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        # It was of no use, so it is closed, and made again.
        self.turn()
        self.assertFalse(connection.connected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.advance_to_retry()
        self.successResultOf(self.service.stopService())

    def test_a_hook_that_raises_is_logged_and_the_service_goes_on(self) -> None:
        class Raising(RecordingService):
            """All its hooks raise."""

            def clientConnected(self, protocol: IProtocol) -> Any:
                raise ZeroDivisionError

            def clientConnectionFailed(self, reason: Failure) -> Any:
                raise ZeroDivisionError

            def clientConnectionLost(self, reason: Failure) -> Any:
                raise ZeroDivisionError

        self.check_errors(Raising)

    def test_a_hook_whose_coroutine_or_deferred_fails_is_logged_too(self) -> None:
        class Failing(RecordingService):
            """All its hooks fail."""

            async def clientConnected(self, protocol: IProtocol) -> Any:
                raise ZeroDivisionError

            async def clientConnectionFailed(self, reason: Failure) -> Any:
                raise ZeroDivisionError

            def clientConnectionLost(self, reason: Failure) -> Any:
                return fail(ZeroDivisionError())

        self.check_errors(Failing)

    def test_a_hook_that_fails_after_planning_keeps_its_plan(self) -> None:
        class Late(RecordingService):
            """Fails when all is done."""

            def clientConnectionFailed(self, reason: Failure) -> Any:
                self.retry(60)
                raise ZeroDivisionError

        self.use(Late)
        self.service.startService()
        self.next_connection().reject_connection()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_retry_in(60)

    def test_a_protocol_that_fails_to_end_does_not_stop_the_service(self) -> None:
        class Bad(ProtocolDouble):
            """Can't deal with its end."""

            def connectionLost(self, reason: Any = None) -> None:
                raise ZeroDivisionError

        self.service.factory = Factory.forProtocol(Bad)
        self.lose(self.connect())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.service.calls[1:], [("lost", ConnectionDone)])
        self.advance_to_retry()


class ClockTests(SynchronousTestCase):
    """Where the time comes from."""

    def test_a_subclass_may_have_a_clock(self) -> None:
        class Timed(ReconnectingClientService):
            """Has its own."""

            clock = Clock()
            jitter = None

        server = FakeServer.for_protocol(ProtocolDouble, auto_accept=False, reactor=Timed.clock)
        service = Timed(server.endpoint, Factory.forProtocol(ProtocolDouble))
        service.startService()
        self.successResultOf(server.await_connection()).reject_connection()
        [call] = Timed.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), service.delay)
        self.successResultOf(service.stopService())

    def test_without_one_it_is_the_reactors(self) -> None:
        from twisted.internet import reactor

        server = FakeServer.for_protocol(ProtocolDouble, auto_accept=False)
        service = ReconnectingClientService(server.endpoint, Factory.forProtocol(ProtocolDouble))
        self.assertIsNone(service.clock)
        service.startService()
        self.successResultOf(server.await_connection()).reject_connection()
        self.assertIs(service.clock, reactor)
        self.successResultOf(service.stopService())
        self.assertIsNone(ReconnectingClientService.clock)
