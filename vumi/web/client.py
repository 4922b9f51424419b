"""One HTTP request going out, within bounds of time and size.

Knows treq and Twisted's web client; knows nothing of retries (:mod:`vumi.web.outgoing`), workers
or messages. What is too slow or too big ends with an error, and its connection is cut.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.message import Message as MimeHeaders
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, execute
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from vumi.extras import needs_extra
from vumi.process_reactor import process_reactor
from vumi.utils import HttpTimeoutError
from vumi.web.bodies import BodyReceiver, UndecodedAgent
from vumi.web.redirects import Hop, requestable
from vumi.web.site import StringProducer, mkheaders

with needs_extra("http"):
    from treq.client import HTTPClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.internet.interfaces import IReactorTime
    from twisted.web.iweb import IAgent, IResponse

    HeadersGiven = Mapping[str, str | Sequence[str]] | Headers | None

__all__ = [
    "HttpResponse",
    "fetch",
    "http_request",
    "http_request_full",
    "old_http_request_full",
]


@dataclass
class HttpResponse:
    """A response with all of its body.

    :param code: The status, such as 200.
    :param phrase: The other side's words for it.
    :param headers: Those of the response.
    :param delivered_body: The body, decompressed.

    The methods are those of treq's responses.
    """

    code: int
    phrase: bytes
    headers: Headers
    delivered_body: bytes

    @property
    def charset(self) -> str | None:
        """The encoding that the header ``Content-Type`` names, in lower case."""
        mime = MimeHeaders()
        for value in self.headers.getRawHeaders("Content-Type", []):
            mime["Content-Type"] = value
        return mime.get_content_charset()

    def content(self) -> Deferred[bytes]:
        """The body."""
        return execute(lambda: self.delivered_body)

    def text(self, encoding: str = "ISO-8859-1") -> Deferred[str]:
        """The body as a text, in the encoding that its header names.

        :param encoding: The one to take if it names none.
        """
        return execute(lambda: self.delivered_body.decode(self.charset or encoding))

    def json(self) -> Deferred[Any]:
        """The body read as JSON."""
        return execute(json.loads, self.delivered_body)


def http_request_full(
    url: str,
    data: Any = None,
    headers: HeadersGiven = None,
    method: str = "POST",
    timeout: float | None = None,
    data_limit: int | None = None,
    context_factory: Any = None,
    agent_class: Callable[..., IAgent] | None = None,
    reactor: Any = None,
) -> Deferred[HttpResponse]:
    """Make one request, on a connection of its own.

    Redirects of GET and HEAD are followed; a redirect of anything else fails. To another origin
    only headers go that are known to be harmless. A body that is compressed (gzip) is
    decompressed.

    :param url: Where to.
    :param data: The body: bytes, a text (sent as UTF-8), or a dict that is sent as a form.
    :param headers: Name to value, or to a list of values.
    :param timeout: How many seconds all of it may take, connecting included; ``None``: no bound.
    :param data_limit: How many bytes the response's body may have; ``None``: no bound.
    :param context_factory: What TLS trusts; a policy as :class:`twisted.web.client.Agent` takes.
    :param agent_class: Makes the agent, called with the reactor, ``pool`` and, if there is a
        `context_factory`, ``contextFactory``; default: Twisted's Agent.
    :returns: Fires with the response, whatever its status.
    :raises HttpTimeoutError: It took too long.
    :raises HttpDataLimitError: The response is too big.
    """
    if reactor is None:
        reactor = process_reactor()
    pool = HTTPConnectionPool(reactor, persistent=False)
    context = {} if context_factory is None else {"contextFactory": context_factory}
    agent = (agent_class or Agent)(reactor, pool=pool, **context)
    return Deferred.fromCoroutine(
        fetch(
            agent,
            reactor,
            method,
            url,
            data=data,
            headers=headers,
            timeout=timeout,
            data_limit=data_limit,
            follow_redirects=True,
        )
    )


#: The old Vumi's first version, which did not use treq.
old_http_request_full = http_request_full


def http_request(
    url: str,
    data: Any,
    headers: HeadersGiven = None,
    method: str = "POST",
    agent_class: Callable[..., IAgent] | None = None,
) -> Deferred[bytes]:
    """The same, for the response's body only: there is no telling whether it was an error.

    :returns: Fires with the body's bytes.
    """
    requested = http_request_full(url, data, headers, method, agent_class=agent_class)
    return requested.addCallback(lambda response: response.delivered_body)


async def fetch(
    agent: IAgent,
    clock: IReactorTime,
    method: str,
    url: str,
    *,
    data: Any = None,
    headers: HeadersGiven = None,
    timeout: float | None = None,
    data_limit: int | None = None,
    follow_redirects: bool = False,
) -> HttpResponse:
    """Make one request with an agent. Cookies are not kept.

    Cancelling the Deferred of this coroutine cuts the connection.

    :param clock: What the time limit runs on.
    :param follow_redirects: Whether GET and HEAD go where a redirect says. A redirect of another
        method is then an error; otherwise it is a response like any other.

    For all else see :func:`http_request_full`.
    """
    timeout = timeout or None
    started = clock.seconds()
    undecoded = UndecodedAgent(agent)
    hop = Hop(
        method.upper(),
        url,
        headers if isinstance(headers, Headers) else mkheaders(headers or {}),
    )
    body_sent = StringProducer(data) if isinstance(data, bytes | str) else data
    responding = _respond(undecoded, clock, hop, body_sent, follow_redirects)
    response = await _limited(
        Deferred.fromCoroutine(responding), clock, timeout, "Timeout while connecting"
    )
    receiver = BodyReceiver(data_limit, undecoded.gzipped)
    receiver.receive(response)
    left = None if timeout is None else max(timeout - (clock.seconds() - started), 0)
    body = await _limited(receiver.received, clock, left, "Timeout while receiving data")
    return HttpResponse(int(response.code), response.phrase, response.headers, body)


async def _respond(
    agent: IAgent, clock: IReactorTime, hop: Hop, data: Any, follow_redirects: bool
) -> Any:
    """The response to a request, or to the last one that redirects make of it."""
    # A client for each request: treq's keeps cookies, and these are those of different people.
    client = HTTPClient(agent)
    while True:
        response: Any = await client.request(
            hop.method,
            requestable(hop.url),
            data=data,
            headers=hop.headers.copy(),
            allow_redirects=False,
            unbuffered=True,
            # Without one treq imports the reactor.
            reactor=cast("Any", clock),
        )
        following = hop.after(response) if follow_redirects else None
        if following is None:
            return response
        _give_up_body(response)
        hop, data = following, None


def _give_up_body(response: IResponse) -> None:
    """Cut the connection of a response whose body nobody wants."""
    receiver = BodyReceiver(0, gzipped=False)
    _ = receiver.received.addErrback(lambda _: None)
    receiver.receive(response)


def _limited(
    deferred: Deferred[Any], clock: IReactorTime, timeout: float | None, words: str
) -> Deferred[Any]:
    """Cancel a Deferred if it takes too long; it then fails with an error of these words."""
    if timeout is None:
        return deferred

    def too_late(result: Any, timeout: float) -> Any:
        raise HttpTimeoutError(words)

    return deferred.addTimeout(timeout, clock, too_late)
