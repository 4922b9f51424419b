"""Tests for the application with one answer."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from twisted.internet.defer import Deferred, succeed

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos.static_reply import StaticReplyApplication
from vumi.errors import ConfigError
from vumi.tests.helpers import VumiTestCase

SAMPLE = Path(__file__).parents[3] / "config" / "static_reply.yaml"


class PerUserReply(StaticReplyApplication):
    """Looks the text up by the user."""

    def get_config(self, msg: Any, ctxt: Any = None) -> Deferred[Any]:
        text = f"Only for you, {msg.user()}"
        return succeed(self.CONFIG_CLASS({**self.config, "reply_text": text}))


class StaticReplyTests(VumiTestCase):
    """What is answered."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(StaticReplyApplication))

    async def answer(self, config: dict[str, Any], cls: Any = None, **message: Any) -> Any:
        """Have the application answer one message; returns the only reply."""
        application = await self.helper.get_application(config, cls=cls)
        application.today = lambda: date(2013, 4, 5)
        await self.helper.make_dispatch_inbound("hi", **message)
        [reply] = self.helper.get_dispatched_outbound()
        self.helper.clear_dispatched_outbound()
        await self.helper.cleanup_worker(application)
        return reply

    async def test_the_answer_has_the_user_and_the_date_in_it_and_ends_the_session(self) -> None:
        reply = await self.answer({}, from_addr="+41791234567")
        assert reply["content"] == "Hello +41791234567 at 2013-04-05."
        assert reply["session_event"] == "close"

    async def test_the_text_is_configured(self) -> None:
        for text, shown in (
            ("Your message is important.", "Your message is important."),
            ("{{{user}}}", "{jo}"),
            ("{now:%d.%m.}", "05.04."),
            ("", ""),
        ):
            reply = await self.answer({"reply_text": text}, from_addr="jo")
            assert reply["content"] == shown

    async def test_a_new_session_is_answered_too(self) -> None:
        reply = await self.answer({}, session_event="new")
        assert reply["session_event"] == "close"

    async def test_the_end_of_a_session_is_not_answered(self) -> None:
        await self.helper.get_application({})
        await self.helper.make_dispatch_inbound(None, session_event="close")
        assert self.helper.get_dispatched_outbound() == []

    async def test_the_text_may_differ_from_user_to_user(self) -> None:
        reply = await self.answer({}, cls=PerUserReply, from_addr="jo")
        assert reply["content"] == "Only for you, jo"

    def test_the_date_is_todays(self) -> None:
        before = date.today()
        assert before <= StaticReplyApplication.today() <= date.today()

    def test_the_sample_is_good(self) -> None:
        sample = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
        assert StaticReplyApplication.check_config(sample) == []

    def test_a_text_that_can_not_be_filled_in_is_refused_at_the_start(self) -> None:
        for text, problem in (
            ("{who}", "Field 'reply_text' can't be filled in (KeyError: 'who')"),
            ("{}", "Field 'reply_text' can't be filled in (IndexError"),
            ("{user", "Field 'reply_text' can't be filled in (ValueError"),
            ("{now.century}", "Field 'reply_text' can't be filled in (AttributeError"),
            (5, "Field 'reply_text' is not unicode."),
            (None, "Field 'reply_text' must be a text."),
        ):
            with self.assertRaises(ConfigError) as caught:
                StaticReplyApplication({}, {"transport_name": "any", "reply_text": text})
            assert str(caught.exception).startswith(problem)
