"""Messages that a worker can't handle, and an application that fails in every way. For tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, fail, inlineCallbacks, succeed

from vumi.application import ApplicationWorker
from vumi.message import TransportUserMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["FAILURES", "PoisonedWorker", "bodies", "headers", "healthy"]


class Wordless(Exception):
    """An error that can't be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words for it")

    __repr__ = __str__


class Exit(BaseException):
    """What only ``except BaseException`` catches."""


class NamelessType(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # it is to be odd
        raise RuntimeError("no name for it")


class Nameless(Exception, metaclass=NamelessType):
    pass


class Deep(Exception):
    """An error whose causes go round in a circle."""

    def __init__(self) -> None:
        super().__init__("deep")
        other = ValueError("other")
        other.__cause__ = self
        self.__cause__ = other


ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: ValueError("plain"),
    lambda: Wordless(),
    lambda: Exit("out"),
    lambda: SystemExit(3),
    lambda: KeyboardInterrupt(),
    lambda: GeneratorExit(),
    lambda: StopIteration("stop"),
    lambda: StopAsyncIteration(),
    lambda: CancelledError(),
    lambda: asyncio.CancelledError(),
    lambda: RecursionError("too deep"),
    lambda: MemoryError(),
    lambda: Nameless("nameless"),
    lambda: Deep(),
    lambda: ValueError("lone \ud83d surrogate \udc80"),
    lambda: ValueError("\x00\x1b[2J\u202e" * 100),
    lambda: ValueError("x" * 3_000_000),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    lambda: BaseExceptionGroup("many", [ValueError(str(n)) for n in range(200)]),
)


def _raises(error: BaseException) -> Any:
    raise error


async def _fails_later(error: BaseException) -> None:
    raise error


@inlineCallbacks
def _fails_in_a_generator(error: BaseException) -> Generator[Any, Any, None]:
    yield None
    raise error


#: Each way to fail, called with an error.
WAYS: tuple[Callable[[BaseException], Any], ...] = (
    _raises,
    fail,
    _fails_later,
    _fails_in_a_generator,
    lambda error: succeed(None).addCallback(lambda _: _raises(error)),
    lambda error: False,
)

FAILURES = [(way, error) for way in WAYS for error in ERRORS]


class PoisonedWorker(ApplicationWorker):
    """Answers ``hello N``; everything else makes it fail, in the way that its text says."""

    def consume_user_message(self, message: TransportUserMessage) -> Any:
        content = message["content"]
        if isinstance(content, str) and content.startswith("hello"):
            return self.reply_to(message, content)
        if content == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        way, error = FAILURES[abs(hash(str(content))) % len(FAILURES)]
        if isinstance(content, str) and content.startswith("fail "):
            way, error = FAILURES[int(content[5:]) % len(FAILURES)]
        return way(error())


def healthy(text: str, **fields: Any) -> bytes:
    """A message that is good, unless a field makes it bad."""
    message = TransportUserMessage(
        to_addr="*120#",
        from_addr="+27",
        transport_name="poison",
        transport_type="ussd",
        content=text,
        session_event="resume",
    )
    message.payload.update(fields)
    return message.to_bytes()


# Bodies

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["", "0", "\ud83d", "x" * 5_000, "2024-01-01 00:00:00.0", "default"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_FIELDS = [*json.loads(healthy("x")), "group", "provider", "endpoint_name", "__cache__"]


def _without(field: str) -> bytes:
    payload = json.loads(healthy("fail 1"))
    payload.pop(field, None)
    return json.dumps(payload).encode()


@st.composite
def _changed(draw: Any) -> bytes:
    payload = json.loads(healthy("fail 1"))
    for field in draw(st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=3)):
        payload[field] = draw(_json)
    return json.dumps(payload).encode()


#: Bodies that found a fault once, or belong to its kind.
NAMED_BODIES = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"[" * 10_000 + b"]" * 10_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"a": 1, "a": 2}',
    b'{"a": NaN, "b": Infinity}',
    b'{"a": ' + b"9" * 5_000 + b"}",
    b"x" * 2_000_000,
    healthy("x", from_addr={"an": "object"}),
    healthy("x", from_addr=["a", "list"]),
    healthy("x", group=["a", "list"]),
    healthy("x", group={}),
    healthy("x", message_id={}),
    healthy("x", routing_metadata={"endpoint_name": ["a"]}),
    healthy("x", routing_metadata={"endpoint_name": "nowhere"}),
    healthy("x", routing_metadata=[]),
    healthy("x", helper_metadata="text"),
    healthy("x", transport_metadata=[1]),
    healthy("x", session_event={}),
    healthy("x", session_event="odd"),
    healthy("x", timestamp="yesterday"),
    healthy("x", timestamp="9999-12-31 23:59:59.999999-23:00"),
    healthy("x", message_type="event"),
    healthy("x", message_version="0"),
    healthy("x", to_addr=None),
    healthy("x", transport_name=None),
    healthy("x", transport_name="UPPER"),
    healthy("x", transport_name="n" * 300),
    healthy("lone \ud83d"),
)


def bodies() -> st.SearchStrategy[bytes]:
    """Bodies of every kind: bytes, JSON that is no message, messages with odd fields, failures."""
    return st.one_of(
        st.sampled_from(NAMED_BODIES),
        st.integers(0, len(FAILURES) - 1).map(lambda number: healthy(f"fail {number}")),
        _changed(),
        st.sampled_from(_FIELDS).map(_without),
        st.binary(max_size=300),
        _json.map(lambda value: json.dumps(value).encode()),
    )


# Headers: of every type that AMQP 0-9-1 tables have in pika

_header_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.binary(max_size=30)
    | st.just(Decimal("1.5"))
    | st.just(datetime(2024, 1, 1, tzinfo=UTC)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
_header_names = st.sampled_from(
    [
        "x-vumi-count",
        "x-vumi-first-seen",
        "x-vumi-last-seen",
        "x-vumi-reason",
        "x-vumi-error",
        "x-vumi-traceback",
        "x-vumi-queue",
        "x-death",
        "x-delivery-count",
        "other",
        "",
    ]
)


#: Headers that found a fault once, or belong to its kind.
NAMED_HEADERS: tuple[dict[str, Any], ...] = (
    {"x-vumi-count": "many"},
    {"x-vumi-count": 2**63 - 1},
    {"x-vumi-count": -1},
    {"x-vumi-count": [1]},
    {"x-vumi-first-seen": {"a": 1}},
    {"big": "x" * 100_000},
    {"big": "\N{SNOWMAN}" * 40_000},
    {f"n{number}": number for number in range(3_000)},
    {"x-death": "text"},
    {"x-death": [1, {"count": "many"}]},
)


def headers() -> st.SearchStrategy[dict[str, Any] | None]:
    """Headers of every type, and none."""
    return st.one_of(
        st.none(),
        st.sampled_from(NAMED_HEADERS),
        st.dictionaries(_header_names, _header_values, max_size=3),
    )
