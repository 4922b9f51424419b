"""Signatures of request bodies: an HMAC of the raw bytes, under a key that both sides know.

Knows how signatures are made, written and compared. Knows no request object.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SignatureRule"]

DIGESTS = frozenset({"sha1", "sha256", "sha512"})

_WRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "hex": lambda mac: mac.hex().encode("ascii"),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
}


@dataclass(frozen=True)
class SignatureRule:
    """How one provider signs its requests, or wants ours to be signed.

    .. code-block:: python

        HUB = SignatureRule("X-Hub-Signature-256", prefix="sha256=")
        TURN = SignatureRule("X-Turn-Hook-Signature", encoding="base64")

    :param header: The header that carries the signature.
    :param digest: ``sha1``, ``sha256`` or ``sha512``.
    :param encoding: How the HMAC is written: ``hex``, ``base64`` or ``base64url``.
    :param prefix: What stands before it.
    :raises ValueError: There is no such digest or encoding.
    """

    header: str
    digest: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.digest not in DIGESTS:
            raise ValueError(f"digest is one of {', '.join(sorted(DIGESTS))}: {self.digest!r}")
        if self.encoding not in _WRITTEN:
            raise ValueError(f"encoding is one of {', '.join(_WRITTEN)}: {self.encoding!r}")

    def sign(self, key: str | bytes, body: bytes) -> str:
        """The header's value for a body.

        :param key: What both sides know; a text counts as its UTF-8.
        :param body: The body, exactly as it goes out.
        """
        return self.prefix + self._mac(key, body).decode("ascii")

    def is_valid(self, given: str, key: str | bytes, body: bytes) -> bool:
        """Whether a header's value is the signature of a body. Takes the same time either way.

        :param given: What the header says; empty if there is none.
        :param body: The body, exactly as it came.
        """
        found = given.strip()
        # Not a secret, and not compared in constant time.
        if not found.startswith(self.prefix):
            return False
        found = found[len(self.prefix) :]
        if self.encoding == "hex":
            found = found.lower()
        return hmac.compare_digest(found.encode("utf-8", "replace"), self._mac(key, body))

    def _mac(self, key: str | bytes, body: bytes) -> bytes:
        secret = key.encode("utf-8") if isinstance(key, str) else key
        return _WRITTEN[self.encoding](hmac.digest(secret, body, self.digest))
