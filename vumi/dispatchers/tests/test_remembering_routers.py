"""The routers that remember in Redis who sent a message."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks

from vumi.broker import Publication
from vumi.dispatchers.routers.content_keyword import ContentKeywordRouter
from vumi.dispatchers.tests.helpers import DispatcherHelper, DummyDispatcher
from vumi.dispatchers.tests.routing_cases import (
    MAKERS,
    Case,
    RoutingTestCase,
    event,
    hopped,
    inbound,
    outbound,
)
from vumi.dispatchers.worker import BaseDispatchWorker
from vumi.errors import DispatcherError
from vumi.persist.fake_redis import FakeRedis
from vumi.tests.helpers import VumiTestCase
from vumi.tests.servers import shared_redis

REDIS: dict[str, Any] = {
    "dispatcher_name": "keeper",
    "redis_manager": {"FAKE_REDIS": "yes", "key_prefix": "test"},
}
NOBODY = "Nobody is known to have sent message 1."
ACK = MAKERS.make_event("ack", "1", sent_message_id="1", transport_name="t1")


class ToAddrRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **REDIS,
        "transport_names": ["t1"],
        "exposed_names": ["app1", "app2"],
        "router_class": "vumi.dispatchers.ToAddrRouter",
        "toaddr_mappings": {"app1": "^to:.*:1$", "app2": "to:app2|to:both:"},
    }
    CASES: ClassVar = [
        Case("inbound to one", "t1.inbound", inbound(to_addr="to:x:1"), {"app1.inbound": {}}),
        Case(
            "an expression need match the beginning only",
            "t1.inbound",
            inbound(to_addr="to:app2:and:more"),
            {"app2.inbound": {}},
        ),
        Case(
            "but it must match the beginning",
            "t1.inbound",
            inbound(to_addr="x to:app2"),
            dead="'toaddr_mappings' has nothing for to_addr 'x to:app2'.",
        ),
        Case(
            "inbound to two",
            "t1.inbound",
            inbound(to_addr="to:both:1", content=None, from_addr=None),
            {"app1.inbound": {}, "app2.inbound": {}},
        ),
        Case(
            "inbound without an address",
            "t1.inbound",
            inbound(to_addr=None),
            dead="'toaddr_mappings' has nothing for to_addr None.",
        ),
        Case("outbound", "app1.outbound", outbound(), {"t1.outbound": {}}),
        Case(
            "outbound for nobody",
            "app1.outbound",
            outbound("t9"),
            nack="Unknown transport_name: t9.",
        ),
        Case("event of a message that nobody sent", "t1.event", ACK, dead=NOBODY),
    ]
    WRONG: ClassVar = {
        "an expression that is none and an unknown name": (
            {"toaddr_mappings": {"app1": "("}, "transport_mappings": {"x": 1}},
            [
                "'transport_mappings' at 'x' has no name: 1 is no text: in YAML, quote it.",
                "'toaddr_mappings' at 'app1' is not a valid regular expression: missing )",
            ],
        ),
        "an expression that YAML takes for a number": (
            {"toaddr_mappings": {"app1": 9292}},
            ["'toaddr_mappings' at 'app1' has no text: in YAML, quote it."],
        ),
        "unknown names": (
            {"toaddr_mappings": {"app9": ".*"}},
            ["'toaddr_mappings' names 'app9', which is none of 'exposed_names'."],
        ),
        "no mapping": ({"toaddr_mappings": ["app1"]}, ["'toaddr_mappings' is not a dict."]),
        "a memory without a name": (
            {"dispatcher_name": None},
            ["With 'redis_manager', 'dispatcher_name' is required too."],
        ),
        "a Redis that can't be": (
            {"redis_manager": {"port": "x", "db": -1}},
            ["'port' could not be converted to int.", "'db' must not be negative."],
        ),
    }

    @inlineCallbacks
    def test_an_event_goes_to_who_sent_the_message(self) -> Any:
        yield self.start()
        for name in ("app1", "app2"):
            message = outbound(message_id=f"from {name}")
            yield self.helper.dispatch_raw(f"{name}.outbound", message)
            ack = MAKERS.make_ack(message, transport_name="t1")
            yield self.helper.dispatch_raw("t1.event", ack)
            self.assertEqual(self.helper.get_dispatched_events(name), [hopped(ack)])


class ToAddrWithoutMemoryTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **ToAddrRouterTests.CONFIG,
        "redis_manager": None,
        "dispatcher_name": None,
    }
    CASES: ClassVar = [
        Case("inbound", "t1.inbound", inbound(to_addr="to:x:1"), {"app1.inbound": {}}),
        Case("outbound", "app1.outbound", outbound(), {"t1.outbound": {}}),
        Case("an event is dropped", "t1.event", event()),
    ]


class ToAddrWithOneApplicationTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **ToAddrWithoutMemoryTests.CONFIG,
        "exposed_names": ["app1"],
        "toaddr_mappings": {"app1": "x"},
    }
    CASES: ClassVar = [Case("an event is its", "t1.event", event(), {"app1.event": {}})]


class ToAddrWithRoutesForEventsTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **ToAddrWithoutMemoryTests.CONFIG,
        "transport_names": ["t1", "t2"],
        "route_mappings": {"t1": ["app1", "app2"]},
    }
    CASES: ClassVar = [
        Case(
            "an event goes by its transport",
            "t1.event",
            event(),
            {"app1.event": {}, "app2.event": {}},
        ),
        Case("without a route", "t2.event", event("t2"), dead="Nothing tells whose event it is."),
    ]


class ToAddrWithDefaultTests(RoutingTestCase):
    CONFIG: ClassVar = {**ToAddrWithoutMemoryTests.CONFIG, "default_exposed_name": "app2"}
    CASES: ClassVar = [
        Case("an event", "t1.event", event(), {"app2.event": {}}),
        Case("inbound without a route", "t1.inbound", inbound(), {"app2.inbound": {}}),
    ]


class UserGroupingRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **REDIS,
        "transport_names": ["t1", "t2"],
        "exposed_names": ["app1", "app2"],
        "router_class": "vumi.dispatchers.UserGroupingRouter",
        "group_mappings": {"b": "app2", "a": "app1"},
        "transport_mappings": {"upstream": "t2"},
    }
    CASES: ClassVar = [
        Case("the first user", "t1.inbound", inbound(content=None), {"app1.inbound": {}}),
        Case(
            "a message from nobody",
            "t1.inbound",
            inbound(from_addr=None, to_addr=None),
            {"app1.inbound": {}},
        ),
        Case("outbound", "app1.outbound", outbound(), {"t1.outbound": {}}),
        Case("outbound by a mapping", "app1.outbound", outbound("upstream"), {"t2.outbound": {}}),
        Case(
            "outbound for nobody",
            "app1.outbound",
            outbound("t9"),
            nack="Unknown transport_name: t9.",
        ),
        Case("event of a message that nobody sent", "t1.event", ACK, dead=NOBODY),
    ]
    WRONG: ClassVar = {
        "no dispatcher name, no groups": (
            {"dispatcher_name": 1, "group_mappings": []},
            ["'dispatcher_name' is not unicode.", "'group_mappings' is not a dict."],
        ),
        "unknown names": (
            {"group_mappings": {"a": "app9"}},
            ["'group_mappings' names 'app9', which is none of 'exposed_names'."],
        ),
        "no group at all": ({"group_mappings": {}}, ["'group_mappings' has no groups."]),
        "a memory that keeps nothing": (
            {"expire_routing_memory": 0},
            ["'expire_routing_memory' must be at least 1."],
        ),
    }

    @inlineCallbacks
    def say(self, *users: str) -> Any:
        """Have users say something; gives to whom it went."""
        self.helper.clear_all_dispatched()
        for user in users:
            yield self.helper.dispatch_raw("t1.inbound", inbound(from_addr=user))
        return [
            {message["from_addr"] for message in self.helper.get_dispatched_inbound(name)}
            for name in ("app1", "app2")
        ]

    @inlineCallbacks
    def test_users_are_put_into_groups_in_turn_and_stay_there(self) -> Any:
        yield self.start()
        for _ in range(2):
            groups = yield self.say("u1", "u2", "u3", "u1", "u2", "u3")
            self.assertEqual(groups, [{"u1", "u3"}, {"u2"}])

    @inlineCallbacks
    def test_redis_has_what_an_old_vumi_has(self) -> Any:
        fake = FakeRedis()
        fake.set("test:keeper:user:u1", "b")
        fake.set("test:keeper:round-robin", "7")
        redis = {"FAKE_REDIS": fake, "key_prefix": "test"}
        yield self.start(redis_manager=redis)
        self.assertEqual((yield self.say("u1", "u2")), [set(), {"u1", "u2"}])
        self.assertEqual(fake.get("test:keeper:user:u2"), "b")
        self.assertEqual(fake.get("test:keeper:round-robin"), "8")

    @inlineCallbacks
    def test_who_is_in_a_group_that_is_gone_gets_another(self) -> Any:
        fake = FakeRedis()
        fake.set("test:keeper:user:u1", "c")
        redis = {"FAKE_REDIS": fake, "key_prefix": "test"}
        yield self.start(redis_manager=redis)
        self.assertEqual((yield self.say("u1")), [{"u1"}, set()])
        self.assertEqual(fake.get("test:keeper:user:u1"), "a")

    @inlineCallbacks
    def test_two_processes_put_a_new_user_into_one_group(self) -> Any:
        fake = FakeRedis()
        dispatcher = yield self.start(redis_manager={"FAKE_REDIS": fake, "key_prefix": "test"})
        router = dispatcher._router

        async def next_group_while_another_process_is_faster() -> str:
            fake.set("test:keeper:user:u1", "b")
            return "a"

        router.get_next_group = next_group_while_another_process_is_faster
        self.assertEqual((yield self.say("u1")), [set(), {"u1"}])

    @inlineCallbacks
    def test_events_go_to_who_sent_the_message(self) -> Any:
        yield self.start()
        message = outbound("t2")
        yield self.helper.dispatch_raw("app2.outbound", message)
        ack = MAKERS.make_ack(message, transport_name="t2")
        yield self.helper.dispatch_raw("t2.event", ack)
        self.assertEqual(self.helper.get_dispatched_events("app2"), [hopped(ack)])
        self.assertEqual(self.helper.get_dispatched_events("app1"), [])

    @inlineCallbacks
    def test_an_event_of_nobody_known_goes_by_the_route_mappings(self) -> Any:
        yield self.start(route_mappings={"t1": ["app1", "app2"]})
        yield self.helper.dispatch_raw("t1.event", ACK)
        for name in ("app1", "app2"):
            self.assertEqual(self.helper.get_dispatched_events(name), [hopped(ACK)])


class ContentKeywordRouterTests(RoutingTestCase):
    CONFIG: ClassVar = {
        **REDIS,
        "transport_names": ["t1", "t2"],
        "exposed_names": ["app1", "app2", "app3", "rest"],
        "router_class": "vumi.dispatchers.ContentKeywordRouter",
        "rules": [
            {"app": "app1", "keyword": "KEY", "to_addr": "8181", "prefix": "+256"},
            {"app": "app2", "keyword": "key"},
            {"app": "app2", "keyword": "other", "to_addr": None},
            {"app": "app1", "keyword": ""},
        ],
        "keyword_mappings": {"app3": "Word"},
        "transport_mappings": {"8181": "t1", "8282": "t2"},
    }
    CASES: ClassVar = [
        Case("a keyword", "t1.inbound", inbound(content="other"), {"app2.inbound": {}}),
        *(
            Case(
                f"a keyword as phones write it, {text!a}",
                "t1.inbound",
                inbound(content=text),
                {"app2.inbound": {}},
            )
            for text in (
                "Other!",
                "\u201cOTHER\u201d please",
                "\u2757\ufe0f other",
                "o\u200bther\u2757\ufe0f",
                "\uff4f\uff54\uff48\uff45\uff52",
            )
        ),
        Case(
            "a keyword in another case before more words",
            "t1.inbound",
            inbound(content="OTHER word"),
            {"app2.inbound": {}},
        ),
        Case(
            "a keyword after and before white space",
            "t1.inbound",
            inbound(content=" \tWORD\nmore"),
            {"app3.inbound": {}},
        ),
        Case(
            "a rule with all conditions next to one without",
            "t1.inbound",
            inbound(content="key", to_addr="8181", from_addr="+25612345"),
            {"app1.inbound": {}, "app2.inbound": {}},
        ),
        Case(
            "a rule whose prefix doesn't fit",
            "t1.inbound",
            inbound(content="key", to_addr="8181", from_addr="+27612345"),
            {"app2.inbound": {}},
        ),
        Case(
            "a rule whose address doesn't fit",
            "t1.inbound",
            inbound(content="key", to_addr="8282", from_addr="+25612345"),
            {"app2.inbound": {}},
        ),
        Case(
            "a message from nobody to nobody",
            "t1.inbound",
            inbound(content="key", to_addr=None, from_addr=None),
            {"app2.inbound": {}},
        ),
        Case("without content", "t1.inbound", inbound(content=None), {"app1.inbound": {}}),
        Case("with white space only", "t1.inbound", inbound(content=" \n"), {"app1.inbound": {}}),
        Case(
            "a keyword that nobody has",
            "t1.inbound",
            inbound(content="keys"),
            dead="No rule fits a message with the keyword 'keys'.",
        ),
        Case(
            "outbound",
            "app1.outbound",
            outbound("t1", from_addr="8282"),
            {"t2.outbound": {}},
        ),
        Case(
            "outbound from an address that nobody has",
            "app1.outbound",
            outbound(from_addr="8383"),
            nack="No transport for 8383.",
        ),
        Case(
            "outbound from nobody",
            "app1.outbound",
            outbound(from_addr=None, content=None),
            nack="No transport for None.",
        ),
        Case("event of a message that nobody sent", "t1.event", ACK, dead=NOBODY),
    ]
    WRONG: ClassVar = {
        "rules that are none": ({"rules": {"app": "app1"}}, ["'rules' is not a list of rules."]),
        "a rule that is none": ({"rules": ["app1"]}, ["'rules' rule 1 is not a mapping."]),
        "a rule without an app": (
            {"rules": [{"app": "app1", "keyword": "a"}, {"keyword": "a"}]},
            ["'rules' rule 2 has no 'app'."],
        ),
        "a rule without a keyword": (
            {"rules": [{"app": "app1"}]},
            ["'rules' rule 1 has no 'keyword'."],
        ),
        "a keyword that YAML takes for a truth": (
            {"rules": [{"app": "app1", "keyword": True}], "keyword_mappings": {"app1": 1}},
            [
                "'rules' rule 1: keyword is no text: in YAML, quote it.",
                "'keyword_mappings' at 'app1' has no text: in YAML, quote it.",
            ],
        ),
        "keyword mappings that are none": (
            {"keyword_mappings": "word"},
            ["'keyword_mappings' is not a dict."],
        ),
        "unknown names": (
            {
                "rules": [{"app": "app8", "keyword": "a"}],
                "keyword_mappings": {"app9": "b"},
                "fallback_application": "app7",
                "transport_mappings": {"8181": "t9"},
            },
            [
                "'rules' names 'app8'",
                "'keyword_mappings' names 'app9'",
                "'fallback_application' names 'app7'",
                "'transport_mappings' names 't9'",
            ],
        ),
    }
    DOUBTFUL: ClassVar = {
        "a rule that is there twice": (
            {
                "rules": [
                    {"app": "app1", "keyword": "a"},
                    {"app": "app1", "keyword": "A"},
                    {"app": "app2", "keyword": "a"},
                ]
            },
            ["for 'app1' with keyword 'a' changes nothing, as the one with keyword 'a' is there."],
        ),
        "rules that a wider one of the same application makes useless": (
            {
                "rules": [
                    {"app": "app1", "keyword": "a", "to_addr": "1"},
                    {"app": "app1", "keyword": "a", "prefix": "+2"},
                    {"app": "app1", "keyword": "a", "prefix": "+27", "to_addr": "1"},
                    {"app": "app1", "keyword": "b", "prefix": "+27"},
                    {"app": "app1", "keyword": "b"},
                ]
            },
            [
                "keyword 'a', to_addr '1', from_addr begins with '+27' changes nothing",
                "keyword 'b', from_addr begins with '+27' changes nothing",
            ],
        ),
        "a keyword that no message has": (
            {"keyword_mappings": {"app3": "two words"}},
            ["for 'app3' with keyword 'two words' fits no message"],
        ),
        "a key of a rule that nobody knows": (
            {"rules": [{"app": "app1", "keyword": "a", "toaddr": "1"}]},
            ["'rules' rule 1: nobody knows the key 'toaddr'."],
        ),
    }

    @inlineCallbacks
    def test_two_rules_of_one_application_make_one_copy(self) -> Any:
        rules = [
            {"app": "app1", "keyword": "a", "to_addr": "1"},
            {"app": "app1", "keyword": "a", "prefix": "+27"},
        ]
        yield self.start(rules=rules)
        message = inbound(content="a", to_addr="1", from_addr="+271")
        yield self.helper.dispatch_raw("t1.inbound", message)
        self.assertEqual(self.helper.get_dispatched_inbound("app1"), [hopped(message)])

    @inlineCallbacks
    def test_what_no_rule_fits_goes_to_the_fallback_application(self) -> Any:
        yield self.start(fallback_application="rest")
        message = inbound(content="keys")
        yield self.helper.dispatch_raw("t1.inbound", message)
        self.assertEqual(self.helper.get_dispatched_inbound("rest"), [hopped(message)])

    @inlineCallbacks
    def test_the_memory_is_as_an_old_vumi_keeps_it_and_ends(self) -> Any:
        fake = FakeRedis()
        redis = {"FAKE_REDIS": fake, "key_prefix": "test"}
        dispatcher = yield self.start(redis_manager=redis, expire_routing_memory=30)
        dispatcher._router.seconds = lambda: 12.5
        message = outbound(from_addr="8181", message_id="m1")
        yield self.helper.dispatch_raw("app1.outbound", message)
        key = "test:keeper:session:message:m1"
        self.assertEqual(fake.hgetall(key), {"name": "app1", "created_at": "12.5"})
        self.assertEqual(fake.ttl(key), 30)

    @inlineCallbacks
    def test_an_event_goes_to_who_sent_the_message_whatever_its_transport_name(self) -> Any:
        yield self.start()
        message = outbound("t2", from_addr="8181")
        yield self.helper.dispatch_raw("app3.outbound", message)
        ack = MAKERS.make_ack(message, transport_name="t1")
        yield self.helper.dispatch_raw("t1.event", ack)
        self.assertEqual(self.helper.get_dispatched_events("app3"), [hopped(ack)])

    @inlineCallbacks
    def test_an_event_of_a_name_that_is_gone_has_no_route(self) -> Any:
        fake = FakeRedis()
        fake.hset("test:keeper:session:message:1", "name", "gone")
        yield self.start(redis_manager={"FAKE_REDIS": fake, "key_prefix": "test"})
        yield self.helper.dispatch_raw("t1.event", ACK)
        [failure] = self.flushLoggedErrors(DispatcherError)
        self.assertIn("Message 1 came from 'gone', which is no exposed name.", str(failure.value))

    @inlineCallbacks
    def test_nothing_is_published_before_it_is_remembered_by_whom(self) -> Any:
        # The ack may be faster than Redis otherwise.
        dispatcher = yield self.start()
        router = dispatcher._router
        remembering: Deferred[None] = Deferred()
        router._remember = lambda keys, args: remembering
        handled = self.helper.dispatch_raw("app1.outbound", outbound(from_addr="8181"))
        while not dispatcher.connectors["app1"]._inlets["outbound"].consumer.flow._running:
            # One turn of the reactor.
            yield _next_turn()
        self.assertEqual(self.helper.get_dispatched_outbound("t1"), [])
        remembering.callback(None)
        yield handled
        self.assertEqual(len(self.helper.get_dispatched_outbound("t1")), 1)

    @inlineCallbacks
    def test_hooks_of_subclasses_see_what_leaves(self) -> Any:
        yield self.start(router_class=f"{__name__}.ShoutingRouter")
        yield self.helper.dispatch_raw("t1.inbound", inbound(content="anything"))
        [message] = self.helper.get_dispatched_inbound("app1")
        self.assertEqual(message["content"], "ANYTHING")
        reply = outbound(from_addr="8181")
        yield self.helper.dispatch_raw("app1.outbound", reply)
        [sent] = self.helper.get_dispatched_outbound("t1")
        self.assertEqual(sent["content"], "HI")
        ack = MAKERS.make_ack(reply, transport_name="t1")
        yield self.helper.dispatch_raw("t1.event", ack)
        [event_seen] = self.helper.get_dispatched_events("app1")
        self.assertEqual(event_seen["sent_message_id"], "seen")


def _next_turn() -> Deferred[None]:
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    clock: Any = reactor
    return deferLater(clock, 0)


class ShoutingRouter(ContentKeywordRouter):
    """Overrides what may be overridden."""

    def is_msg_matching_routing_rules(self, keyword: Any, msg: Any, rule: Any) -> bool:
        return bool(rule["app"] == "app1")

    def publish_exposed_inbound(self, name: str, msg: Any) -> Any:
        msg["content"] = msg["content"].upper()
        return super().publish_exposed_inbound(name, msg)

    def publish_exposed_event(self, name: str, msg: Any) -> Any:
        msg["sent_message_id"] = "seen"
        return super().publish_exposed_event(name, msg)

    def publish_transport(self, name: str, msg: Any) -> Any:
        msg["content"] = msg["content"].upper()
        return super().publish_transport(name, msg)

    async def dispatch_outbound_message(self, msg: Any) -> Any:
        # Waits before it calls what it overrides: who sent the message must still be known.
        await _next_turn()
        await super().dispatch_outbound_message(msg)


class RouterByItselfTests(VumiTestCase):
    """Routers in tests of users' own, with nothing but a dummy dispatcher around them."""

    @inlineCallbacks
    def test_a_router_with_a_dummy_dispatcher(self) -> Any:
        config = ContentKeywordRouterTests.CONFIG
        dispatcher: Any = DummyDispatcher(config)
        router = ContentKeywordRouter(dispatcher, config)
        yield router.setup_routing()
        self.addCleanup(router.teardown_routing)
        yield router.dispatch_outbound_message(outbound("app1", from_addr="8181"))
        [sent] = dispatcher.transport_publisher["t1"].msgs
        ack = MAKERS.make_ack(sent, transport_name="t1")
        yield router.dispatch_inbound_event(ack)
        self.assertEqual(dispatcher.exposed_event_publisher["app1"].msgs, [ack])

    @inlineCallbacks
    def test_a_handler_is_done_before_the_broker_has_confirmed(self) -> Any:
        # Otherwise each message of a conversation would wait for the one before to be confirmed.
        config = ContentKeywordRouterTests.CONFIG
        dispatcher: Any = DummyDispatcher(config)
        publication = Publication("vumi", "", b"", None, False, None)
        dispatcher.publish_outbound_message = lambda name, msg: publication
        router = ContentKeywordRouter(dispatcher, config)
        yield router.setup_routing()
        self.addCleanup(router.teardown_routing)
        yield router.dispatch_outbound_message(outbound("app1", from_addr="8181"))
        self.assertFalse(publication.has_listeners())


@pytest.mark.integration
class RealRedisTests(VumiTestCase):
    """What is remembered in one process is known in another one, which starts later."""

    @inlineCallbacks
    def test_the_memory_outlives_the_dispatcher(self) -> Any:
        helper = self.add_helper(DispatcherHelper(BaseDispatchWorker))
        redis = {"url": shared_redis().url(), "key_prefix": self.id()}
        config = {**ContentKeywordRouterTests.CONFIG, "redis_manager": redis}
        message = outbound(from_addr="8181")
        dispatcher = yield helper.get_dispatcher(config)
        yield helper.dispatch_raw("app3.outbound", message)
        yield helper.cleanup_worker(dispatcher)
        yield helper.get_dispatcher(config)
        ack = MAKERS.make_ack(message, transport_name="t1")
        yield helper.dispatch_raw("t1.event", ack)
        self.assertEqual(helper.get_dispatched_events("app3"), [hopped(ack)])
