"""Texts that arrive damaged: what can be read is kept, the rest becomes U+FFFD. Pure.

Phones, gateways and applications cut messages in the middle of a character. A damaged character
must not cost the message, let alone the other messages of a batch. Every channel uses this rule,
in both directions.

Knows encodings and JSON. Knows no channel.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from vumi.codecs.gsm_shifts import decode_gsm
from vumi.codecs.vumi_codecs import GSM7BitCodec, VumiCodec

__all__ = ["REPLACEMENT", "decode_text", "mend_data", "mend_text", "read_json"]

#: Stands for what can't be read (The Unicode Standard, section 23.8).
REPLACEMENT = "\ufffd"

_BOM = "\ufeff"
_SURROGATE = re.compile("[\ud800-\udfff]")
#: JSON's escape of a surrogate.
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_CODEC = VumiCodec()


def decode_text(octets: bytes, encoding: str = "utf-8") -> str:
    """Decode a text. Octets that mean nothing become U+FFFD; a byte order mark goes away.

    A mark of the other byte order is believed.

    :param encoding: ``gsm0338``, ``ucs2`` or a text encoding of Python's.
    :raises LookupError: There is no such encoding.
    """
    if octets.startswith(b"\xff\xfe") and _is_utf_16_be(encoding):
        octets, encoding = octets[2:], "utf-16-le"
    try:
        text = _CODEC.decode(octets, encoding)
    except UnicodeError:
        if encoding.lower() == GSM7BitCodec.NAME:
            text = decode_gsm(octets)
        else:
            text = _CODEC.decode(octets, encoding, "replace")
    # A few encodings, such as raw-unicode-escape, decode to halves of a character.
    return mend_text(text.removeprefix(_BOM))


def _is_utf_16_be(encoding: str) -> bool:
    letters = encoding.lower().replace("-", "").replace("_", "")
    return letters in ("ucs2", "utf16be")


def mend_text(text: str) -> str:
    """Make a text one that every encoding of Unicode can carry.

    Two halves of a character that belong together are joined; a half alone becomes U+FFFD.
    """
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mend_data(data: Any) -> Any:
    """Mend all texts in JSON-like data, the names of members included.

    :raises RecursionError: The data is nested too deep.
    """
    if isinstance(data, str):
        return mend_text(data)
    if isinstance(data, dict):
        return {mend_data(name): mend_data(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [mend_data(item) for item in data]
    return data


def read_json(body: bytes) -> Any:
    """Read JSON that somebody else has written.

    Octets that are no UTF-8, and halves of a character (``"ok \\ud83d"``), become U+FFFD.

    :raises ValueError: It is no JSON (RFC 8259), or nested too deep.
    """
    text = decode_text(body)
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
        return mend_data(data) if _ESCAPED_SURROGATE.search(text) else data
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
