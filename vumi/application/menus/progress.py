"""What is remembered of a user between two messages.

Knows how it is written into a session, whose values are texts. Knows no store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vumi.application.menus.pages import TURN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Option", "Progress"]


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
    """

    state: str
    answers: dict[str, str] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    page: int = 0
    options: list[Option] = field(default_factory=list)
    ends: bool = False
    asks_to_go_on: bool = False
    message_id: str = ""

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
            return self.ends or text == TURN
        return bool(self.options) and len(self.pages) > 1 and text == TURN

    def turn_page(self) -> None:
        """Go to the next page, from the last to the first."""
        self.page = (self.page + 1) % len(self.pages)

    def chosen(self, text: str) -> Option | None:
        """The choice that an answer means: by its number, or by its label."""
        word = text.strip().casefold()
        number = word.removesuffix(".")
        if number.isdecimal() and 1 <= int(number) <= len(self.options):
            return self.options[int(number) - 1]
        for option in self.options:
            if option.label.strip().casefold() == word:
                return option
        return None

    # As a session

    def to_session(self) -> dict[str, str]:
        """The fields of a session."""
        shown = {
            "pages": self.pages,
            "page": self.page,
            "options": [[option.label, option.value, option.next] for option in self.options],
            "ends": self.ends,
            "asks_to_go_on": self.asks_to_go_on,
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
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is no session of a menu: {error!r}") from error
        if not 0 <= progress.page < len(progress.pages):
            raise ValueError("This session of a menu has no such page.")
        return progress
