"""Types of options that the SMPP transports have.

Knows what each accepts and what programs get for it; which options there are is
:mod:`vumi.transports.smpp.config`'s. No error quotes a value that may be a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vumi.config import ConfigCount, ConfigField, ConfigText
from vumi.transports.smpp.constants import parse_status

__all__ = [
    "AddressRule",
    "ConfigAddressRules",
    "ConfigHexVersion",
    "ConfigOctet",
    "ConfigStatus",
    "ConfigStatusActions",
    "StatusAction",
]

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


class ConfigAddressRules(ConfigField["list[AddressRule]"]):
    """A list of mappings with ``match`` (a regular expression), ``ton``, ``npi``, ``strip_plus``.

    The first rule whose expression the whole address fits is taken.
    """

    field_type = "list"

    def clean(self, value: Any) -> list[AddressRule]:
        """The rules."""
        if not isinstance(value, list):
            self.raise_config_error("is not a list.")
        return [self._rule(rule) for rule in value]

    def _rule(self, rule: Any) -> AddressRule:
        if not isinstance(rule, dict) or not isinstance(rule.get("match"), str):
            self.raise_config_error("has a rule that is no mapping with a text 'match'.")
        unknown = sorted(map(str, rule.keys() - {"match", "ton", "npi", "strip_plus"}))
        if unknown:
            self.raise_config_error(f"has a rule with what is not known: {', '.join(unknown)}.")
        for name in ("ton", "npi"):
            number = rule.get(name)
            if number is not None and (type(number) is not int or not 0 <= number <= 255):
                self.raise_config_error(f"has a rule whose {name} is no number from 0 to 255.")
        if not isinstance(rule.get("strip_plus"), bool | None):
            self.raise_config_error("has a rule whose strip_plus is neither true nor false.")
        try:
            match = re.compile(rule["match"])
        except (re.error, OverflowError, RecursionError) as error:
            reason = str(error)
        else:
            return AddressRule(match, rule.get("ton"), rule.get("npi"), rule.get("strip_plus"))
        self.raise_config_error(f"has a rule that is no valid regular expression: {reason}.")
