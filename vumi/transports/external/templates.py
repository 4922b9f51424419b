"""Texts with placeholders, ``{{name}}``, and bodies, headers and URLs made of them. Pure.

Knows which characters mean something where a value is put. Knows no message and no option.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from vumi.errors import VumiError
from vumi.payload import encode_payload
from vumi.web.xml import MalformedXml, parse_xml, xml_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    #: Placeholder -> its text, or ``None`` if there is none.
    Values = Mapping[str, str | None]

__all__ = [
    "BODY_KINDS",
    "Body",
    "DataTemplate",
    "PairsTemplate",
    "Template",
    "TemplateError",
    "header_value",
    "url_value",
    "xml_value",
]

#: What a body may be, and the content type it has then.
BODY_KINDS = {
    "form": "application/x-www-form-urlencoded; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "xml": "text/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}

#: Deeper data is taken for data that contains itself, as YAML's anchors can make it.
MAX_DEPTH = 30

_PLACEHOLDER = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


class TemplateError(VumiError):
    """A template is wrong.

    :param words: How, as the end of a sentence.
    :param path: Where in the template's data it is: ``messages.0.text``.
    """

    def __init__(self, words: str, path: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.path = path

    def below(self, name: object) -> TemplateError:
        """The same error, seen from one level up."""
        return TemplateError(self.words, f"{name}.{self.path}".rstrip("."))


# Values, as they are written where


def url_value(value: str) -> str:
    """A value in a URL: everything that means something there is escaped."""
    return quote(value, safe="", errors="replace")


def xml_value(value: str) -> str:
    """A value between tags or in an attribute."""
    return escape(xml_text(value), {'"': "&quot;", "'": "&apos;"})


def header_value(value: str) -> str:
    """A value in a header: a line break would begin another header."""
    return _CONTROLS.sub(" ", value)


# Templates


class Template:
    """A text with placeholders.

    :param text: The text.
    :param known: The placeholders that there are.
    :raises TemplateError: It has others, or braces that are no placeholder.
    """

    __slots__ = ("_parts", "names")

    def __init__(self, text: str, known: Collection[str]) -> None:
        #: Texts and names, in turns.
        self._parts = _PLACEHOLDER.split(text)
        self.names = frozenset(self._parts[1::2])
        if any("{{" in part for part in self._parts[::2]):
            raise TemplateError("has {{ that is no placeholder such as {{text}}")
        unknown = sorted(self.names.difference(known))
        if unknown:
            shown = ", ".join(f"{{{{{name}}}}}" for name in unknown)
            raise TemplateError(f"has {shown}, which is not known: {_shown(known)}")

    def fill(
        self, values: Values, escaped: Callable[[str], str] = lambda value: value
    ) -> str | None:
        """The text with values in it.

        :param values: Those of its placeholders. One without a value becomes nothing.
        :param escaped: What is done to each value.
        :returns: ``None`` if it is a placeholder and nothing else, and that has no value.
        """
        parts = self._parts
        if len(parts) == 3 and not parts[0] and not parts[2] and values.get(parts[1]) is None:
            return None
        return "".join(
            part if number % 2 == 0 else escaped(values.get(part) or "")
            for number, part in enumerate(parts)
        )


def _shown(known: Collection[str]) -> str:
    return "there are " + (", ".join(sorted(known)) or "none here")


class DataTemplate:
    """Data as JSON has it, with placeholders in its texts.

    A member of an object, or an item of a list, that is a placeholder without a value is left out.

    :raises TemplateError: A text in it is wrong, or it is no such data.
    """

    __slots__ = ("_data",)

    def __init__(self, data: Any, known: Collection[str]) -> None:
        self._data = _compiled(data, known, MAX_DEPTH)

    @property
    def names(self) -> frozenset[str]:
        """Its placeholders."""
        return frozenset(name for template in _templates(self._data) for name in template.names)

    def fill(self, values: Values) -> Any:
        """The data with values in it."""
        found = _filled(self._data, values)
        return None if found is ... else found


def _compiled(data: Any, known: Collection[str], depth: int) -> Any:
    if depth == 0:
        raise TemplateError("is nested too deep")
    if isinstance(data, str):
        return Template(data, known)
    if isinstance(data, dict):
        return {
            str(key): _below(key, lambda item: _compiled(item, known, depth - 1), item)
            for key, item in data.items()
        }
    if isinstance(data, list | tuple):
        return [
            _below(number, lambda item: _compiled(item, known, depth - 1), item)
            for number, item in enumerate(data)
        ]
    if data is not None and not isinstance(data, bool | int | float):
        # A date, say: YAML makes them of what looks like one.
        raise TemplateError("is neither text nor number: put it in quotes")
    return data


def _below(name: object, compile_item: Callable[[Any], Any], item: Any) -> Any:
    try:
        return compile_item(item)
    except TemplateError as error:
        raise error.below(name) from None


def _templates(data: Any) -> Iterator[Template]:
    if isinstance(data, Template):
        yield data
    elif isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _templates(item)


def _filled(data: Any, values: Values) -> Any:
    """The data; ``...`` for what is to be left out."""
    if isinstance(data, Template):
        text = data.fill(values)
        return ... if text is None else text
    if isinstance(data, dict):
        members = {key: _filled(item, values) for key, item in data.items()}
        return {key: item for key, item in members.items() if item is not ...}
    if isinstance(data, list):
        items = [_filled(item, values) for item in data]
        return [item for item in items if item is not ...]
    return data


class PairsTemplate:
    """Names and values, as in a query string, a form or headers. A value may be a list of them.

    Left out are values that are a placeholder without a value.

    :param data: A dict of texts, numbers and lists of these.
    :raises TemplateError: It is something else, or a text in it is wrong.
    """

    __slots__ = ("_pairs",)

    def __init__(self, data: Any, known: Collection[str]) -> None:
        if not isinstance(data, dict):
            raise TemplateError("is no mapping of names to values")
        self._pairs = [
            (str(name), _below(name, lambda one: _text_template(one, known), one))
            for name, value in data.items()
            for one in (value if isinstance(value, list | tuple) else [value])
        ]

    @property
    def names(self) -> frozenset[str]:
        """Its placeholders."""
        return frozenset(name for _, template in self._pairs for name in template.names)

    @property
    def keys(self) -> list[str]:
        """The names that have values."""
        return [name for name, _ in self._pairs]

    def fill(self, values: Values) -> list[tuple[str, str]]:
        """The pairs with values in them."""
        filled = [(name, template.fill(values)) for name, template in self._pairs]
        return [(name, text) for name, text in filled if text is not None]


def _text_template(value: Any, known: Collection[str]) -> Template:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TemplateError("is neither text nor number: put it in quotes")
    return Template(str(value), known)


# Bodies


@dataclass(frozen=True)
class Body:
    """A body with placeholders. What is put in can't change what the body is.

    :param kind: One of :data:`BODY_KINDS`.
    :param template: What belongs to it.
    :param content_type: Said of it.
    """

    kind: str
    template: Any
    content_type: str

    @classmethod
    def of(cls, kind: str, data: Any, known: Collection[str], content_type: str = "") -> Body:
        """Compile a body.

        :param data: A dict for a form, data for JSON, a text for the others.
        :param content_type: Another than the usual one of its kind.
        :raises TemplateError: It is wrong.
        """
        content_type = content_type or BODY_KINDS[kind]
        if kind == "form":
            return cls(kind, PairsTemplate(data, known), content_type)
        if kind == "json":
            return cls(kind, DataTemplate(data, known), content_type)
        template = _text_template(data, known)
        if kind == "xml":
            try:
                parse_xml(template.fill(dict.fromkeys(template.names, "x")) or "")
            except MalformedXml as error:
                raise TemplateError(f"would be no XML: {error}") from None
        return cls(kind, template, content_type)

    @property
    def names(self) -> frozenset[str]:
        """Its placeholders."""
        names: frozenset[str] = self.template.names
        return names

    def fill(self, values: Values) -> bytes:
        """The body with values in it."""
        if self.kind == "form":
            return encoded_pairs(self.template.fill(values)).encode("ascii")
        if self.kind == "json":
            return encode_payload(self.template.fill(values))
        text = self.template.fill(values, xml_value if self.kind == "xml" else lambda value: value)
        return (text or "").encode("utf-8", "replace")


def encoded_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs as a query string or form has them."""
    return urlencode(list(pairs), encoding="utf-8", errors="replace")
