"""Handlers that fail: what the user is told, and what waits for its store."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.connectors import IgnoreMessage
from vumi.errors import HandleLater, StoreUnavailable
from vumi.tests.helpers import VumiTestCase

SORRY = "Sorry, try again later."


class Failing(ApplicationWorker):
    """Fails in the way that a message asks for."""

    away = False
    #: Fires when the store was missed.
    missed: Deferred[None]

    def consume_user_message(self, message: Any) -> Any:
        return getattr(self, str(message["content"]))(message)

    def plain(self, message: Any) -> Any:
        raise OSError("plain")

    def deferred(self, message: Any) -> Any:
        return fail(OSError("deferred"))

    async def coroutine(self, message: Any) -> None:
        raise OSError("coroutine")

    @inlineCallbacks
    def generator(self, message: Any) -> Any:
        yield succeed(None)
        raise OSError("generator")

    def refused(self, message: Any) -> bool:
        return False

    async def late_refused(self, message: Any) -> bool:
        return False

    async def answered(self, message: Any) -> None:
        await self.reply_to(message, "Here you are.")
        raise OSError("answered")

    def ignored(self, message: Any) -> Any:
        raise IgnoreMessage("not for us")

    # A store that is away

    def later(self, message: Any) -> Any:
        if self.away:
            self.missed.callback(None)
            raise HandleLater("asked for")
        return self.reply_to(message, "later")

    async def load(self, message: Any) -> None:
        if self.away:
            self.missed.callback(None)
            raise StoreUnavailable("Redis is away.")
        await self.reply_to(message, "load")

    async def save(self, message: Any) -> None:
        await self.reply_to(message, "saved?")
        raise StoreUnavailable("Redis is away.")

    async def sent(self, message: Any) -> None:
        await self.send_to("+27", "a copy")
        raise StoreUnavailable("Redis is away.")


class FailureTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(Failing))

    async def start(self, **config: Any) -> Any:
        return await self.helper.get_application(config)

    async def say(self, content: str, **fields: Any) -> list[tuple[str, str | None]]:
        """Send a message; gives the texts that came back, with their session events."""
        self.helper.clear_dispatched_outbound()
        fields = {"session_event": "resume"} | fields
        await self.helper.make_dispatch_inbound(content, **fields)
        return [
            (reply["content"], reply["session_event"])
            for reply in self.helper.get_dispatched_outbound()
        ]

    async def dead(self) -> int:
        """How many dead letters there are."""
        name = f"{self.helper.transport_name}.inbound.dead"
        return len(self.helper.worker_helper.broker.get_messages("vumi", name))

    async def test_a_user_whose_message_made_the_handler_fail_is_told(self) -> None:
        await self.start(error_reply=SORRY)
        for number, how in enumerate(("plain", "deferred", "coroutine", "generator"), 1):
            assert await self.say(how) == [(SORRY, "close")], how
            assert len(self.flushLoggedErrors(OSError)) == 1
            assert await self.dead() == number

    async def test_a_message_that_is_refused_is_answered(self) -> None:
        await self.start(error_reply=SORRY)
        for how in ("refused", "late_refused"):
            assert await self.say(how) == [(SORRY, "close")], how
            self.flushLoggedErrors()
        assert await self.dead() == 2

    async def test_who_was_answered_is_not_told(self) -> None:
        await self.start(error_reply=SORRY)
        assert await self.say("answered") == [("Here you are.", None)]
        assert len(self.flushLoggedErrors(OSError)) == 1
        assert await self.dead() == 1

    async def test_who_has_closed_the_session_is_not_told(self) -> None:
        app = await self.start(error_reply=SORRY)
        app.close_session = app.consume_user_message
        app._session_handlers["close"] = app.consume_user_message
        assert await self.say("plain", session_event="close") == []
        assert len(self.flushLoggedErrors(OSError)) == 1

    async def test_what_is_ignored_is_not_answered(self) -> None:
        await self.start(error_reply=SORRY)
        assert await self.say("ignored") == []
        assert await self.dead() == 0

    async def test_without_the_option_nothing_is_said(self) -> None:
        await self.start()
        assert await self.say("plain") == []
        assert len(self.flushLoggedErrors(OSError)) == 1

    async def test_a_handler_that_is_given_up_is_answered_for(self) -> None:
        app = await self.start(error_reply=SORRY)
        endless: Deferred[None] = Deferred()
        app.consume_user_message = lambda message: endless
        _ = self.helper.make_dispatch_inbound("hi")
        endless.cancel()
        await self.helper.kick_delivery()
        [reply] = self.helper.get_dispatched_outbound()
        assert reply["content"] == SORRY
        self.flushLoggedErrors()

    async def test_a_message_waits_for_a_store_if_nothing_was_sent(self) -> None:
        app = await self.start(error_reply=SORRY)
        for how in ("later", "load"):
            app.away, app.missed = True, Deferred()
            handled = self.helper.make_dispatch_inbound(how, session_event="resume")
            await app.missed
            app.away = False
            await handled
            [reply] = self.helper.get_dispatched_outbound()
            assert reply["content"] == how
            self.helper.clear_dispatched_outbound()
        assert await self.dead() == 0

    async def test_an_event_waits_for_a_store_if_nothing_was_sent(self) -> None:
        app = await self.start()
        handled: list[str] = []

        def plain(event: Any) -> None:
            if app.away:
                app.missed.callback(None)
                raise StoreUnavailable("Redis is away.")
            handled.append("plain")

        async def coroutine(event: Any) -> None:
            plain(event)
            handled.append("coroutine")

        for hook in (plain, coroutine):
            app._event_handlers["ack"] = hook
            app.away, app.missed = True, Deferred()
            acked = self.helper.make_dispatch_ack()
            await app.missed
            app.away = False
            await acked
        assert handled == ["plain", "plain", "coroutine"]
        name = f"{self.helper.transport_name}.event.dead"
        assert self.helper.worker_helper.broker.get_messages("vumi", name) == []

    async def test_an_event_whose_hook_has_sent_something_is_not_handled_again(self) -> None:
        app = await self.start()

        async def sends(event: Any) -> None:
            await app.send_to("+27", "a copy")
            raise StoreUnavailable("Redis is away.")

        app._event_handlers["ack"] = sends
        await self.helper.make_dispatch_ack()
        assert len(self.helper.get_dispatched_outbound()) == 1
        assert len(self.flushLoggedErrors(StoreUnavailable)) == 1

    async def test_a_message_that_was_answered_or_had_others_sent_is_not_handled_again(
        self,
    ) -> None:
        await self.start(error_reply=SORRY)
        assert await self.say("save") == [("saved?", None)]
        assert [text for text, _ in await self.say("sent")] == ["a copy", SORRY]
        assert len(self.flushLoggedErrors(StoreUnavailable)) == 2
        assert await self.dead() == 2

    async def test_nothing_is_remembered_of_messages_that_are_done(self) -> None:
        app = await self.start(error_reply=SORRY)
        for how in ("plain", "deferred", "refused", "late_refused", "answered", "ignored", "load"):
            await self.say(how)
        self.flushLoggedErrors()
        assert app._in_hand == {}
