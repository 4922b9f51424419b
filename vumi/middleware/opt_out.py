"""A middleware that keeps the list of users who want no more messages, and heeds it.

Knows the words by which users leave and come back, and the list. What the law of a country wants
is for the operator to know.

A user who writes one of the `stop_keywords`, and nothing else, is put on the list; one of the
`start_keywords` takes them off. The message goes on to the application, with
``helper_metadata.optout`` saying what it has done. Messages to users on the list are refused with
the reason: in a transport or a dispatcher they are nacked.

The list is a Redis hash, ``opt_out:addresses``: the user's address and since when (UTC). While
Redis can't be reached nobody knows who is on it: messages wait in their queue. What an application
publishes meanwhile fails, and so is handled later, with the message that it answers.
"""

from __future__ import annotations

from typing import Any

from vumi.config import ConfigBool, ConfigList, ConfigText
from vumi.connectors import IgnoreMessage
from vumi.message import format_vumi_date, utc_now
from vumi.middleware.passes import first_pass
from vumi.middleware.store import StoreMiddleware, StoreMiddlewareConfig
from vumi.msisdn import normalize_msisdn
from vumi.tasks import in_background
from vumi.text_matching import bare

__all__ = ["OptOutMiddleware", "OptOutMiddlewareConfig"]

ADDRESSES = "addresses"

#: Puts an address on the list; the time that is there already stays.
PUT_ON = "return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])"

#: Takes an address off the list.
TAKE_OFF = "return redis.call('HDEL', KEYS[1], ARGV[1])"


class OptOutMiddlewareConfig(StoreMiddlewareConfig):
    """Configuration of the opt-out middleware."""

    stop_keywords = ConfigList(
        "Who writes one of these gets no more messages. The case of letters doesn't matter, nor "
        "do spaces, punctuation and emoji around the word, nor how a phone encodes it.",
        default=["STOP"],
        static=True,
    )
    start_keywords = ConfigList(
        "Who writes one of these gets messages again.", default=["START"], static=True
    )
    stop_reply = ConfigText(
        "What is answered to those who leave. Nothing if left out.", static=True
    )
    start_reply = ConfigText(
        "What is answered to those who come back. Nothing if left out.", static=True
    )
    allow_replies = ConfigBool(
        "Whether replies to messages that users on the list write are let through.",
        default=False,
        static=True,
    )
    country_code = ConfigText(
        "The country of phone numbers in national form, as digits. With it, numbers are put on "
        "the list and looked for in international form, however a message has them.",
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        for name in ("stop_keywords", "start_keywords"):
            for keyword in getattr(self, name) or ():
                if not isinstance(keyword, str) or not bare(keyword):
                    self.raise_config_error(f"Field '{name}' must list words, not {keyword!r}.")
        both = {*map(bare, self.stop_keywords or ())} & {*map(bare, self.start_keywords or ())}
        if both:
            self.raise_config_error(
                f"Fields 'stop_keywords' and 'start_keywords' both have {min(both)!r}."
            )


class OptOutMiddleware(StoreMiddleware):
    """Puts users on the list and takes them off, and refuses messages to those on it."""

    CONFIG_CLASS = OptOutMiddlewareConfig
    SUB_PREFIX = "opt_out"

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        self._stop = frozenset(map(bare, self.config.stop_keywords or ()))
        self._start = frozenset(map(bare, self.config.start_keywords or ()))
        self._stop_reply, self._start_reply = self.config.stop_reply, self.config.start_reply
        self._allow_replies = self.config.allow_replies
        self._country_code = self.config.country_code
        self._publishers: dict[str, Any] = {}

    def setup_store(self) -> None:
        # Repeatable, as nothing is made of the replies.
        self._put_on = self.redis.script(PUT_ON, repeatable=True)
        self._take_off = self.redis.script(TAKE_OFF, repeatable=True)

    # Messages from users

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        content = message["content"]
        word = bare(content) if isinstance(content, str) else ""
        leaves = word in self._stop
        if not (leaves or word in self._start) or message["from_addr"] is None:
            return message
        if not first_pass(self.name, message):
            return message
        return self._note(message, connector_name, word, leaves)

    async def _note(self, message: Any, connector_name: str, word: str, leaves: bool) -> Any:
        address = self._written(message["from_addr"])
        if leaves:
            await self._put_on([ADDRESSES], [address, format_vumi_date(utc_now())])
        else:
            await self._take_off([ADDRESSES], [address])
        answer = self._stop_reply if leaves else self._start_reply
        if answer:
            await self._answer(message, connector_name, answer)
        message["helper_metadata"]["optout"] = {"optout": leaves, "optout_keyword": word}
        return message

    async def _answer(self, message: Any, connector_name: str, answer: str) -> None:
        reply = message.reply(answer)
        reply["helper_metadata"]["optout"] = {"confirmation": True}
        # The way to the user begins at the connector that the user's message has come through, in
        # a transport too: it then takes the answer from its own queue.
        publisher = self._publishers.get(connector_name)
        if publisher is None:
            publisher = await self.worker.publish_to(f"{connector_name}.outbound")
            self._publishers[connector_name] = publisher
        # Not waited for: the user's message isn't acknowledged before the broker has the answer.
        in_background(publisher.publish_message(reply), self.log, "Answering an opt-out keyword")

    # Messages to users

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        if message["to_addr"] is None or self._is_allowed(message):
            return message
        return self._check(message) if first_pass(self.name, message) else message

    def _is_allowed(self, message: Any) -> bool:
        if self._allow_replies and message["in_reply_to"] is not None:
            return True
        metadata = message["helper_metadata"].get("optout") or {}
        return bool(metadata.get("confirmation"))

    async def _check(self, message: Any) -> Any:
        if await self.redis.hexists(ADDRESSES, self._written(message["to_addr"])):
            raise IgnoreMessage("The user has opted out.")
        return message

    def _written(self, address: str) -> str:
        """An address as the list has it."""
        if self._country_code is None:
            return address
        return normalize_msisdn(address, self._country_code)
