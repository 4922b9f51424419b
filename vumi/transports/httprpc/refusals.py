"""What is refused, in the log: a line for each kind, with the reason and what to do about it.

Knows how often lines are written and what the kinds of refusals mean. Knows no request.

A provider whose token is wrong sends the same request for days: of each kind one line is written
in :data:`PERIOD`; the next one says how many there were in between.
"""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HINTS", "PERIOD", "RefusalLog", "in_words"]

#: Seconds in which a kind of refusal is logged once.
PERIOD = 60.0
#: How many kinds are told apart, and how long a reason may be, in characters.
MAX_KINDS, MAX_SHOWN = 500, 300

#: What to do about a refusal, by its type or by the HTTP status.
HINTS: dict[str | int, str] = {
    "invalid_inbound_fields": "Compare what the provider sends with the transport's page. With "
    "validation_mode: permissive, parameters that are not known are dropped.",
    "invalid_json": "The provider must send JSON: check its settings and the URL.",
    "invalid_xml": "The provider must send XML: check its settings and the URL.",
    "malformed_call": "The provider must send XML-RPC: check its settings and the URL.",
    "invalid_credentials": "Compare the token or password in the provider's settings with the "
    "transport's options.",
    "invalid_signature": "Compare the key in the provider's settings with the transport's "
    "options; a proxy must not change the body.",
    "invalid_session": "The session is over, or ussd_session_timeout is too short.",
    "invalid_message": "The fields make no message: see docs/messages.rst.",
    "nack": "See the provider's documentation and account.",
    "no_request": "The reply came too late: request_timeout was over, or the client had hung up.",
    "incomplete": "The application must reply to a message, with a text or closing the session.",
    401: "The provider must send the user name and password that web_username and web_password "
    "have (HTTP Basic).",
    404: "Nothing is served there: compare the URL in the provider's settings with web_path.",
    405: "The provider must use GET, POST or PUT.",
    413: "See max_body_bytes.",
}


PHRASES = {status.value: status.phrase for status in HTTPStatus}


class RefusalLog:
    """Writes the lines.

    :param name: Whose they are: the transport's name.
    :param seconds: Tells the time, in seconds.
    :param scrub: Takes secrets out of a text.
    """

    log = Logger()

    def __init__(
        self, name: str, seconds: Callable[[], float], scrub: Callable[[str], str]
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._scrub = scrub
        #: Kind -> when it was written last, and how many there were since
        self._kinds: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def request(self, what: str, status: int, reason: str, type: str = "") -> None:
        """A request was refused.

        :param what: Method, path and client.
        :param status: What it was answered.
        :param type: What kind of refusal it is, in a word: a key of :data:`HINTS`.
        """
        hint = HINTS.get(type) or HINTS.get(status, "")
        words = f"{what} was answered {status}: {reason or PHRASES.get(status, 'an error')}"
        self._write("http-request-refused", (type or str(status), reason), words, hint, what)

    def item(self, reason: str, type: str = "invalid_inbound_fields") -> None:
        """One of several messages or delivery reports in a request was refused."""
        words = f"One item of a request was dropped: {reason}"
        self._write("http-item-refused", ("item", reason), words, HINTS.get(type, ""))

    def message(self, message_id: str, reason: str, type: str = "nack") -> None:
        """A message was nacked.

        :param type: Which of :data:`HINTS` helps.
        """
        words = f"Message {message_id} was not sent (nack): {reason}"
        self._write("http-message-nacked", ("nack", reason), words, HINTS[type], message_id)

    def _write(
        self, event: str, kind: tuple[str, str], words: str, hint: str, about: str = ""
    ) -> None:
        now = self._seconds()
        # The message's own id in its reason would make every nack a kind of its own.
        kind = (kind[0], kind[1].replace(about, "") if about else kind[1])
        last, missed = self._kinds.get(kind, (None, 0))
        if last is not None and now - last < PERIOD:
            self._kinds[kind] = (last, missed + 1)
            return
        self._kinds[kind] = (now, 0)
        self._kinds.move_to_end(kind)
        while len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)
        self.log.warn(
            "{transport_name}: {words}{dot} {hint}{more}",
            event=event,
            transport_name=self._name,
            words=(shown := _on_one_line(self._scrub(words))),
            dot="" if shown.endswith((".", "!", "?")) else ".",
            hint=hint,
            more=f" ({missed} more since the last such line.)" if missed else "",
            kind=kind[0],
        )


def _on_one_line(text: str) -> str:
    """A text from outside, fit for a line: no control characters, not too long."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:MAX_SHOWN]


def in_words(reason: Any) -> str:
    """The body of a refusal as words."""
    if isinstance(reason, dict):
        return "; ".join(
            f"{str(name).replace('_', ' ')}: "
            + (", ".join(map(str, value)) if isinstance(value, list) else str(value))
            for name, value in reason.items()
        )
    if isinstance(reason, bytes):
        return reason.decode("utf-8", "replace")
    return str(reason)
