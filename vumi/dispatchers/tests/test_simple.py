"""The router that goes by the transport name, and what all dispatchers with a router do."""

from __future__ import annotations

from typing import Any, ClassVar

from vumi.dispatchers.tests.routing_cases import Case, RoutingTestCase, event, inbound, outbound

NAMES: dict[str, Any] = {
    "transport_names": ["t1", "t2", "t3"],
    "exposed_names": ["app1", "app2"],
    "router_class": "vumi.dispatchers.SimpleDispatchRouter",
}


class SimpleDispatchRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **NAMES,
        "route_mappings": {"t1": ["app1"], "t2": ["app1", "app2"], "t3": []},
    }
    CASES: ClassVar = [
        Case("inbound to one", "t1.inbound", inbound(), {"app1.inbound": {}}),
        Case(
            "inbound to two",
            "t2.inbound",
            inbound("t2"),
            {"app1.inbound": {}, "app2.inbound": {}},
        ),
        Case("inbound to none on purpose", "t3.inbound", inbound("t3")),
        Case(
            "inbound without content or addresses",
            "t1.inbound",
            inbound(content=None, from_addr=None, to_addr=None),
            {"app1.inbound": {}},
        ),
        Case(
            "the endpoint is left alone",
            "t1.inbound",
            inbound(endpoint="sms"),
            {"app1.inbound": {}},
        ),
        Case(
            "inbound with an unknown transport name",
            "t1.inbound",
            inbound("t9"),
            dead="'route_mappings' has nothing for transport_name 't9'.",
        ),
        Case(
            "inbound without a transport name",
            "t1.inbound",
            inbound(None),
            dead="'route_mappings' has nothing for transport_name None.",
        ),
        Case("event to one", "t1.event", event(), {"app1.event": {}}),
        Case("event to two", "t2.event", event("t2"), {"app1.event": {}, "app2.event": {}}),
        Case(
            "an event without a transport name is of the transport that it comes by",
            "t1.event",
            event(None),
            {"app1.event": {"transport_name": "t1"}},
        ),
        Case("event with an unknown transport name", "t1.event", event("t9"), dead="'t9'"),
        Case("outbound", "app1.outbound", outbound("t2"), {"t2.outbound": {}}),
        Case("outbound by any exposed name", "app2.outbound", outbound("t1"), {"t1.outbound": {}}),
        Case(
            "outbound for nobody",
            "app1.outbound",
            outbound("t9", transport_metadata={"a": 1}, endpoint="sms"),
            nack="Unknown transport_name: t9.",
        ),
        Case(
            "outbound without a transport name",
            "app1.outbound",
            outbound(None),
            nack="Unknown transport_name: None.",
        ),
    ]
    WRONG: ClassVar = {
        "no mappings": ({"route_mappings": {"t1": 1}}, ["at 't1' is not a list of names."]),
        "all unknown names at once": (
            {
                "route_mappings": {"t1": ["app1", "app8"], "t8": "app9"},
                "transport_mappings": {"x": "t9"},
                "default_exposed_name": "app7",
            },
            [
                "'default_exposed_name' names 'app7', which is none of 'exposed_names'.",
                "'route_mappings' names 't8'",
                "'route_mappings' names 'app8'",
                "'route_mappings' names 'app9'",
                "'transport_mappings' names 't9'",
            ],
        ),
        "unknown names in mappings": (
            {
                "route_mappings": {"t1": ["app1", "app8"], "t8": "app9"},
                "transport_mappings": {"x": "t9"},
            },
            [
                "'route_mappings' names 't8', which is none of 'transport_names'",
                "'route_mappings' names 'app8', which is none of 'exposed_names'",
                "'route_mappings' names 'app9', which is none of 'exposed_names'",
                "'transport_mappings' names 't9', which is none of 'transport_names'",
            ],
        ),
        "options of the dispatcher and of the router": (
            {"transport_names": 3, "route_mappings": {1: "app1"}},
            [
                "'transport_names' is not a list of names.",
                "'route_mappings' has a key that is no text, 1: in YAML, quote it.",
            ],
        ),
        "the same name on both sides": (
            {"exposed_names": ["app1", "app2", "t1"]},
            ["'transport_names' and 'exposed_names' both have 't1'"],
        ),
        "a name in upper case": ({"transport_names": ["T1"]}, ["'T1' is not all lower case"]),
        "an empty name": ({"exposed_names": [""]}, ["a name is empty"]),
        "no router": ({"router_class": None}, ["'router_class' is not the class of a router."]),
        "a class that is no router": (
            {"router_class": "vumi.message.Message"},
            ["'router_class' is not the class of a router."],
        ),
        "a router that isn't there": (
            {"router_class": "vumi.dispatchers.NoSuchRouter"},
            ["'router_class' names what module 'vumi.dispatchers' does not have"],
        ),
    }
    DOUBTFUL: ClassVar = {
        "a transport without a route": (
            {"route_mappings": {"t1": "app1", "t2": "app2"}},
            ["'route_mappings' has nothing for 't3'"],
        ),
        "options that nobody knows": (
            {"rout_mappings": {}, "redirect_inbound": {}},
            [
                "Unknown option 'rout_mappings'. Did you mean 'route_mappings'?",
                "Unknown option 'redirect_inbound'.",
            ],
        ),
        "a required option that is null": (
            {"route_mappings": None, "default_exposed_name": "app1"},
            ["Option 'route_mappings' is required but is null."],
        ),
    }


class StringsForListsTests(RoutingTestCase):
    CONFIG: ClassVar = {
        "transport_names": "t1",
        "exposed_names": "app1",
        "router_class": "vumi.dispatchers.base.SimpleDispatchRouter",
        "route_mappings": {"t1": "app1"},
    }
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound(), {"app1.inbound": {}}),
        Case("event", "t1.event", event(), {"app1.event": {}}),
        Case("outbound", "app1.outbound", outbound(), {"t1.outbound": {}}),
    ]


class ChainedDispatcherTests(RoutingTestCase):
    """Behind another dispatcher messages bear names of transports that are not here."""

    CONFIG: ClassVar = {
        **NAMES,
        "route_mappings": {"smsc": "app1", "other": "app2", "t2": "app2", "t3": "app2"},
        "transport_mappings": {"smsc": "t1"},
        "foreign_transport_names": "other",
    }
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound("smsc"), {"app1.inbound": {}}),
        Case("event", "t1.event", event("smsc"), {"app1.event": {}}),
        Case("outbound", "app1.outbound", outbound("smsc"), {"t1.outbound": {}}),
        Case("inbound of a foreign name", "t1.inbound", inbound("other"), {"app2.inbound": {}}),
        Case(
            "outbound to a foreign name",
            "app1.outbound",
            outbound("other"),
            nack="Unknown transport_name: other.",
        ),
    ]


class DefaultExposedNameTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **NAMES,
        "route_mappings": {"t1": ["app1"]},
        "default_exposed_name": "app2",
    }
    CASES: ClassVar = [
        Case("inbound with a route", "t1.inbound", inbound(), {"app1.inbound": {}}),
        Case("inbound without", "t2.inbound", inbound("t2"), {"app2.inbound": {}}),
        Case("event without", "t2.event", event("t2"), {"app2.event": {}}),
        Case(
            "outbound without",
            "app2.outbound",
            outbound("t9"),
            nack="Unknown transport_name: t9.",
        ),
    ]
