"""What the answers to requests that go out say. Pure.

Knows sources and the ways a message can end. Knows no request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vumi.transports.external.reading import Document, Source, Unreadable
from vumi.transports.httpsms import Rejected, TryLater
from vumi.web.outgoing import Outcome, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.transports.external.sections import Section
    from vumi.web.client import HttpResponse

__all__ = ["Answers", "document_of"]

ACCEPTED, REJECTED, LATER = "accepted", "rejected", "later"

#: How much of the network's words a nack has, in characters.
MAX_SHOWN = 500


# An answer


@dataclass(frozen=True)
class Answers:
    """What the answers to :class:`Sending` say.

    :param contains: A text that only the body of a good one has; or empty.
    :param id: Where the network's id of the message is.
    :param status: Where it says what has become of the request.
    :param statuses: The values of that -> one of the three outcomes.
    :param other_status: That of all others.
    :param error: Where the words of an error are.
    """

    contains: str = ""
    id: Source | None = None
    status: Source | None = None
    statuses: Mapping[str, str] | None = None
    other_status: str = REJECTED
    error: Source | None = None

    @classmethod
    def of(cls, section: Section) -> Answers:
        """Read the options of ``answer``."""
        outcomes = (ACCEPTED, REJECTED, LATER)
        answers = cls(
            section.text("contains"),
            section.source("id"),
            section.source("status"),
            section.texts("statuses", outcomes),
            section.choice("other_status", outcomes, REJECTED),
            section.source("error"),
        )
        if section.has("status") != bool(answers.statuses):
            section.wrong("statuses", "and status go together")
        section.close()
        return answers

    def read(self, response: HttpResponse, message_id: str) -> str:
        """Read an answer with a status from 200 to 299.

        :param message_id: Our id of the message.
        :returns: The network's id of the message; ours, if it has none.
        :raises RequestFailed: It says no, or later, or can't be understood.
        """
        document = document_of(response)
        try:
            return self._read(document, message_id)
        except Unreadable as error:
            raise RequestFailed(
                Outcome.GARBLED, f"gave an answer that can't be understood: {error}"
            ) from None

    def _read(self, document: Document, message_id: str) -> str:
        if self.status is not None:
            outcome = self._outcome(document)
        else:
            has_error = self.error is not None and self.error.find(document)
            outcome = REJECTED if has_error else ACCEPTED
        if self.contains and self.contains.encode("utf-8") not in document.body:
            outcome = REJECTED if outcome == ACCEPTED else outcome
        if outcome != ACCEPTED:
            words = self.words(document) or _excerpt(document)
            raise TryLater(words) if outcome == LATER else Rejected(words)
        if self.id is None:
            return message_id
        found = self.id.find(document)
        if not found:
            raise RequestFailed(Outcome.GARBLED, "gave an answer without the message's id")
        return found

    def _outcome(self, document: Document) -> str:
        status = None if self.status is None else self.status.find(document)
        return (self.statuses or {}).get(status or "", self.other_status)

    def says_later(self, response: HttpResponse) -> bool:
        """Whether an answer with an error status says "later" in its body."""
        try:
            return self.status is not None and self._outcome(document_of(response)) == LATER
        except Unreadable:
            return False

    def words(self, document: Document) -> str:
        """What an answer says of an error: ``<code>: <text>``, or one of them, or nothing."""
        found: list[str] = []
        for source in (self.status, self.error):
            try:
                text = None if source is None else source.find(document)
            except Unreadable:
                text = None
            if text and text not in found:
                found.append(text)
        return ": ".join(found)[:MAX_SHOWN]

    def explain(self, response: HttpResponse) -> str:
        """The same of an answer with an error status."""
        return self.words(document_of(response))


def document_of(response: HttpResponse) -> Document:
    """An answer, to look for things in."""

    def header(name: str) -> str:
        return str(response.headers.getRawHeaders(name, [""])[0])

    return Document(response.delivered_body, header, encoding=response.charset or "utf-8")


def _excerpt(document: Document) -> str:
    words = " ".join(document.body.decode("utf-8", "replace").split())
    return words[:MAX_SHOWN] or "The answer is empty"
