"""The sample configurations of dispatchers: each does what its comments say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import vumi
from vumi.dispatchers.routing_table import RoutingTableDispatcher
from vumi.dispatchers.tests.routing_cases import Case, RoutingTestCase, event, inbound, outbound
from vumi.yamlconfig import read_yaml_config

SAMPLES = Path(vumi.__file__).parents[1] / "config/dispatchers"


def sample(name: str) -> dict[str, Any]:
    """A sample's configuration, with a Redis in the process if it has any."""
    config = read_yaml_config(SAMPLES / f"{name}.yaml")
    if "redis_manager" in config:
        config["redis_manager"] = {"FAKE_REDIS": "yes"}
    return config


class SimpleSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("simple")
    CASES: ClassVar = [
        Case("inbound", "smsc_a.inbound", inbound("smsc_a"), {"survey.inbound": {}}),
        Case(
            "event",
            "smsc_b.event",
            event("smsc_b"),
            {"survey.event": {}, "archive.event": {}},
        ),
        Case("outbound", "survey.outbound", outbound("smsc_a"), {"smsc_a.outbound": {}}),
    ]


class TransportToTransportSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("transport_to_transport")
    CASES: ClassVar = [
        Case("one way", "smsc.inbound", inbound("smsc"), {"chat.outbound": {}}),
        Case("the other way", "chat.inbound", inbound("chat"), {"smsc.outbound": {}}),
    ]


class ToAddrSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("to_addr")
    CASES: ClassVar = [
        Case("a code", "smsc.inbound", inbound("smsc", to_addr="8181"), {"survey.inbound": {}}),
        Case("a range", "smsc.inbound", inbound("smsc", to_addr="8242"), {"lottery.inbound": {}}),
        Case("a longer one", "smsc.inbound", inbound("smsc", to_addr="81811"), dead="'81811'"),
        Case("outbound", "survey.outbound", outbound("smsc"), {"smsc.outbound": {}}),
    ]


class FromAddrMultiplexSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("from_addr_multiplex")
    CASES: ClassVar = [
        Case(
            "inbound",
            "chat_help.inbound",
            inbound("chat_help"),
            {"chat.inbound": {"transport_name": "chat"}},
        ),
        Case(
            "outbound",
            "chat.outbound",
            outbound("chat", from_addr="news@example.com"),
            {"chat_news.outbound": {"transport_name": "chat_news"}},
        ),
    ]


class UserGroupingSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("user_grouping")
    CASES: ClassVar = [
        Case("inbound", "smsc.inbound", inbound("smsc"), {"survey_long.inbound": {}}),
        Case("outbound", "survey_short.outbound", outbound("smsc"), {"smsc.outbound": {}}),
    ]


class ContentKeywordSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("content_keyword")
    CASES: ClassVar = [
        Case(
            "a rule",
            "smsc_ug.inbound",
            inbound("smsc_ug", "Survey please", to_addr="8282", from_addr="+2561"),
            {"survey_ug.inbound": {}},
        ),
        Case(
            "a rule in short",
            "smsc_ke.inbound",
            inbound("smsc_ke", "WIN"),
            {"lottery.inbound": {}},
        ),
        Case("no rule", "smsc_ke.inbound", inbound("smsc_ke", "what?"), {"help.inbound": {}}),
        Case(
            "outbound",
            "survey.outbound",
            outbound("smsc_ug", from_addr="8181"),
            {"smsc_ke.outbound": {}},
        ),
    ]


class RedirectSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("redirect")
    CASES: ClassVar = [
        Case(
            "inbound",
            "mo_line.inbound",
            inbound("mo_line"),
            {"survey.inbound": {"transport_name": "survey"}},
        ),
        Case("outbound", "survey.outbound", outbound("survey"), {"mt_line.outbound": {}}),
        Case(
            "event",
            "mt_line.event",
            event("mt_line"),
            {"survey.event": {"transport_name": "survey"}},
        ),
    ]


class LoadBalancingSampleTests(RoutingTestCase):
    CONFIG: ClassVar = sample("load_balancing")
    CASES: ClassVar = [
        Case(
            "outbound",
            "smsc.outbound",
            outbound("smsc"),
            {"smsc_1.outbound": {"transport_name": "smsc_1"}},
        ),
    ]


class RoutingTableSampleTests(RoutingTestCase):
    dispatcher_class = RoutingTableDispatcher
    CONFIG: ClassVar = sample("routing_table")
    CASES: ClassVar = [
        Case(
            "inbound",
            "smsc_a.inbound",
            inbound("smsc_a"),
            {"survey.inbound": {"endpoint": "sms"}},
        ),
        Case(
            "outbound",
            "survey.outbound",
            outbound("smsc_a", endpoint="sms"),
            {"smsc_a.outbound": {"endpoint": "default"}},
        ),
    ]


class AllSamplesTests(RoutingTestCase):
    def test_every_sample_has_its_tests(self) -> None:
        tried = {
            name
            for name in (path.stem for path in SAMPLES.glob("*.yaml"))
            for tests in RoutingTestCase.__subclasses__()
            if tests.__module__ == __name__ and sample(name) == tests.CONFIG
        }
        self.assertEqual(tried, {path.stem for path in SAMPLES.iterdir()})
