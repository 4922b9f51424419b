"""What is expected, compared with what there is, and the difference in words.

Knows data, and the words in angle brackets that a table may have instead of a value:

* ``<any>``: whatever it is, if it is there and not null; ``<text>``, ``<number>``: of that kind;
* ``<matches REGEX>``: a text that the expression matches as a whole;
* ``<message id>``: the id of the last message that came in, ``<message id 2>`` of the second one;
  ``<sent id>`` likewise of what applications have sent. These stand within a text too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Ids", "absent_differences", "differences", "shown"]

_WORD = re.compile(r"<(any|text|number|matches (.+))>", re.DOTALL)
_ID = re.compile(r"<(message|sent) id(?: (\d+))?>")
_MAX_SHOWN = 400


@dataclass
class Ids:
    """The ids of a case's messages, in their order."""

    message: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def fill(self, value: Any) -> Any:
        """Put ids into all texts of some data.

        :raises LookupError: There is no such message.
        """
        if isinstance(value, str):
            return _ID.sub(self._id, value)
        if isinstance(value, dict):
            return {self.fill(key): self.fill(held) for key, held in value.items()}
        if isinstance(value, list):
            return [self.fill(held) for held in value]
        return value

    def _id(self, match: re.Match[str]) -> str:
        ids = self.message if match[1] == "message" else self.sent
        number = int(match[2]) if match[2] else len(ids)
        if not 1 <= number <= len(ids):
            raise LookupError(f"there is no {match[0]} (yet)")
        return ids[number - 1]


def shown(value: Any) -> str:
    """Data as it is told of."""
    if isinstance(value, bytes):
        text = repr(value)
    else:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def differences(expected: Any, actual: Any, where: str, subset: bool = False) -> Iterator[str]:
    """Say in what data differs from what is expected.

    :param expected: May have words in angle brackets.
    :param where: What it is: ``"content"``.
    :param subset: Whether mappings may have more than is expected.
    """
    word = _WORD.fullmatch(expected) if isinstance(expected, str) else None
    if word is not None:
        if not _is_such(word, actual):
            yield f"{where}: {expected} is expected, not {shown(actual)}"
    elif isinstance(expected, dict) and isinstance(actual, dict):
        yield from _mapping_differences(expected, actual, where, subset)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (one, other) in enumerate(zip(expected, actual, strict=True), 1):
            yield from differences(one, other, f"{where}[{number}]", subset)
    elif not _equal(expected, actual):
        hint = "" if str(expected) != str(actual) else " (of another type)"
        yield f"{where}: {shown(expected)} is expected, not {shown(actual)}{hint}"


def _mapping_differences(
    expected: dict[Any, Any], actual: dict[Any, Any], where: str, subset: bool
) -> Iterator[str]:
    for name, value in expected.items():
        place = f"{where}.{name}" if where else str(name)
        if name not in actual:
            if not (subset and value is None):
                yield f"{place}: {shown(value)} is expected, but it is not there"
        else:
            yield from differences(value, actual[name], place, subset)
    if not subset:
        for name in actual:
            if name not in expected:
                place = f"{where}.{name}" if where else str(name)
                yield f"{place}: is not expected, but there is {shown(actual[name])}"


def _is_such(word: re.Match[str], actual: Any) -> bool:
    if word[1] == "text":
        return isinstance(actual, str)
    if word[1] == "number":
        return isinstance(actual, int | float) and not isinstance(actual, bool)
    if word[1] == "any":
        return actual is not None
    return isinstance(actual, str) and re.fullmatch(word[2], actual, re.DOTALL) is not None


def _equal(expected: Any, actual: Any) -> bool:
    # For Python 1 == True; for JSON they differ.
    if isinstance(expected, bool) is not isinstance(actual, bool):
        return False
    return bool(expected == actual)


def absent_differences(names: Iterable[str], actual: dict[str, Any]) -> Iterator[str]:
    """Say which of some fields are there, though they must not be.

    :param names: ``transport_metadata.session_id`` for a field in a field. Null counts as absent.
    """
    for name in names:
        value: Any = actual
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            yield f"{name}: must not be there, but is {shown(value)}"
