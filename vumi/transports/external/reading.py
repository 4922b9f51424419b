"""Where in a request or an answer something is found. Pure.

Knows JSON, XML, forms and headers. Knows no HTTP library and no option.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vumi.damaged_text import REPLACEMENT, decode_text, read_json
from vumi.errors import VumiError
from vumi.msisdn import normalize_msisdn
from vumi.web.parameters import parse_parameters
from vumi.web.xml import MalformedXml, parse_xml

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence
    from xml.etree.ElementTree import Element
__all__ = ["KINDS", "Document", "JsonPath", "Source", "Unreadable", "json_path", "xml_path"]

#: The keys of objects, and the numbers of items, on the way to something.
JsonPath = tuple[str, ...]

#: What a source may be.
KINDS = ("parameter", "json", "xml", "header", "body", "constant")


class Unreadable(VumiError):
    """A request or an answer is not what it should be.

    :param what: The part of it that isn't.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} can't be read")
        self.what = what


class Document:
    """A request, or an answer, to look for things in.

    :param body: Its body.
    :param header: Gives the value of a header, or an empty text.
    :param parameters: Those of a query string and of a form, if the web server has read them; if
        not, the body is read as a form.
    :param encoding: That of texts.
    """

    def __init__(
        self,
        body: bytes,
        header: Callable[[str], str] = lambda name: "",
        parameters: Mapping[bytes, Sequence[bytes]] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self.body = body
        self.header = header
        self.encoding = encoding
        self._parameters = parameters

    @cached_property
    def text(self) -> str:
        """The body as a text."""
        return self.decoded(self.body)

    def decoded(self, data: bytes, encoding: str = "") -> str:
        """Bytes as a text. What means nothing in the encoding becomes U+FFFD.

        :param encoding: Another than that of texts. One that Python does not know is as if it were
            not given.
        """
        try:
            return decode_text(data, encoding or self.encoding)
        except (LookupError, ValueError):
            # An answer may name any encoding.
            return decode_text(data)

    @cached_property
    def parameters(self) -> Mapping[bytes, Sequence[bytes]]:
        """Name to values."""
        if self._parameters is not None:
            return self._parameters
        return parse_parameters(self.body.strip())

    def parameter(self, name: str) -> bytes | None:
        """The first value of a parameter."""
        values = self.parameters.get(name.encode("utf-8"))
        return values[0] if values else None

    @cached_property
    def json(self) -> Any:
        """The body as JSON.

        :raises Unreadable: It is none.
        """
        try:
            return read_json(self.body)
        except ValueError:
            raise Unreadable("the JSON") from None

    @cached_property
    def xml(self) -> Element:
        """The body's root element.

        :raises Unreadable: It is no XML.
        """
        try:
            return parse_xml(self.body)
        except MalformedXml:
            raise Unreadable("the XML") from None

    def items(self, path: JsonPath) -> list[Document]:
        """A document for each item of a list in JSON.

        :raises Unreadable: There is no such list.
        """
        found = _at(self.json, path)
        if not isinstance(found, list):
            raise Unreadable(".".join(path) or "the JSON")
        return [_Item(self, item) for item in found]


class _Item(Document):
    """One item of a list in a document."""

    def __init__(self, whole: Document, data: Any) -> None:
        super().__init__(whole.body, whole.header, whole._parameters, whole.encoding)
        self._data = data

    @property
    def json(self) -> Any:
        """The item."""
        return self._data


def json_path(path: str | Sequence[Any]) -> JsonPath:
    """The way to something in JSON.

    :param path: ``messages.0.id``; or a list, if a key has dots. Empty: the whole.
    """
    if isinstance(path, str):
        return tuple(path.split(".")) if path else ()
    return tuple(str(step) for step in path)


def _at(data: Any, path: JsonPath) -> Any:
    """What is there, or ``None``."""
    for step in path:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and step.isascii() and step.isdigit():
            number = int(step[:9])
            data = data[number] if number < len(data) else None
        else:
            return None
    return data


def xml_path(path: str) -> str:
    """Check the way to something in XML.

    :param path: The names of elements below the root: ``message/text``; the last may be an
        attribute: ``message/@id``. A dot is the root.
    :raises ValueError: It can't be understood.
    """
    elements, _ = _split_xml_path(path)
    try:
        # Reading a path needs no document, but is done nowhere else.
        parse_xml("<a/>").find(elements)
    except (SyntaxError, KeyError, ValueError, IndexError, TypeError):
        raise ValueError(f"is no path such as message/@id: {path!r}") from None
    return path


def _split_xml_path(path: str) -> tuple[str, str]:
    """Elements, and the attribute or an empty text."""
    elements, _, last = path.rpartition("/")
    if last.startswith("@"):
        return elements or ".", last[1:]
    return path or ".", ""


@dataclass(frozen=True)
class Source:
    """Where a text is found, and what is done to it.

    :param kind: One of :data:`KINDS`.
    :param where: A parameter's or header's name, a path in JSON or XML, or the constant.
    :param regex: Applied to it: what its first group has found, or all it has found.
    :param values: What texts become; others are as if they weren't there.
    :param default: What it is if there is nothing.
    :param is_hex: Whether the text is bytes in hexadecimal.
    :param charset: What they, or a parameter, are encoded in: a text or where to find it.
    :param country_code: If it is a phone number: that of numbers in national form; or empty.
        ``None``: it is left as it is.
    """

    kind: str
    where: Any = None
    regex: re.Pattern[str] | None = None
    values: Mapping[str, str] | None = None
    default: str | None = None
    is_hex: bool = False
    charset: str | Source | None = None
    country_code: str | None = None

    def find(self, document: Document) -> str | None:
        """The text.

        :returns: ``None`` if there is none, and no default.
        :raises Unreadable: The document is of another kind.
        """
        found = self._found(document)
        if found is not None and self.regex is not None:
            match = self.regex.search(found)
            found = None if match is None else match[1] if self.regex.groups else match[0]
        if found is not None and self.values is not None:
            found = self.values.get(found)
        if found is None:
            return self.default
        return found if self.country_code is None else normalize_msisdn(found, self.country_code)

    def _found(self, document: Document) -> str | None:
        raw = self._raw(document)
        encoding = self._encoding(document)
        if self.is_hex and raw is not None:
            return self._of_hex(document, raw, encoding)
        if isinstance(raw, bytes):
            return document.decoded(raw, encoding)
        return raw

    def _of_hex(self, document: Document, raw: str | bytes, encoding: str) -> str:
        digits = raw if isinstance(raw, bytes) else raw.encode("utf-8")
        digits = b"".join(digits.split())
        # Half an octet at the end: what is before it can be read.
        is_cut = len(digits) % 2 == 1
        try:
            octets = bytes.fromhex(digits[: len(digits) - is_cut].decode("ascii"))
        except ValueError:
            raise Unreadable(self.shown) from None
        if is_cut and not octets:
            raise Unreadable(self.shown)
        text = document.decoded(octets, encoding)
        return text + REPLACEMENT if is_cut and not text.endswith(REPLACEMENT) else text

    def _encoding(self, document: Document) -> str:
        charset = self.charset
        return (charset.find(document) or "") if isinstance(charset, Source) else charset or ""

    def _raw(self, document: Document) -> str | bytes | None:
        if self.kind == "parameter":
            return document.parameter(self.where)
        if self.kind == "json":
            return self._plain(_at(document.json, self.where))
        if self.kind == "xml":
            return self._in_xml(document.xml)
        if self.kind == "header":
            return document.header(self.where) or None
        if self.kind == "body":
            return document.body if self.charset else document.text
        text: str = self.where
        return text

    def _plain(self, value: Any) -> str | None:
        """A value in JSON as a text."""
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return json.dumps(value)
        raise Unreadable(self.shown)

    def _in_xml(self, root: Element) -> str | None:
        elements, attribute = _split_xml_path(self.where)
        element = root.find(elements)
        if element is None:
            return None
        return element.get(attribute) if attribute else "".join(element.itertext()).strip()

    @property
    def shown(self) -> str:
        """What to call it in an error."""
        where = ".".join(self.where) if isinstance(self.where, tuple) else self.where
        return str(where or "body")
