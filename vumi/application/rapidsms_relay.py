"""The application between vumi and a RapidSMS: messages to it, and from it.

Knows which messages go where and which replies are allowed. How RapidSMS's requests are answered
is :mod:`vumi.application.rapidsms_web`'s, how requests to it are sent :mod:`vumi.web.outgoing`'s.

A message from a user is kept in the key-value store for a while, so that RapidSMS can answer it by
its id.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.cred.checkers import ANONYMOUS
from twisted.cred.credentials import IAnonymous
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred

from vumi.application.base import ApplicationWorker
from vumi.application.rapidsms_web import (
    BadRequestError,
    HealthResource,
    RapidSMSRelayAccessChecker,
    RapidSMSRelayRealm,
    SendResource,
    parse_request,
    protected,
)
from vumi.application.relay_options import (
    ConfigHttpMethod,
    ConfigHttpUrl,
    RelayConfig,
    make_request,
    make_sender,
)
from vumi.config import (
    ConfigBool,
    ConfigContext,
    ConfigInt,
    ConfigList,
    ConfigPort,
    ConfigServerEndpoint,
    ConfigText,
    ServerEndpointFallback,
)
from vumi.errors import ConfigError, InvalidEndpoint
from vumi.message import TransportUserMessage
from vumi.persist.config import ConfigRedis
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tasks import deferred, settle
from vumi.web.limits import DEFAULT_BODY_LIMIT
from vumi.web.overload import DEFAULT_MAX_UNCONFIRMED, OverloadGuard
from vumi.web.server import BoundedSite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IListeningPort
    from twisted.web.resource import IResource
    from twisted.web.server import Request

    from vumi.message import TransportEvent

__all__ = [
    "BadRequestError",
    "HealthResource",
    "RapidSMSRelay",
    "RapidSMSRelayAccessChecker",
    "RapidSMSRelayConfig",
    "RapidSMSRelayRealm",
    "SendResource",
]

HEALTH_PATH = "health"
#: How many messages of one request to publish before waiting for the broker.
AT_A_TIME = 100


class RapidSMSRelayConfig(RelayConfig):
    """Options of the RapidSMS relay."""

    web_path = ConfigText(
        "The path at which RapidSMS posts messages to be sent.", required=True, static=True
    )
    twisted_endpoint = ConfigServerEndpoint(
        "Where to listen for it: a Twisted server endpoint such as "
        "tcp:port=9080:interface=127.0.0.1.",
        required=True,
        static=True,
        fallbacks=[ServerEndpointFallback("web_host", "web_port")],
    )
    web_port = ConfigPort(
        "The port to listen on, if there is no twisted_endpoint.", static=True, any_free=True
    )
    web_host = ConfigText(
        "The address to listen on, if there is no twisted_endpoint; all if left out.", static=True
    )
    body_limit = ConfigInt(
        "How big a request from RapidSMS may be, in bytes.",
        default=DEFAULT_BODY_LIMIT,
        static=True,
        lowest=1,
        nullable=False,
    )
    max_unconfirmed = ConfigInt(
        "How many messages may wait for the broker. With more, and while the broker is away, "
        "requests are answered 503.",
        default=DEFAULT_MAX_UNCONFIRMED,
        static=True,
        lowest=1,
        nullable=False,
    )
    redis_manager = ConfigRedis(
        "The key-value store, in which messages are kept for replies.", default={}, static=True
    )
    allow_replies = ConfigBool(
        "Whether RapidSMS may answer a message by its id.", default=True, static=True
    )
    vumi_username = ConfigText(
        "The user name that RapidSMS logs in with. Without one, everybody may send messages."
    )
    vumi_password = ConfigText("The password that RapidSMS logs in with.", secret=True)
    vumi_auth_method = ConfigText("How RapidSMS logs in; there is 'basic' only.", default="basic")
    vumi_reply_timeout = ConfigInt(
        "How long RapidSMS may take to answer a message by its id, in seconds.",
        default=600,
        lowest=1,
        nullable=False,
    )
    allowed_endpoints = ConfigList(
        "The endpoints that RapidSMS may send messages to.", default=["default"]
    )
    rapidsms_url = ConfigHttpUrl("Where messages from users are sent to.")
    rapidsms_username = ConfigText(
        "The user name to log in with at RapidSMS. Without one, nobody logs in."
    )
    rapidsms_password = ConfigText("The password to log in with at RapidSMS.", secret=True)
    rapidsms_auth_method = ConfigText(
        "How to log in at RapidSMS; there is 'basic' only.", default="basic"
    )
    rapidsms_http_method = ConfigHttpMethod("The method of requests to RapidSMS.", default="POST")

    def post_validate(self) -> None:
        super().post_validate()
        # By the fields: not all are static, but looked at when the worker starts all the same.
        given: dict[str, Any] = {
            name: field.get_value(self) for name, field in self._fields.items()
        }
        if (given["web_path"] or "").strip("/").partition("/")[0] == HEALTH_PATH:
            self.raise_config_error(f"Field 'web_path' must not be below {HEALTH_PATH!r}.")
        for name in ("vumi_auth_method", "rapidsms_auth_method"):
            if given[name] != "basic":
                self.raise_config_error(f"Field '{name}' must be 'basic', there is no other.")
        if (given["vumi_username"] is None) != (given["vumi_password"] is None):
            self.raise_config_error(
                "Fields 'vumi_username' and 'vumi_password' must be given both or not at all."
            )


class RapidSMSRelay(ApplicationWorker):
    """Sends messages from users to a RapidSMS, and messages from there to users.

    A message that RapidSMS does not take, after the retries, becomes a dead letter.
    """

    CONFIG_CLASS: ClassVar[Any] = RapidSMSRelayConfig

    #: Endpoints are checked against the option ``allowed_endpoints``, which may differ by user.
    ALLOWED_ENDPOINTS = None

    #: For tests: makes the HTTP agent, called with the reactor and ``pool``.
    agent_factory: Callable[..., Any] | None = None

    #: The key-value store; ``None``: without replies there is none.
    redis: Any = None

    #: The socket that is listened on; ``None`` while the relay isn't up.
    web_resource: IListeningPort | None = None
    site: BoundedSite | None = None

    # Life

    @deferred
    async def setup_application(self) -> None:
        config = self.get_static_config()
        self._sender = make_sender(self)
        self._answering: set[Deferred[Any]] = set()
        pages = {config.web_path: self._guarded_resource(), HEALTH_PATH: HealthResource()}
        self.site = site = BoundedSite.of(pages, self.clock, body_limit=config.body_limit)
        if config.allow_replies:
            self.redis = await TxRedisManager.from_config(config.redis_manager)
        try:
            self.web_resource = await config.twisted_endpoint.listen(site)
        except BaseException:
            await self._close_redis()
            raise
        assert self.web_resource is not None  # noqa: S101 (tells the type checker)
        self.log.info("Listening for RapidSMS on", self.web_resource.getHost())
        if self.config.get("vumi_username") is None:
            self.log.warning(
                "Whoever can connect may send messages: set 'vumi_username' and 'vumi_password'."
            )

    @deferred
    async def teardown_application(self) -> None:
        listening, self.web_resource = self.web_resource, None
        if listening is not None:
            stopped: Deferred[Any] = maybeDeferred(listening.stopListening)
            await stopped
        for answering in list(self._answering):
            await answering
        if self.site is not None:
            await self.site.close()
        await self._sender.close()
        await self._close_redis()

    async def _close_redis(self) -> None:
        redis, self.redis = self.redis, None
        if redis is not None:
            await redis.close_manager()

    # To RapidSMS

    def consume_user_message(self, message: TransportUserMessage) -> Deferred[None]:
        return Deferred.fromCoroutine(self._relay(message))

    def close_session(self, message: TransportUserMessage) -> Deferred[None]:
        return Deferred.fromCoroutine(self._relay(message))

    async def _relay(self, message: TransportUserMessage) -> None:
        config = await self.get_config(message)
        if config.rapidsms_url is None:
            raise ConfigError("Field 'rapidsms_url' is missing: where are messages sent to?")
        if self.redis is not None:
            await self.redis.setex(
                _key(message["message_id"]), config.vumi_reply_timeout, message.to_json()
            )
        login = None
        if config.rapidsms_username is not None:
            login = (config.rapidsms_username, config.rapidsms_password or "")
        request = make_request(
            config,
            config.rapidsms_http_method,
            config.rapidsms_url,
            message.to_bytes(),
            login,
            f"message {message['message_id']}",
        )
        self._sender.agent_factory = self.agent_factory
        response = await self._sender.send(request, config.retry_rule)
        self.log.debug(request.about, "was answered by RapidSMS with", response.code)

    def consume_ack(self, event: TransportEvent) -> None:
        self.log.info("Ack of message", event["user_message_id"])

    def consume_nack(self, event: TransportEvent) -> None:
        self.log.info("Nack of message", event["user_message_id"], repr(event["nack_reason"]))

    def consume_delivery_report(self, event: TransportEvent) -> None:
        self.log.info(
            "Delivery report of message", event["user_message_id"], event["delivery_status"]
        )

    # From RapidSMS

    def _guarded_resource(self) -> IResource:
        resource = self.get_protected_resource(SendResource(self))
        return OverloadGuard(resource, self.broker, self.get_static_config().max_unconfirmed)

    def get_protected_resource(self, resource: IResource) -> IResource:
        """Have a resource ask for the login that is configured."""
        return protected(resource, self.get_avatar_id)

    def get_avatar_id(self, credentials: Any) -> Deferred[Any]:
        """Who somebody is; by default whom the config knows.

        :param credentials: What was sent, or that nothing was.
        :returns: Fires with the user's name, or with ``ANONYMOUS``.
        :raises UnauthorizedLogin: Somebody whom the config doesn't know.
        """
        return Deferred.fromCoroutine(self._get_avatar_id(credentials))

    async def _get_avatar_id(self, credentials: Any) -> Any:
        if IAnonymous.providedBy(credentials):
            config = await self.get_config(None, ConfigContext(username=None))
            if config.vumi_username is None:
                return ANONYMOUS
            raise UnauthorizedLogin
        username = credentials.username.decode("utf-8", "replace")
        config = await self.get_config(None, ConfigContext(username=username))
        if config.vumi_username is None or config.vumi_password is None:
            raise UnauthorizedLogin
        # Both always, so that the time it takes tells nothing.
        same_name = hmac.compare_digest(credentials.username, config.vumi_username.encode("utf-8"))
        same_password = hmac.compare_digest(
            credentials.password, config.vumi_password.encode("utf-8")
        )
        if not (same_name and same_password):
            raise UnauthorizedLogin
        return username

    def handle_raw_outbound_message(
        self, request: Request
    ) -> Deferred[list[TransportUserMessage]]:
        """Send what a request asks for.

        :returns: Fires with the messages that were sent.
        :raises BadRequestError: It asks for what can't be done; nothing was sent.
        """
        handled = Deferred.fromCoroutine(self._handle_request(request))
        self._answering.add(handled)

        def done(result: Any) -> Any:
            self._answering.discard(handled)
            return result

        return handled.addBoth(done)

    async def _handle_request(self, request: Request) -> list[TransportUserMessage]:
        # The login was checked before.
        username = request.getUser().decode("utf-8", "replace") or None
        config = await self.get_config(None, ConfigContext(username=username))
        body = b"" if request.content is None else request.content.read()
        data = parse_request(body)
        if data.get("in_reply_to"):
            return await self._send_reply(data["in_reply_to"], data["to_addr"], data["content"])
        endpoint = data.get("endpoint")
        try:
            self.check_endpoint(config.allowed_endpoints, endpoint)
        except InvalidEndpoint as error:
            raise BadRequestError(str(error)) from error
        sent: list[TransportUserMessage] = []
        to_addrs = data["to_addr"]
        for start in range(0, len(to_addrs), AT_A_TIME):
            sending = [
                Deferred.fromCoroutine(self._send(to_addr, data["content"], config, endpoint))
                for to_addr in to_addrs[start : start + AT_A_TIME]
            ]
            sent += [message for message in await gatherResults(sending) if message is not None]
        return sent

    async def _send_reply(
        self, in_reply_to: str, to_addrs: Sequence[str], content: str
    ) -> list[TransportUserMessage]:
        if self.redis is None:
            raise BadRequestError("Support for `in_reply_to` not configured.")
        stored = await self.redis.get(_key(in_reply_to))
        if stored is None:
            raise BadRequestError(f"Original message {in_reply_to!r} not found.")
        original = TransportUserMessage.from_json(stored)
        if to_addrs and list(to_addrs) != [original["from_addr"]]:
            raise BadRequestError(
                f"Field `to_addr` must be empty or [{original['from_addr']!r}], whom message "
                f"{in_reply_to!r} is from."
            )
        return [await self.reply_to(original, content)]

    def send_rapidsms_nonreply(
        self, to_addr: str, content: str, config: Any, endpoint: str | None
    ) -> Any:
        """Send a message that is no reply. Override it to choose fields by address, for instance.

        :param config: The options for whoever asks.
        :param endpoint: The endpoint asked for, which is allowed; ``None``: the default one.
        :returns: The message, or a Deferred or coroutine of it.
        """
        return self.send_to(to_addr, content, endpoint=endpoint)

    async def _send(self, to_addr: str, content: str, config: Any, endpoint: str | None) -> Any:
        try:
            return await settle(self.send_rapidsms_nonreply(to_addr, content, config, endpoint))
        except Exception as error:  # noqa: BLE001 (the other messages are sent all the same)
            self.log.err(error, "A message that RapidSMS asked for could not be sent")
            return None


def _key(message_id: str) -> str:
    return f"messages:{message_id}"
