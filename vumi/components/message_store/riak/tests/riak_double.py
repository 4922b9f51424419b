"""A Riak cluster for tests: nodes on loopback ports that answer as real ones do over HTTP.

Nodes share what is stored. It does what the archive relies on, and is strict where a real node is:
causal contexts and siblings, tombstones that stay for three seconds, conditional writes, index
queries that are sorted only if they have a limit, header names in mixed case, ``+`` in a path read
as a space, siblings with and without dotted version vectors, bounds on request lines and headers.
Beside, faults on demand: a node that is away, starting, overloaded or silent.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred, gatherResults
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.web.http import Request

__all__ = ["REAPED_AFTER", "RiakDouble", "RiakDoubleNode"]

#: Seconds that a tombstone stays.
REAPED_AFTER = 3.0

_QUORUM_WORDS = ("default", "one", "quorum", "all")
#: What a request line and a header line may have, as Riak's web server reads them, in octets.
_MAX_LINE = 8192
_MAX_HEADERS = 1000
#: The answer to everything while a node starts or stops, and where there is no such path.
_NO_SUCH_PATH = (
    b"<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>"
)

Bucket = tuple[str | None, str]


@dataclass
class _Content:
    """One version of an object."""

    body: bytes
    content_type: str
    indexes: list[tuple[str, str]]
    #: Which write made it.
    dot: int
    modified: float
    deleted: bool = False

    @property
    def etag(self) -> str:
        return f"vtag{self.dot}"


@dataclass
class _Object:
    """What is under a key."""

    contents: list[_Content] = field(default_factory=list)
    #: How many writes it has seen.
    writes: int = 0

    @property
    def is_deleted(self) -> bool:
        return all(content.deleted for content in self.contents)

    @property
    def vclock(self) -> str:
        return b64encode(f"context {self.writes}".encode()).decode()

    def write(self, content: _Content, vclock: str | None, allow_mult: bool, dvv: bool) -> None:
        """Put a version in place of all that its writer has seen.

        :param dvv: Whether each version knows which write made it. Without, all are kept if one
            of them was not seen.
        """
        seen = 0 if vclock is None else int(b64decode(vclock).split()[1])
        kept = [each for each in self.contents if each.dot > seen] if allow_mult else []
        if kept and not dvv:
            kept = self.contents
        self.writes += 1
        content.dot = self.writes
        self.contents = [*kept, content]


class RiakDouble:
    """A cluster.

    :param reactor: Twisted's: what nodes listen with.
    :param clock: What tells the time of tombstones and versions.
    :param bucket_types: Those that are active; their buckets keep siblings from the start.
    """

    def __init__(
        self, reactor: Any, clock: Any = None, bucket_types: tuple[str, ...] = ("vumi",)
    ) -> None:
        self._reactor = reactor
        self.clock = clock or reactor
        self.bucket_types = bucket_types
        self.buckets: dict[Bucket, dict[str, _Object]] = {}
        #: Where something may be deleted.
        self._to_be_reaped: set[tuple[Bucket, str]] = set()
        self.properties: dict[Bucket, dict[str, Any]] = {}
        self.nodes: list[RiakDoubleNode] = []
        #: Method, path with query, and headers of all requests, in order.
        self.requests: list[tuple[str, str, Any]] = []
        #: ``user:password``, if they are needed.
        self.credentials: str | None = None
        #: Whether writes that come at once pass each other between condition and write.
        self.writes_race = False
        #: Whether the storage backend has secondary indexes.
        self.has_indexes = True

    async def add_node(self) -> RiakDoubleNode:
        """Start another node."""
        node = RiakDoubleNode(self, self._reactor)
        self.nodes.append(node)
        await node.start()
        return node

    async def stop(self) -> None:
        """Stop all nodes."""
        await gatherResults([Deferred.fromCoroutine(node.stop()) for node in self.nodes])

    def url(self, **options: str) -> str:
        """The archive's URL."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"riak://{hosts}/?{query}"

    # What is stored

    def props(self, bucket: Bucket) -> dict[str, Any]:
        """A bucket's properties."""
        typed = bucket[0] is not None
        defaults = {
            "allow_mult": typed,
            "dvv_enabled": typed,
            "last_write_wins": False,
            "n_val": 3,
        }
        return {"name": bucket[1], **defaults, **self.properties.get(bucket, {})}

    def objects(self, bucket: Bucket) -> dict[str, _Object]:
        """What a bucket has; tombstones that are old enough go."""
        objects = self.buckets.setdefault(bucket, {})
        now = self.clock.seconds()
        for place in list(self._to_be_reaped):
            found = self.buckets[place[0]].get(place[1])
            if found is None or not found.is_deleted:
                self._to_be_reaped.discard(place)
            elif now >= found.contents[-1].modified + REAPED_AFTER:
                del self.buckets[place[0]][place[1]]
        return objects

    def put(
        self,
        bucket: Bucket,
        key: str,
        body: bytes,
        indexes: Any = (),
        vclock: str | None = None,
        deleted: bool = False,
    ) -> None:
        """Write an object, as another client would; without `vclock` as one that has not read."""
        content = _Content(body, "application/json", list(indexes), 0, self.clock.seconds())
        content.deleted = deleted
        found = self.objects(bucket).setdefault(key, _Object())
        props = self.props(bucket)
        found.write(content, vclock, props["allow_mult"], props["dvv_enabled"])
        if deleted:
            self._to_be_reaped.add((bucket, key))

    def entries(self, bucket: Bucket, index: str) -> Iterator[tuple[str, str]]:
        """Term and key of all that is in an index."""
        for key, found in self.objects(bucket).items():
            if index in ("$bucket", "$key"):
                # A fold over keys does not see that an object is deleted.
                yield key, key
            else:
                terms = {t for each in found.contents for name, t in each.indexes if name == index}
                for term in terms:
                    yield term, key


class _Channel(HTTPChannel):
    """Reads what Riak's web server reads; Twisted's own bounds are narrower."""

    totalHeadersSize = 1_000_000
    maxHeaders = _MAX_HEADERS + 1


class RiakDoubleNode(Resource):
    """One node."""

    isLeaf = True

    def __init__(self, cluster: RiakDouble, reactor: Any) -> None:
        super().__init__()
        self._cluster = cluster
        self._reactor = reactor
        self._factory: Any = None
        self._listening: Any = None
        self.port = 0
        #: Whether it is starting or stopping.
        self.is_starting = False
        #: Answered to each of the next requests: status and body.
        self.refusals: list[tuple[int, bytes]] = []
        #: How many of the next requests are carried out, but not answered.
        self.cut_after = 0
        #: Whether requests are not answered at all; those that wait.
        self.is_silent = False
        self.waiting: list[Request] = []
        #: How many requests it got, and how many connections there were at once.
        self.asked = 0
        self.most_connections = 0

    # Its life

    async def start(self) -> None:
        """Listen, on the same port as before."""
        if self._listening is None:
            site = Site(self)
            vars(site)["protocol"] = _Channel
            self._factory = WrappingFactory(site)
            self._factory.noisy = site.noisy = False
            listen = self._reactor.listenTCP
            self._listening = listen(self.port, self._factory, interface="127.0.0.1")
            self.port = self._listening.getHost().port

    async def stop(self) -> None:
        """Be away: cut all connections, take no new ones."""
        if self._listening is None:
            return
        listening, self._listening = self._listening, None
        await listening.stopListening()
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        for protocol in list(self._factory.protocols):
            protocol.transport.abortConnection()

    # Requests

    def render(self, request: Request) -> Any:
        self.asked += 1
        self.most_connections = max(self.most_connections, len(self._factory.protocols))
        cluster = self._cluster
        method = request.method.decode("ascii")
        cluster.requests.append((method, request.uri.decode("ascii"), request.requestHeaders))
        if self.is_silent:
            self.waiting.append(request)
            return NOT_DONE_YET
        if self.is_starting:
            return _not_found(request)
        if self.refusals:
            status, body = self.refusals.pop(0)
            return _answer(request, status, body)
        body = self._checked(method, request)
        if self.cut_after:
            self.cut_after -= 1
            self._reactor.callLater(0, self.cut)
            return NOT_DONE_YET
        return body

    def _checked(self, method: str, request: Request) -> bytes:
        expected = self._cluster.credentials
        if expected is not None:
            given = request.getHeader("authorization") or ""
            if given != f"Basic {b64encode(expected.encode()).decode()}":
                return _answer(request, 401, b"Unauthorized")
        lines = [
            len(name) + len(value) + 4
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        # With a space before the path and one after, the version and the end of the line.
        lines.append(len(request.method) + len(request.uri) + 12)
        if max(lines) > _MAX_LINE or len(lines) > _MAX_HEADERS:
            return _answer(request, 400)
        for name in ("r", "w", "dw", "pr", "pw"):
            value = _option(request, name)
            if value is not None and value not in _QUORUM_WORDS and not value.isdigit():
                return _answer(request, 400, f"{name} query parameter must be ...".encode())
        timeout = _option(request, "timeout")
        if timeout is not None and not timeout.isdigit():
            return _answer(request, 400, b"Bad timeout value")
        try:
            # As the real one does: empty segments vanish, and a plus is a space.
            path = request.uri.partition(b"?")[0].replace(b"+", b" ")
            parts = [unquote_to_bytes(p).decode("utf-8") for p in path.split(b"/") if p]
        except UnicodeDecodeError:
            return _answer(request, 500, b"not UTF-8: index queries would break")
        return self._routed(method, parts, request)

    def _routed(self, method: str, parts: list[str], request: Request) -> bytes:
        bucket_type = None
        if parts[:1] == ["types"] and len(parts) > 2:
            bucket_type, parts = parts[1], parts[2:]
            if bucket_type not in self._cluster.bucket_types:
                if parts[2:3] != ["keys"]:
                    return _not_found(request)
                words = f"Unknown bucket type: {bucket_type}".encode()
                return _answer(request, 404, words, "text/plain")
        if parts == ["ping"]:
            return _answer(request, 200, b"OK")
        if parts[:1] != ["buckets"] or len(parts) < 3:
            return _not_found(request)
        bucket = (bucket_type, parts[1])
        what, rest = parts[2], parts[3:]
        if what == "props" and not rest:
            return self._props(method, bucket, request)
        if what == "keys" and len(rest) == 1:
            return {"GET": self._get, "PUT": self._put, "DELETE": self._delete}[method](
                bucket, rest[0], request
            )
        if what == "index" and len(rest) in (2, 3) and method == "GET":
            return self._index(bucket, rest, request)
        return _not_found(request)

    def _props(self, method: str, bucket: Bucket, request: Request) -> bytes:
        cluster = self._cluster
        if method == "PUT":
            assert request.content is not None
            changes = json.loads(request.content.read())["props"]
            cluster.properties.setdefault(bucket, {}).update(changes)
            return _answer(request, 204)
        if method == "DELETE":
            cluster.properties.pop(bucket, None)
            return _answer(request, 204)
        return _answer(request, 200, json.dumps({"props": cluster.props(bucket)}).encode())

    # Objects

    def _get(self, bucket: Bucket, key: str, request: Request) -> bytes:
        found = self._cluster.objects(bucket).get(key)
        if found is None:
            return _answer(request, 404, b"not found\n", "text/plain")
        request.setHeader("X-Riak-Vclock", found.vclock)
        if found.is_deleted:
            request.setHeader("X-Riak-Deleted", "true")
            return _answer(request, 404, b"not found\n", "text/plain")
        if len(found.contents) == 1:
            content = found.contents[0]
            for name, value in _headers(content):
                request.setHeader(name, value.encode("utf-8"))
            request.setHeader("ETag", f'"{content.etag}"')
            return _answer(request, 200, content.body)
        if "multipart/mixed" not in (request.getHeader("accept") or ""):
            lines = "".join(f"{content.etag}\n" for content in found.contents)
            return _answer(request, 300, f"Siblings:\n{lines}".encode(), "text/plain")
        boundary = f"boundary{found.writes}"
        parts = []
        for content in found.contents:
            # Here each term has a line of its own.
            head = [*_headers(content, joined=False), ("Etag", content.etag)]
            if content.deleted:
                head.append(("X-Riak-Deleted", "true"))
            lines = "".join(f"{name}: {value}\r\n" for name, value in head)
            parts.append(f"\r\n--{boundary}\r\n{lines}\r\n".encode() + content.body)
        body = b"".join(parts) + f"\r\n--{boundary}--\r\n".encode()
        return _answer(request, 300, body, f"multipart/mixed; boundary={boundary}")

    def _put(self, bucket: Bucket, key: str, request: Request) -> bytes:
        cluster = self._cluster
        content_type = request.getHeader("content-type")
        if content_type is None:
            return _answer(request, 400, b"Missing Content-Type request header")
        found = cluster.objects(bucket).get(key)
        if not cluster.writes_race and not _condition_holds(found, request):
            return _answer(request, 412)
        indexes = []
        for raw_name, values in request.requestHeaders.getAllRawHeaders():
            name = raw_name.decode("ascii").lower()
            if not name.startswith("x-riak-index-"):
                continue
            name = name[len("x-riak-index-") :]
            # The strictest reading: each comma ends a term.
            for term in re.split(r",\s*", ", ".join(value.decode("utf-8") for value in values)):
                if not name.endswith(("_bin", "_int")) or not term:
                    return _answer(request, 400, b"Unknown field type")
                indexes.append((name, term))
        if indexes and not cluster.has_indexes:
            return _answer(
                request, 500, b"Error:\n{indexes_not_supported,riak_kv_bitcask_backend}\n"
            )
        assert request.content is not None
        vclock = request.getHeader("x-riak-vclock")
        cluster.put(bucket, key, request.content.read(), indexes, vclock)
        return _answer(request, 204)

    def _delete(self, bucket: Bucket, key: str, request: Request) -> bytes:
        found = self._cluster.objects(bucket).get(key)
        if found is None or found.is_deleted:
            return _answer(request, 404, b"not found\n", "text/plain")
        vclock = request.getHeader("x-riak-vclock") or found.vclock
        self._cluster.put(bucket, key, b"", (), vclock, deleted=True)
        return _answer(request, 204)

    # Indexes

    def _index(self, bucket: Bucket, rest: list[str], request: Request) -> bytes:
        cluster = self._cluster
        if not cluster.has_indexes:
            return _answer(
                request, 500, b"Error:\n{error,{indexes_not_supported,riak_kv_bitcask_backend}}\n"
            )
        index, first, last = rest[0], rest[1], rest[-1]
        if index not in ("$bucket", "$key") and not index.endswith(("_bin", "_int")):
            return _answer(request, 400, b"Invalid query")
        matches = [
            (term, key)
            for term, key in cluster.entries(bucket, index)
            if index == "$bucket" or first <= term <= last
        ]
        limit = _option(request, "max_results")
        continuation = _option(request, "continuation")
        answer: dict[str, Any] = {}
        if limit is None and continuation is None:
            # In no order.
            matches.sort(key=lambda match: hash(match[::-1]))
        else:
            matches.sort()
        if continuation is not None:
            after = tuple(json.loads(b64decode(continuation, b"-_")))
            matches = [match for match in matches if match > after]
        if limit is not None:
            matches = matches[: int(limit)]
            if len(matches) == int(limit):
                last_match = json.dumps(matches[-1]).encode()
                answer["continuation"] = urlsafe_b64encode(last_match).decode()
        if len(rest) == 3 and _option(request, "return_terms") == "true":
            answer["results"] = [{term: key} for term, key in matches]
        else:
            answer["keys"] = [key for _, key in matches]
        return _answer(request, 200, json.dumps(answer).encode())


def _answer(
    request: Request, status: int, body: bytes = b"", content_type: str | None = None
) -> bytes:
    request.setResponseCode(status)
    if content_type is not None:
        request.setHeader("Content-Type", content_type)
    return body


def _not_found(request: Request) -> bytes:
    return _answer(request, 404, _NO_SUCH_PATH, "text/html")


def _option(request: Request, name: str) -> str | None:
    args = request.args or {}
    values = args.get(name.encode("ascii"))
    return None if values is None else str(values[0].decode("utf-8"))


def _headers(content: _Content, joined: bool = True) -> list[tuple[str, str]]:
    """A version's headers.

    :param joined: Whether all terms of an index are in one.
    """
    head = [
        ("Content-Type", content.content_type),
        ("Last-Modified", formatdate(content.modified, usegmt=True)),
    ]
    if not joined:
        return head + [(f"x-riak-index-{name}", term) for name, term in content.indexes]
    terms: dict[str, list[str]] = {}
    for name, term in content.indexes:
        terms.setdefault(name, []).append(term)
    return head + [(f"x-riak-index-{name}", ", ".join(found)) for name, found in terms.items()]


def _condition_holds(found: _Object | None, request: Request) -> bool:
    exists = found is not None and not found.is_deleted
    if request.getHeader("if-none-match") is not None and exists:
        return False
    wanted = request.getHeader("if-match")
    if wanted is None:
        return True
    return found is not None and exists and wanted == f'"{found.contents[0].etag}"'
