"""The transport to Apposit's SMS gateway.

Knows the gateway's forms and error codes. How messages are sent, again if need be, is
:mod:`vumi.transports.httpsms`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigDict, ConfigText
from vumi.transports.httprpc import Fields, Refused
from vumi.transports.httpsms import (
    HttpSmsTransport,
    HttpSmsTransportConfig,
    Rejected,
    form_request,
)
from vumi.web.outgoing import Outcome

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming
    from vumi.web.outgoing import OutgoingRequest, RequestFailed

__all__ = ["AppositTransport", "AppositTransportConfig"]

#: Transport type -> what the gateway calls it.
CHANNELS = {"sms": "SMS"}

ERRORS = {
    "102001": "Username Not Set",
    "102002": "Password Not Set",
    "102003": "Username or password is invalid or not authorized",
    "102004": "Service ID Not Set",
    "102005": "Invalid Service Id",
    "102006": "Service Not Found",
    "102007": "Content not set",
    "102008": "To Address Not Set",
    "102009": "From Address Not Set",
    "102010": "Channel Not Set",
    "102011": "Invalid Channel",
    "102012": "The address provided is not subscribed",
    "102013": "The message content id is unregistered or not approved",
    "102014": "Message Content Public ID and Message Content Set",
    "102015": "Message Content Public ID or Message Content Not Set",
    "102022": "One or more messages failed while sending",
    "102024": "Outbound message routing not allowed for service",
    "102025": "Content or Content ID is not Approved",
    "102999": "Other Runtime Error",
}

#: How much of an answer that isn't known a nack has, in characters.
MAX_SHOWN = 200


class AppositTransportConfig(HttpSmsTransportConfig):
    """Options of the transport to Apposit."""

    credentials = ConfigDict(
        "For each from_addr that messages are sent with, a dict of 'username', 'password' and "
        "'service_id'.",
        required=True,
        static=True,
        secret=True,
    )
    outbound_url = ConfigText("The URL that messages are sent to.", required=True, static=True)

    def post_validate(self) -> None:
        super().post_validate()
        for address, login in self.credentials.items():
            missing = (
                [name for name in ("username", "password", "service_id") if name not in login]
                if isinstance(login, dict)
                else ["username, password and service_id: it is no dict"]
            )
            if missing:
                self.raise_config_error(f"credentials of {address} lack {', '.join(missing)}.")


class AppositTransport(HttpSmsTransport):
    """SMS through Apposit's gateway in Ethiopia."""

    CONFIG_CLASS: ClassVar[Any] = AppositTransportConfig

    FIELDS = Fields("from", "to", "channel", "content", "isTest")

    def setup_provider(self) -> None:
        config = self.get_static_config()
        # YAML makes numbers of short codes.
        self._credentials = {str(address): login for address, login in config.credentials.items()}
        self._outbound_url: str = config.outbound_url

    # From the gateway

    def receive(self, incoming: Incoming) -> dict[str, Any]:
        values = incoming.values(self.FIELDS)
        if values["channel"] not in CHANNELS.values():
            raise Refused({"unsupported_channel": values["channel"]}, type="unsupported_channel")
        return {
            "from_addr": values["from"],
            "to_addr": values["to"],
            "content": values["content"],
            "provider": "apposit",
            "transport_metadata": {"apposit": {"isTest": values["isTest"]}},
        }

    # To the gateway

    def make_request(self, message: TransportUserMessage) -> OutgoingRequest:
        transport_type = message["transport_type"]
        if transport_type not in CHANNELS:
            raise Rejected(f"No corresponding channel exists for transport type: {transport_type}")
        login = self._credentials.get(message["from_addr"])
        if login is None:
            raise Rejected(f"No credentials are configured for from_addr {message['from_addr']!r}")
        return form_request(
            self._outbound_url,
            {
                "username": login["username"],
                "password": login["password"],
                "serviceId": login["service_id"],
                "fromAddress": message["from_addr"],
                "toAddress": message["to_addr"],
                "content": message["content"] or "",
                "channel": CHANNELS[transport_type],
            },
        )

    def explain(self, message: TransportUserMessage, error: RequestFailed) -> str:
        if error.response is None:
            return super().explain(message, error)
        code = error.response.delivered_body.decode("utf-8", "replace").strip()
        if code in ERRORS:
            return f"({code}) {ERRORS[code]}"
        if error.outcome is not Outcome.REJECTED:
            return super().explain(message, error)
        return f"Response with unknown code received: {code[:MAX_SHOWN]}"
