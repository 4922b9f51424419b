"""What a script says, and what is done about messages by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vumi as package
from vumi.config import ConfigError
from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.simulator.rules import Behaviour, Plan, Report, parse_rules
from vumi.transports.smpp.simulator.script import SmscScript
from vumi.yamlconfig import read_yaml_config

ROOT = Path(package.__file__).parents[1]
DELIVERED = (Report("delivered"),)


def plans(rules: Any, *messages: tuple[str, str, str]) -> list[Plan]:
    behaviour = Behaviour(parse_rules(rules))
    return [behaviour.plan(*message) for message in messages]


def numbered(count: int) -> list[tuple[str, str, str]]:
    return [("8080", f"+27{number}", "hello") for number in range(1, count + 1)]


def test_without_rules_all_is_taken_at_once_and_reported_delivered() -> None:
    assert plans([], *numbered(1)) == [Plan(0, 0.0, False, False, 0.0, DELIVERED)]


@pytest.mark.parametrize(
    ("rule", "which"),
    [
        ({"throttle": True}, [1, 2, 3, 4, 5, 6]),
        ({"every": 2, "throttle": True}, [2, 4, 6]),
        ({"after": 4, "throttle": True}, [5, 6]),
        ({"after": 2, "every": 2, "throttle": True}, [4, 6]),
        ({"times": 2, "throttle": True}, [1, 2]),
        ({"after": 1, "every": 2, "times": 1, "throttle": True}, [3]),
        ({"to": r"+27[12]", "throttle": True}, [1, 2]),
        ({"to": "27", "throttle": True}, []),
        ({"to": "[+]27[3456]", "every": 2, "throttle": True}, [4, 6]),
        ({"from": "8080", "throttle": True}, [1, 2, 3, 4, 5, 6]),
        ({"from": 8080, "text": "ell", "every": 3, "throttle": True}, [3, 6]),
        ({"text": "^ell", "throttle": True}, []),
        ({"throttle": False, "lose": True}, []),
    ],
)
def test_which_messages_a_rule_is_for(rule: dict[str, Any], which: list[int]) -> None:
    found = plans([rule], *numbered(6))
    throttled = int(CommandStatus.ESME_RTHROTTLED)
    assert [index for index, plan in enumerate(found, 1) if plan.status == throttled] == which


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|a)*$", "(.*a){20}$"])
def test_no_expression_stops_the_process(expression: str) -> None:
    # Rules come over HTTP, and texts from whatever client connects.
    rule = {"text": expression, "to": expression, "throttle": True}
    [plan] = plans([rule], ("8080", "a" * 5_000 + "!", "a" * 5_000 + "!"))
    assert plan.status == 0


@pytest.mark.parametrize(
    ("rule", "name", "value"),
    [
        ({"refuse": "ESME_RINVDSTADR"}, "status", 0x0B),
        ({"refuse": 0x400}, "status", 0x400),
        ({"refuse": "0x400"}, "status", 0x400),
        ({"delay": 2}, "delay", 2.0),
        ({"lose": True}, "lose", True),
        ({"disconnect": True}, "disconnect", True),
        ({"freeze": 1.5}, "freeze", 1.5),
        ({"reports": []}, "reports", ()),
        ({"reports": "failed"}, "reports", (Report("failed"),)),
        ({"reports": ["REJECTD"]}, "reports", (Report("REJECTD"),)),
        (
            {"reports": ["pending", {"state": "delivered", "after": 5}]},
            "reports",
            (Report("pending"), Report("delivered", 5.0)),
        ),
    ],
)
def test_what_a_rule_does(rule: dict[str, Any], name: str, value: Any) -> None:
    [plan] = plans([rule], *numbered(1))
    assert getattr(plan, name) == value


def test_rules_add_up_and_the_first_to_say_something_counts() -> None:
    rules = [{"every": 2, "delay": 1}, {"delay": 2, "lose": True}]
    assert [(plan.delay, plan.lose) for plan in plans(rules, *numbered(2))] == [
        (2.0, True),
        (1.0, True),
    ]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"throttle": True}, "The rules are no list."),
        (["throttle"], "Rule 1 is no mapping."),
        ([{"lose": True}, {"too": "1", "lose": True}], "Rule 2 has what is not known: too."),
        ([{"to": "1"}], "Rule 1 does nothing: it needs one of"),
        ([{"to": "(", "lose": True}], "Rule 1 has a 'to' that is no valid regular expression"),
        ([{"to": ["1"], "lose": True}], "Rule 1 has a 'to' that is no text."),
        ([{"refuse": "ESME_NONE"}], "Rule 1 has a 'refuse' that is no SMPP command status"),
        ([{"refuse": 1, "throttle": True}], "Rule 1 has both refuse and throttle."),
        ([{"delay": -1}], "Rule 1 has a 'delay' that is no number of seconds."),
        ([{"freeze": "1"}], "Rule 1 has a 'freeze' that is no number of seconds."),
        ([{"lose": "yes"}], "Rule 1 has a 'lose' that is neither true nor false."),
        ([{"every": 0, "lose": True}], "Rule 1 has a 'every' that is no whole number of 1"),
        ([{"after": -1, "lose": True}], "Rule 1 has a 'after' that is no whole number of 0"),
        ([{"times": True, "lose": True}], "Rule 1 has a 'times' that is no whole number of 1"),
        ([{"reports": ["lost"]}], "Rule 1 has a report whose state is none of delivered"),
        ([{"reports": [{"state": ["x"]}]}], "Rule 1 has a report whose state is none of"),
        ([{"reports": [{"stat": "DELIVRD"}]}], "Rule 1 has a report that is neither a state"),
        ([{"reports": [3]}], "Rule 1 has a report that is neither a state"),
    ],
)
def test_a_mistake_in_a_rule_is_told(rules: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules(rules)
    assert words in " ".join(caught.value.problems)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
keys = st.sampled_from(["to", "from", "text", "every", "after", "times", "refuse", "reports"])


@given(st.lists(st.dictionaries(keys, json_values, max_size=4), max_size=3) | json_values)
def test_whatever_rules_are_they_are_read_or_refused(rules: Any) -> None:
    try:
        behaviour = Behaviour(parse_rules(rules))
    except ConfigError as error:
        assert all(problem.endswith(".") for problem in error.problems)
    else:
        behaviour.plan("8080", "+27", "hello")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("rules", [{"lose": 1}], "Field 'rules': Rule 1 has a 'lose'"),
        ("reports", ["lost"], "Field 'reports' has a report whose state"),
        ("accounts", {"me": None}, "Field 'accounts' has a system_id or a password"),
        ("report_form", "pigeon", "Field 'report_form' must be one of text, tlv, both"),
        ("window_size", 0, "Field 'window_size' must be 1 or more"),
        ("delay", -1, "Field 'delay' must be a number of seconds"),
    ],
)
def test_a_mistake_in_an_option_is_told(option: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match="Field") as caught:
        SmscScript({option: value}, static=True)
    assert words in str(caught.value)


def test_numbers_in_yaml_may_be_accounts() -> None:
    assert SmscScript({"accounts": {1234: 5678}}, static=True).accounts == {"1234": "5678"}


def test_passwords_are_not_told() -> None:
    assert "hush-hush" not in repr(SmscScript({"accounts": {"me": "hush-hush"}}, static=True))


def test_the_sample_is_good_and_does_what_it_says() -> None:
    path = ROOT / "config" / "smsc.yaml"
    if not path.exists():
        pytest.skip("the sample files are in the source tree only")
    script = SmscScript(read_yaml_config(str(path)), static=True)
    behaviour = script.behaviour
    assert behaviour.plan("8080", "+27991", "hello").status == CommandStatus.ESME_RINVDSTADR
    assert behaviour.plan("8080", "+27981", "hello").reports == (
        Report("pending", 1.0),
        Report("failed", 5.0),
    )
    assert behaviour.plan("8080", "+27831", "slow").delay == 5.0
    assert f"config/{path.name}" in path.read_text()
