"""Hangman, played by message: keeps games in the key-value store, and may ask the web for words.

The game itself is :mod:`vumi.demos.hangman_game`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.application import ApplicationConfig, ApplicationWorker
from vumi.components.session import SessionManager
from vumi.config import ConfigList, ConfigText, ConfigUrl
from vumi.demos.hangman_game import HangmanGame
from vumi.persist.config import ConfigRedis
from vumi.utils import HttpError, http_request_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.message import TransportUserMessage

__all__ = ["HangmanConfig", "HangmanGame", "HangmanWorker"]

TIMEOUT = 10.0
BIGGEST_WORD = 1000


class HangmanConfig(ApplicationConfig):
    """Options of hangman."""

    worker_name = ConfigText("The name of this hangman.", required=True, static=True)
    redis_manager = ConfigRedis("The key-value store for games.", default={}, static=True)
    random_word_url = ConfigUrl("Where a GET request gets a word, as text in UTF-8.")
    words = ConfigList("Words to choose from, if there is no random_word_url.", default=[])

    def post_validate(self) -> None:
        super().post_validate()
        url = HangmanConfig.random_word_url.get_value(self)
        if url is None and not HangmanConfig.words.get_value(self):
            self.raise_config_error("Where are words from? Give 'random_word_url', or 'words'.")


class HangmanWorker(ApplicationWorker):
    """Plays hangman with everybody."""

    CONFIG_CLASS: ClassVar[Any] = HangmanConfig

    #: For tests: makes the HTTP agent.
    agent_factory: Callable[..., Any] | None = None

    async def setup_application(self) -> None:
        config = self.get_static_config()
        prefix = f"hangman_game:{config.transport_name}:{config.worker_name}"
        self.games = await SessionManager.from_redis_config(config.redis_manager, prefix)

    def teardown_application(self) -> Any:
        return self.games.stop()

    def consume_user_message(self, message: TransportUserMessage) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._play(message))

    async def _play(self, message: TransportUserMessage) -> Any:
        player = (message.user() or "").lstrip("+")
        state = await self.games.load_session(player)
        game = HangmanGame.from_state(state) if state else await self.new_game(message)
        if message["content"] is not None:
            game.event(message["content"])
        if game.exit_code == game.DONE:
            await self.games.clear_session(player)
            return await self.reply_to(message, game.draw_board(), continue_session=False)
        if game.exit_code == game.DONE_WANTS_NEW:
            game = await self.new_game(message)
        await self.games.save_session(player, game.state())
        return await self.reply_to(message, game.draw_board())

    async def new_game(self, message: TransportUserMessage) -> HangmanGame:
        """A game with a word for whoever has sent a message."""
        config = await self.get_config(message)
        if config.random_word_url is None:
            return HangmanGame(str(random.choice(config.words)).lower())  # noqa: S311 (a game)
        return HangmanGame(await self.random_word(config.random_word_url.geturl()))

    async def random_word(self, url: str) -> str:
        """A word from the web."""
        answer = await http_request_full(
            url,
            method="GET",
            timeout=TIMEOUT,
            data_limit=BIGGEST_WORD,
            agent_class=self.agent_factory,
        )
        word = answer.delivered_body.decode("utf-8", "ignore").lstrip("\ufeff").strip().lower()
        if answer.code != 200 or not word:
            raise HttpError(f"There is no word at {url}: status {answer.code}.")
        return word
