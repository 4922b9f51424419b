"""Tests for vumi.config.sections, and for what is told of values that are probably mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.config import (
    Config,
    ConfigBool,
    ConfigEncoding,
    ConfigError,
    ConfigInt,
    ConfigPort,
    ConfigSection,
    ConfigSectionList,
    ConfigSectionMap,
    ConfigText,
    config_hints,
)


class LoginConfig(Config):
    """Options of a login."""

    user = ConfigText("Who.", required=True)


class ProviderConfig(Config):
    """Options of a provider."""

    port = ConfigPort("Where.", required=True)
    login = ConfigSection("How.", LoginConfig)


class GatewayConfig(Config):
    """Options of a gateway."""

    main = ConfigSection("The first.", ProviderConfig, static=True)
    spares = ConfigSectionList("The others.", ProviderConfig, static=True)
    providers = ConfigSectionMap("By name.", ProviderConfig, static=True)
    rules = ConfigSectionList("Strict ones.", LoginConfig, strict=True)
    noisy = ConfigBool("Whether it is logged.")
    limit = ConfigInt("How many.")
    alphabet = ConfigEncoding("The encoding.", others=["auto"])


def test_sections_are_configurations() -> None:
    config = GatewayConfig(
        {
            "main": {"port": "1", "login": {"user": "ann"}},
            "spares": [{"port": 2}, {"port": 3}],
            "providers": {"mtn": {"port": 4}},
        }
    )
    assert (config.main.port, config.main.login.user) == (1, "ann")
    assert [spare.port for spare in config.spares] == [2, 3]
    assert {name: section.port for name, section in config.providers.items()} == {"mtn": 4}
    assert config.rules is None


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"main": []}, ["Field 'main' is not a mapping of options."]),
        ({"spares": {}}, ["Field 'spares' is not a list."]),
        ({"providers": [1]}, ["Field 'providers' is not a mapping of names to sections."]),
        ({"main": {"port": 0}}, ["main: Field 'port' must be from 1 to 65535."]),
        (
            {"spares": [{"port": 1}, {}, 5]},
            [
                "spares.2: Missing required config field 'port'",
                "spares.3: A configuration is a mapping of options, not int.",
            ],
        ),
        (
            {"providers": {"mtn": {"port": "x", "login": {}}}},
            [
                "providers.mtn: Field 'port' could not be converted to int.",
                "providers.mtn.login: Missing required config field 'user'",
            ],
        ),
        (
            {"providers": {False: {}}},
            ["Field 'providers' has a name that is not a text, False: in YAML, quote it."],
        ),
        (
            {"rules": [{"user": "a", "usr": "b"}]},
            ["rules.1: Unknown option 'usr'. Did you mean 'user'?"],
        ),
        ({"alphabet": "klingon"}, ["Field 'alphabet' is not the name of an encoding: 'klingon'."]),
    ],
)
def test_mistakes_in_sections_are_told_all_at_once_with_their_path(
    options: dict[str, Any], problems: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        GatewayConfig(options)
    assert list(caught.value.problems) == problems


@pytest.mark.parametrize("alphabet", ["auto", "gsm0338", "ucs2", "utf-16", "latin-1"])
def test_encodings_that_there_are(alphabet: str) -> None:
    assert GatewayConfig({"alphabet": alphabet}).alphabet == alphabet


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"main": {"port": 1, "prot": 2}}, "main: Unknown option 'prot'. Did you mean 'port'?"),
        ({"main": {"port": 1, "login": {"usr": 1}}}, "main: login: Unknown option 'usr'."),
        ({"spares": [{"port": None}]}, "spares.1: Option 'port' is required but is null."),
        ({"providers": {"a": {"login": {"user": False}}}}, "providers.a: login: Option 'user' is"),
        ({"noisy": "no"}, "Option 'noisy' is neither true nor false, and counts as true."),
        ({"noisy": [1]}, "Option 'noisy' is neither true nor false, and counts as true."),
        ({"limit": True}, "Option 'limit' is a number: YAML makes true or false of yes,"),
        ({"alphabet": 8859}, "Option 'alphabet' is a text: YAML makes a number of digits."),
    ],
)
def test_what_is_probably_a_mistake_is_told(options: dict[str, Any], hint: str) -> None:
    [told] = config_hints(GatewayConfig, options)
    assert told.startswith(hint)


@pytest.mark.parametrize("value", [True, False, 0, 1, "true", "False", "1", "0", "yes", None])
def test_what_is_clearly_yes_or_no_is_no_mistake(value: Any) -> None:
    assert config_hints(GatewayConfig, {"noisy": value}) == []
