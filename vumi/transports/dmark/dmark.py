"""The transport to Dmark's USSD gateway.

Knows the gateway's parameters and answers. How requests are held and answered is
:mod:`vumi.transports.httprpc`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.components.session import SessionManager
from vumi.config import ConfigBool, ConfigInt
from vumi.persist.config import ConfigRedis
from vumi.transports.httprpc import Answer, Fields, HttpRpcTransport, HttpRpcTransportConfig

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import HeldRequest, Incoming

__all__ = ["DmarkUssdTransport", "DmarkUssdTransportConfig"]


class DmarkUssdTransportConfig(HttpRpcTransportConfig):
    """Options of the transport to Dmark."""

    ussd_session_timeout = ConfigInt(
        "How long a session is remembered after its last request, in seconds.",
        default=600,
        static=True,
    )
    fix_to_addr = ConfigBool(
        "Whether service codes get the * before and the # after that the gateway leaves out.",
        default=False,
        static=True,
    )
    redis_manager = ConfigRedis(
        "Where sessions are kept: the options of the key-value store.", default={}, static=True
    )


class DmarkUssdTransport(HttpRpcTransport):
    """USSD through Dmark's gateway in Uganda."""

    CONFIG_CLASS: ClassVar[Any] = DmarkUssdTransportConfig

    transport_type = "ussd"

    FIELDS = Fields(
        "transactionId",
        "msisdn",
        "ussdServiceCode",
        "transactionTime",
        "ussdRequestString",
        "creationTime",
        "response",
    )

    async def setup_provider(self) -> None:
        config = self.get_static_config()
        self._fix_to_addr: bool = config.fix_to_addr
        self.session_manager = await SessionManager.from_redis_config(
            config.redis_manager,
            f"vumi.transports.dmark_ussd:{self.transport_name}",
            config.ussd_session_timeout,
        )

    async def teardown_provider(self) -> None:
        await self.session_manager.stop()

    # From the gateway

    async def receive(self, incoming: Incoming) -> dict[str, Any]:
        values = incoming.values(self.FIELDS)
        session_id = values["transactionId"]
        to_addr = self._to_addr(values["ussdServiceCode"])
        # Whatever the parameter "response" says: the gateway sends it late or not at all.
        is_new = not await self.session_manager.load_session(session_id)
        session = {"from_addr": values["msisdn"], "to_addr": to_addr}
        if is_new:
            await self.session_manager.create_session(session_id, **session)
        else:
            # A conversation lives as long as it goes on.
            await self.session_manager.save_session(session_id, session)
        return {
            "from_addr": values["msisdn"],
            "to_addr": to_addr,
            "content": None if is_new else values["ussdRequestString"],
            "session_event": "new" if is_new else "resume",
            "provider": "dmark",
            "helper_metadata": {"session_id": session_id},
            "transport_metadata": {
                "dmark_ussd": {
                    "transaction_id": session_id,
                    "transaction_time": values["transactionTime"],
                    "creation_time": values["creationTime"],
                }
            },
        }

    def _to_addr(self, service_code: str) -> str:
        if not self._fix_to_addr:
            return service_code
        return f"*{service_code.removeprefix('*').removesuffix('#')}#"

    # To the gateway

    async def make_answer(self, message: TransportUserMessage, held: HeldRequest) -> Answer:
        ends = message["session_event"] == message.SESSION_CLOSE
        session_id = message["transport_metadata"].get("dmark_ussd", {}).get("transaction_id")
        if ends and session_id:
            await self.session_manager.clear_session(session_id)
        return Answer.json(
            {
                "responseString": message["content"] or "",
                "action": "end" if ends else "request",
            },
            # The gateway has always had its JSON under this type.
            headers={"Content-Type": self.content_type},
        )
