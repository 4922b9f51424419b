"""Applications that do something with the words a user sends.

None of them remembers anything between two messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.application import ApplicationWorker
from vumi.printable import counted

if TYPE_CHECKING:
    from typing import Any

    from twisted.internet.defer import Deferred

    from vumi.message import TransportUserMessage

__all__ = ["EchoWorker", "ReverseWorker", "SimpleAppWorker", "WordCountWorker"]


class SimpleAppWorker(ApplicationWorker):
    """Answers each text with another one. Override :meth:`process_message`."""

    def consume_user_message(self, message: TransportUserMessage) -> Deferred[Any]:
        text = message["content"]
        reply = self.get_help() if text is None else self.process_message(text)
        return self.reply_to(message, reply)

    def process_message(self, text: str) -> str:
        """The answer to a text. To be overridden.

        :param text: What the user has sent.
        """
        raise NotImplementedError(f"{type(self).__name__} must override process_message().")

    def get_help(self) -> str:
        """The answer to a message without a text, such as the first one of a USSD session."""
        return "Enter text:"


class EchoWorker(SimpleAppWorker):
    """Answers with the same text."""

    def process_message(self, text: str) -> str:
        return text

    def get_help(self) -> str:
        return "Enter text to echo:"


class ReverseWorker(SimpleAppWorker):
    """Answers with the text backwards."""

    def process_message(self, text: str) -> str:
        return text[::-1]

    def get_help(self) -> str:
        return "Enter text to reverse:"


class WordCountWorker(SimpleAppWorker):
    """Answers with how many words and characters a text has."""

    def process_message(self, text: str) -> str:
        return f"{counted(len(text.split()), 'word')}, {counted(len(text), 'char')}"

    def get_help(self) -> str:
        return "Enter text to return word and character counts for:"
