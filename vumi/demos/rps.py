"""Rock, paper, scissors, for two users at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.demos.multiplayer import MultiPlayerGameWorker

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage

__all__ = ["MultiPlayerGameWorker", "RockPaperScissorsGame", "RockPaperScissorsWorker"]

MOVES = ["1. rock", "2. paper", "3. scissors"]


class RockPaperScissorsGame:
    """A game of five rounds; those that end in a draw don't count.

    :param player: The first player.
    """

    ROUNDS = 5

    def __init__(self, player: str) -> None:
        self.players = [player]
        self.scores = {player: 0}
        #: Player -> the move of this round: 1, 2 or 3.
        self.moves: dict[str, int] = {}

    def opponent(self, player: str) -> str:
        """The other player."""
        return self.players[1 - self.players.index(player)]

    def decide(self) -> str | None:
        """Count the round that both have moved in; returns who has won it."""
        one, other = self.players
        # Each move beats the one before it, and rock, the first, beats scissors, the last.
        difference = (self.moves[one] - self.moves[other]) % 3
        self.moves.clear()
        winner = [None, one, other][difference]
        if winner is not None:
            self.scores[winner] += 1
        return winner

    @property
    def over(self) -> bool:
        """Whether all rounds are played."""
        return sum(self.scores.values()) >= self.ROUNDS

    def board(self, player: str, result: str | None = None) -> str:
        """What a player is shown, with the result of the last round."""
        score = f"You: {self.scores[player]}, opponent: {self.scores[self.opponent(player)]}"
        return "\n".join([*([result] if result else []), score, *MOVES])


class RockPaperScissorsWorker(MultiPlayerGameWorker):
    """Has users play rock, paper, scissors in pairs, in the order they come."""

    def create_new_game(self, player: str) -> RockPaperScissorsGame:
        return RockPaperScissorsGame(player)

    def add_player_to_game(self, game: RockPaperScissorsGame, player: str) -> bool:
        if len(game.players) == 2:
            return False
        game.players.append(player)
        game.scores[player] = 0
        for someone in game.players:
            _ = self.reply(someone, game.board(someone))
        return True

    def clean_up_game(self, game: RockPaperScissorsGame) -> None:
        for player in game.players:
            _ = self.end(player, "Game terminated due to remote player disconnect.")

    def continue_game(self, game: RockPaperScissorsGame, message: TransportUserMessage) -> None:
        if len(game.players) < 2:
            return
        player = message["from_addr"]
        move = (message["content"] or "")[:1]
        if not move or move not in "123":
            _ = self.end(player, "You disconnected.")
            _ = self.end(game.opponent(player), "Your opponent disconnected.")
            return
        game.moves[player] = int(move)
        if len(game.moves) == 2:
            self._end_round(game, game.decide())

    def _end_round(self, game: RockPaperScissorsGame, winner: str | None) -> None:
        for player in game.players:
            won = player == winner
            if game.over:
                _ = self.end(player, "You won! :-)" if won else "You lost. :-(")
            else:
                result = "Draw." if winner is None else "You won!" if won else "You lost!"
                _ = self.reply(player, game.board(player, result))
