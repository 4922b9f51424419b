"""What is checked of every transport, without a line from its author.

Knows transports, stages and tables; knows no test framework: every check gives what is wrong, in
words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vumi.errors import ConfigError
from vumi.tests.cases.client import RawRequest
from vumi.tests.cases.model import INBOUND, OUTBOUND, TROUBLES, Answer, Body, Case
from vumi.tests.cases.player import CasePlayer, StepPlayer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vumi.tests.cases.model import Step, Tables
    from vumi.tests.cases.stage import Stage

__all__ = [
    "after_problems",
    "balance_problems",
    "health_problems",
    "missing_option_problems",
    "restart_problems",
    "script_problems",
    "trouble_problems",
]

#: Letters of several scripts, and what is special in forms, XML, USSD and shells.
ANY_SCRIPT = "žluťoučký ሰላም 你好 ☃ 😀 a&b=<c>|*120#;'\"\\%2F\x0b"

_NO_TEXT = Body("hex", "fffe00d8")


# After each case


def after_problems(stage: Stage) -> Iterator[str]:
    """What a transport must not have done by the time it was stopped."""
    for stray in stage.reactor.strays:
        yield f"something would have left the process: {stray}"
    yield from stage.leaks()
    yield from stage.remains()
    errors, failures = stage.logged_errors(), stage.published("failure")
    if len(errors) > len(failures):
        # A message that failed is logged once; all else is an error that nobody has dealt with.
        yield "an error was logged that has no failure message:\n" + "\n".join(errors)


# Tables


def balance_problems(tables: Tables, receives: bool = True, sends: bool = True) -> Iterator[str]:
    """Whether there is a good and a bad case each way.

    Good ways in publish something; bad ones publish nothing. Good ways out end in an ack, bad ones
    in a nack; replies count.

    :param receives: Whether the transport takes anything from its network.
    :param sends: Whether it sends anything.
    """
    requests = [step for step in tables.steps if step.request is not None]
    wanted = []
    if receives:
        wanted += [
            ("an inbound request that leads to a message or event", any(map(_comes_in, requests))),
            ("an inbound request that is refused", not all(map(_comes_in, requests))),
        ]
    if sends:
        wanted += [
            ("a message that is acked", any(step.is_acked for step in tables.steps)),
            ("a message that is nacked", any(step.is_nacked for step in tables.steps)),
        ]
    for words, is_there in wanted:
        if not is_there:
            yield f"the tables have no case of {words}"


def _comes_in(step: Step) -> bool:
    return bool(step.messages or step.reports)


# Options


def missing_option_problems(
    transport_class: type[Any], config: Mapping[str, Any]
) -> Iterator[str]:
    """Whether each option that is required is missed, by its name."""
    for field in transport_class.CONFIG_CLASS._fields.values():
        if not field.required:
            continue
        others = {name for fallback in field.fallbacks for name in fallback.required_fields}
        without = {k: v for k, v in config.items() if k != field.name and k not in others}
        try:
            transport_class.check_config(without)
        except ConfigError as error:
            if not any(repr(field.name) in problem for problem in error.problems):
                yield f"without {field.name!r} the complaint is {error}: it doesn't name it"
        else:
            yield f"the option {field.name!r} is required, but nobody complains if it is missing"


# Life


async def health_problems(stage: Stage) -> list[str]:
    """Whether the health path answers, to anybody. The transport is running."""
    if stage.site is None:
        return []
    path = getattr(stage.transport.get_static_config(), "health_path", None) or "health"
    exchange = stage.request(RawRequest("GET", "/" + path.strip("/"), {}))
    if not await stage.until(lambda: exchange.is_over):
        return ["the health path does not answer"]
    response = exchange.response()
    if response.status != 200:
        return [f"the health path answers {response.status}: {response.body!r}"]
    return []


async def restart_problems(make: Callable[[], Stage]) -> list[str]:
    """Whether a transport that was stopped leaves nothing, and can start again.

    :param make: Makes a stage, with the transport not started.
    """
    problems: list[str] = []
    for time in ("first", "second"):
        stage = make()
        with stage.installed():
            await stage.start()
            problems += [f"the {time} time: {p}" for p in await health_problems(stage)]
            await stage.stop()
            problems += [f"the {time} time: {p}" for p in after_problems(stage)]
    stage = make()
    with stage.installed():
        for _ in range(2):
            # The same process, the same broker and Redis.
            await stage.start()
            await stage.stop()
        problems += [f"started twice: {p}" for p in after_problems(stage)]
    return problems


# What goes out, whatever the other side does


def outgoing_case(tables: Tables) -> Case | None:
    """A case in which a message is sent by a request that goes out, and nothing comes after it."""
    for case in (*tables.of(OUTBOUND), *tables.of(INBOUND)):
        for number, step in enumerate(case.steps, 1):
            if step.calls and (step.sends or step.replies) and step.is_acked:
                return replace(case, steps=case.steps[:number])
    return None


def troubles() -> Sequence[tuple[str, Callable[[Answer], Answer], bool]]:
    """Name, what is answered instead of a good answer, and whether a nack must follow."""
    return (
        *((name, _trouble(name), True) for name in TROUBLES),
        ("a status of 500", lambda good: replace(good, status=500, body=None), True),
        (
            "bytes that are no text",
            lambda good: replace(good, body=Body("hex", "fffe00d8")),
            False,
        ),
        ("an empty answer", lambda good: replace(good, body=None), False),
    )


def _trouble(name: str) -> Callable[[Answer], Answer]:
    return lambda good: replace(good, trouble=name)


async def trouble_problems(
    case: Case, make: Callable[[Case], tuple[Stage, CasePlayer]]
) -> list[str]:
    """Whether a message has one ack or nack, whatever comes of the requests that it needs.

    :param case: What :func:`outgoing_case` has found.
    :param make: Makes a stage and what plays a case on it.
    """
    problems: list[str] = []
    for name, answer_of, must_fail in troubles():
        stage, player = make(case)
        with stage.installed():
            await stage.start()
            got = await _answers(case, player, answer_of)
            await stage.stop()
            problems += [f"{name}: {problem}" for problem in after_problems(stage)]
        if not stage.web.made:
            problems.append(f"{name}: no request was made")
        if len(got) != 1:
            problems.append(f"{name}: {_miscounted(got)}")
        elif must_fail and got != ["nack"]:
            problems.append(f"{name}: the message is acked")
    return problems


async def script_problems(
    case: Case, make: Callable[[Case], tuple[Stage, CasePlayer]]
) -> list[str]:
    """Whether a text in any script has one ack or nack.

    For the parameters see :func:`trouble_problems`.
    """
    *before, last = case.steps
    fields = {"content": ANY_SCRIPT}
    changed = replace(
        last,
        sends=tuple(replace(one, fields={**one.fields, **fields}) for one in last.sends),
        replies=tuple(replace(one, fields={**one.fields, **fields}) for one in last.replies),
    )
    stage, player = make(case)
    with stage.installed():
        await stage.start()
        got = await _answers(replace(case, steps=(*before, changed)), player, lambda good: good)
        await stage.stop()
        problems = list(after_problems(stage))
    if len(got) != 1:
        problems.append(
            f"exactly one ack or nack is needed, there is {' and '.join(got) or 'none'}"
        )
    return [f"a text in many scripts: {problem}" for problem in problems]


def _miscounted(answers: Sequence[str]) -> str:
    return f"exactly one ack or nack is needed, there is {' and '.join(answers) or 'none'}"


async def _answers(
    case: Case, player: CasePlayer, answer_of: Callable[[Answer], Answer]
) -> list[str]:
    """Play a case with other answers in its last step; give what becomes of what that sends."""
    *before, last = case.steps
    for step in before:
        await StepPlayer(player, step, "").play()
    player.stage.web.always = answer_of(last.calls[-1].answer)
    # Replies and messages are of one kind here: the first is enough.
    step = replace(last, sends=last.sends[:1], replies=last.replies[:1], response=None)
    last_player = StepPlayer(player, step, "")
    await last_player.act()
    return [
        event["event_type"]
        for event in player.stage.published("event")
        if event["user_message_id"] in last_player.sent and event["event_type"] in ("ack", "nack")
    ]
