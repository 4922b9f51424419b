"""Phones: who has a session, and what becomes of it.

Knows what a network knows of its users' sessions. Knows no message bus, no terminal and no script.

With a transport type that has sessions (USSD, telnet) a phone is either in a session or not. What
is sent without one begins one. A session ends when the phone closes it, when the network drops it,
or by a reply that closes it. With any other type (SMS) there are no sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

from vumi.errors import VumiError

__all__ = ["SESSION_TYPES", "HandsetError", "Phone", "Phones", "Spoken"]

#: The transport types whose users have sessions.
SESSION_TYPES = frozenset(["ussd", "telnet"])


class HandsetError(VumiError):
    """What a user of the handset asked for can't be done."""


@dataclass(frozen=True)
class Spoken:
    """What a phone sends.

    :ivar address: Whose phone.
    :ivar session_event: ``new``, ``resume``, ``close`` or ``None``.
    :ivar content: The text, if any.
    """

    address: str
    session_event: str | None
    content: str | None


class Phone:
    """One user's phone.

    :param address: Its address.
    :param has_sessions: Whether the network has sessions.

    :ivar in_session: Whether it has one now.
    :ivar closed_by_application: Whether the last session was ended by a reply, and nothing was
        sent since.
    """

    def __init__(self, address: str, has_sessions: bool) -> None:
        self.address = address
        self.has_sessions = has_sessions
        self.in_session = False
        self.closed_by_application = False

    def say(self, text: str) -> Spoken:
        """Send a text; without a session it begins one."""
        if not self.has_sessions:
            return Spoken(self.address, None, text)
        if not self.in_session:
            return self.dial(text or None)
        return Spoken(self.address, "resume", text)

    def dial(self, text: str | None = None) -> Spoken:
        """Begin a session.

        :param text: What the first message says; most networks have it say nothing.
        :raises HandsetError: There is one, or there are none at all.
        """
        self._check_sessions()
        if self.in_session:
            raise HandsetError(
                f"{self.address} is in a session: /close it, or have it time out (/timeout)."
            )
        self.in_session = True
        self.closed_by_application = False
        return Spoken(self.address, "new", text)

    def close(self) -> Spoken:
        """End the session, and tell the application.

        :raises HandsetError: There is none.
        """
        self._check_in_session()
        self.in_session = False
        return Spoken(self.address, "close", None)

    def time_out(self) -> None:
        """End the session without telling the application, as many networks do.

        :raises HandsetError: There is none.
        """
        self._check_in_session()
        self.in_session = False

    def hear(self, session_event: str | None) -> bool:
        """Take a message.

        :param session_event: The message's.
        :returns: Whether it could be taken; it can't be without a session.
        """
        if not self.has_sessions:
            return True
        if not self.in_session:
            return False
        if session_event == "close":
            self.in_session = False
            self.closed_by_application = True
        return True

    def _check_sessions(self) -> None:
        if not self.has_sessions:
            raise HandsetError("There are no sessions with this transport type.")

    def _check_in_session(self) -> None:
        self._check_sessions()
        if not self.in_session:
            raise HandsetError(f"{self.address} is in no session.")


class Phones:
    """All phones, and the one in hand.

    :param address: The first one's address.
    :param has_sessions: Whether the network has sessions.
    """

    def __init__(self, address: str, has_sessions: bool) -> None:
        self._has_sessions = has_sessions
        self._phones: dict[str, Phone] = {}
        self.current = self.take(address)

    def take(self, address: str) -> Phone:
        """Take a phone in hand; a new one if nobody has had that address."""
        self.current = self.get(address)
        return self.current

    def get(self, address: str) -> Phone:
        """The phone with an address, which stays where it is."""
        if address not in self._phones:
            self._phones[address] = Phone(address, self._has_sessions)
        return self._phones[address]

    def all(self) -> list[Phone]:
        """All phones that were in hand or were sent something, in that order."""
        return list(self._phones.values())
