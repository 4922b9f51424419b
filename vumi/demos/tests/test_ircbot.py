"""Tests for the bot that keeps memos."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos.ircbot import MemoWorker
from vumi.tests.helpers import VumiTestCase


class MemoTests(VumiTestCase):
    """Taking memos and delivering them."""

    def setUp(self) -> Any:
        self.helper: Any = self.add_helper(ApplicationHelper(MemoWorker, transport_type="irc"))
        return Deferred.fromCoroutine(self.start())

    async def start(self) -> None:
        self.bot = await self.helper.get_application({"worker_name": "memobot"})

    async def say(
        self, nick: str, text: str | None, channel: str | None = "#room", addressed: bool = True
    ) -> list[str]:
        """Say something in a channel; gives what the bot says."""
        irc: dict[str, Any] = {"addressed_to_transport": addressed}
        if channel is not None:
            irc["irc_channel"] = channel
        await self.helper.make_dispatch_inbound(
            text, from_addr=nick, group=channel, helper_metadata={"irc": irc}
        )
        replies = self.helper.get_dispatched_outbound()
        self.helper.clear_dispatched_outbound()
        # To the channel: what names a nick already needs no other name put before it.
        assert all(reply["group"] == channel for reply in replies)
        assert all(reply["to_addr"] == (None if channel else nick) for reply in replies)
        return [reply["content"] for reply in replies]

    async def test_a_memo_is_told_once(self) -> None:
        assert await self.say("ann", "bot: tell bob the bus is late") == ["ann: Sure thing, boss."]
        assert await self.say("carol", "hello") == []
        assert await self.say("bob", "hello") == ["bob, ann asked me tell you: the bus is late"]
        assert await self.say("bob", "hello") == []

    async def test_memos_are_told_in_order_and_with_the_answer(self) -> None:
        await self.say("ann", "bot: tell bob one")
        await self.say("carol", "bot: tell bob two\nlines")
        assert await self.say("bob", "bot: tell ann three") == [
            "bob: Sure thing, boss.",
            "bob, ann asked me tell you: one",
            "bob, carol asked me tell you: two\nlines",
        ]

    async def test_nicks_are_the_same_in_capitals(self) -> None:
        await self.say("ann", "bot: tell BoB hi")
        assert await self.say("bOb", "hello") == ["bOb, ann asked me tell you: hi"]
        await self.say("ann", "bot: tell bob hi")
        assert await self.say("BOB", "hello") == ["BOB, ann asked me tell you: hi"]

    async def test_a_memo_is_told_in_its_own_channel_only(self) -> None:
        await self.say("ann", "bot: tell bob hi")
        assert await self.say("bob", "hello", channel="#other") == []
        assert await self.say("bob", "hello") == ["bob, ann asked me tell you: hi"]

    async def test_what_is_no_memo_is_left_alone(self) -> None:
        for text in ("tell bob hi", "bot: tell bob", "bot: tell", "bot: tells bob hi", "", None):
            assert await self.say("ann", text) == [], text
        assert await self.say("ann", "bot: tell bob hi", addressed=False) == []
        assert await self.say("bob", "hello") == []

    async def test_a_network_that_is_no_irc_will_do(self) -> None:
        assert await self.say("ann", "bot: tell ann hi", channel=None) == [
            "ann: Sure thing, boss.",
            "ann, ann asked me tell you: hi",
        ]
        await self.helper.make_dispatch_inbound("bot: tell bob hi", from_addr="ann")
        assert len(self.helper.get_dispatched_outbound()) == 1
        assert await self.bot.redis.lrange("ircbot:memos:memobot:unknown:bob", 0, -1) == [
            '["ann", "hi"]'
        ]
