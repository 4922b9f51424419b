"""The simulator at a terminal: lines that are typed, and lines that tell what happens.

Knows what lines mean. Knows no terminal: lines come in by :meth:`Console.typed` and go out by a
callable.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from vumi.errors import VumiError
from vumi.tasks import on_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.python.failure import Failure

    from vumi.transports.smpp.simulator.smsc import Smsc

__all__ = ["HELP", "Console"]

HELP = """\
+27831234567 -> 8080: text   a message from a phone
text                         another one, from the same phone to the same address
/binds                       who is bound
/freeze 5                    do nothing for 5 seconds
/disconnect                  cut all connections
/report ID failed            a delivery report
/help, /quit"""

_MESSAGE = re.compile(r"(\S+)\s*->\s*([^\s:]+)\s*:\s?(.*)", re.DOTALL)


class Console:
    """Takes lines and shows lines.

    :param smsc: What it is about.
    :param show: Called with a kind (``said``, ``heard``, ``note``, ``error``) and a text.
    :param end: Called when it is to end.
    """

    log = Logger()

    def __init__(
        self, smsc: Smsc, show: Callable[[str, str], object], end: Callable[[], object]
    ) -> None:
        self._smsc = smsc
        self._show = show
        self._end = end
        self._last: tuple[str, str] | None = None
        self._commands: dict[str, Callable[[list[str]], Iterator[str]]] = {
            "/binds": self._binds,
            "/freeze": self._freeze,
            "/disconnect": self._disconnect,
            "/report": self._report,
            "/help": self._help,
        }
        smsc.observers.append(self._happened)

    def typed(self, line: str) -> None:
        """Take a line."""
        line = line.strip()
        if not line:
            return
        if line.startswith("/"):
            self._command(line)
            return
        match = _MESSAGE.fullmatch(line)
        if match is not None:
            self._last = match[1], match[2]
            self._send(*self._last, match[3])
        elif self._last is not None:
            self._send(*self._last, line)
        else:
            self._show("error", "From whom, to whom? +27831234567 -> 8080: text")

    def _send(self, from_addr: str, to_addr: str, text: str) -> None:
        if not self._smsc.bound:
            self._show("note", "Nobody is bound yet: it waits.")
        try:
            sent = self._smsc.send_from_phone(from_addr, to_addr, text)
        except VumiError as error:
            self._show("error", str(error))
            return

        def failed(failure: Failure) -> None:
            self._show("error", failure.getErrorMessage())

        on_outcome(sent, lambda _: None, failed)

    def _command(self, line: str) -> None:
        name, *words = line.split()
        if name == "/quit":
            self._end()
            return
        command = self._commands.get(name)
        if command is None:
            self._show("error", f"There is no {name}. /help tells what there is.")
            return
        try:
            for text in command(words):
                self._show("note", text)
        except (VumiError, ValueError) as error:
            self._show("error", str(error))

    # Commands

    def _binds(self, words: list[str]) -> Iterator[str]:
        binds = self._smsc.binds()
        if not binds:
            yield "Nobody is bound."
        for bind in binds:
            yield "{account} {state} {peer}".format(**bind)

    def _freeze(self, words: list[str]) -> Iterator[str]:
        if len(words) > 1:
            raise ValueError("/freeze SECONDS")
        self._smsc.freeze(float(words[0]) if words else 5.0)
        yield from ()

    def _disconnect(self, words: list[str]) -> Iterator[str]:
        yield f"Cut: {self._smsc.disconnect(words[0] if words else None)}."

    def _report(self, words: list[str]) -> Iterator[str]:
        if len(words) != 2:
            raise ValueError("/report ID STATE")
        self._smsc.report(*words)
        yield from ()

    def _help(self, words: list[str]) -> Iterator[str]:
        yield from HELP.splitlines()

    # What happens

    def _happened(self, what: str, about: dict[str, Any]) -> None:
        told = _TOLD.get(what)
        if told is not None:
            kind, text = told(about)
            if text:
                self._show(kind, text)


def _submitted(about: dict[str, Any]) -> tuple[str, str]:
    if about["status"] == "ESME_ROK":
        return "note", ""
    return "error", f"< {about['from']} -> {about['to']}: {about['text']}  [{about['status']}]"


def _message(about: dict[str, Any]) -> tuple[str, str]:
    ids = ", ".join(part["id"] for part in about["parts"])
    return "heard", f"< {about['from']} -> {about['to']}: {about['text']}  [{ids}]"


def _mo_answered(about: dict[str, Any]) -> tuple[str, str]:
    text = f"> {about['from']} -> {about['to']}: {about['text']}"
    wrong = sorted(set(about["statuses"]) - {"ESME_ROK"})
    if wrong:
        return "error", f"{text}  [{', '.join(wrong)}]"
    parts = len(about["statuses"])
    return "said", text if parts == 1 else f"{text}  [{parts} parts]"


def _report(about: dict[str, Any]) -> tuple[str, str]:
    answer = "" if about["answer"] == "ESME_ROK" else f", answered {about['answer']}"
    return "note", f"# report of {about['id']}: {about['state']}{answer}"


_TOLD: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "submitted": _submitted,
    "message": _message,
    "mo_answered": _mo_answered,
    "report": _report,
    "bound": lambda about: ("note", f"# {about['account']} is bound: {about['state']}"),
    "unbound": lambda about: ("note", f"# {about['account']} is gone: {about['why']}"),
    "bind_refused": lambda about: (
        "error",
        f"# {about['account']!r} is not let in: {about['status']}",
    ),
    "frozen": lambda about: ("note", f"# frozen for {about['seconds']:g} seconds"),
    "thawed": lambda about: ("note", "# going on"),
    "lost_response": lambda about: ("note", f"# the answer to {about['id']} is lost"),
}
