"""The routers that keep no memory, apart from the simple one."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import inlineCallbacks

from vumi.dispatchers.tests.routing_cases import Case, RoutingTestCase, event, inbound, outbound
from vumi.tests.utils import LogCatcher

EITHER = {"transport_names": ["t1", "t2"], "exposed_names": ["app"]}


class TransportToTransportRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        "transport_names": ["t1", "t2", "t3"],
        "exposed_names": [],
        "router_class": "vumi.dispatchers.TransportToTransportRouter",
        "route_mappings": {"t1": ["t2"], "t2": ["t1", "t3"]},
    }
    CASES: ClassVar = [
        Case("to one", "t1.inbound", inbound(), {"t2.outbound": {}}),
        Case("to two", "t2.inbound", inbound("t2"), {"t1.outbound": {}, "t3.outbound": {}}),
        Case(
            "without content or addresses",
            "t1.inbound",
            inbound(content=None, from_addr=None, to_addr=None),
            {"t2.outbound": {}},
        ),
        Case("to nobody", "t3.inbound", inbound("t3"), dead="nothing for transport_name 't3'"),
        Case("an event", "t1.event", event()),
    ]
    WRONG: ClassVar = {
        "unknown names": (
            {"route_mappings": {"t1": "app", "t9": "t1"}},
            [
                "'route_mappings' names 't9', which is none of 'transport_names'",
                "'route_mappings' names 'app', which is none of 'transport_names'",
            ],
        ),
    }


class TransportToTransportWithApplicationTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **EITHER,
        "router_class": "vumi.dispatchers.TransportToTransportRouter",
        "route_mappings": {"t1": "t2"},
        "default_exposed_name": "app",
    }
    CASES: ClassVar = [
        Case("to a transport", "t1.inbound", inbound(), {"t2.outbound": {}}),
        Case("to nobody", "t2.inbound", inbound("t2"), {"app.inbound": {}}),
        Case(
            "outbound",
            "app.outbound",
            outbound(),
            nack="This dispatcher takes no messages from applications.",
        ),
    ]


class FromAddrMultiplexRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **EITHER,
        "router_class": "vumi.dispatchers.FromAddrMultiplexRouter",
        "fromaddr_mappings": {"thing1@muppet": "t1", "thing2@muppet": "t2"},
    }
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound(), {"app.inbound": {"transport_name": "app"}}),
        Case(
            "inbound without content or addresses",
            "t2.inbound",
            inbound("t2", None, from_addr=None, to_addr=None),
            {"app.inbound": {"transport_name": "app"}},
        ),
        Case("event", "t2.event", event("t2"), {"app.event": {"transport_name": "app"}}),
        Case(
            "outbound",
            "app.outbound",
            outbound("app", from_addr="thing2@muppet"),
            {"t2.outbound": {"transport_name": "t2"}},
        ),
        Case(
            "outbound from nobody known",
            "app.outbound",
            outbound("app", from_addr="thing3@muppet"),
            nack="'fromaddr_mappings' has nothing for from_addr 'thing3@muppet'.",
        ),
        Case(
            "outbound from nobody",
            "app.outbound",
            outbound("app", from_addr=None),
            nack="'fromaddr_mappings' has nothing for from_addr None.",
        ),
    ]
    WRONG: ClassVar = {
        "two exposed names": (
            {"exposed_names": ["app", "app2"]},
            ["Only one exposed name allowed for FromAddrMultiplexRouter, not 2."],
        ),
        "no exposed name and an unknown transport": (
            {"exposed_names": [], "fromaddr_mappings": {"9292": "t9"}},
            [
                "Only one exposed name allowed for FromAddrMultiplexRouter, not none.",
                "'fromaddr_mappings' names 't9', which is none of 'transport_names'.",
            ],
        ),
        "an address that YAML takes for a number": (
            {"fromaddr_mappings": {27831234567: "t1"}},
            ["'fromaddr_mappings' has a key that is no text, 27831234567: in YAML, quote it."],
        ),
        "a list of transports": (
            {"fromaddr_mappings": {"9292": ["t1", "t2"]}},
            ["'fromaddr_mappings' at '9292' has no name: ['t1', 't2'] is no text"],
        ),
        "no mapping": ({"fromaddr_mappings": "t1"}, ["'fromaddr_mappings' is not a dict."]),
    }


class RedirectRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **EITHER,
        "router_class": "vumi.dispatchers.base.RedirectRouter",
        "redirect_inbound": {"t1": "app"},
        "redirect_outbound": {"app": "t2", "t1": "t2"},
    }
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound(), {"app.inbound": {"transport_name": "app"}}),
        Case(
            "inbound without content or addresses",
            "t1.inbound",
            inbound(content=None, from_addr=None, to_addr=None),
            {"app.inbound": {"transport_name": "app"}},
        ),
        Case("event", "t1.event", event(), {"app.event": {"transport_name": "app"}}),
        Case(
            "an event without a transport name",
            "t1.event",
            event(None),
            {"app.event": {"transport_name": "app"}},
        ),
        Case(
            "inbound to nobody",
            "t2.inbound",
            inbound("t2"),
            dead="No redirect_inbound specified for t2.",
        ),
        Case(
            "event to nobody",
            "t2.event",
            event("t2"),
            dead="No redirect_inbound specified for t2.",
        ),
        Case("outbound", "app.outbound", outbound("app"), {"t2.outbound": {}}),
        Case("outbound of another name", "app.outbound", outbound("t1"), {"t2.outbound": {}}),
        Case(
            "outbound to nobody",
            "app.outbound",
            outbound("t2"),
            nack="No redirect_outbound specified for t2.",
        ),
    ]
    WRONG: ClassVar = {
        "unknown names": (
            {"redirect_inbound": {"t8": "app8"}, "redirect_outbound": {"x": "app"}},
            [
                "'redirect_inbound' names 't8', which is none of 'transport_names'",
                "'redirect_inbound' names 'app8', which is none of 'exposed_names'",
                "'redirect_outbound' names 'x', which is none of 'transport_names'",
                "'redirect_outbound' names 'app', which is none of 'transport_names'",
            ],
        ),
        "an empty name": (
            {"redirect_inbound": {"t1": ""}},
            ["'redirect_inbound' at 't1' has no name: a name is empty."],
        ),
    }

    @inlineCallbacks
    def test_the_old_name_works_with_a_warning(self) -> Any:
        with LogCatcher(message="is the old name of") as catcher:
            yield self.start(router_class="vumi.dispatchers.base.RedirectOutboundRouter")
        self.assertEqual(len(catcher.logs), 1)
        yield self.helper.dispatch_raw("app.outbound", outbound("app"))
        self.assertEqual(len(self.helper.get_dispatched_outbound("t2")), 1)


LOAD = {"load_balancer": {"transport_names": ["t2"]}}


class LoadBalancingRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **EITHER,
        "router_class": "vumi.dispatchers.load_balancer.LoadBalancingRouter",
    }
    CASES: ClassVar = [
        Case(
            "inbound",
            "t2.inbound",
            inbound("t2"),
            {"app.inbound": {"transport_name": "app", "helper_metadata": LOAD}},
        ),
        Case(
            "inbound through an earlier load balancer",
            "t2.inbound",
            inbound("t2", None, helper_metadata={"load_balancer": {"transport_names": ["x"]}}),
            {
                "app.inbound": {
                    "transport_name": "app",
                    "helper_metadata": {"load_balancer": {"transport_names": ["x", "t2"]}},
                }
            },
        ),
        Case(
            "inbound with metadata that is something else",
            "t2.inbound",
            inbound("t2", helper_metadata={"load_balancer": "x"}),
            {"app.inbound": {"transport_name": "app", "helper_metadata": LOAD}},
        ),
        Case("event", "t2.event", event("t2"), {"app.event": {"transport_name": "app"}}),
        Case(
            "a reply goes where its message came from",
            "app.outbound",
            outbound("app", in_reply_to="1", helper_metadata=LOAD),
            {
                "t2.outbound": {
                    "transport_name": "t2",
                    "helper_metadata": {"load_balancer": {"transport_names": []}},
                }
            },
        ),
        Case(
            "a reply whose message came from elsewhere goes in turn",
            "app.outbound",
            outbound(
                "app",
                in_reply_to="1",
                helper_metadata={"load_balancer": {"transport_names": ["t9"]}},
            ),
            {
                "t1.outbound": {
                    "transport_name": "t1",
                    "helper_metadata": {"load_balancer": {"transport_names": []}},
                }
            },
        ),
        Case(
            "a reply of an application that has lost the metadata goes in turn",
            "app.outbound",
            outbound("app", in_reply_to="1"),
            {"t1.outbound": {"transport_name": "t1"}},
        ),
        Case(
            "what is no reply goes in turn",
            "app.outbound",
            outbound(None, None, helper_metadata=LOAD),
            {"t1.outbound": {"transport_name": "t1"}},
        ),
    ]
    WRONG: ClassVar = {
        "two exposed names": (
            {"exposed_names": ["app", "app2"]},
            ["Only one exposed name allowed for LoadBalancingRouter, not 2."],
        ),
        "no names": (
            {"exposed_names": [], "transport_names": []},
            [
                "Only one exposed name allowed for LoadBalancingRouter, not none.",
                "At least one transport name is needed for LoadBalancingRouter.",
            ],
        ),
    }

    @inlineCallbacks
    def test_transports_take_turns_in_the_order_of_the_config(self) -> Any:
        yield self.start(transport_names=["t2", "t1"])
        for _ in range(3):
            yield self.helper.dispatch_raw("app.outbound", outbound())
        names = [len(self.helper.get_dispatched_outbound(name)) for name in ("t2", "t1")]
        self.assertEqual(names, [2, 1])


class LoadBalancingAsItComesTests(RoutingTestCase):
    """Without affinity and rewriting."""

    CONFIG: ClassVar = {
        **EITHER,
        "router_class": "vumi.dispatchers.load_balancer.LoadBalancingRouter",
        "reply_affinity": False,
        "rewrite_transport_names": False,
    }
    CASES: ClassVar = [
        Case("inbound", "t2.inbound", inbound("t2"), {"app.inbound": {}}),
        Case("event", "t2.event", event("t2"), {"app.event": {}}),
        Case(
            "a reply goes in turn",
            "app.outbound",
            outbound("t2", in_reply_to="1", helper_metadata=LOAD),
            {"t1.outbound": {}},
        ),
    ]


class LoadBalancingSpellingTests(RoutingTestCase):
    """The option's name as the old documentation had it."""

    CONFIG: ClassVar = {
        **EITHER,
        "router_class": "vumi.dispatchers.load_balancer.LoadBalancingRouter",
        "reply_affinity": False,
        "rewrite_transport_name": False,
    }
    CASES: ClassVar = [
        Case("inbound", "t2.inbound", inbound("t2"), {"app.inbound": {}}),
        Case("outbound", "app.outbound", outbound("app"), {"t1.outbound": {}}),
    ]
