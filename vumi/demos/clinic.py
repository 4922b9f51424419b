"""The registration of a clinic: an application made of menus.

Asks for name, date of birth and language, has it all confirmed in that language, and keeps it in
the key-value store. To do something else with it, override :meth:`ClinicRegistration.register`.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from vumi.application.menus import (
    Choice,
    Conversation,
    End,
    Invalid,
    Menu,
    MenuApplication,
    Question,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ClinicRegistration"]

OLDEST = 120

LANGUAGES = {"en": "English", "sw": "Kiswahili", "zu": "isiZulu"}
CONFIRM = {
    "en": "Name: {name}\nBorn: {born}\nIs that right?",
    "sw": "Jina: {name}\nKuzaliwa: {born}\nNi sahihi?",
    "zu": "Igama: {name}\nUzalwe: {born}\nKulungile?",
}
YES = {"en": "Yes", "sw": "Ndiyo", "zu": "Yebo"}
NO = {"en": "No", "sw": "Hapana", "zu": "Cha"}
THANKS = {
    "en": "Thank you, {name}. You are registered.",
    "sw": "Asante, {name}. Umesajiliwa.",
    "zu": "Siyabonga, {name}. Usubhalisiwe.",
}


def translated(texts: Mapping[str, str]) -> Callable[[Conversation], str]:
    """A text in the user's language, with the answers in it."""
    return lambda talk: texts[talk.answers["language"]].format_map(talk.answers)


class ClinicRegistration(MenuApplication):
    """Registers the patients of a clinic."""

    #: Gives the day after which nobody is born.
    today = staticmethod(date.today)

    def states(self) -> list[Question | Menu | End]:
        languages = [Choice(label, value=code) for code, label in LANGUAGES.items()]
        return [
            Question("name", "Welcome! What is your name?", "born", check=self.as_name),
            Question(
                "born",
                "When were you born? Year, month and day, such as 1990-05-31.",
                "language",
                check=self.as_birthday,
                error="Please write the date like this: 1990-05-31.",
            ),
            Menu("language", "Which language do you prefer?", languages, "right"),
            Menu(
                "right",
                translated(CONFIRM),
                [
                    Choice(translated(YES), value="yes", next="registered"),
                    Choice(translated(NO), value="no", next="name"),
                ],
            ),
            End("registered", translated(THANKS)),
        ]

    def as_name(self, text: str) -> str:
        """A name, its words one space apart."""
        if not (2 <= len(text) <= 40 and any(map(str.isalpha, text))):
            raise Invalid("A name has 2 to 40 letters.")
        return " ".join(text.split())

    def as_birthday(self, text: str) -> date:
        """The date that a text means."""
        born, today = date.fromisoformat(text), self.today()
        if born > today:
            raise Invalid("That day is yet to come.")
        if born.year < today.year - OLDEST:
            raise Invalid(f"Nobody is over {OLDEST} years old.")
        return born

    async def finished(self, conversation: Conversation, end: End) -> None:
        patient = {key: conversation.answers[key] for key in ("name", "born", "language")}
        await self.register(conversation.user, patient)

    async def register(self, address: str, patient: Mapping[str, str]) -> None:
        """Keep a registration: name, date of birth, language. Of two the later one counts."""
        await self.redis.hmset(f"patient:{address}", patient)
