"""Texts: their encodings, and how they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.codecs import VumiCodec
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.text import (
    MAX_PARTS,
    Segment,
    SplitMode,
    TextError,
    TextNotEncodable,
    TextTooLong,
    encode,
    gsm_length,
    split,
)

PARTS = [SplitMode.SAR, SplitMode.UDH8, SplitMode.UDH16, SplitMode.AUTO]
EMOJI = "\U0001f600"
GSM = "".join(
    character
    for character in map(chr, [*range(0x20, 0x400), 0x20AC])
    if VumiCodec().encode(character, "gsm0338", "ignore")
)


def payload(segment: Segment) -> bytes:
    """What a segment has of the text: its short message without the header."""
    if not segment.esm_class & 0x40:
        return segment.short_message
    return segment.short_message[1 + segment.short_message[0] :]


# Encoding


@pytest.mark.parametrize(
    ("text", "encoding", "data_coding", "data"),
    [
        ("h\u00e9llo", "gsm0338", 0, b"h\x05llo"),
        ("[\u20ac]", "gsm0338", 0, b"\x1b\x3c\x1b\x65\x1b\x3e"),
        ("h\u00e7", "latin-1", 3, b"h\xe7"),
        ("h\u00e7", "iso-8859-1", 3, b"h\xe7"),
        ("h\u00e7", "iso_8859_1", 3, b"h\xe7"),
        ("\u0436", "ucs2", 8, b"\x04\x36"),
        ("\u0436", "utf-16be", 8, b"\x04\x36"),
        ("\u0436", "UTF-16-BE", 8, b"\x04\x36"),
        (EMOJI, "ucs2", 8, b"\xd8\x3d\xde\x00"),
        ("hi", "ascii", 1, b"hi"),
        ("\u0436", "iso8859_5", 6, b"\xd6"),
        ("\u05d0", "iso8859_8", 7, b"\xe0"),
        # What old configurations have by default.
        ("h\u00e9", "utf-8", 0, b"h\xc3\xa9"),
        ("\u0436", "koi8-r", 0, b"\xd6"),
    ],
)
def test_a_text_is_encoded_and_the_phone_told_how(
    text: str, encoding: str, data_coding: int, data: bytes
) -> None:
    encoded = encode(text, encoding)
    assert (encoded.data, encoded.data_coding) == (data, data_coding)


def test_a_configured_data_coding_is_what_the_phone_is_told() -> None:
    assert encode("hi", "utf-16be", 25).data_coding == 25
    assert encode("hi", "utf-8", 0).data_coding == 0
    assert split("hi", encoding="utf-16be", data_coding=8) == [Segment(b"\0h\0i", 8)]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("", "gsm0338"),
        ("price: 5\u20ac {\u00e0}", "gsm0338"),
        ("h\u00e7", "ucs2"),
        ("\u0436", "ucs2"),
        (EMOJI, "ucs2"),
    ],
)
def test_the_encoding_is_chosen_by_the_text(text: str, encoding: str) -> None:
    assert encode(text).encoding == encode(text, "AUTO").encoding == encoding


def test_what_is_chosen_from_may_be_configured() -> None:
    candidates = ["gsm0338", "latin-1", "ucs2"]
    chosen = [encode(text, auto_encodings=candidates).data_coding for text in "a\u00e7\u0436"]
    assert chosen == [0, 3, 8]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\u0436", "gsm0338"),
        ("\u0436", "latin-1"),
        ("\u0436", "ascii"),
        ("\ud83d", "ucs2"),
        ("\ud83d", "auto"),
        ("\ud83d", "utf-8"),
        ("a", "no-such-encoding"),
    ],
)
def test_a_text_that_can_not_be_encoded_is_refused(text: str, encoding: str) -> None:
    with pytest.raises(TextNotEncodable):
        encode(text, encoding)


def test_the_codec_of_the_configuration_encodes() -> None:
    # The old Vumi used it for decoding only.
    class Shouting(VumiCodec):
        def encode(
            self, unicode_string: str, encoding: str | None = None, errors: str = "strict"
        ) -> bytes:
            return super().encode(unicode_string.upper(), encoding, errors)

    assert split("hi", encoding="gsm0338", codec=Shouting()) == [Segment(b"HI", 0)]


@pytest.mark.parametrize(("text", "length"), [("", 0), ("abc", 3), ("[]\u20ac~^", 10), ("@", 1)])
def test_septets_are_counted_with_the_extension(text: str, length: int) -> None:
    assert gsm_length(text) == length


# How many parts


@pytest.mark.parametrize(
    ("text", "encoding", "sizes"),
    [
        ("", "gsm0338", [0]),
        ("a" * 160, "gsm0338", [160]),
        ("a" * 161, "gsm0338", [153, 8]),
        ("a" * 306, "gsm0338", [153, 153]),
        ("a" * 307, "gsm0338", [153, 153, 1]),
        ("[" * 80, "gsm0338", [160]),
        ("[" * 81, "gsm0338", [152, 10]),
        ("a" * 152 + "[" + "a" * 152, "gsm0338", [152, 153, 1]),
        ("a" * 151 + "[" + "a" * 153, "gsm0338", [153, 153]),
        ("\u00e7" * 140, "latin-1", [140]),
        ("\u00e7" * 141, "latin-1", [134, 7]),
        ("\u0436" * 70, "ucs2", [140]),
        ("\u0436" * 71, "ucs2", [134, 8]),
        (EMOJI * 35, "ucs2", [140]),
        (EMOJI * 36, "ucs2", [132, 12]),
        ("x" + EMOJI * 36, "ucs2", [134, 12]),
        # GSM with another data coding is eight bits.
        ("a" * 141, "gsm0338-as-binary", [134, 7]),
        # As by old configurations: UTF-8 and data coding 0.
        ("a" * 160, "utf-8", [160]),
        ("a" * 161, "utf-8", [153, 8]),
        ("\u00e9" * 70, "utf-8", [140]),
        ("\u00e9" * 71, "utf-8", [134, 8]),
        ("x" + "\u00e9" * 70, "utf-8", [133, 8]),
        ("\u20ac" * 47, "utf-8", [132, 9]),
    ],
)
def test_a_text_is_cut_by_characters(text: str, encoding: str, sizes: list[int]) -> None:
    # The old Vumi cut after 130 bytes, in the middle of characters too.
    data_coding = 4 if encoding == "gsm0338-as-binary" else None
    name = encoding.removesuffix("-as-binary")
    for mode in (SplitMode.SAR, SplitMode.UDH8, SplitMode.AUTO):
        segments = split(text, mode, name, data_coding)
        assert [len(payload(segment)) for segment in segments] == sizes


def test_a_reference_of_16_bits_takes_one_more_octet() -> None:
    assert [len(payload(part)) for part in split("a" * 161, "udh16")] == [152, 9]
    assert [len(payload(part)) for part in split("\u0436" * 71, "udh16")] == [132, 10]


def test_parts_of_japanese_begin_and_end_in_the_same_shift_state() -> None:
    text = "\u65e5\u672c\u8a9e" * 40
    parts = [payload(part) for part in split(text, "udh8", "iso2022_jp")]
    assert max(map(len, parts)) <= 134
    assert "".join(part.decode("iso2022_jp") for part in parts) == text


def test_ucs2_is_never_counted_as_gsm_even_with_its_data_coding() -> None:
    assert [len(payload(part)) for part in split("a" * 71, "udh8", "ucs2", 0)] == [134, 8]


# How it is told which part is which


def test_a_header_with_a_reference_of_8_bits() -> None:
    first, second = split("a" * 160 + "b", "udh8", reference=0x1234)
    assert first == Segment(b"\x05\x00\x03\x34\x02\x01" + b"a" * 153, 0, 0x40)
    assert second == Segment(b"\x05\x00\x03\x34\x02\x02" + b"a" * 7 + b"b", 0, 0x40)


def test_a_reference_may_be_255() -> None:
    # The old Vumi took it modulo 255.
    assert split("a" * 161, "udh8", reference=255)[0].short_message[3] == 255


def test_a_header_with_a_reference_of_16_bits() -> None:
    # 06 08 04, and not 06 00 04 as the old Vumi expected it.
    first, second = split("\u0436" * 71, "udh16", reference=0x51234)
    assert first.short_message[:7] == b"\x06\x08\x04\x12\x34\x02\x01"
    assert second.short_message == b"\x06\x08\x04\x12\x34\x02\x02" + b"\x04\x36" * 5
    assert (first.data_coding, first.esm_class) == (8, 0x40)


def test_optional_parameters() -> None:
    first, second = split("a" * 161, "sar", reference=0x51234)
    assert first == Segment(
        b"a" * 153,
        0,
        0,
        (
            (Tag.sar_msg_ref_num, b"\x12\x34"),
            (Tag.sar_total_segments, b"\2"),
            (Tag.sar_segment_seqnum, b"\1"),
        ),
    )
    assert second.tlvs[-1] == (Tag.sar_segment_seqnum, b"\2")


def test_a_payload_takes_it_whole_and_short_texts_too() -> None:
    for text in ("hi", "a" * 1000):
        assert split(text, "payload") == [
            Segment(b"", 0, 0, ((Tag.message_payload, text.encode()),))
        ]


def test_a_reference_is_only_asked_for_if_there_are_parts() -> None:
    asked: list[int] = []

    def reference() -> int:
        asked.append(1)
        return 7

    for mode in SplitMode:
        split("short", mode, reference=reference)
    split("a" * 161, "payload", reference=reference)
    assert not asked
    split("a" * 1000, "udh8", reference=reference)
    assert asked == [1]


# What has no room


@pytest.mark.parametrize(
    ("text", "encoding"), [("a" * 255, "gsm0338"), ("\u0436" * 128, "ucs2"), ("[" * 128, "auto")]
)
def test_a_text_that_is_too_long_for_one_is_refused_in_words(text: str, encoding: str) -> None:
    with pytest.raises(TextTooLong, match="room for 254"):
        split(text, "none", encoding)


def test_one_pdu_may_have_254_octets() -> None:
    assert split("a" * 254, "none") == [Segment(b"a" * 254, 0)]


@pytest.mark.parametrize(
    ("mode", "size"), [("udh8", 153), ("udh16", 152), ("sar", 153), ("auto", 153)]
)
def test_more_than_255_parts_are_refused(mode: str, size: int) -> None:
    # The old Vumi sent a part number 256, which is 0.
    segments = split("a" * size * MAX_PARTS, mode)
    assert len(segments) == MAX_PARTS
    with pytest.raises(TextTooLong, match="needs 256 parts"):
        split("a" * (size * MAX_PARTS + 1), mode)


def test_a_payload_has_its_end() -> None:
    with pytest.raises(TextTooLong):
        split("a" * 0x10000, "payload")


def test_a_codec_that_gives_nothing_but_escapes_comes_to_an_end() -> None:
    class Odd(VumiCodec):
        def encode(
            self, unicode_string: str, encoding: str | None = None, errors: str = "strict"
        ) -> bytes:
            return b"\x1b" * len(unicode_string)

    segments = split("a" * 161, "udh8", "gsm0338", codec=Odd())
    assert b"".join(map(payload, segments)) == b"\x1b" * 161


# Whatever the text


@given(st.text(st.sampled_from(GSM), max_size=700), st.sampled_from(PARTS))
def test_gsm_is_whole_in_each_part(text: str, mode: SplitMode) -> None:
    parts = [payload(segment) for segment in split(text, mode, "gsm0338")]
    assert "".join(VumiCodec().decode(part, "gsm0338") for part in parts) == text
    assert max(map(len, parts)) <= (153 if len(parts) > 1 else 160)


ANY = st.characters(exclude_categories=["Cs"])


@given(
    st.text(ANY, max_size=400),
    st.sampled_from(PARTS),
    st.sampled_from(["ucs2", "utf-8", "utf-16-le", "utf-7"]),
)
def test_any_text_is_whole_in_each_part(text: str, mode: SplitMode, encoding: str) -> None:
    segments = split(text, mode, encoding)
    parts = [VumiCodec().decode(payload(segment), encoding) for segment in segments]
    assert "".join(parts) == text
    sizes = [len(payload(segment)) for segment in segments]
    assert max(sizes) <= (160 if len(sizes) == 1 else 153)


@given(st.text(max_size=300), st.sampled_from(list(SplitMode)), st.integers(0, 1 << 40))
def test_any_text_is_sent_or_refused_by_the_declared_error(
    text: str, mode: SplitMode, reference: int
) -> None:
    try:
        segments = split(text, mode, reference=reference)
    except TextError:
        return
    assert segments
    for segment in segments:
        assert len(segment.short_message) <= 254
