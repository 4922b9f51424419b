"""The options of a simulated SMSC.

Knows what may be asked for. What rules are is :mod:`vumi.transports.smpp.simulator.rules`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from vumi.config import (
    Config,
    ConfigChoice,
    ConfigCount,
    ConfigDict,
    ConfigEncoding,
    ConfigError,
    ConfigField,
    ConfigSeconds,
    ConfigText,
)
from vumi.transports.smpp.simulator.rules import (
    Behaviour,
    Mistake,
    Report,
    Rule,
    parse_reports,
    parse_rules,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ID_FORMATS", "REPORT_FORMS", "SmscScript"]

#: How reports are written: in the text of appendix B, in optional parameters, or in both.
REPORT_FORMS = ("text", "tlv", "both")

#: How the id in a submit_sm_resp and that in the report are written, by the name that a transport
#: has for it (``remote_id_format``).
ID_FORMATS: Mapping[str, tuple[str, str]] = {
    "same": ("d", "d"),
    "hex_to_decimal": ("X", "d"),
    "decimal_to_hex": ("d", "X"),
}


class ConfigRules(ConfigField["list[Rule]"]):
    """A list of rules; see :func:`~vumi.transports.smpp.simulator.rules.parse_rules`."""

    field_type = "list"

    def clean(self, value: Any) -> list[Rule]:
        """The rules."""
        # Read anew each time: a rule counts what it has seen.
        try:
            return parse_rules(value)
        except ConfigError as error:
            self._told(error)

    def _told(self, error: ConfigError) -> NoReturn:
        raise ConfigError(
            problems=[f"Field '{self.name}': {problem}" for problem in error.problems]
        ) from None


class ConfigReports(ConfigField["tuple[Report, ...]"]):
    """A list of reports: states, or mappings with ``state`` and ``after`` (in seconds)."""

    field_type = "list"

    def clean(self, value: Any) -> tuple[Report, ...]:
        """The reports."""
        try:
            return parse_reports(value)
        except Mistake as mistake:
            self.raise_config_error(f"{mistake}.")


class ConfigAccounts(ConfigDict):
    """Passwords by system_id."""

    def clean(self, value: Any) -> dict[str, str]:
        """Both as texts: YAML reads a number where somebody wrote one without quotes."""
        accounts: dict[str, str] = {}
        for system_id, password in super().clean(value).items():
            if not all(type(item) in (str, int) for item in (system_id, password)):
                self.raise_config_error("has a system_id or a password that is no text.")
            accounts[str(system_id)] = str(password)
        return accounts


class SmscScript(Config):
    """How a simulated SMSC behaves."""

    system_id = ConfigText("What the SMSC calls itself.", default="smsc", static=True)
    accounts = ConfigAccounts(
        "Who may bind: passwords by system_id. Without any, everybody may.",
        default={},
        static=True,
        secret=True,
    )
    delay = ConfigSeconds(
        "How long a message waits for its answer, in seconds.", default=0.0, static=True
    )
    reports = ConfigReports(
        "What is reported of a message that asks for reports: a list of states (delivered, "
        "failed, pending, or SMPP's own words such as REJECTD), or of mappings with state and "
        "after, in seconds. An empty list: nothing.",
        default=["delivered"],
        static=True,
    )
    report_form = ConfigChoice(
        "Where reports say what they say. text: in their text, in the form that the specification "
        "suggests. tlv: in optional parameters. both: in both.",
        REPORT_FORMS,
        default="both",
        static=True,
    )
    id_format = ConfigChoice(
        "How ids are written in answers and in reports. same: alike. hex_to_decimal: in answers "
        "hexadecimal, in reports decimal. decimal_to_hex: the other way round. A transport has "
        "the same words for it, as remote_id_format.",
        ID_FORMATS,
        default="same",
        static=True,
    )
    rules = ConfigRules(
        "What is done with some messages; see below.",
        default=[],
        static=True,
    )
    default_encoding = ConfigEncoding(
        "The encoding of data coding 0, in both directions.", default="gsm0338", static=True
    )
    mo_split = ConfigChoice(
        "How a long message from a phone is sent: udh8, udh16, sar or payload.",
        ("udh8", "udh16", "sar", "payload"),
        default="udh8",
        static=True,
    )
    window_size = ConfigCount(
        "How many messages and reports may be sent over a bind without an answer yet.",
        default=100,
        static=True,
        lowest=1,
        nullable=False,
    )
    response_timeout = ConfigSeconds(
        "How long an ESME may take to answer, in seconds. Then the message is sent again.",
        default=60.0,
        static=True,
    )
    retry_delay = ConfigSeconds(
        "After how many seconds a message is sent again that the ESME could not take.",
        default=1.0,
        static=True,
    )
    journal = ConfigText(
        "A file to which a line of JSON is added for everything that happens.", static=True
    )
    keep = ConfigCount(
        "How many messages are remembered, to be looked at over HTTP.",
        default=10_000,
        static=True,
        lowest=1,
        nullable=False,
    )

    @property
    def behaviour(self) -> Behaviour:
        """What is done with messages, beginning to count anew."""
        return Behaviour(self.rules, self.delay, self.reports)
