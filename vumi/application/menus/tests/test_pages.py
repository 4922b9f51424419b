"""Texts cut into pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.application.menus.pages import fits, numbered, shortened, split_pages
from vumi.sms_text import begins_inside

LANGUAGES = numbered(["English", "Kiswahili", "isiZulu"])

CASES: dict[str, tuple[str, list[str], int, list[str]]] = {
    "what fits is one page": (
        "Your language?",
        LANGUAGES,
        160,
        ["Your language?\n1. English\n2. Kiswahili\n3. isiZulu"],
    ),
    "what just fits is one page": ("a" * 40, [], 40, ["a" * 40]),
    "without a limit there is one page": ("word " * 99, [], 0, ["word " * 99]),
    "a menu goes on on the next page and leads back": (
        "Your language?",
        LANGUAGES,
        40,
        [
            "Your language?\n1. English\n0. More",
            "2. Kiswahili\n3. isiZulu\n0. Back",
        ],
    ),
    "a text is cut between words": (
        "The clinic is open on all days but Sundays.",
        [],
        36,
        ["The clinic is open on all\n0. More", "days but Sundays."],
    ),
    "a long word is cut": ("a" * 50, [], 30, ["a" * 22 + "\n0. More"] * 2 + ["a" * 6]),
    "a line of a menu stays whole": (
        "Which?",
        numbered(["The first of all", "Another one here"]),
        36,
        ["Which?\n1. The first of all\n0. More", "2. Another one here\n0. Back"],
    ),
    "a line of a menu longer than a page is cut": (
        "",
        numbered(["The first of all of them that are here"]),
        36,
        ["1. The first of all of them\n0. More", "that are here\n0. Back"],
    ),
    "no page begins with an empty line": (
        "a" * 28 + "\n\n" + "b" * 20,
        [],
        36,
        ["a" * 28 + "\n0. More", "b" * 20],
    ),
    "a text of nothing": ("", [], 40, [""]),
    "a page has fewer characters that are not in the GSM alphabet": (
        "\u0430" * 70,
        [],
        160,
        ["\u0430" * 70],
    ),
    "and the next page takes what has no room": (
        "\u0430" * 71,
        [],
        160,
        ["\u0430" * 62 + "\n0. More", "\u0430" * 9],
    ),
    "pages in the GSM alphabet beside others have all its room": (
        "a" * 100 + " \u0430",
        ["1. " + "b" * 60],
        160,
        ["a" * 100 + "\n0. More", "\u0430\n0. More", "1. " + "b" * 60 + "\n0. Back"],
    ),
    "the extension of the GSM alphabet counts twice": (
        "\u20ac" * 81,
        [],
        160,
        ["\u20ac" * 76 + "\n0. More", "\u20ac" * 5],
    ),
    "an emoji is two units, and is not cut": (
        "\U0001f600" * 36,
        [],
        160,
        ["\U0001f600" * 31 + "\n0. More", "\U0001f600" * 5],
    ),
}

WRITINGS: dict[str, str] = {
    "Thai": "\u0e1b\u0e35\u0e48\u0e19\u0e49\u0e33\u0e01\u0e33\u0e17\u0e35\u0e48" * 40,
    "Vietnamese": "Tie\u0302\u0301ng Vie\u0323\u0302t du\u031bo\u031b\u0323c" * 20,
    "Vietnamese without spaces": "e\u0302\u0301u\u031b\u0323" * 60,
    "Hindi": "\u0928\u092e\u0938\u094d\u0924\u0947" * 40,
    "families": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 30,
    "flags": "\U0001f1ff\U0001f1e6" * 60,
    "marks after spaces": "ab \u0301c" * 60,
}


@pytest.mark.parametrize("text", WRITINGS.values(), ids=WRITINGS.keys())
@pytest.mark.parametrize("limit", [60, 160, 161, 182])
def test_no_page_begins_with_a_mark_and_none_is_too_long(text: str, limit: int) -> None:
    for page in split_pages(text, [], limit):
        assert fits(page, limit)
        assert not begins_inside(page)


def test_a_letter_with_more_marks_than_a_page_has_room_for_is_cut() -> None:
    text = "e" + "\u0301" * 500
    pages = split_pages(text, [], 160)
    assert all(fits(page, 160) for page in pages)
    assert "".join(page.removesuffix("\n0. More") for page in pages) == text


@pytest.mark.parametrize(
    ("text", "after", "short"),
    [
        ("No number.", "Age?", "No number."),
        ("That is no number, sorry.", "How old are you?", "That is no number..."),
        ("What?", "a" * 38, ""),
        ("Pardon", "", "Pardon"),
    ],
)
def test_a_text_is_shortened_for_another_to_stand_below(text: str, after: str, short: str) -> None:
    assert shortened(text, after, 40) == short
    assert fits(f"{short}\n{after}" if short else after, 40)


@given(st.text(max_size=400), st.lists(st.text(max_size=60), max_size=5), st.integers(60, 200))
def test_pages_of_any_text_fit(text: str, labels: list[str], limit: int) -> None:
    for page in split_pages(text, numbered(labels), limit):
        assert fits(page, limit)


@pytest.mark.parametrize(("text", "lines", "limit", "pages"), CASES.values(), ids=CASES.keys())
def test_pages(text: str, lines: list[str], limit: int, pages: list[str]) -> None:
    assert split_pages(text, lines, limit) == pages


def test_a_limit_without_room_for_text_is_refused() -> None:
    with pytest.raises(ValueError, match="no room for text"):
        split_pages("a" * 99, [], 27)


@given(
    st.text(alphabet=st.sampled_from("ab Ü\n"), max_size=300),
    st.lists(st.text(alphabet="abc ", max_size=60), max_size=12),
    st.integers(min_value=30, max_value=100),
)
def test_every_page_fits_and_nothing_is_lost(text: str, labels: list[str], limit: int) -> None:
    lines = numbered(labels)
    pages = split_pages(text, lines, limit)
    assert all(len(page) <= limit for page in pages)
    said = [page.removesuffix("\n0. More").removesuffix("\n0. Back") for page in pages]
    assert "".join("".join(said).split()) == "".join("".join([text, *lines]).split())
    assert all(page.endswith("\n0. More") for page in pages[:-1])
    assert pages[-1].endswith("\n0. Back") == (len(pages) > 1 and bool(lines))
