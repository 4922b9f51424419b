"""Options that have options of their own: sections, lists of sections, sections by name.

Knows how a section is checked, and how the place of a mistake is told. Knows no particular option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vumi.config.base import Config, ConfigField
from vumi.config.hints import config_hints
from vumi.config.tree import copy_tree
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ConfigSection", "ConfigSectionList", "ConfigSectionMap"]

C = TypeVar("C", bound=Config)
T = TypeVar("T")


class _Sections(ConfigField[T], Generic[T, C]):
    """Sections of one kind.

    An error begins with the section's path: ``providers.mtn: Field 'port' must be …``.

    :param section_class: The options of a section.
    :param strict: Whether an unknown option in a section is an error. Otherwise it is warned of,
        as one outside is.
    """

    def __init__(
        self, doc: str, section_class: type[C], *args: Any, strict: bool = False, **kw: Any
    ) -> None:
        super().__init__(doc, *args, **kw)
        self.section_class = section_class
        self.strict = strict

    def get_value(self, config: Config) -> T | None:
        """The sections, checked. An error has the whole path, that of `config` included."""
        value = self.find_value(config)
        if value is None:
            return super().get_value(config)
        return self._clean_at(value, f"{config._path}." if config._path else "")

    def clean(self, value: Any) -> T:
        """The sections, checked.

        :raises ConfigError: With a problem for everything that is wrong in them.
        """
        return self._clean_at(value, "")

    def _clean_at(self, value: Any, prefix: str) -> T:
        problem = self._problem_of(value)
        if problem:
            self.raise_config_error(problem)
        found: dict[Any, C] = {}
        problems: list[str] = []
        for key, path, section in self._each(value):
            try:
                found[key] = self._section(section, prefix + path)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems=problems)
        return self._put_together(found)

    def hints(self, value: Any) -> Iterator[str]:
        """What is probably a mistake in the sections."""
        if self._problem_of(value):
            return
        for _, path, section in self._each(value):
            for hint in config_hints(self.section_class, section):
                yield f"{path}: {hint}"

    def _section(self, section: Any, path: str) -> C:
        config = self.section_class(copy_tree(section), path=path)
        hints = config_hints(self.section_class, section) if self.strict else ()
        if hints:
            raise ConfigError(problems=[f"{path}: {hint}" for hint in hints])
        return config

    def _problem_of(self, value: Any) -> str:
        raise NotImplementedError

    def _each(self, value: Any) -> Iterator[tuple[Any, str, Any]]:
        """Each section, with its key and its path."""
        raise NotImplementedError

    def _put_together(self, found: dict[Any, C]) -> T:
        raise NotImplementedError


class ConfigSection(_Sections[C, C]):
    """A mapping of options. Programs get a configuration."""

    field_type = "section"

    def _problem_of(self, value: Any) -> str:
        return "" if isinstance(value, Mapping) else "is not a mapping of options."

    def _each(self, value: Any) -> Iterator[tuple[Any, str, Any]]:
        yield "", self.name, value

    def _put_together(self, found: dict[Any, C]) -> C:
        return found[""]


class ConfigSectionList(_Sections[list[C], C]):
    """A list of mappings of options. Programs get a list of configurations."""

    field_type = "list of sections"

    def _problem_of(self, value: Any) -> str:
        return "" if isinstance(value, list | tuple) else "is not a list."

    def _each(self, value: Any) -> Iterator[tuple[Any, str, Any]]:
        for number, section in enumerate(value, 1):
            yield number, f"{self.name}.{number}", section

    def _put_together(self, found: dict[Any, C]) -> list[C]:
        return list(found.values())


class ConfigSectionMap(_Sections[dict[str, C], C]):
    """A mapping of names to mappings of options. Programs get configurations by name."""

    field_type = "mapping of sections"

    def _problem_of(self, value: Any) -> str:
        if not isinstance(value, Mapping):
            return "is not a mapping of names to sections."
        for key in value:
            if not isinstance(key, str):
                return f"has a name that is not a text, {key!r}: in YAML, quote it."
        return ""

    def _each(self, value: Any) -> Iterator[tuple[Any, str, Any]]:
        for name, section in value.items():
            yield name, f"{self.name}.{name}", section

    def _put_together(self, found: dict[Any, C]) -> dict[str, C]:
        return found
