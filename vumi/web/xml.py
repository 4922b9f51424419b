"""XML bodies, read without danger and written without breaking. Pure: bytes and texts.

Knows XML 1.0 (https://www.w3.org/TR/xml/); no vocabulary.
"""

from __future__ import annotations

import re
from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from vumi.errors import VumiError

__all__ = ["MalformedXml", "parse_xml", "xml_text"]

# What no XML 1.0 may have, not even as a reference (section 2.2).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class MalformedXml(VumiError):
    """A body is no XML, or has what no honest one needs."""


def parse_xml(body: bytes | str) -> ElementTree.Element:
    """Read a document.

    Documents that declare entities are refused: they can grow without end when they are read.

    :param body: Bytes in the encoding that the document names (UTF-8, if it names none), or text.
    :returns: The root element.
    :raises MalformedXml: It is no XML that can be read.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(body, True)
        root: ElementTree.Element = builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:
        # LookupError, ValueError: an encoding that isn't there, or that can't be used here.
        raise MalformedXml(f"This is no XML: {error}.") from None
    return root


def _refuse_entity(*_declaration: object) -> NoReturn:
    raise MalformedXml("This XML declares entities, which is not allowed.")


def xml_text(text: str) -> str:
    """A text without the characters that XML can't carry. Not escaped."""
    return _FORBIDDEN.sub("", text)
