"""What the message store's web services have in common: a worker that listens, and bounds.

Knows how the store is opened, who is let in, and how many long answers are written at a time. What
is served the subclasses know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.web.http import BAD_REQUEST, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource

from vumi.components.message_store.config import MessageStoreOptions
from vumi.components.message_store.store import MessageStore
from vumi.config import (
    ConfigBool,
    ConfigInt,
    ConfigPort,
    ConfigServerEndpoint,
    ConfigText,
    ServerEndpointFallback,
)
from vumi.tasks import deferred, settle
from vumi.web.basic_auth import BasicAuthGuard
from vumi.web.server import BoundedSite
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort
    from twisted.web.resource import IResource
    from twisted.web.server import Request

__all__ = ["MessageStoreWebConfig", "MessageStoreWebWorker", "Slots", "bad_request", "unavailable"]

#: Seconds after which a client is asked to try again.
RETRY_AFTER = 5


class Slots:
    """A bound on how many things go on at a time.

    :param most: How many.
    """

    def __init__(self, most: int) -> None:
        self._free = most

    def take(self) -> bool:
        """Take one; whether there was one."""
        if self._free < 1:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Give one back."""
        self._free += 1


def bad_request(request: Request, words: str) -> bytes:
    """Answer 400, and say why."""
    return _text(request, BAD_REQUEST, words)


def unavailable(request: Request, words: str) -> bytes:
    """Answer 503: what is asked for can't be had now."""
    request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER)
    return _text(request, SERVICE_UNAVAILABLE, words)


def _text(request: Request, code: int, words: str) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    return words.encode("utf-8", "replace")


class _Health(Resource):
    """Says that the worker is there, to a monitor that asks often."""

    isLeaf = True

    def __init__(self, words: bytes) -> None:
        super().__init__()
        self._words = words

    def render_GET(self, request: Request) -> bytes:
        vars(request)["do_not_log"] = True
        return self._words


class MessageStoreWebConfig(MessageStoreOptions, BaseConfig):
    """Options of a web service of the message store."""

    twisted_endpoint = ConfigServerEndpoint(
        "Where the service listens, such as tcp:8080:interface=127.0.0.1.",
        required=True,
        static=True,
        fallbacks=(ServerEndpointFallback(), ServerEndpointFallback(port_field="web_port")),
    )
    web_path = ConfigText("The path of the service.", required=True, static=True)
    health_path = ConfigText("The path that answers monitors.", default="/health/", static=True)
    web_username = ConfigText(
        "The user that clients must name (HTTP Basic). Required, with web_password, unless "
        "allow_anonymous says otherwise.",
        static=True,
    )
    web_password = ConfigText("The user's password.", static=True, secret=True)
    allow_anonymous = ConfigBool(
        "Whether everybody who can connect may read all messages, without a user and a password.",
        default=False,
        static=True,
    )
    max_requests = ConfigInt(
        "How many long answers are written at a time; further requests are answered 503.",
        default=10,
        static=True,
        lowest=1,
        nullable=False,
    )
    host = ConfigText("Deprecated: use twisted_endpoint.", static=True)
    port = ConfigPort("Deprecated: use twisted_endpoint.", static=True, any_free=True)
    web_port = ConfigPort("Deprecated: use twisted_endpoint.", static=True, any_free=True)

    def post_validate(self) -> None:
        super().post_validate()
        if (self.web_username is None) != (self.web_password is None):
            self.raise_config_error("web_username and web_password are given both or not at all.")
        if self.web_username is None and not self.allow_anonymous:
            self.raise_config_error(
                "Who may read all messages? Give web_username and web_password; or, where only "
                "programs you trust can connect, allow_anonymous: true."
            )
        if self.web_username is not None and self.allow_anonymous:
            self.raise_config_error("Give web_username or allow_anonymous, not both.")
        if self.web_username == "" or self.web_password == "":
            self.raise_config_error("web_username and web_password must not be empty.")
        if self.web_username is not None and ":" in self.web_username:
            self.raise_config_error("Field 'web_username' must not have a colon.")


class MessageStoreWebWorker(BaseWorker):
    """Opens the message store and serves something of it. To be subclassed.

    :ivar store: The :class:`~vumi.components.message_store.MessageStore`, while the worker runs.
    """

    CONFIG_CLASS: ClassVar[Any] = MessageStoreWebConfig

    #: What the health path says.
    HEALTHY: ClassVar[bytes] = b"OK"

    def __init__(self, options: Any, config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self.store: Any = None
        self.port: IListeningPort | None = None
        self.site: BoundedSite | None = None

    def get_resource(self, slots: Slots) -> IResource:
        """What is served at ``web_path``.

        :param slots: For long answers.
        """
        raise NotImplementedError

    def setup_connectors(self) -> None:
        """It has none."""

    @deferred
    async def setup_worker(self) -> None:
        config = self.get_static_config()
        self.store = await MessageStore.from_config(config.store_options())
        try:
            resource = self.get_resource(Slots(config.max_requests))
            if config.web_username is not None:
                resource = BasicAuthGuard(resource, config.web_username, config.web_password)
            pages = {config.web_path: resource, config.health_path: _Health(self.HEALTHY)}
            self.site = BoundedSite.of(pages, self.clock)
            self.port = await config.twisted_endpoint.listen(self.site)
        except BaseException:
            # Not torn down otherwise, as this was not set up.
            await self._teardown_worker()
            raise

    def teardown_worker(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._teardown_worker())

    async def _teardown_worker(self) -> None:
        port, self.port = self.port, None
        if port is not None:
            await settle(port.stopListening())
        if self.site is not None:
            await self.site.close()
        store, self.store = self.store, None
        if store is not None:
            await store.close()
