"""What of a configuration may be shown.

Knows what looks like a credential: keys by the words in them, URLs by their form. Knows of a
configuration only its declared fields and its raw data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

from vumi.config.tree import TreeCopier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vumi.config.base import Config, ConfigField

__all__ = [
    "MASK",
    "given_options",
    "is_credential",
    "mask_text",
    "redact_tree",
    "redacted",
    "scrub",
    "secret_texts",
]

MASK = "****"

#: Shorter secrets are left in texts: replacing them would eat every other word.
MIN_SECRET_LENGTH = 4


# What looks like a credential

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# The end of a word: "smscpassword" and "authtoken" are written in one word by some.
_CREDENTIAL_WORD = re.compile(
    r"(?:password|passwd|passphrase|passcode|secret|token|credential)s?$"
    r"|^(?:pwd|dsn|creds|bearer|authorization)$"
)

# At the end of a key only: "auth_domain", "auth_type" and "pass_through" are no credentials.
_CREDENTIAL_LAST_WORD = re.compile(r"auth$|^pass$")

#: Before "key" these make a credential; "routing key", "key prefix" and "keyword" are none.
_KEY_KINDS = frozenset(
    {
        "access",
        "account",
        "api",
        "app",
        "auth",
        "client",
        "consumer",
        "encryption",
        "hmac",
        "license",
        "private",
        "secret",
        "service",
        "shared",
        "signing",
        "ssh",
    }
)


def is_credential(key: Any) -> bool:
    """Whether what a key names is likely to be a credential, by the words of the key."""
    if not isinstance(key, str):
        return False
    words = [word.lower() for word in _WORDS.findall(key)]
    if not words:
        return False
    if _CREDENTIAL_LAST_WORD.search(words[-1]) or any(map(_CREDENTIAL_WORD.search, words)):
        return True
    return any(map(_is_key_of_kind, ["", *words], words))


def _is_key_of_kind(before: str, word: str) -> bool:
    """Whether a word is "apikey", or "key" after "api"."""
    kind, key, rest = word.rpartition("key")
    return bool(key) and rest in ("", "s") and (kind or before) in _KEY_KINDS


# scheme://user:password@host. A password may have unquoted "/" (some clients take it), so all up
# to the last "@" is the password, unless what follows the colon is a port.
_URL_PASSWORD = re.compile(r"(://[^\s/?#@:\[\]]*):(?!\d+(?:[/?#,\s]|$))((?:(?!://)\S)*)@")

# name=value, as in a query string or a database's connection string.
_ASSIGNMENT = re.compile(
    r"(?<![\w.-])([\w.-]{1,64}=)"
    r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?:[^&;,\s#]|,(?!\s))+)"
)


def mask_text(text: str) -> str:
    """Replace passwords in URLs (before the host or in the query) by ``****``."""
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    if "=" in text:
        text = _ASSIGNMENT.sub(_mask_assignment, text)
    return text


def _mask_assignment(match: re.Match[str]) -> str:
    return match[1] + MASK if is_credential(match[1]) else match[0]


# Data fit for a log


class _Redactor(TreeCopier):
    """Copies data, with everything that looks like a credential replaced."""

    def entry(self, key: Any, value: Any) -> tuple[Any, Any]:
        shown_key = self.leaf(key)
        # Null and yes/no tell that there is something, not what it is.
        if is_credential(key) and value is not None and not isinstance(value, bool):
            return shown_key, MASK
        return shown_key, self.copy(value)

    def leaf(self, value: Any) -> Any:
        return mask_text(value) if isinstance(value, str) else value


def redact_tree(value: Any) -> Any:
    """A deep copy of nested data in which what looks like a credential is ``****``."""
    return _Redactor().copy(value)


def redacted(
    config_or_class: Config | type[Config], data: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A deep copy of raw configuration data that is fit for a log.

    The values of secret fields become ``****``, and so do, at any depth, values under keys that
    look like credentials and the passwords in URLs. Nulls stay, to show that nothing was given.

    :param config_or_class: Whose fields tell what is secret.
    :param data: The data; if left out, that of the configuration.
    """
    if data is None:
        data = _known_data(config_or_class)
    shown: dict[str, Any] = redact_tree(dict(data))
    for field in config_or_class._fields.values():
        if field.secret and data.get(field.name) is not None:
            shown[field.name] = MASK
    return shown


def given_options(config: Config) -> dict[str, Any]:
    """The raw values of those declared options that were given."""
    data = config._config_data
    names = (field.name for field in config._fields.values())
    return {name: data.get(name, None) for name in names if name in data}


def _known_data(config: Any) -> dict[str, Any]:
    data = getattr(config, "_config_data", {})
    if isinstance(data, Mapping):
        return dict(data)
    return given_options(config)


# Texts fit for a log


def secret_texts(config: Config) -> set[str]:
    """Every text that must not be shown, in each form that it may have in a log."""
    found: set[str] = set()
    others = _known_data(config)
    # What may not be read of a static configuration must not be shown either.
    config = copy(config)
    config._static = False
    for field in config._fields.values():
        if field.secret:
            found.update(_texts_of(_given_value(config, field)))
            others.pop(field.name, None)
    found.update(_credential_texts(others, set()))
    return {form for text in found for form in _written_forms(text)}


def _given_value(config: Config, field: ConfigField[Any]) -> Any:
    # A default stands in the source for all to see, and is often a common word.
    try:
        value = field.find_value(config) if field.present(config) else None
    except Exception:  # noqa: BLE001 (texts are scrubbed while an error is told: no second error)
        value = config._config_data.get(field.name, None)
    return None if value == field.default else value


def _texts_of(value: Any, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """The texts in a value that is secret as a whole."""
    if isinstance(value, bool) or id(value) in seen:
        return
    if isinstance(value, str):
        yield value
        yield from _url_passwords(value)
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, dict | list | tuple | set | frozenset):
        items = value.values() if isinstance(value, dict) else value
        for item in items:
            yield from _texts_of(item, seen | {id(value)})


def _credential_texts(value: Any, seen: set[int]) -> Iterator[str]:
    """The texts under keys that look like credentials; numbers there are too often none."""
    if isinstance(value, str):
        yield from _url_passwords(value)
    elif isinstance(value, dict | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        if not isinstance(value, dict):
            for item in value:
                yield from _credential_texts(item, seen)
            return
        for key, item in value.items():
            if is_credential(key) and not isinstance(item, int):
                yield from _texts_of(item)
            else:
                yield from _credential_texts(item, seen)


def _url_passwords(text: str) -> Iterator[str]:
    for match in _URL_PASSWORD.finditer(text):
        yield match[2]
        yield unquote(match[2])


def _written_forms(text: str) -> Iterator[str]:
    if len(text) < MIN_SECRET_LENGTH:
        return
    yield text
    # As Python, JSON and URLs write it. A lone surrogate has no form in a URL.
    yield repr(text)[1:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield quote(text, safe="", errors="replace")
    yield quote_plus(text, errors="replace")


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in a text, and the passwords in its URLs, by ``****``."""
    # The longest first: one secret may be part of another.
    alternatives = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    if alternatives:
        text = re.sub(alternatives, MASK, text)
    return mask_text(text)
