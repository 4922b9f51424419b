"""Requests to a Riak cluster over HTTP.

Knows nodes, connections, and when to try again; what an answer says is
:mod:`~vumi.components.message_store.riak.answers`'. Knows nothing of what is archived.

Nodes take turns. A node that can't be reached, answers too late, is overloaded, or is starting or
stopping (it answers 404 to everything) rests for a while, and the next node is asked. When all
have failed there is a pause, longer each time, until patience ends. A write that got no answer may
have been done: writing the same again makes at most a sibling of the same content, which merging
removes.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, DeferredSemaphore
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
from twisted.web.http_headers import Headers

from vumi.components.message_store.riak.answers import (
    Fetched,
    IndexPage,
    Missing,
    RiakAnswer,
    bucket_properties,
    fetched,
    index_page,
    what_is_missing,
)
from vumi.components.message_store.riak.terms import quoted
from vumi.errors import StoreError, StoreUnavailable
from vumi.utils import HttpDataLimitError, HttpTimeoutError
from vumi.web.bodies import BodyReceiver
from vumi.web.outgoing import Retries
from vumi.web.site import StringProducer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twisted.web.iweb import IAgent

    from vumi.components.message_store.riak.layout import ArchiveRecord
    from vumi.components.message_store.riak.url import RiakNode, RiakPlace

__all__ = ["Put", "RiakClient"]

#: An object with many siblings of big messages.
_ANSWER_LIMIT = 256 * 1024 * 1024
#: Characters of index terms in one header line. Riak reads lines up to 8,192 octets, and up to
#: 1,000 lines.
_INDEX_LINE = 4_000
#: How much longer we wait than Riak may work: time for it to say what is wrong.
_GRACE_SECONDS = 2.0
#: How long a node that failed is asked only if there is no other.
_REST_SECONDS = 5.0

_RETRIES = Retries(delay=0.05, max_delay=2.0)
_OVERLOADED = (429, 502, 503, 504)
#: What an error 500 says that passes by itself.
_PASSING = ("timeout", "insufficient_vnodes", "all_nodes_down", "overload", "noproc", "nodedown")

_NOT_SENT = (ConnectError, DNSLookupError)
_LOST = (
    ConnectionClosed,
    HttpTimeoutError,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
    OSError,
)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked of any node."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes | None = None
    #: Statuses that are an answer; all others are errors.
    expected: tuple[int, ...] = (200,)


@dataclass(slots=True)
class _Trouble:
    """Why an attempt failed, and whether it may have done something all the same."""

    reason: str
    maybe_executed: bool


class Put(Enum):
    """The outcome of a conditional write."""

    DONE = "done"
    #: The condition does not hold.
    REFUSED = "refused"
    #: The condition does not hold; but an attempt before got no answer, and may be the reason.
    UNSURE = "unsure"


class RiakClient:
    """Speaks to a cluster.

    :param reactor: Twisted's.
    :param place: Where the cluster is, and how it is to be asked.
    :param agent: Makes requests, in place of Twisted's on connections that are kept.

    Errors of all methods: :class:`StoreUnavailable` when patience has ended,
    :class:`StoreError` for what Riak refuses.
    """

    log = Logger()

    def __init__(self, reactor: Any, place: RiakPlace, agent: IAgent | None = None) -> None:
        self._reactor = reactor
        self._place = place
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = place.connections
        self._agent: Any = agent or Agent(reactor, connectTimeout=place.timeout, pool=self._pool)
        self._slots = DeferredSemaphore(place.connections * len(place.nodes))
        self._turn = count()
        #: Node -> until when it rests.
        self._resting: dict[RiakNode, float] = {}
        self._scheme = "https" if place.tls else "http"
        self._common = {
            "Accept": "multipart/mixed, */*;q=0.5",
            # Nodes that are not set up to decode paths do it then.
            "X-Riak-URL-Encoding": "on",
            "User-Agent": "vumi",
        }
        if place.user is not None:
            pair = f"{place.user}:{place.password or ''}".encode()
            self._common["Authorization"] = f"Basic {b64encode(pair).decode('ascii')}"

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.closeCachedConnections()

    # Objects

    async def get(self, bucket: str, key: str) -> Fetched:
        """What there is under a key."""
        request = self._request(
            "GET", self._object(bucket, key), self._quorums("r", "pr"), expected=(200, 300, 404)
        )
        return fetched((await self._ask(request))[0])

    async def put(
        self,
        bucket: str,
        key: str,
        record: ArchiveRecord,
        vclock: str | None = None,
        condition: tuple[str, str] | None = None,
    ) -> Put:
        """Write an object.

        :param vclock: Of what it replaces.
        :param condition: A header, ``If-Match`` or ``If-None-Match``, and its value.
        """
        headers: dict[str, str | list[str]] = {"Content-Type": "application/json"}
        if vclock is not None:
            headers["X-Riak-Vclock"] = vclock
        if condition is not None:
            headers[condition[0]] = condition[1]
        headers.update(_index_lines(record.indexes))
        request = self._request(
            "PUT",
            self._object(bucket, key),
            self._quorums("w", "dw", "pw"),
            headers,
            record.body,
            expected=(200, 201, 204, 300, 412),
        )
        answer, maybe_before = await self._ask(request)
        if answer.status != 412:
            return Put.DONE
        return Put.UNSURE if maybe_before else Put.REFUSED

    async def delete(self, bucket: str, key: str, vclock: str | None) -> bool:
        """Delete an object. What was written meanwhile stays.

        :param vclock: Of what is deleted.
        :returns: Whether there was something.
        """
        request = self._request(
            "DELETE",
            self._object(bucket, key),
            self._quorums("r", "pr", "w", "dw", "pw"),
            {} if vclock is None else {"X-Riak-Vclock": vclock},
            expected=(200, 204, 404),
        )
        return (await self._ask(request))[0].status != 404

    # Indexes

    async def index(
        self,
        bucket: str,
        index: str,
        first: str,
        last: str | None = None,
        *,
        limit: int,
        continuation: str | None = None,
    ) -> IndexPage:
        """Some matches of an index, sorted.

        :param first: The term, or the first one of a range. Terms are as they went into headers.
        :param last: The last one of the range; ``None``: only `first`, and the page has no terms.
        :param limit: How many at most.
        :param continuation: Of the page before.
        """
        terms = [first] if last is None else [first, last]
        path = "/".join(quoted(part) for part in ("index", index, *terms))
        # Only a limit makes Riak sort.
        options = {"max_results": str(limit), "return_terms": "false" if last is None else "true"}
        if continuation is not None:
            options["continuation"] = continuation
        request = self._request("GET", f"{self._bucket(bucket)}/{path}", options)
        return index_page((await self._ask(request))[0])

    # Buckets

    async def properties(self, bucket: str) -> dict[str, Any]:
        """A bucket's properties."""
        request = self._request("GET", f"{self._bucket(bucket)}/props", {})
        return bucket_properties((await self._ask(request))[0])

    async def set_properties(self, bucket: str, body: bytes) -> None:
        """Set some of a bucket's properties.

        :param body: JSON: ``{"props": {...}}``.
        """
        target = f"{self._bucket(bucket)}/props"
        headers = {"Content-Type": "application/json"}
        await self._ask(self._request("PUT", target, {}, headers, body, expected=(200, 204)))

    def _no_bucket_type(self) -> StoreError:
        return StoreError(
            f"{self._place.address}: there is no bucket type {self._place.bucket_type!r}, or it "
            "is not active: make it with riak admin bucket-type create, and activate."
        )

    # Requests

    def _bucket(self, bucket: str) -> str:
        place = self._place
        prefix = "" if place.bucket_type is None else f"/types/{quoted(place.bucket_type)}"
        return f"{prefix}/buckets/{quoted(place.bucket_prefix + bucket)}"

    def _object(self, bucket: str, key: str) -> str:
        return f"{self._bucket(bucket)}/keys/{quoted(key)}"

    def _quorums(self, *names: str) -> dict[str, str]:
        quorums = self._place.quorums
        return {name: quorums[name] for name in names if name in quorums}

    def _request(
        self,
        method: str,
        path: str,
        options: dict[str, str],
        headers: Any = None,
        body: bytes | None = None,
        expected: tuple[int, ...] = (200,),
    ) -> _Request:
        query = urlencode({**options, "timeout": str(round(self._place.timeout * 1000))})
        lines = {**self._common, **(headers or {})}
        return _Request(
            method.encode("ascii"),
            f"{path}?{query}".encode("ascii"),
            Headers(
                {
                    name: [value] if isinstance(value, str) else value
                    for name, value in lines.items()
                }
            ),
            body,
            expected,
        )

    async def _ask(self, request: _Request) -> tuple[RiakAnswer, bool]:
        """Ask nodes until one answers.

        :returns: Its answer, and whether an attempt before may have been executed.
        """
        started = self._reactor.seconds()
        maybe_executed = False
        for attempt in count(1):
            node = self._next_node()
            outcome = await self._try(node, request)
            if isinstance(outcome, RiakAnswer):
                self._resting.pop(node, None)
                return outcome, maybe_executed
            now = self._reactor.seconds()
            self._resting[node] = now + _REST_SECONDS
            maybe_executed = maybe_executed or outcome.maybe_executed
            rounds, rest = divmod(attempt, len(self._place.nodes))
            if rest:
                continue
            wait = _RETRIES.wait_before(rounds - 1)
            if now + wait - started > self._place.patience:
                raise StoreUnavailable(
                    f"{self._place.address} is not available: {node.netloc} {outcome.reason} "
                    f"({attempt} attempts).",
                    maybe_executed=maybe_executed,
                )
            self.log.debug(
                "Riak at {node} {reason}; attempt {attempt}, the next one in {wait:.1f} s",
                event="riak-retry",
                node=node.netloc,
                reason=outcome.reason,
                attempt=attempt,
                wait=wait,
            )
            await deferLater(self._reactor, wait)
        raise AssertionError("there is always another attempt")

    def _next_node(self) -> RiakNode:
        """The next one; of those that rest the one that has rested longest."""
        nodes = self._place.nodes
        start = next(self._turn)
        now = self._reactor.seconds()
        in_turn = [nodes[(start + n) % len(nodes)] for n in range(len(nodes))]
        return min(in_turn, key=lambda node: max(0.0, self._resting.get(node, 0.0) - now))

    async def _try(self, node: RiakNode, request: _Request) -> RiakAnswer | _Trouble:
        writes = request.method != b"GET"
        missing: Missing | None = None
        await self._slots.acquire()
        try:
            answer = await self._once(node, request)
            if answer.status == 404:
                missing = await self._missing(node, answer)
        except _NOT_SENT as error:
            return _Trouble(f"could not be reached: {_words(error)}", maybe_executed=False)
        except _LOST as error:
            return _Trouble(f"did not answer: {_words(error)}", maybe_executed=writes)
        except HttpDataLimitError as error:
            raise StoreError(f"{node.netloc}: the answer is too big: {error}") from error
        finally:
            self._slots.release()
        if missing is Missing.API:
            return _Trouble(
                "answered 404 to everything: it is starting or stopping, or this is not the port "
                "of Riak's HTTP API",
                maybe_executed=False,
            )
        if missing is Missing.BUCKET_TYPE:
            raise self._no_bucket_type()
        if answer.status in request.expected:
            return answer
        text = answer.body[:400].decode("utf-8", "replace")
        if answer.status in _OVERLOADED or (
            answer.status == 500 and any(word in text for word in _PASSING)
        ):
            return _Trouble(f"answered {answer.status}: {' '.join(text.split())}", writes)
        raise self._refusal(node, answer.status, text)

    async def _missing(self, node: RiakNode, answer: RiakAnswer) -> Missing:
        """What is not there; only a request for an object tells a bucket type from all else."""
        missing = what_is_missing(answer)
        if missing is not Missing.API or self._place.bucket_type is None:
            return missing
        probe = await self._once(node, self._request("GET", self._object("", "_"), {}))
        told = what_is_missing(probe) if probe.status == 404 else Missing.API
        return told if told is Missing.BUCKET_TYPE else Missing.API

    def _refusal(self, node: RiakNode, status: int, text: str) -> StoreError:
        what = f"{self._place.address}: {node.netloc} answered {status}"
        if "indexes_not_supported" in text:
            return StoreError(
                f"{what}: the storage backend has no secondary indexes; use leveldb or leveled."
            )
        if status in (401, 403, 426):
            return StoreError(
                f"{what}: it does not let us in; give user and password in the URL, and use "
                f"riaks:// ({' '.join(text.split())})."
            )
        return StoreError(f"{what}: {' '.join(text.split()) or 'no reason is given'}")

    async def _once(self, node: RiakNode, request: _Request) -> RiakAnswer:
        clock = self._reactor
        limit = self._place.timeout + _GRACE_SECONDS
        started = clock.seconds()
        url = f"{self._scheme}://{node.netloc}".encode("ascii")
        response: Any = await _within(
            limit,
            clock,
            self._agent.request(
                request.method,
                url + request.target,
                request.headers,
                None if request.body is None else StringProducer(request.body),
            ),
        )
        receiver = BodyReceiver(_ANSWER_LIMIT, gzipped=False)
        receiver.receive(response)
        left = max(limit - (clock.seconds() - started), 0.001)
        body = await _within(left, clock, receiver.received)
        headers = {
            name.decode("latin-1").lower(): ", ".join(v.decode("latin-1") for v in values)
            for name, values in response.headers.getAllRawHeaders()
        }
        return RiakAnswer(int(response.code), headers, body)


def _within(seconds: float, clock: Any, deferred: Deferred[Any]) -> Deferred[Any]:
    def too_late(result: Any, timeout: float) -> Any:
        raise HttpTimeoutError(f"nothing came within {timeout:.3g} s")

    return deferred.addTimeout(seconds, clock, too_late)


def _index_lines(indexes: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Header lines of index terms: many terms in one line, but not more than Riak reads."""
    lines: dict[str, list[str]] = {}
    for name, term in indexes:
        found = lines.setdefault(f"X-Riak-Index-{name}", [])
        if found and len(found[-1]) + len(term) < _INDEX_LINE:
            found[-1] += f", {term}"
        else:
            found.append(term)
    return lines


def _words(error: BaseException) -> str:
    reasons: Sequence[Any] = getattr(error, "reasons", None) or ()
    cause = reasons[0].value if reasons else error
    return " ".join(str(cause).split()).rstrip(".") or type(cause).__name__
