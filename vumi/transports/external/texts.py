"""A message as values of placeholders; its text whole, in parts, and in which alphabet. Pure.

Knows messages and GSM's alphabet. Knows no template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.damaged_text import mend_text
from vumi.sms_text import fits_gsm, septets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vumi.message import TransportUserMessage

__all__ = [
    "GSM",
    "MESSAGE_NAMES",
    "UNICODE",
    "fits_gsm",
    "message_values",
    "septets",
    "split_text",
    "text_values",
]

GSM, UNICODE = "gsm", "unicode"

#: The placeholders that every message has.
MESSAGE_NAMES = frozenset(
    {
        "id",
        "text",
        "text_gsm",
        "text_utf16_hex",
        "alphabet",
        "part",
        "parts",
        "to",
        "to_no_plus",
        "from",
        "from_no_plus",
        "group",
        "in_reply_to",
        "session_event",
        "transport_type",
    }
)


def message_values(
    message: TransportUserMessage, secrets: Mapping[str, str], metadata: Collection[str]
) -> dict[str, str | None]:
    """The values of a message's placeholders, but for those of its text.

    :param metadata: The names of what requests have brought with a message.
    """
    to_addr, from_addr = (_clean(message[name]) or "" for name in ("to_addr", "from_addr"))
    known = message["transport_metadata"].get("external")
    brought = known if isinstance(known, dict) else {}
    return {
        "id": _clean(message["message_id"]),
        "to": to_addr,
        "to_no_plus": to_addr.removeprefix("+"),
        "from": from_addr,
        "from_no_plus": from_addr.removeprefix("+"),
        "group": _clean(message["group"]),
        "in_reply_to": _clean(message["in_reply_to"]),
        "session_event": message["session_event"],
        "transport_type": message["transport_type"],
        **{f"secrets.{name}": value for name, value in secrets.items()},
        **{f"metadata.{name}": _clean(brought.get(name)) for name in metadata},
    }


def text_values(
    text: str, alphabets: Mapping[str, str], part: int = 1, parts: int = 1, whole: str = ""
) -> dict[str, str | None]:
    """The values of a text's placeholders.

    :param alphabets: What the network calls :data:`GSM` and :data:`UNICODE`.
    :param whole: The text that this is a part of: all parts are in one alphabet.
    """
    is_gsm = fits_gsm(whole or text)
    text = _clean(text) or ""
    alphabet = GSM if is_gsm else UNICODE
    return {
        "text": text,
        "text_gsm": text if is_gsm else None,
        "text_utf16_hex": None if is_gsm else text.encode("utf-16-be").hex(),
        "alphabet": alphabets.get(alphabet, alphabet),
        "part": str(part),
        "parts": str(parts),
    }


def _clean(value: Any) -> str | None:
    """A text that can be encoded."""
    return None if value is None else mend_text(str(value))


def split_text(text: str, most: int, in_septets: bool = False) -> list[str]:
    """Split a text, after spaces if possible. Nothing is lost: the parts are the text.

    :param most: How long a part may be.
    :param in_septets: Whether that counts septets, as some characters have two.
    """
    parts: list[str] = []
    begin, length, space = 0, 0, 0
    position = 0
    while position < len(text):
        cost = septets(text[position]) if in_septets else 1
        if length + cost > most and position > begin:
            end = space if space > begin else position
            parts.append(text[begin:end])
            begin = position = end
            length = 0
            continue
        length += cost
        position += 1
        if text[position - 1].isspace():
            space = position
    return [*parts, text[begin:]]
