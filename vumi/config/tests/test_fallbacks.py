"""Options that take their value from other options."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.config import (
    ClientEndpointFallback,
    Config,
    ConfigClientEndpoint,
    ConfigError,
    ConfigInt,
    ConfigServerEndpoint,
    ConfigText,
    FieldFallback,
    FormatStringFieldFallback,
    ServerEndpointFallback,
    SingleFieldFallback,
)


class UrlConfig(Config):
    url = ConfigText(
        "Where.",
        default="http://default/",
        static=True,
        fallbacks=[
            FormatStringFieldFallback("http://{host}:{port}/{path}", ["host", "port"], ["path"]),
            SingleFieldFallback("old_url"),
        ],
    )
    host = ConfigText("Host.", static=True, fallbacks=[SingleFieldFallback("old_host")])
    old_host = ConfigText("Host, as it was called.", static=True)
    port = ConfigInt("Port.", default=80, static=True)
    path = ConfigText("Path.", default="p", static=True)
    old_url = ConfigText("URL, as it was called.", static=True)


@pytest.mark.parametrize(
    ("data", "url"),
    [
        ({}, "http://default/"),
        ({"url": "u", "host": "h", "port": 1, "old_url": "o"}, "u"),
        ({"url": None, "old_url": "o"}, None),
        ({"old_url": "o"}, "o"),
        ({"old_url": None}, None),
        ({"host": "h", "port": "0081", "old_url": "o"}, "http://h:81/p"),
        ({"old_host": "h", "port": 81, "path": "q"}, "http://h:81/q"),
        # A default doesn't make a field present.
        ({"host": "h", "old_url": "o"}, "o"),
    ],
)
def test_the_first_fallback_that_has_all_it_needs_is_taken(
    data: dict[str, Any], url: str | None
) -> None:
    for static in (True, False):
        assert UrlConfig(data, static=static).url == url


def test_a_fallback_satisfies_required() -> None:
    class NeedsName(Config):
        name = ConfigText("Name.", required=True, fallbacks=[SingleFieldFallback("old_name")])
        old_name = ConfigText("Name, as it was called.")

    assert NeedsName({"old_name": "x"}).name == "x"
    with pytest.raises(ConfigError, match="Missing required config field 'name'"):
        NeedsName({})
    config = NeedsName({"old_name": "x"})
    assert NeedsName.name.present(config)
    assert not NeedsName.name.present(config, check_fallbacks=False)


def test_what_a_fallback_gives_is_cleaned() -> None:
    class Cleaned(Config):
        number = ConfigInt("Number.", fallbacks=[SingleFieldFallback("word")])
        word = ConfigText("Word.")

    assert Cleaned({"word": "7"}).number == 7
    with pytest.raises(ConfigError) as caught:
        Cleaned({"word": "seven"})
    assert str(caught.value) == "Field 'number' could not be converted to int."


def test_a_bad_value_is_told_once_though_two_fields_read_it() -> None:
    with pytest.raises(ConfigError) as caught:
        UrlConfig({"host": "h", "port": "x"})
    assert caught.value.problems == ("Field 'port' could not be converted to int.",)


@pytest.mark.parametrize(
    "fallback",
    [
        SingleFieldFallback("nowhere"),
        FormatStringFieldFallback("{nowhere}", [], ["nowhere"]),
        ServerEndpointFallback("nowhere", "port"),
    ],
)
def test_a_fallback_to_a_field_that_is_not_declared(fallback: FieldFallback) -> None:
    class Undefined(Config):
        field = ConfigText("Doc.", fallbacks=[fallback])
        port = ConfigInt("Port.")

    with pytest.raises(ConfigError) as caught:
        Undefined({"port": 1})
    assert str(caught.value) == "Undefined fallback field: 'nowhere'"


def test_a_static_field_can_not_fall_back_on_one_that_is_not() -> None:
    class Mixed(Config):
        field = ConfigText("Doc.", static=True, fallbacks=[SingleFieldFallback("other")])
        other = ConfigText("Doc.")

    assert Mixed({"field": "x", "other": "y"}, static=True).field == "x"
    with pytest.raises(ConfigError) as caught:
        Mixed({"other": "y"}, static=True)
    assert str(caught.value) == "Field 'other' is not marked as static."


def test_an_own_fallback_overrides_what_it_needs_to() -> None:
    class Doubled(FieldFallback):
        required_fields = ("half",)

        def build_value(self, config: Any) -> int:
            half: int = config.half
            return 2 * half

    class DoubledConfig(Config):
        whole = ConfigInt("Whole.", fallbacks=[Doubled()])
        half = ConfigInt("Half.")

    assert DoubledConfig({"half": "4"}).whole == 8
    assert DoubledConfig({}).whole is None
    with pytest.raises(NotImplementedError):
        FieldFallback().build_value(DoubledConfig({}))


# Endpoints


class EndpointConfig(Config):
    server = ConfigServerEndpoint("Where to listen.", fallbacks=[ServerEndpointFallback()])
    client = ConfigClientEndpoint("Where to connect.", fallbacks=[ClientEndpointFallback()])
    host = ConfigText("Host.")
    port = ConfigInt("Port.")


@pytest.mark.parametrize(
    ("data", "server", "client"),
    [
        ({"port": 8080}, "tcp:port=8080", None),
        ({"host": None, "port": 0}, "tcp:port=0", None),
        (
            {"host": "example.com", "port": "80"},
            "tcp:port=80:interface=example.com",
            "tcp:host=example.com:port=80",
        ),
        (
            {"host": "fe80::1", "port": 80},
            r"tcp:port=80:interface=fe80\:\:1",
            r"tcp:host=fe80\:\:1:port=80",
        ),
    ],
)
def test_endpoint_fallbacks_build_endpoint_strings(
    data: dict[str, Any], server: str, client: str | None
) -> None:
    config = EndpointConfig(data)
    assert EndpointConfig.server.find_value(config) == server
    if client is not None:
        assert EndpointConfig.client.find_value(config) == client


def test_endpoint_fallbacks_give_endpoints_for_ipv6_addresses_too() -> None:
    config = EndpointConfig({"host": "::1", "port": 8080})
    server: Any = config.server
    client: Any = config.client
    assert (server._interface, server._port) == ("::1", 8080)
    assert (client._host, client._port) == ("::1", 8080)


def test_an_endpoint_is_none_without_itself_and_its_fallbacks() -> None:
    config = EndpointConfig({"host": "example.com"})
    assert EndpointConfig.server.get_value(config) is None
    assert EndpointConfig.client.get_value(config) is None


def test_a_null_port_makes_no_endpoint() -> None:
    with pytest.raises(ConfigError) as caught:
        EndpointConfig({"port": None})
    assert str(caught.value) == "Field 'server' is not a valid server endpoint"


def test_endpoint_fallbacks_read_fields_of_other_names() -> None:
    class TelnetConfig(Config):
        endpoint = ConfigServerEndpoint(
            "Where to listen.",
            required=True,
            static=True,
            fallbacks=[ServerEndpointFallback("telnet_host", "telnet_port")],
        )
        telnet_host = ConfigText("Host.", static=True)
        telnet_port = ConfigInt("Port.", static=True)

    config = TelnetConfig({"telnet_host": "127.0.0.1", "telnet_port": 9}, static=True)
    assert TelnetConfig.endpoint.find_value(config) == "tcp:port=9:interface=127.0.0.1"
    with pytest.raises(ConfigError, match="Missing required config field 'endpoint'"):
        TelnetConfig({"telnet_host": "127.0.0.1"}, static=True)
