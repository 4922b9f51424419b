"""National languages in the GSM alphabet: 3GPP TS 23.038, section 6.2.1.2 and Annex A."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.codecs import VumiCodec
from vumi.codecs.gsm_languages import LANGUAGES, LOCKING_SHIFTS, SINGLE_SHIFTS
from vumi.codecs.gsm_shifts import Shifts, decode_gsm, encode_gsm, shifts_for

ALL_SHIFTS = [Shifts(locking, single) for locking in range(14) for single in range(14)]

#: For each language: identifiers, octets and the text, read off the tables of Annex A by hand.
SAMPLES = [
    ("turkish", Shifts(0, 1), "\x1bG\x1bg\x1bI\x1bi\x1bS\x1bs\x1bc\x1be", "ĞğİıŞşç€"),
    ("turkish", Shifts(1, 0), "\x04\x07\x0b\x0c\x1c\x1d\x40\x60", "€ıĞğŞşİç"),
    ("spanish", Shifts(0, 2), "\x1b\x09\x1bA\x1bI\x1bO\x1bU\x1ba\x1bi\x1bo\x1bu", "çÁÍÓÚáíóú"),
    ("portuguese", Shifts(0, 3), "\x1b\x05\x1b\x0b\x1b\x7b\x1b\x7c\x1b\x7f\x1b[", "êÔãõâÃ"),
    ("portuguese", Shifts(3, 0), "\x04\x05\x12\x14\x1a\x60\x7b\x7c\x7d", "êéªÀ|~ãõ`"),
    ("bengali", Shifts(4, 4), "\x00\x13\x60\x2c\x1b\x1c", "\u0981\u0993\u09ce,\u09e8"),
    ("gujarati", Shifts(5, 5), "\x03\x1a\x7f\x1b\x19\x1b\x1c", "અચ૱।\u0ae6"),
    ("hindi", Shifts(6, 6), "\x28\x2a\x35\x51\x6d\x1b\x1c", ")थ5\u093fm\u0966"),
    ("kannada", Shifts(7, 7), "\x01\x0e\x24\x3d\x1b\x3c", "\u0c82ಎಡಪ["),
    ("malayalam", Shifts(8, 8), "\x01\x2e\x7f\x1b\x2f\x1b\x2e", "\u0d02.൹\\ൺ"),
    ("oriya", Shifts(9, 9), "\x00\x0f\x1b\x28\x1b\x26", "\u0b01ଏ{\u0b5c"),
    ("punjabi", Shifts(10, 10), "\x00\x7f\x1b\x1c\x1b\x2d", "\u0a01ੴ\u0a66ੵ"),
    ("tamil", Shifts(11, 11), "\x03\x3d\x7f\x1b\x1c", "அப௹\u0be6"),
    ("telugu", Shifts(12, 12), "\x00\x1a\x1b\x1c\x1b\x2a", "\u0c01చ\u0c66౸"),
    ("urdu", Shifts(13, 13), "\x00\x02\x29\x2c\x1b\x1c", "\u0627\u0628(,\u06f0"),
]


@pytest.mark.parametrize(("language", "shifts", "octets", "text"), SAMPLES)
def test_samples_of_each_language(language: str, shifts: Shifts, octets: str, text: str) -> None:
    assert decode_gsm(octets.encode("latin-1"), shifts) == text
    assert encode_gsm(text, shifts) == octets.encode("latin-1")
    assert LANGUAGES[language] in shifts


def test_each_language_has_its_tables() -> None:
    assert set(LANGUAGES.values()) == set(SINGLE_SHIFTS) == set(range(1, 14))
    # Annex A.3.2: there is none for Spanish.
    assert set(LOCKING_SHIFTS) == set(range(1, 14)) - {2}
    assert {len(table) for table in LOCKING_SHIFTS.values()} == {128}


def test_what_all_locking_tables_have_in_common_is_at_the_same_place() -> None:
    for table in LOCKING_SHIFTS.values():
        assert (table[0x0A], table[0x0D], table[0x20], table[0x3F]) == ("\n", "\r", " ", "?")
        assert table[0x30:0x3A] == "0123456789"
        assert table[0x61:0x7B] == "abcdefghijklmnopqrstuvwxyz"


SCRIPTS = {4: "BENGALI", 5: "GUJARATI", 6: "DEVANAGARI", 7: "KANNADA", 8: "MALAYALAM"}
SCRIPTS |= {9: "ORIYA", 10: "GURMUKHI", 11: "TAMIL", 12: "TELUGU", 13: "ARABIC"}


@pytest.mark.parametrize(("language", "script"), SCRIPTS.items())
def test_the_letters_of_a_locking_table_are_in_the_order_of_unicode(
    language: int, script: str
) -> None:
    letters = [
        character
        for character in LOCKING_SHIFTS[language][:0x60]
        if unicodedata.name(character, "").startswith(script)
    ]
    assert len(letters) == len(set(letters)) > 45
    # The Indian tables follow ISCII, as Unicode does. Urdu's has an order of its own.
    if script != "ARABIC":
        assert letters == sorted(letters)


@pytest.mark.parametrize("shifts", ALL_SHIFTS)
def test_what_can_be_encoded_is_decoded_to_the_same(shifts: Shifts) -> None:
    for code in range(128):
        for octets in (bytes((code,)), bytes((0x1B, code))):
            text = decode_gsm(octets, shifts)
            if "\ufffd" not in text:
                assert decode_gsm(encode_gsm(text, shifts), shifts) == text


@given(st.binary(), st.sampled_from(ALL_SHIFTS))
def test_any_octets_are_some_text(octets: bytes, shifts: Shifts) -> None:
    text = decode_gsm(octets, shifts)
    assert len(text) <= len(octets)


@given(st.text("abc @£{}[]€\n1Éß"))
def test_the_default_tables_are_those_of_the_codec(text: str) -> None:
    assert encode_gsm(text) == VumiCodec().encode(text, "gsm0338")


def test_a_language_that_the_standard_does_not_have_yet_has_the_default_tables() -> None:
    assert decode_gsm(b"a\x1be", Shifts(99, 255)) == "a€"


def test_what_the_tables_lack_is_told() -> None:
    with pytest.raises(UnicodeEncodeError, match="position 1"):
        encode_gsm("aЖ", Shifts(1, 1))


def test_the_pairs_of_a_language() -> None:
    assert list(shifts_for("spanish")) == [Shifts(0, 2)]
    assert list(shifts_for("turkish")) == [Shifts(0, 1), Shifts(1, 0), Shifts(1, 1)]
