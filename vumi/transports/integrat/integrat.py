"""The transport to Integrat's USSD gateway.

Knows what the gateway's events mean. Its XML is :mod:`vumi.transports.integrat.wire`'s; how
messages are sent, again if need be, is :mod:`vumi.transports.httpsms`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigText
from vumi.msisdn import normalize_msisdn
from vumi.transports.httprpc import Answer, Refused
from vumi.transports.httpsms import HttpSmsTransport, HttpSmsTransportConfig, Rejected
from vumi.transports.integrat.wire import NotHigate, parse_answer, parse_event, ussd_reply
from vumi.web.outgoing import Outcome, OutgoingRequest, RequestFailed

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming
    from vumi.web.client import HttpResponse

__all__ = ["IntegratTransport", "IntegratTransportConfig"]

SESSION_EVENTS = {"open": "new", "close": "close"}


class IntegratTransportConfig(HttpSmsTransportConfig):
    """Options of the transport to Integrat."""

    url = ConfigText("The URL that answers are posted to.", required=True, static=True)
    username = ConfigText("Our name at Integrat.", required=True, static=True)
    password = ConfigText("The password to it.", required=True, static=True, secret=True)
    transport_type = ConfigText("The transport type of messages.", default="ussd", static=True)


class IntegratTransport(HttpSmsTransport):
    """USSD through Integrat in South Africa."""

    CONFIG_CLASS: ClassVar[Any] = IntegratTransportConfig

    transport_type = "ussd"

    def setup_provider(self) -> None:
        config = self.get_static_config()
        self._url: str = config.url
        self._login = (config.username, config.password)

    def get_health_response(self) -> str:
        return "OK"

    # From the gateway

    def receive(self, incoming: Incoming) -> dict[str, Any] | Answer:
        try:
            event = parse_event(incoming.body)
        except NotHigate as error:
            raise Refused(f"{error}\n", type="invalid_xml") from None
        if event is None or event.is_announcement:
            return Answer()
        session_event = SESSION_EVENTS.get(event.type, "resume")
        return {
            "message_id": self.generate_message_id(),
            "from_addr": normalize_msisdn(event.msisdn),
            "to_addr": event.connect_string,
            "content": event.text if session_event == "resume" else None,
            "session_event": session_event,
            "transport_metadata": {"session_id": event.session_id},
        }

    def make_acknowledgement(self, incoming: Incoming, messages: Any) -> Answer:
        return Answer()

    # To the gateway

    def make_request(self, message: TransportUserMessage) -> OutgoingRequest:
        session_id = message["transport_metadata"].get("session_id")
        if not session_id:
            raise Rejected(
                "Integrat can only be sent replies: transport_metadata has no session_id."
            )
        ends = message["session_event"] == message.SESSION_CLOSE
        return OutgoingRequest(
            "POST",
            self._url,
            ussd_reply(*self._login, str(session_id), message["content"] or "", ends),
            {"Content-Type": "text/xml; charset=utf-8"},
        )

    def read_response(self, message: TransportUserMessage, response: HttpResponse) -> str:
        try:
            refusal = parse_answer(response.delivered_body)
        except NotHigate as error:
            raise RequestFailed(
                Outcome.GARBLED, f"gave an answer that is wrong: {error}"
            ) from None
        if refusal is not None:
            raise Rejected(refusal)
        return super().read_response(message, response)
