"""What Clickatell's two APIs say: codes, and texts in many encodings. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from vumi.damaged_text import decode_text as decode_damaged
from vumi.damaged_text import mend_text

__all__ = [
    "LEGACY_STATUSES",
    "PLATFORM_STATUSES",
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


def decode_text(raw: bytes, charset: str) -> str:
    """Read a text. What means nothing in its encoding becomes U+FFFD.

    :param charset: What Clickatell says it is encoded in. UTF-8 if there is no such encoding.
    """
    name = charset.strip().lower()
    try:
        return decode_damaged(raw, CHARSETS.get(name, name))
    except (LookupError, ValueError):
        return decode_damaged(raw)


def unescape_text(text: str, charset: str) -> str:
    """Read a text of the platform's: in other encodings than UTF-8 it is percent-escaped bytes.

    One in an encoding that is not known stays as it is.
    """
    name = charset.strip().lower()
    try:
        encoding = CHARSETS.get(name, name)
        if encoding == "utf-8":
            return text
        return decode_damaged(unquote_to_bytes(text.replace("+", " ")), encoding)
    except (LookupError, ValueError):
        return text


def hex_ucs2(text: str) -> str:
    """A text as the old API has those that are not plain: UTF-16 in hex digits."""
    return mend_text(text).encode("utf-16-be").hex()


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
