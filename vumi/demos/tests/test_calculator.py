"""Tests for the calculator."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos.calculator import CalculatorApp
from vumi.demos.tests.conversation import converse
from vumi.tests.helpers import VumiTestCase

MENU = "What would you like to do?\n1. Add\n2. Subtract\n3. Multiply"
FIRST, SECOND = "What is the first number?", "What is the second number?"
INVALID = "Sorry invalid input!(end)"


class CalculatorTests(VumiTestCase):
    """What is calculated, and what is refused."""

    def setUp(self) -> Any:
        self.helper: Any = self.add_helper(ApplicationHelper(CalculatorApp, transport_type="ussd"))
        return Deferred.fromCoroutine(self.start())

    async def start(self) -> None:
        self.application = await self.helper.get_application({})

    async def say(self, *turns: tuple[str | None, str | None]) -> None:
        await converse(
            self.helper,
            *(("ann", said, {"ann": [answer]} if answer else {}) for said, answer in turns),
        )

    async def test_results(self) -> None:
        for option, first, second, result in (
            ("1", "2", "3", "5"),
            ("2", "2", "3", "-1"),
            ("3", "2", "3", "6"),
            (" 1 ", "-7", "+7", "0"),
            ("3", "9" * 100, "9" * 100, str(int("9" * 100) ** 2)),
        ):
            await self.say(
                ("(dials)", MENU),
                (option, FIRST),
                (first, SECOND),
                (second, f"The result is: {result}.(end)"),
            )

    async def test_an_option_that_is_none_shows_the_menu_again(self) -> None:
        await self.say(
            ("(dials)", MENU),
            ("0", MENU),
            ("-1", MENU),
            ("4", MENU),
            ("3", FIRST),
            ("0", SECOND),
            ("-4", "The result is: 0.(end)"),
        )

    async def test_what_is_no_number_ends_it(self) -> None:
        for said in ("one", "", None, "1.5", "1_0", "1 2", "9" * 101, "9" * 5000):
            await self.say(("(dials)", MENU), (said, INVALID))
            await self.say(("(dials)", MENU), ("1", FIRST), (said, INVALID))
            assert self.application.sessions == {}

    async def test_who_is_in_no_session_begins_one(self) -> None:
        await self.say(("hello", MENU), ("1", FIRST), ("(hangs up)", None), ("2", MENU))

    async def test_dialling_again_begins_again(self) -> None:
        await self.say(("(dials)", MENU), ("1", FIRST), ("(dials)", MENU), ("2", FIRST))

    async def test_users_do_not_get_mixed_up(self) -> None:
        await converse(
            self.helper,
            ("ann", "(dials)", {"ann": [MENU]}),
            ("bob", "(dials)", {"bob": [MENU]}),
            ("ann", "1", {"ann": [FIRST]}),
            ("bob", "3", {"bob": [FIRST]}),
            ("ann", "4", {"ann": [SECOND]}),
            ("bob", "5", {"bob": [SECOND]}),
            ("bob", "6", {"bob": ["The result is: 30.(end)"]}),
            ("ann", "7", {"ann": ["The result is: 11.(end)"]}),
        )
        assert self.application.sessions == {}
