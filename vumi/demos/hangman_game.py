"""The game of hangman by itself: words, guesses and what is shown. Knows no messages."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["HangmanGame"]

#: Guesses for each different letter of the word, at most -> what a win with so many is called.
VICTORIES = [
    (1, "Flawless victory!"),
    (1.5, "Epic victory!"),
    (2, "Standard victory!"),
    (3, "Sub-par victory!"),
    (4, "Random victory!"),
]
WORST_VICTORY = "Button mashing!"


class HangmanGame:
    """A word to be guessed, letter by letter. There is no limit on wrong guesses.

    :param word: The word, in lower case. What is no letter from a to z need not be guessed.
    :param guesses: The letters guessed so far.
    :param msg: The first line of the board.
    """

    #: What a player's last input means for the game.
    NOT_DONE, DONE, DONE_WANTS_NEW = range(3)

    def __init__(
        self, word: str, guesses: Iterable[str] | None = None, msg: str = "New game!"
    ) -> None:
        self.word = word
        self.guesses = set(guesses or ())
        self.msg = msg
        self.exit_code = self.NOT_DONE

    def state(self) -> dict[str, str]:
        """The game as texts, for :meth:`from_state`."""
        return {"word": self.word, "guesses": "".join(sorted(self.guesses)), "msg": self.msg}

    @classmethod
    def from_state(cls, state: Mapping[str, str]) -> HangmanGame:
        """The game that :meth:`state` was asked for."""
        return cls(state["word"], state["guesses"], state["msg"])

    def _letters(self) -> set[str]:
        return set(self.word) & set(ascii_lowercase)

    def won(self) -> bool:
        """Whether all letters are guessed."""
        return self._letters() <= self.guesses

    def event(self, message: str) -> None:
        """Take what the player has sent, which is said in :attr:`msg` and :attr:`exit_code`."""
        guess = message.strip().lower()
        if not guess:
            self.msg = "Some input required please."
        elif len(guess) > 1:
            self.msg = "Single characters only please."
        elif guess == "0":
            self.exit_code, self.msg = self.DONE, "Adieu!"
        elif self.won():
            self.exit_code = self.DONE_WANTS_NEW
        elif guess not in ascii_lowercase:
            self.msg = "Letters of the alphabet only please."
        elif guess in self.guesses:
            self.msg = f"You've already guessed '{guess}'."
        else:
            self._guess(guess)

    def _guess(self, letter: str) -> None:
        self.guesses.add(letter)
        if self.won():
            ratio = len(self.guesses) / len(self._letters())
            self.msg = next((name for most, name in VICTORIES if ratio <= most), WORST_VICTORY)
        elif letter in self.word:
            self.msg = f"Word contains at least one '{letter}'! :D"
        else:
            self.msg = f"Word contains no '{letter}'. :("

    def draw_board(self) -> str:
        """What the player is shown."""
        if self.exit_code == self.DONE:
            return self.msg
        hidden = self._letters() - self.guesses
        word = "".join("_" if letter in hidden else letter for letter in self.word)
        what = "anything to start a new game" if self.won() else "next guess"
        guesses = "".join(sorted(self.guesses))
        lines = [self.msg, f"Word: {word}", f"Letters guessed so far: {guesses}"]
        return "\n".join([*lines, f"Enter {what} (0 to quit):", ""])
