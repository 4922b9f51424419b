"""What is remembered of a user between two messages.

Knows how it is written into a session, whose values are texts. Knows no store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vumi.application.menus.pages import TURN
from vumi.text_matching import bare, decimal_number, folded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Option", "Progress"]

#: How many messages are remembered: of those that were answered, and of those that failed.
MOST_SEEN, MOST_FAILED = 50, 10


@dataclass(frozen=True)
class Option:
    """A choice as it was offered.

    :ivar label: What the user read.
    :ivar value: What is kept if it is chosen.
    :ivar next: The state that it leads to, if it has its own.
    """

    label: str
    value: str
    next: str | None = None


@dataclass
class Progress:
    """Where a user is, and what was shown last.

    :ivar state: The state's name.
    :ivar answers: State -> what was answered there.
    :ivar pages: All that the state says, cut to the length of messages.
    :ivar page: Which of them was sent last, from 0.
    :ivar options: The choices that were offered; none if a text was asked for.
    :ivar ends: Whether the conversation is over after the last page.
    :ivar asks_to_go_on: Whether what was shown is the question whether to go on.
    :ivar message_id: The message that was answered by this.
    :ivar seen: The messages that were answered before, in this conversation and those before it.
    :ivar failed: Messages that failed -> the step at which they did.
    :ivar step: How many messages were answered; finished conversations count on.
    :ivar release: What the states were when this was shown, as a fingerprint.
    """

    state: str
    answers: dict[str, str] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    page: int = 0
    options: list[Option] = field(default_factory=list)
    ends: bool = False
    asks_to_go_on: bool = False
    message_id: str = ""
    seen: list[str] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    step: int = 0
    release: str = ""

    @property
    def reply(self) -> str:
        """What to say."""
        return self.pages[self.page]

    @property
    def is_over(self) -> bool:
        """Whether everything was said, and nothing is to be answered."""
        return self.ends and self.page == len(self.pages) - 1

    def turns_page(self, text: str) -> bool:
        """Whether an answer asks for another page."""
        if self.page < len(self.pages) - 1:
            # There is nothing else to answer at the end.
            return self.ends or decimal_number(text) == int(TURN)
        return bool(self.options) and len(self.pages) > 1 and decimal_number(text) == int(TURN)

    def turn_page(self) -> None:
        """Go to the next page, from the last to the first."""
        self.page = (self.page + 1) % len(self.pages)

    def chosen(self, text: str) -> Option | None:
        """The choice that an answer means: by its number, or by its label."""
        number = decimal_number(text)
        if number is not None and 1 <= number <= len(self.options):
            return self.options[number - 1]
        # Labels such as "+" and "-" are what they are; else punctuation doesn't matter.
        for form in (folded, bare):
            word = form(text)
            fitting = [option for option in self.options if word and form(option.label) == word]
            if fitting:
                # Which of several is meant is not known, unless they are the same in all.
                return fitting[0] if form is folded or len(fitting) == 1 else None
        return None

    # Messages that come again

    def knows(self, message_id: str) -> bool:
        """Whether a message is to change nothing: it was answered, or the user has gone on since
        it failed."""
        if message_id == self.message_id or message_id in self.seen:
            return True
        return self.failed.get(message_id, self.step) != self.step

    def note_failure(self, message_id: str) -> None:
        """Remember that a message has failed at this step."""
        self.failed.pop(message_id, None)
        self.failed[message_id] = self.step
        self.failed = dict([*self.failed.items()][-MOST_FAILED:])

    def follow(self, before: Progress | None, message_id: str) -> None:
        """Take over what is remembered of messages, and add the one that is answered by this.

        :param before: What was there until now; may be this itself.
        """
        if before is not None:
            earlier = [before.message_id] if before.message_id else []
            self.seen = [*before.seen, *earlier][-MOST_SEEN:]
            self.failed = {key: at for key, at in before.failed.items() if key != message_id}
            self.step = before.step
        self.step += 1
        self.message_id = message_id

    # As a session

    def to_session(self) -> dict[str, str]:
        """The fields of a session."""
        shown = {
            "pages": self.pages,
            "page": self.page,
            "options": [[option.label, option.value, option.next] for option in self.options],
            "ends": self.ends,
            "asks_to_go_on": self.asks_to_go_on,
            "seen": self.seen,
            "failed": self.failed,
            "step": self.step,
            "release": self.release,
        }
        return {
            "state": self.state,
            "answers": json.dumps(self.answers),
            "shown": json.dumps(shown),
            "message_id": self.message_id,
        }

    @classmethod
    def from_session(cls, session: Mapping[str, str]) -> Progress:
        """Read a session.

        :raises ValueError: It is none of ours.
        """
        try:
            shown: dict[str, Any] = json.loads(session["shown"])
            progress = cls(
                state=session["state"],
                answers=dict(json.loads(session["answers"])),
                pages=[str(page) for page in shown["pages"]],
                page=int(shown["page"]),
                options=[Option(*option) for option in shown["options"]],
                ends=bool(shown["ends"]),
                asks_to_go_on=bool(shown["asks_to_go_on"]),
                message_id=session["message_id"],
                # Not in sessions of older versions.
                seen=[str(seen) for seen in shown.get("seen", ())],
                failed={str(key): int(at) for key, at in shown.get("failed", {}).items()},
                step=int(shown.get("step", 0)),
                release=str(shown.get("release", "")),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"This is no session of a menu: {error!r}") from error
        if not 0 <= progress.page < len(progress.pages):
            raise ValueError("This session of a menu has no such page.")
        return progress
