"""Dispatchers that route messages to each other."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import inlineCallbacks

from vumi.dispatchers import BaseDispatchWorker, RoutingTableDispatcher
from vumi.dispatchers.hops import MAX_HOPS
from vumi.dispatchers.tests.helpers import DispatcherHelper
from vumi.dispatchers.tests.routing_cases import event, hopped, inbound, outbound
from vumi.errors import RoutingLoop
from vumi.tests.helpers import VumiTestCase


def by_router(source: str, target: str) -> tuple[type[Any], dict[str, Any]]:
    return BaseDispatchWorker, {
        "router_class": "vumi.dispatchers.SimpleDispatchRouter",
        "transport_names": [source],
        "exposed_names": [target],
        "route_mappings": {"t1": target},
        "transport_mappings": {"t1": source},
    }


def by_table(source: str, target: str) -> tuple[type[Any], dict[str, Any]]:
    return RoutingTableDispatcher, {
        "receive_inbound_connectors": [source],
        "receive_outbound_connectors": [target],
        "routing_table": {
            source: {"default": [target, "default"]},
            target: {"default": [source, "default"]},
        },
    }


class LoopTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(DispatcherHelper(RoutingTableDispatcher))

    @inlineCallbacks
    def start_both(self, first: Any, second: Any) -> Any:
        for make, names in ((first, ("one", "two")), (second, ("two", "one"))):
            cls, config = make(*names)
            yield self.helper.get_dispatcher(config, cls=cls)

    @inlineCallbacks
    def send_round(self, key: str, message: Any) -> Any:
        """Send a message that two dispatchers route to each other; gives its dead letter."""
        yield self.helper.dispatch_raw(key, message)
        dead = [f"{name}.{key.partition('.')[2]}.dead" for name in ("one", "two")]
        letters = [
            letter
            for name in dead
            for letter in self.helper.worker_helper.broker.get_dispatched("vumi", name)
        ]
        self.assertEqual(len(letters), 1)
        [error] = self.flushLoggedErrors(RoutingLoop)
        self.assertIn(f"has passed {MAX_HOPS} dispatchers", str(error.value))
        return letters[0]

    @inlineCallbacks
    def test_every_kind_of_message_ends_as_a_dead_letter(self) -> Any:
        for first, second in ((by_router, by_router), (by_table, by_table), (by_router, by_table)):
            yield self.start_both(first, second)
            for key, message in (
                ("one.inbound", inbound()),
                ("one.event", event()),
                ("two.outbound", outbound()),
            ):
                letter = yield self.send_round(key, message)
                self.assertEqual(letter.properties["headers"]["x-vumi-reason"], "routing-loop")
            yield self.helper.worker_helper.cleanup()
            self.helper.clear_all_dispatched()

    @inlineCallbacks
    def test_a_count_that_is_none_starts_anew(self) -> Any:
        cls, config = by_table("one", "two")
        yield self.helper.get_dispatcher(config, cls=cls)
        counts: list[Any] = ["many", True, -1, None, [], 1.5]
        for count in counts:
            message = inbound()
            message["routing_metadata"]["hops"] = count
            yield self.helper.dispatch_raw("one.inbound", message)
            [found] = self.helper.get_dispatched_inbound("two")
            self.assertEqual(found["routing_metadata"]["hops"], 1)
            self.helper.clear_all_dispatched()

    def test_a_reply_starts_anew(self) -> None:
        reply = hopped(inbound(), MAX_HOPS).reply("hello")
        self.assertNotIn("hops", reply["routing_metadata"])
