"""Types of options that the SMPP transports have.

Knows what each accepts and what programs get for it; which options there are is
:mod:`vumi.transports.smpp.config`'s. No error quotes a value that may be a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vumi.config import (
    Config,
    ConfigBool,
    ConfigCount,
    ConfigField,
    ConfigRegex,
    ConfigSectionList,
    ConfigText,
)
from vumi.transports.smpp.constants import parse_status

__all__ = [
    "AddressRule",
    "ConfigAddressRules",
    "ConfigHexVersion",
    "ConfigOctet",
    "ConfigOctets",
    "ConfigStatus",
    "ConfigStatusActions",
    "ConfigTime",
    "StatusAction",
]

#: Section 7.1.1: year, month, day, hour, minute, second, tenths; the offset from UTC and its sign,
#: or 00R for a time from now.
_TIME = re.compile(r"[0-9]{13}(?:[0-9]{2}[+-]|00R)")

#: What may be done about a status.
StatusAction = str
ACTIONS = ("throttle", "retry", "nack")


class ConfigOctet(ConfigCount):
    """A number that fits into an octet."""

    def __init__(self, doc: str, **kw: Any) -> None:
        super().__init__(doc, 0, 255, **kw)


class ConfigStatus(ConfigField[int]):
    """A command status: its name (``ESME_RTHROTTLED``) or number (``0x58``)."""

    field_type = "str"

    def clean(self, value: Any) -> int:
        """The number."""
        try:
            return parse_status(value)
        except (ValueError, TypeError):
            self.raise_config_error("is no SMPP command status.")


class ConfigOctets(ConfigText):
    """A text that a PDU has a limited number of octets for (a C-Octet String, section 3.1).

    :param most: How many octets it may have, the final null octet not counted.
    """

    def __init__(self, doc: str, most: int, **kw: Any) -> None:
        super().__init__(doc, **kw)
        self.most = most

    def clean(self, value: Any) -> str:
        """The text."""
        text = super().clean(value)
        if not text.isascii() or "\0" in text:
            self.raise_config_error("must be of ASCII characters.")
        if len(text) > self.most:
            self.raise_config_error(
                f"has {len(text)} octets, but SMPP has room for {self.most} there."
            )
        return text

    def value_rule(self) -> str:
        """The room."""
        return f"at most {self.most} octets"


class ConfigTime(ConfigText):
    """A time in SMPP's own form (section 7.1.1), or the empty text."""

    def clean(self, value: Any) -> str:
        """The time."""
        time = super().clean(value)
        if time and not _TIME.fullmatch(time):
            self.raise_config_error(
                "is not a time in SMPP's form, YYMMDDhhmmss000R: a day is 000001000000000R."
            )
        return time


class ConfigHexVersion(ConfigText):
    """Hexadecimal digits, such as ``34``."""

    def clean(self, value: Any) -> str:
        """The digits."""
        # YAML reads 34 as a number, and it has always been written so.
        digits = super().clean(str(value) if type(value) is int else value)
        try:
            number = int(digits, 16)
        except ValueError:
            number = -1
        if not 0 <= number <= 255:
            self.raise_config_error("must be one or two hexadecimal digits.")
        return digits


class ConfigStatusActions(ConfigField["dict[int, StatusAction]"]):
    """What to do about statuses: a mapping of a status to ``throttle``, ``retry`` or ``nack``."""

    field_type = "dict"

    def clean(self, value: Any) -> dict[int, StatusAction]:
        """Actions by the status's number."""
        if not isinstance(value, dict):
            self.raise_config_error("is not a dict.")
        actions: dict[int, StatusAction] = {}
        for status, action in value.items():
            if action not in ACTIONS:
                self.raise_config_error(f"has an action that is none of {', '.join(ACTIONS)}.")
            try:
                actions[parse_status(status)] = action
            except (ValueError, TypeError):
                self.raise_config_error(f"has a key that is no SMPP command status: {status!r}.")
        return actions


@dataclass(frozen=True)
class AddressRule:
    """How addresses of one kind are written in PDUs.

    :ivar match: Which ones these are; the whole address must fit.
    :ivar ton: Their type of number; ``None``: as configured for all.
    :ivar npi: Their numbering plan; ``None``: as configured for all.
    :ivar strip_plus: Whether a leading ``+`` is left out; ``None``: as configured for all.
    """

    match: re.Pattern[str]
    ton: int | None = None
    npi: int | None = None
    strip_plus: bool | None = None


class _AddressRuleConfig(Config):
    """The options of a rule."""

    match = ConfigRegex("Which addresses; the whole address must fit.", required=True)
    ton = ConfigOctet("Their type of number.")
    npi = ConfigOctet("Their numbering plan.")
    strip_plus = ConfigBool("Whether a leading + is left out.")


class ConfigAddressRules(ConfigField["list[AddressRule]"]):
    """A list of mappings with ``match`` (a regular expression), ``ton``, ``npi``, ``strip_plus``.

    The first rule whose expression the whole address fits is taken.
    """

    field_type = "list"

    def clean(self, value: Any) -> list[AddressRule]:
        """The rules."""
        sections = ConfigSectionList("", _AddressRuleConfig, strict=True)
        sections.name = self.name
        return [
            AddressRule(rule.match, rule.ton, rule.npi, rule.strip_plus)
            for rule in sections.clean(value)
        ]
