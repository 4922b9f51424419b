"""An application that answers everything with one text.

The text may differ from message to message: override
:meth:`~vumi.worker.BaseWorker.get_config`.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.application import ApplicationConfig, ApplicationWorker
from vumi.config import ConfigText

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage

__all__ = ["StaticReplyApplication", "StaticReplyConfig"]


class StaticReplyConfig(ApplicationConfig):
    """Options of the application with one answer."""

    reply_text = ConfigText(
        "The answer. {user} in it becomes the address of whom it is for, {now} today's date. A "
        "brace that is meant is written twice.",
        default="Hello {user} at {now}.",
    )

    def post_validate(self) -> None:
        super().post_validate()
        # Not by the attribute: it isn't static, but looked at when the worker starts all the same.
        reply_text = StaticReplyConfig.reply_text.get_value(self)
        if reply_text is None:
            self.raise_config_error("Field 'reply_text' must be a text.")
        try:
            reply_text.format(user="+41791234567", now=date(2001, 2, 3))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self.raise_config_error(
                f"Field 'reply_text' can't be filled in ({type(error).__name__}: {error}): only "
                "{user} and {now} may be in braces."
            )


class StaticReplyApplication(ApplicationWorker):
    """Answers every message with the same text and closes the session."""

    CONFIG_CLASS: ClassVar[Any] = StaticReplyConfig

    #: Gives the date that the answer shows.
    today = staticmethod(date.today)

    def consume_user_message(self, message: TransportUserMessage) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._answer(message))

    async def _answer(self, message: TransportUserMessage) -> Any:
        config = await self.get_config(message)
        text = config.reply_text.format(user=message.user(), now=self.today())
        return await self.reply_to(message, text, continue_session=False)
