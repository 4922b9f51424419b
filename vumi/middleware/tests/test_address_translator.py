"""Address translation: out one way, back the other."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from vumi.config import ConfigError
from vumi.middleware import AddressTranslationMiddleware
from vumi.tests.helpers import MessageHelper

OUTBOUND_MAP = {"555OUT": "555IN", 1234: 5678}


class TranslationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.helper = MessageHelper()
        self.middleware = AddressTranslationMiddleware("t", {"outbound_map": OUTBOUND_MAP}, None)

    def test_addresses_are_exchanged_in_both_directions(self) -> None:
        # Digits without quotes are numbers in YAML.
        for ours, theirs in [("555OUT", "555IN"), ("1234", "5678"), ("other", "other")]:
            out = self.helper.make_outbound("hi", to_addr=ours, from_addr="9292")
            self.assertIs(self.middleware.handle_outbound(out, "line"), out)
            self.assertEqual((out["to_addr"], out["from_addr"]), (theirs, "9292"))
            back = self.helper.make_inbound("hi", from_addr=theirs, to_addr="9292")
            self.assertIs(self.middleware.handle_inbound(back, "line"), back)
            self.assertEqual((back["from_addr"], back["to_addr"]), (ours, "9292"))

    def test_a_message_without_an_address(self) -> None:
        message = self.helper.make_outbound("hi", to_addr=None)
        self.middleware.handle_outbound(message, "line")
        self.assertIsNone(message["to_addr"])

    def test_events_stay_as_they_are(self) -> None:
        event = self.helper.make_ack()
        self.assertIs(self.middleware.handle_event(event, "line"), event)


@pytest.mark.parametrize(
    ("outbound_map", "words"),
    [
        # What came back could not be told apart.
        ({"a": "x", "b": "x"}, "'a' and 'b'"),
        ({"a": "5", "b": 5}, "'a' and 'b'"),
        ({"a": None}, "texts"),
        ({"a": ["x"]}, "texts"),
        ({True: "x"}, "texts"),
        ("a", "not a dict"),
    ],
)
def test_a_map_that_can_not_work_is_refused(outbound_map: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        AddressTranslationMiddleware("t", {"outbound_map": outbound_map}, None)


def test_the_map_is_required() -> None:
    with pytest.raises(ConfigError, match="outbound_map"):
        AddressTranslationMiddleware("t", {}, None)
