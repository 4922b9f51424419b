"""Tests for hangman."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.server import NOT_DONE_YET

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos import hangman, hangman_game
from vumi.demos.hangman import HangmanGame, HangmanWorker
from vumi.demos.tests.conversation import converse
from vumi.errors import ConfigError
from vumi.tests.fake_connection import FakeHttpServer
from vumi.tests.helpers import VumiTestCase
from vumi.utils import HttpDataLimitError, HttpError

# The game


def test_the_old_name_is_the_same_object() -> None:
    assert hangman.HangmanGame is hangman_game.HangmanGame
    assert (HangmanGame.NOT_DONE, HangmanGame.DONE, HangmanGame.DONE_WANTS_NEW) == (0, 1, 2)


def board(msg: str, word: str, guesses: str, prompt: str = "Enter next guess") -> str:
    return f"{msg}\nWord: {word}\nLetters guessed so far: {guesses}\n{prompt} (0 to quit):\n"


ANYTHING = "Enter anything to start a new game"


@pytest.mark.parametrize(
    ("guesses", "said", "shown"),
    [
        ("", "e", board("Word contains at least one 'e'! :D", "_e__", "e")),
        ("", "E ", board("Word contains at least one 'e'! :D", "_e__", "e")),
        ("e", "x", board("Word contains no 'x'. :(", "_e__", "ex")),
        ("ex", "x", board("You've already guessed 'x'.", "_e__", "ex")),
        ("e", "", board("Some input required please.", "_e__", "e")),
        ("e", " ", board("Some input required please.", "_e__", "e")),
        ("e", "es", board("Single characters only please.", "_e__", "e")),
        ("e", "1", board("Letters of the alphabet only please.", "_e__", "e")),
        ("e", "é", board("Letters of the alphabet only please.", "_e__", "e")),
        ("e", "0", "Adieu!"),
        ("tes", "0", "Adieu!"),
        ("te", "s", board("Flawless victory!", "test", "est", ANYTHING)),
        ("tex", "s", board("Epic victory!", "test", "estx", ANYTHING)),
        ("texyz", "s", board("Standard victory!", "test", "estxyz", ANYTHING)),
        ("teabcdfg", "s", board("Sub-par victory!", "test", "abcdefgst", ANYTHING)),
        ("teabcdfghij", "s", board("Random victory!", "test", "abcdefghijst", ANYTHING)),
        ("teabcdfghijk", "s", board("Button mashing!", "test", "abcdefghijkst", ANYTHING)),
    ],
)
def test_what_is_shown(guesses: str, said: str, shown: str) -> None:
    game = HangmanGame("test", guesses)
    game.event(said)
    assert game.draw_board() == shown
    assert game.won() == ("anything" in shown or guesses == "tes")
    assert game.exit_code == (HangmanGame.DONE if shown == "Adieu!" else HangmanGame.NOT_DONE)


def test_a_won_game_goes_over_into_a_new_one() -> None:
    game = HangmanGame("ab", "ab")
    game.event("x")
    assert game.exit_code == HangmanGame.DONE_WANTS_NEW


def test_what_nobody_can_guess_is_shown() -> None:
    game = HangmanGame("o'zürich-west 1", "")
    assert "Word: _'_ü____-____ 1\n" in game.draw_board()
    for letter in "ozrichwest":
        game.event(letter)
    assert game.won()
    assert HangmanGame("123").won()


@given(st.text(min_size=1), st.lists(st.text(max_size=2)))
def test_whatever_is_said_the_game_can_be_kept_and_shown(word: str, said: list[str]) -> None:
    game = HangmanGame(word.lower())
    for text in said:
        game.event(text)
        again = HangmanGame.from_state(game.state())
        assert again.state() == game.state()
        if game.exit_code == HangmanGame.NOT_DONE:
            assert again.draw_board() == game.draw_board()
        game = again


# The worker


class HangmanTests(VumiTestCase):
    """The game, played by message."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(HangmanWorker, transport_type="ussd"))
        self.words: list[Any] = ["Elephant"]
        self.status = 200
        self.fake_http = FakeHttpServer(self.get_word)

    def get_word(self, request: Any) -> Any:
        assert request.method == b"GET"
        request.setResponseCode(self.status)
        return self.words.pop(0)

    async def start(self, **config: Any) -> Any:
        full = {"worker_name": "hanging", "random_word_url": "http://words.example/", **config}
        application = await self.helper.get_application(full)
        application.agent_factory = self.fake_http.get_agent
        return application

    async def test_a_game(self) -> None:
        self.words = ["Ab", b"\xef\xbb\xbfnext \xff\n"]
        await self.start()
        await converse(
            self.helper,
            ("+27", "(dials)", {"+27": [board("New game!", "__", "")]}),
            ("+27", "a", {"+27": [board("Word contains at least one 'a'! :D", "a_", "a")]}),
            ("+27", "(hangs up)", {}),
            ("+27", "(dials)", {"+27": [board("Word contains at least one 'a'! :D", "a_", "a")]}),
            ("+27", None, {"+27": [board("Word contains at least one 'a'! :D", "a_", "a")]}),
            ("+27", "b", {"+27": [board("Flawless victory!", "ab", "ab", ANYTHING)]}),
            ("+27", "x", {"+27": [board("New game!", "____", "")]}),
            ("+27", "0", {"+27": ["Adieu!(end)"]}),
        )

    async def test_the_game_is_kept_in_the_key_value_store(self) -> None:
        application = await self.start()
        await self.helper.make_dispatch_inbound(None, from_addr="+27")
        redis = application.games.redis
        assert redis.get_key_prefix() == "vumitest:hangman_game:sphex:hanging"
        assert await redis.hgetall("session:27") == {
            "word": "elephant",
            "guesses": "",
            "msg": "New game!",
        }
        await self.helper.make_dispatch_inbound("0", from_addr="+27")
        assert await redis.hgetall("session:27") == {}

    async def test_words_may_be_in_the_config(self) -> None:
        await self.start(random_word_url=None, words=["Mango"])
        await converse(self.helper, ("a", "(dials)", {"a": [board("New game!", "_____", "")]}))

    async def test_a_source_without_words_costs_one_message_and_not_the_game(self) -> None:
        await self.start()
        for status, word, error in (
            (404, b"not found", HttpError),
            (200, b" ", HttpError),
            (200, b"x" * 2000, HttpDataLimitError),
        ):
            self.status, self.words = status, [word]
            await converse(self.helper, ("a", "(dials)", {}))
            assert len(self.flushLoggedErrors(error)) == 1
        self.status, self.words = 200, ["ok"]
        await converse(self.helper, ("a", "(dials)", {"a": [board("New game!", "__", "")]}))

    async def test_a_source_that_says_nothing_is_given_up(self) -> None:
        self.patch(hangman, "TIMEOUT", 0.01)
        self.words = [NOT_DONE_YET]
        await self.start()
        await converse(self.helper, ("a", "(dials)", {}))
        [failure] = self.flushLoggedErrors()
        assert "Timeout" in str(failure.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "Missing required config field 'worker_name'"),
        ({"worker_name": "h"}, "Where are words from? Give 'random_word_url', or 'words'."),
        ({"worker_name": "h", "words": []}, "Where are words from?"),
        ({"worker_name": "h", "words": "mango"}, "Field 'words' is not a list."),
    ],
)
def test_a_wrong_option_is_told_before_anything_starts(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        HangmanWorker.check_config({"transport_name": "t", **options})
    assert problem in str(caught.value)
