"""The transport to Vodacom Messaging's USSD gateway.

Knows the gateway's parameters. What it is answered is
:mod:`vumi.transports.vodacom_messaging.wire`'s; how requests are held and answered is
:mod:`vumi.transports.httprpc`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.components.session import SessionManager
from vumi.config import ConfigInt, ConfigText
from vumi.persist.config import ConfigRedis
from vumi.transports.httprpc import Answer, Fields, HttpRpcTransport, HttpRpcTransportConfig
from vumi.transports.vodacom_messaging.wire import VodacomMessagingResponse

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import HeldRequest, Incoming

__all__ = ["VodacomMessagingTransport", "VodacomMessagingTransportConfig"]


class VodacomMessagingTransportConfig(HttpRpcTransportConfig):
    """Options of the transport to Vodacom Messaging."""

    ussd_string_prefix = ConfigText(
        "What a request begins with that begins a session, such as ``*120*666``.",
        required=True,
        static=True,
    )
    web_host = ConfigText(
        "The host, with its port if that is not 80, at which the gateway reaches this transport: "
        "it is told to send what the user answers there. May begin with https://.",
        required=True,
        static=True,
    )
    transport_type = ConfigText("The transport type of messages.", default="ussd", static=True)
    redis_manager = ConfigRedis(
        "Where it is remembered what users have dialled: the options of the key-value store. "
        "Without them that is not remembered, and only the first message of a session has a "
        "to_addr.",
        static=True,
    )
    ussd_session_timeout = ConfigInt(
        "How long that is remembered after a session's last request, in seconds.",
        default=600,
        static=True,
    )


class VodacomMessagingTransport(HttpRpcTransport):
    """USSD through Vodacom Messaging in South Africa."""

    CONFIG_CLASS: ClassVar[Any] = VodacomMessagingTransportConfig

    transport_type = "ussd"

    FIELDS = Fields("ussdSessionId", "msisdn", "provider", "request")

    async def setup_provider(self) -> None:
        config = self.get_static_config()
        self._prefix: str = config.ussd_string_prefix
        self._web_host: str = config.web_host
        self.session_manager: SessionManager | None = None
        if config.redis_manager is not None:
            self.session_manager = await SessionManager.from_redis_config(
                config.redis_manager,
                f"vumi.transports.vodacom_messaging:{self.transport_name}",
                config.ussd_session_timeout,
            )

    async def teardown_provider(self) -> None:
        if self.session_manager is not None:
            await self.session_manager.stop()

    # From the gateway

    async def receive(self, incoming: Incoming) -> dict[str, Any]:
        values = incoming.values(self.FIELDS)
        session_id, text = values["ussdSessionId"], values["request"]
        is_new = text.startswith(self._prefix)
        return {
            "from_addr": values["msisdn"],
            "to_addr": await self._to_addr(session_id, text if is_new else None),
            "content": text,
            "session_event": "new" if is_new else "resume",
            "provider": values["provider"],
            "transport_metadata": {"session_id": session_id},
        }

    async def _to_addr(self, session_id: str, dialled: str | None) -> str:
        """What the user has dialled.

        :param dialled: That, if it was now.
        """
        if self.session_manager is None:
            return dialled or ""
        if dialled is not None:
            await self.session_manager.create_session(session_id, to_addr=dialled)
            return dialled
        session = await self.session_manager.load_session(session_id)
        if session:
            # A conversation lives as long as it goes on.
            await self.session_manager.save_session(session_id, session)
        to_addr: str = session.get("to_addr", "")
        return to_addr

    # To the gateway

    async def make_answer(self, message: TransportUserMessage, held: HeldRequest) -> Answer:
        page = VodacomMessagingResponse(self._web_host, self.web_path)
        page.set_headertext(message["content"] or "")
        if message["session_event"] != message.SESSION_CLOSE:
            page.accept_freetext()
        elif self.session_manager is not None:
            session_id = held.incoming.get("ussdSessionId")
            await self.session_manager.clear_session(session_id)
        return Answer(str(page))
