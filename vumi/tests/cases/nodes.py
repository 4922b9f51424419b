"""YAML that knows where it stands: every mistake is told with file, line and case.

Knows YAML's nodes and how texts and data are read from them; knows nothing of what a table of
cases means.

How it works: PyYAML composes nodes, and nothing is made of a node before somebody says what he
expects of it. So ``MSISDN: 0821230000`` is the text ``0821230000`` where a text is expected
(addresses, query strings, headers), while JSON data is typed as JSON itself is: ``1`` is a number,
``true`` a boolean, ``yes`` and ``2024-01-17`` are texts. A key that stands twice is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vumi.errors import VumiError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["CaseError", "Part", "Place", "read_yaml"]

_NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_TEXT = "tag:yaml.org,2002:str"
_LIKENESS = 0.6


class CaseError(VumiError):
    """A table of cases that can't be used; says in which file, line and case, and why.

    :param words: What is wrong.
    :param place: Where.
    """

    def __init__(self, words: str, place: Place) -> None:
        super().__init__(f"{place}: {words}")
        self.words = words
        self.place = place


@dataclass(frozen=True)
class Place:
    """Where something stands.

    :param file: The file, as it is to be shown.
    :param line: Counted from 1; 0 for the file as a whole.
    :param case: The label of the case, or ``""``.
    """

    file: str
    line: int = 0
    case: str = ""

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}, case {self.case!r}" if self.case else where


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars as JSON does, and nothing else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own class attribute)


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(tag, re.compile(pattern), list(first))


_resolve(_NULL, r"^(?:~|null|)$", "~n")
_Loader.yaml_implicit_resolvers.setdefault("", []).append((_NULL, re.compile(r"^$")))
_resolve(_BOOL, r"^(?:true|false)$", "tf")
_resolve(_INT, r"^-?(?:0|[1-9][0-9]*)$", "-0123456789")
_resolve(_FLOAT, r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-0123456789")


@dataclass(frozen=True)
class Part:
    """A piece of a file.

    :param node: PyYAML's.
    :param within: The file and the case; its line is the node's own.
    """

    node: Node
    within: Place

    @property
    def place(self) -> Place:
        """Where it stands."""
        return replace(self.within, line=self.node.start_mark.line + 1)

    def fail(self, words: str) -> NoReturn:
        """Say what is wrong with it.

        :raises CaseError: Always.
        """
        raise CaseError(words, self.place)

    def of_case(self, label: str) -> Part:
        """The same as a part of a case."""
        return replace(self, within=replace(self.within, case=label))

    # What it is

    @property
    def is_null(self) -> bool:
        return bool(self.node.tag == _NULL)

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.node, ScalarNode) and not self.is_null

    @property
    def is_whole_number(self) -> bool:
        return bool(self.node.tag == _INT)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, SequenceNode)

    # What is in it

    def mapping(self, known: Collection[str] = ()) -> dict[str, Part]:
        """Its entries; none for null.

        :param known: The keys that it may have; any if left out.
        :raises CaseError: It is no mapping, a key stands twice or is not known.
        """
        if self.is_null:
            return {}
        if not isinstance(self.node, MappingNode):
            self.fail(f"a mapping is expected, not {self._kind()}")
        entries: dict[str, Part] = {}
        for key_node, value_node in self.node.value:
            key = Part(key_node, self.within)
            name = "" if key.is_null else key.text()
            if name in entries:
                key.fail(f"{name!r} stands here twice")
            if known and name not in known:
                near = get_close_matches(name, known, n=1, cutoff=_LIKENESS)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {_listed(known)}"
                key.fail(f"unknown key {name!r}: {hint}")
            entries[name] = Part(value_node, self.within)
        return entries

    def items(self) -> list[Part]:
        """What a list has; a single thing counts as a list of one, null as an empty one."""
        if self.is_null:
            return []
        if isinstance(self.node, SequenceNode):
            return [Part(item, self.within) for item in self.node.value]
        return [self]

    def text(self) -> str:
        """A text, exactly as it is written: ``007`` is no number."""
        if not isinstance(self.node, ScalarNode) or self.is_null:
            self.fail(f"a text is expected, not {self._kind()}")
        return str(self.node.value)

    def optional_text(self) -> str | None:
        """A text, or ``None`` for null."""
        return None if self.is_null else self.text()

    def texts(self) -> dict[str, str | list[str] | None]:
        """A mapping of names to texts, to lists of texts, or to null."""
        return {
            name: [item.text() for item in value.items()]
            if value.is_list
            else value.optional_text()
            for name, value in self.mapping().items()
        }

    def number(self) -> float:
        """A number that is not negative."""
        if self.node.tag not in (_INT, _FLOAT) or float(self.node.value) < 0:
            self.fail(f"a number is expected, not {self._kind()}")
        return float(self.node.value)

    def whole_number(self) -> int:
        """A whole number that is not negative."""
        if not self.is_whole_number or int(self.node.value) < 0:
            self.fail(f"a whole number is expected, not {self._kind()}")
        return int(self.node.value)

    def flag(self) -> bool:
        """``true`` or ``false``."""
        if self.node.tag != _BOOL:
            self.fail(f"true or false is expected, not {self._kind()}")
        return bool(self.node.value == "true")

    def data(self) -> Any:
        """What JSON could hold."""
        if isinstance(self.node, MappingNode):
            return {name: value.data() for name, value in self.mapping().items()}
        if isinstance(self.node, SequenceNode):
            return [item.data() for item in self.items()]
        if self.is_null:
            return None
        if self.node.tag == _BOOL:
            return self.flag()
        if self.node.tag == _INT:
            return int(self.node.value)
        if self.node.tag == _FLOAT:
            return float(self.node.value)
        return self.text()

    def over(self, base: Part | None, *alternatives: Collection[str]) -> Part:
        """This part, and what a base has that this one does not say anything about.

        :param base: What is given; mappings in it are merged likewise, all else is replaced.
        :param alternatives: Sets of keys of which one excludes the others: if this part has one
            of them, those of the base are dropped. A key may have a value to be merged only with
            that of the very same key.
        """
        if base is None or not (self.is_mapping and base.is_mapping):
            return self
        own, given = self.mapping(), base.mapping()
        for keys in alternatives:
            if any(key in own for key in keys):
                given = {k: v for k, v in given.items() if k not in keys or k in own}
        merged = {**given, **own}
        pairs = [
            (ScalarNode(_TEXT, name, *_marks(value)), _merged(value, given.get(name)).node)
            for name, value in merged.items()
        ]
        node = MappingNode(self.node.tag, pairs, self.node.start_mark, self.node.end_mark)
        return replace(self, node=node)

    def _kind(self) -> str:
        if self.is_null:
            return "null"
        if self.is_mapping:
            return "a mapping"
        if self.is_list:
            return "a list"
        return repr(self.node.value)


def _merged(value: Part, base: Part | None) -> Part:
    return value if base is None or base.node is value.node else value.over(base)


def _marks(part: Part) -> tuple[Any, Any]:
    return part.node.start_mark, part.node.end_mark


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def read_yaml(path: Path, shown_as: str | None = None) -> Part:
    """Read a file.

    :param path: The file; UTF-8.
    :param shown_as: What to call it in errors.
    :raises CaseError: It can't be read, is no YAML, or is empty.
    """
    name = shown_as or str(path)
    try:
        return parse_yaml(path.read_text("utf-8"), name)
    except (OSError, UnicodeError) as error:
        raise CaseError(f"can't be read: {error}", Place(name)) from error


def parse_yaml(text: str, name: str) -> Part:
    """The same for a text.

    :param name: What to call it in errors.
    """
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise CaseError(f"no YAML: {error.problem or error.context}", Place(name, line)) from error
    except yaml.YAMLError as error:
        raise CaseError(f"no YAML: {error}", Place(name)) from error
    if node is None:
        raise CaseError("there is nothing in it", Place(name))
    return Part(node, Place(name))
