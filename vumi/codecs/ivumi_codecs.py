"""What a codec class for messages must be able to do."""

from __future__ import annotations

from zope.interface import Interface

__all__ = ["IVumiCodec"]


# Methods of a zope interface are declared without self.
class IVumiCodec(Interface):
    """Turns a message's text into the bytes that a network carries, and back."""

    def encode(unicode_string: str, encoding: str | None = None, errors: str = "strict") -> bytes:
        """Encode a text.

        :param unicode_string: The text.
        :param encoding: The encoding's name.
        :param errors: What to do with a character that the encoding lacks, named as for
            :meth:`str.encode`.
        :raises VumiCodecException: `unicode_string` is no text.
        :raises UnicodeEncodeError: The encoding lacks a character, and `errors` is ``strict``.
        """

    def decode(byte_string: bytes, encoding: str | None = None, errors: str = "strict") -> str:
        """Decode bytes.

        :param byte_string: The bytes.
        :param encoding: The encoding's name.
        :param errors: What to do with bytes that mean nothing, named as for
            :meth:`bytes.decode`.
        :raises VumiCodecException: `byte_string` is not bytes.
        :raises UnicodeDecodeError: Some bytes mean nothing, and `errors` is ``strict``.
        """
