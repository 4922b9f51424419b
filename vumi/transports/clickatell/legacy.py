"""The transport to Clickatell's old HTTP API, which accounts of that time still have.

Knows the API's parameters and its callbacks. How messages are sent, again if need be, is
:mod:`vumi.transports.httpsms`'s; the codes are :mod:`vumi.transports.clickatell.wire`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigInt, ConfigText
from vumi.transports.clickatell.wire import (
    LEGACY_STATUSES,
    decode_text,
    hex_ucs2,
    parse_legacy_answer,
    plain_number,
)
from vumi.transports.httprpc import Answer, Fields, Refused
from vumi.transports.httpsms import (
    DeliveryReport,
    HttpSmsTransport,
    HttpSmsTransportConfig,
    Rejected,
    form_request,
)
from vumi.web.outgoing import Outcome, RequestFailed
from vumi.web.xml import MalformedXml, parse_xml

if TYPE_CHECKING:
    from twisted.web.resource import IResource

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming
    from vumi.web.client import HttpResponse
    from vumi.web.outgoing import OutgoingRequest

__all__ = ["ClickatellLegacyTransport", "ClickatellLegacyTransportConfig"]

#: A sender of letters, one of digits, and delivery reports: bits of ``req_feat``.
FEATURES = 16 + 32 + 8192
#: Delivery reports for every step: the value of ``callback``.
ALL_STEPS = 3


class ClickatellLegacyTransportConfig(HttpSmsTransportConfig):
    """Options of the transport to Clickatell's old HTTP API."""

    username = ConfigText("The user of the account.", required=True, static=True)
    password = ConfigText("The password to it.", required=True, static=True, secret=True)
    api_id = ConfigText("The id of the HTTP API in that account.", required=True, static=True)
    outbound_url = ConfigText(
        "The URL that messages are sent to.",
        default="https://api.clickatell.com/http/sendmsg",
        static=True,
    )
    receipt_path = ConfigText(
        "The path that delivery reports come to.", default="/clickatell/receipt", static=True
    )
    max_segments = ConfigInt("How many SMS a long text may become.", default=3, static=True)


class ClickatellLegacyTransport(HttpSmsTransport):
    """SMS through Clickatell's old HTTP API."""

    CONFIG_CLASS: ClassVar[Any] = ClickatellLegacyTransportConfig

    # Any bytes are Latin-1; what a text really is in, 'charset' says.
    ENCODING = "latin-1"

    MESSAGE = Fields(
        *("api_id", "moMsgId", "from", "to", "timestamp", "text"),
        optional=["charset", "udh", "network"],
    )
    RECEIPT = Fields(
        *("apiMsgId", "cliMsgId", "status"),
        optional=["timestamp", "to", "from", "charge", "api_id"],
    )

    def setup_provider(self) -> None:
        config = self.get_static_config()
        self._url: str = config.outbound_url
        self._login = {
            "user": config.username,
            "password": config.password,
            "api_id": config.api_id,
        }
        self._max_segments: int = config.max_segments

    def get_resources(self) -> list[tuple[IResource, str]]:
        receipts = self.serve(self.receive_receipt)
        return [*super().get_resources(), (receipts, self.get_static_config().receipt_path)]

    # From Clickatell

    def receive(self, incoming: Incoming) -> dict[str, Any]:
        """Make a message of a callback: parameters, or XML in a parameter ``data``."""
        values = self._of_xml(incoming) if "data" in incoming else incoming.values(self.MESSAGE)
        charset = values.get("charset", "")
        values = {
            name: decode_text(value.encode("latin-1"), charset if name == "text" else "")
            for name, value in values.items()
        }
        details = ("api_id", "moMsgId", "timestamp", "charset", "udh", "network")
        return {
            # It is sent again if it was not answered: then with the same id.
            "message_id": f"{self.transport_name}.{values['moMsgId']}",
            "from_addr": values["from"],
            "to_addr": values["to"],
            "content": values["text"],
            "provider": "clickatell",
            "transport_metadata": {
                "clickatell": {name: values[name] for name in details if values.get(name)}
            },
        }

    def _of_xml(self, incoming: Incoming) -> dict[str, str]:
        try:
            root = parse_xml(incoming.get("data").encode("latin-1"))
        except MalformedXml as error:
            raise Refused({"invalid_parameter": ["data"], "reason": str(error)}) from None
        values = {child.tag: (child.text or "").strip() for child in root}
        missing = [name for name in self.MESSAGE.required if name not in values]
        if missing:
            raise Refused({"missing_parameter": missing}, type="invalid_inbound_fields")
        # XML's texts are texts already; those of parameters are not.
        values["charset"] = "UTF-8"
        return {
            name: values[name].encode("utf-8").decode("latin-1")
            for name in values
            if name in self._names
        }

    _names: ClassVar[frozenset[str]] = frozenset({*MESSAGE.required, *MESSAGE.optional})

    def receive_receipt(self, incoming: Incoming) -> DeliveryReport:
        """Make a delivery report of a callback."""
        values = incoming.values(self.RECEIPT)
        status = values["status"]
        if not (status.isascii() and status.isdigit()):
            raise Refused({"invalid_parameter": ["status"]})
        return DeliveryReport(
            LEGACY_STATUSES.get(int(status[:4]), "pending"),
            user_message_id=values["cliMsgId"],
            transport_metadata={"clickatell": {"status": int(status[:4])}},
        )

    def make_acknowledgement(self, incoming: Incoming, messages: Any) -> Answer:
        return Answer() if messages else Answer("Created", 201)

    # To Clickatell

    def make_request(self, message: TransportUserMessage) -> OutgoingRequest:
        text = message["content"] or ""
        # Of what is no ASCII it depends on the route what arrives, unless it is sent so.
        plain = text.isascii()
        return form_request(
            self._url,
            {
                **self._login,
                "to": plain_number(message["to_addr"]),
                "from": plain_number(message["from_addr"]) or None,
                "text": text if plain else hex_ucs2(text),
                "unicode": None if plain else 1,
                "concat": self._max_segments,
                "climsgid": message["message_id"],
                "callback": ALL_STEPS,
                "deliv_ack": 1,
                "req_feat": FEATURES,
            },
        )

    def read_response(self, message: TransportUserMessage, response: HttpResponse) -> str:
        message_id, refusal = parse_legacy_answer(
            response.delivered_body.decode("utf-8", "replace")
        )
        if refusal is not None:
            raise Rejected(refusal[:500])
        if message_id is None:
            raise RequestFailed(Outcome.GARBLED, "gave an answer that is not known")
        return message_id
