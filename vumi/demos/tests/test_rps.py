"""Tests for rock, paper, scissors, and for what games of several players have in common."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos import multiplayer, rps
from vumi.demos.rps import RockPaperScissorsGame, RockPaperScissorsWorker
from vumi.demos.tests.conversation import converse
from vumi.tests.helpers import VumiTestCase

CHOICES = "1. rock\n2. paper\n3. scissors"
START = f"You: 0, opponent: 0\n{CHOICES}"
GONE = "Game terminated due to remote player disconnect.(end)"


def test_the_old_name_is_the_same_object() -> None:
    assert rps.MultiPlayerGameWorker is multiplayer.MultiPlayerGameWorker


@pytest.mark.parametrize(
    ("one", "other", "winner"),
    [
        (1, 1, None),
        (2, 2, None),
        (3, 3, None),
        (1, 3, "ann"),  # rock beats scissors
        (2, 1, "ann"),  # paper beats rock
        (3, 2, "ann"),  # scissors beat paper
        (3, 1, "bob"),
        (1, 2, "bob"),
        (2, 3, "bob"),
    ],
)
def test_who_wins(one: int, other: int, winner: str | None) -> None:
    game = RockPaperScissorsGame("ann")
    game.players.append("bob")
    game.scores["bob"] = 0
    game.moves = {"ann": one, "bob": other}
    assert game.decide() == winner
    assert sum(game.scores.values()) == (0 if winner is None else 1)


def shown(result: str, own: int, others: int) -> str:
    return f"{result}\nYou: {own}, opponent: {others}\n{CHOICES}"


class RockPaperScissorsTests(VumiTestCase):
    """The game, played by message."""

    def setUp(self) -> Any:
        self.helper: Any = self.add_helper(
            ApplicationHelper(RockPaperScissorsWorker, transport_type="ussd")
        )
        return Deferred.fromCoroutine(self.start())

    async def start(self) -> None:
        self.application = await self.helper.get_application({})

    async def begin(self, one: str = "ann", other: str = "bob") -> None:
        await converse(
            self.helper,
            (one, "(dials)", {}),
            (other, "(dials)", {one: [START], other: [START]}),
        )

    def assert_nothing_kept(self) -> None:
        assert self.application.games == self.application.messages == {}
        assert self.application.open_game is None

    async def test_five_rounds_that_are_no_draw(self) -> None:
        await self.begin()
        await converse(
            self.helper,
            ("ann", "1", {}),
            ("bob", "1 please", {"ann": [shown("Draw.", 0, 0)], "bob": [shown("Draw.", 0, 0)]}),
            ("bob", "2", {}),
            ("ann", "1", {"ann": [shown("You lost!", 0, 1)], "bob": [shown("You won!", 1, 0)]}),
        )
        for won in range(1, 4):
            await converse(
                self.helper,
                ("ann", "3", {}),
                (
                    "bob",
                    "2",
                    {"ann": [shown("You won!", won, 1)], "bob": [shown("You lost!", 1, won)]},
                ),
            )
        await converse(
            self.helper,
            ("ann", "3", {}),
            ("bob", "2", {"ann": ["You won! :-)(end)"], "bob": ["You lost. :-((end)"]}),
        )
        self.assert_nothing_kept()

    async def test_who_moves_again_before_the_other_has_changed_his_mind(self) -> None:
        await self.begin()
        await converse(
            self.helper,
            ("ann", "1", {}),
            ("ann", "2", {}),
            ("bob", "1", {"ann": [shown("You won!", 1, 0)], "bob": [shown("You lost!", 0, 1)]}),
        )

    async def test_what_is_no_move_ends_the_game(self) -> None:
        for said in ("4", "0", "x", "", None, "²"):
            await self.begin()
            await converse(
                self.helper,
                ("ann", "1", {}),
                (
                    "bob",
                    said,
                    {
                        "bob": ["You disconnected.(end)"],
                        "ann": ["Your opponent disconnected.(end)"],
                    },
                ),
            )
            self.assert_nothing_kept()

    async def test_who_hangs_up_ends_the_game_for_the_other(self) -> None:
        await self.begin()
        await converse(
            self.helper, ("ann", "1", {}), ("bob", "(hangs up)", {"ann": [GONE]}), ("ann", "1", {})
        )

    async def test_a_message_is_answered_once(self) -> None:
        await self.begin()
        # Ann's was answered when the game began.
        await converse(self.helper, ("bob", "(hangs up)", {}))
        self.assert_nothing_kept()

    async def test_who_waits_may_say_something_or_hang_up(self) -> None:
        await converse(
            self.helper,
            ("ann", "(dials)", {}),
            ("ann", "hello?", {}),
            ("ann", "(hangs up)", {}),
        )
        self.assert_nothing_kept()
        await self.begin("bob", "carol")

    async def test_players_are_paired_in_the_order_they_come(self) -> None:
        await self.begin("ann", "bob")
        await self.begin("carol", "dave")
        await converse(
            self.helper,
            ("ann", "1", {}),
            ("carol", "1", {}),
            (
                "dave",
                "2",
                {"carol": [shown("You lost!", 0, 1)], "dave": [shown("You won!", 1, 0)]},
            ),
        )

    async def test_who_dials_again_leaves_and_waits_for_another(self) -> None:
        await self.begin()
        await converse(
            self.helper,
            ("bob", "1", {}),
            ("ann", "(dials)", {"bob": [GONE]}),
            ("carol", "(dials)", {"ann": [START], "carol": [START]}),
        )

    async def test_whoever_waits_and_dials_again_does_not_play_with_himself(self) -> None:
        await converse(self.helper, ("ann", "(dials)", {}), ("ann", "(dials)", {}))
        await converse(self.helper, ("bob", "(dials)", {"ann": [START], "bob": [START]}))

    async def test_a_network_without_sessions_will_do(self) -> None:
        await converse(
            self.helper, ("ann", "play", {}), ("bob", "play", {"ann": [START], "bob": [START]})
        )
