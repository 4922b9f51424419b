"""Tic-tac-toe, for two users at a time. The cells are 1 to 9, from the top left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.demos.multiplayer import MultiPlayerGameWorker

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage

__all__ = ["TicTacToeGame", "TicTacToeWorker"]

SIGNS = "XO"
RULE = "+---+---+---+"
LINES = ["123", "456", "789", "147", "258", "369", "159", "357"]


class TicTacToeGame:
    """A board of nine cells.

    :param player: The first player, who has the X and begins.
    """

    def __init__(self, player: str) -> None:
        self.players = [player]
        #: Cell -> whose sign is there.
        self.cells: dict[str, str] = {}
        self.turn = player

    def opponent(self, player: str) -> str:
        """The other player."""
        return self.players[1 - self.players.index(player)]

    def move(self, player: str, cell: str) -> None:
        """Set a player's sign; in a cell that is taken it is a move for nothing."""
        self.cells.setdefault(cell, player)
        self.turn = self.opponent(player)

    def has_won(self, player: str) -> bool:
        """Whether a player has three in a line."""
        return any(all(self.cells.get(cell) == player for cell in line) for line in LINES)

    @property
    def full(self) -> bool:
        """Whether no cell is left."""
        return len(self.cells) == 9

    def draw_board(self) -> str:
        """What a player is shown."""
        drawn = [RULE]
        for row in ("123", "456", "789"):
            drawn += ["| " + " | ".join(self._sign(cell) for cell in row) + " |", RULE]
        return "\n".join(drawn)

    def _sign(self, cell: str) -> str:
        player = self.cells.get(cell)
        return " " if player is None else SIGNS[self.players.index(player)]


class TicTacToeWorker(MultiPlayerGameWorker):
    """Has users play tic-tac-toe in pairs, in the order they come."""

    def create_new_game(self, player: str) -> TicTacToeGame:
        return TicTacToeGame(player)

    def add_player_to_game(self, game: TicTacToeGame, player: str) -> bool:
        if len(game.players) == 2:
            return False
        game.players.append(player)
        _ = self.reply(game.turn, game.draw_board())
        return True

    def clean_up_game(self, game: TicTacToeGame) -> None:
        for player in game.players:
            _ = self.end(player, "Other side timed out.")

    def continue_game(self, game: TicTacToeGame, message: TransportUserMessage) -> None:
        player = message["from_addr"]
        if len(game.players) < 2 or player != game.turn:
            return
        cell = (message["content"] or "")[:1]
        if not cell or cell not in "123456789":
            self._end(game, player, "Cheerio.", "Cheerio.")
            return
        game.move(player, cell)
        if game.has_won(player):
            self._end(game, player, "You won!", "You lost!")
        elif game.full:
            self._end(game, player, "Draw. :-(", "Draw. :-(")
        else:
            _ = self.reply(game.turn, game.draw_board())

    def _end(self, game: TicTacToeGame, player: str, words: str, words_to_other: str) -> None:
        _ = self.end(player, words)
        _ = self.end(game.opponent(player), words_to_other)
