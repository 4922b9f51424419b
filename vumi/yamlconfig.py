"""Configuration files: YAML whose parts may be in other files.

Knows YAML, files and where in them something is wrong. Knows no option of any worker.

``!include relative/path.yaml`` stands for what is in that file. The path is relative to the file
that has the tag; included files may include others. Only plain values are read: no tag makes
Python objects.

Texts stay texts where YAML 1.1 makes a surprising number of them: ``0123`` (octal), ``1:30``
(sexagesimal) and dates. A key that is given twice is an error. Aliases, merges and includes that
multiply what is in a file are refused before anything is made of them.

Whatever is wrong with a file ends in one :class:`~vumi.errors.ConfigError`, one sentence that
begins with file, line and column.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
from typing import TYPE_CHECKING, Any, NoReturn

import yaml
from yaml.reader import ReaderError

from vumi.errors import ConfigError
from vumi.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SafeLoaderWithInclude",
    "filter_null_values",
    "overlay_configs",
    "read_yaml_config",
    "read_yaml_value",
    "yaml_line",
]


def read_yaml_config(
    config_file: str | os.PathLike[str] | None, optional: bool = True
) -> dict[str, Any]:
    """Read a configuration file.

    :param config_file: The file's path.
    :param optional: Whether there may be no file: without a path the configuration is then empty.
    :returns: The options; none if the file is empty.
    :raises ConfigError: The file can't be read, it is not YAML, or not a mapping.
    """
    if config_file is None:
        if optional:
            return {}
        raise ConfigError("No configuration file was given.")
    path = os.fspath(config_file)
    config = _load(_open_text(path), (), empty={})
    if not isinstance(config, dict):
        raise ConfigError(
            f"{path}, line 1, column 1: a configuration file must be a mapping of options, "
            f"not {_kind_of(config)}."
        )
    return config


def read_yaml_value(text: str, where: str) -> Any:
    """Read a value that was given as a piece of YAML.

    :param text: The YAML; ``""`` is null.
    :param where: What an error calls the place where the text was given.
    :raises ConfigError: It is not YAML.
    """
    return _load(_NamedText(text, where), (), empty=None)


class _LineDumper(yaml.SafeDumper):
    """Writes what is no YAML value as the name of its type, without an address."""


_LineDumper.add_multi_representer(
    object, lambda dumper, value: dumper.represent_str(type(value).__name__)
)


def yaml_line(data: Mapping[str, Any]) -> str:
    """A configuration on one line, as it could stand in a file: ``port: 9010, name: line``.

    :param data: Without secrets: it is for a log.
    """
    text = yaml.dump(
        dict(data),
        Dumper=_LineDumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
    )
    return text.strip().removeprefix("{").removesuffix("}") or "none"


def overlay_configs(*configs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Lay configurations over each other: of options with the same name, the last one counts.

    :param configs: Mappings; ``None`` is an empty one. They are not changed.
    """
    overlaid: dict[str, Any] = {}
    for config in configs:
        overlaid.update(config or {})
    return overlaid


def filter_null_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the options that are null."""
    return {key: value for key, value in config.items() if value is not None}


#: How many values a file may have when aliases are counted each time they are used, and how many
#: times that may be what is written in it: one that has many values itself is no bomb.
_MOST_VALUES = 100_000
_MOST_TIMES = 10

#: How many files may be read for one configuration.
_MOST_FILES = 200

#: How big a file may be, in bytes.
_MOST_BYTES = 16 * 1024 * 1024

#: A whole number that YAML 1.1 reads in base 8 or 60.
_ODD_NUMBER = re.compile(r"[-+]?0[0-7_]+|.*:.*")


class SafeLoaderWithInclude(yaml.SafeLoader):
    """PyYAML's safe loader that also knows the tag ``!include``.

    :param stream: What :func:`yaml.load` takes. Paths are relative to the folder of its ``name``
        if it is an open file, and to the current folder if it is not.
    """

    #: The files that are being read, from the first one to this one.
    including: tuple[str, ...] = ()

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        #: All files that were read for this configuration.
        self.read: list[str] = []
        name = getattr(stream, "name", None)
        self._folder = os.path.dirname(name) if isinstance(name, str) else ""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make a node's value; whatever goes wrong is told with the place."""
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, ConfigError, RecursionError):
            raise
        except Exception as error:
            # PyYAML's constructors let through what int(), float() and others raise.
            tag = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"this is no value of the type {tag!r}", node.start_mark
            ) from error

    def get_single_node(self) -> yaml.Node | None:
        """The document as nodes.

        :raises yaml.MarkedYAMLError: A mapping has a key twice, or aliases multiply to far more
            than is written.
        """
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _check_tree(node)
        return node

    def construct_number(self, node: Any) -> Any:
        """Make a number; one in base 8 or 60 stays the text that was written."""
        make = self.construct_yaml_int if node.tag == _INT else self.construct_yaml_float
        number = make(node)
        return node.value if _ODD_NUMBER.fullmatch(node.value) else number

    def construct_date(self, node: Any) -> str:
        """Check a date and give the text that was written."""
        self.construct_yaml_timestamp(node)
        return str(node.value)

    def include(self, node: yaml.Node) -> Any:
        """Make the value of an ``!include`` tag."""
        if not (isinstance(node, yaml.ScalarNode) and node.value):
            _fail_at(node.start_mark, "!include needs the path of a file")
        path = os.path.normpath(os.path.join(self._folder, node.value))
        try:
            text = _open_text(path, included=True)
        except _Unreadable as error:
            _fail_at(node.start_mark, f"!include: {error}")
        if os.path.realpath(path) in map(os.path.realpath, self.including):
            circle = " -> ".join([*self.including, path])
            _fail_at(node.start_mark, f"the files include each other in a circle: {circle}")
        self.read.append(path)
        if len(self.read) > _MOST_FILES:
            _fail_at(node.start_mark, f"!include: more than {_MOST_FILES} files are included")
        return _load(text, self.including, empty={}, read=self.read)


_NULL = "tag:yaml.org,2002:null"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_MERGE = "tag:yaml.org,2002:merge"

SafeLoaderWithInclude.add_constructor("!include", SafeLoaderWithInclude.include)
SafeLoaderWithInclude.add_constructor(_INT, SafeLoaderWithInclude.construct_number)
SafeLoaderWithInclude.add_constructor(_FLOAT, SafeLoaderWithInclude.construct_number)
SafeLoaderWithInclude.add_constructor(
    "tag:yaml.org,2002:timestamp", SafeLoaderWithInclude.construct_date
)


def _refuse_twins(node: yaml.MappingNode) -> None:
    """Refuse a key that a mapping has twice."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        name = (key.tag, key.value)
        if name in lines:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"the key {key.value!r} is given twice, first in line {lines[name]}: remove one",
                key.start_mark,
            )
        lines[name] = key.start_mark.line + 1


def _check_tree(node: yaml.Node) -> None:
    """Refuse keys that are given twice, and aliases that multiply to far more than is written.

    Before anything is made of the nodes: merging puts keys of others into a mapping's node.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            # One that holds itself counts once.
            sizes[id(node)] = 1
            children = node.value if isinstance(node, yaml.CollectionNode) else ()
            if isinstance(node, yaml.MappingNode):
                _refuse_twins(node)
                children = (child for pair in children for child in pair)
            sizes[id(node)] += sum(map(size, children))
        return sizes[id(node)]

    if size(node) > max(_MOST_VALUES, _MOST_TIMES * len(sizes)):
        raise yaml.constructor.ConstructorError(
            None, None, "the aliases in this file multiply to too many values", node.start_mark
        )


class _Unreadable(ConfigError):
    """There is no such file, or no right to read it."""


class _NamedText(io.StringIO):
    """A text that says where it is from."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


def _load(
    text: _NamedText, including: tuple[str, ...], empty: Any, read: list[str] | None = None
) -> Any:
    """Read a text.

    :param including: The files that are being read.
    :param empty: What there is when there is nothing.
    :param read: All files that were read before.
    """
    loader: Any = None
    try:
        loader = SafeLoaderWithInclude(text)
        loader.read = [] if read is None else read
        loader.including = (*including, text.name)
        node = loader.get_single_node()
        if node is None or (node.tag == _NULL and node.value == ""):
            return empty
        return loader.construct_document(node)
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(filter(None, (error.context, error.problem)))
        _fail(text.name, *_place(mark), words)
    except ReaderError as error:
        line, column = _place_of(text.getvalue(), error.position)
        _fail(text.name, line, column, f"the character #x{error.character:04x} is not allowed")
    except RecursionError:
        _fail(text.name, *_place(loader), "this is nested too deeply")
    except Exception as error:  # noqa: BLE001 (PyYAML's scanner lets errors of chr() through)
        _fail(text.name, *_place(loader), f"this can't be read: {error}")


def _open_text(path: str, included: bool = False) -> _NamedText:
    try:
        data = _read_bytes(path, included)
    except OSError as error:
        raise _Unreadable(f"{path} can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        # A null character, or a lone surrogate.
        raise _Unreadable(f"{path!r} is no path of a file: {error}.") from error
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return _NamedText(data.decode(encoding), path)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        line, column = _place_of(before, len(before))
        _fail(path, line, column, f"this is no text in {encoding.removesuffix('-sig').upper()}")


def _read_bytes(path: str, included: bool) -> bytes:
    """What is in a file.

    :param included: Whether the file must be a regular one. The first one may be a pipe, as a
        shell makes them.
    """
    # Opening a named pipe waits for a writer.
    flags = os.O_NONBLOCK if included else 0
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags), "rb") as file:
        if included and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _Unreadable(f"{path} can't be read: it is not a regular file.")
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise _Unreadable(f"{path} can't be read: it has more than {_MOST_BYTES >> 20} MiB.")
    return data


# Where


def _place(mark: Any) -> tuple[int, int]:
    """Line and column, counted from one, of a mark or of where a loader has come to."""
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _place_of(text: str, position: int) -> tuple[int, int]:
    lines = text[:position].split("\n")
    return len(lines), len(lines[-1]) + 1


def _fail_at(mark: Any, words: str) -> NoReturn:
    _fail(mark.name, *_place(mark), words)


def _fail(name: str, line: int, column: int, words: str) -> NoReturn:
    # PyYAML quotes what it has found: any character.
    sentence = printable(" ".join(words.split()))
    raise ConfigError(f"{name}, line {line}, column {column}: {sentence.removesuffix('.')}.")


def _kind_of(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    return "null" if value is None else "a single value"
