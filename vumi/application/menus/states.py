"""The states of a conversation, and whether they fit together.

Knows what a state says and where it leads. Knows no message, no store and no length: those are
the application's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from vumi.application.menus.progress import Option
from vumi.errors import VumiError
from vumi.tasks import settle

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Choice",
    "Conversation",
    "End",
    "Invalid",
    "Menu",
    "MenuError",
    "Question",
    "State",
    "find_problems",
    "fingerprint",
    "leads_astray",
    "offered",
    "targets",
    "words",
]


class MenuError(VumiError):
    """A state's function gave what it may not give. A mistake in the application."""


class Invalid(VumiError, ValueError):
    """Raised by a check to refuse an answer; its text is shown to the user."""


@dataclass
class Conversation:
    """What is known of one user's conversation; the functions of states are given it.

    :ivar user: The user's address.
    :ivar answers: State -> what was answered there, a text. It may be changed; what is in it is
        remembered.
    :ivar message: The message being handled.
    """

    user: str
    answers: dict[str, str] = field(default_factory=dict)
    message: Any = None


#: A text, or a function of the conversation that gives one (or a Deferred or coroutine of one).
Words = str | Callable[[Conversation], Any]
#: The name of a state, or a function of the conversation that gives one (or a Deferred ...).
Next = str | Callable[[Conversation], Any]


@dataclass(frozen=True)
class Choice:
    """One line of a menu.

    :param label: What the user reads.
    :param value: What is kept as the answer; the label if left out.
    :param next: The state that it leads to; the menu's own if left out.
    """

    label: Words
    value: str | None = None
    next: str | None = None


@dataclass(frozen=True)
class Question:
    """A state that asks for a text.

    :param name: The state's name; the answer is kept under it.
    :param text: What to ask.
    :param next: The state that follows, or a function that says which.
    :param check: Takes the answer (a text without spaces around it) and gives what to keep of it:
        anything with a text. ``None`` keeps the answer as it is. It refuses an answer by raising
        :class:`Invalid` or, if there is an `error`, any ``ValueError``. It may be ``async``.
    :param error: What a user whose answer is refused reads before the question, unless
        :class:`Invalid` says something else.
    :param leads_to: The states that `next` may give, if it is a function.
    :param optional: Whether the answer may be empty.
    """

    name: str
    text: Words
    next: Next
    check: Callable[[str], Any] | None = None
    error: Words | None = None
    leads_to: Sequence[str] = ()
    optional: bool = False


@dataclass(frozen=True)
class Menu:
    """A state that has the user choose from numbered lines.

    :param name: The state's name; the value of what was chosen is kept under it.
    :param text: What stands above the lines.
    :param choices: A :class:`Choice` or a text (a choice of that label) for each line, or a
        function of the conversation that gives them.
    :param next: The state that follows, or a function that says which. May be left out if all
        choices have their own.
    :param leads_to: The states that `next`, or choices that come from a function, may give.
    """

    name: str
    text: Words
    choices: Sequence[Choice | str] | Callable[[Conversation], Any]
    next: Next | None = None
    leads_to: Sequence[str] = ()


@dataclass(frozen=True)
class End:
    """A state that says something and ends the conversation.

    :param name: The state's name.
    :param text: What to say.
    """

    name: str
    text: Words


State = Question | Menu | End


def as_choice(choice: Choice | str) -> Choice:
    """A choice, made of its label if need be."""
    return Choice(choice) if isinstance(choice, str) else choice


def targets(state: State) -> tuple[str, ...]:
    """The states that a state may lead to, each once."""
    if isinstance(state, End):
        return ()
    found = list(state.leads_to)
    if isinstance(state.next, str):
        found.append(state.next)
    found += [choice.next for choice in _fixed_choices(state) if choice.next is not None]
    return tuple(dict.fromkeys(found))


def _fixed_choices(state: State) -> list[Choice]:
    """The choices that are known before there is a conversation."""
    if isinstance(state, Menu) and not callable(state.choices):
        return [as_choice(choice) for choice in state.choices]
    return []


# Do they fit together?


def find_problems(states: Sequence[State]) -> list[str]:
    """All that is wrong with a list of states, a sentence each.

    :param states: The first is where a conversation begins.
    """
    strangers = [state for state in states if not isinstance(state, Question | Menu | End)]
    if strangers:
        return [f"{state!r} is no state: neither Question, Menu nor End." for state in strangers]
    if not states:
        return ["There are no states."]
    return [
        *_name_problems(states),
        *(problem for state in states for problem in _own_problems(state)),
        *_target_problems(states),
        *_unreachable(states),
    ]


def _name_problems(states: Sequence[State]) -> Iterator[str]:
    for name, times in Counter(state.name for state in states).items():
        if not name:
            yield "A state has no name."
        if times > 1:
            yield f"{times} states have the name {name!r}."


def _own_problems(state: State) -> Iterator[str]:
    if isinstance(state, End):
        return
    if callable(state.next) and not state.leads_to:
        yield (
            f"State {state.name!r}: its 'next' is a function; list in 'leads_to' the states that "
            "it may give."
        )
    if not isinstance(state, Menu) or callable(state.choices):
        if state.next is None and not state.leads_to:
            yield f"State {state.name!r}: it leads nowhere; give 'next'."
        return
    choices = _fixed_choices(state)
    if not choices:
        yield f"State {state.name!r}: a menu needs choices."
    labels = Counter(choice.label for choice in choices if isinstance(choice.label, str))
    for label, times in labels.items():
        if times > 1:
            yield f"State {state.name!r}: {times} choices are called {label!r}."
    if state.next is None:
        for choice in choices:
            if choice.next is None:
                yield f"State {state.name!r}: the choice {_called(choice)} leads nowhere."


def _called(choice: Choice) -> str:
    return repr(choice.label if isinstance(choice.label, str) else choice.value)


def _target_problems(states: Sequence[State]) -> Iterator[str]:
    names = [state.name for state in states]
    for state in states:
        for target in targets(state):
            if target not in names:
                near = get_close_matches(str(target), names, 1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                yield f"State {state.name!r} leads to {target!r}, which is no state.{hint}"


def _unreachable(states: Sequence[State]) -> Iterator[str]:
    by_name = {state.name: state for state in states}
    reached: set[str] = set()
    to_visit = [states[0].name]
    while to_visit:
        name = to_visit.pop()
        if name in by_name and name not in reached:
            reached.add(name)
            to_visit += targets(by_name[name])
    for name in by_name:
        if name not in reached:
            yield f"No state leads to {name!r}."


def leads_astray(state: State, name: Any) -> MenuError:
    """The error of a state whose function names a state that it must not lead to."""
    return MenuError(f"State {state.name!r} leads to {name!r}, which is not in its 'leads_to'.")


def fingerprint(states: Sequence[State]) -> str:
    """What tells one release's states from another's: their names, kinds and ways."""
    outline = [(state.name, type(state).__name__, targets(state)) for state in states]
    return hashlib.sha256(repr(outline).encode()).hexdigest()[:12]


async def words(given: Words, conversation: Conversation) -> str:
    """A text, which may depend on the user."""
    return str(await settle(given(conversation)) if callable(given) else given)


async def offered(menu: Menu, conversation: Conversation) -> list[Option]:
    """The choices that a menu offers a user.

    :raises MenuError: Its function gave none, or one that leads astray.
    """
    choices: Sequence[Choice | str]
    if callable(menu.choices):
        choices = list(await settle(menu.choices(conversation)))
        if not choices:
            raise MenuError(f"State {menu.name!r}: its function gave no choices.")
    else:
        choices = menu.choices
    options = []
    for choice in map(as_choice, choices):
        label = await words(choice.label, conversation)
        value = label if choice.value is None else choice.value
        if choice.next is not None and choice.next not in targets(menu):
            raise leads_astray(menu, choice.next)
        options.append(Option(label, value, choice.next))
    return options
