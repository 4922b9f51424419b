"""The base of games that several users play with each other.

Knows who plays in which game and whose message is still to be answered; knows no game. All of it
is kept in this process, so there must be one process only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.application import ApplicationWorker

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from vumi.message import TransportUserMessage

__all__ = ["MultiPlayerGameWorker"]


class MultiPlayerGameWorker(ApplicationWorker):
    """Brings players together. Override the five methods below.

    A player's address is who he is. A message is answered at most once, maybe long after it came.
    """

    def setup_application(self) -> None:
        #: Player -> his game; and the game that the next player joins.
        self.games: dict[str, Any] = {}
        self.open_game: Any = None
        #: Player -> his last message, as long as it is not answered.
        self.messages: dict[str, TransportUserMessage] = {}
        self.game_setup()

    # What a game overrides

    def game_setup(self) -> None:
        """Called once, before the first player."""

    def create_new_game(self, player: str) -> Any:
        """A game that waits for others to join its first player."""
        raise NotImplementedError(f"{type(self).__name__} must override create_new_game().")

    def add_player_to_game(self, game: Any, player: str) -> bool:
        """Let a player join; ``False`` if the game is full, or not to be joined any more."""
        raise NotImplementedError(f"{type(self).__name__} must override add_player_to_game().")

    def clean_up_game(self, game: Any) -> None:
        """A player has gone: tell the others and end their sessions."""

    def continue_game(self, game: Any, message: TransportUserMessage) -> None:
        """A player has said something; whether it is his turn is the game's business."""
        raise NotImplementedError(f"{type(self).__name__} must override continue_game().")

    # Messages

    def new_session(self, message: TransportUserMessage) -> None:
        player = message["from_addr"]
        self._leave(player)
        self.messages[player] = message
        if self.open_game is None or not self.add_player_to_game(self.open_game, player):
            self.open_game = self.create_new_game(player)
        self.games[player] = self.open_game

    def close_session(self, message: TransportUserMessage) -> None:
        self._leave(message["from_addr"])

    def consume_user_message(self, message: TransportUserMessage) -> None:
        player = message["from_addr"]
        if player not in self.games:
            # From a network without sessions, or after a restart.
            self.new_session(message)
            return
        self.messages[player] = message
        self.continue_game(self.games[player], message)

    def _leave(self, player: str) -> None:
        # Who has gone can't be told anything.
        self.messages.pop(player, None)
        game = self.games.pop(player, None)
        if game is not None:
            if game is self.open_game:
                self.open_game = None
            self.clean_up_game(game)

    def reply(
        self, player: str, content: str, continue_session: bool = True
    ) -> Deferred[Any] | None:
        """Answer a player's last message, unless that was done; nobody need wait for it."""
        message = self.messages.pop(player, None)
        return None if message is None else self.reply_to(message, content, continue_session)

    def end(self, player: str, content: str) -> Deferred[Any] | None:
        """The same, as the last thing that the player is told."""
        if self.games.pop(player, None) is self.open_game:
            self.open_game = None
        return self.reply(player, content, continue_session=False)
