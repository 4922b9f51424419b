"""The transport to Airtel's USSD gateway.

Knows the gateway's parameters and headers. How requests are held and answered is
:mod:`vumi.transports.httprpc`'s.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.components.session import SessionManager
from vumi.config import ConfigBool, ConfigInt, ConfigRegex, ConfigText
from vumi.persist.config import ConfigRedis
from vumi.transports.httprpc import (
    Answer,
    Fields,
    HttpRpcTransport,
    HttpRpcTransportConfig,
    Refused,
)

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import HeldRequest, Incoming

__all__ = ["AirtelUSSDTransport", "AirtelUSSDTransportConfig"]


class AirtelUSSDTransportConfig(HttpRpcTransportConfig):
    """Options of the transport to Airtel."""

    airtel_username = ConfigText(
        "What the gateway must send as 'userid'. Without it and airtel_password nobody is asked.",
        static=True,
    )
    airtel_password = ConfigText(
        "What the gateway must send as 'password'.", static=True, secret=True
    )
    airtel_charge = ConfigBool("Whether the user is charged.", default=False, static=True)
    airtel_charge_amount = ConfigInt(
        "How much a user is charged for each answer.", default=0, static=True
    )
    redis_manager = ConfigRedis(
        "Where sessions are kept: the options of the key-value store.", default={}, static=True
    )
    session_key_prefix = ConfigText(
        "What the keys of sessions begin with. By default "
        "'vumi.transports.airtel:<transport_name>'. Transports of different names that take each "
        "other's requests need the same.",
        static=True,
    )
    ussd_session_timeout = ConfigInt(
        "How long a session is remembered after its last request, in seconds.",
        default=600,
        static=True,
    )
    to_addr_pattern = ConfigRegex(
        "What the address of a new session, such as ``*120#``, must look like: a regular "
        "expression that matches at its beginning. Without one all are taken.",
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if (self.airtel_username is None) != (self.airtel_password is None):
            self.raise_config_error("airtel_username and airtel_password need each other.")


class AirtelUSSDTransport(HttpRpcTransport):
    """USSD through Airtel's gateway."""

    CONFIG_CLASS: ClassVar[Any] = AirtelUSSDTransportConfig

    transport_type = "ussd"
    content_type = "text/plain; charset=utf-8"

    CREDENTIALS = ("userid", "password")
    REQUEST = Fields("SessionID", "MSISDN", "MSC", "input", optional=CREDENTIALS)
    CLEANUP = Fields("SessionID", "msisdn", "clean", "error", optional=CREDENTIALS)

    async def setup_provider(self) -> None:
        config = self.get_static_config()
        self._credentials = (config.airtel_username, config.airtel_password)
        self._needs_credentials = config.airtel_username is not None
        self._to_addr_pattern = config.to_addr_pattern
        self._charging = {
            "charge": "Y" if config.airtel_charge else "N",
            "amount": str(config.airtel_charge_amount),
        }
        self._session_timeout = config.ussd_session_timeout
        self.session_manager = await SessionManager.from_redis_config(
            config.redis_manager,
            config.session_key_prefix or f"vumi.transports.airtel:{self.transport_name}",
            config.ussd_session_timeout,
        )

    async def teardown_provider(self) -> None:
        await self.session_manager.stop()

    # From the gateway

    async def receive(self, incoming: Incoming) -> dict[str, Any] | Answer:
        if "clean" in incoming:
            return await self._clean_up(incoming)
        values = self._values(incoming, self.REQUEST)
        session_id = values["SessionID"]
        session = await self.session_manager.load_session(session_id)
        if session:
            event = "resume"
            to_addr = session["to_addr"]
            # A conversation lives as long as it goes on.
            await self.session_manager.save_session(session_id, session)
        else:
            event = "new"
            to_addr = f"*{values['input']}#"
            self._check_new(session_id, to_addr)
            await self.session_manager.create_session(
                session_id, from_addr=values["MSISDN"], to_addr=to_addr
            )
        return {
            "from_addr": values["MSISDN"],
            "to_addr": to_addr,
            "content": values["input"] if event == "resume" else "",
            "session_event": event,
            "provider": "airtel",
            "transport_metadata": {"airtel": {"MSC": values["MSC"]}},
        }

    async def _clean_up(self, incoming: Incoming) -> dict[str, Any] | Answer:
        """The gateway tells that a session is over, whoever ended it."""
        values = self._values(incoming, self.CLEANUP)
        session_id = values["SessionID"]
        session = await self.session_manager.load_session(session_id)
        if not session:
            self.log.warning("Airtel ends a session that is not known:", session_id)
            return Answer("Unknown Session")
        # Published before the session is forgotten: a crash in between has it told twice.
        await self.publish_message(
            message_id=incoming.id,
            from_addr=values["msisdn"],
            to_addr=session["to_addr"],
            content="",
            session_event="close",
            provider="airtel",
            transport_type=self.transport_type,
            transport_metadata={"airtel": {"clean": values["clean"], "error": values["error"]}},
        )
        await self.session_manager.clear_session(session_id)
        return Answer()

    def _values(self, incoming: Incoming, fields: Fields) -> dict[str, str]:
        if self._needs_credentials:
            given = (incoming.get(name) for name in self.CREDENTIALS)
            # All are looked at, so that the time tells nothing.
            same = [
                hmac.compare_digest(sent.encode("utf-8"), wanted.encode("utf-8"))
                for sent, wanted in zip(given, self._credentials, strict=True)
            ]
            if not all(same):
                raise Refused("Forbidden", code=403, type="invalid_credentials")
        return incoming.values(fields)

    def _check_new(self, session_id: str, to_addr: str) -> None:
        if self._to_addr_pattern is not None and not self._to_addr_pattern.match(to_addr):
            raise Refused(
                {
                    "invalid_session": f"Session id {session_id!r} is not known (any more: "
                    f"sessions last {self._session_timeout} seconds) and {to_addr!r} is no "
                    "address that a new one can begin with."
                },
                type="invalid_session",
            )

    # To the gateway

    async def make_answer(self, message: TransportUserMessage, held: HeldRequest) -> Answer:
        ends = message["session_event"] == message.SESSION_CLOSE
        if ends:
            # The next request with this id is a new session, though no clean-up came.
            session_id = held.incoming.get("SessionID")
            await self.session_manager.clear_session(session_id)
        return Answer(
            (message["content"] or "").lstrip(),
            headers={"Freeflow": "FB" if ends else "FC", **self._charging},
        )
