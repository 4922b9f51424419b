"""Tests for tic-tac-toe."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos.tests.conversation import converse
from vumi.demos.tictactoe import TicTacToeGame, TicTacToeWorker
from vumi.tests.helpers import VumiTestCase


def board(cells: str) -> str:
    """A board of the nine cells' contents."""
    rule = "+---+---+---+"
    rows = [cells[start : start + 3] for start in (0, 3, 6)]
    lines = [line for row in rows for line in (f"| {' | '.join(row)} |", rule)]
    return "\n".join([rule, *lines])


def test_a_board_is_drawn() -> None:
    game = TicTacToeGame("ann")
    game.players.append("bob")
    game.move("ann", "1")
    game.move("bob", "6")
    assert game.draw_board() == (
        "+---+---+---+\n"
        "| X |   |   |\n"
        "+---+---+---+\n"
        "|   |   | O |\n"
        "+---+---+---+\n"
        "|   |   |   |\n"
        "+---+---+---+"
    )


def test_three_in_a_line_win() -> None:
    for line in ("123", "456", "789", "147", "258", "369", "159", "357"):
        game = TicTacToeGame("ann")
        game.cells = dict.fromkeys(line[:2], "ann")
        assert not game.has_won("ann")
        game.cells[line[2]] = "ann"
        assert game.has_won("ann")
        assert not game.has_won("bob")


class TicTacToeTests(VumiTestCase):
    """The game, played by message."""

    def setUp(self) -> Any:
        self.helper: Any = self.add_helper(
            ApplicationHelper(TicTacToeWorker, transport_type="ussd")
        )
        return Deferred.fromCoroutine(self.start())

    async def start(self) -> None:
        self.application = await self.helper.get_application({})

    async def begin(self) -> None:
        await converse(
            self.helper,
            ("ann", "(dials)", {}),
            ("bob", "(dials)", {"ann": [board(" " * 9)]}),
        )

    async def test_a_game_that_is_won(self) -> None:
        await self.begin()
        await converse(
            self.helper,
            ("ann", "1", {"bob": [board("X        ")]}),
            ("bob", "5 there", {"ann": [board("X   O    ")]}),
            ("ann", "2", {"bob": [board("XX  O    ")]}),
            ("bob", "9", {"ann": [board("XX  O   O")]}),
            ("ann", "3", {"ann": ["You won!(end)"], "bob": ["You lost!(end)"]}),
        )
        assert self.application.games == self.application.messages == {}

    async def test_a_game_that_nobody_wins(self) -> None:
        await self.begin()
        cells = [" "] * 9
        for number, cell in enumerate("15928736"):
            player, other = ("ann", "bob") if number % 2 == 0 else ("bob", "ann")
            cells[int(cell) - 1] = "XO"[number % 2]
            await converse(self.helper, (player, cell, {other: [board("".join(cells))]}))
        await converse(
            self.helper,
            ("ann", "4", {"ann": ["Draw. :-((end)"], "bob": ["Draw. :-((end)"]}),
        )

    async def test_a_cell_that_is_taken_is_a_lost_turn(self) -> None:
        await self.begin()
        await converse(
            self.helper,
            ("ann", "1", {"bob": [board("X        ")]}),
            ("bob", "1", {"ann": [board("X        ")]}),
            ("ann", "2", {"bob": [board("XX       ")]}),
        )

    async def test_what_is_no_cell_ends_the_game_for_both(self) -> None:
        for said in ("0", "x", "", None, "²", "-1"):
            await self.begin()
            await converse(
                self.helper,
                ("ann", said, {"ann": ["Cheerio.(end)"], "bob": ["Cheerio.(end)"]}),
            )
            assert self.application.games == self.application.messages == {}

    async def test_who_moves_out_of_turn_is_not_heard(self) -> None:
        await self.begin()
        await converse(
            self.helper,
            ("bob", "5", {}),
            ("ann", "1", {"bob": [board("X        ")]}),
            ("bob", "2", {"ann": [board("XO       ")]}),
        )

    async def test_who_hangs_up_ends_the_game_for_the_other(self) -> None:
        await self.begin()
        await converse(
            self.helper,
            ("ann", "1", {"bob": [board("X        ")]}),
            ("ann", "hm", {}),
            ("bob", "(hangs up)", {"ann": ["Other side timed out.(end)"]}),
        )

    async def test_who_waits_may_say_something(self) -> None:
        await converse(
            self.helper,
            ("ann", "(dials)", {}),
            ("ann", "", {}),
            ("bob", "(dials)", {"ann": [board(" " * 9)]}),
        )
