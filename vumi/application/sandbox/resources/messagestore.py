"""The resource by which a sandboxed program learns how its conversation is doing.

Knows which batch of the message store a conversation is, and which of the store's figures answers
which command. Counts nothing itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.declared import (
    NUMBER,
    TEXT_OR_NULL,
    Argument,
    DeclaredResource,
    answers,
)
from vumi.components.message_store.config import MessageStoreOptions
from vumi.components.message_store.interface import Kind, Order
from vumi.config import Config, ConfigDict, ConfigList, ConfigText

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["MessageStoreResource", "MessageStoreResourceConfig"]

DEFAULT_SAMPLE_TIME = 300
CONVERSATION = Argument(
    "conversation_key",
    TEXT_OR_NULL,
    "Which conversation, one of the option ``batches``; the application's own if it is left out.",
    optional=True,
)
SAMPLE_TIME = Argument(
    "sample_time",
    NUMBER,
    "How long before the newest message to look, in seconds.",
    optional=True,
    default=DEFAULT_SAMPLE_TIME,
)


class MessageStoreResourceConfig(MessageStoreOptions):
    """Options of the message store resource: where messages are, and which are a conversation's.

    The store is filled by the middleware that stores messages.
    """

    batch_id = ConfigText("The batch that has the application's own messages.", static=True)
    tag = ConfigList(
        "The tag, as a list of pool and name, whose batch of the moment has the application's own "
        "messages. Instead of batch_id.",
        static=True,
    )
    batches = ConfigDict(
        "Other conversations that programs may ask about: key -> batch.", default={}, static=True
    )

    def post_validate(self) -> None:
        super().post_validate()
        if (self.batch_id is None) == (self.tag is None):
            self.raise_config_error("Give either batch_id or tag.")
        tag = self.tag
        if tag is not None and (len(tag) != 2 or not all(isinstance(part, str) for part in tag)):
            self.raise_config_error("Field 'tag' must be a list of two texts: pool and name.")


class MessageStoreResource(DeclaredResource):
    """Tells figures of conversations."""

    CONFIG_CLASS: ClassVar[type[Config]] = MessageStoreResourceConfig

    def __init__(self, name: str, app_worker: Any, config: Any) -> None:
        super().__init__(name, app_worker, config)
        self._store: Any = None

    async def setup(self) -> None:
        """Open the store."""
        # Its libraries are extras.
        from vumi.components.message_store import MessageStore

        self._store = await MessageStore.from_config(self.options.store_options())

    async def teardown(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    # Which figures

    async def _batch(self, conversation_key: str | None) -> str | None:
        """The batch of a conversation; ``None`` if there is none."""
        if conversation_key is not None:
            batch: str | None = self.options.batches.get(conversation_key)
            return batch
        if self.options.tag is None:
            own: str | None = self.options.batch_id
            return own
        current: str | None = (await self._store.get_tag_info(self.options.tag)).current_batch
        return current

    async def _is_counted(self, batch: str) -> bool:
        cache = self._store.cache
        return cache is not None and bool(await cache.batch_exists(batch))

    async def _count(self, direction: str, batch: str) -> int:
        if await self._is_counted(batch):
            counted: int = await getattr(self._store.cache, f"{direction}_message_count")(batch)
            return counted
        exact: int = await getattr(self._store, f"batch_{direction}_count")(batch)
        return exact

    async def _uniques(self, direction: str, batch: str) -> int:
        if await self._is_counted(batch):
            cache = self._store.cache
            count = cache.count_from_addrs if direction == "inbound" else cache.count_to_addrs
            about: int = await count(batch)
            return about
        stats = await getattr(self._store, f"batch_{direction}_stats")(batch)
        exact: int = stats["unique_addresses"]
        return exact

    async def _throughput(self, direction: str, batch: str, seconds: float) -> float:
        """Messages a minute."""
        if await self._is_counted(batch):
            count = getattr(self._store.cache, f"count_{direction}_throughput")
            number = await count(batch, seconds)
        else:
            number = await self._number_of_newest(direction, batch, seconds)
        return float(number) * 60 / seconds

    async def _number_of_newest(self, direction: str, batch: str, seconds: float) -> int:
        archive, kind = self._store.archive, Kind(direction)
        newest = await archive.page(kind, batch, Order.NEWEST_FIRST, 1)
        if not newest.entries:
            return 0
        start = newest.entries[0].timestamp - timedelta(seconds=seconds)
        total: int = (await archive.stats(kind, batch, start)).total
        return total

    async def _answer(
        self, conversation_key: str | None, name: str, figure: Any, *args: Any
    ) -> dict[str, Any]:
        batch = await self._batch(conversation_key)
        if batch is None:
            raise CommandRefused("Conversation not found")
        return {name: await figure(*args, batch)}

    # Commands

    @answers(CONVERSATION, progress_status="Name -> number: ack, nack, sent and so on.")
    async def handle_progress_status(
        self, api: SandboxApi, command: SandboxCommand, conversation_key: str | None
    ) -> dict[str, Any]:
        """Tell what became of the messages that were sent."""
        status = self._store.batch_status
        return await self._answer(conversation_key, "progress_status", status)

    @answers(CONVERSATION, count="How many.")
    async def handle_count_replies(
        self, api: SandboxApi, command: SandboxCommand, conversation_key: str | None
    ) -> dict[str, Any]:
        """Count the messages from users."""
        return await self._answer(conversation_key, "count", self._count, "inbound")

    @answers(CONVERSATION, count="How many.")
    async def handle_count_sent_messages(
        self, api: SandboxApi, command: SandboxCommand, conversation_key: str | None
    ) -> dict[str, Any]:
        """Count the messages to users."""
        return await self._answer(conversation_key, "count", self._count, "outbound")

    @answers(CONVERSATION, count="How many; of many, about how many.")
    async def handle_count_inbound_uniques(
        self, api: SandboxApi, command: SandboxCommand, conversation_key: str | None
    ) -> dict[str, Any]:
        """Count the users that wrote."""
        return await self._answer(conversation_key, "count", self._uniques, "inbound")

    @answers(CONVERSATION, count="How many; of many, about how many.")
    async def handle_count_outbound_uniques(
        self, api: SandboxApi, command: SandboxCommand, conversation_key: str | None
    ) -> dict[str, Any]:
        """Count the users that were written to."""
        return await self._answer(conversation_key, "count", self._uniques, "outbound")

    async def _throughput_answer(
        self, conversation_key: str | None, sample_time: float, direction: str
    ) -> dict[str, Any]:
        if not sample_time > 0:
            raise CommandRefused("'sample_time' must be more than 0.")

        async def throughput(batch: str) -> float:
            return await self._throughput(direction, batch, sample_time)

        return await self._answer(conversation_key, "throughput", throughput)

    @answers(CONVERSATION, SAMPLE_TIME, throughput="Messages a minute.")
    async def handle_inbound_throughput(
        self,
        api: SandboxApi,
        command: SandboxCommand,
        conversation_key: str | None,
        sample_time: float,
    ) -> dict[str, Any]:
        """Tell how many messages a minute come from users."""
        return await self._throughput_answer(conversation_key, sample_time, "inbound")

    @answers(CONVERSATION, SAMPLE_TIME, throughput="Messages a minute.")
    async def handle_outbound_throughput(
        self,
        api: SandboxApi,
        command: SandboxCommand,
        conversation_key: str | None,
        sample_time: float,
    ) -> dict[str, Any]:
        """Tell how many messages a minute go to users."""
        return await self._throughput_answer(conversation_key, sample_time, "outbound")
