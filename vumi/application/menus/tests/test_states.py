"""Whether states fit together."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.application.menus.states import (
    Choice,
    End,
    Menu,
    Question,
    find_problems,
    targets,
)

END = End("end", "Bye.")


def nowhere(conversation: object) -> str:
    raise AssertionError("not called when states are checked")


PROBLEMS: dict[str, tuple[list[Any], list[str]]] = {
    "nothing": ([], ["There are no states."]),
    "something else": (
        ["name"],
        ["'name' is no state: neither Question, Menu nor End."],
    ),
    "one end": ([END], []),
    "a question": ([Question("name", "Name?", "end"), END], []),
    "a loop": ([Menu("main", "Main", ["A", "B"], "main")], []),
    "unknown next": (
        [Question("name", "Name?", "ende"), END],
        [
            "State 'name' leads to 'ende', which is no state. Did you mean 'end'?",
            "No state leads to 'end'.",
        ],
    ),
    "unknown next that is like nothing": (
        [Question("name", "Name?", "xyzzy", leads_to=["end"]), END],
        ["State 'name' leads to 'xyzzy', which is no state."],
    ),
    "unknown next of a choice": (
        [Menu("main", "Main", [Choice("A", next="end"), Choice("B", next="and")]), END],
        ["State 'main' leads to 'and', which is no state. Did you mean 'end'?"],
    ),
    "two of a name": (
        [Question("name", "Name?", "end"), Question("name", "Again?", "end"), END],
        ["2 states have the name 'name'."],
    ),
    "no name": ([End("", "Bye.")], ["A state has no name."]),
    "unreachable": (
        [
            Question("name", "Name?", "end"),
            END,
            Question("lost", "Where?", "found"),
            End("found", "There."),
        ],
        ["No state leads to 'lost'.", "No state leads to 'found'."],
    ),
    "a function that may lead anywhere": (
        [Question("name", "Name?", nowhere), END],
        [
            "State 'name': its 'next' is a function; list in 'leads_to' the states that it may "
            "give.",
            "No state leads to 'end'.",
        ],
    ),
    "a function that says where it leads": (
        [Question("name", "Name?", nowhere, leads_to=["end"]), END],
        [],
    ),
    "a menu without choices": (
        [Menu("main", "Main", [], "end"), END],
        ["State 'main': a menu needs choices."],
    ),
    "a choice that leads nowhere": (
        [Menu("main", "Main", [Choice("A", next="end"), "B", Choice(nowhere, "c")]), END],
        [
            "State 'main': the choice 'B' leads nowhere.",
            "State 'main': the choice 'c' leads nowhere.",
        ],
    ),
    "choices that look alike": (
        [Menu("main", "Main", ["A", Choice("A", "b")], "end"), END],
        ["State 'main': 2 choices are called 'A'."],
    ),
    "choices from a function": ([Menu("main", "Main", nowhere, "end"), END], []),
    "choices from a function that lead nowhere": (
        [Menu("main", "Main", nowhere)],
        ["State 'main': it leads nowhere; give 'next'."],
    ),
    "choices from a function that bring where they lead": (
        [Menu("main", "Main", nowhere, leads_to=["end"]), END],
        [],
    ),
}


@pytest.mark.parametrize(("states", "problems"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_all_that_is_wrong_is_told_at_once(states: list[Any], problems: list[str]) -> None:
    assert find_problems(states) == problems


def test_several_mistakes_are_told_together() -> None:
    states: list[Any] = [
        Question("name", "Name?", "born"),
        Menu("main", "Main", [], "end"),
        END,
        END,
    ]
    assert len(find_problems(states)) == 5


def test_a_state_leads_where_its_choices_lead() -> None:
    menu = Menu("m", "?", [Choice("A", next="a"), "B", Choice("C", next="a")], "b", ["c", "b"])
    assert targets(menu) == ("c", "b", "a")
    assert targets(END) == ()
