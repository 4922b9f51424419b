"""How a message is sent: by which requests, and what is too long. Pure.

Knows requests and texts. Knows no transport's life.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vumi.transports.external.calls import Call
from vumi.transports.external.texts import (
    GSM,
    UNICODE,
    fits_gsm,
    septets,
    split_text,
    text_values,
)
from vumi.transports.httpsms import Rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vumi.transports.external.answers import Answers
    from vumi.transports.external.sections import Section
    from vumi.transports.external.templates import Values
    from vumi.web.client import HttpResponse
    from vumi.web.outgoing import OutgoingRequest

__all__ = ["Sending"]

REFUSE, SPLIT = "refuse", "split"


@dataclass(frozen=True)
class Sending:
    """How a message is sent.

    :param lengths: How long a text may be, by its alphabet; 0 is any length.
    :param counts_septets: Whether the first of them is in septets.
    :param splits: Whether longer ones are split; else refused.
    :param alphabets: What the network calls :data:`GSM` and :data:`UNICODE`.
    :param retry_statuses: The HTTP statuses of answers that say "later", besides the usual ones.
    """

    call: Call
    lengths: tuple[int, int]
    counts_septets: bool
    splits: bool
    alphabets: Mapping[str, str]
    retry_statuses: frozenset[int]

    @classmethod
    def of(cls, section: Section, known: Collection[str]) -> Sending | None:
        """Read the options of ``send``; ``None`` if some are wrong."""
        call = Call.of(section, known)
        lengths = section.raw("max_length")
        if by_alphabet := isinstance(lengths, dict):
            numbers = section.section("max_length")
            assert numbers is not None  # noqa: S101 (it is a dict)
            most = numbers.number(GSM, 0, 1), numbers.number(UNICODE, 0, 1)
            numbers.close()
        else:
            most = (section.number("max_length", 0, 1),) * 2
        splits = section.choice("long_text", (REFUSE, SPLIT), REFUSE) == SPLIT
        if splits and not any(most):
            section.wrong("long_text", "needs max_length")
        alphabets = section.texts("alphabet")
        if section.has("alphabet") and set(alphabets) != {GSM, UNICODE}:
            section.wrong("alphabet", f"says what the network calls {GSM} and {UNICODE}")
        statuses = section.raw("retry_statuses") or []
        if not isinstance(statuses, list) or not all(
            isinstance(status, int) and 300 <= status <= 599 for status in statuses
        ):
            section.wrong("retry_statuses", "is no list of HTTP statuses from 300 to 599")
            statuses = []
        section.close()
        if call is None:
            return None
        return cls(call, most, by_alphabet, splits, alphabets, frozenset(statuses))

    def parts(self, text: str) -> list[dict[str, str | None]]:
        """The values of a text's placeholders, for each request that it takes.

        :raises Rejected: It is too long.
        """
        is_gsm = fits_gsm(text)
        most = self.lengths[0 if is_gsm else 1]
        counts = self.counts_septets and is_gsm
        # Short enough in any way of counting.
        if not most or 2 * len(text) <= most:
            return [text_values(text, self.alphabets)]
        length = septets(text) if counts else len(text)
        if length <= most:
            return [text_values(text, self.alphabets)]
        if not self.splits:
            raise Rejected(f"The text is too long: {length} characters, not {most}")
        split = split_text(text, most, counts)
        return [
            text_values(part, self.alphabets, number, len(split), text)
            for number, part in enumerate(split, 1)
        ]

    def request(self, values: Values, answers: Answers) -> OutgoingRequest:
        """The request that sends a text; tried again after the answers that say so.

        :param values: Those of all placeholders.
        """

        def says_later(response: HttpResponse) -> bool:
            return response.code in self.retry_statuses or answers.says_later(response)

        return replace(self.call.make(values), says_later=says_later)
