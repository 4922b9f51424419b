"""What programs search contacts and groups by: a part of Lucene's query language.

Knows the language and how a record is held against it. Knows no store.

``name:thandi``, ``name:tha*``, ``name:"thandi mokoena"``, ``dob:[1990 TO 1999]``, ``*:*``;
joined by ``AND``, ``OR``, ``NOT`` (``&&``, ``||``, ``!``, ``-``, ``+``) and parentheses. Without
an operator it is ``OR``, as Riak Search had it. Letters' cases don't count. What is not understood
is an error, and not silently something else.

A parser for all of the language (luqum) was looked at: it parses much that could not be answered
here, and brings a parser generator that nobody keeps any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vumi.application.sandbox.errors import CommandRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Query", "QueryError", "parse_query"]

MAX_LENGTH, MAX_DEPTH = 2000, 20
WILD = "*"

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\() | (?P<close>\)) |
        (?P<and>AND\b|&&) | (?P<or>OR\b|\|\|) | (?P<not>NOT\b|!|-) | (?P<must>\+) |
        (?P<field>(?:[\w.-]|\\.)+|\*)\s*:\s*(?:
            "(?P<phrase>(?:[^"\\]|\\.)*)" |
            (?P<range>[\[{])\s*(?P<low>\S+)\s+TO\s+(?P<high>[^\s\]}]+)\s*(?P<end>[\]}]) |
            (?P<term>(?:[^\s()"\[\]{}~^:\\]|\\.)+)
        )
    )""",
    re.VERBOSE | re.DOTALL,
)


class QueryError(CommandRefused):
    """A query can't be understood; the words say where."""


class Query(Protocol):
    """A query that was understood."""

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is what is searched for."""


@dataclass(frozen=True)
class Everything:
    """``*:*``"""

    def matches(self, record: Mapping[str, Any]) -> bool:
        return True


@dataclass(frozen=True)
class Term:
    """``field:value``

    :ivar raw: The value as it was written.
    :ivar pieces: What is between its wildcards, in lower case.
    """

    field: str
    raw: str
    pieces: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """Whether there are no wildcards."""
        return len(self.pieces) == 1

    def matches(self, record: Mapping[str, Any]) -> bool:
        for text in _texts_of(record, self.field):
            whole = text.lower()
            if any(_is_like(word, self.pieces) for word in (whole, *whole.split())):
                return True
        return False


@dataclass(frozen=True)
class Phrase:
    """``field:"some words"``"""

    field: str
    words: tuple[str, ...]

    def matches(self, record: Mapping[str, Any]) -> bool:
        size = len(self.words)
        for text in _texts_of(record, self.field):
            words = tuple(text.lower().split())
            if any(words[n : n + size] == self.words for n in range(len(words) - size + 1)):
                return True
        return False


@dataclass(frozen=True)
class Range:
    """``field:[low TO high]``; with ``{`` and ``}`` without the ends. ``*`` is no end."""

    field: str
    low: str
    high: str
    with_low: bool
    with_high: bool

    def matches(self, record: Mapping[str, Any]) -> bool:
        return any(self._has(text.lower()) for text in _texts_of(record, self.field))

    def _has(self, text: str) -> bool:
        if self.low != WILD and (text < self.low or (text == self.low and not self.with_low)):
            return False
        return self.high == WILD or text < self.high or (text == self.high and self.with_high)


@dataclass(frozen=True)
class Not:
    """``NOT query``"""

    query: Query

    def matches(self, record: Mapping[str, Any]) -> bool:
        return not self.query.matches(record)


@dataclass(frozen=True)
class All:
    """``query AND query``"""

    queries: tuple[Query, ...]

    def matches(self, record: Mapping[str, Any]) -> bool:
        return all(query.matches(record) for query in self.queries)


@dataclass(frozen=True)
class Some:
    """``query OR query``"""

    queries: tuple[Query, ...]

    def matches(self, record: Mapping[str, Any]) -> bool:
        return any(query.matches(record) for query in self.queries)


# Records


def _texts_of(record: Mapping[str, Any], field: str) -> Iterator[str]:
    """The texts that a field has; ``extras-x`` is in the field ``extra``, and so on."""
    value = record.get(field)
    for prefix, holder in (("extras-", "extra"), ("subscription-", "subscription")):
        if field.startswith(prefix):
            value = (record.get(holder) or {}).get(field.removeprefix(prefix))
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))


def _is_like(text: str, pieces: tuple[str, ...]) -> bool:
    """Whether a text is these pieces, with anything between them. Never backtracks."""
    first, *middle = pieces
    if not middle:
        return text == first
    last = middle.pop()
    if not text.startswith(first) or not text[len(first) :].endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        place = text.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return True


# The language


def parse_query(text: str) -> Query:
    """Understand a query.

    :raises QueryError: It can't be.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"The query is longer than {MAX_LENGTH} characters.")
    parser = _Parser(list(_tokens(text)))
    query = parser.some()
    if parser.kind is not None:
        raise QueryError("The query has a ')' too many.")
    return query


def _tokens(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise QueryError(f"The query can't be understood from {text[place:].strip()!r} on.")
        kind = "field" if match["field"] else str(match.lastgroup)
        yield kind, match
        place = match.end()


class _Parser:
    def __init__(self, tokens: list[tuple[str, re.Match[str]]]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    @property
    def kind(self) -> str | None:
        """The kind of the next token."""
        return self._tokens[self._place][0] if self._place < len(self._tokens) else None

    def _take(self) -> re.Match[str]:
        self._place += 1
        return self._tokens[self._place - 1][1]

    def some(self) -> Query:
        queries = [self._all()]
        while self.kind not in (None, "close"):
            if self.kind == "or":
                self._take()
            queries.append(self._all())
        return queries[0] if len(queries) == 1 else Some(tuple(queries))

    def _all(self) -> Query:
        queries = [self._one()]
        while self.kind == "and":
            self._take()
            queries.append(self._one())
        return queries[0] if len(queries) == 1 else All(tuple(queries))

    def _one(self) -> Query:
        kind = self.kind
        if kind not in ("not", "must", "open", "field"):
            raise QueryError("The query has an end where a field should be, such as name:thandi.")
        match = self._take()
        if kind == "field":
            return _leaf(match)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError("The query is nested too deeply.")
        query = self._one() if kind != "open" else self.some()
        self._depth -= 1
        if kind == "open":
            if self.kind != "close":
                raise QueryError("The query lacks a ')'.")
            self._take()
        return Not(query) if kind == "not" else query


def _leaf(match: re.Match[str]) -> Query:
    field = re.sub(r"\\(.)", r"\1", match["field"], flags=re.DOTALL)
    if match["phrase"] is not None:
        phrase = re.sub(r"\\(.)", r"\1", match["phrase"], flags=re.DOTALL)
        words = tuple(phrase.lower().split())
        # A single word may as well be a whole value.
        return Term(field, phrase, words) if len(words) == 1 else Phrase(field, words)
    if match["range"] is not None:
        low, high = match["low"].lower(), match["high"].lower()
        return Range(field, low, high, match["range"] == "[", match["end"] == "]")
    if match["term"] == WILD and field == WILD:
        return Everything()
    pieces = [""]
    for escaped, plain in re.findall(r"\\(.)|([^\\])", match["term"], flags=re.DOTALL):
        if plain == WILD:
            pieces.append("")
        else:
            pieces[-1] += escaped or plain
    return Term(field, WILD.join(pieces), tuple(piece.lower() for piece in pieces))
