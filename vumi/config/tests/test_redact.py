"""What of a configuration may be shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.config import Config, ConfigDict, ConfigText, redacted
from vumi.config.redact import is_credential, mask_text


class StoreConfig(Config):
    """A store."""

    name = ConfigText("Its name.")
    sesame = ConfigText("Opens it.", secret=True)
    options = ConfigDict("More.")


@pytest.mark.parametrize(
    "key",
    """
    password PASSWORD web_password http-password smppPassword smscpassword passwords passwd
    password1 password_file passphrase pwd pass smtp_pass secret client_secret secrets
    consumerSecret shared_key key_secret
    token access_token authToken oauth_token tokens dsn sentry_dsn sentry-dsn api_key api-key
    api.key apiKey APIKey APIKEY apikey apikeys my_apikey private_key private_key_file
    access_keys
    auth basic_auth oauth http-auth authorization credentials user_credentials bearer
    """.split(),  # noqa: SIM905 (a list of words reads better as words)
)
def test_keys_that_name_credentials(key: str) -> None:
    assert is_credential(key)


@pytest.mark.parametrize(
    "key",
    """
    keyword keywords key keys key_prefix key_separator routing_key primary_key monkey turkey
    author authority auth_domain web_auth_domain authenticate auth_type username user name host
    port
    pass_through bypass passenger compass secretary tokenizer url path transport_name ussd_code
    content_keyword_router apikeyed api keynote _ - 12
    """.split(),  # noqa: SIM905 (a list of words reads better as words)
)
def test_keys_that_name_none(key: str) -> None:
    assert not is_credential(key)


@pytest.mark.parametrize("key", ["", 5, None, ("password",), True])
def test_keys_that_are_no_words_are_no_credentials(key: Any) -> None:
    assert not is_credential(key)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://vumi:vumi@127.0.0.1:5672/develop", "amqp://vumi:****@127.0.0.1:5672/develop"),
        ("redis://:word@host", "redis://:****@host"),
        ("postgresql://u:p@ss/w:rd@host/db", "postgresql://u:****@host/db"),
        ("u:1234@h no url, http://u:1234@h is", "u:1234@h no url, http://u:****@h is"),
        ("amqp://a:b@c,amqp://d:e@f", "amqp://a:****@c,amqp://d:****@f"),
        ('{"a": "http://u:p\'@h/"}', '{"a": "http://u:****@h/"}'),
        ("http://host:8080/path/me@example.com", "http://host:8080/path/me@example.com"),
        ("http://host:8080 me@example.com", "http://host:8080 me@example.com"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("http://user@host/", "http://user@host/"),
        ("tcp:host=example.com:port=80", "tcp:host=example.com:port=80"),
        ("http://h/?user=me&password=word&to=1", "http://h/?user=me&password=****&to=1"),
        ("http://h/?api_key=a,b;c=1", "http://h/?api_key=****;c=1"),
        ("host=h password='a \\' b' user=me", "host=h password=**** user=me"),
        ("password='not closed user=me", "password=**** closed user=me"),
        ("password=word, keyword=word", "password=****, keyword=word"),
        ("no secret", "no secret"),
    ],
)
def test_passwords_in_urls_and_queries_are_masked(text: str, shown: str) -> None:
    assert mask_text(text) == shown


NESTED = {
    "name": "store",
    "sesame": "open",
    "options": {"host": "h", "passwords": ["a", {"b": "c"}], "list": [{"api_key": "k"}]},
    "middleware": [{"auth": "vumi.mw.Auth"}],
    "broker": "amqp://u:p@h",
    "use_auth": True,
    "token": None,
    "pin_secret": 1234,
}


def test_redacted_masks_secret_fields_and_credentials_at_any_depth() -> None:
    expected = {
        "name": "store",
        "sesame": "****",
        "options": {"host": "h", "passwords": "****", "list": [{"api_key": "****"}]},
        "middleware": [{"auth": "****"}],
        "broker": "amqp://u:****@h",
        "use_auth": True,
        "token": None,
        "pin_secret": "****",
    }
    assert redacted(StoreConfig, NESTED) == expected
    assert redacted(StoreConfig(NESTED), NESTED) == expected
    assert redacted(StoreConfig(NESTED)) == expected


def test_redacted_gives_an_independent_copy() -> None:
    data: dict[str, Any] = {"options": {"list": [1]}, "sesame": None}
    shown = redacted(StoreConfig, data)
    shown["options"]["list"].append(2)
    assert data == {"options": {"list": [1]}, "sesame": None}
    assert shown["sesame"] is None


def test_redacted_takes_data_that_hold_themselves() -> None:
    data: dict[str, Any] = {"password": "word"}
    data["again"] = [data]
    assert "word" not in repr(redacted(StoreConfig, data)).replace("password", "")


def test_redacted_masks_urls_that_are_keys() -> None:
    shown = redacted(StoreConfig, {"options": {"http://u:p@h": 1}})
    assert shown == {"options": {"http://u:****@h": 1}}


MARK = "Zq7-MARK"

json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(MARK),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(
    json_like,
    st.sampled_from(["password", "sesame", "api_key", "x_auth"]),
    st.lists(st.sampled_from(["options", "list"]), max_size=3),
)
def test_no_credential_survives_wherever_it_is(secret: Any, key: str, path: list[str]) -> None:
    data: dict[str, Any] = {key if key != "sesame" or not path else "token": [secret, MARK]}
    for step in path:
        data = {step: [data] if step == "list" else data}
    assert MARK not in json.dumps(redacted(StoreConfig, data))


@given(st.text(st.characters(exclude_characters="*"), min_size=4), st.text())
def test_no_secret_is_left_in_a_scrubbed_text(secret: str, text: str) -> None:
    config = StoreConfig({"sesame": secret})
    assert secret not in config.scrub(f"{text}{secret}{text}")
