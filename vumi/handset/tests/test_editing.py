"""A line being typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.handset.editing import LineEditor
from vumi.printable import width_of


def shown(editor: LineEditor) -> str:
    return f"{editor.text[: editor.cursor]}|{editor.text[editor.cursor :]}"


#: Begins with "one two|"
KEYS: dict[str, tuple[list[str], str]] = {
    "insert at the end": (["insert !"], "one two!|"),
    "insert in between": (["to_start", "insert zero "], "zero |one two"),
    "delete before": (["delete_before"], "one tw|"),
    "delete before the start": (["to_start", "delete_before"], "|one two"),
    "delete after": (["to_start", "delete_after"], "|ne two"),
    "delete after the end": (["delete_after"], "one two|"),
    "delete a word": (["delete_word"], "one |"),
    "delete words": (["delete_word", "delete_word", "delete_word"], "|"),
    "delete a word in between": (["left", "delete_word"], "one |o"),
    "delete to the start": (["left", "delete_to_start"], "|o"),
    "delete to the end": (["left", "delete_to_end"], "one tw|"),
    "left and right": (["left", "left", "right"], "one tw|o"),
    "no further than there is text": (["right", "right"], "one two|"),
    "to the end": (["to_start", "to_end"], "one two|"),
}


@pytest.mark.parametrize(("keys", "line"), KEYS.values(), ids=KEYS.keys())
def test_keys(keys: list[str], line: str) -> None:
    editor = LineEditor()
    editor.insert("one two")
    for key in keys:
        name, _, text = key.partition(" ")
        if name == "insert":
            editor.insert(text)
        elif name in ("left", "right"):
            editor.move(-1 if name == "left" else 1)
        else:
            getattr(editor, name)()
    assert shown(editor) == line


def test_lines_before_come_back() -> None:
    editor = LineEditor()
    for line in ("one", "two", "two", "  "):
        editor.insert(line)
        assert editor.finish() == line
        assert shown(editor) == "|"
    editor.insert("half")
    seen = []
    for key in (editor.earlier, editor.earlier, editor.earlier, editor.later, editor.later):
        key()
        seen.append(shown(editor))
    assert seen == ["two|", "one|", "one|", "two|", "half|"]
    editor.later()
    assert shown(editor) == "half|"


def test_a_line_before_can_be_changed_and_sent_again() -> None:
    editor = LineEditor()
    editor.insert("one")
    editor.finish()
    editor.earlier()
    editor.insert("!")
    assert editor.finish() == "one!"
    editor.earlier()
    editor.earlier()
    assert shown(editor) == "one|"


@pytest.mark.parametrize(
    ("text", "cursor", "columns", "part", "column"),
    [
        ("hello", 5, 10, "hello", 5),
        ("hello", 5, 6, "hello", 5),
        ("hello world", 11, 6, "world", 5),
        ("hello world", 0, 6, "hello ", 0),
        ("hello world", 7, 6, "llo wo", 5),
        ("日本語", 3, 5, "本語", 4),
        ("日本語", 3, 4, "語", 2),
        ("", 0, 6, "", 0),
    ],
)
def test_what_a_terminal_has_no_room_for_is_scrolled(
    text: str, cursor: int, columns: int, part: str, column: int
) -> None:
    editor = LineEditor()
    editor.insert(text)
    editor.cursor = cursor
    assert editor.visible(columns) == (part, column)


@given(st.text(max_size=40), st.integers(0, 40), st.integers(-3, 30))
def test_what_is_shown_fits_and_has_the_cursor_in_it(text: str, cursor: int, columns: int) -> None:
    editor = LineEditor()
    editor.insert(text)
    editor.cursor = min(cursor, len(text))
    part, column = editor.visible(columns)
    assert part in text
    assert width_of(part) <= max(columns, 2)
    assert 0 <= column <= width_of(part)


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("日", 2), ("e\N{COMBINING ACUTE ACCENT}", 1), ("", 0)]
)
def test_columns_of_a_text(text: str, width: int) -> None:
    assert width_of(text) == width
