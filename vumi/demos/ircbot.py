"""A bot in a chat room that keeps memos for who is not there.

Somebody says ``bot: tell nick some text``; when that nick next says anything, the bot tells it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.application import ApplicationConfig, ApplicationWorker
from vumi.config import ConfigText
from vumi.persist.config import ConfigRedis
from vumi.persist.txredis_manager import TxRedisManager

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage

__all__ = ["MemoConfig", "MemoWorker"]

#: The first word is whom it is said to: the bot.
TELL = re.compile(r"\s*\S+\s+tell\s+(?P<nick>\S+)\s+(?P<text>.+)", re.DOTALL)


class MemoConfig(ApplicationConfig):
    """Options of the bot."""

    worker_name = ConfigText("The name of this bot.", required=True, static=True)
    redis_manager = ConfigRedis("The key-value store for memos.", default={}, static=True)


class MemoWorker(ApplicationWorker):
    """Takes memos and delivers them."""

    CONFIG_CLASS: ClassVar[Any] = MemoConfig

    async def setup_application(self) -> None:
        config = self.get_static_config()
        self.redis = await TxRedisManager.from_config(config.redis_manager)
        self.memos = self.redis.sub_manager(f"ircbot:memos:{config.worker_name}")

    def teardown_application(self) -> Any:
        return self.redis.close_manager()

    def consume_user_message(self, message: TransportUserMessage) -> Deferred[None]:
        return Deferred.fromCoroutine(self._consume(message))

    async def _consume(self, message: TransportUserMessage) -> None:
        nick = message.user() or ""
        irc = message["helper_metadata"].get("irc", {})
        channel = irc.get("irc_channel", "unknown")
        if irc.get("addressed_to_transport", True):
            await self._take_memo(channel, nick, message)
        await self._deliver_memos(channel, nick, message)

    async def _take_memo(self, channel: str, sender: str, message: TransportUserMessage) -> None:
        match = TELL.fullmatch(message["content"] or "")
        if match is None:
            return
        memo = json.dumps([sender, match["text"]])
        await self.memos.rpush(_key(channel, match["nick"]), memo)
        await self.reply_to_group(message, f"{sender}: Sure thing, boss.")

    async def _deliver_memos(self, channel: str, nick: str, message: TransportUserMessage) -> None:
        key = _key(channel, nick)
        memos = await self.memos.lrange(key, 0, -1)
        for memo in memos:
            sender, text = json.loads(memo)
            await self.reply_to_group(message, f"{nick}, {sender} asked me tell you: {text}")
        if memos:
            # Only now, and only these: a crash before tells them again, and loses none.
            await self.memos.ltrim(key, len(memos), -1)


def _key(channel: str, nick: str) -> str:
    # Nicks are the same in capitals.
    return f"{channel}:{nick.lower()}"
