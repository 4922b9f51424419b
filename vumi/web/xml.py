"""XML bodies, read without danger and written without breaking. Pure: bytes and texts.

Knows XML 1.0 (https://www.w3.org/TR/xml/); no vocabulary.
"""

from __future__ import annotations

import re
from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from vumi.damaged_text import REPLACEMENT, decode_text, mend_text
from vumi.errors import VumiError

__all__ = ["MalformedXml", "mend_xml", "parse_xml", "xml_text"]

# What no XML 1.0 may have, not even as a reference (section 2.2).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = re.compile(
    rb"""\A(?:\xef\xbb\xbf)?<\?xml[^>]*?\sencoding\s*=\s*["']([\w.-]+)["']"""
)
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,8}));")


class MalformedXml(VumiError):
    """A body is no XML, or has what no honest one needs."""


def parse_xml(body: bytes | str) -> ElementTree.Element:
    """Read a document.

    Documents that declare entities are refused: they can grow without end when they are read.
    Characters that are damaged, or that XML can't carry, become U+FFFD.

    :param body: Bytes in the encoding that the document names (UTF-8, if it names none), or text.
    :returns: The root element.
    :raises MalformedXml: It is no XML that can be read.
    """
    try:
        return _parse(body)
    except (expat.ExpatError, LookupError, ValueError) as error:
        # LookupError, ValueError: an encoding that isn't there, or that can't be used here.
        problem = error
    try:
        return _parse(mend_xml(body))
    except (expat.ExpatError, LookupError, ValueError):
        raise MalformedXml(f"This is no XML: {problem}.") from None


def _parse(body: bytes | str) -> ElementTree.Element:
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse_entity
    parser.Parse(body, True)
    root: ElementTree.Element = builder.close()
    return root


def mend_xml(body: bytes | str) -> str:
    """A document without the characters that keep XML from being read.

    Octets that mean nothing in its encoding, and characters that no XML may have, become U+FFFD.
    So do references to them; but two halves of a character, which some gateways refer to one by
    one (``&#55357;&#56832;``), are joined.
    """
    text = body if isinstance(body, str) else _decoded(body)
    return _FORBIDDEN.sub(REPLACEMENT, mend_text(_REFERENCE.sub(_resolved, text)))


def _decoded(body: bytes) -> str:
    declared = _DECLARATION.match(body)
    try:
        return decode_text(body, declared[1].decode("ascii") if declared else "utf-8")
    except (LookupError, ValueError):
        return decode_text(body)


def _resolved(reference: re.Match[str]) -> str:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    if 0xD800 <= code <= 0xDFFF:
        return chr(code)
    if code > 0x10FFFF or _FORBIDDEN.match(chr(code)):
        return REPLACEMENT
    return reference[0]


def _refuse_entity(*_declaration: object) -> NoReturn:
    raise MalformedXml("This XML declares entities, which is not allowed.")


def xml_text(text: str) -> str:
    """A text without the characters that XML can't carry. Not escaped."""
    return _FORBIDDEN.sub("", mend_text(text))
