"""Broker addresses from URLs and from the classic options."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.broker import BrokerAddress
from vumi.errors import ConfigError
from vumi.tls import TLSOptions

DEFAULTS: dict[str, Any] = {
    "scheme": "amqp",
    "hosts": (("127.0.0.1", 5672),),
    "username": "vumi",
    "password": "vumi",
    "vhost": "/develop",
    "heartbeat": 30,
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://h", {"hosts": (("h", 5672),)}),
        ("amqp://h:1/", {"hosts": (("h", 1),)}),
        ("amqp://u:p@h/%2Fprod", {"hosts": (("h", 5672),), "username": "u", "password": "p",
                                  "vhost": "/prod"}),
        ("amqp://u:p%40%2F@h/prod", {"hosts": (("h", 5672),), "username": "u",
                                     "password": "p@/", "vhost": "prod"}),
        ("amqp://a,b:7,[::1]:8/v", {"hosts": (("a", 5672), ("b", 7), ("::1", 8)), "vhost": "v"}),
        ("amqps://h", {"scheme": "amqps", "hosts": (("h", 5671),), "tls": TLSOptions()}),
        ("amqps://h?ca_certs=/ca.pem&server_name=n",
         {"scheme": "amqps", "hosts": (("h", 5671),),
          "tls": TLSOptions("/ca.pem", server_name="n")}),
        ("amqp://h/v?heartbeat=0", {"hosts": (("h", 5672),), "vhost": "v", "heartbeat": 0}),
    ],
)  # fmt: skip
def test_urls(url: str, expected: dict[str, Any]) -> None:
    address = BrokerAddress.from_url(url)
    for name, value in {**DEFAULTS, **expected}.items():
        assert getattr(address, name) == value, name


def test_memory_urls() -> None:
    assert BrokerAddress.from_url("memory:").scheme == "memory"
    assert str(BrokerAddress.from_url("memory://")) == "memory:"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a broker URL"),
        ("redis://h", "not a broker URL"),
        ("amqp:h", "not a broker URL"),
        ("http://u:s3cret@h", "not a broker URL"),
        ("amqp://h:x", "not a TCP port"),
        ("amqp://h:70000", "not a TCP port"),
        ("amqp://h/v?heartbeat=x", "not a number of seconds"),
        ("amqp://h/v?hartbeat=3", "Unknown option 'hartbeat'"),
        ("amqp://h/v?ca_certs=/ca.pem", "'ca_certs' in the broker URL is for amqps://"),
    ],
)
def test_bad_urls_say_what_is_wrong(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BrokerAddress.from_url(url)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


@given(st.text(max_size=60), st.sampled_from(["", "amqp://", "amqps://", "memory:"]))
def test_any_text_is_an_address_or_a_config_error(text: str, scheme: str) -> None:
    with contextlib.suppress(ConfigError):
        BrokerAddress.from_url(scheme + text)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"hostname": "h", "port": "1", "username": "u", "password": "p", "vhost": "/v"},
         {"hosts": (("h", 1),), "username": "u", "password": "p", "vhost": "/v"}),
        ({"heartbeat": 0}, {"heartbeat": 0}),
        ({"broker": "amqp://b", "hostname": "h"}, {"hosts": (("b", 5672),)}),
        ({"broker": None, "vhost": None}, {}),
    ],
)  # fmt: skip
def test_options(options: dict[str, Any], expected: dict[str, Any]) -> None:
    address = BrokerAddress.from_options(options)
    for name, value in {**DEFAULTS, **expected}.items():
        assert getattr(address, name) == value, name


def test_the_password_is_shown_nowhere() -> None:
    address = BrokerAddress.from_url("amqp://user:s3cret@host/v")
    assert "s3cret" not in str(address) + repr(address)
    assert str(address) == "amqp://user@host:5672/v"
