"""What Clickatell's two APIs say: codes, and texts in many encodings. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from vumi.errors import VumiError

__all__ = [
    "LEGACY_STATUSES",
    "PLATFORM_STATUSES",
    "Unreadable",
    "decode_text",
    "hex_ucs2",
    "parse_legacy_answer",
    "plain_number",
    "unescape_text",
]

#: What the platform's status codes mean; others are pending.
PLATFORM_STATUSES = {
    4: "delivered",
    **dict.fromkeys((1, 5, 6, 7, 9, 10, 12, 14), "failed"),
}

#: What the old API's status codes mean; others are pending.
LEGACY_STATUSES = {
    **dict.fromkeys((4, 8), "delivered"),
    **dict.fromkeys((5, 6, 7, 9, 10, 12), "failed"),
}

#: The encodings that Clickatell names, as Python has them.
CHARSETS = {
    "": "utf-8",
    "utf-8": "utf-8",
    "us-ascii": "utf-8",
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
    "utf-16be": "utf-16-be",
}

_ID = re.compile(r"ID:\s*(\S+)")
_ERROR = re.compile(r"ERR:\s*(\d+)\s*(?:,\s*(.*))?")


class Unreadable(VumiError):
    """A text is not in the encoding that it is said to be in."""


def decode_text(raw: bytes, charset: str) -> str:
    """Read a text.

    :param charset: What Clickatell says it is encoded in.
    :raises Unreadable: It isn't, or nobody knows that encoding.
    """
    encoding = CHARSETS.get(charset.strip().lower())
    if encoding is None:
        raise Unreadable(f"The charset {charset[:50]!r} is not known.")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise Unreadable(f"The text is not in {charset or 'UTF-8'}.") from None


def unescape_text(text: str, charset: str) -> str:
    """Read a text of the platform's: in other encodings than UTF-8 it is percent-escaped bytes.

    :raises Unreadable: See :func:`decode_text`.
    """
    if CHARSETS.get(charset.strip().lower()) == "utf-8":
        return text
    return decode_text(unquote_to_bytes(text.replace("+", " ")), charset)


def hex_ucs2(text: str) -> str:
    """A text as the old API has those that are not plain: UTF-16 in hex digits."""
    return text.encode("utf-16-be", "replace").hex()


def plain_number(address: str) -> str:
    """A phone number in digits, as both APIs have it: without a plus sign or leading zeros."""
    return address.lstrip("+").lstrip("0")


def parse_legacy_answer(body: str) -> tuple[str | None, str | None]:
    """Read what the old API answers.

    :returns: The message's id and ``None``, or ``None`` and why it was refused; both ``None`` if
        it is neither.
    """
    line = body.strip().partition("\n")[0].strip()
    if found := _ID.match(line):
        return found[1], None
    if found := _ERROR.match(line):
        return None, f"ERR {found[1]}: {(found[2] or '').strip() or 'no reason given'}"
    return None, None
