"""Requests that must arrive: sent again when that may help, with an outcome in clear words.

Knows how a request can end and which ends are worth another try; one request by itself is
:mod:`vumi.web.client`'s. Knows no workers and no messages.

A request that nobody has answered may have been taken all the same, so the other side may get one
twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, overload

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)

from vumi.config.redact import mask_text
from vumi.tasks import on_outcome
from vumi.utils import HttpDataLimitError, HttpError, HttpTimeoutError
from vumi.web.bodies import BodyError
from vumi.web.client import fetch
from vumi.web.signatures import SignatureRule

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from twisted.internet.interfaces import IReactorTime
    from twisted.web.iweb import IAgent

    from vumi.web.client import HttpResponse

__all__ = [
    "SIGNATURE_HEADER",
    "HttpSender",
    "Outcome",
    "OutgoingRequest",
    "RequestFailed",
    "Retries",
    "signature",
]

T = TypeVar("T")

#: The header that carries the :func:`signature` of a request's body.
SIGNATURE_HEADER = "X-Vumi-Signature"
RELAY_SIGNATURE = SignatureRule(SIGNATURE_HEADER, prefix="sha256=")

DEFAULT_TIMEOUT = 30.0
DEFAULT_RESPONSE_LIMIT = 1024 * 1024
#: Answers with an error status that say "later" rather than "no".
TRY_LATER = frozenset(
    [HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS]
)
MAX_SHOWN = 200


class Outcome(Enum):
    """How a request has ended. There are no others."""

    #: A status from 200 to 299.
    ACCEPTED = "accepted"
    #: The other side has understood and won't have it: asking again will not help.
    REJECTED = "rejected"
    #: Not reached, the connection was lost, or it says itself that it can't now.
    UNAVAILABLE = "unavailable"
    #: No answer, or not all of it, within the time.
    TIMEOUT = "timeout"
    #: What came back is no HTTP, can't be decompressed, or is too big.
    GARBLED = "garbled"

    @property
    def retryable(self) -> bool:
        """Whether the same request may end otherwise if it is sent again."""
        return self not in (Outcome.ACCEPTED, Outcome.REJECTED)


class RequestFailed(HttpError):
    """A request has ended otherwise than accepted, for good.

    :param outcome: How.
    :param reason: What happened, as the end of a sentence that begins with the URL.
    :param target: Method and URL, without credentials.
    :param status: The answer's status; ``None`` if there was no answer.
    :param retry_after: The other side's wish, in seconds, how long to wait; ``None``: none.
    :param response: The answer, if there was one.
    """

    def __init__(
        self,
        outcome: Outcome,
        reason: str,
        target: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        response: HttpResponse | None = None,
    ) -> None:
        super().__init__(outcome, reason)
        self.outcome = outcome
        self.reason = reason
        self.target = target
        self.status = status
        self.retry_after = retry_after
        self.response = response
        #: How often it was tried.
        self.attempts = 1

    def clean(self, scrub: Callable[[str], str]) -> None:
        """Take secrets out of what it says. What its ``response`` says stays.

        :param scrub: Takes them out of a text.
        """
        self.target, self.reason = scrub(self.target), scrub(self.reason)
        self.args = (self.outcome, self.reason)

    def __str__(self) -> str:
        tries = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        return f"{self.target} {self.reason}{tries}"


@dataclass(frozen=True)
class Retries:
    """How often to try again, and when.

    :param count: How often at most, after the first time.
    :param delay: Seconds to wait before the first; each further one waits twice as long. What is
        waited in fact is up to twice that, at random, so that not all come back together.
    :param max_delay: Seconds that the waiting does not grow over.
    :param outcomes: Which ends are worth another try. With those after which the other side may
        have taken the request, it may get it twice.
    """

    count: int = 3
    delay: float = 1.0
    max_delay: float = 60.0
    outcomes: frozenset[Outcome] = frozenset(
        [Outcome.UNAVAILABLE, Outcome.TIMEOUT, Outcome.GARBLED]
    )

    def wait_before(self, retry: int, wish: float | None = None) -> float:
        """Seconds to wait before a retry.

        :param retry: Its number, counted from 0.
        :param wish: Seconds that the other side asks for.
        """
        wait = backoffPolicy(self.delay, self.max_delay, factor=2, jitter=lambda: 0.0)(retry)
        wait = max(wait, min(wish or 0.0, self.max_delay))
        return wait + random.uniform(0, wait)  # noqa: S311 (nobody gains by guessing it)


@dataclass(frozen=True)
class OutgoingRequest:
    """What is to be sent.

    :param headers: Name to value.
    :param timeout: How many seconds one attempt may take, connecting included.
    :param about: What it is about, for the log: ``"message 1a2b"``.
    :param says_later: Tells of a response with an error status whether it means "later" although
        its status doesn't say so; ``None``: none does.
    """

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = DEFAULT_TIMEOUT
    about: str = ""
    says_later: Callable[[HttpResponse], bool] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def target(self) -> str:
        """Method and URL, fit for a log."""
        return f"{self.method} {mask_text(self.url)}"


def signature(key: str, body: bytes) -> str:
    """The value of :data:`SIGNATURE_HEADER`: ``sha256=`` and the HMAC-SHA256 of a body, in hex.

    :param key: What both sides know, as UTF-8.
    :param body: The request's body, exactly as it is sent.
    """
    return RELAY_SIGNATURE.sign(key, body)


class HttpSender:
    """Sends requests, on connections that are kept.

    :param reactor: Twisted's.
    :param clock: What time limits and waiting run on; the reactor if left out.
    :param connections: How many connections to one server to keep.
    :param response_limit: How many bytes the body of a response may have.
    :param scrub: Takes secrets out of a text: what is logged and what errors say goes through it.
        Without one only what looks like a credential is taken out.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime | None = None,
        connections: int = 2,
        response_limit: int = DEFAULT_RESPONSE_LIMIT,
        scrub: Callable[[str], str] = str,
    ) -> None:
        #: Makes the agent, called with the reactor and ``pool``; ``None``: Twisted's Agent.
        self.agent_factory: Callable[..., IAgent] | None = None
        self._reactor = reactor
        self._clock: IReactorTime = reactor if clock is None else clock
        self._response_limit = response_limit
        self._scrub = scrub
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = connections
        self._agent: IAgent | None = None
        self._agent_made_by: Any = None
        self._sending: set[Deferred[Any]] = set()

    @overload
    def send(
        self, request: OutgoingRequest, retries: Retries | None = None
    ) -> Deferred[HttpResponse]: ...

    @overload
    def send(
        self,
        request: OutgoingRequest,
        retries: Retries | None = None,
        read: Callable[[HttpResponse], Any] | None = None,
    ) -> Deferred[Any]: ...

    def send(
        self,
        request: OutgoingRequest,
        retries: Retries | None = None,
        read: Callable[[HttpResponse], Any] | None = None,
    ) -> Deferred[Any]:
        """Send a request until it is accepted, or rejected, or has been tried often enough.

        :param retries: Not at all again, if left out.
        :param read: Makes something of a response with a status from 200 to 299, or raises
            :class:`RequestFailed` if it says no or later in its body. If it raises an error that
            comes of data being otherwise than expected, the response is garbled.
        :returns: Fires with the response that has accepted it, or what `read` has made of it.
            Cancelling it cuts the connection.
        :raises RequestFailed: It was not accepted.
        """
        sent = Deferred.fromCoroutine(self._send(request, retries or Retries(0), read))
        self._sending.add(sent)

        def done(result: Any) -> Any:
            self._sending.discard(sent)
            return result

        return sent.addBoth(done)

    async def close(self) -> None:
        """Give up what is being sent (it fails with ``CancelledError``) and close connections."""
        for sent in list(self._sending):
            sent.cancel()
        await self._pool.closeCachedConnections()

    async def _send(
        self,
        request: OutgoingRequest,
        retries: Retries,
        read: Callable[[HttpResponse], Any] | None,
    ) -> Any:
        retry = 0
        while True:
            try:
                response = await self._try(request)
                return response if read is None else _read(response, read, request)
            except RequestFailed as error:
                error.attempts = retry + 1
                error.clean(self._scrub)
                if error.outcome not in retries.outcomes or retry >= retries.count:
                    raise
                wait = retries.wait_before(retry, error.retry_after)
                self.log.warn(
                    "{about}: {target} {reason}; attempt {attempt} of {attempts}, the next one in "
                    "{wait:.1f} s",
                    event="http-retry",
                    about=self._scrub(request.about),
                    target=error.target,
                    reason=error.reason,
                    outcome=error.outcome.value,
                    attempt=retry + 1,
                    attempts=retries.count + 1,
                    wait=wait,
                )
            await deferLater(self._clock, wait)
            retry += 1

    async def _try(self, request: OutgoingRequest) -> HttpResponse:
        try:
            response = await _abandonable(
                fetch(
                    self._find_agent(),
                    self._clock,
                    request.method,
                    request.url,
                    data=request.body,
                    headers=request.headers,
                    timeout=request.timeout,
                    data_limit=self._response_limit,
                )
            )
        except _OF_THE_NETWORK as error:
            outcome, reason = _told(error, request)
            raise RequestFailed(outcome, reason, request.target) from error
        refusal = _refusal(response, request)
        if refusal is not None:
            refusal.target = request.target
            refusal.response = response
            raise refusal
        return response

    def _find_agent(self) -> IAgent:
        # Tests set the factory after the sender was made.
        factory: Any = self.agent_factory or Agent
        if self._agent is None or self._agent_made_by is not factory:
            self._agent = factory(self._reactor, pool=self._pool)
            self._agent_made_by = factory
        return self._agent


def _read(
    response: HttpResponse, read: Callable[[HttpResponse], Any], request: OutgoingRequest
) -> Any:
    try:
        return read(response)
    except RequestFailed as error:
        error.target = error.target or request.target
        error.status = response.code
        error.response = response
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RequestFailed(
            Outcome.GARBLED,
            f"gave an answer that can't be understood ({type(error).__name__})",
            request.target,
            response.code,
            response=response,
        ) from error


def _abandonable(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """A Deferred of some work that, when it is cancelled, fails with nothing but CancelledError.

    Twisted's HTTP client tells of that in many ways, most of which look like a lost connection.
    """
    working = Deferred.fromCoroutine(work)
    abandoned = False

    def abandon(_: object) -> None:
        nonlocal abandoned
        abandoned = True
        working.cancel()

    outcome: Deferred[T] = Deferred(abandon)

    def done(result: Any) -> None:
        if not abandoned:
            outcome.callback(result)

    on_outcome(working, done, done)
    return outcome


# What came of it

_WRAPPERS = (ResponseNeverReceived, ResponseFailed, RequestTransmissionFailed)
_UNREACHED = (ConnectError, DNSLookupError, OSError)
_OF_THE_NETWORK = (
    HttpTimeoutError,
    HttpDataLimitError,
    BodyError,
    ConnectionClosed,
    *_WRAPPERS,
    *_UNREACHED,
)


def _told(error: BaseException, request: OutgoingRequest) -> tuple[Outcome, str]:
    """The outcome of a request without a proper response, and words for it."""
    if isinstance(error, HttpTimeoutError):
        return Outcome.TIMEOUT, f"did not answer within {request.timeout:g} s"
    if isinstance(error, HttpDataLimitError):
        return Outcome.GARBLED, f"gave an answer that is too big: {str(error).lower()}"
    if isinstance(error, BodyError):
        return Outcome.GARBLED, f"gave an answer that is damaged: {str(error).lower()}"
    cause = _innermost(error)
    words = (" ".join(str(cause).split()).rstrip(".") or type(cause).__name__)[:MAX_SHOWN]
    if isinstance(cause, ConnectionClosed):
        return Outcome.UNAVAILABLE, f"did not answer: the connection was lost ({words})"
    if isinstance(cause, _UNREACHED) or _is_of_tls(cause):
        return Outcome.UNAVAILABLE, f"could not be reached: {words}"
    return Outcome.GARBLED, f"gave an answer that is no HTTP ({type(cause).__name__})"


def _innermost(error: Any) -> Any:
    while isinstance(error, _WRAPPERS) and error.reasons:
        # What ended it; the others are what followed from that.
        error = error.reasons[0].value
    return error


def _is_of_tls(error: BaseException) -> bool:
    # By its home: importing pyOpenSSL here would make it needed.
    return type(error).__module__.partition(".")[0] in ("OpenSSL", "service_identity")


def _refusal(response: HttpResponse, request: OutgoingRequest) -> RequestFailed | None:
    """What a response's status says; ``None`` if that is yes."""
    status = response.code
    if 200 <= status < 300:
        return None
    shown = f"answered {_status_text(status)}"
    if 300 <= status < 400:
        location = str(response.headers.getRawHeaders("Location", [""])[0])
        shown += f" to {mask_text(location)[:MAX_SHOWN]!r}: redirects are not followed"
    says_later = request.says_later
    if status >= 500 or status in TRY_LATER or (says_later is not None and says_later(response)):
        return RequestFailed(
            Outcome.UNAVAILABLE, shown, status=status, retry_after=_retry_after(response)
        )
    return RequestFailed(Outcome.REJECTED, shown, status=status)


def _status_text(status: int) -> str:
    # Not the words of the response: they may be anything.
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _retry_after(response: HttpResponse) -> float | None:
    """How many seconds a response asks to wait. One that names a date is not understood."""
    value = str(response.headers.getRawHeaders("Retry-After", [""])[0])
    return float(value) if value.isascii() and value.isdigit() else None
