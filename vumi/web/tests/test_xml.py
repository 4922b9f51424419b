"""XML bodies: whatever comes is read or refused, whatever goes out can be read."""

from __future__ import annotations

from contextlib import suppress
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vumi.web.xml import MalformedXml, parse_xml, xml_text

BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>
<a>&c;&c;&c;</a>"""


def test_a_document_is_read() -> None:
    assert parse_xml('<a b="1">☃</a>'.encode()).text == "☃"
    latin = '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1")
    assert parse_xml(latin).text == "é"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text",
        b"<a>",
        b"<a>&nbsp;</a>",
        BOMB,
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    ],
)
def test_what_is_no_honest_xml_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedXml):
        parse_xml(body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<a>caf\xe9</a>", "caf\ufffd"),
        (b'<?xml version="1.0" encoding="us-ascii"?><a>caf\xe9</a>', "caf\ufffd"),
        (b'<?xml version="1.0" encoding="no-such"?><a>hi</a>', "hi"),
        (b"<a>hi &#55357;&#56832;&#xD83D;&#xDE00; &amp; &#9731;</a>", "hi 😀😀 & ☃"),
        (b"<a>ok &#xd83d;</a>", "ok \ufffd"),
        (b"<a>&#0;\x01&#xFFFF;&#99999999;</a>", "\ufffd" * 4),
        (b"<a>\xed\xa0\xbd</a>", "\ufffd\ufffd\ufffd"),
        ("<a>ok \ud83d</a>", "ok \ufffd"),
    ],
)
def test_a_damaged_character_cost_the_document(body: bytes | str, text: str) -> None:
    assert parse_xml(body).text == text


def test_two_halves_of_a_character_are_written_as_one() -> None:
    assert xml_text("ok \ud83d\ude00 \ud83d\x00") == "ok 😀 \ufffd"


@given(st.binary() | st.text())
@example("<a>\ud800</a>")
def test_anything_is_read_or_refused(body: bytes | str) -> None:
    with suppress(MalformedXml):
        parse_xml(body)


@given(st.text() | st.text(alphabet="\x00\x0b\ufffe\ud800\udfffa"))
def test_any_text_goes_into_a_document(text: str) -> None:
    document = f"<a>{escape(xml_text(text))}</a>"
    ElementTree.fromstring(document)  # noqa: S314 (our own)
