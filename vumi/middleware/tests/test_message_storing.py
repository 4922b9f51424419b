"""Storing: all that passes is stored before it goes on, and an outage loses nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.components.message_store.interface import Kind
from vumi.errors import ConfigError, HandleLater, StoreError, StoreUnavailable
from vumi.message import utc_now
from vumi.middleware import StoringMiddleware, TaggingMiddleware
from vumi.tests.helpers import MessageHelper, VumiTestCase
from vumi.transports import Transport
from vumi.transports.tests.helpers import TransportHelper

PATH = "vumi.middleware.StoringMiddleware"
CONFIG = {"message_store": {"url": "sqlite://"}}
WITH_CACHE = {**CONFIG, "redis_manager": {"FAKE_REDIS": "yes"}}


class Outage:
    """Makes a store's archive fail, as one does whose patience has ended.

    :param store: The message store.
    :param error: What it fails with.
    """

    def __init__(self, store: Any, error: type[StoreError] = StoreUnavailable) -> None:
        self._archive = store.archive
        self._error = error
        self.tries = 0
        for name in ("store_message", "store_event", "get_current_tag"):
            setattr(self._archive, name, self._fail)

    async def _fail(self, *args: Any) -> Any:
        self.tries += 1
        raise self._error("The archive is away.")

    def end(self) -> None:
        for name in ("store_message", "store_event", "get_current_tag"):
            delattr(self._archive, name)


class HookTests(VumiTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.messages = self.add_helper(MessageHelper())

    async def middleware(self, **options: Any) -> Any:
        middleware = StoringMiddleware("store", {**WITH_CACHE, **options}, None)
        middleware.clock = self.clock
        await middleware.setup_middleware()
        self.add_cleanup(middleware.teardown_middleware)
        return middleware

    async def test_each_kind_is_stored_on_its_way_in_and_out(self) -> None:
        middleware = await self.middleware()
        for number, (kind, make) in enumerate(
            (
                ("inbound", self.messages.make_inbound),
                ("outbound", self.messages.make_outbound),
            )
        ):
            for direction in ("consume", "publish"):
                message = make("hi", message_id=f"{number}{direction}")
                handle = getattr(middleware, f"handle_{direction}_{kind}")
                self.assertIs(await handle(message, "line"), message)
                get = getattr(middleware.store, f"get_{kind}_message")
                self.assertEqual(await get(message["message_id"]), message)
        for direction in ("consume", "publish"):
            event = self.messages.make_ack(event_id=direction)
            handle = getattr(middleware, f"handle_{direction}_event")
            self.assertIs(await handle(event, "line"), event)
            self.assertEqual(await middleware.store.get_event(direction), event)

    async def test_without_store_on_consume_only_what_is_published_is_stored(self) -> None:
        middleware = await self.middleware(store_on_consume=False)
        message, event = self.messages.make_inbound("hi"), self.messages.make_ack()
        self.assertIs(middleware.handle_consume_inbound(message, "line"), message)
        self.assertIs(middleware.handle_consume_outbound(message, "line"), message)
        self.assertIs(middleware.handle_consume_event(event, "line"), event)
        self.assertEqual(await middleware.store.archive.count(Kind.INBOUND), 0)
        await middleware.handle_publish_inbound(message, "line")
        self.assertEqual(await middleware.store.archive.count(Kind.INBOUND), 1)

    async def test_a_message_belongs_to_the_batch_of_its_tag(self) -> None:
        middleware = await self.middleware()
        batch_id = await middleware.store.batch_start([("pool", "tag")])
        message = self.messages.make_outbound("hi")
        TaggingMiddleware.add_tag_to_msg(message, ("pool", "tag"))
        await middleware.handle_publish_outbound(message, "line")
        ack = self.messages.make_ack(message)
        await middleware.handle_publish_event(ack, "line")
        self.assertEqual(
            await middleware.store.batch_outbound_keys(batch_id), [message["message_id"]]
        )
        status = await middleware.store.batch_status(batch_id)
        self.assertEqual((status["sent"], status["ack"]), (1, 1))

    async def test_a_date_in_an_events_metadata_is_a_text_others_can_read(self) -> None:
        middleware = await self.middleware()
        date = datetime(2026, 1, 2, 3, 4, 5)
        event = self.messages.make_ack(transport_metadata={"date": date}, event_id="e")
        await middleware.handle_publish_event(event, "line")
        stored = await middleware.store.get_event("e")
        self.assertEqual(stored["transport_metadata"], {"date": "2026-01-02T03:04:05"})

    async def test_what_the_store_refuses_is_an_error_of_that_message(self) -> None:
        middleware = await self.middleware()
        Outage(middleware.store, StoreError)
        message = self.messages.make_outbound("hi")
        for handle in (middleware.handle_consume_outbound, middleware.handle_publish_outbound):
            with self.assertRaises(StoreError):
                await handle(message, "line")

    async def test_while_the_store_is_away_what_comes_is_for_later(self) -> None:
        middleware = await self.middleware()
        outage = Outage(middleware.store)
        message, event = self.messages.make_inbound("hi"), self.messages.make_ack()
        for handle, subject in (
            (middleware.handle_consume_inbound, message),
            (middleware.handle_publish_inbound, message),
            (middleware.handle_consume_outbound, message),
            (middleware.handle_consume_event, event),
        ):
            with self.assertRaises(HandleLater):
                await handle(subject, "line")
        outage.end()
        await middleware.handle_consume_inbound(message, "line")

    async def test_while_the_store_is_away_results_wait_as_their_cause_must_not_be_repeated(
        self,
    ) -> None:
        middleware = await self.middleware()
        outage = Outage(middleware.store)
        message, event = self.messages.make_outbound("hi"), self.messages.make_ack()
        waiting = [
            Deferred.fromCoroutine(middleware.handle_publish_outbound(message, "line")),
            Deferred.fromCoroutine(middleware.handle_publish_event(event, "line")),
        ]
        for seconds in (0.5, 1, 2, 4, 8, 16, 30, 30):
            tries = outage.tries
            self.clock.advance(seconds - 0.01)
            self.assertEqual(outage.tries, tries)
            self.clock.advance(0.01)
            self.assertEqual(outage.tries, tries + 2)
        outage.end()
        self.clock.advance(30)
        self.assertEqual([await waited for waited in waiting], [message, event])
        self.assertIsNotNone(await middleware.store.get_outbound_message(message["message_id"]))

    async def test_no_answer_overtakes_another_of_its_conversation_that_waits(self) -> None:
        middleware = await self.middleware()
        outage = Outage(middleware.store)
        done: list[str] = []

        async def publish(content: str, to_addr: str) -> None:
            message = self.messages.make_outbound(content, to_addr=to_addr)
            await middleware.handle_publish_outbound(message, "line")
            done.append(content)

        waiting = [Deferred.fromCoroutine(publish("first", "+271"))]
        self.clock.advance(0.5)
        waiting.append(Deferred.fromCoroutine(publish("second", "+271")))
        outage.end()
        waiting.append(Deferred.fromCoroutine(publish("third", "+271")))
        await publish("another's", "+272")
        self.assertEqual(done, ["another's"])
        self.clock.advance(30)
        for waited in waiting:
            await waited
        self.assertEqual(done, ["another's", "first", "second", "third"])
        self.assertEqual(len(middleware._turns), 0)

    async def test_what_waits_when_the_worker_stops_is_for_later(self) -> None:
        middleware = await self.middleware()
        Outage(middleware.store)
        message = self.messages.make_outbound("hi")
        waiting = Deferred.fromCoroutine(middleware.handle_publish_outbound(message, "line"))
        await middleware.teardown_middleware()
        with self.assertRaises(HandleLater):
            await waiting
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_what_is_older_than_it_is_to_be_kept_is_erased(self) -> None:
        middleware = await self.middleware(
            message_store={"url": "sqlite://", "keep_for": 24 * 3600}
        )
        for days in (0, 2):
            message = self.messages.make_inbound(
                "hi", message_id=f"{days} days", timestamp=utc_now() - timedelta(days=days)
            )
            await middleware.handle_consume_inbound(message, "line")
        archive = middleware.store.archive
        erased = Deferred[None]()
        delete = archive.delete_before

        async def deleting(*args: Any) -> Any:
            count = await delete(*args)
            if not count:
                erased.callback(None)
            return count

        archive.delete_before = deleting
        # The first purge may be under way; the next one finds what was stored after it.
        self.clock.pump([3600, 1, 1])
        while not erased.called:
            await middleware.store.archive.count(Kind.INBOUND)
            self.clock.advance(1)
        self.assertIsNone(await middleware.store.get_inbound_message("2 days"))
        self.assertIsNotNone(await middleware.store.get_inbound_message("0 days"))

    async def test_a_middleware_without_a_store_is_refused(self) -> None:
        with self.assertRaises(ConfigError):
            StoringMiddleware("store", {}, None)

    async def test_what_was_never_set_up_can_be_torn_down(self) -> None:
        await StoringMiddleware("a", CONFIG, None).teardown_middleware()


class EchoApplication(ApplicationWorker):
    """Answers, and does not wait for its answer to be published."""

    def setup_application(self) -> None:
        self.heard: list[str] = []

    def consume_user_message(self, message: Any) -> None:
        self.heard.append(message["content"])
        _ = self.reply_to(message, message["content"])


class WorkerTests(VumiTestCase):
    """The whole way, over a broker in memory."""

    def setUp(self) -> None:
        self.helper: Any = None

    async def application(self) -> Any:
        self.helper = self.add_helper(ApplicationHelper(EchoApplication))
        config = {"middleware": [{"store": PATH}], "store": CONFIG}
        return await self.helper.get_application(config)

    def flow(self, worker: Any, kind: str) -> Any:
        (connector,) = worker.connectors.values()
        return connector._inlets[kind].consumer.flow

    async def test_a_message_is_stored_before_the_application_sees_it_and_its_reply_too(
        self,
    ) -> None:
        worker = await self.application()
        message = await self.helper.make_dispatch_inbound("hi")
        (reply,) = await self.helper.wait_for_dispatched_outbound(1)
        store = worker.middlewares[0].store
        self.assertEqual((await store.get_inbound_message(message["message_id"])), message)
        self.assertEqual((await store.get_outbound_message(reply["message_id"])), reply)

    async def test_while_the_store_is_away_messages_stay_unacknowledged_and_in_order(
        self,
    ) -> None:
        worker = await self.application()
        outage = Outage(worker.middlewares[0].store)
        flow = self.flow(worker, "inbound")
        sent = [
            self.helper.make_dispatch_inbound(str(number), from_addr="+271") for number in range(5)
        ]
        while not flow.counters.put_off:
            await deferLater(worker.clock, 0)
        self.assertEqual((worker.heard, flow.counters.in_flight), ([], 5))
        self.assertEqual((flow.counters.dead_lettered, flow.counters.handled), (0, 0))
        outage.end()
        for dispatched in sent:
            await dispatched
        replies = await self.helper.wait_for_dispatched_outbound(5)
        self.assertEqual(worker.heard, ["0", "1", "2", "3", "4"])
        self.assertEqual([reply["content"] for reply in replies], worker.heard)
        self.assertEqual(flow.counters.dead_lettered, 0)

    async def test_a_transport_stores_what_it_is_to_send_and_what_became_of_it(self) -> None:
        class Sending(Transport):
            async def handle_outbound_message(self, message: Any) -> None:
                await self.publish_ack(message["message_id"], "sent")

        helper = self.add_helper(TransportHelper(Sending))
        worker = await helper.get_transport({"middleware": [{"store": PATH}], "store": CONFIG})
        message = await helper.make_dispatch_outbound("hi")
        (ack,) = await helper.wait_for_dispatched_events(1)
        store = worker.middlewares[0].store
        self.assertEqual(await store.get_outbound_message(message["message_id"]), message)
        self.assertEqual(await store.get_events_for_message(message["message_id"]), [ack])

    async def test_a_transport_tells_its_network_when_a_message_could_not_be_stored(self) -> None:
        helper = self.add_helper(TransportHelper(Transport))
        worker = await helper.get_transport({"middleware": [{"store": PATH}], "store": CONFIG})
        Outage(worker.middlewares[0].store)
        fields = {"to_addr": "8864", "from_addr": "+271", "content": "hi"}
        with self.assertRaises(HandleLater):
            await worker.publish_message(**fields, transport_type="sms")
        self.assertEqual(helper.get_dispatched_inbound(), [])
