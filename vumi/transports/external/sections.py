"""Options within options, checked: every mistake is noted, with its path. Pure.

Knows mappings, names and kinds of values. Knows no option.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from vumi.codecs import is_encoding
from vumi.transports.external.reading import KINDS, Source, json_path, xml_path
from vumi.transports.external.templates import BODY_KINDS, Body, PairsTemplate, TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["Section", "encoding_name"]


class Section:
    """A mapping of options.

    Each option that is asked for counts as known; :meth:`close` notes all others.

    :param data: The mapping; anything else is a mistake.
    :param path: Where it is.
    :param problems: What mistakes are added to.
    """

    def __init__(self, data: Any, path: str, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        self._asked: set[str] = set()
        self._data: dict[Any, Any] = data if isinstance(data, dict) else {}
        if not isinstance(data, dict):
            problems.append(f"{path} is no mapping of options.")

    def wrong(self, name: str, words: str) -> None:
        """Note a mistake.

        :param name: The option; empty: all of it.
        :param words: The rest of the sentence that begins with the path.
        """
        path = f"{self.path}.{name}" if name else self.path
        self.problems.append(f"{path} {words}.")

    def has(self, name: str) -> bool:
        """Whether an option is given, and not null."""
        return self._get(name) is not None

    def _get(self, name: str) -> Any:
        self._asked.add(name)
        return self._data.get(name)

    def close(self) -> None:
        """Note the options that nobody has asked for."""
        for name in self._data:
            if name not in self._asked:
                near = get_close_matches(str(name), sorted(self._asked), n=1)
                hint = f": did you mean {near[0]!r}?" if near else ""
                self.problems.append(f"{self.path}.{name} is no option there is{hint or '.'}")

    @property
    def names(self) -> list[Any]:
        """The names of the options that are given."""
        return list(self._data)

    # Plain values

    def raw(self, name: str) -> Any:
        """An option as it is."""
        return self._get(name)

    def text(self, name: str, default: str = "", required: bool = False) -> str:
        """A text; a number is taken for one."""
        value = self._get(name)
        if value is None:
            if required:
                self.wrong(name, "is missing")
            return default
        text = _text(value)
        if text is None:
            self.wrong(name, "is no text")
            return default
        return text

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """One of a few texts."""
        text = self.text(name, default)
        if text not in choices:
            self.wrong(name, f"is one of {', '.join(choices)}, not {text!r}")
            return default
        return text

    def number(self, name: str, default: int, least: int, most: int = 10**9) -> int:
        """A whole number."""
        value = self._get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            upper = f" to {most}" if most < 10**9 else " up"
            self.wrong(name, f"is no whole number from {least}{upper}")
            return default
        return value

    def flag(self, name: str) -> bool:
        """Yes or no; no, if it isn't given."""
        value = self._get(name)
        if value is not None and not isinstance(value, bool):
            self.wrong(name, "is neither true nor false")
        return value is True

    def texts(self, name: str, of: Collection[str] = ()) -> dict[str, str]:
        """A mapping of texts to texts.

        :param of: What the values are; empty: anything.
        """
        value = self._get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(name, "is no mapping")
            return {}
        found: dict[str, str] = {}
        for key, item in value.items():
            # YAML makes a number of 0 and a truth value of no.
            text, shown_key = _text(item), _text(key)
            if shown_key is None and isinstance(key, bool):
                shown_key = "true" if key else "false"
            if text is None or shown_key is None:
                self.wrong(f"{name}.{key}", "is no text: put it in quotes")
            elif of and text not in of:
                self.wrong(f"{name}.{key}", f"is one of {', '.join(of)}, not {text!r}")
            else:
                found[shown_key] = text
        return found

    def section(self, name: str) -> Section | None:
        """A mapping of options in this one."""
        value = self._get(name)
        return None if value is None else Section(value, f"{self.path}.{name}", self.problems)

    # Templates

    def compiled(self, name: str, compile_it: Callable[[Any], Any]) -> Any:
        """What is made of an option; ``None`` if it isn't given or wrong."""
        value = self._get(name)
        if value is None:
            return None
        try:
            return compile_it(value)
        except TemplateError as error:
            self.wrong(f"{name}.{error.path}".rstrip("."), error.words)
        except ValueError as error:
            self.wrong(name, str(error))
        return None

    def pairs(self, name: str, known: Collection[str]) -> PairsTemplate | None:
        """Names and values with placeholders."""
        found: PairsTemplate | None = self.compiled(name, lambda data: PairsTemplate(data, known))
        return found

    def body(
        self, known: Collection[str], kinds: Collection[str] = tuple(BODY_KINDS)
    ) -> Body | None:
        """A body: one of the options ``form``, ``json``, ``xml`` and ``text``.

        ``content_type`` is its content type, if that is not the usual one.

        :param kinds: Those that it may be.
        """
        content_type = self.text("content_type")
        given = [kind for kind in kinds if self.has(kind)]
        if len(given) > 1:
            self.wrong("", f"has {' and '.join(given)}: a body is one of them")
        if not given:
            return None
        [kind, *_] = given
        found: Body | None = self.compiled(
            kind, lambda data: Body.of(kind, data, known, content_type)
        )
        return found

    # Sources

    def source(self, name: str, required: bool = False) -> Source | None:
        """Where something is found; ``None`` if it isn't said, or said wrongly."""
        section = self.section(name)
        if section is None:
            if required:
                self.wrong(name, "is missing")
            return None
        before = len(self.problems)
        source = section.as_source()
        return source if len(self.problems) == before else None

    def sources(self, name: str) -> dict[str, Source]:
        """Names, and where each is found."""
        section = self.section(name)
        if section is None:
            return {}
        found = {str(key): section.source(str(key)) for key in section.names}
        section.close()
        return {key: source for key, source in found.items() if source is not None}

    def as_source(self) -> Source:
        """This section as a source."""
        given = [kind for kind in KINDS if self.has(kind)]
        if not given and self.has("regex"):
            given = ["body"]
        if len(given) != 1:
            self.wrong("", f"says where to find it by one of {', '.join(KINDS)}")
        kind = given[0] if given else "constant"
        source = Source(
            kind,
            self._where(kind),
            regex=self.compiled("regex", _regex),
            values=self.texts("values") if self.has("values") else None,
            default=self.text("default") if self.has("default") else None,
            is_hex=self.flag("hex"),
            charset=self._charset(),
            country_code=self._country_code(),
        )
        if kind not in ("parameter", "body") and self.has("charset") and not source.is_hex:
            self.wrong("charset", "is only for parameters, bodies and hex")
        self.close()
        return source

    def _where(self, kind: str) -> Any:
        if kind == "json":
            value = self.raw(kind)
            return json_path(value if isinstance(value, list) else self.text(kind))
        if kind == "xml":
            return self.compiled(kind, lambda value: xml_path(str(value))) or "."
        if kind == "body":
            if self.has(kind) and self.raw(kind) is not True:
                self.wrong(kind, "is true or not given")
            return None
        return self.text(kind)

    def _charset(self) -> str | Source | None:
        value = self._get("charset")
        if isinstance(value, dict):
            return self.source("charset")
        return self.compiled("charset", encoding_name)  # type: ignore[no-any-return]  # a text or None

    def _country_code(self) -> str | None:
        value = self._get("msisdn")
        if value is None or value is False:
            return None
        return "" if value is True else self.text("msisdn")


def _text(value: Any) -> str | None:
    """A text or number as a text; ``None`` if it is something else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)


def _regex(value: Any) -> re.Pattern[str]:
    try:
        return re.compile(str(value))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None


def encoding_name(value: Any) -> str:
    """Check the name of an encoding.

    :raises ValueError: There is none of this name.
    """
    encoding = str(value)
    if not is_encoding(encoding):
        raise ValueError(f"is no encoding: {encoding!r}")
    return encoding
