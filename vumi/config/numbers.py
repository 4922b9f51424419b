"""Options that are numbers, within bounds.

Knows whole numbers and others, what bounds mean and how they are told. Knows no particular option.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from vumi.config.base import ConfigField

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Bounds", "ConfigCount", "ConfigFloat", "ConfigInt", "ConfigPort", "ConfigSeconds"]

N = TypeVar("N", int, float)

MAX_PORT = 65535

_INFINITY = float("inf")


@dataclass(frozen=True)
class Bounds:
    """Between what a number must be. Without any bound, infinity and NaN are allowed too.

    :param lowest: The lowest number allowed.
    :param highest: The highest one.
    :param above: What the number must be more than.
    """

    lowest: float | None = None
    highest: float | None = None
    above: float | None = None

    def __bool__(self) -> bool:
        return self != _NO_BOUNDS

    def hold(self, number: float) -> bool:
        """Whether a number is finite and within the bounds."""
        # NaN is not within any: each comparison with it is false.
        return (
            -_INFINITY < number < _INFINITY
            and (self.lowest is None or number >= self.lowest)
            and (self.highest is None or number <= self.highest)
            and (self.above is None or number > self.above)
        )

    def rule(self) -> str:
        """What the number must be: ``at least 1``, ``from 0 to 255``."""
        if self.above is not None:
            upper = "" if self.highest is None else f" and at most {self.highest:g}"
            return f"more than {self.above:g}{upper}"
        if self.lowest is None:
            return f"at most {self.highest}"
        if self.highest is None:
            return f"at least {self.lowest}"
        return f"from {self.lowest} to {self.highest}"

    def sentence(self) -> str:
        """The sentence after "Field 'name' " for a number that is outside."""
        if self == Bounds(lowest=0):
            return "must not be negative."
        return f"must be {self.rule()}."


_NO_BOUNDS = Bounds()


class _ConfigNumber(ConfigField[N]):
    """A number.

    :param lowest: The lowest number allowed.
    :param highest: The highest one.
    :param above: What the number must be more than.
    :param wording: The sentence after "Field 'name' " for a number outside the bounds, if the
        usual one is not clear enough.
    """

    def __init__(
        self,
        doc: str,
        *args: Any,
        lowest: float | None = None,
        highest: float | None = None,
        above: float | None = None,
        wording: str = "",
        **kw: Any,
    ) -> None:
        super().__init__(doc, *args, **kw)
        self.bounds = Bounds(lowest, highest, above)
        self.wording = wording

    def clean(self, value: Any) -> N:
        """The number.

        :raises ConfigError: It is none, or outside the bounds.
        """
        number = self._convert(value)
        if number is None:
            self.raise_config_error(f"could not be converted to {self.number_type}.")
        if self.bounds and not self.bounds.hold(number):
            self.refuse()
        return number

    def hints(self, value: Any) -> Iterator[str]:
        """A truth value, which counts as 0 or 1."""
        if isinstance(value, bool):
            yield (
                f"Option {self.name!r} is a number: YAML makes true or false of yes, no, on and "
                "off."
            )

    def refuse_null(self) -> NoReturn:
        """Null is outside the bounds."""
        if self.bounds:
            self.refuse()
        super().refuse_null()

    def refuse(self) -> NoReturn:
        """Report that the number is outside the bounds."""
        self.raise_config_error(self.wording or self.bounds.sentence())

    def value_rule(self) -> str:
        """The bounds."""
        return self.bounds.rule() if self.bounds else ""

    #: What an error calls the type.
    number_type = "number"

    def _convert(self, value: Any) -> N | None:
        raise NotImplementedError


class ConfigInt(_ConfigNumber[int]):
    """A whole number, or a text of one. Booleans and ``5.0`` are refused."""

    field_type = "int"
    number_type = "int"

    def _convert(self, value: Any) -> int | None:
        with suppress(ValueError):
            return int(str(value))
        return None


class ConfigFloat(_ConfigNumber[float]):
    """A number, or a text of one."""

    field_type = "float"
    number_type = "float"

    def _convert(self, value: Any) -> float | None:
        with suppress(TypeError, ValueError, OverflowError):
            return float(value)
        return None


# What numbers are for


class ConfigSeconds(ConfigFloat):
    """A time in seconds, which may be 0."""

    def __init__(self, doc: str, *args: Any, **kw: Any) -> None:
        kw.setdefault("wording", "must be a number of seconds, 0 or more.")
        super().__init__(doc, *args, lowest=0, **kw)


class ConfigCount(ConfigInt):
    """How many of something there are.

    :param lowest: The lowest number allowed.
    :param highest: The highest one, if there is one.
    """

    def __init__(self, doc: str, lowest: int = 0, highest: int | None = None, **kw: Any) -> None:
        upper = "or more" if highest is None else f"to {highest}"
        kw.setdefault("wording", f"must be {lowest} {upper}.")
        super().__init__(doc, lowest=lowest, highest=highest, **kw)


class ConfigPort(ConfigInt):
    """A TCP port.

    :param any_free: Whether it may be 0, which means any free one: a port to listen on.
    """

    def __init__(self, doc: str, *args: Any, any_free: bool = False, **kw: Any) -> None:
        super().__init__(doc, *args, lowest=0 if any_free else 1, highest=MAX_PORT, **kw)
        self.any_free = any_free
