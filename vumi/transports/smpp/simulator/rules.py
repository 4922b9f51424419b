"""What a simulated SMSC does about messages, by rules for some of them.

Knows rules and numbers. Knows no PDU, no connection and no time: it says what is to be done with
a message, and others do it.

Theory of operation. All rules that fit a message are looked at, in their order. Each adds what it
says; of two that say something of the same kind the first one counts. What no rule says is as the
options say: the message is taken, at once, and reported as delivered if a report was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vumi.config import ConfigError
from vumi.linear_regex import LinearRegex, PatternError
from vumi.transports.smpp.constants import CommandStatus, parse_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "STATES",
    "Behaviour",
    "Mistake",
    "Plan",
    "Report",
    "Rule",
    "parse_reports",
    "parse_rules",
]

#: What a report may say, in the word of its text and as message_state.
STATES: Mapping[str, tuple[str, int]] = {
    "delivered": ("DELIVRD", 2),
    "failed": ("UNDELIV", 5),
    "pending": ("ENROUTE", 1),
    "ENROUTE": ("ENROUTE", 1),
    "DELIVRD": ("DELIVRD", 2),
    "EXPIRED": ("EXPIRED", 3),
    "DELETED": ("DELETED", 4),
    "UNDELIV": ("UNDELIV", 5),
    "ACCEPTD": ("ACCEPTD", 6),
    "UNKNOWN": ("UNKNOWN", 7),
    "REJECTD": ("REJECTD", 8),
}


@dataclass(frozen=True)
class Report:
    """A delivery report that is to be sent.

    :ivar state: One of :data:`STATES`.
    :ivar after: How many seconds after the message was taken.
    """

    state: str
    after: float = 0.0


DEFAULT_REPORTS = (Report("delivered"),)


@dataclass
class Plan:
    """What is to be done with one message. ``None``: no rule has said it.

    :ivar status: What it is answered with; 0 takes it.
    :ivar delay: Seconds until it is answered.
    :ivar lose: It is taken, but not answered.
    :ivar disconnect: The connection is cut before it is answered.
    :ivar freeze: For how many seconds the SMSC does nothing, beginning with this.
    :ivar reports: What is reported.
    """

    status: int | None = None
    delay: float | None = None
    lose: bool | None = None
    disconnect: bool | None = None
    freeze: float | None = None
    reports: tuple[Report, ...] | None = None


ACTIONS = ("status", "delay", "lose", "disconnect", "freeze", "reports")


@dataclass
class Rule:
    """What is done with some messages.

    :ivar to: Fits their destination as a whole.
    :ivar from_: Fits their source as a whole.
    :ivar text: Is found in their text.
    :ivar every: Only each so-manieth of those that fit.
    :ivar after: Only once so many have come that fit.
    :ivar times: Only so often; ``None``: for ever.
    :ivar plan: What is done.
    """

    to: LinearRegex | None = None
    from_: LinearRegex | None = None
    text: LinearRegex | None = None
    every: int = 1
    after: int = 0
    times: int | None = None
    plan: Plan = field(default_factory=Plan)
    _seen: int = 0
    _done: int = 0

    def applies(self, from_addr: str, to_addr: str, text: str) -> bool:
        """Whether a message is one of these. To be asked once for each message."""
        if self.to is not None and not self.to.fullmatch(to_addr):
            return False
        if self.from_ is not None and not self.from_.fullmatch(from_addr):
            return False
        if self.text is not None and not self.text.search(text):
            return False
        self._seen += 1
        counted = self._seen - self.after
        if counted <= 0 or counted % self.every or self._done == self.times:
            return False
        self._done += 1
        return True


class Behaviour:
    """What is done with messages.

    :param rules: The rules.
    :param delay: Seconds until a message is answered that no rule says otherwise of.
    :param reports: What is reported of it.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        delay: float = 0.0,
        reports: tuple[Report, ...] = DEFAULT_REPORTS,
    ) -> None:
        self.rules = list(rules)
        self._delay = delay
        self._reports = reports

    def plan(self, from_addr: str, to_addr: str, text: str) -> Plan:
        """What is to be done with a message; nothing in it is ``None``."""
        plan = Plan()
        for rule in self.rules:
            if rule.applies(from_addr, to_addr, text):
                for name in ACTIONS:
                    if getattr(plan, name) is None:
                        setattr(plan, name, getattr(rule.plan, name))
        return Plan(
            plan.status or 0,
            self._delay if plan.delay is None else plan.delay,
            bool(plan.lose),
            bool(plan.disconnect),
            plan.freeze or 0.0,
            self._reports if plan.reports is None else plan.reports,
        )


# Rules from YAML and JSON


class Mistake(ValueError):
    """Something is not understood; the text says why, as the end of a sentence."""


def parse_rules(value: Any) -> list[Rule]:
    """Read rules.

    :param value: A list of mappings, as in the documentation.
    :raises ConfigError: They are not understood; says which and why.
    """
    if not isinstance(value, list):
        raise ConfigError("The rules are no list.")
    rules = []
    problems = []
    for number, item in enumerate(value, 1):
        try:
            rules.append(_rule(item))
        except Mistake as mistake:
            problems.append(f"Rule {number} {mistake}.")
    if problems:
        raise ConfigError(problems=problems)
    return rules


def _rule(item: Any) -> Rule:
    if not isinstance(item, dict):
        raise Mistake("is no mapping")
    unknown = sorted(map(str, item.keys() - _MATCHERS - _DEEDS))
    if unknown:
        raise Mistake(f"has what is not known: {', '.join(unknown)}")
    if not item.keys() & _DEEDS:
        raise Mistake(f"does nothing: it needs one of {', '.join(sorted(_DEEDS))}")
    if "refuse" in item and "throttle" in item:
        raise Mistake("has both refuse and throttle")
    plan = Plan()
    if "refuse" in item:
        plan.status = _status(item["refuse"])
    elif "throttle" in item and _flag(item, "throttle"):
        plan.status = int(CommandStatus.ESME_RTHROTTLED)
    for name in ("delay", "freeze"):
        if name in item:
            setattr(plan, name, _seconds(item[name], name))
    for name in ("lose", "disconnect"):
        if name in item:
            setattr(plan, name, _flag(item, name))
    if "reports" in item:
        plan.reports = parse_reports(item["reports"])
    return Rule(
        _pattern(item, "to"),
        _pattern(item, "from"),
        _pattern(item, "text"),
        _count(item, "every", 1, 1) or 1,
        _count(item, "after", 0, 0) or 0,
        _count(item, "times", 1, None),
        plan,
    )


_MATCHERS = frozenset(("to", "from", "text", "every", "after", "times"))
_DEEDS = frozenset(("refuse", "throttle", "delay", "freeze", "lose", "disconnect", "reports"))


def _pattern(item: Mapping[str, Any], name: str) -> LinearRegex | None:
    expression = item.get(name)
    if expression is None:
        return None
    # YAML reads a number where somebody wrote one without quotes.
    if isinstance(expression, bool) or not isinstance(expression, str | int):
        raise Mistake(f"has a '{name}' that is no text")
    expression = str(expression)
    # A number with its + : no expression begins so.
    if expression.startswith("+"):
        expression = f"\\{expression}"
    try:
        # Rules come over HTTP too: no expression may stop the process.
        return LinearRegex(expression)
    except PatternError as error:
        raise Mistake(f"has a '{name}' that is no valid regular expression: {error}") from None


def _count(item: Mapping[str, Any], name: str, lowest: int, default: int | None) -> int | None:
    number = item.get(name, default)
    if number is not None and (type(number) is not int or number < lowest):
        raise Mistake(f"has a '{name}' that is no whole number of {lowest} or more")
    return number


def _seconds(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise Mistake(f"has a '{name}' that is no number of seconds")
    return float(value)


def _flag(item: Mapping[str, Any], name: str) -> bool:
    value = item[name]
    if not isinstance(value, bool):
        raise Mistake(f"has a '{name}' that is neither true nor false")
    return value


def _status(value: Any) -> int:
    try:
        return parse_status(value)
    except (ValueError, TypeError):
        raise Mistake(f"has a 'refuse' that is no SMPP command status: {value!r}") from None


def parse_reports(value: Any) -> tuple[Report, ...]:
    """Read reports.

    :param value: A list of states, or of mappings with ``state`` and ``after``; or one of these.
    :raises Mistake: They are not understood.
    """
    if not isinstance(value, list):
        value = [value]
    return tuple(map(_report, value))


def _report(item: Any) -> Report:
    if isinstance(item, str):
        item = {"state": item}
    if not isinstance(item, dict) or item.keys() - {"state", "after"}:
        raise Mistake("has a report that is neither a state nor a mapping with state and after")
    state = item.get("state")
    if not isinstance(state, str) or state not in STATES:
        raise Mistake(f"has a report whose state is none of {', '.join(STATES)}")
    return Report(state, _seconds(item.get("after", 0), "after"))
