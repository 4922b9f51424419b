"""GSM 03.38 and UCS-2, and one codec object that knows them beside Python's own encodings.

Knows characters and bytes; nothing of messages or protocols. Septets are not packed: as in SMPP,
each travels in a byte of its own.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, ClassVar

from zope.interface import implementer

from vumi.codecs.ivumi_codecs import IVumiCodec
from vumi.errors import VumiError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GSM7BitCodec", "UCS2Codec", "VumiCodec", "VumiCodecException"]


class VumiCodecException(VumiError):
    """A codec was asked for what it can't do."""


_ESCAPE = 0x1B

# 3GPP TS 23.038 (GSM 03.38) section 6.2.1, the default alphabet by code. The escape's place is
# taken by a character that is never looked up.
GSM_ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)

# Section 6.2.1.1, the default alphabet's extension: what a code means after an escape.
GSM_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

_GSM_DECODING = {
    **{bytes([code]): char for code, char in enumerate(GSM_ALPHABET) if code != _ESCAPE},
    **{bytes([_ESCAPE, code]): char for code, char in GSM_EXTENSION.items()},
}

_GSM_ENCODING: dict[int, bytes | int | None] = {
    ord(char): encoded for encoded, char in _GSM_DECODING.items()
}


class GSM7BitCodec(codecs.Codec):
    """GSM 03.38's default alphabet with its extension, a septet in each byte.

    As the standard library's codecs do, both methods return the result with how much of the input
    was used.
    """

    NAME = "gsm0338"

    #: What `errors` may be. ``replace`` puts a question mark.
    ERRORS = frozenset(["strict", "ignore", "replace"])

    def encode(self, input: str, errors: str = "strict") -> tuple[bytes, int]:
        """Encode a text.

        :raises UnicodeEncodeError: GSM lacks a character, and `errors` is ``strict``.
        :raises VumiCodecException: `errors` is none of :attr:`ERRORS`.
        """
        self._check_errors(errors)
        try:
            return codecs.charmap_encode(input, errors, _GSM_ENCODING)
        except UnicodeEncodeError as error:
            raise UnicodeEncodeError(
                self.NAME, error.object, error.start, error.end, "not in the GSM alphabet"
            ) from None

    def decode(self, input: bytes, errors: str = "strict") -> tuple[str, int]:
        """Decode bytes.

        An escape that escapes nothing (the last byte, or before a code that the extension hasn't)
        is the error by itself; what follows is read on its own, as the standard asks of a phone.

        :raises UnicodeDecodeError: A byte means nothing, and `errors` is ``strict``.
        :raises VumiCodecException: `errors` is none of :attr:`ERRORS`.
        """
        self._check_errors(errors)
        characters: list[str] = []
        position = 0
        while position < len(input):
            width = 2 if input[position] == _ESCAPE else 1
            character = _GSM_DECODING.get(input[position : position + width])
            if character is not None:
                characters.append(character)
                position += width
                continue
            if errors == "strict":
                raise UnicodeDecodeError(
                    self.NAME, input, position, position + 1, "not in the GSM alphabet"
                )
            if errors == "replace":
                characters.append("?")
            position += 1
        return "".join(characters), len(input)

    def _check_errors(self, errors: str) -> None:
        if errors not in self.ERRORS:
            raise VumiCodecException(
                f"{self.NAME} has no error handling {errors!r}; it knows "
                f"{', '.join(sorted(self.ERRORS))}."
            )


class UCS2Codec(codecs.Codec):
    """UCS-2 as networks use it: UTF-16, big-endian, without a byte order mark.

    Characters beyond the first 65,536 (most emoji) travel as surrogate pairs, as all phones that
    show them expect.
    """

    def encode(self, input: str, errors: str = "strict") -> tuple[bytes, int]:
        """Encode a text. Errors are those of Python's ``utf-16-be``."""
        return codecs.utf_16_be_encode(input, errors)

    def decode(self, input: bytes, errors: str = "strict") -> tuple[str, int]:
        """Decode bytes. Errors are those of Python's ``utf-16-be``; half a character is one."""
        return codecs.utf_16_be_decode(input, errors, True)


@implementer(IVumiCodec)
class VumiCodec:
    """Encodes and decodes by an encoding's name: vumi's own and all text encodings of Python."""

    #: Name (in lower case) to codec. Subclasses may have others.
    custom_codecs: ClassVar[Mapping[str, codecs.Codec]] = {
        GSM7BitCodec.NAME: GSM7BitCodec(),
        "ucs2": UCS2Codec(),
    }

    #: The encoding when none is named.
    default_encoding: ClassVar[str] = "utf-8"

    def encode(
        self, unicode_string: str, encoding: str | None = None, errors: str = "strict"
    ) -> bytes:
        """Encode a text.

        :param unicode_string: The text.
        :param encoding: ``gsm0338``, ``ucs2`` or a text encoding of Python's; ``None``: UTF-8.
        :param errors: ``strict``, ``ignore``, ``replace``; all but ``gsm0338`` take others, too.
        :raises VumiCodecException: `unicode_string` is no text, or GSM was given other `errors`.
        :raises UnicodeEncodeError: The encoding lacks a character, and `errors` is ``strict``.
        :raises LookupError: There is no such encoding.
        """
        if not isinstance(unicode_string, str):
            raise VumiCodecException("Only Unicode strings accepted for encoding.")
        encoding = encoding or self.default_encoding
        codec = self.custom_codecs.get(encoding.lower())
        if codec is None:
            return unicode_string.encode(encoding, errors)
        return codec.encode(unicode_string, errors)[0]

    def decode(
        self, byte_string: bytes, encoding: str | None = None, errors: str = "strict"
    ) -> str:
        """Decode bytes.

        :param byte_string: The bytes.
        :param encoding: ``gsm0338``, ``ucs2`` or a text encoding of Python's; ``None``: UTF-8.
        :param errors: ``strict``, ``ignore``, ``replace``; all but ``gsm0338`` take others, too.
        :raises VumiCodecException: `byte_string` is not bytes, or GSM was given other `errors`.
        :raises UnicodeDecodeError: Some bytes mean nothing, and `errors` is ``strict``.
        :raises LookupError: There is no such encoding.
        """
        if not isinstance(byte_string, bytes):
            raise VumiCodecException("Only bytestrings accepted for decoding.")
        encoding = encoding or self.default_encoding
        codec = self.custom_codecs.get(encoding.lower())
        if codec is None:
            return byte_string.decode(encoding, errors)
        return codec.decode(byte_string, errors)[0]


def is_encoding(name: str, codec: IVumiCodec | None = None) -> bool:
    """Whether there is an encoding of a name.

    :param codec: What knows it; ``None``: a :class:`VumiCodec`.
    """
    try:
        # Not of nothing: Python doesn't look at the name then.
        (codec or VumiCodec()).decode(b"0000", name)
    except UnicodeError:
        # There is one; only these bytes mean nothing in it.
        return True
    except (LookupError, ValueError):
        return False
    return True
