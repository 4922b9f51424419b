"""What the network tells of messages that were sent.

Knows delivery reports and, where the network has ids of its own, which of our messages they mean.
Knows no HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vumi.persist.txredis_manager import TxRedisManager

__all__ = ["DEFAULT_LIFETIME", "DeliveryReport", "RemoteIds"]

#: Seconds that a network's id is remembered: a week.
DEFAULT_LIFETIME = 7 * 24 * 3600


class DeliveryReport:
    """What became of a message; returned by :meth:`~.HttpSmsTransport.receive`.

    :param delivery_status: ``pending``, ``delivered`` or ``failed``.
    :param user_message_id: Our id of the message, if the network has sent it back.
    :param sent_message_id: Otherwise, the network's id, as told in the ack.
    :param fields: Further fields of the event, such as ``transport_metadata``.
    """

    __slots__ = ("delivery_status", "fields", "sent_message_id", "user_message_id")

    def __init__(
        self,
        delivery_status: str,
        user_message_id: str | None = None,
        sent_message_id: str | None = None,
        **fields: Any,
    ) -> None:
        self.delivery_status = delivery_status
        self.user_message_id = user_message_id
        self.sent_message_id = sent_message_id
        self.fields = fields


class RemoteIds:
    """Remembers in Redis which message a network's id means.

    :param redis: With a key prefix of the transport's own.
    :param lifetime: For how many seconds.
    """

    def __init__(self, redis: TxRedisManager, lifetime: int = DEFAULT_LIFETIME) -> None:
        self._redis = redis
        self._lifetime = lifetime

    async def remember(self, sent_message_id: str, message_id: str) -> None:
        """Note that the network calls a message by an id.

        :raises StoreError: Redis can't be asked.
        """
        await self._redis.setex(_key(sent_message_id), self._lifetime, message_id)

    async def message_id_of(self, sent_message_id: str) -> str | None:
        """Our id of the message that the network means; ``None`` if that isn't known (any more).

        :raises StoreError: Redis can't be asked.
        """
        message_id: str | None = await self._redis.get(_key(sent_message_id))
        return message_id


def _key(sent_message_id: str) -> str:
    return f"remote_message:{sent_message_id}"
