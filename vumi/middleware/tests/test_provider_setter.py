"""The provider of a message: one for all, or by the prefix of the user's address."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from vumi.config import ConfigError
from vumi.middleware import (
    AddressPrefixProviderSettingMiddleware,
    StaticProviderSettingMiddleware,
)
from vumi.middleware.provider_setter import ProviderSettingMiddlewareError
from vumi.tests.helpers import MessageHelper

PREFIXES = {"+27": "mobile", "+2783": "longest", "+278": "longer", "083": "local"}


def by_prefix(**options: Any) -> AddressPrefixProviderSettingMiddleware:
    config = {"provider_prefixes": PREFIXES, **options}
    return AddressPrefixProviderSettingMiddleware("p", config, None)


class StaticTests(SynchronousTestCase):
    def test_all_messages_get_the_provider_also_those_that_have_one(self) -> None:
        helper = MessageHelper()
        middleware = StaticProviderSettingMiddleware("p", {"provider": "mine"}, None)
        for provider in (None, "other"):
            inbound = helper.make_inbound("hi", provider=provider)
            outbound = helper.make_outbound("hi", provider=provider)
            self.assertIs(middleware.handle_inbound(inbound, "line"), inbound)
            self.assertIs(middleware.handle_outbound(outbound, "line"), outbound)
            self.assertEqual((inbound["provider"], outbound["provider"]), ("mine", "mine"))

    def test_it_must_be_named(self) -> None:
        self.assertRaises(ConfigError, StaticProviderSettingMiddleware, "p", {}, None)


class PrefixTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.helper = MessageHelper()

    def check(self, address: str, expected: str | None, middleware: Any = None, **kw: Any) -> None:
        middleware = middleware or by_prefix()
        inbound = self.helper.make_inbound("hi", from_addr=address, to_addr="+2783", **kw)
        outbound = self.helper.make_outbound("hi", to_addr=address, from_addr="+2783", **kw)
        self.assertIs(middleware.handle_inbound(inbound, "line"), inbound)
        self.assertIs(middleware.handle_outbound(outbound, "line"), outbound)
        self.assertEqual((inbound["provider"], outbound["provider"]), (expected, expected))
        self.assertEqual((inbound["from_addr"], outbound["to_addr"]), (address, address))

    def test_the_longest_prefix_counts(self) -> None:
        self.check("+27831234567", "longest")
        self.check("+27841234567", "longer")
        self.check("+27711234567", "mobile")
        self.check("+41791234567", None)

    def test_a_provider_that_is_there_stays(self) -> None:
        self.check("+27831234567", "other", provider="other")

    def test_prefixes_and_providers_that_yaml_reads_as_numbers(self) -> None:
        middleware = by_prefix(provider_prefixes={2783: 65501})
        self.check("27831234567", "65501", middleware)

    def test_addresses_can_be_written_in_one_way_first(self) -> None:
        options: dict[str, Any] = {"normalize_msisdn": {"country_code": "27"}}
        self.check("0831234567", "local")
        self.check("0831234567", "longest", by_prefix(**options))
        self.check("27831234567", "longest", by_prefix(**options))
        stripped = by_prefix(
            provider_prefixes={"2783": "mine"},
            normalize_msisdn={"country_code": 27, "strip_plus": True},
        )
        self.check("+27831234567", "mine", stripped)

    def test_the_configuration_is_left_as_it_is(self) -> None:
        normalize = {"country_code": "27", "strip_plus": True}
        by_prefix(normalize_msisdn=normalize)
        self.assertEqual(normalize, {"country_code": "27", "strip_plus": True})

    def test_a_message_without_an_address_is_logged_and_goes_on(self) -> None:
        message = self.helper.make_inbound("hi", from_addr=None)
        self.assertIs(by_prefix().handle_inbound(message, "line"), message)
        self.assertIsNone(message["provider"])
        [failure] = self.flushLoggedErrors(ProviderSettingMiddlewareError)
        self.assertIn(message["message_id"], str(failure.value))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"provider_prefixes": None}, "provider_prefixes"),
        ({"normalize_msisdn": {}}, "does not contain the `country_code` key"),
        ({"normalize_msisdn": {"strip_plus": True}}, "does not contain the `country_code` key"),
        ({"normalize_msisdn": "27"}, "normalize_msisdn"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_told(options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        by_prefix(**options)


def test_the_prefixes_are_required() -> None:
    with pytest.raises(ConfigError, match="provider_prefixes"):
        AddressPrefixProviderSettingMiddleware("p", {}, None)
