"""Signatures are those that providers document, and others are refused."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.web.outgoing import signature
from vumi.web.signatures import SignatureRule

KEY, BODY = "key", b"The quick brown fox jumps over the lazy dog"
# Widely published: of the key and the sentence above.
SHA1 = "de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9"
SHA256 = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SignatureRule("X-S"), SHA256),
        (SignatureRule("X-S", prefix="sha256="), f"sha256={SHA256}"),
        (SignatureRule("X-S", digest="sha1"), SHA1),
        (
            SignatureRule("X-S", encoding="base64"),
            base64.b64encode(bytes.fromhex(SHA256)).decode(),
        ),
        (
            SignatureRule("X-S", digest="sha512", encoding="base64url"),
            base64.urlsafe_b64encode(hmac.new(b"key", BODY, hashlib.sha512).digest()).decode(),
        ),
    ],
)
def test_a_signature_is_made_and_recognized(rule: SignatureRule, expected: str) -> None:
    assert rule.sign(KEY, BODY) == expected
    assert rule.is_valid(expected, KEY, BODY)
    assert rule.is_valid(f" {expected} ", KEY.encode(), BODY)
    assert not rule.is_valid(expected, KEY, BODY + b"!")
    assert not rule.is_valid(expected, KEY + "!", BODY)
    assert not rule.is_valid(expected[:-1], KEY, BODY)


def test_case_matters_where_it_means_something() -> None:
    assert SignatureRule("X-S").is_valid(SHA256.upper(), KEY, BODY)
    rule = SignatureRule("X-S", encoding="base64")
    assert not rule.is_valid(rule.sign(KEY, BODY).swapcase(), KEY, BODY)


@given(st.text())
def test_whatever_comes_as_a_signature_is_refused(given_: str) -> None:
    for prefix in ("", "sha256="):
        rule = SignatureRule("X-S", prefix=prefix)
        assert not rule.is_valid(given_, KEY, b"")
        assert not rule.is_valid(prefix + given_, KEY, b"")


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="digest"):
        SignatureRule("X-S", digest="md5")
    with pytest.raises(ValueError, match="encoding"):
        SignatureRule("X-S", encoding="base32")


def test_the_relays_sign_by_the_same_rule() -> None:
    assert signature(KEY, BODY) == f"sha256={SHA256}"
