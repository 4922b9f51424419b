"""What every broker must do: one suite, run against each implementation.

A subclass says how to connect (:meth:`BrokerContract.connect`) and how a connection is lost and
found again (:meth:`BrokerContract.interrupt`).
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vumi.broker import (
    MAX_BODY_BYTES,
    Delivery,
    Exchange,
    IBroker,
    IReceiver,
    ISubscription,
    Queue,
)
from vumi.errors import BrokerClosed, BrokerError, Unroutable

if TYPE_CHECKING:
    from collections.abc import Callable

_numbers = count(1)


@implementer(IReceiver)
class Inbox:
    """Keeps what is delivered, and can be waited on."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.interruptions = 0
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.deliveries]

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._check()

    def interrupted(self) -> None:
        self.interruptions += 1
        self._check()

    def _check(self) -> None:
        for condition, waiter in list(self._waiting):
            if condition():
                self._waiting.remove((condition, waiter))
                waiter.callback(None)

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._waiting.append((condition, waiter))
        self._check()
        return waiter

    def until_count(self, number: int) -> Deferred[None]:
        return self.until(lambda: len(self.deliveries) >= number)


def some_turns(seconds: float = 0.05) -> Deferred[None]:
    """Time for what must not happen to happen."""
    return deferLater(reactor, seconds, lambda: None)


class BrokerContract:
    """The suite. Mixed into a :class:`TestCase`."""

    timeout = 30

    broker: Any

    def connect(self) -> Any:
        """A new connection, not started."""
        raise NotImplementedError

    def interrupt(self, broker: Any) -> None:
        """Have the connection lost; it comes back by itself."""
        raise NotImplementedError

    async def started(self) -> Any:
        broker = self.connect()
        await broker.start()
        assert isinstance(self, TestCase)
        self.addCleanup(broker.stop)
        return broker

    async def queue(self, broker: Any, **kw: Any) -> str:
        """A fresh queue, bound to a fresh key of the exchange ``vumi``."""
        name = f"contract-{next(_numbers)}-{uuid4().hex[:8]}.inbound"
        await broker.declare_exchange(Exchange("vumi"))
        await broker.declare_queue(Queue(name, **kw))
        return name

    def assert_equal(self, first: object, second: object) -> None:
        assert isinstance(self, TestCase)
        self.assertEqual(first, second)

    async def test_provides_the_interfaces(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        subscription = await broker.subscribe(name, Inbox())
        verifyObject(IBroker, broker)
        verifyObject(ISubscription, subscription)
        assert broker.connected
        assert not broker.blocked
        self.assert_equal(subscription.queue, name)

    async def test_a_published_message_is_delivered_as_it_was(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox)
        body = '{"content": "\N{SNOWMAN}"}'.encode()
        await broker.publish("vumi", name, body)
        await inbox.until_count(1)
        delivery = inbox.deliveries[0]
        self.assert_equal(delivery.body, body)
        self.assert_equal(delivery.headers, {})
        self.assert_equal(delivery.exchange, "vumi")
        self.assert_equal(delivery.routing_key, name)
        self.assert_equal(delivery.redelivered, False)
        subscription.ack(delivery)

    async def test_bodies_of_all_sizes_arrive_whole(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        inbox = Inbox()
        await broker.subscribe(name, inbox)
        bodies = [b"", b"x", b"y" * 131_072, b"z" * 400_001]
        for body in bodies:
            await broker.publish("vumi", name, body)
        await inbox.until_count(len(bodies))
        self.assert_equal(inbox.bodies, bodies)

    async def test_headers_arrive(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        inbox = Inbox()
        await broker.subscribe(name, inbox)
        headers = {"x-vumi-reason": "handler-failed", "x-vumi-count": 3}
        await broker.publish("vumi", name, b"{}", headers=headers)
        await inbox.until_count(1)
        self.assert_equal(inbox.deliveries[0].headers, headers)

    async def test_a_publish_fires_with_its_result_and_counts(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        result = object()
        assert await broker.publish("vumi", name, b"1", result=result) is result
        self.assert_equal((broker.published, broker.confirmed), (1, 1))
        publications = [broker.publish("vumi", name, b"%d" % n) for n in range(50)]
        self.assert_equal([p.number for p in publications], list(range(2, 52)))
        for publication in publications:
            await publication
            assert publication.safe
        self.assert_equal((broker.published, broker.confirmed), (51, 51))

    async def test_listeners_hear_of_confirmations(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        heard_of_both: Deferred[None] = Deferred()
        stop_listening = broker.on_confirmed(
            lambda: heard_of_both.callback(None) if broker.confirmed >= 2 else None
        )
        await broker.publish("vumi", name, b"1")
        await broker.publish("vumi", name, b"2")
        await heard_of_both
        stop_listening()
        # A second call of the listener would be an error.
        reservation = broker.reserve()
        broker.release(reservation)

    async def test_a_reservation_holds_back_what_is_confirmed_after_it(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        reservation = broker.reserve()
        await broker.publish("vumi", name, b"1")
        self.assert_equal((broker.published, broker.confirmed), (2, 0))
        broker.release(reservation)
        self.assert_equal((broker.published, broker.confirmed), (2, 2))

    async def test_a_message_waits_for_its_reader(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        await broker.publish("vumi", name, b"early")
        inbox = Inbox()
        await broker.subscribe(name, inbox)
        await inbox.until_count(1)
        self.assert_equal(inbox.bodies, [b"early"])

    async def test_only_the_bound_key_is_routed(self) -> None:
        broker = await self.started()
        one, other = await self.queue(broker), await self.queue(broker)
        await broker.publish("vumi", one, b"for one")
        await broker.publish("vumi", "nobody." + uuid4().hex, b"for nobody")
        self.assert_equal(await broker.depth(one), 1)
        self.assert_equal(await broker.depth(other), 0)

    async def test_the_nameless_exchange_routes_by_queue(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        await broker.publish("", name, b"direct")
        delivery = await broker.get(name)
        self.assert_equal(delivery.body, b"direct")

    async def test_get_takes_one_message_or_none(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        await broker.publish("vumi", name, b"1", headers={"x": "y"})
        delivery = await broker.get(name)
        self.assert_equal((delivery.body, delivery.headers), (b"1", {"x": "y"}))
        assert await broker.get(name) is None
        self.assert_equal(await broker.depth(name), 0)

    async def test_a_queue_that_is_not_there_has_no_depth(self) -> None:
        broker = await self.started()
        assert await broker.depth("no-such-queue-" + uuid4().hex) is None
        name = await self.queue(broker)
        self.assert_equal(await broker.depth(name), 0)

    async def test_publishing_to_an_undeclared_exchange_is_refused(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        for exchange in ("nowhere", "vumi.health"):
            try:
                _ = broker.publish(exchange, name, b"x")
            except BrokerError as error:
                assert exchange in str(error)
            else:
                raise AssertionError("published to an exchange that was never declared")
        await broker.publish("vumi", name, b"the connection still works")

    async def test_a_body_that_is_too_large_is_refused(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        try:
            _ = broker.publish("vumi", name, b"x" * (MAX_BODY_BYTES + 1))
        except BrokerError:
            return
        raise AssertionError("published a body over the limit")

    async def test_a_routing_key_that_is_too_long_is_refused_and_nothing_else_suffers(
        self,
    ) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        for key in ("k" * 256, "\N{SNOWMAN}" * 100):
            try:
                _ = broker.publish("vumi", key, b"x")
            except BrokerError:
                continue
            raise AssertionError("published with a key over the limit")
        try:
            await broker.declare_queue(Queue("q" * 256))
        except BrokerError:
            pass
        else:
            raise AssertionError("declared a queue with a name over the limit")
        await broker.publish("vumi", name, b"fine")
        self.assert_equal(broker.confirmed, broker.published)

    async def test_an_exchange_of_the_other_type_is_used_as_it_is(self) -> None:
        broker, second = await self.started(), await self.started()
        exchange = "contract-" + uuid4().hex
        await broker.declare_exchange(Exchange(exchange, "direct"))
        await second.declare_exchange(Exchange(exchange, "topic"))
        name = "as-it-is-" + uuid4().hex
        await second.declare_queue(Queue(name, exchange))
        await second.publish(exchange, name, b"routed all the same")
        self.assert_equal(await second.depth(name), 1)

    async def test_prefetch_bounds_what_is_unacknowledged(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        for number in range(10):
            await broker.publish("vumi", name, b"%d" % number)
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox, prefetch=3)
        await inbox.until_count(3)
        await some_turns()
        self.assert_equal(len(inbox.deliveries), 3)
        subscription.ack(inbox.deliveries[0])
        await inbox.until_count(4)
        await some_turns()
        self.assert_equal(inbox.bodies, [b"0", b"1", b"2", b"3"])

    async def test_acks_in_any_order_are_taken(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox, prefetch=6)
        for number in range(12):
            await broker.publish("vumi", name, b"%d" % number)
        await inbox.until_count(6)
        for index in (3, 1, 5, 0, 4, 2):
            subscription.ack(inbox.deliveries[index])
        await inbox.until_count(12)
        for delivery in inbox.deliveries[6:]:
            subscription.ack(delivery)
        await subscription.close()
        self.assert_equal(await broker.depth(name), 0)
        self.assert_equal(inbox.interruptions, 0)

    async def test_what_is_not_acknowledged_goes_back_in_order(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        first = Inbox()
        subscription = await broker.subscribe(name, first)
        for number in range(5):
            await broker.publish("vumi", name, b"%d" % number)
        await first.until_count(5)
        subscription.ack(first.deliveries[1])
        await subscription.close()
        second = Inbox()
        await broker.subscribe(name, second)
        await second.until_count(4)
        self.assert_equal(second.bodies, [b"0", b"2", b"3", b"4"])
        assert all(delivery.redelivered for delivery in second.deliveries)

    async def test_a_cancelled_subscription_gets_no_more_but_may_ack(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox)
        await broker.publish("vumi", name, b"1")
        await inbox.until_count(1)
        await subscription.cancel()
        await broker.publish("vumi", name, b"2")
        await some_turns()
        self.assert_equal(inbox.bodies, [b"1"])
        subscription.ack(inbox.deliveries[0])
        await subscription.close()
        self.assert_equal(await broker.depth(name), 1)

    async def test_two_subscriptions_share_a_queue(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        one, other = Inbox(), Inbox()
        await broker.subscribe(name, one, prefetch=5)
        await broker.subscribe(name, other, prefetch=5)
        for number in range(10):
            await broker.publish("vumi", name, b"%d" % number)
        await one.until_count(5)
        await other.until_count(5)
        self.assert_equal(sorted(one.bodies + other.bodies), sorted(b"%d" % n for n in range(10)))

    async def test_a_mandatory_publish_brings_its_queue_back(self) -> None:
        broker = await self.started()
        await self.queue(broker)
        name = f"vanished-{uuid4().hex}.inbound"
        result = object()
        assert await broker.publish("vumi", name, b"1", None, True, result) is result
        self.assert_equal(await broker.depth(name), 1)
        self.assert_equal(broker.confirmed, broker.published)

    async def test_a_publish_that_may_not_bring_its_queue_back_fails_without_one(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        vanished = f"vanished-{uuid4().hex}.outbound"
        publications = [
            broker.publish("vumi", key, key.encode(), mandatory=True, retry=False, result=key)
            for key in (name, vanished, name)
        ]
        try:
            await publications[1]
        except Unroutable as error:
            self.assert_equal(error.routing_key, vanished)
        else:
            raise AssertionError("published without a queue")
        self.assert_equal([await publications[0], await publications[2]], [name, name])
        # It is done with: nothing waits for it.
        self.assert_equal(broker.confirmed, broker.published)
        self.assert_equal(await broker.depth(vanished), None)
        self.assert_equal(await broker.depth(name), 2)

    async def test_an_auto_delete_queue_goes_with_its_last_subscription(self) -> None:
        broker, other = await self.started(), await self.started()
        name = await self.queue(broker, auto_delete=True)
        self.assert_equal(await other.depth(name), 0)
        first = await broker.subscribe(name, Inbox())
        inbox = Inbox()
        second = await broker.subscribe(name, inbox)
        await first.close()
        await broker.publish("vumi", name, b"still there", mandatory=True, retry=False)
        await inbox.until_count(1)
        await second.close()
        self.assert_equal(await other.depth(name), None)

    async def test_an_auto_delete_queue_goes_with_its_owner(self) -> None:
        broker, other = await self.started(), await self.started()
        name = await self.queue(broker, auto_delete=True)
        await other.declare_exchange(Exchange("vumi"))
        await broker.subscribe(name, Inbox())
        await broker.stop()
        try:
            await other.publish("vumi", name, b"x", mandatory=True, retry=False)
        except Unroutable:
            return
        raise AssertionError("published without a queue")

    async def test_an_auto_delete_queue_comes_back_with_the_connection(self) -> None:
        broker, other = await self.started(), await self.started()
        name = await self.queue(broker, auto_delete=True)
        await other.declare_exchange(Exchange("vumi"))
        inbox = Inbox()
        await broker.subscribe(name, inbox)
        await other.publish("vumi", name, b"before", mandatory=True, retry=False)
        await inbox.until_count(1)
        self.interrupt(broker)
        await inbox.until(lambda: inbox.interruptions == 1)
        while b"after" not in inbox.bodies:
            # What comes before the broker has noticed is lost with the queue.
            with suppress(Unroutable):
                await other.publish("vumi", name, b"after", mandatory=True, retry=False)
            await some_turns()

    async def test_a_lost_connection_brings_unacknowledged_messages_again(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox)
        for number in range(4):
            await broker.publish("vumi", name, b"%d" % number)
        await inbox.until_count(4)
        self.interrupt(broker)
        await inbox.until_count(8)
        self.assert_equal(inbox.interruptions, 1)
        self.assert_equal(inbox.bodies[4:], inbox.bodies[:4])
        # An ack for a delivery of the old connection must not count for the new one.
        for delivery in inbox.deliveries[:4]:
            subscription.ack(delivery)
        await some_turns()
        for delivery in inbox.deliveries[4:]:
            subscription.ack(delivery)
        await subscription.close()
        self.assert_equal(await broker.depth(name), 0)

    async def test_what_is_published_while_the_connection_is_lost_arrives(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        inbox = Inbox()
        await broker.subscribe(name, inbox)
        self.interrupt(broker)
        publications = [broker.publish("vumi", name, b"%d" % number) for number in range(20)]
        for publication in publications:
            await publication
        await inbox.until_count(20)
        self.assert_equal(list(dict.fromkeys(inbox.bodies)), [b"%d" % n for n in range(20)])
        self.assert_equal(broker.confirmed, broker.published)

    async def test_a_stopped_broker_refuses_to_publish(self) -> None:
        broker = await self.started()
        name = await self.queue(broker)
        await broker.stop()
        assert not broker.connected
        try:
            _ = broker.publish("vumi", name, b"x")
        except BrokerClosed:
            return
        raise AssertionError("published over a closed connection")

    async def test_stopping_gives_back_what_is_unacknowledged(self) -> None:
        broker, second = await self.started(), await self.started()
        name = await self.queue(broker)
        await self.queue(second)
        inbox = Inbox()
        await broker.subscribe(name, inbox)
        await broker.publish("vumi", name, b"1")
        await inbox.until_count(1)
        await broker.stop()
        again = Inbox()
        await second.subscribe(name, again)
        await again.until_count(1)
        self.assert_equal(again.bodies, [b"1"])
        assert again.deliveries[0].redelivered
