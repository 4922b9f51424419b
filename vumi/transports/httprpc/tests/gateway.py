"""Both ends of the scale-out test, each run in processes of its own: a gateway and an application.

The gateway keeps sessions in Redis: the first message of one has no text.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.task import deferLater

from vumi.application import ApplicationConfig, ApplicationWorker
from vumi.components.session import SessionManager
from vumi.config import ConfigDict
from vumi.persist.txredis_manager import TxRedisManager
from vumi.transports.httprpc import Answer, Fields, HttpRpcTransport, HttpRpcTransportConfig

__all__ = ["CountingEcho", "GatewayTransport"]

GREETING = "Who is it?"
#: Seconds that the application takes for a text that begins with "slow".
SLOWLY = 4.0


class GatewayConfig(HttpRpcTransportConfig):
    redis_manager = ConfigDict("Where sessions are.", required=True, static=True)


class GatewayTransport(HttpRpcTransport):
    CONFIG_CLASS: ClassVar[Any] = GatewayConfig

    transport_type = "ussd"

    FIELDS = Fields("session", "msisdn", "text")

    async def setup_provider(self) -> None:
        self.sessions = await SessionManager.from_redis_config(
            self.get_static_config().redis_manager, "sessions", 60
        )

    async def teardown_provider(self) -> None:
        await self.sessions.stop()

    async def receive(self, incoming: Any) -> dict[str, Any]:
        values = incoming.values(self.FIELDS)
        session = await self.sessions.load_session(values["session"])
        if not session:
            await self.sessions.create_session(values["session"], msisdn=values["msisdn"])
        return {
            "from_addr": values["msisdn"],
            "to_addr": "*120#",
            "content": values["text"] if session else None,
            "session_event": "resume" if session else "new",
        }

    def make_answer(self, message: Any, held: Any) -> Answer:
        return Answer(f"{message['to_addr']}: {message['content']}")


class CountingEchoConfig(ApplicationConfig):
    redis_manager = ConfigDict("Where events are counted.", required=True, static=True)


class CountingEcho(ApplicationWorker):
    """Echoes, and counts the events it gets in Redis."""

    CONFIG_CLASS: ClassVar[Any] = CountingEchoConfig

    async def setup_application(self) -> None:
        self.redis = await TxRedisManager.from_config(self.get_static_config().redis_manager)

    async def teardown_application(self) -> None:
        await self.redis.close_manager()

    async def consume_user_message(self, message: Any) -> None:
        text = message["content"]
        if text is not None and text.startswith("slow"):
            await self.redis.incr("slow")
            await deferLater(self.clock, SLOWLY)
        await self.reply_to(message, GREETING if text is None else text)

    async def consume_ack(self, event: Any) -> None:
        await self.redis.incr("ack")

    async def consume_nack(self, event: Any) -> None:
        await self.redis.incr(f"nack {event['nack_reason']}")
