"""The application of the conversation test: replies, and writes down what becomes of replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from vumi.application import ApplicationWorker

if TYPE_CHECKING:
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["Conversing"]


class Conversing(ApplicationWorker):
    """Replies with what was said, the other way round."""

    _log = Logger()

    async def consume_user_message(self, message: TransportUserMessage) -> None:
        reply = await self.reply_to(message, str(message["content"])[::-1])
        self._log.info("replied {id}", id=reply["message_id"])

    def consume_ack(self, event: TransportEvent) -> None:
        self._log.info(
            "ack {id} {remote_id}", id=event["user_message_id"], remote_id=event["sent_message_id"]
        )

    def consume_delivery_report(self, event: TransportEvent) -> None:
        self._log.info(
            "report {id} {status} {word}",
            id=event["user_message_id"],
            status=event["delivery_status"],
            word=event["transport_metadata"]["smpp_delivery_status"],
        )
