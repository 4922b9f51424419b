from __future__ import annotations

from typing import Any

from vumi.application.sandbox.resources.messagestore import MessageStoreResource
from vumi.application.sandbox.resources.tests.stored import StoredResourceTestCase
from vumi.components.message_store.tests.test_cache import event, message
from vumi.errors import ConfigError

OK = {"success": True}


class TestWithoutCache(StoredResourceTestCase):
    resource_cls = MessageStoreResource

    def store_config(self) -> dict[str, Any]:
        return {"url": "sqlite://"}

    async def filled(self, **config: Any) -> None:
        """Messages a second apart: six from three users, four to two of them."""
        config = config or {"tag": ["pool", "tag"], "batches": {"other": "b2"}}
        await self.create_resource({"message_store": self.store_config(), **config})
        store = self.resource._store
        batch = await store.batch_start([("pool", "tag")])
        for number in range(6):
            await store.add_inbound_message(message(number), batch_id=batch)
        for number in range(4):
            await store.add_outbound_message(message(number), batch_id=batch)
        await store.add_event(event(1))
        await store.batch_start([], batch_id="b2")
        await store.add_inbound_message(message(9), batch_id="b2")

    async def test_figures_of_the_applications_own_conversation(self) -> None:
        await self.filled()
        for cmd, count in (
            ("count_replies", 6),
            ("count_sent_messages", 4),
            ("count_inbound_uniques", 3),
            ("count_outbound_uniques", 2),
        ):
            self.assertEqual(await self.ask(cmd), {**OK, "count": count}, cmd)
            self.assertEqual(await self.ask(cmd, conversation_key=None), {**OK, "count": count})
        status = (await self.ask("progress_status"))["progress_status"]
        self.assertEqual((status["sent"], status["ack"], status["nack"]), (4, 1, 0))

    async def test_throughput_is_told_by_the_minute(self) -> None:
        await self.filled()
        whole = {**OK, "throughput": 6 / 5}
        self.assertEqual(await self.ask("inbound_throughput"), whole)
        self.assertEqual(await self.ask("outbound_throughput"), {**OK, "throughput": 4 / 5})
        # The newest, and those that are not older by more than this.
        self.assertEqual(
            await self.ask("inbound_throughput", sample_time=2), {**OK, "throughput": 90.0}
        )
        reply = await self.ask("inbound_throughput", sample_time=0)
        self.assertEqual(reply["reason"], "'sample_time' must be more than 0.")

    async def test_another_conversation(self) -> None:
        await self.filled()
        reply = await self.ask("count_replies", conversation_key="other")
        self.assertEqual(reply, {**OK, "count": 1})

    async def test_a_conversation_that_is_not_the_applications_is_not_told_of(self) -> None:
        await self.filled()
        for cmd in ("count_replies", "progress_status", "inbound_throughput"):
            reply = await self.ask(cmd, conversation_key="b2")
            self.assertEqual(reply, {"success": False, "reason": "Conversation not found"})

    async def test_a_conversation_without_messages(self) -> None:
        await self.filled(batch_id="empty")
        self.assertEqual((await self.ask("count_replies"))["count"], 0)
        self.assertEqual((await self.ask("count_inbound_uniques"))["count"], 0)
        self.assertEqual((await self.ask("inbound_throughput"))["throughput"], 0.0)

    async def test_a_tag_that_is_not_in_use(self) -> None:
        await self.filled(tag=["pool", "free"])
        reply = await self.ask("count_replies")
        self.assertEqual(reply["reason"], "Conversation not found")

    async def test_bad_options_are_refused(self) -> None:
        for config in (
            {},
            {"batch_id": "b"},
            {"message_store": "sqlite://"},
            {"message_store": "sqlite://", "batch_id": "b", "tag": ["a", "b"]},
            {"message_store": "sqlite://", "tag": ["a"]},
        ):
            with self.assertRaises(ConfigError):
                MessageStoreResource("store", None, config)


class TestWithCache(TestWithoutCache):
    def store_config(self) -> dict[str, Any]:
        return {"url": "sqlite://", "redis_manager": self.redis_config()}
