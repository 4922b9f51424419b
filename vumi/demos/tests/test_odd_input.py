"""Whatever a person types at a demo gets an answer."""

from __future__ import annotations

from typing import Any

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos.calculator import CalculatorApp
from vumi.demos.clinic import ClinicRegistration
from vumi.demos.hangman import HangmanWorker
from vumi.demos.rps import RockPaperScissorsWorker
from vumi.demos.tictactoe import TicTacToeWorker
from vumi.demos.words import EchoWorker, ReverseWorker, WordCountWorker
from vumi.tests.helpers import VumiTestCase

TEXTS = [
    "",
    "0",
    "9" * 4301,
    "-" + "9" * 5000,
    "\u0661" * 5000,
    "\u0661",
    "\uff11",
    "\u00b2",
    "\u2460",
    "1\ufe0f\u20e3",
    "\ud83d",
    "\U0001f600",
    "\u0130",
    "\u00df",
    "e\u0301",
    "\x00",
    "1e999",
    "nan",
    "{}{0}%s%(x)s\\",
    "9999-99-99",
    "0000-00-00",
    "+1-1-1",
    "a" * 100_000,
]

#: Each demo, its config and the texts that lead to where input is taken.
DEMOS: list[tuple[type[Any], dict[str, Any], list[list[str]]]] = [
    (CalculatorApp, {}, [[], ["1"], ["3", "2"]]),
    (ClinicRegistration, {}, [[], ["Thandi"], ["Thandi", "1990-05-31"]]),
    (HangmanWorker, {"words": ["word"]}, [[], ["w"]]),
    (EchoWorker, {}, [[]]),
    (ReverseWorker, {}, [[]]),
    (WordCountWorker, {}, [[]]),
]


class OddInputTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(EchoWorker, transport_type="ussd"))

    async def say(self, user: str, text: str | None, event: str = "resume") -> list[Any]:
        self.helper.clear_dispatched_outbound()
        await self.helper.make_dispatch_inbound(text, session_event=event, from_addr=user)
        replies: list[Any] = self.helper.get_dispatched_outbound()
        return replies

    async def test_whatever_is_typed_gets_one_answer(self) -> None:
        for demo, config, paths in DEMOS:
            application = await self.helper.get_application(config, cls=demo)
            for number, path in enumerate(paths):
                for index, text in enumerate(TEXTS):
                    user = f"+27{number}{index}"
                    await self.say(user, None, "new")
                    for step in path:
                        await self.say(user, step)
                    [reply] = await self.say(user, text)
                    assert reply["content"] is not None, (demo, path, text[:20])
            await self.helper.worker_helper.cleanup_worker(application)

    async def test_a_player_whose_turn_it_is_gets_an_answer(self) -> None:
        for demo in (RockPaperScissorsWorker, TicTacToeWorker):
            application = await self.helper.get_application({}, cls=demo)
            for index, text in enumerate(TEXTS):
                one, other = f"+1{index}", f"+2{index}"
                await self.say(one, None, "new")
                await self.say(other, None, "new")
                replies = await self.say(one, text)
                if not replies:
                    # A move of rock, paper, scissors: both are answered when the other moves.
                    replies = await self.say(other, "1")
                    assert len(replies) == 2, (demo, text[:20])
                for player in (one, other):
                    await self.say(player, None, "close")
            await self.helper.worker_helper.cleanup_worker(application)
