"""Tests for the applications that do something with words."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos.words import EchoWorker, ReverseWorker, SimpleAppWorker, WordCountWorker
from vumi.tests.helpers import VumiTestCase


class Shouter(SimpleAppWorker):
    """What a user of the base class writes."""

    def process_message(self, text: str) -> str:
        return text.upper()


@pytest.mark.parametrize(
    ("worker_class", "text", "answer"),
    [
        (EchoWorker, "echo echo", "echo echo"),
        (EchoWorker, "", ""),
        (ReverseWorker, "stressed", "desserts"),
        (ReverseWorker, "Zürich", "hcirüZ"),
        (WordCountWorker, "", "0 words, 0 chars"),
        (WordCountWorker, "a", "1 word, 1 char"),
        (WordCountWorker, "one two", "2 words, 7 chars"),
        (WordCountWorker, "  spaced\nout ", "2 words, 13 chars"),
    ],
)
def test_answers(worker_class: type[SimpleAppWorker], text: str, answer: str) -> None:
    assert worker_class({}, {"transport_name": "any"}).process_message(text) == answer


class WordsTests(VumiTestCase):
    """The applications as workers."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(EchoWorker, transport_type="ussd"))

    async def test_a_text_is_answered_and_the_session_goes_on(self) -> None:
        await self.helper.get_application({})
        message = await self.helper.make_dispatch_inbound("hello", session_event="resume")
        [reply] = self.helper.get_dispatched_outbound()
        assert reply["content"] == "hello"
        assert reply["in_reply_to"] == message["message_id"]
        assert reply["session_event"] is None

    async def test_a_message_without_a_text_is_answered_with_help(self) -> None:
        for cls, words in (
            (EchoWorker, "Enter text to echo:"),
            (ReverseWorker, "Enter text to reverse:"),
            (WordCountWorker, "Enter text to return word and character counts for:"),
            (Shouter, "Enter text:"),
        ):
            worker = await self.helper.get_application({}, cls=cls)
            await self.helper.make_dispatch_inbound(None, session_event="new")
            [reply] = self.helper.get_dispatched_outbound()
            assert reply["content"] == words
            self.helper.clear_dispatched_outbound()
            await self.helper.cleanup_worker(worker)

    async def test_the_end_of_a_session_is_not_answered(self) -> None:
        await self.helper.get_application({})
        await self.helper.make_dispatch_inbound(None, session_event="close")
        assert self.helper.get_dispatched_outbound() == []

    async def test_an_own_application_overrides_one_method(self) -> None:
        await self.helper.get_application({}, cls=Shouter)
        await self.helper.make_dispatch_inbound("hello")
        [reply] = self.helper.get_dispatched_outbound()
        assert reply["content"] == "HELLO"

    def test_the_base_says_what_to_override(self) -> None:
        worker = SimpleAppWorker({}, {"transport_name": "any"})
        with self.assertRaisesRegex(NotImplementedError, r"must override process_message\(\)"):
            worker.process_message("hello")
