"""The dispatchers that go by connectors and endpoints."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed

from vumi.broker import Publication
from vumi.connectors import IgnoreMessage
from vumi.dispatchers.endpoint_dispatchers import Dispatcher, RoutingTableDispatcher
from vumi.dispatchers.tests.helpers import DispatcherHelper
from vumi.dispatchers.tests.routing_cases import Case, RoutingTestCase, event, inbound, outbound
from vumi.errors import ConfigError, DispatcherError
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher

CONNECTORS: dict[str, Any] = {
    "receive_inbound_connectors": ["t1", "t2"],
    "receive_outbound_connectors": ["app1", "app2"],
}


class RoutingTableDispatcherTests(RoutingTestCase):
    dispatcher_class = RoutingTableDispatcher
    CONFIG: ClassVar = {
        **CONNECTORS,
        "routing_table": {
            "t1": {"default": ["app1", "sms"], "big": ["app2", "default"]},
            "t2": {"default": "app1"},
            "app1": {"default": ["t1", "default"], "sms": ["t2", "big"]},
            "app2": {"default": "t2"},
        },
    }
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound(), {"app1.inbound": {"endpoint": "sms"}}),
        Case(
            "inbound at the default endpoint by name",
            "t1.inbound",
            inbound(endpoint="default"),
            {"app1.inbound": {"endpoint": "sms"}},
        ),
        Case(
            "inbound at another endpoint",
            "t1.inbound",
            inbound(endpoint="big"),
            {"app2.inbound": {"endpoint": "default"}},
        ),
        Case(
            "inbound to a target without an endpoint",
            "t2.inbound",
            inbound("anything", None, from_addr=None, to_addr=None),
            {"app1.inbound": {"endpoint": "default"}},
        ),
        Case("event", "t1.event", event(), {"app1.event": {"endpoint": "sms"}}),
        Case(
            "event at another endpoint",
            "t1.event",
            event(endpoint="big"),
            {"app2.event": {"endpoint": "default"}},
        ),
        Case("outbound", "app1.outbound", outbound(), {"t1.outbound": {"endpoint": "default"}}),
        Case(
            "outbound at another endpoint",
            "app1.outbound",
            outbound(None, None, from_addr=None, endpoint="sms"),
            {"t2.outbound": {"endpoint": "big"}},
        ),
        Case(
            "inbound at an endpoint that nobody has",
            "t1.inbound",
            inbound(endpoint="x"),
            dead="No routing information for endpoint 'x' on 't1'.",
        ),
        Case(
            "event at an endpoint that nobody has",
            "t1.event",
            event(endpoint="x"),
            dead="No routing information for endpoint 'x' on 't1'.",
        ),
        Case(
            "outbound at an endpoint that nobody has",
            "app2.outbound",
            outbound(endpoint="x", transport_metadata={"a": 1}),
            nack="No routing information for endpoint 'x' on 'app2'.",
        ),
    ]
    WRONG: ClassVar = {
        "all unknown names at once": (
            {
                "routing_table": {
                    "t9": {"default": "app1"},
                    "t1": {"default": ["app9", "x"], "other": ["t2", "default"]},
                    "app1": {"default": "app2"},
                },
                "default_route": ["t1", "default"],
            },
            [
                "'routing_table' has rows for 't9', which is no connector.",
                "'routing_table' sends 'default' of 't1' to 'app9', which is none of "
                "'receive_outbound_connectors'.",
                "'routing_table' sends 'other' of 't1' to 't2', which is none of "
                "'receive_outbound_connectors'.",
                "'routing_table' sends 'default' of 'app1' to 'app2', which is none of "
                "'receive_inbound_connectors'.",
                "'default_route' names 't1', which is none of 'receive_outbound_connectors'.",
            ],
        ),
        "a name on both sides": (
            {"receive_outbound_connectors": ["app1", "app2", "t1"]},
            ["'receive_inbound_connectors' and 'receive_outbound_connectors' both have 't1'"],
        ),
        "a table that is none": ({"routing_table": []}, ["'routing_table' is not a dict."]),
        "static and other options together": (
            {"routing_table": {"t1": "app1"}, "receive_inbound_connectors": 1},
            [
                "'receive_inbound_connectors' is not a list of names.",
                "'routing_table' at 't1' is not a dict of endpoints.",
            ],
        ),
        "a target that is none": (
            {"routing_table": {"t1": {"default": ["app1", "a", "b"]}}},
            ["'routing_table' at 't1', 'default' is not a list of two, connector and endpoint."],
        ),
        "an endpoint that YAML takes for a number": (
            {"routing_table": {"t1": {1: "app1"}}},
            ["'routing_table' at 't1' has an endpoint that is no text, 1: in YAML, quote it."],
        ),
        "a default that is none": (
            {"default_route": ["app1"]},
            ["'default_route' is not a list of two, connector and endpoint."],
        ),
    }
    DOUBTFUL: ClassVar = {
        "connectors without a route": (
            {"routing_table": {"t1": {"default": "app1"}, "app1": {}}},
            [
                "'routing_table' has nothing for 't2': its inbound messages and events become",
                "'routing_table' has nothing for 'app1': its outbound messages are nacked.",
                "'routing_table' has nothing for 'app2': its outbound messages are nacked.",
            ],
        ),
        "unknown options": ({"routing_tables": {}}, ["Unknown option 'routing_tables'."]),
    }

    def test_there_must_be_a_table(self) -> None:
        error = self.assertRaises(ConfigError, RoutingTableDispatcher, {}, CONNECTORS)
        self.assertEqual(error.problems, ("Missing required config field 'routing_table'",))

    @inlineCallbacks
    def test_a_message_costs_no_deferred_but_its_publication(self) -> Any:
        dispatcher = yield self.start()
        publication = Publication("vumi", "", b"", None, False, None)
        dispatcher.connectors["app1"].publish_inbound = lambda msg, endpoint: publication
        result = dispatcher._dispatch("inbound", "t1", inbound())
        self.assertIs(result, publication)
        self.assertFalse(result.has_listeners())


class StringsForListsTests(RoutingTestCase):
    dispatcher_class = RoutingTableDispatcher
    CONFIG: ClassVar = {
        "receive_inbound_connectors": "t1",
        "receive_outbound_connectors": "app1",
        "routing_table": {"t1": {"default": "app1"}, "app1": {"default": "t1"}},
    }
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound(), {"app1.inbound": {"endpoint": "default"}}),
        Case("event", "t1.event", event(), {"app1.event": {"endpoint": "default"}}),
        Case("outbound", "app1.outbound", outbound(), {"t1.outbound": {"endpoint": "default"}}),
    ]


class DefaultRouteTests(RoutingTestCase):
    dispatcher_class = RoutingTableDispatcher
    CONFIG: ClassVar = {
        **RoutingTableDispatcherTests.CONFIG,
        "default_route": ["app2", "lost"],
    }
    CASES: ClassVar = [
        Case(
            "inbound",
            "t2.inbound",
            inbound(endpoint="x"),
            {"app2.inbound": {"endpoint": "lost"}},
        ),
        Case("event", "t2.event", event(endpoint="x"), {"app2.event": {"endpoint": "lost"}}),
        Case(
            "outbound",
            "app2.outbound",
            outbound(endpoint="x"),
            nack="No routing information for endpoint 'x' on 'app2'.",
        ),
    ]


class TableByMessage(RoutingTableDispatcher):
    """Looks its table up by the message."""

    async def get_config(self, msg: Any, ctxt: Any = None) -> Any:  # type: ignore[override]  # users may write so
        user = msg.get("from_addr") or "t1"
        table = {"t1": {"default": [user, "mine"]}, "app1": {"default": ["t1", user]}}
        return self.CONFIG_CLASS({**self.config, "routing_table": table})


class TableByMessageTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(DispatcherHelper(TableByMessage))

    @inlineCallbacks
    def test_the_table_may_depend_on_the_message(self) -> Any:
        yield self.helper.get_dispatcher(CONNECTORS)
        for user in ("app1", "app2"):
            yield self.helper.dispatch_raw("t1.inbound", inbound(from_addr=user))
            [message] = self.helper.get_dispatched_inbound(user)
            self.assertEqual(message.get_routing_endpoint(), "mine")
        yield self.helper.dispatch_raw("app1.outbound", outbound(from_addr="x"))
        [message] = self.helper.get_dispatched_outbound("t1")
        self.assertEqual(message.get_routing_endpoint(), "x")

    @inlineCallbacks
    def test_a_target_that_is_not_there_makes_a_dead_letter(self) -> Any:
        dispatcher = yield self.helper.get_dispatcher(CONNECTORS)
        yield self.helper.dispatch_raw("t1.inbound", inbound(from_addr="app9"))
        [logged] = self.flushLoggedErrors(DispatcherError)
        self.assertEqual(str(logged.value), "No connector 'app9' publishes inbound messages.")
        self.assertEqual(dispatcher.unrouted["inbound"], 1)
        self.assertEqual(
            len(self.helper.worker_helper.broker.get_dispatched("vumi", "t1.inbound.dead")), 1
        )

    def test_nothing_is_said_of_a_table_that_is_not_known_yet(self) -> None:
        self.assertEqual(TableByMessage.check_config(dict(CONNECTORS)), [])


class TargetLater(RoutingTableDispatcher):
    """Finds a target after a while, and sometimes none."""

    async def find_target(self, config: Any, msg: Any, connector_name: str) -> Any:
        if msg.get("content") == "nowhere":
            return None
        return super().find_target(config, msg, connector_name)


class TargetLaterTests(RoutingTestCase):
    dispatcher_class = TargetLater
    CONFIG: ClassVar = RoutingTableDispatcherTests.CONFIG
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound(), {"app1.inbound": {"endpoint": "sms"}}),
        Case(
            "inbound to nowhere",
            "t1.inbound",
            inbound(content="nowhere"),
            dead="No routing information for endpoint 'default' on 't1'.",
        ),
        Case(
            "outbound to nowhere",
            "app1.outbound",
            outbound(content="nowhere"),
            nack="No routing information for endpoint 'default' on 'app1'.",
        ),
    ]


class Scripted(Dispatcher):
    """Does with a message what its content says, and notes what its hooks get."""

    deals = False

    def setup_dispatcher(self) -> Any:
        self.calls = ["setup"]
        return succeed(None)

    async def teardown_dispatcher(self) -> None:
        self.calls.append("teardown")

    def process_inbound(self, config: Any, msg: Any, connector_name: str) -> Any:
        self.calls.append(f"inbound {connector_name} {config.amqp_prefetch_count}")
        return self._do(msg)

    def process_outbound(self, config: Any, msg: Any, connector_name: str) -> Any:
        self.calls.append(f"outbound {connector_name}")
        return self._do(msg)

    def process_event(self, config: Any, event: Any, connector_name: str) -> Any:
        self.calls.append(f"event {connector_name}")
        return self.publish_event(event, "app1", None)

    def _do(self, msg: Any) -> Any:
        content = msg["content"]
        if content == "raise":
            raise ZeroDivisionError
        if content == "fail":
            return fail(ZeroDivisionError())
        if content == "ignore":
            raise IgnoreMessage("not now")
        if content == "wrong side":
            return self.publish_outbound(msg, "app1", None)
        return self.publish_inbound(msg, "app1", "here")

    def errback_inbound(self, f: Any, msg: Any, connector_name: str) -> Any:
        self.calls.append(f"errback {connector_name} {f.type.__name__}")
        return None if self.deals else f

    def default_errback(self, f: Any, msg: Any, connector_name: str) -> Any:
        self.calls.append(f"default errback {connector_name} {f.type.__name__}")
        return f


class DispatcherTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(DispatcherHelper(Scripted))

    @inlineCallbacks
    def start(self) -> Any:
        dispatcher = yield self.helper.get_dispatcher({**CONNECTORS, "amqp_prefetch_count": 7})
        return dispatcher

    def dead(self, key: str) -> int:
        return len(self.helper.worker_helper.broker.get_dispatched("vumi", f"{key}.dead"))

    @inlineCallbacks
    def test_a_process_method_gets_options_message_and_connector(self) -> Any:
        dispatcher = yield self.start()
        yield self.helper.dispatch_raw("t2.inbound", inbound())
        yield self.helper.dispatch_raw("t1.event", event())
        self.assertEqual(dispatcher.calls, ["setup", "inbound t2 7", "event t1"])
        [message] = self.helper.get_dispatched_inbound("app1")
        self.assertEqual(message.get_routing_endpoint(), "here")
        yield self.helper.cleanup_worker(dispatcher)
        self.assertEqual(dispatcher.calls[-1], "teardown")

    @inlineCallbacks
    def test_what_fails_passes_the_errbacks_and_becomes_a_dead_letter(self) -> Any:
        for content in ("raise", "fail"):
            dispatcher = yield self.start()
            yield self.helper.dispatch_raw("t1.inbound", inbound(content=content))
            self.assertEqual(
                dispatcher.calls[2:],
                ["errback t1 ZeroDivisionError", "default errback t1 ZeroDivisionError"],
            )
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            yield self.helper.cleanup_worker(dispatcher)
        self.assertEqual(self.dead("t1.inbound"), 2)

    @inlineCallbacks
    def test_an_errback_may_deal_with_it(self) -> Any:
        dispatcher = yield self.start()
        dispatcher.deals = True
        yield self.helper.dispatch_raw("t1.inbound", inbound(content="raise"))
        self.assertEqual(dispatcher.calls[2:], ["errback t1 ZeroDivisionError"])
        self.assertEqual(self.dead("t1.inbound"), 0)

    @inlineCallbacks
    def test_an_outbound_message_that_fails_can_be_retried_and_is_not_nacked(self) -> Any:
        yield self.start()
        yield self.helper.dispatch_raw("app1.outbound", outbound(content="raise"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.dead("app1.outbound"), 1)
        self.assertEqual(self.helper.get_dispatched_events("app1"), [])

    @inlineCallbacks
    def test_an_outbound_message_to_the_wrong_side_is_nacked(self) -> Any:
        dispatcher = yield self.start()
        with LogCatcher(message="no route for outbound message") as catcher:
            yield self.helper.dispatch_raw("app1.outbound", outbound(content="wrong side"))
        self.assertEqual(len(catcher.logs), 1)
        [nack] = self.helper.get_dispatched_events("app1")
        self.assertEqual(nack["nack_reason"], "No connector 'app1' publishes outbound messages.")
        self.assertEqual(dispatcher.unrouted["outbound"], 1)

    @inlineCallbacks
    def test_a_message_may_be_ignored_and_an_outbound_one_is_then_nacked(self) -> Any:
        yield self.start()
        yield self.helper.dispatch_raw("t1.inbound", inbound(content="ignore"))
        yield self.helper.dispatch_raw("app1.outbound", outbound(content="ignore"))
        [nack] = self.helper.get_dispatched_events("app1")
        self.assertEqual(nack["nack_reason"], "not now")
        self.assertEqual((self.dead("t1.inbound"), self.dead("app1.outbound")), (0, 0))

    def test_a_dispatcher_must_say_what_it_does(self) -> None:
        dispatcher = Dispatcher({}, dict(CONNECTORS))
        for name in ("inbound", "outbound", "event"):
            process = getattr(dispatcher, f"process_{name}")
            error = self.assertRaises(NotImplementedError, process, None, inbound(), "t1")
            self.assertEqual(str(error), f"Dispatcher must override process_{name}().")

    @inlineCallbacks
    def test_nothing_is_read_before_the_dispatcher_is_set_up(self) -> Any:
        dispatcher = yield self.helper.get_dispatcher(CONNECTORS, start=False)
        ready: Deferred[None] = Deferred()
        dispatcher.setup_dispatcher = lambda: ready
        starting = dispatcher.startWorker()
        yield self.helper.dispatch_raw("t1.event", event())
        self.assertEqual(self.helper.get_dispatched_events("app1"), [])
        dispatcher.calls = []
        ready.callback(None)
        yield starting
        yield self.helper.kick_delivery()
        self.assertEqual(len(self.helper.get_dispatched_events("app1")), 1)
