"""Tagging: messages from users get tags, messages to users what belongs to their tag."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from vumi.config import ConfigError
from vumi.middleware import TaggingMiddleware
from vumi.tests.helpers import MessageHelper

CONFIG: dict[str, Any] = {
    "incoming": {
        "addr_pattern": r"^\d+(\d{3})$",
        "tagpool_template": r"pool1",
        "tagname_template": r"mytag-\1",
    },
    "outgoing": {
        "tagname_pattern": r"mytag-(\d{3})$",
        "msg_template": {
            "from_addr": r"12345\1",
            "helper_metadata": {"added": {"number": r"\1", "list": [r"\1"]}},
            "provider": None,
        },
    },
}


def make_middleware(**changes: Any) -> TaggingMiddleware:
    config = {section: {**CONFIG[section], **changes.get(section, {})} for section in CONFIG}
    middleware = TaggingMiddleware("tagger", config, None)
    middleware.setup_middleware()
    return middleware


class TaggingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.helper = MessageHelper()

    def inbound_tag(self, to_addr: str | None) -> Any:
        message = self.helper.make_inbound("hi", to_addr=to_addr)
        self.assertIs(make_middleware().handle_inbound(message, "line"), message)
        return TaggingMiddleware.map_msg_to_tag(message)

    def outbound(self, tag: tuple[str, str] | None, **kw: Any) -> Any:
        message = self.helper.make_outbound("hi", from_addr="9292", **kw)
        if tag is not None:
            TaggingMiddleware.add_tag_to_msg(message, tag)
        self.assertIs(make_middleware().handle_outbound(message, "line"), message)
        return message

    def test_an_address_that_matches_gives_the_tag(self) -> None:
        self.assertEqual(self.inbound_tag("123456"), ("pool1", "mytag-456"))

    def test_others_give_none(self) -> None:
        for to_addr in ("123a", "", None):
            self.assertIsNone(self.inbound_tag(to_addr))

    def test_the_tag_is_where_all_versions_have_it(self) -> None:
        message = self.helper.make_inbound("hi", to_addr="123456")
        make_middleware().handle_inbound(message, "line")
        self.assertEqual(message["helper_metadata"], {"tag": {"tag": ["pool1", "mytag-456"]}})

    def test_a_tag_that_matches_fills_in_the_message(self) -> None:
        metadata = {"added": {"mine": True, "number": "?"}, "other": 1}
        message = self.outbound(("any", "mytag-456"), helper_metadata=metadata, provider="x")
        self.assertEqual(message["from_addr"], "12345456")
        self.assertIsNone(message["provider"])
        self.assertEqual(
            message["helper_metadata"],
            {
                "tag": {"tag": ["any", "mytag-456"]},
                # Texts are expanded, mappings go into mappings, other things are copied.
                "added": {"mine": True, "number": "456", "list": [r"\1"]},
                "other": 1,
            },
        )

    def test_messages_do_not_share_what_was_filled_in(self) -> None:
        middleware = make_middleware()
        lists = []
        for _ in range(2):
            message = self.helper.make_outbound("hi")
            TaggingMiddleware.add_tag_to_msg(message, ("any", "mytag-456"))
            middleware.handle_outbound(message, "line")
            lists.append(message["helper_metadata"]["added"]["list"])
            lists[-1].append("changed")
        self.assertEqual(lists[1], [r"\1", "changed"])

    def test_other_tags_and_none_leave_it_as_it_is(self) -> None:
        for tag in (("pool1", "other"), ("pool1", "mytag-4567"), None):
            self.assertEqual(self.outbound(tag)["from_addr"], "9292")

    def test_tags_of_payloads(self) -> None:
        payload: dict[str, Any] = {"a": 1}
        TaggingMiddleware.add_tag_to_payload(payload, ("pool", "name"))
        expected = {"a": 1, "helper_metadata": {"tag": {"tag": ["pool", "name"]}}}
        self.assertEqual(payload, expected)

    def test_a_tag_survives_travelling(self) -> None:
        message = self.helper.make_inbound("hi")
        TaggingMiddleware.add_tag_to_msg(message, ("pool", "name"))
        received = type(message).from_json(message.to_json())
        self.assertEqual(TaggingMiddleware.map_msg_to_tag(received), ("pool", "name"))
        self.assertEqual(TaggingMiddleware.map_msg_to_tag(message.reply("hi")), ("pool", "name"))


@pytest.mark.parametrize("section", ["incoming", "outgoing"])
def test_both_sections_must_be_there(section: str) -> None:
    for value in ({}, {section: None}):
        config = {**{key: CONFIG[key] for key in CONFIG if key != section}, **value}
        with pytest.raises(ConfigError, match=section):
            TaggingMiddleware("tagger", config, None)


@pytest.mark.parametrize(
    ("section", "key", "type_name"),
    [
        ("incoming", "addr_pattern", "string"),
        ("incoming", "tagpool_template", "string"),
        ("incoming", "tagname_template", "string"),
        ("outgoing", "tagname_pattern", "string"),
        ("outgoing", "msg_template", "dict"),
    ],
)
def test_each_key_must_be_there_and_of_its_type(section: str, key: str, type_name: str) -> None:
    incomplete = {name: value for name, value in CONFIG[section].items() if name != key}
    with pytest.raises(ConfigError, match=f"does not contain the `{key}` key"):
        TaggingMiddleware("tagger", {**CONFIG, section: incomplete}, None)
    with pytest.raises(ConfigError, match=f"`{key}` key with type `{type_name}`"):
        make_middleware(**{section: {key: 5}})


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("incoming", {"addr_pattern": "("}, "`addr_pattern` that is no regular expression"),
        ("outgoing", {"tagname_pattern": "("}, "`tagname_pattern` that is no regular expression"),
        ("incoming", {"tagname_template": r"\2"}, "`tagname_template` that does not fit"),
        ("incoming", {"tagpool_template": r"\g<name>"}, "`tagpool_template` that does not fit"),
        ("outgoing", {"msg_template": {"a": {"b": r"\2"}}}, "`msg_template` that does not fit"),
    ],
)
def test_templates_that_can_never_be_filled_in_are_refused(
    section: str, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make_middleware(**{section: changes})


@pytest.mark.parametrize(
    "pattern", ["(?i)(a)", "(?x) (a) # comment", "(a)|(b)(c)", "", r"(?P<n>a)"]
)
def test_patterns_of_all_kinds_are_good(pattern: str) -> None:
    make_middleware(incoming={"addr_pattern": pattern, "tagname_template": "x"})
