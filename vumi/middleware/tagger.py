"""A middleware that gives each message a tag, by the address that users write to.

Knows where in a message its tag is, and how tags follow from addresses and addresses from tags.
Knows nothing of tag pools (:mod:`vumi.components.tagpool`).

A tag is a pair of texts, the pool and the name in it. A message has it in
``helper_metadata.tag.tag``, as a list. Replies copy the helper metadata, so they have their
original's tag.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vumi.config import ConfigDict
from vumi.errors import ConfigError
from vumi.middleware.base import BaseMiddleware, BaseMiddlewareConfig
from vumi.payload import copy_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vumi.message import TransportMessage

__all__ = ["TaggingMiddleware", "TaggingMiddlewareConfig"]

#: option -> key -> the type it must have, and that type's name
KEYS: dict[str, dict[str, tuple[type[Any], str]]] = {
    "incoming": {
        "addr_pattern": (str, "string"),
        "tagpool_template": (str, "string"),
        "tagname_template": (str, "string"),
    },
    "outgoing": {"tagname_pattern": (str, "string"), "msg_template": (dict, "dict")},
}


class TaggingMiddlewareConfig(BaseMiddlewareConfig):
    """Configuration of the tagging middleware."""

    incoming = ConfigDict(
        "How a message from a user gets its tag: ``addr_pattern``, a regular expression that the "
        "beginning of ``to_addr`` must match, and the templates ``tagpool_template`` and "
        "``tagname_template``, in which ``\\1`` and so on stand for what its groups matched.",
        required=True,
        static=True,
    )
    outgoing = ConfigDict(
        "What a message to a user gets by its tag: ``tagname_pattern``, a regular expression that "
        "the beginning of the tag's name must match, and ``msg_template``, fields that are then "
        "put into the message. Texts in it are templates, mappings go into the message's own.",
        required=True,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        problems = [
            f"Option '{option}' {problem}"
            for option, keys in KEYS.items()
            for problem in self._problems(getattr(self, option), keys)
        ]
        if problems:
            raise ConfigError(problems=problems)

    def _problems(self, section: Any, keys: dict[str, tuple[type[Any], str]]) -> list[str]:
        if section is None:
            return ["must not be null."]
        problems = []
        for key, (kind, kind_name) in keys.items():
            if key not in section:
                problems.append(f"does not contain the `{key}` key.")
            elif not isinstance(section[key], kind):
                problems.append(f"does not have an `{key}` key with type `{kind_name}`.")
            elif key.endswith("_pattern"):
                try:
                    re.compile(section[key])
                except re.error as error:
                    problems.append(f"has a `{key}` that is no regular expression: {error}.")
        return problems or _template_problems(section)


def _template_problems(section: dict[str, Any]) -> list[str]:
    """What is wrong with a section's templates, its pattern being good."""
    [pattern] = [re.compile(text) for key, text in section.items() if key.endswith("_pattern")]
    # Matches always, and has the same groups: all that a template can ask for. The line's end is
    # for patterns that end in a comment.
    match = re.compile(f"{pattern.pattern}\n|", pattern.flags).match("")
    problems = []
    for key in ("tagpool_template", "tagname_template", "msg_template"):
        try:
            if match is not None and key in section:
                _expanded(section[key], match)
        except (re.error, IndexError) as error:
            problems.append(f"has a `{key}` that does not fit the pattern: {error}.")
    return problems


def _expanded(template: Any, match: re.Match[str]) -> Any:
    """A template with what the match gives for it, whatever the template is made of."""
    if isinstance(template, str):
        return match.expand(template)
    if isinstance(template, dict):
        return {key: _expanded(value, match) for key, value in template.items()}
    return copy_payload(template)


def _update(fields: dict[str, Any], new: dict[str, Any]) -> None:
    """Put values into fields; of mappings on both sides, into the one that is there."""
    for key, value in new.items():
        old = fields.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _update(old, value)
        else:
            fields[key] = value


class TaggingMiddleware(BaseMiddleware):
    """Tags messages from users by ``to_addr``, and fills in messages to users by their tag.

    Messages that the patterns don't match stay as they are.
    """

    CONFIG_CLASS = TaggingMiddlewareConfig

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        incoming, outgoing = self.config.incoming, self.config.outgoing
        self._addr_pattern = re.compile(incoming["addr_pattern"])
        self._tag_templates = (incoming["tagpool_template"], incoming["tagname_template"])
        self._tagname_pattern = re.compile(outgoing["tagname_pattern"])
        self._msg_template: dict[str, Any] = outgoing["msg_template"]

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        to_addr = message["to_addr"]
        match = None if to_addr is None else self._addr_pattern.match(to_addr)
        if match is not None:
            pool, tagname = (match.expand(template) for template in self._tag_templates)
            self.add_tag_to_msg(message, (pool, tagname))
        return message

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        tag = self.map_msg_to_tag(message)
        match = None if tag is None else self._tagname_pattern.match(tag[1])
        if match is not None:
            _update(message.payload, _expanded(self._msg_template, match))
        return message

    # For others that work with tags

    @staticmethod
    def add_tag_to_msg(msg: TransportMessage, tag: Sequence[str]) -> None:
        """Give a message a tag.

        :param tag: Pool and name.
        """
        TaggingMiddleware.add_tag_to_payload(msg.payload, tag)

    @staticmethod
    def add_tag_to_payload(payload: dict[str, Any], tag: Sequence[str]) -> None:
        """Give the fields of a message a tag."""
        metadata = payload.setdefault("helper_metadata", {})
        metadata.setdefault("tag", {})["tag"] = [str(part) for part in tag]

    @staticmethod
    def map_msg_to_tag(msg: TransportMessage) -> tuple[str, str] | None:
        """A message's tag, ``None`` if it has none."""
        metadata = msg.get("helper_metadata") or {}
        tag = (metadata.get("tag") or {}).get("tag")
        return None if tag is None else (str(tag[0]), str(tag[1]))
