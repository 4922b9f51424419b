"""The transport that is made by options.

Knows how options, messages and requests come together. What each option means is
:mod:`.options`' and what that names; how messages are sent, again if need be, is
:mod:`vumi.transports.httpsms`'s; how requests wait for a reply is
:mod:`vumi.transports.httprpc`'s.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from vumi.config.redact import MASK
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tasks import deferred, settle
from vumi.transports.external.login import Login
from vumi.transports.external.options import ExternalTransportConfig
from vumi.transports.external.reading import Document, Unreadable
from vumi.transports.external.texts import message_values, text_values
from vumi.transports.httprpc import Answer, Refused, Replies
from vumi.transports.httpsms import DeliveryReport, HttpSmsTransport, Rejected, RemoteIds
from vumi.web.outgoing import RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.web.resource import IResource

    from vumi.message import TransportUserMessage
    from vumi.transports.external.options import Plan
    from vumi.transports.external.receiving import Items
    from vumi.transports.external.templates import Values
    from vumi.transports.httprpc import HeldRequest, Incoming

__all__ = ["ExternalTransport"]

UNAUTHORIZED = 401


class ExternalTransport(HttpSmsTransport):
    """SMS, USSD or chat through any network with an HTTP API, by options."""

    CONFIG_CLASS: ClassVar[Any] = ExternalTransportConfig

    #: Whether requests wait for a reply, which is their answer.
    holds_requests = False

    #: Before it is set up there is none.
    _login: Login | None = None
    _redis: TxRedisManager | None = None

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self._replies = Replies(self, self.make_answer)

    async def setup_provider(self) -> None:
        config = self.get_static_config()
        self._plan: Plan = config.plan
        self._encoding: str = config.encoding
        self.holds_requests = self._plan.goes_on is not None
        if self._plan.login is not None:
            self._login = Login(
                self._plan.login, self._plan.secrets, self.request, self.get_clock()
            )
        if self._plan.needs_redis:
            self._redis = await TxRedisManager.from_config(config.redis_manager)
            self.remote_ids = RemoteIds(
                self._redis.sub_manager(f"vumi.transports.external:{self.transport_name}"),
                config.remote_id_lifetime,
            )

    async def teardown_provider(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.close_manager()

    def get_resources(self) -> list[tuple[IResource, str]]:
        plan, resources = self._plan, super().get_resources()
        if plan.receipts is not None and plan.receipts.path:
            resources.append((self.serve(self.receive_receipt), plan.receipts.path))
            if plan.inbound is None:
                resources = [pair for pair in resources if pair[1] != self.web_path]
        elif plan.inbound is None and plan.receipts is None:
            resources = [pair for pair in resources if pair[1] != self.web_path]
        return resources

    def provider_needs(self) -> list[str]:
        needs, access = super().provider_needs(), self._plan.access
        if access is not None:
            kind = "header" if access.header else "parameter"
            name = access.header or access.parameter
            needs.append(f"with the {kind} {name!r}: the secret that access.key names")
        return needs

    def scrub(self, text: str) -> str:
        text = super().scrub(text)
        for token in self._login.known if self._login is not None else ():
            text = text.replace(token, MASK).replace(quote(token, safe=""), MASK)
        return text

    # From the network

    def receive(self, incoming: Incoming) -> Any:
        """Make messages, or delivery reports, of a request to ``web_path``."""
        document = self._document(incoming)
        receipts, inbound = self._plan.receipts, self._plan.inbound
        try:
            is_receipt = receipts is not None and not receipts.path and receipts.are_in(document)
            if receipts is not None and (is_receipt or inbound is None):
                return self._good(receipts.reports(document))
            assert inbound is not None  # noqa: S101 (one of both is there, or there is no path)
            messages = self._good(inbound.messages(document))
        except (Unreadable, Refused) as error:
            raise self._refused(error) from None
        for fields in messages:
            message_id = fields.pop("message_id", None)
            if message_id:
                # What is sent to us twice has the same id twice.
                fields["message_id"] = f"{self.transport_name}.{message_id}"
        if self.holds_requests and messages and messages[0].get("session_event") != "close":
            return messages[0]
        return messages

    def receive_receipt(self, incoming: Incoming) -> list[DeliveryReport]:
        """Make delivery reports of a request to their path."""
        document = self._document(incoming)
        receipts = self._plan.receipts
        assert receipts is not None  # noqa: S101 (there is no such path otherwise)
        try:
            return self._good(receipts.reports(document))
        except (Unreadable, Refused) as error:
            raise self._refused(error) from None

    def _document(self, incoming: Incoming) -> Document:
        """What is in a request, if it may come in.

        :raises Refused: It may not.
        """
        body = incoming.body
        signature, access = self._plan.signature, self._plan.access
        if signature is not None:
            rule, key = signature
            if not rule.is_valid(incoming.header(rule.header), key, body):
                raise Refused("Forbidden", 403, type="invalid_signature")
        document = Document(body, incoming.header, incoming.request.args, self._encoding)
        if access is not None:
            given = (
                incoming.header(access.header).encode("utf-8", "replace")
                if access.header
                else document.parameter(access.parameter)
            )
            if not compare_digest(given or b"", access.key.encode("utf-8")):
                raise Refused("Forbidden", 403, type="invalid_credentials")
        return document

    def _good(self, found: Items) -> list[Any]:
        """The items of a request that can be read. Those that can't cost only themselves.

        :raises Unreadable: No item can be read.
        :raises Refused: The same.
        """
        if found.problems and not found.good:
            raise found.problems[0]
        for problem in found.problems:
            self.refusals.item(_words(problem))
        return found.good

    def _refused(self, error: Unreadable | Refused) -> Refused:
        """The refusal of a request, in the words that the options have for it."""
        words = _words(error)
        if isinstance(error, Unreadable):
            error = Refused({"invalid_parameter": [error.what]}, type="invalid_inbound_fields")
        response = self._plan.error_response
        if response is not None:
            error.answer = response.answer({"error": words})
        return error

    def publish_fields(self, incoming: Incoming, fields: Any) -> Any:
        if isinstance(fields, dict):
            # It waits for the reply.
            return self.publish_message(
                **{"message_id": incoming.id, "transport_type": self.message_type, **fields}
            )
        return super().publish_fields(incoming, fields)

    def make_acknowledgement(
        self, incoming: Incoming, messages: list[TransportUserMessage]
    ) -> Answer:
        plan = self._plan
        path = [part.decode("utf-8", "replace") for part in incoming.request.prepath if part]
        receipts = plan.receipts
        if receipts is not None and receipts.path and path == _split(receipts.path):
            return receipts.response.answer({}) if receipts.response else Answer()
        if plan.inbound is not None and plan.inbound.response is not None:
            message_id = messages[0]["message_id"] if messages else None
            return plan.inbound.response.answer({"message_id": message_id})
        return super().make_acknowledgement(incoming, messages)

    # Replies to requests that wait

    async def _open_replies(self) -> None:
        if self.holds_requests and self.get_static_config().hand_on_replies:
            await self._replies.open(self._answering(self._replies.answer))

    async def _close_replies(self) -> None:
        await self._replies.close()

    def add_outbound_handler(
        self,
        handler: Callable[[Any], Any],
        endpoint_name: str | None = None,
        connector: Any = None,
    ) -> None:
        super().add_outbound_handler(self._replies.routed(handler), endpoint_name, connector)

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        if self.holds_requests:
            return self._replies.answer(message)
        return super().handle_outbound_message(message)

    def make_answer(self, message: TransportUserMessage, held: HeldRequest) -> Answer:
        is_last = message["session_event"] == message.SESSION_CLOSE
        response = self._plan.ends if is_last else self._plan.goes_on
        assert response is not None  # noqa: S101 (else no request would wait)
        return response.answer(
            {**self._values(message), **text_values(message["content"] or "", {})}
        )

    # To the network

    def _values(self, message: TransportUserMessage) -> dict[str, str | None]:
        return message_values(message, self._plan.secrets, self._plan.metadata)

    @deferred
    async def send(self, message: TransportUserMessage) -> str:
        """Send a message in as many requests as it takes.

        :returns: The network's ids, with commas between.
        """
        if self._plan.sending is None:
            raise Rejected("This transport only takes messages: send is not given.")
        values = self._values(message)
        parts = self._plan.sending.parts(message["content"] or "")
        sent: list[str] = []
        for part in parts:
            try:
                sent.append(await self._send_part(message, {**values, **part}))
            except RequestFailed as error:
                if not sent:
                    raise
                # Sending all of it again would send again what was sent.
                words = self.explain(message, error)
                raise Rejected(
                    f"Only {len(sent)} of {len(parts)} parts were sent: {words}"
                ) from error
            if len(parts) > 1:
                # Each part has delivery reports of its own.
                await self._up().remember(sent[-1], message["message_id"])
        return ",".join(sent)

    async def _send_part(self, message: TransportUserMessage, values: Values) -> str:
        if self._login is None:
            return await self._call(message, values)
        token = await self._token(self._login)
        try:
            return await self._call(message, {**values, "token": token})
        except RequestFailed as error:
            if error.status != UNAUTHORIZED:
                raise
        # It was over before its time.
        self._login.forget(token)
        return await self._call(message, {**values, "token": await self._token(self._login)})

    async def _token(self, login: Login) -> str:
        try:
            return await login.token()
        except RequestFailed as error:
            # What it says is of another API than the one whose answers are described.
            error.response = None
            raise

    async def _call(self, message: TransportUserMessage, values: Values) -> str:
        sending, answers = self._plan.sending, self._plan.answers
        assert sending is not None  # noqa: S101 (looked at by the only caller)
        message_id = message["message_id"]
        sent_message_id: str = await settle(
            self.request(
                sending.request(values, answers),
                lambda response: answers.read(response, message_id),
                about=f"message {message_id}",
            )
        )
        return sent_message_id

    def explain(self, message: TransportUserMessage, error: RequestFailed) -> str:
        if error.response is not None and error.response.code >= 300:
            words = self._plan.answers.explain(error.response)
            if words:
                return words
        return super().explain(message, error)


def _words(error: Unreadable | Refused) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    reason: Any = error.reason
    return f"missing: {', '.join(reason['missing_parameter'])}"


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
