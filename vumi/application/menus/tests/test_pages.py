"""Texts cut into pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.application.menus.pages import numbered, split_pages

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
}


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
