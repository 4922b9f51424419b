"""Several processes under one name: every reply reaches the request it is for, or is nacked."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from vumi.broker.memory import MemoryBroker
from vumi.errors import BrokerClosed
from vumi.message import TransportUserMessage
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.transports.httprpc import handover
from vumi.transports.httprpc.handover import Handover, instance_of, new_instance_id
from vumi.transports.httprpc.tests.clients import Client, EchoTransport, add_transport
from vumi.transports.tests.helpers import TransportHelper

HOLDER_GONE = "Could not find original request: the process that held it is gone."


@given(st.one_of(st.none(), st.integers(), st.text(), st.from_regex(r"[0-9a-f]{31,33}")))
def test_only_ids_that_a_process_can_have_made_have_an_instance(request_id: Any) -> None:
    instance = instance_of(request_id)
    if instance is not None:
        assert len(request_id) == 32
        assert request_id.startswith(instance)


def test_request_ids_tell_their_process_and_look_like_all_message_ids() -> None:
    transport = EchoTransport({}, {"transport_name": "t", "web_path": "/"})
    ids = {transport.generate_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert {instance_of(request_id) for request_id in ids} == {transport.instance_id}
    assert new_instance_id() != transport.instance_id


class SeveralProcessesTests(VumiTestCase):
    """Two transports on one broker. The first one takes no replies, so all reach the second."""

    async def start(self, transport_class: type[Any] = EchoTransport, **config: Any) -> None:
        self.helper: Any = self.add_helper(TransportHelper(transport_class))
        self.transports = []
        for _ in range(2):
            _, transport = await add_transport(
                self, transport_class, None, self.helper, request_cleanup_interval=0, **config
            )
            self.transports.append(transport)
        self.holder, self.other = self.transports
        await self.holder.connectors[self.holder.transport_name].drain(0)

    def ask(self) -> Client:
        return Client(self.holder.web_site).send("/ussd?from=1&to=2&text=hi")

    async def message(self, number: int = 1) -> Any:
        return (await self.helper.wait_for_dispatched_inbound(number))[-1]

    def events(self) -> list[tuple[str, str | None]]:
        return [
            (event["event_type"], event.get("nack_reason"))
            for event in self.helper.get_dispatched_events()
        ]

    async def test_a_reply_that_reaches_another_process_is_handed_on(self) -> None:
        # The old Vumi lost it: the request hung, and the reply was acked.
        await self.start()
        client = self.ask()
        await self.helper.make_dispatch_reply(await self.message(), "hello")
        self.assertEqual(client.response.body, b"hello")
        self.assertEqual(self.events(), [("ack", None)])

    async def test_a_reply_for_a_process_that_is_gone_is_nacked_at_once(self) -> None:
        await self.start()
        client = self.ask()
        message = await self.message()
        await self.helper.cleanup_worker(self.holder)
        self.assertEqual(client.response.code, 503)
        await self.helper.make_dispatch_reply(message, "hello")
        self.assertEqual(self.events(), [("nack", HOLDER_GONE)])

    async def test_a_reply_whose_request_is_gone_is_nacked_by_its_holder(self) -> None:
        await self.start()
        client = self.ask()
        message = await self.message()
        client.hang_up()
        await self.helper.make_dispatch_reply(message, "hello")
        self.assertEqual(self.events(), [("nack", "Could not find original request.")])

    async def test_a_reply_that_has_an_error_is_nacked_once_by_its_holder(self) -> None:
        class Broken(EchoTransport):
            def make_answer(self, message: Any, held: Any) -> Any:
                raise ValueError("no such menu")

        await self.start(Broken)
        self.ask()
        await self.helper.make_dispatch_reply(await self.message(), "hello")
        self.assertEqual(self.events(), [("nack", "no such menu")])
        self.assertEqual(len(self.helper.get_dispatched_failures()), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_a_transport_that_does_all_by_itself_gets_replies_handed_on_too(self) -> None:
        class ByHand(EchoTransport):
            def handle_outbound_message(self, message: Any) -> Any:
                self.finish_request(message["in_reply_to"], message["content"] + "!")
                return self.publish_ack(message["message_id"], "x")

        await self.start(ByHand)
        client = self.ask()
        await self.helper.make_dispatch_reply(await self.message(), "hello")
        self.assertEqual(client.response.body, b"hello!")

    async def test_middleware_sees_a_reply_once(self) -> None:
        records = []

        class Watching(EchoTransport):
            def make_answer(self, message: Any, held: Any) -> Any:
                records.append(message["record"])
                return super().make_answer(message, held)

        recorder = "vumi.middleware.tests.utils.RecordingMiddleware"
        await self.start(Watching, middleware=[{"recorder": recorder}])
        self.ask()
        await self.helper.make_dispatch_reply(await self.message(), "hello")
        self.assertEqual(records, [[["recorder", "outbound", self.holder.transport_name]]])

    async def test_it_can_be_turned_off(self) -> None:
        await self.start(hand_on_replies=False)
        client = self.ask()
        await self.helper.make_dispatch_reply(await self.message(), "hello")
        assert not client.is_answered
        self.assertEqual(self.events(), [("nack", "Could not find original request.")])

    async def test_a_broker_that_comes_back_brings_the_queues_back(self) -> None:
        await self.start()
        client = self.ask()
        message = await self.message()
        for transport in self.transports:
            transport.broker.interrupt()
        await self.helper.make_dispatch_reply(message, "hello")
        self.assertEqual(client.response.body, b"hello")


class Replier:
    """Answers replies, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[None]]] = []

    def __call__(self, message: TransportUserMessage) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self.asked.append((message["content"], done))
        return done


class ProtocolTests(TestCase):
    """Two ends on a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = MemoryBroker(self.clock)
        self.replier = Replier()
        self.near = self.end("0" * 12)
        self.message = TransportUserMessage(
            to_addr="1",
            from_addr="2",
            transport_name="t",
            transport_type="ussd",
            transport_metadata={},
            content="hé",
        )

    def end(self, instance_id: str) -> Handover:
        connection = self.broker.connect()
        self.successResultOf(connection.start())
        end = Handover(connection, "t", instance_id, self.replier)
        self.successResultOf(Deferred.fromCoroutine(end.open()))
        return end

    def hand_on(self) -> Deferred[bool]:
        handed = Deferred.fromCoroutine(self.near.hand_on(self.message, "f" * 12))
        self.turns()
        return handed

    def turns(self) -> None:
        for _ in range(5):
            self.clock.advance(0)

    def test_it_is_taken_when_the_holder_is_done_and_not_before(self) -> None:
        self.end("f" * 12)
        handed = self.hand_on()
        [(content, done)] = self.replier.asked
        self.assertEqual(content, "hé")
        self.assertNoResult(handed)
        done.callback(None)
        self.turns()
        self.assertEqual(self.successResultOf(handed), True)

    def test_a_holder_without_a_queue_is_gone(self) -> None:
        self.assertEqual(self.successResultOf(self.hand_on()), False)

    def test_a_holder_that_is_still_at_it_is_not_disturbed(self) -> None:
        self.end("f" * 12)
        handed = self.hand_on()
        with LogCatcher() as log:
            self.clock.pump([1] * 10)
        assert "silent" in "".join(log.messages())
        [(_, done)] = self.replier.asked
        done.callback(None)
        self.turns()
        self.assertEqual(self.successResultOf(handed), True)

    def test_a_holder_that_has_lost_a_reply_gets_it_again(self) -> None:
        # Its connection was lost between the broker's confirmation and the delivery.
        far = self.end("f" * 12)
        handed = Deferred.fromCoroutine(self.near.hand_on(self.message, "f" * 12))
        self.broker.queues[far.queue_of("f" * 12)].ready.clear()
        self.turns()
        self.assertEqual(self.replier.asked, [])
        self.clock.advance(2)
        self.turns()
        self.replier.asked[0][1].callback(None)
        self.turns()
        self.assertEqual(self.successResultOf(handed), True)

    def test_what_was_answered_is_not_answered_again(self) -> None:
        # Another process has handed it on, and has ended before it heard "done".
        self.end("f" * 12)
        first = self.hand_on()
        self.replier.asked[0][1].callback(None)
        self.turns()
        second = self.hand_on()
        self.assertEqual([self.successResultOf(first), self.successResultOf(second)], [True] * 2)
        self.assertEqual(len(self.replier.asked), 1)

    def test_what_could_not_be_answered_is_tried_again(self) -> None:
        self.end("f" * 12)
        handed = self.hand_on()
        self.replier.asked[0][1].errback(ValueError("once"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.clock.advance(2)
        self.turns()
        self.replier.asked[1][1].callback(None)
        self.turns()
        self.assertEqual(self.successResultOf(handed), True)

    def test_a_holder_that_stays_silent_is_given_up(self) -> None:
        self.end("f" * 12)
        handed = self.hand_on()
        self.clock.pump([1] * 59)
        self.assertNoResult(handed)
        self.clock.pump([1] * 3)
        self.assertEqual(self.successResultOf(handed), False)

    def test_after_the_broker_was_away_a_holder_gets_some_time_to_come_back(self) -> None:
        self.near.interrupted()
        handed = self.hand_on()
        self.clock.pump([1] * 5)
        self.assertNoResult(handed)
        self.end("f" * 12)
        self.clock.pump([1])
        self.turns()
        self.replier.asked[0][1].callback(None)
        self.turns()
        self.assertEqual(self.successResultOf(handed), True)

    def test_that_time_is_bounded(self) -> None:
        self.near.interrupted()
        handed = self.hand_on()
        self.clock.pump([1] * 9)
        self.assertNoResult(handed)
        self.clock.pump([1] * 2)
        self.assertEqual(self.successResultOf(handed), False)
        self.assertEqual(self.successResultOf(self.hand_on()), False)

    def test_garbage_is_dropped_and_logged(self) -> None:
        self.end("f" * 12)
        good = handover.MESSAGE % (b"0" * 12, b"{}")
        for body in (b"", b"{}", b"done:\xff", good, good[:-1], b"\xff" + good):
            with LogCatcher() as log:
                self.broker.publish("vumi", "t.outbound." + "f" * 12, body)
                self.turns()
            assert "can't be understood" in "".join(log.messages()) or log.errors, body
        self.assertEqual(self.replier.asked, [])

    def test_a_done_that_nobody_waits_for_is_no_error(self) -> None:
        self.broker.publish("vumi", "t.outbound." + "0" * 12, b"done:x")
        self.turns()

    def test_whoever_waits_when_the_transport_stops_is_told(self) -> None:
        self.end("f" * 12)
        handed = self.hand_on()
        self.successResultOf(Deferred.fromCoroutine(self.near.close()))
        self.failureResultOf(handed, BrokerClosed)
        self.near.interrupted()
        waiting = Deferred.fromCoroutine(self.near.hand_on(self.message, "e" * 12))
        self.successResultOf(Deferred.fromCoroutine(self.near.close()))
        self.failureResultOf(waiting, BrokerClosed)
        self.turns()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        # The one who was to be told is gone: no error either.
        self.replier.asked[0][1].callback(None)
        self.turns()
        self.assertEqual(self.flushLoggedErrors(), [])
