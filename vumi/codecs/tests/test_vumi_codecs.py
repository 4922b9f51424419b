"""GSM 03.38, UCS-2 and VumiCodec."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyClass, verifyObject

from vumi import codecs
from vumi.codecs import ivumi_codecs, vumi_codecs
from vumi.codecs.vumi_codecs import GSM7BitCodec, UCS2Codec, VumiCodec, VumiCodecException
from vumi.errors import VumiError

# 3GPP TS 23.038 section 6.2.1 by Unicode code points, read off the standard's table column by
# column; None is the escape.
GSM_TABLE = [
    *(0x40, 0xA3, 0x24, 0xA5, 0xE8, 0xE9, 0xF9, 0xEC, 0xF2, 0xC7, 0x0A, 0xD8, 0xF8, 0x0D),
    *(0xC5, 0xE5, 0x394, 0x5F, 0x3A6, 0x393, 0x39B, 0x3A9, 0x3A0, 0x3A8, 0x3A3, 0x398, 0x39E),
    *(None, 0xC6, 0xE6, 0xDF, 0xC9, 0x20, 0x21, 0x22, 0x23, 0xA4),
    *range(0x25, 0x40),
    0xA1,
    *range(0x41, 0x5B),
    *(0xC4, 0xD6, 0xD1, 0xDC, 0xA7, 0xBF),
    *range(0x61, 0x7B),
    *(0xE4, 0xF6, 0xF1, 0xFC, 0xE0),
]
GSM_EXTENSION = {
    b"\x1b\x0a": "\f",
    b"\x1b\x14": "^",
    b"\x1b\x28": "{",
    b"\x1b\x29": "}",
    b"\x1b\x2f": "\\",
    b"\x1b\x3c": "[",
    b"\x1b\x3d": "~",
    b"\x1b\x3e": "]",
    b"\x1b\x40": "|",
    b"\x1b\x65": "\N{EURO SIGN}",
}
GSM = {
    **{bytes([code]): chr(char) for code, char in enumerate(GSM_TABLE) if char is not None},
    **GSM_EXTENSION,
}
gsm_text = st.text(st.sampled_from(sorted(GSM.values())))
codec = VumiCodec()


def test_the_table_of_the_standard_is_complete() -> None:
    assert len(GSM_TABLE) == 128
    assert len(set(GSM.values())) == 127 + 10


@pytest.mark.parametrize(("encoded", "char"), GSM.items())
def test_every_character_of_the_gsm_alphabet(encoded: bytes, char: str) -> None:
    assert codec.encode(char, "gsm0338") == encoded
    assert codec.decode(encoded, "gsm0338") == char


@pytest.mark.parametrize("char", ["`", "\x1b", "\x00", "ç", "\N{SNOWMAN}", "\U0001f600", "\ud800"])
def test_what_gsm_lacks_is_refused_ignored_or_replaced(char: str) -> None:
    text = f"a{char}[b"
    with pytest.raises(UnicodeEncodeError) as caught:
        codec.encode(text, "gsm0338")
    assert (caught.value.encoding, caught.value.object) == ("gsm0338", text)
    assert (caught.value.start, caught.value.end) == (1, 2)
    assert codec.encode(text, "gsm0338", "ignore") == b"a\x1b\x3cb"
    assert codec.encode(text, "gsm0338", "replace") == b"a?\x1b\x3cb"


@pytest.mark.parametrize(
    ("data", "start", "ignored", "replaced"),
    [
        (b"\x1b", 0, "", "?"),
        (b"ab\x1b", 2, "ab", "ab?"),
        (b"\x1bA", 0, "A", "?A"),
        (b"\x1b\x1b", 0, "", "??"),
        (b"\x1b\x1b\x28", 0, "{", "?{"),
        (b"a\x80b", 1, "ab", "a?b"),
        (b"\xff\xff", 0, "", "??"),
        (b"\x1b\xff", 0, "", "??"),
        (b"a\x5fb\x1b\x5f", 3, "a\xa7b\xa7", "a\xa7b?\xa7"),
    ],
)
def test_bytes_that_mean_nothing_are_refused_ignored_or_replaced(
    data: bytes, start: int, ignored: str, replaced: str
) -> None:
    # 0x5F is the section sign, checked against the table above.
    ignored, replaced = (text.replace("\xa7", GSM[b"\x5f"]) for text in (ignored, replaced))
    with pytest.raises(UnicodeDecodeError) as caught:
        codec.decode(data, "gsm0338")
    assert (caught.value.encoding, caught.value.object) == ("gsm0338", data)
    assert (caught.value.start, caught.value.end) == (start, start + 1)
    assert codec.decode(data, "gsm0338", "ignore") == ignored
    assert codec.decode(data, "gsm0338", "replace") == replaced


def test_gsm_knows_no_other_ways_with_errors() -> None:
    for errors in ("xmlcharrefreplace", "backslashreplace", "nonsense", ""):
        with pytest.raises(VumiCodecException, match="no error handling"):
            codec.encode("a", "gsm0338", errors)
        with pytest.raises(VumiCodecException, match="no error handling"):
            codec.decode(b"a", "gsm0338", errors)


@given(gsm_text)
def test_a_text_in_gsm_characters_survives(text: str) -> None:
    encoded = codec.encode(text, "gsm0338")
    assert max(encoded, default=0) < 0x80
    assert codec.decode(encoded, "gsm0338") == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_in_ucs2(text: str) -> None:
    assert codec.encode(text, "ucs2") == text.encode("utf-16-be")
    assert codec.decode(codec.encode(text, "ucs2"), "ucs2") == text


@given(st.text(), st.sampled_from(["gsm0338", "ucs2"]))
def test_text_replaced_or_ignored_never_fails(text: str, encoding: str) -> None:
    for errors in ("ignore", "replace"):
        assert isinstance(codec.encode(text, encoding, errors), bytes)


@given(st.binary(), st.sampled_from(["gsm0338", "ucs2", "utf-8", None]))
def test_arbitrary_bytes_decode_or_raise_the_declared_error(
    data: bytes, encoding: str | None
) -> None:
    for errors in ("ignore", "replace"):
        assert isinstance(codec.decode(data, encoding, errors), str)
    try:
        text = codec.decode(data, encoding)
    except UnicodeDecodeError as error:
        assert 0 <= error.start < error.end <= len(data)
    else:
        assert codec.encode(text, encoding) == data


def test_half_a_character_of_ucs2_is_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        codec.decode(b"\x00A\x00", "ucs2")
    assert codec.decode(b"\x00A\x00", "ucs2", "ignore") == "A"
    assert codec.decode(b"\x00A\x00", "ucs2", "replace") == "A\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("cls", "text", "data"), [(GSM7BitCodec, "a[", b"a\x1b\x3c"), (UCS2Codec, "a", b"\x00a")]
)
def test_codec_classes_tell_how_much_they_used(cls: type[Any], text: str, data: bytes) -> None:
    assert cls().encode(text) == (data, len(text))
    assert cls().decode(data) == (text, len(data))


# VumiCodec


@pytest.mark.parametrize(
    ("args", "data"),
    [
        ((), "\xe9\N{EURO SIGN}".encode()),
        ((None,), "\xe9\N{EURO SIGN}".encode()),
        (("utf-8",), "\xe9\N{EURO SIGN}".encode()),
        (("utf-16-be",), b"\x00\xe9\x20\xac"),
        (("UCS2",), b"\x00\xe9\x20\xac"),
        (("GSM0338",), b"\x05\x1be"),
        (("cp1252",), b"\xe9\x80"),
    ],
)
def test_encodings_by_name(args: tuple[Any, ...], data: bytes) -> None:
    assert codec.encode("\xe9\N{EURO SIGN}", *args) == data
    assert codec.decode(data, *args) == "\xe9\N{EURO SIGN}"


def test_errors_are_handed_on_to_pythons_encodings() -> None:
    assert codec.encode("a\xe9", "ascii", "xmlcharrefreplace") == b"a&#233;"
    assert codec.decode(b"a\xe9", "ascii", "ignore") == "a"
    with pytest.raises(UnicodeEncodeError):
        codec.encode("\xe9", "ascii")
    with pytest.raises(UnicodeDecodeError):
        codec.decode(b"\xe9", "ascii")


@pytest.mark.parametrize("encoding", ["nonsense", "rot13", "base64", "zlib"])
def test_what_is_no_text_encoding_is_a_lookup_error(encoding: str) -> None:
    with pytest.raises(LookupError):
        codec.encode("a", encoding)
    with pytest.raises(LookupError):
        codec.decode(b"a", encoding)


@pytest.mark.parametrize("value", [b"bytes", None, 1, bytearray(b"a")])
def test_only_text_is_encoded(value: Any) -> None:
    with pytest.raises(
        VumiCodecException, match=r"^Only Unicode strings accepted for encoding\.$"
    ):
        codec.encode(value)


@pytest.mark.parametrize("value", ["text", None, 1, bytearray(b"a")])
def test_only_bytes_are_decoded(value: Any) -> None:
    with pytest.raises(VumiCodecException, match=r"^Only bytestrings accepted for decoding\.$"):
        codec.decode(value)


def test_a_subclass_may_have_further_encodings() -> None:
    class MyCodec(VumiCodec):
        """A program's own."""

        custom_codecs = {**VumiCodec.custom_codecs, "mine": UCS2Codec()}  # noqa: RUF012 (constant)

    assert MyCodec().encode("a", "mine") == b"\x00a"
    assert set(VumiCodec.custom_codecs) == {"gsm0338", "ucs2"}


def test_the_interface_is_kept_and_names_are_the_same_objects() -> None:
    verifyClass(ivumi_codecs.IVumiCodec, VumiCodec)
    verifyObject(ivumi_codecs.IVumiCodec, codec)
    for module in (vumi_codecs, ivumi_codecs):
        for name in module.__all__:
            assert getattr(codecs, name) is getattr(module, name)
    assert issubclass(VumiCodecException, VumiError)
