"""The resource by which a sandboxed program makes HTTP requests: ``http.get`` and its like.

Knows what a program may say about a request, and how an answer is told. Where requests may go is
:mod:`vumi.web.reach`'s, how one is made within its bounds :mod:`vumi.web.client`'s.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.client import RequestTransmissionFailed as TransmissionFailed
from twisted.web.error import Error as WebError
from twisted.web.error import SchemeNotSupported

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.declared import (
    ANYTHING,
    OBJECT,
    TEXT,
    TEXTS,
    Argument,
    DeclaredResource,
    answers,
)
from vumi.application.sandbox.resources.http_fields import (
    RequestRefused,
    check_tls,
    check_url,
    checked_headers,
    form,
    told_body,
)
from vumi.application.sandbox.resources.tls import (
    SSL_METHODS,
    VERIFY_OPTIONS,
    make_context_factory,
)
from vumi.config import Config, ConfigFloat, ConfigInt, ConfigList, ConfigText
from vumi.errors import VumiError
from vumi.process_reactor import process_reactor
from vumi.utils import HttpDataLimitError
from vumi.web.reach import Reach, ReachEndpoints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.web.iweb import IAgent

    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["HttpClientResource", "HttpClientResourceConfig", "RequestRefused"]

#: What a request may fail with by no fault of ours.
FAILURES = (
    VumiError,
    ConnectError,
    ConnectionClosed,
    CancelledError,
    DNSLookupError,
    ResponseFailed,
    TransmissionFailed,
    SchemeNotSupported,
    WebError,
    SSL.Error,
    # URLs and headers that can't be written.
    ValueError,
)


class HttpClientResourceConfig(Config):
    """Options of the http resource."""

    timeout = ConfigFloat(
        "How long one request may take, in seconds, connecting included.",
        default=30,
        static=True,
        above=0,
        nullable=False,
    )
    data_limit = ConfigInt(
        "How many bytes the body of a response may have. Whoever sends more is cut off.",
        default=128 * 1024,
        static=True,
        above=0,
        nullable=False,
    )
    allowed_hosts = ConfigList(
        "What programs may reach although it is in a private network, or on this very machine: "
        "names (``api.internal``, ``*.internal``), addresses or networks (``10.1.0.0/16``), each "
        "with a port (``localhost:8000``) or without.",
        default=[],
        static=True,
    )
    denied_networks = ConfigList(
        "Networks that programs must not reach, besides private, loopback, link-local, multicast "
        "and reserved ones and this machine's own addresses.",
        default=[],
        static=True,
    )
    requests_at_once = ConfigInt(
        "How many requests of one sandbox are under way at a time; further ones wait for these.",
        default=10,
        static=True,
        above=0,
        nullable=False,
    )
    ca_certs = ConfigText(
        "The file with the authorities to trust, rather than the system's.", static=True
    )

    def post_validate(self) -> None:
        super().post_validate()
        self.reach()

    def reach(self) -> Reach:
        """Where requests may go."""
        return Reach(self.allowed_hosts, self.denied_networks)


ARGUMENTS = (
    Argument("url", TEXT, "Where to.", missing="No URL given", wrong="No URL given"),
    Argument("headers", OBJECT, "Name -> list of values.", optional=True),
    Argument(
        "data",
        ANYTHING,
        "The body: a text, sent as UTF-8. With ``files`` an object of further fields.",
        optional=True,
    ),
    Argument(
        "files",
        OBJECT,
        "Field -> ``file_name``, ``content_type`` and ``data`` (base64): sent as a form "
        "(``multipart/form-data``).",
        optional=True,
    ),
    Argument(
        "verify_options",
        TEXTS,
        f"How the other side's certificate is checked: of {', '.join(VERIFY_OPTIONS)}. Only "
        "``VERIFY_NONE`` alone changes something: it is then not checked.",
        optional=True,
    ),
    Argument(
        "ssl_method",
        TEXT,
        f"Understood, without effect: one of {', '.join(SSL_METHODS)}. The newest version that "
        "both sides know is used, TLS 1.2 at least.",
        optional=True,
    ),
    Argument(
        "body_encoding",
        TEXT,
        "``text``, or ``base64`` for bodies that are none.",
        optional=True,
        default="text",
    ),
)
REPLY = {
    "code": "The status, such as 200, whether it is a success or not.",
    "body": "The body.",
    "headers": "The headers: name in lower case -> list of values.",
}


def _answers_by(method: str) -> Any:
    """The handler of a method."""

    async def handle(
        self: HttpClientResource, api: SandboxApi, command: SandboxCommand, **fields: Any
    ) -> dict[str, Any]:
        return await self._answer(api, method, **fields)

    handle.__doc__ = f"Make a request by the method {method}."
    handle.__name__ = f"handle_{method.lower()}"
    return answers(*ARGUMENTS, **REPLY)(handle)


class HttpClientResource(DeclaredResource):
    """Makes HTTP requests, each on a connection of its own.

    Redirects of GET and HEAD are followed; those of other methods are failures. The address that a
    request goes to is checked each time, whatever name it has.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = HttpClientResourceConfig

    handle_get = _answers_by("GET")
    handle_put = _answers_by("PUT")
    handle_delete = _answers_by("DELETE")
    handle_head = _answers_by("HEAD")
    handle_post = _answers_by("POST")
    handle_patch = _answers_by("PATCH")

    def __init__(self, name: str, app_worker: Any, config: Mapping[str, Any]) -> None:
        super().__init__(name, app_worker, config)
        options = self.options
        self.timeout: float = options.timeout
        self.data_limit: int = options.data_limit
        self.reach: Reach = options.reach()
        #: Twisted's reactor; looked up at set-up if nobody says.
        self.reactor: Any = None
        self._requests_at_once: int = options.requests_at_once
        self._ca_certs: str | None = options.ca_certs
        self._turns: dict[str, DeferredSemaphore] = {}
        self._asking: Counter[str] = Counter()
        self._requests: set[Deferred[Any]] = set()

    def setup(self) -> None:
        """Get ready.

        :raises ConfigError: The authorities can't be read.
        """
        if self.reactor is None:
            self.reactor = process_reactor()
        self._policies = {
            True: make_context_factory(ca_certs=self._ca_certs),
            False: make_context_factory(verify_options=VERIFY_OPTIONS["VERIFY_NONE"]),
        }

    def teardown(self) -> None:
        """Give up what is under way."""
        for request in list(self._requests):
            request.cancel()

    # One after the other

    async def _answer(self, api: SandboxApi, method: str, **fields: Any) -> dict[str, Any]:
        sandbox_id = api.sandbox_id
        turns = self._turns.setdefault(sandbox_id, DeferredSemaphore(self._requests_at_once))
        self._asking[sandbox_id] += 1
        try:
            await turns.acquire()
            try:
                return await self._try_request(method, **fields)
            finally:
                turns.release()
        finally:
            self._asking[sandbox_id] -= 1
            if not self._asking[sandbox_id]:
                del self._asking[sandbox_id]
                del self._turns[sandbox_id]

    async def _try_request(self, method: str, **fields: Any) -> dict[str, Any]:
        request = Deferred.fromCoroutine(self._request(method, **fields))
        self._requests.add(request)
        try:
            return await request
        except FAILURES as error:
            raise CommandRefused(self._reason(error)) from error
        finally:
            self._requests.discard(request)

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, HttpDataLimitError):
            return (
                f"Received more than {self.data_limit} bytes, maximum of {self.data_limit} bytes "
                "allowed."
            )
        reasons = getattr(error, "reasons", None)
        if reasons:
            return "; ".join(self._reason(failure.value) for failure in reasons)
        if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
            return "TLS: " + ", ".join(str(parts[-1]) for parts in error.args[0])
        if isinstance(error, CancelledError):
            return "The worker is stopping."
        return str(error) or type(error).__name__

    # One request

    async def _request(
        self,
        method: str,
        url: str,
        headers: dict[str, Any] | None,
        data: Any,
        files: dict[str, Any] | None,
        verify_options: list[str] | None,
        ssl_method: str | None,
        body_encoding: str,
    ) -> dict[str, Any]:
        # treq is an extra.
        from vumi.web.client import fetch

        check_url(url)
        check_tls(verify_options, ssl_method)
        if body_encoding not in ("text", "base64"):
            raise RequestRefused("'body_encoding' must be text or base64.")
        sent = checked_headers(headers or {})
        body: Any = None
        if files:
            body, content_type = form(files, data)
            sent = {name: sent[name] for name in sent if name.lower() != "content-type"}
            sent["Content-Type"] = [content_type]
        elif data is not None:
            if not isinstance(data, str):
                raise RequestRefused("'data' must be a text or null.")
            body = data
        response = await fetch(
            self._agent(verify=verify_options != ["VERIFY_NONE"]),
            self.reactor,
            method,
            url,
            data=body,
            headers=sent,
            timeout=self.timeout,
            data_limit=self.data_limit,
            follow_redirects=True,
        )
        return {
            "code": response.code,
            "body": told_body(response, body_encoding),
            "headers": {
                name.decode("latin-1").lower(): [value.decode("latin-1") for value in values]
                for name, values in response.headers.getAllRawHeaders()
            },
        }

    def _agent(self, verify: bool) -> IAgent:
        # Connections are not kept: what one sandbox has begun no other one must go on with.
        pool = HTTPConnectionPool(self.reactor, persistent=False)
        endpoints = ReachEndpoints(self.reactor, self.reach, self._policies[verify], self.timeout)
        agent: IAgent = Agent.usingEndpointFactory(self.reactor, endpoints, pool=pool)
        return agent
