"""Searching a batch by regular expressions over HTTP: begin a search, then ask for what it found.

Knows paths, headers and parameters; what a search is
:mod:`vumi.components.message_store.regex_search` knows.

* ``POST <web_path>/batch/<batch>/{inbound,outbound}/match/`` with the query as JSON begins a
  search. Headers ``X-VMS-Match-TTL`` (seconds that results stay) and ``X-VMS-Match-Wait`` (``1``:
  answer when it is done); the answer's ``X-VMS-Result-Token`` is its name.
* ``GET`` of the same path with ``?token=...&start=0&stop=19&asc=0&keys=0`` gives messages as a
  JSON list, newest first; with ``keys=1`` only their ids. ``X-VMS-Result-Count`` says how many
  were found so far, ``X-VMS-Match-In-Progress`` (0 or 1) whether there may be more.
* ``GET <web_path>/batch/<batch>/`` gives the batch's id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.http import INTERNAL_SERVER_ERROR
from twisted.web.pages import notFound
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from vumi.components.message_store.http.serving import (
    MessageStoreWebConfig,
    MessageStoreWebWorker,
    Slots,
    bad_request,
    unavailable,
)
from vumi.components.message_store.interface import Kind
from vumi.components.message_store.queries import QueryError
from vumi.errors import StoreError, StoreUnavailable
from vumi.payload import encode_payload
from vumi.tasks import in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.web.resource import IResource
    from twisted.web.server import Request

__all__ = ["BatchResource", "MatchResource", "MessageStoreAPI", "MessageStoreAPIWorker"]

TTL_HEADER = "X-VMS-Match-TTL"
WAIT_HEADER = "X-VMS-Match-Wait"
TOKEN_HEADER = "X-VMS-Result-Token"  # noqa: S105 (a header's name)
COUNT_HEADER = "X-VMS-Result-Count"
PROGRESS_HEADER = "X-VMS-Match-In-Progress"

#: How many results a page has by default, and at most.
PAGE, MAX_PAGE = 20, 1000
MAX_TTL = 30 * 24 * 3600


class MatchResource(Resource):
    """Searches of one batch in one direction.

    :param direction: ``inbound`` or ``outbound``.
    :param message_store: A :class:`~vumi.components.message_store.MessageStore` with a cache.
    :param batch_id: The batch.
    """

    isLeaf = True
    log = Logger()

    def __init__(
        self, direction: str, message_store: Any, batch_id: str, slots: Slots | None = None
    ) -> None:
        super().__init__()
        self.message_store = message_store
        self.batch_id = batch_id
        self._slots = Slots(PAGE) if slots is None else slots
        self._kind = Kind(direction)
        self._find: Any = getattr(message_store, f"find_{direction}_keys_matching")

    def render_POST(self, request: Request) -> Any:
        """Begin a search."""
        try:
            query = _query(request)
            ttl = _header_number(request, TTL_HEADER, 1, MAX_TTL)
            wait = bool(_header_number(request, WAIT_HEADER, 0, 1))
        except QueryError as error:
            return bad_request(request, f"{error}\n")
        return self._answer(request, lambda: self._begin(request, query, ttl, wait))

    async def _begin(self, request: Request, query: Any, ttl: int | None, wait: bool) -> bytes:
        token = await self._find(self.batch_id, query, ttl=ttl, wait=wait)
        request.setHeader(TOKEN_HEADER, token)
        return b""

    def render_GET(self, request: Request) -> Any:
        """Give results."""
        try:
            token = _text(request, "token")
            start = _number(request, "start", 0, 0)
            stop = _number(request, "stop", start + PAGE - 1, -1)
            ascending = bool(_number(request, "asc", 0, 0, 1))
            only_keys = bool(_number(request, "keys", 0, 0, 1))
            if not only_keys and not 0 <= stop - start < MAX_PAGE:
                raise QueryError("stop", f"at most {MAX_PAGE} messages are given at a time.")
        except QueryError as error:
            return bad_request(request, f"{error}\n")
        return self._answer(
            request, lambda: self._results(request, token, start, stop, ascending, only_keys)
        )

    async def _results(
        self,
        request: Request,
        token: str,
        start: int,
        stop: int,
        ascending: bool,
        only_keys: bool,
    ) -> bytes:
        store = self.message_store
        # Asked first: what is found until the count is counted.
        in_progress = await store.is_query_in_progress(self.batch_id, token)
        count = await store.count_keys_for_token(self.batch_id, token)
        keys = await store.get_keys_for_token(self.batch_id, token, start, stop, asc=ascending)
        request.setHeader(COUNT_HEADER, str(count))
        request.setHeader(PROGRESS_HEADER, str(int(in_progress)))
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        if only_keys:
            return orjson.dumps(keys)
        found = await store.archive.get_messages(self._kind, keys)
        return encode_payload([stored.message.payload for stored in found])

    def _answer(self, request: Request, work: Callable[[], Coroutine[Any, Any, bytes]]) -> Any:
        if not self._slots.take():
            return unavailable(request, "Too many requests: try again later.\n")
        working = Deferred.fromCoroutine(self._finish(request, work))
        _ = request.notifyFinish().addErrback(lambda _: working.cancel())
        in_background(working, self.log, "Answering a request")
        return NOT_DONE_YET

    async def _finish(
        self, request: Request, work: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> None:
        try:
            body = await work()
        except CancelledError:
            # The client has gone.
            return
        except StoreUnavailable as error:
            self._tell(request, error)
            body = unavailable(request, "The message store is not available.\n")
        except StoreError as error:
            body = bad_request(request, f"{error}\n")
        except Exception as error:  # noqa: BLE001 (whatever fails, the client must be answered)
            self._tell(request, error)
            request.setResponseCode(INTERNAL_SERVER_ERROR)
            body = b"An error occurred.\n"
        finally:
            self._slots.give_back()
        request.write(body)
        request.finish()

    def _tell(self, request: Request, error: Exception) -> None:
        self.log.warn(
            "{path}: {error}",
            event="message-store-api-failed",
            path=request.path.decode("ascii", "replace"),
            error=str(error) or type(error).__name__,
        )


class _Direction(Resource):
    """One direction of a batch."""

    def __init__(self, direction: str, message_store: Any, batch_id: str, slots: Slots) -> None:
        super().__init__()
        self.putChild(b"match", MatchResource(direction, message_store, batch_id, slots))

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


class BatchResource(Resource):
    """One batch."""

    def __init__(self, message_store: Any, batch_id: str, slots: Slots) -> None:
        super().__init__()
        self.batch_id = batch_id
        for direction in ("inbound", "outbound"):
            child = _Direction(direction, message_store, batch_id, slots)
            self.putChild(direction.encode("ascii"), child)

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound() if path else self

    def render_GET(self, request: Request) -> bytes:
        """Give the batch's id."""
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return self.batch_id.encode("utf-8")


class _Batches(Resource):
    def __init__(self, message_store: Any, slots: Slots) -> None:
        super().__init__()
        self._message_store = message_store
        self._slots = slots

    def getChild(self, path: bytes, request: Request) -> IResource:
        try:
            batch_id = path.decode("utf-8")
        except UnicodeDecodeError:
            batch_id = ""
        if not batch_id:
            return notFound()
        return BatchResource(self._message_store, batch_id, self._slots)


class MessageStoreAPI(Resource):
    """The root of the service.

    :param message_store: A :class:`~vumi.components.message_store.MessageStore` with a cache.
    :param slots: How many requests may be worked on at a time.
    """

    def __init__(self, message_store: Any, slots: Slots | None = None) -> None:
        super().__init__()
        self.putChild(b"batch", _Batches(message_store, slots or Slots(PAGE)))

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


class MessageStoreAPIConfig(MessageStoreWebConfig):
    """Options of the service of searches."""

    def post_validate(self) -> None:
        super().post_validate()
        if self.store_options().get("redis_manager") is None:
            self.raise_config_error(
                "Results of searches are kept in Redis: give redis_manager in message_store."
            )


class MessageStoreAPIWorker(MessageStoreWebWorker):
    """Serves searches by regular expressions in batches of messages."""

    CONFIG_CLASS: ClassVar[Any] = MessageStoreAPIConfig
    HEALTHY: ClassVar[bytes] = b"ok"

    def get_resource(self, slots: Slots) -> IResource:
        return MessageStoreAPI(self.store, slots)


# What a request has


def _query(request: Request) -> Any:
    content: Any = request.content
    try:
        return orjson.loads(content.read())
    except ValueError:
        raise QueryError("body", "it is not JSON.") from None


def _text(request: Request, name: str) -> str:
    values = (request.args or {}).get(name.encode("ascii"), [])
    if len(values) != 1 or not values[0]:
        raise QueryError(name, "it is missing." if not values else "it is empty or there twice.")
    return str(values[0], "utf-8", "replace")


def _number(request: Request, name: str, default: int, least: int, most: int = 10**9) -> int:
    if name.encode("ascii") not in (request.args or {}):
        return default
    return _whole(name, _text(request, name), least, most)


def _header_number(request: Request, name: str, least: int, most: int) -> int | None:
    value = request.getHeader(name)
    return None if value is None else _whole(name, value, least, most)


def _whole(name: str, text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise QueryError(name, f"{text[:20]!r} is not a number.") from None
    if not least <= number <= most:
        raise QueryError(name, f"it is from {least} to {most}.")
    return number
