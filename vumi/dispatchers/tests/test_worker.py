"""The dispatcher with a router: its life, and routers that users write."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred, inlineCallbacks, succeed

from vumi.broker import Publication
from vumi.config import ConfigText
from vumi.connectors import IgnoreMessage
from vumi.dispatchers import BaseDispatchRouter, BaseDispatchWorker, SimpleDispatchRouter
from vumi.dispatchers.router import RouterConfig
from vumi.dispatchers.tests.helpers import DispatcherHelper
from vumi.dispatchers.tests.routing_cases import RoutingTestCase, event, hopped, inbound, outbound
from vumi.errors import ConfigError, DispatcherError
from vumi.middleware import BaseMiddleware
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher

HERE = __name__


class UsersRouter(BaseDispatchRouter):
    """A router as users have written them: it declares nothing and reads its own option."""

    def setup_routing(self) -> Any:
        self.calls = ["setup"]
        return succeed(None)

    async def teardown_routing(self) -> None:
        self.calls.append("teardown")

    def dispatch_inbound_message(self, msg: Any) -> Any:
        # Nothing is returned: the publish counts all the same.
        self.dispatcher.publish_inbound_message(self.config["my_target"], msg)

    @inlineCallbacks
    def dispatch_inbound_event(self, msg: Any) -> Any:
        yield self.dispatcher.publish_inbound_event(self.config["my_target"], msg)

    async def dispatch_outbound_message(self, msg: Any) -> None:
        await self.dispatcher.publish_outbound_message(msg["transport_name"], msg)


class UsersRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        "transport_names": ["t1"],
        "exposed_names": ["app"],
        "router_class": f"{HERE}.UsersRouter",
        "my_target": "app",
    }

    @inlineCallbacks
    def test_every_kind_of_hook(self) -> Any:
        yield self.start()
        messages = {"t1.inbound": inbound(), "t1.event": event(), "app.outbound": outbound()}
        for key, message in messages.items():
            yield self.helper.dispatch_raw(key, message)
        found = self.published()
        self.assertEqual(found["app.inbound"], [hopped(messages["t1.inbound"])])
        self.assertEqual(found["app.event"], [hopped(messages["t1.event"])])
        self.assertEqual(found["t1.outbound"], [hopped(messages["app.outbound"])])
        self.assertEqual(self.helper.worker_helper.broker.unacked, 0)

    @inlineCallbacks
    def test_it_is_set_up_and_torn_down_once(self) -> Any:
        dispatcher = yield self.start()
        router = dispatcher._router
        self.assertEqual(router.calls, ["setup"])
        yield self.helper.cleanup_worker(dispatcher)
        self.assertEqual(router.calls, ["setup", "teardown"])

    @inlineCallbacks
    def test_publishing_to_a_name_that_is_not_there_means_that_there_is_no_route(self) -> Any:
        dispatcher = yield self.start(my_target="nobody")
        for key, message in (("t1.inbound", inbound()), ("t1.event", event())):
            yield self.helper.dispatch_raw(key, message)
            [logged] = self.flushLoggedErrors(DispatcherError)
            self.assertIn("'nobody' is not one of the dispatcher's exposed names.", str(logged))
            self.assertEqual(self.published()[f"{key}.dead"], [message])
        with LogCatcher(message="no route for outbound message") as catcher:
            yield self.helper.dispatch_raw("app.outbound", outbound("t9"))
        self.assertEqual(len(catcher.logs), 1)
        [nack] = self.helper.get_dispatched_events("app")
        self.assertEqual(nack["nack_reason"], "'t9' is not one of the dispatcher's transports.")
        self.assertEqual(dispatcher.unrouted, {"inbound": 1, "event": 1, "outbound": 1})

    @inlineCallbacks
    def test_without_a_route_the_default_is_taken_also_by_a_router_that_waits(self) -> Any:
        yield self.start(my_target="nobody", default_exposed_name="app")
        messages = {"t1.inbound": inbound(), "t1.event": event()}
        for key, message in messages.items():
            yield self.helper.dispatch_raw(key, message)
        self.assertEqual(
            self.helper.get_dispatched_inbound("app"), [hopped(messages["t1.inbound"])]
        )
        self.assertEqual(self.helper.get_dispatched_events("app"), [hopped(messages["t1.event"])])

    @inlineCallbacks
    def test_an_error_of_its_own_makes_a_dead_letter_and_the_dispatcher_goes_on(self) -> Any:
        dispatcher = yield self.start()
        config = dispatcher._router.config
        del config["my_target"]
        yield self.helper.dispatch_raw("t1.inbound", inbound())
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        config["my_target"] = "app"
        yield self.helper.dispatch_raw("t1.inbound", inbound())
        self.assertEqual(len(self.helper.get_dispatched_inbound("app")), 1)

    @inlineCallbacks
    def test_publishers_and_consumers_are_there_by_name(self) -> Any:
        dispatcher = yield self.start()
        message = inbound()
        for publishers, name, key in (
            (dispatcher.transport_publisher, "t1", "t1.outbound"),
            (dispatcher.exposed_publisher, "app", "app.inbound"),
            (dispatcher.exposed_event_publisher, "app", "app.event"),
        ):
            self.assertEqual(list(publishers), [name])
            self.assertEqual(publishers[name].routing_key, key)
        yield dispatcher.exposed_publisher["app"].publish_message(message)
        self.assertEqual(self.helper.get_dispatched_inbound("app"), [message])
        for consumers, name, queue in (
            (dispatcher.transport_consumer, "t1", "t1.inbound"),
            (dispatcher.transport_event_consumer, "t1", "t1.event"),
            (dispatcher.exposed_consumer, "app", "app.outbound"),
        ):
            self.assertEqual(list(consumers), [name])
            self.assertEqual(consumers[name].queue_name, queue)

    def test_what_nobody_declared_is_not_called_unknown(self) -> None:
        config = {**self.CONFIG, "anything": 1, "router_class": UsersRouter}
        self.assertEqual(BaseDispatchWorker.check_config(config), [])

    def test_a_router_that_leaves_a_hook_out_says_so(self) -> None:
        dispatcher = BaseDispatchWorker({}, dict(self.CONFIG))
        router = BaseDispatchRouter(dispatcher, {})
        for name in ("inbound_message", "inbound_event", "outbound_message"):
            hook = getattr(router, f"dispatch_{name}")
            error = self.assertRaises(NotImplementedError, hook, inbound())
            self.assertEqual(str(error), f"BaseDispatchRouter must override dispatch_{name}().")


class DeclaredConfig(RouterConfig):
    """Options of the router that declares them."""

    greeting = ConfigText("What to add.", required=True, static=True)


class DeclaredRouter(UsersRouter):
    """A router that declares its options."""

    CONFIG_CLASS = DeclaredConfig

    def dispatch_outbound_from(self, exposed_name: str, msg: Any) -> Any:
        msg["content"] = f"{self.options.greeting} from {exposed_name}"
        return self.dispatcher.publish_outbound_message("t1", msg)


class DeclaredRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        "transport_names": ["t1"],
        "exposed_names": ["app"],
        "router_class": f"{HERE}.DeclaredRouter",
        "greeting": "hello",
    }
    WRONG: ClassVar = {
        "an option of the wrong type": ({"greeting": 1}, ["'greeting' is not unicode."]),
        "options of both": (
            {"greeting": 1, "worker_concurrency": 0},
            ["'worker_concurrency' must be at least 1.", "'greeting' is not unicode."],
        ),
    }
    DOUBTFUL: ClassVar = {
        "an option that nobody knows": (
            {"greting": "x"},
            ["Unknown option 'greting'. Did you mean 'greeting'?"],
        ),
        "a null": ({"greeting": None}, ["Option 'greeting' is required but is null."]),
    }

    @inlineCallbacks
    def test_it_may_know_which_exposed_name_a_message_came_by(self) -> Any:
        yield self.start()
        yield self.helper.dispatch_raw("app.outbound", outbound())
        [sent] = self.helper.get_dispatched_outbound("t1")
        self.assertEqual(sent["content"], "hello from app")


class Marker(BaseMiddleware):
    """Notes what passes it; drops or breaks what goes to some names."""

    def setup_middleware(self) -> None:
        self.worker.passed = []

    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        self.worker.passed.append(("consume", connector_name))
        return message

    def handle_publish_inbound(self, message: Any, connector_name: str) -> Any:
        self.worker.passed.append(("publish", connector_name))
        if connector_name.startswith("drop"):
            raise IgnoreMessage("not for you")
        if connector_name.startswith("break"):
            raise ZeroDivisionError(connector_name)
        if connector_name.startswith("slow"):
            return self._later(message)
        message["content"] += f" for {connector_name}"
        return message

    async def _later(self, message: Any) -> Any:
        self.worker.waiting = Deferred()
        await self.worker.waiting
        return message


class MiddlewareTests(VumiTestCase):
    """What a middleware does to one copy must not happen to the others."""

    def setUp(self) -> None:
        self.helper = self.add_helper(DispatcherHelper(BaseDispatchWorker))

    @inlineCallbacks
    def start(self, *names: str) -> Any:
        dispatcher = yield self.helper.get_dispatcher(
            {
                "transport_names": ["t1"],
                "exposed_names": names,
                "router_class": "vumi.dispatchers.SimpleDispatchRouter",
                "route_mappings": {"t1": names},
                "middleware": [{"marker": f"{HERE}.Marker"}],
            }
        )
        return dispatcher

    def contents(self, name: str) -> list[str | None]:
        return [message["content"] for message in self.helper.get_dispatched_inbound(name)]

    def dead(self) -> int:
        return len(self.helper.worker_helper.broker.get_dispatched("vumi", "t1.inbound.dead"))

    @inlineCallbacks
    def test_middleware_gets_the_name_that_a_message_passes_by(self) -> Any:
        dispatcher = yield self.start("app1", "app2")
        yield self.helper.dispatch_raw("t1.inbound", inbound())
        self.assertEqual(
            dispatcher.passed, [("consume", "t1"), ("publish", "app1"), ("publish", "app2")]
        )
        self.assertEqual(self.contents("app1"), ["hi for app1"])
        self.assertEqual(self.contents("app2"), ["hi for app2"])

    @inlineCallbacks
    def test_a_copy_that_is_dropped_keeps_no_other_from_leaving(self) -> Any:
        yield self.start("drop", "app")
        yield self.helper.dispatch_raw("t1.inbound", inbound())
        self.assertEqual((self.contents("drop"), self.contents("app")), ([], ["hi for app"]))
        self.assertEqual(self.dead(), 0)

    @inlineCallbacks
    def test_all_copies_may_be_dropped(self) -> Any:
        yield self.start("drop1", "drop2")
        yield self.helper.dispatch_raw("t1.inbound", inbound())
        self.assertEqual(self.dead(), 0)
        self.assertEqual(self.helper.worker_helper.broker.unacked, 0)

    @inlineCallbacks
    def test_a_copy_that_fails_keeps_no_other_from_leaving_and_makes_a_dead_letter(self) -> Any:
        yield self.start("break1", "app", "break2")
        yield self.helper.dispatch_raw("t1.inbound", inbound())
        self.assertEqual(self.contents("app"), ["hi for app"])
        self.assertEqual(self.dead(), 1)
        [logged] = self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(str(logged.value), "break1")
        assert logged.value is not None
        self.assertEqual(
            logged.value.__notes__, ["Another copy failed too: ZeroDivisionError('break2')"]
        )

    @inlineCallbacks
    def test_a_message_is_not_done_before_a_slow_middleware_is(self) -> Any:
        dispatcher = yield self.start("slow", "app")
        handled = self.helper.dispatch_raw("t1.inbound", inbound())
        yield self.helper.worker_helper.wait_for_dispatched_inbound(1, "app")
        flow = dispatcher.transport_consumer["t1"].flow
        self.assertEqual(flow.counters.in_flight, 1)
        dispatcher.waiting.callback(None)
        yield handled
        self.assertEqual(flow.counters.in_flight, 0)
        self.assertEqual(len(self.contents("slow")), 1)


class LifeTests(VumiTestCase):
    CONFIG: ClassVar = {
        "transport_names": ["t1"],
        "exposed_names": ["app", "app2"],
        "router_class": "vumi.dispatchers.SimpleDispatchRouter",
        "route_mappings": {"t1": ["app"]},
    }

    def setUp(self) -> None:
        self.helper = self.add_helper(DispatcherHelper(BaseDispatchWorker))

    @inlineCallbacks
    def test_nothing_is_read_before_the_router_is_set_up(self) -> Any:
        dispatcher = yield self.helper.get_dispatcher(self.CONFIG, start=False)
        ready: Deferred[None] = Deferred()
        dispatcher._router.setup_routing = lambda: ready
        starting = dispatcher.startWorker()
        message = inbound()
        yield self.helper.dispatch_raw("t1.inbound", message)
        self.assertEqual(self.helper.get_dispatched_inbound("app"), [])
        ready.callback(None)
        yield starting
        yield self.helper.kick_delivery()
        self.assertEqual(self.helper.get_dispatched_inbound("app"), [hopped(message)])

    @inlineCallbacks
    def start_unconfirmed(self, **changes: Any) -> Any:
        """A dispatcher whose broker takes its time to confirm."""
        dispatcher = yield self.helper.get_dispatcher({**self.CONFIG, **changes})

        def publish(message: Any) -> Publication:
            return Publication("vumi", "", b"", None, False, message)

        for connector in dispatcher.connectors.values():
            for kind in connector.PUBLISHES:
                setattr(connector, f"publish_{kind}", publish)
        return dispatcher

    @inlineCallbacks
    def test_a_single_copy_costs_no_deferred_but_its_publication(self) -> Any:
        dispatcher = yield self.start_unconfirmed()
        for method, name, message in (
            (dispatcher.dispatch_inbound_message, "t1", inbound()),
            (dispatcher.dispatch_inbound_event, "t1", event()),
            (dispatcher.dispatch_outbound_message, "app", outbound()),
        ):
            result = method(name, message)
            self.assertIsInstance(result, Publication)
            self.assertFalse(result.has_listeners())

    @inlineCallbacks
    def test_two_copies_wait_for_nothing_but_confirmations(self) -> Any:
        dispatcher = yield self.start_unconfirmed(route_mappings={"t1": ["app", "app2"]})
        result = dispatcher.dispatch_inbound_message("t1", inbound())
        self.assertIsInstance(result, Publication)
        self.assertFalse(result.has_listeners())

    def test_a_router_is_made_once_and_is_given_the_whole_config(self) -> None:
        config = {**self.CONFIG, "dispatcher_name": "keeper"}
        dispatcher = BaseDispatchWorker({}, config)
        router = dispatcher._router
        self.assertIsInstance(router, SimpleDispatchRouter)
        self.assertIs(router.dispatcher, dispatcher)
        self.assertIs(router.config, config)

    def test_a_router_that_can_not_be_made_is_told_of_by_a_check(self) -> None:
        config = {**self.CONFIG, "router_class": f"{HERE}.ReadingRouter"}
        self.assertRaises(KeyError, BaseDispatchWorker, {}, config)
        self.assertEqual(BaseDispatchWorker.config_warnings({**config, "my_option": 1}), [])
        self.assertEqual(len(BaseDispatchWorker.config_warnings(config)), 0)

    def test_a_part_of_a_configuration_is_not_called_unknown(self) -> None:
        # A MultiWorker asks about the options that all its children share.
        self.assertEqual(BaseDispatchWorker.config_warnings({"redis_manager": {}}), [])

    def test_a_configuration_that_is_no_mapping_at_all(self) -> None:
        self.assertRaises(ConfigError, BaseDispatchWorker, {}, {"router_class": None})
        self.assertRaises(ConfigError, BaseDispatchWorker, {}, {})


class ReadingRouter(UsersRouter):
    """A router that overrides the constructor, and reads what it needs there."""

    def __init__(self, dispatcher: Any, config: Any) -> None:
        super().__init__(dispatcher, config)
        self.mine = config["my_option"]
