"""Documentation of options, made from their declarations.

Knows three forms: a class's docstring, text for a terminal, a table for Sphinx. Secret defaults
are in none of them.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from typing import TYPE_CHECKING, Any

from vumi.config.redact import redact_tree
from vumi.config.tree import TreeCopier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vumi.config.base import Config, ConfigField

__all__ = ["class_doc", "describe", "field_table_rst", "param_doc"]

_WIDTH = 79


# Docstrings


def param_doc(field: ConfigField[Any]) -> str:
    """A field's part of its class's docstring."""
    words = [":param", *([field.field_type] if field.field_type else []), f"{field.name}:"]
    return "\n".join([" ".join(words), "", *_wrapped(field.doc, "    ")])


def class_doc(config_class: type[Config]) -> str:
    """The docstring of a configuration class: its own, then all its options."""
    own = [inspect.cleandoc(config_class._description)] if config_class._description else []
    fields = [field.get_doc() for field in config_class._fields.values()]
    return "\n\n".join([*own, "Configuration options:", *fields])


def _wrapped(doc: str, indent: str) -> Iterator[str]:
    """Lines of a text; blank lines between its paragraphs stay."""
    for number, paragraph in enumerate(_paragraphs(doc)):
        if number:
            yield ""
        yield from textwrap.wrap(
            paragraph,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _paragraphs(doc: str) -> list[str]:
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(doc))
    return [" ".join(block.split()) for block in blocks if block.strip()]


# Text for a terminal


def describe(config_class: type[Config]) -> str:
    """The options of a configuration class as text for a terminal.

    Each with its type, whether it is required or what its default is, when it is read, and
    what it is for.
    """
    lines = [config_class.__name__]
    if config_class._description:
        lines += ["", *_wrapped(config_class._description, "")]
    lines += ["", "Options:" if config_class._fields else "It has no options."]
    for field in config_class._fields.values():
        facts = [field.field_type or "any", field.value_rule(), _default_words(field)]
        facts += [] if field.static else ["may change per message"]
        facts += ["secret"] if field.secret else []
        heading = f"  {field.name}: {', '.join(filter(None, facts))}"
        lines += ["", *textwrap.wrap(heading, _WIDTH, subsequent_indent=" " * 8)]
        lines += _wrapped(field.doc, "      ")
    return "\n".join(lines) + "\n"


def _default_words(field: ConfigField[Any], literal: Callable[[str], str] = str) -> str:
    words = []
    if field.required:
        words.append("required")
    elif field.default is None:
        words.append("optional")
    elif field.secret:
        words.append("default not shown")
    else:
        words.append(f"default {literal(_readable(field.default))}")
    for fallback in field.fallbacks:
        names = [literal(name) for name in fallback.required_fields]
        if names:
            words.append(f"or from {' and '.join(names)}")
    return ", ".join(words)


class _Readable(TreeCopier):
    """Copies a default so that JSON can write it: objects become their names."""

    def copy(self, value: Any) -> Any:
        if isinstance(value, set | frozenset):
            return sorted((self.copy(item) for item in value), key=str)
        return super().copy(value)

    def entry(self, key: Any, value: Any) -> tuple[Any, Any]:
        return key if isinstance(key, str) else str(self.leaf(key)), self.copy(value)

    def leaf(self, value: Any) -> Any:
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, re.Pattern):
            return value.pattern
        if hasattr(value, "__qualname__"):
            return f"{value.__module__}.{value.__qualname__}"
        *bases, _object = type(value).__mro__
        if any(name in vars(base) for base in bases for name in ("__str__", "__repr__")):
            return str(value)
        # Its text would be an address in memory.
        return f"<{type(value).__qualname__}>"


def _readable(default: Any) -> str:
    """A default as one would write it in a YAML file, on one line."""
    readable = _Readable().copy(redact_tree(default))
    try:
        return json.dumps(readable, ensure_ascii=False)
    except ValueError:
        # It holds itself.
        return f"<{type(default).__qualname__}>"


# A table for Sphinx


def field_table_rst(config_class: type[Config]) -> str:
    """The options of a configuration class as a reStructuredText table.

    The doc texts are taken for reStructuredText.
    """
    if not config_class._fields:
        return "There are no options.\n"
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 22 12 20 10 36",
        "",
    ]
    lines += _row("Option", "Type", "Default", "Per message", "Meaning")
    for field in config_class._fields.values():
        meaning = "\n\n".join(_paragraphs(field.doc))
        if field.secret:
            meaning = f"{meaning} *Secret: never shown.*".strip()
        lines += _row(
            f"``{field.name}``",
            ", ".join(filter(None, [field.field_type or "any", field.value_rule()])),
            _default_words(field, _rst_literal),
            "no" if field.static else "yes",
            meaning,
        )
    return "\n".join(lines) + "\n"


def _rst_literal(text: str) -> str:
    if "``" not in text:
        return f"``{text}``"
    # It would end the literal: quoted, not set as code.
    return re.sub(r"([^\w\s]|_)", r"\\\1", text)


def _row(*cells: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        marker = "   * - " if number == 0 else "     - "
        first, *rest = cell.split("\n")
        yield (marker + first).rstrip()
        yield from (" " * len(marker) + line if line else "" for line in rest)
