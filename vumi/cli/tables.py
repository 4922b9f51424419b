"""Rows of text in columns, for a terminal. Knows how wide characters are; knows no stream.

A function of ten lines and no library: a table library measures wide and combining characters only
with another library, and :func:`vumi.printable.width_of` is needed for the handset anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.printable import printable, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MAX_CELL", "cell", "columns"]

#: Characters of a cell.
MAX_CELL = 60


def cell(value: object) -> str:
    """A value on one line that controls no terminal, cut to :data:`MAX_CELL` characters."""
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}\N{HORIZONTAL ELLIPSIS}"


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """The rows as lines, each column as wide as its widest cell.

    :param rows: All with the same number of cells, which :func:`cell` has made printable.
    :param indent: What each line begins with.
    """
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text + " " * (width - width_of(text)) for text, width in zip(row, widths, strict=True)
        ]
        yield (indent + "  ".join(cells)).rstrip()
