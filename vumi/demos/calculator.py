"""A calculator: a menu, two numbers, the result.

What users have entered so far is kept in this process only; :mod:`vumi.demos.hangman` shows how to
keep such things in the key-value store.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from vumi.application import ApplicationWorker

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage

__all__ = ["CalculatorApp"]

ACTIONS = [("Add", operator.add), ("Subtract", operator.sub), ("Multiply", operator.mul)]
MENU = "\n".join(
    [
        "What would you like to do?",
        *(f"{number}. {label}" for number, (label, _) in enumerate(ACTIONS, start=1)),
    ]
)
QUESTIONS = ["What is the first number?", "What is the second number?"]

#: More digits than anybody reads on a phone; Python itself refuses to show some thousands.
NUMBER = re.compile(r"\s*[+-]?[0-9]{1,100}\s*")


class CalculatorApp(ApplicationWorker):
    """Adds, subtracts and multiplies."""

    def setup_application(self) -> None:
        #: Who is calculating -> the numbers entered: of the action, then to calculate with.
        self.sessions: dict[str | None, list[int]] = {}

    def new_session(self, message: TransportUserMessage) -> Any:
        self.sessions[message.user()] = []
        return self.reply_to(message, MENU)

    def close_session(self, message: TransportUserMessage) -> None:
        self.sessions.pop(message.user(), None)

    def consume_user_message(self, message: TransportUserMessage) -> Any:
        entered = self.sessions.get(message.user())
        if entered is None:
            # From a network without sessions, or after a restart.
            return self.new_session(message)
        text = message["content"] or ""
        if NUMBER.fullmatch(text) is None:
            self.close_session(message)
            return self.reply_to(message, "Sorry invalid input!", continue_session=False)
        number = int(text)
        if not entered and not 1 <= number <= len(ACTIONS):
            return self.reply_to(message, MENU)
        entered.append(number)
        if len(entered) <= len(QUESTIONS):
            return self.reply_to(message, QUESTIONS[len(entered) - 1])
        self.close_session(message)
        action, first, second = entered
        _, calculate = ACTIONS[action - 1]
        result = f"The result is: {calculate(first, second)}."
        return self.reply_to(message, result, continue_session=False)
