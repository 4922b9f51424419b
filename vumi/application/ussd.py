"""USSD applications in the form of Vumi's ancestor, Richmond: a method for each event.

Knows how session events become calls of these methods, and which message a reply answers. New
applications are better off with :class:`~vumi.application.base.ApplicationWorker`, which does not
hide the messages.

A network that drops a session often says nothing. So a session counts as timed out when its user
has been silent for too long, and when the same user begins another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.application.base import (
    SESSION_CLOSE,
    SESSION_NEW,
    SESSION_RESUME,
    ApplicationConfig,
    ApplicationWorker,
)
from vumi.config import ConfigFloat
from vumi.tasks import as_deferred, settle

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from vumi.message import TransportUserMessage

__all__ = ["EchoWorker", "SessionType", "USSDConfig", "USSDWorker"]

DEFAULT_SESSION_TIMEOUT = 600.0


class SessionType:
    """What a reply does with the session. The values are those of the SSMI protocol."""

    #: Begins one, from our side.
    new = "1"
    #: Goes on with it: the user can answer.
    existing = "2"
    #: Ends it.
    end = "3"
    #: The same.
    timeout = "4"


#: Session type -> the event of a message that is no reply.
_EVENTS = {
    SessionType.new: SESSION_NEW,
    SessionType.existing: SESSION_RESUME,
    SessionType.end: SESSION_CLOSE,
    SessionType.timeout: SESSION_CLOSE,
}


class USSDConfig(ApplicationConfig):
    """Options of a USSD application."""

    session_timeout = ConfigFloat(
        "How long a user may be silent before the session counts as timed out, in seconds. 0: for "
        "ever, which keeps each session in memory until it is ended.",
        default=DEFAULT_SESSION_TIMEOUT,
        static=True,
        lowest=0,
        nullable=False,
    )


class USSDWorker(ApplicationWorker):
    """A USSD application. Override the four methods that end in ``ussd_session``.

    Each gets the user's number and a text, and may return a Deferred or be ``async``. A method
    that raises makes the message a dead letter.
    """

    CONFIG_CLASS: ClassVar[Any] = USSDConfig

    # What happens

    def new_ussd_session(self, msisdn: str, message: str) -> Any:
        """A user has dialled.

        :param message: What was dialled, such as ``*120*99#``, or what the network gives instead.
        """
        return self.reply(msisdn, "There is nothing here yet. Goodbye.", SessionType.end)

    def existing_ussd_session(self, msisdn: str, message: str) -> Any:
        """A user has answered.

        :param message: The answer.
        """
        raise NotImplementedError(self._to_override("existing_ussd_session"))

    def timed_out_ussd_session(self, msisdn: str, message: str) -> Any:
        """A session has timed out.

        :param message: The last thing the user has said.
        """
        raise NotImplementedError(self._to_override("timed_out_ussd_session"))

    def end_ussd_session(self, msisdn: str, message: str) -> Any:
        """A user, or the network, has ended the session; it can't be replied to.

        :param message: What the network gives; often empty.
        """
        raise NotImplementedError(self._to_override("end_ussd_session"))

    def _to_override(self, method: str) -> str:
        return f"{type(self).__name__} must override {method}()."

    # Replies

    def reply(self, msisdn: str, message: str, type: str) -> Deferred[Any]:
        """Say something to a user.

        It answers the user's last message. To a user who is in no session it is sent as a message
        of its own, with the fields of the option ``send_to``.

        :param msisdn: The user's number, as the methods above get it.
        :param message: The text.
        :param type: One of :class:`SessionType`.
        :returns: Fires with the message once the broker has it safe. You need not wait for it.
        :raises ValueError: The type is none of those.
        """
        if type not in _EVENTS:
            raise ValueError(f"{type!r} is no SessionType.")
        session = self._sessions.get(msisdn)
        if session is None:
            return self.send_to(msisdn, message, session_event=_EVENTS[type])
        goes_on = _EVENTS[type] != SESSION_CLOSE
        if not goes_on:
            self._forget(msisdn)
        return self.reply_to(session.message, message, continue_session=goes_on)

    # Sessions

    def setup_application(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._session_timeout = self.get_static_config().session_timeout

    def teardown_application(self) -> None:
        for msisdn in list(self._sessions):
            self._forget(msisdn)

    def new_session(self, message: TransportUserMessage) -> Deferred[None]:
        return Deferred.fromCoroutine(self._begin(message))

    async def _begin(self, message: TransportUserMessage) -> None:
        msisdn = message["from_addr"]
        if msisdn in self._sessions:
            await self._time_out(msisdn)
        self._remember(message)
        dialled = message["to_addr"] if message["content"] is None else message["content"]
        await settle(self.new_ussd_session(msisdn, dialled or ""))

    def consume_user_message(self, message: TransportUserMessage) -> Any:
        msisdn = message["from_addr"]
        if message["session_event"] is None and msisdn not in self._sessions:
            # From a network without sessions, such as SMS.
            return self.new_session(message)
        self._remember(message)
        return self.existing_ussd_session(msisdn, message["content"] or "")

    def close_session(self, message: TransportUserMessage) -> Any:
        self._forget(message["from_addr"])
        return self.end_ussd_session(message["from_addr"], message["content"] or "")

    def _remember(self, message: TransportUserMessage) -> None:
        msisdn = message["from_addr"]
        self._forget(msisdn)
        timer = None
        if self._session_timeout:
            timer = self.clock.callLater(self._session_timeout, self._time_out, msisdn)
        self._sessions[msisdn] = _Session(message, timer)

    def _forget(self, msisdn: str) -> _Session | None:
        session = self._sessions.pop(msisdn, None)
        if session is not None and session.timer is not None and session.timer.active():
            session.timer.cancel()
        return session

    def _time_out(self, msisdn: str) -> Deferred[Any]:
        """Tell of a session that has timed out. That it fails makes no message a dead letter."""
        session = self._forget(msisdn)
        assert session is not None  # noqa: S101 (its timer ends with it)
        told = as_deferred(self.timed_out_ussd_session, msisdn, session.message["content"] or "")
        return told.addErrback(lambda failure: self.log.err(failure, f"{msisdn} timed out"))


class _Session:
    """A user who is talking to us.

    :param message: The last one of the user's.
    :param timer: What ends the session; ``None``: nothing does.
    """

    __slots__ = ("message", "timer")

    def __init__(self, message: TransportUserMessage, timer: IDelayedCall | None) -> None:
        self.message = message
        self.timer = timer


class EchoWorker(USSDWorker):
    """Answers with what the user says, until that is a 0."""

    def new_ussd_session(self, msisdn: str, message: str) -> Any:
        return self.reply(msisdn, "Say something (0 to end).", SessionType.existing)

    def existing_ussd_session(self, msisdn: str, message: str) -> Any:
        if message == "0":
            return self.reply(msisdn, "Goodbye.", SessionType.end)
        return self.reply(msisdn, message, SessionType.existing)

    def timed_out_ussd_session(self, msisdn: str, message: str) -> None:
        self.log.info(msisdn, "timed out")

    def end_ussd_session(self, msisdn: str, message: str) -> None:
        self.log.info(msisdn, "ended the session")
