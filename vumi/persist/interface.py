"""The seam of the key-value store: words in, a reply out.

What is behind it speaks Redis's commands: Redis itself, or a store in this process. Words are
bytes already, a reply is what Redis's protocol gives (RESP2,
https://redis.io/docs/latest/develop/reference/protocol-spec/): nothing is decoded here. Knows no
command, no key prefix and no connection.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from zope.interface import Attribute, Interface

from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["IKeyValueStore", "Reply", "ResponseError", "Word", "decode_word", "encode_word"]

#: What a command may be made of. Not ``None`` and no booleans: what they mean would be a guess.
Word: TypeAlias = bytes | str | int | float

#: ``bytes | str | int | list[Reply] | None``; ``str`` only for statuses such as ``OK``.
Reply: TypeAlias = Any


class ResponseError(StoreError):
    """Redis refused a command: a key of another type, a value that is no number, a script's error.

    :param text: Redis's own text. The code ``ERR``, which says nothing, is left out; others
        (``WRONGTYPE``, ``NOSCRIPT``) stay.

    :ivar code: The code.
    """

    def __init__(self, text: str = "") -> None:
        first, _, rest = text.partition(" ")
        self.code = first if first.isupper() and first.isalpha() else "ERR"
        super().__init__(rest if first == "ERR" else text)


class IKeyValueStore(Interface):
    """One client's way to a key-value store.

    Whether :meth:`execute` blocks and gives the reply, or gives a Deferred of it, is the same for
    all calls of one object.
    """

    address = Attribute("str: Where the store is, fit for a log.")

    def execute(words: Sequence[bytes], repeatable: bool = False) -> Reply:
        """Have a command executed.

        :param words: The command and its arguments.
        :param repeatable: Executing it twice leaves the same as executing it once, and gives the
            same reply. It may then be sent again when a connection is lost before the reply came.
        :returns: The reply, or a Deferred of it.
        :raises ResponseError: The store refused.
        :raises StoreUnavailable: The store could not be reached, or did not answer, in time.
        :raises StoreError: This client was closed.
        """

    def close() -> Any:
        """Let go of the store, for good. May be called again.

        :returns: ``None``, or a Deferred that fires when done.
        """


#: How :func:`encode_word` encodes surrogates: one that stands for a byte (:pep:`383`) as that
#: byte, any other one as UTF-8 would if it had it.
SURROGATES = "vumi.persist.surrogates"


def _encode_surrogates(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    encoded = b"".join(
        bytes([ord(half) - 0xDC00])
        if "\udc80" <= half <= "\udcff"
        else half.encode("utf-8", "surrogatepass")
        for half in error.object[error.start : error.end]
    )
    return encoded, error.end


codecs.register_error(SURROGATES, _encode_surrogates)

#: A surrogate in UTF-8's manner, each byte of it as the surrogate escape that decoding gives.
_ENCODED_SURROGATE = re.compile("\udced[\udca0-\udcbf][\udc80-\udcbf]")


def decode_word(data: bytes) -> str:
    """Make a text of bytes; :func:`encode_word` makes the same bytes of it."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
        return _ENCODED_SURROGATE.sub(_surrogate, text)


def _surrogate(found: re.Match[str]) -> str:
    _, second, third = (ord(half) for half in found[0])
    code = 0xD000 | (second & 0x3F) << 6 | (third & 0x3F)
    # These stand for bytes, and would become one byte instead of three.
    return found[0] if 0xDC80 <= code <= 0xDCFF else chr(code)


def encode_word(value: Word) -> bytes:
    """Make bytes of a part of a command: of texts their UTF-8, of numbers their digits.

    Bytes that were no UTF-8 are surrogate escapes in the texts that this store gives; they become
    the same bytes again.

    :raises TypeError: The value is none of the types that can be stored.
    """
    if isinstance(value, str):
        return value.encode("utf-8", SURROGATES)
    if isinstance(value, bytes):
        return value
    # The types' own repr(), as subclasses may have another; that of a float loses nothing.
    if isinstance(value, float):
        return float.__repr__(value).encode("ascii")
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value).encode("ascii")
    raise TypeError(
        f"{value!r} can't be stored: values are texts, bytes or numbers. Encode it first, with "
        "json.dumps() for instance."
    )
