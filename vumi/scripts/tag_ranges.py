"""Many tags in few words: ``longcode[10001-10010]`` stands for ten.

Pure functions of texts; knows no tag pool.
"""

from __future__ import annotations

import ast
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_RANGE", "compressed", "expanded", "tags_of"]

#: How many tags one range may stand for.
MAX_RANGE = 1_000_000

_RANGE = re.compile(r"(.*)\[([0-9]+)-([0-9]+)\]([^][]*)", re.DOTALL)
#: The last number in a tag, and what stands around it.
_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)


def tags_of(value: Any, where: str) -> list[str]:
    """The tags that a configuration names.

    :param value: A list of tags and ranges; one range; or a Python list of texts as a text, as
        files of the old Vumi have it. No other Python is understood.
    :param where: What errors call the value.
    :raises ConfigError: It is none of these.
    """
    items = _parsed(value, where) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ConfigError(f"{where}: tags are a list, not {type(items).__name__}.")
    tags: dict[str, None] = {}
    for item in items:
        # YAML reads digits without quotes as a number.
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise ConfigError(f"{where}: a tag is a text, not {item!r}.")
        tags.update(dict.fromkeys(expanded(str(item), where)))
    return list(tags)


def _parsed(text: str, where: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        if _RANGE.fullmatch(text):
            return [text]
        raise ConfigError(
            f"{where}: {text!r} is neither a range nor a list of texts. Python expressions are "
            "not evaluated any more; write a range, such as 'foo[100-200]', or a list of tags and "
            "ranges."
        ) from None


def expanded(item: str, where: str) -> Iterator[str]:
    """The tags that a range stands for; a text that is not a range stands for itself.

    With ``[001-100]`` all numbers have three digits.

    :raises ConfigError: The range ends before it begins, or is too long.
    """
    match = _RANGE.fullmatch(item)
    if match is None:
        return iter([item])
    before, first, last, after = match.groups()
    count = int(last) - int(first) + 1
    if not 0 < count <= MAX_RANGE:
        raise ConfigError(
            f"{where}: {item!r} must go from a number to a greater one, with {MAX_RANGE} tags at "
            "most."
        )
    width = len(first) if first.startswith("0") else 0
    return (f"{before}{int(first) + i:0{width}}{after}" for i in range(count))


def compressed(tags: Iterable[str]) -> list[str]:
    """Tags, sorted, with ranges for those that have consecutive numbers at the end."""
    numbered: dict[tuple[str, str, int], set[int]] = {}
    words = []
    for tag in set(tags):
        match = _LAST_NUMBER.fullmatch(tag)
        if match is None:
            words.append((tag, 0, tag))
            continue
        before, number, after = match.groups()
        width = len(number) if number.startswith("0") else 0
        numbered.setdefault((before, after, width), set()).add(int(number))
    for (before, after, width), numbers in numbered.items():
        for first, last in _runs(sorted(numbers)):
            number = f"{first:0{width}}"
            word = number if first == last else f"[{number}-{last:0{width}}]"
            words.append((before, first, f"{before}{word}{after}"))
    return [word for _, _, word in sorted(words)]


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    for _, run in groupby(enumerate(numbers), lambda item: item[1] - item[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]
