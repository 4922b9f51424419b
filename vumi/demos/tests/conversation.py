"""Conversations as tables: who says what, and what is answered to whom."""

from __future__ import annotations

from typing import Any

__all__ = ["converse"]

#: The session events of a turn, by how its words begin.
EVENTS = {"(dials)": "new", "(hangs up)": "close"}


async def converse(helper: Any, *turns: tuple[str, str | None, dict[str, list[str]]]) -> None:
    """Have users talk to the application that a helper has started.

    :param turns: For each: the address of who says something; what is said, ``(dials)``,
        ``(hangs up)`` or ``None`` for a message without a text; and what is answered then: address
        to texts. A text that ends with ``(end)`` closes the session.
    """
    for number, (address, said, expected) in enumerate(turns):
        event = EVENTS.get(said or "", "resume")
        text = said if event == "resume" else None
        await helper.make_dispatch_inbound(text, from_addr=address, session_event=event)
        answers: dict[str, list[str]] = {}
        for reply in helper.get_dispatched_outbound():
            end = "(end)" if reply["session_event"] == "close" else ""
            answers.setdefault(reply["to_addr"], []).append(f"{reply['content']}{end}")
        helper.clear_dispatched_outbound()
        assert answers == expected, f"turn {number}: {address} says {said!r}"
