"""The transport to Clickatell's platform.

Knows the platform's JSON. How messages are sent, again if need be, is
:mod:`vumi.transports.httpsms`'s; the codes are :mod:`vumi.transports.clickatell.wire`'s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigInt, ConfigText
from vumi.persist.config import ConfigRedis
from vumi.persist.txredis_manager import TxRedisManager
from vumi.transports.clickatell.wire import PLATFORM_STATUSES, plain_number, unescape_text
from vumi.transports.httprpc import Answer, Refused
from vumi.transports.httpsms import (
    DeliveryReport,
    HttpSmsTransport,
    HttpSmsTransportConfig,
    Rejected,
    RemoteIds,
    query_request,
)
from vumi.web.outgoing import Outcome, OutgoingRequest, RequestFailed

if TYPE_CHECKING:
    from twisted.web.resource import IResource

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming
    from vumi.web.client import HttpResponse

__all__ = ["ClickatellTransport", "ClickatellTransportConfig"]


class ClickatellTransportConfig(HttpSmsTransportConfig):
    """Options of the transport to Clickatell's platform."""

    api_key = ConfigText(
        "The API key of the HTTP integration.", required=True, static=True, secret=True
    )
    outbound_url = ConfigText(
        "The URL that messages are sent to.",
        default="https://platform.clickatell.com/messages/http/send",
        static=True,
    )
    receipt_path = ConfigText(
        "The path that the platform sends status notifications to.",
        default="/clickatell/receipt",
        static=True,
    )
    redis_manager = ConfigRedis(
        "Where it is kept which message a delivery report is about: the options of the key-value "
        "store.",
        default={},
        static=True,
    )
    remote_id_lifetime = ConfigInt(
        "How long that is kept, in seconds: delivery reports may come so late.",
        default=7 * 86400,
        static=True,
    )


class ClickatellTransport(HttpSmsTransport):
    """SMS through Clickatell's platform."""

    CONFIG_CLASS: ClassVar[Any] = ClickatellTransportConfig

    async def setup_provider(self) -> None:
        config = self.get_static_config()
        self._api_key: str = config.api_key
        self._url: str = config.outbound_url
        self._redis = await TxRedisManager.from_config(config.redis_manager)
        self.remote_ids = RemoteIds(
            self._redis.sub_manager(f"vumi.transports.clickatell:{self.transport_name}"),
            config.remote_id_lifetime,
        )

    async def teardown_provider(self) -> None:
        await self._redis.close_manager()

    def get_resources(self) -> list[tuple[IResource, str]]:
        receipts = self.serve(self.receive_receipt)
        return [*super().get_resources(), (receipts, self.get_static_config().receipt_path)]

    # From the platform

    def receive(self, incoming: Incoming) -> dict[str, Any]:
        """Make a message of a two-way callback."""
        data = _object(incoming, "messageId", "fromNumber", "toNumber", "text")
        known = ("messageId", "timestamp", "charset", "udh", "keyword")
        return {
            # The platform sends again what was not answered: then with the same id.
            "message_id": f"{self.transport_name}.{data['messageId']}",
            "from_addr": str(data["fromNumber"]),
            "to_addr": str(data["toNumber"]),
            "content": unescape_text(str(data["text"]), str(data.get("charset") or "")),
            "provider": "clickatell",
            "transport_metadata": {
                "clickatell": {name: data[name] for name in known if data.get(name) is not None}
            },
        }

    def receive_receipt(self, incoming: Incoming) -> DeliveryReport:
        """Make a delivery report of a status notification."""
        data = _object(incoming, "messageId", "statusCode")
        code = data["statusCode"]
        if not isinstance(code, int):
            raise Refused({"invalid_parameter": ["statusCode"]})
        status = {"status": code, "description": str(data.get("statusDescription") or "")}
        return DeliveryReport(
            PLATFORM_STATUSES.get(code, "pending"),
            sent_message_id=str(data["messageId"]),
            transport_metadata={"clickatell": status},
        )

    def make_acknowledgement(self, incoming: Incoming, messages: Any) -> Answer:
        return Answer()

    # To the platform

    def make_request(self, message: TransportUserMessage) -> OutgoingRequest:
        return query_request(
            self._url,
            {
                "apiKey": self._api_key,
                "to": plain_number(message["to_addr"]),
                "from": plain_number(message["from_addr"]) or None,
                "content": message["content"] or "",
            },
            {"Accept": "application/json"},
        )

    def read_response(self, message: TransportUserMessage, response: HttpResponse) -> str:
        try:
            told = json.loads(response.delivered_body)["messages"][0]
            message_id, error = told.get("apiMessageId"), told.get("error")
        except (ValueError, LookupError, TypeError, AttributeError) as wrong:
            raise RequestFailed(Outcome.GARBLED, "gave an answer that is not known") from wrong
        if error or not message_id:
            raise Rejected(str(error or "Clickatell gave no reason and no message id")[:500])
        return str(message_id)


def _object(incoming: Incoming, *required: str) -> dict[str, Any]:
    data = incoming.json_object()
    missing = [name for name in required if data.get(name) is None]
    if missing:
        raise Refused({"missing_parameter": missing}, type="invalid_inbound_fields")
    return data
