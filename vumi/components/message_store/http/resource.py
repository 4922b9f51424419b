"""Whole batches, and what is searched for, over HTTP: as JSON lines or CSV, of any length.

Knows paths, query parameters and formats. Messages are written as fast as the client reads them,
and read from the archive a page at a time; what can't be finished is cut so that the client
notices (:mod:`vumi.web.streaming`).

* ``GET <web_path>/<batch>/{inbound,outbound,events}.{json,csv}``: a batch's messages, oldest
  first, or its events, newest first.
* ``GET <web_path>/search.{json,csv}?address=...&text=...``: what a search finds, newest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger
from twisted.web.http import INTERNAL_SERVER_ERROR
from twisted.web.pages import notFound
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from vumi.components.message_formatters import CsvEventFormatter, CsvFormatter, JsonFormatter
from vumi.components.message_store.export import (
    FoundCsvFormatter,
    FoundJsonFormatter,
    batch_pages,
    found_pages,
    write_pages,
)
from vumi.components.message_store.http.serving import (
    MessageStoreWebConfig,
    MessageStoreWebWorker,
    Slots,
    bad_request,
    unavailable,
)
from vumi.components.message_store.interface import Kind, Order
from vumi.components.message_store.queries import QueryError, parse_query, parse_time
from vumi.config import ConfigBool, ConfigText
from vumi.errors import StoreError, StoreUnavailable
from vumi.process_reactor import process_reactor
from vumi.tasks import in_background
from vumi.web.streaming import ClientGone, ResponseStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from twisted.web.resource import IResource
    from twisted.web.server import Request

__all__ = [
    "BatchResource",
    "EventResource",
    "InboundResource",
    "MessageStoreProxyResource",
    "MessageStoreResource",
    "MessageStoreResourceWorker",
    "OutboundResource",
    "ParameterError",
    "SearchResource",
]

MAX_CONCURRENCY = 100
MAX_SLOTS = 10

#: The old name of what is wrong with a request's parameter.
ParameterError = QueryError


class _Stream(Resource):
    """A long answer. Subclasses say what is in it."""

    isLeaf = True
    log = Logger()

    def __init__(self, message_store: Any, formatter: Any, slots: Slots | None = None) -> None:
        super().__init__()
        self.message_store = message_store
        self.formatter = formatter
        self._slots = Slots(MAX_SLOTS) if slots is None else slots

    def get_pages(self, request: Request) -> AsyncIterator[list[Any]]:
        """What is written.

        :raises ParameterError: The request asks for what can't be.
        """
        raise NotImplementedError

    def render_GET(self, request: Request) -> Any:
        try:
            pages = self.get_pages(request)
        except ParameterError as error:
            return bad_request(request, str(error))
        if not self._slots.take():
            return unavailable(request, "Too many requests: try again later.\n")
        in_background(self._answer(request, pages), self.log, "Answering a request")
        return NOT_DONE_YET

    async def _answer(self, request: Request, pages: AsyncIterator[list[Any]]) -> None:
        stream = ResponseStream(request, process_reactor())
        try:
            await self._write(stream, pages)
        except ClientGone:
            pass
        except Exception as error:  # noqa: BLE001 (whatever fails, the client must not be left waiting)
            self._failed(stream, error)
        finally:
            self._slots.give_back()

    async def _write(self, stream: ResponseStream, pages: AsyncIterator[list[Any]]) -> None:
        # If it fails at once there is still a status to tell it by.
        first = [page async for page in _some(pages, 1)]
        self.formatter.add_http_headers(stream)
        self.formatter.write_row_header(stream)
        for page in first:
            for each in page:
                self.formatter.write_row(stream, each)
        await write_pages(pages, self.formatter, stream, stream.ready)
        stream.finish()

    def _failed(self, stream: ResponseStream, error: Exception) -> None:
        request = stream.request
        self.log.warn(
            "{path}: the answer could not be finished: {error}",
            event="message-store-stream-failed",
            path=request.path.decode("ascii", "replace"),
            error=str(error) or type(error).__name__,
        )
        if stream.started or stream.gone:
            stream.cut()
            return
        if isinstance(error, StoreUnavailable):
            words = unavailable(request, "The message store is not available.\n")
        elif isinstance(error, StoreError):
            words = bad_request(request, f"{error}\n")
        else:
            request.setResponseCode(INTERNAL_SERVER_ERROR)
            words = b"An error occurred.\n"
        request.responseHeaders.setRawHeaders(b"Content-Type", [b"text/plain; charset=utf-8"])
        stream.write(words)
        stream.finish()


async def _some(pages: AsyncIterator[list[Any]], number: int) -> AsyncIterator[list[Any]]:
    """The first few pages; the others stay where they are."""
    for _ in range(number):
        try:
            yield await anext(pages)
        except StopAsyncIteration:
            return


class MessageStoreProxyResource(_Stream):
    """The messages or events of a batch. To be subclassed.

    Parameters of a request: ``start`` and ``end``, ISO 8601, for a range of time that both ends
    belong to; ``concurrency``, a number, which changes nothing any more.

    :param message_store: A :class:`~vumi.components.message_store.MessageStore`.
    :param batch_id: The batch.
    :param formatter: Provides :class:`~vumi.components.message_formatters.IMessageFormatter`.
    :param slots: How many answers may be written at a time.
    """

    KIND: ClassVar[Kind]
    ORDER: ClassVar[Order] = Order.OLDEST_FIRST

    def __init__(
        self, message_store: Any, batch_id: str, formatter: Any, slots: Slots | None = None
    ) -> None:
        super().__init__(message_store, formatter, slots)
        self.batch_id = batch_id

    def get_pages(self, request: Request) -> AsyncIterator[list[Any]]:
        start, end = (_time(request, name) for name in ("start", "end"))
        concurrency = _number(request, "concurrency", 1)
        if not 1 <= concurrency <= MAX_CONCURRENCY:
            raise ParameterError("concurrency", f"it is from 1 to {MAX_CONCURRENCY}.")
        return batch_pages(
            self.message_store.archive, self.KIND, self.batch_id, self.ORDER, start, end
        )


class InboundResource(MessageStoreProxyResource):
    """The messages from users."""

    KIND = Kind.INBOUND


class OutboundResource(MessageStoreProxyResource):
    """The messages to users."""

    KIND = Kind.OUTBOUND


class EventResource(MessageStoreProxyResource):
    """The events, newest first."""

    KIND = Kind.EVENT
    ORDER = Order.NEWEST_FIRST


class SearchResource(_Stream):
    """What a search finds. Its parameters are those of a query, ``order`` and ``limit``.

    See :data:`vumi.components.message_store.queries.QUERY_PARTS`.
    """

    def get_pages(self, request: Request) -> AsyncIterator[list[Any]]:
        parts = {name.decode("utf-8", "replace"): "" for name in _args(request)}
        for name in parts:
            parts[name] = _argument(request, name) or ""
        limit = parts.pop("limit", None)
        order = parts.pop("order", "newest")
        if order not in ("newest", "oldest"):
            raise ParameterError("order", "it is newest or oldest.")
        most = None if limit is None else _number(request, "limit", 0)
        if most is not None and most < 1:
            raise ParameterError("limit", "it is at least 1.")
        return found_pages(
            self.message_store.archive,
            parse_query(parts),
            Order.NEWEST_FIRST if order == "newest" else Order.OLDEST_FIRST,
            most,
        )


class BatchResource(Resource):
    """The files of a batch."""

    def __init__(
        self,
        message_store: Any,
        batch_id: str,
        slots: Slots | None = None,
        escape_formulas: bool = False,
    ) -> None:
        super().__init__()
        csv, event_csv = CsvFormatter(escape_formulas), CsvEventFormatter(escape_formulas)
        for name, resource_class, formatter in (
            ("inbound.json", InboundResource, JsonFormatter()),
            ("inbound.csv", InboundResource, csv),
            ("outbound.json", OutboundResource, JsonFormatter()),
            ("outbound.csv", OutboundResource, csv),
            ("events.json", EventResource, JsonFormatter()),
            ("events.csv", EventResource, event_csv),
        ):
            resource = resource_class(message_store, batch_id, formatter, slots)
            self.putChild(name.encode("ascii"), resource)

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


class MessageStoreResource(Resource):
    """The batches, and the search.

    :param message_store: A :class:`~vumi.components.message_store.MessageStore`.
    :param slots: How many answers may be written at a time.
    :param escape_formulas: Whether a batch's CSV files are made safe for spreadsheets, as what a
        search finds always is.
    """

    def __init__(
        self, message_store: Any, slots: Slots | None = None, escape_formulas: bool = False
    ) -> None:
        super().__init__()
        self.message_store = message_store
        self._slots = Slots(MAX_SLOTS) if slots is None else slots
        self._escape_formulas = escape_formulas
        for name, formatter in (
            (b"search.json", FoundJsonFormatter()),
            (b"search.csv", FoundCsvFormatter(escape_formulas=True)),
        ):
            self.putChild(name, SearchResource(message_store, formatter, self._slots))

    def getChild(self, path: bytes, request: Request) -> IResource:
        try:
            batch_id = path.decode("utf-8")
        except UnicodeDecodeError:
            return notFound()
        if not batch_id:
            return notFound()
        return BatchResource(self.message_store, batch_id, self._slots, self._escape_formulas)


class MessageStoreResourceConfig(MessageStoreWebConfig):
    """Options of the service of batches."""

    worker_name = ConfigText(
        "The worker's name in logs and heartbeats.", required=True, static=True
    )
    escape_formulas = ConfigBool(
        "Whether texts that a spreadsheet would execute get an apostrophe in front, in a batch's "
        "CSV files. Programs that read them get it too, also before phone numbers with a plus. "
        "In search.csv they always have it.",
        default=False,
        static=True,
    )


class MessageStoreResourceWorker(MessageStoreWebWorker):
    """Serves batches of messages as files, and searches."""

    CONFIG_CLASS: ClassVar[Any] = MessageStoreResourceConfig

    def get_resource(self, slots: Slots) -> IResource:
        return MessageStoreResource(self.store, slots, self.get_static_config().escape_formulas)


# Parameters


def _args(request: Request) -> dict[bytes, list[bytes]]:
    args: dict[bytes, list[bytes]] = request.args or {}
    return args


def _argument(request: Request, name: str) -> str | None:
    values = _args(request).get(name.encode("utf-8"), [])
    if len(values) > 1:
        raise ParameterError(name, f"it is given {len(values)} times.")
    try:
        return values[0].decode("utf-8") if values else None
    except UnicodeDecodeError:
        raise ParameterError(name, "it is not UTF-8.") from None


def _time(request: Request, name: str) -> Any:
    text = _argument(request, name)
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise ParameterError(name, str(error)) from None


def _number(request: Request, name: str, default: int) -> int:
    text = _argument(request, name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise ParameterError(name, f"{text[:20]!r} is not a number.")
    return int(text)
