"""A transport that is an HTTP server: its life, and how it takes and answers requests.

Knows the options of :class:`~vumi.transports.httprpc.HttpRpcTransportConfig`. What a request's
messages and the replies to them become is for the families: in
:mod:`~vumi.transports.httprpc.httprpc` the reply is the answer, in :mod:`vumi.transports.httpsms`
it is sent by a request of ours.

For tests. :attr:`HttpTransport.web_site` is the real :class:`twisted.web.server.Site` once the
transport is set up: give a channel made by its ``buildProtocol()`` bytes to read. With
:attr:`HttpTransport.listen` set to ``False`` before that, no socket is opened. All timers run on
:attr:`~vumi.service.Worker.clock`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.msisdn import restore_plus
from vumi.tasks import is_pending, on_outcome, settle, to_wait_for
from vumi.transports.base import Transport
from vumi.transports.httprpc.answers import Answer, Incoming, Refused, json_body
from vumi.transports.httprpc.fields import UnexpectedNames
from vumi.transports.httprpc.handover import new_instance_id
from vumi.transports.httprpc.held import HeldRequests, write_answer
from vumi.transports.httprpc.options import PERMISSIVE, STRICT, HttpRpcTransportConfig
from vumi.transports.httprpc.refusals import RefusalLog, in_words
from vumi.transports.httprpc.resources import (
    BasicAuthResource,
    HttpRpcHealthResource,
    HttpRpcResource,
)
from vumi.transports.httprpc.server import HttpServer, TellingSite
from vumi.transports.httprpc.statuses import StatusBoard
from vumi.web.overload import overload_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IListeningPort
    from twisted.web.resource import IResource
    from twisted.web.server import Site

    from vumi.transports.httprpc.held import HeldRequest

__all__ = ["HttpTransport"]

NO_ANSWER_YET = Answer("Not available: the transport is stopping.\n", 503, {"Retry-After": "5"})
#: Errors that are logged elsewhere: an error of ours, an overload, a reply that came too late.
TOLD_ELSEWHERE = frozenset([500, 503, 504])


class HttpTransport(Transport):
    """A transport that is an HTTP server. The families of HTTP transports are of this class."""

    CONFIG_CLASS: ClassVar[Any] = HttpRpcTransportConfig

    #: The transport type of messages, unless there is an option of this name.
    transport_type: str | None = None

    #: The content type of answers.
    content_type = "text/plain"

    #: What parameters are encoded in. Octets that mean nothing in it become U+FFFD.
    ENCODING = "UTF-8"

    STRICT_MODE, PERMISSIVE_MODE = STRICT, PERMISSIVE
    DEFAULT_VALIDATION_MODE = STRICT
    KNOWN_VALIDATION_MODES = (STRICT, PERMISSIVE)

    #: Whether to open a socket. With ``False`` there is only :attr:`web_site`.
    listen = True

    _events = Logger(namespace="vumi.transports.httprpc")

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        #: This process's part of its requests' ids.
        self.instance_id = new_instance_id()
        #: The requests that wait for their answer.
        self.held_requests = HeldRequests(self._client_gone)
        self.request_gc: LoopingCall | None = None
        self._statuses = StatusBoard(self._publish_status)
        self._server: HttpServer | None = None
        self._clock: Any = None
        self._runs_as_service = False
        self._stopping = False
        self._refuses = False

    # Life

    def _validate_config(self) -> Any:
        config = self.get_static_config()
        # Read once: looking options up for every request costs more than all else.
        self.web_path: str = config.web_path
        self.web_port: int = config.web_port or 0
        self.web_username: str | None = config.web_username
        self.web_password: str | None = config.web_password
        self.web_auth_domain: str = config.web_auth_domain or ""
        self.health_path: str = (config.health_path or "").lstrip("/")
        self.request_timeout: float = config.request_timeout
        self.request_timeout_status_code: int = config.request_timeout_status_code
        self.request_timeout_body: str = config.request_timeout_body or ""
        self.gc_requests_interval: float = config.request_cleanup_interval
        self.noisy: bool = config.noisy
        self.validation_mode: str = config.validation_mode
        self.response_time_down: float = config.response_time_down
        self.response_time_degraded: float = config.response_time_degraded
        self._max_held: int = config.max_held_requests
        self.message_type: str | None = (
            getattr(config, "transport_type", None) or self.transport_type
        )
        self.unexpected_names = UnexpectedNames(config.transport_name)
        self.refusals = RefusalLog(
            config.transport_name, lambda: float(self.clock.seconds()), self.scrub
        )
        return super()._validate_config()

    @property
    def clock(self) -> Any:
        """What timers run on: Twisted's reactor, or a clock."""
        return super().clock if self._clock is None else self._clock

    @clock.setter
    def clock(self, clock: Any) -> None:
        self._clock = clock

    def get_clock(self) -> Any:
        """The clock to use. Overridden in tests of transports for the old Vumi."""
        return super().clock if self._clock is None else self._clock

    def startService(self) -> None:
        self._runs_as_service = True
        super().startService()

    def setup_transport(self) -> Any:
        """Start to serve. Prefer :meth:`setup_provider`, which needs no ``super()``."""
        return Deferred.fromCoroutine(self._open())

    async def _open(self) -> None:
        self._stopping = False
        self._clock = self.get_clock()
        await settle(self.setup_provider())
        await self._open_replies()
        self._look_for_overdue_requests()
        server = self._server = HttpServer(self.broker.clock, self.transport_name)
        resources = self.get_resources()
        server.site = self._make_site(resources)
        if not self.listen:
            return
        config = self.get_static_config()
        try:
            await server.listen(config)
        except BaseException:
            # Nothing else does: a transport that is not up is not torn down.
            await self._close()
            raise
        server.tell_urls(
            [pair for pair in resources if not isinstance(pair[0], HttpRpcHealthResource)],
            config.public_url,
            ", ".join(self.provider_needs()),
        )

    def _make_site(self, resources: list[tuple[IResource, str]]) -> TellingSite:
        config = self.get_static_config()

        site = TellingSite.of(
            {path: resource for resource, path in resources},
            self.clock,
            body_limit=config.max_body_bytes,
            max_headers=config.max_headers,
            access_log=config.access_log,
        )
        site.on_error = self._answered_error
        return site

    async def _open_replies(self) -> None:
        """Called before the first request, after :meth:`setup_provider`."""

    async def _close_replies(self) -> None:
        """Called after the last message, before the requests that still wait are answered."""

    def setup_provider(self) -> Any:
        """Called before the first request; may return a Deferred or be ``async``.

        What is raised keeps the transport from starting.
        """

    def teardown_provider(self) -> Any:
        """Called after the last request and message; may return a Deferred or be ``async``."""

    async def drain_connectors(self) -> None:
        """Take no more requests, and give those that wait some time for their replies."""
        self._stopping = True
        if self._server is not None:
            await self._server.stop_listening()
        if self._runs_as_service and self.held_requests:
            try:
                empty = self.held_requests.when_empty()
                await empty.addTimeout(self.drain_timeout / 2, self.clock)
            except DeferredTimeout:
                self._events.warn(
                    "{count} requests are answered 503: no reply came",
                    event="http-requests-without-reply",
                    count=len(self.held_requests),
                )
        await super().drain_connectors()

    def teardown_transport(self) -> Any:
        """Stop serving. Prefer :meth:`teardown_provider`, which needs no ``super()``."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self.request_gc is not None and self.request_gc.running:
            self.request_gc.stop()
        await self._close_replies()
        for held in self.held_requests:
            self.finish(held.id, NO_ANSWER_YET)
        if self._server is not None:
            await self._server.close()
        await settle(self.teardown_provider())

    # What is served

    @property
    def web_site(self) -> Site | None:
        """The site that is served; ``None`` while the transport isn't up."""
        return None if self._server is None else self._server.site

    @property
    def web_resource(self) -> IListeningPort | None:
        """The socket that is listened on, if any."""
        return None if self._server is None else self._server.port

    def get_resources(self) -> list[tuple[IResource, str]]:
        """What is served: pairs of a resource and its path. Override it to add more.

        :meth:`serve` makes a resource of a hook such as :meth:`receive`.
        """
        return [
            (self.get_authenticated_resource(HttpRpcResource(self)), self.web_path),
            (HttpRpcHealthResource(self), self.health_path),
        ]

    def serve(self, hook: Callable[[Incoming], Any]) -> IResource:
        """A resource whose requests are given to a hook of the same kind as :meth:`receive`."""

        def handle(request_id: str, request: Any) -> Any:
            return self._receive(hook, request_id, request)

        return self.get_authenticated_resource(HttpRpcResource(self, handle))

    def provider_needs(self) -> list[str]:
        """What requests must have, for the log. To be added to; without secrets."""
        if self.web_username is None:
            return []
        return [f"HTTP Basic, user name {self.web_username!r}"]

    def get_authenticated_resource(self, resource: IResource) -> IResource:
        """Put a resource behind the user name and password, if the config has them."""
        if self.web_username is None:
            return resource
        return BasicAuthResource(
            resource, self.web_username, self.web_password or "", self.web_auth_domain
        )

    def get_transport_url(self, suffix: str = "") -> str:
        """The URL of a path on this server, as seen from this machine.

        :raises ValueError: It doesn't listen.
        """
        if self.web_resource is None:
            raise ValueError("the transport does not listen")
        address: Any = self.web_resource.getHost()
        return f"http://{address.host}:{address.port}/{suffix.lstrip('/')}"

    def get_health_response(self) -> str | bytes:
        """The body of the health page."""
        return json_body({"pending_requests": len(self.held_requests)})

    # Taking requests

    def generate_request_id(self) -> str:
        """An id for a request and its message, which tells who holds it."""
        return self.instance_id + self.generate_message_id()[len(self.instance_id) :]

    def refusal(self) -> str | None:
        """Why no request is taken for now; ``None`` if one is. Called for every request."""
        reason: str | None
        if self._stopping:
            reason = "the transport is stopping"
        elif len(self.held_requests) >= self._max_held:
            reason = "too many requests are waiting for their answer"
        else:
            reason = overload_reason(self.broker)
        if reason is not None and not self._refuses:
            # Told once, not per request: an outage must not fill the log as well.
            self._events.warn(
                "Requests are answered 503: {reason}", event="http-overloaded", reason=reason
            )
            self._statuses.request_refused("overloaded", {"reason": reason})
        elif reason is None and self._refuses:
            self._events.info("Requests are taken again", event="http-no-longer-overloaded")
        self._refuses = reason is not None
        return reason

    def take_request(
        self, request_id: str, request: Any, handler: Callable[[str, Any], Any] | None = None
    ) -> None:
        """Hold a request and have it handled. Called by the resource.

        :param handler: Takes its id and the request; :meth:`handle_raw_inbound_message` if left
            out. If it fails the request is answered 500.
        """
        request.responseHeaders.setRawHeaders("Content-Type", [self.content_type])
        self.set_request(request_id, request)
        try:
            result = (handler or self.handle_raw_inbound_message)(request_id, request)
        except Exception:  # noqa: BLE001 (whatever a provider's code raises, the client hears of it)
            self._request_failed(Failure(), request_id)
            return
        waiting = to_wait_for(result)
        if waiting is not None:
            on_outcome(
                waiting,
                lambda _: None,
                lambda failure: self._request_failed(failure, request_id),
            )

    def set_request(self, request_id: str, request: Any, timestamp: float | None = None) -> Any:
        """Hold a request.

        :param timestamp: When it came, in seconds of the clock; now, if left out.
        """
        if timestamp is None:
            timestamp = self.clock.seconds()
        self.held_requests.add(request_id, request, timestamp)
        return request

    def handle_raw_inbound_message(self, message_id: str, request: Any) -> Any:
        """Handle one request. Transports for the old Vumi override this.

        Publish a message with the id `message_id`, or answer by ``finish_request()``. May return
        a Deferred or be ``async``. Raising answers 500; a :class:`UnicodeDecodeError` 400.
        """
        return self._receive(self.receive, message_id, request)

    def receive(self, incoming: Incoming) -> Any:
        """Make a message of a request. To be overridden; may be ``async``.

        :returns: The message's fields as a dict: it is published. ``message_id``,
            ``transport_type`` and ``transport_metadata`` have defaults. Or an :class:`Answer`:
            nothing is published, the client gets it at once. Or ``None``: the request waits until
            it is finished by its id.
        :raises Refused: The request is answered with an error, usually 400.
        """
        raise NotImplementedError("Sub-classes should implement handle_raw_inbound_message.")

    def _receive(self, hook: Callable[[Incoming], Any], request_id: str, request: Any) -> Any:
        held = self.held_requests.get(request_id)
        incoming = Incoming(request_id, request, self)
        if held is not None:
            held.incoming = incoming
        received = hook(incoming)
        if is_pending(received):
            return self._received_later(incoming, received)
        return self._received(incoming, received)

    async def _received_later(self, incoming: Incoming, received: Any) -> None:
        await settle(self._received(incoming, await received))

    def _received(self, incoming: Incoming, received: Any) -> Any:
        """Do what a hook said."""
        if isinstance(received, Answer):
            self._statuses.request_parsed()
            self.finish(incoming.id, received)
            return None
        if received is None:
            return None
        self._statuses.request_parsed()
        return self.publish_fields(incoming, received)

    def publish_fields(self, incoming: Incoming, fields: Any) -> Any:
        """Publish what a request has brought.

        :param fields: What :meth:`receive` has returned: a message's fields.
        :returns: A Deferred; if it fails the request is answered 500.
        """
        fields.setdefault("message_id", incoming.id)
        fields.setdefault("transport_type", self.message_type)
        return self.publish_message(**fields)

    def publish_message(self, **kw: Any) -> Deferred[Any]:
        for name in ("from_addr", "to_addr"):
            address = kw.get(name)
            if isinstance(address, str):
                kw[name] = restore_plus(address)
        held = self.held_requests.get(kw.get("message_id", ""))
        if held is not None:
            held.to_addr = kw.get("to_addr")
        return super().publish_message(**kw)

    def _request_failed(self, failure: Failure, request_id: str) -> None:
        error = failure.value
        if isinstance(error, UnicodeDecodeError):
            # Transports for the old Vumi decode what the client has sent.
            error = Refused({"invalid_parameter": [""]}, type="invalid_encoding")
        if isinstance(error, Refused):
            self._statuses.request_refused(error.type, error.details)
            self._tell_refusal(request_id, error)
            self.finish(request_id, error.answer)
            return
        traceback = self.scrub(failure.getTraceback())
        if traceback == failure.getTraceback():
            self.log.err(failure, f"Request {request_id} failed")
        else:
            # The failure itself holds a secret: only its cleaned text may be logged.
            self._events.warn(
                "Request {request_id} failed: {traceback}",
                event="http-request-failed",
                request_id=request_id,
                traceback=traceback,
            )
        self._statuses.request_refused("request_failed", {})
        self.finish(request_id, self.make_error_answer())

    def _tell_refusal(self, request_id: str, error: Refused) -> None:
        held = self.held_requests.get(request_id)
        if held is not None:
            held.request.told = True
            self.refusals.request(_shown(held.request), error.answer.code, error.words, error.type)

    def _answered_error(self, request: Any) -> None:
        """A request was answered with an error. Called by the site."""
        if request.code not in TOLD_ELSEWHERE and not getattr(request, "told", False):
            self.refusals.request(_shown(request), request.code, getattr(request, "reason", ""))

    def make_error_answer(self) -> Answer:
        """The answer for a request whose handling has failed with an error of ours."""
        return Answer("Internal Server Error\n", 500)

    # Answering requests

    def finish(self, request_id: str, answer: Answer) -> Any:
        """Answer a request.

        :returns: Twisted's request object; ``None`` if the request isn't held (any more): the
            answer has reached nobody.
        """
        if self.noisy:
            self.emit(f"HttpRpcTransport.finish_request with data: {answer.body!r}")
        held = self.held_requests.get(request_id)
        if held is None:
            return None
        request = held.request
        if getattr(request, "finished", False):
            # The transport has done it behind our back.
            self.held_requests.remove(request_id)
            return None
        request.setResponseCode(answer.code)
        self._tell_response_time(held, self.clock.seconds() - held.timestamp)
        self.held_requests.remove(request_id)
        if answer.code >= 400 and not getattr(request, "told", False):
            request.reason = in_words(answer.body)
        write_answer(request, answer)
        return request

    def _tell_response_time(self, held: HeldRequest, seconds: float) -> None:
        # Errors of the client are told by the request component.
        if 200 <= held.request.code < 300:
            self._statuses.answered(seconds, self.response_time_degraded, self.response_time_down)

    def _client_gone(self, held: HeldRequest) -> None:
        self._events.info(
            "The client of request {request_id} has hung up before it was answered",
            event="http-client-gone",
            request_id=held.id,
        )

    def _look_for_overdue_requests(self) -> None:
        self.request_gc = LoopingCall(self.manually_close_requests)
        self.request_gc.clock = self.clock
        if self.gc_requests_interval:
            on_outcome(
                self.request_gc.start(self.gc_requests_interval, now=False),
                lambda _: None,
                lambda failure: self.log.err(failure, "Looking for overdue requests failed"),
            )

    def manually_close_requests(self) -> None:
        """Answer the requests that have waited too long. Called every so often."""
        now = self.clock.seconds()
        for held in self.held_requests.overdue(now - self.request_timeout):
            self._events.warn(
                "Timing out {to_addr}: request {request_id} has waited {seconds:.0f} s",
                event="http-request-timeout",
                request_id=held.id,
                to_addr=held.to_addr,
                seconds=now - held.timestamp,
            )
            self.on_timeout(held.id, now - held.timestamp)
            self.close_request(held.id)

    def on_timeout(self, message_id: str, time: float) -> Any:
        """A request has waited too long and is about to be answered so.

        :param time: How long it has waited, in seconds.
        """
        self._statuses.response_timeout(time, self.request_timeout)

    def close_request(self, request_id: str) -> None:
        """Answer a request that has waited too long."""
        self.finish(request_id, self.make_timeout_answer())

    def make_timeout_answer(self) -> Answer:
        """The answer for a request that has waited too long."""
        return Answer(self.request_timeout_body, self.request_timeout_status_code)

    # Telling

    def reject(self, message_id: str, reason: str, why: str = "nack", **kw: Any) -> Deferred[Any]:
        """Nack a message, with a line in the log.

        :param why: Which of :data:`~vumi.transports.httprpc.refusals.HINTS` helps.
        :param kw: Further fields of the event.
        """
        self.refusals.message(message_id, reason, why)
        return self.publish_nack(message_id, reason, **kw)

    def add_status(self, **kw: Any) -> Any:
        """Publish a status, unless it repeats what was published."""
        self._statuses.add(**kw)

    def _publish_status(self, **status: Any) -> None:
        on_outcome(
            self.publish_status(**status),
            lambda _: None,
            lambda failure: self.log.err(failure, "Publishing a status failed"),
        )

    def emit(self, log: str) -> None:
        """Log a line if the transport is ``noisy``."""
        if self.noisy:
            self.log.info(self.scrub(log))


def _shown(request: Any) -> str:
    """A request in words, without its query string."""
    method = request.method.decode("ascii", "replace")
    path = request.path.decode("utf-8", "replace")
    host = getattr(getattr(request, "client", None), "host", None) or "?"
    return f"{method} {path} from {host}"
