"""Middleware: the order messages pass it in, what its hooks may return, and its configuration."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from vumi.config import ConfigError, ConfigInt
from vumi.middleware import (
    ApplicationMiddleware,
    BaseMiddleware,
    BaseMiddlewareConfig,
    MiddlewareError,
    MiddlewareStack,
    TransportMiddleware,
    create_middlewares_from_config,
    setup_middlewares_from_config,
)
from vumi.middleware.tests.utils import RecordingMiddleware
from vumi.tests.helpers import MessageHelper, VumiTestCase, success_result_of

HERE = __name__
KINDS = ("inbound", "outbound", "event", "failure", "status")


def a_turn() -> Deferred[None]:
    from twisted.internet import reactor

    return deferLater(reactor, 0, lambda: None)


class StepConfig(BaseMiddlewareConfig):
    """Options of the middleware of this test."""

    step = ConfigInt("How far.", default=1, static=True)


class ConfiguredMiddleware(BaseMiddleware):
    CONFIG_CLASS = StepConfig

    def setup_middleware(self) -> None:
        self.is_set_up = True


class NotedMiddleware(BaseMiddleware):
    """Appends to a list of its worker when it is set up and torn down."""

    async def setup_middleware(self) -> None:
        await a_turn()
        self.worker.append(f"{self.name} up")

    def teardown_middleware(self) -> Any:
        self.worker.append(f"{self.name} down")
        return succeed(None)


def recorder(name: str, consume: int | None = 0, publish: int | None = 0) -> RecordingMiddleware:
    config = {"consume_priority": consume, "publish_priority": publish}
    return RecordingMiddleware(name, config, None)


def names(middlewares: list[BaseMiddleware]) -> list[str]:
    return [middleware.name for middleware in middlewares]


class HookTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.message = MessageHelper().make_inbound("hi")

    def test_a_middleware_that_overrides_nothing_changes_nothing(self) -> None:
        for cls in (BaseMiddleware, TransportMiddleware, ApplicationMiddleware):
            middleware = cls("mw", {}, None)
            for kind in KINDS:
                for hook in (f"handle_{kind}", f"handle_consume_{kind}", f"handle_publish_{kind}"):
                    self.assertIs(getattr(middleware, hook)(self.message, "c"), self.message)
            self.assertIsNone(middleware.setup_middleware())
            self.assertIsNone(middleware.teardown_middleware())

    def test_the_hooks_of_both_directions_lead_to_the_general_one(self) -> None:
        middleware = recorder("mw")
        for kind in KINDS:
            message = MessageHelper().make_inbound("hi")
            getattr(middleware, f"handle_consume_{kind}")(message, "a")
            getattr(middleware, f"handle_publish_{kind}")(message, "b")
            self.assertEqual(message["record"], [("mw", kind, "a"), ("mw", kind, "b")])

    def test_what_is_known_to_a_middleware(self) -> None:
        middleware = ConfiguredMiddleware("mw", {"step": "3", "consume_priority": 7}, "worker")
        self.assertEqual(middleware.name, "mw")
        self.assertEqual(middleware.config.step, 3)
        self.assertEqual(middleware.worker, "worker")
        self.assertEqual(middleware.consume_priority, 7)
        self.assertIsNone(middleware.publish_priority)

    def test_a_wrong_option_is_refused(self) -> None:
        self.assertRaises(ConfigError, ConfiguredMiddleware, "mw", {"step": "far"}, None)


class StackTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.message = MessageHelper().make_inbound("hi")

    def test_the_first_one_listed_is_the_closest_to_the_queue(self) -> None:
        stack = MiddlewareStack([recorder("a"), recorder("b"), recorder("c")])
        self.assertEqual(names(stack.consume_middlewares), ["a", "b", "c"])
        self.assertEqual(names(stack.publish_middlewares), ["c", "b", "a"])

    def test_priorities_come_before_the_order_of_the_list(self) -> None:
        stack = MiddlewareStack(
            [recorder("a", 1, 0), recorder("b", 0, -1), recorder("c", -1, 0), recorder("d", 0, 1)]
        )
        self.assertEqual(names(stack.consume_middlewares), ["c", "b", "d", "a"])
        self.assertEqual(names(stack.publish_middlewares), ["b", "c", "a", "d"])

    def test_a_priority_that_was_not_given_is_zero(self) -> None:
        stack = MiddlewareStack(
            [recorder("a", None, None), recorder("b", -1, 1), BaseMiddleware("c", {}, None)]
        )
        self.assertEqual(names(stack.consume_middlewares), ["b", "a", "c"])
        self.assertEqual(names(stack.publish_middlewares), ["c", "a", "b"])

    def test_every_kind_of_message_passes_in_both_directions(self) -> None:
        stack = MiddlewareStack([recorder("a"), recorder("b")])
        for kind in KINDS:
            message = MessageHelper().make_inbound("hi")
            consumed = success_result_of(stack.apply_consume(kind, message, "x"))
            self.assertIs(consumed, message)
            published = success_result_of(stack.apply_publish(kind, message, "y"))
            self.assertIs(published, message)
            self.assertEqual(
                message["record"],
                [("a", kind, "x"), ("b", kind, "x"), ("b", kind, "y"), ("a", kind, "y")],
            )

    def test_a_message_can_be_replaced(self) -> None:
        other = MessageHelper().make_inbound("other")

        class Replacing(BaseMiddleware):
            def handle_inbound(self, message: Any, connector_name: str) -> Any:
                return other

        stack = MiddlewareStack([Replacing("r", {}, None), recorder("a")])
        result = success_result_of(stack.apply_consume("inbound", self.message, "x"))
        self.assertIs(result, other)
        self.assertEqual(other["record"], [("a", "inbound", "x")])
        self.assertNotIn("record", self.message)

    def test_returning_none_is_an_error_that_names_the_hook(self) -> None:
        class Forgetful(BaseMiddleware):
            def handle_inbound(self, message: Any, connector_name: str) -> Any:
                return None

        class ForgetfulLater(BaseMiddleware):
            async def handle_inbound(self, message: Any, connector_name: str) -> Any:
                return None

        for cls in (Forgetful, ForgetfulLater):
            for before in ([], [recorder("a")]):
                stack = MiddlewareStack([*before, cls("f", {}, None)])
                failed = stack.apply_consume("inbound", self.message, "x")
                failure = self.failureResultOf(failed, MiddlewareError)
                self.assertEqual(
                    str(failure.value),
                    f"Returned value of {cls.__name__}.handle_consume_inbound should never be "
                    "None",
                )

    def test_only_overridden_hooks_are_in_a_chain(self) -> None:
        class OnlyEvents(BaseMiddleware):
            def handle_publish_event(self, event: Any, connector_name: str) -> Any:
                return event

        stack = MiddlewareStack([OnlyEvents("e", {}, None)])
        self.assertTrue(stack.chain("publish", "event"))
        for direction, kind in [("consume", "event"), ("publish", "inbound")]:
            self.assertFalse(stack.chain(direction, kind))

    def test_a_hook_that_was_put_on_the_object_is_in_the_chain(self) -> None:
        middleware = BaseMiddleware("m", {}, None)
        seen: list[Any] = []

        def note(message: Any, connector_name: str) -> Any:
            seen.append(message)
            return message

        middleware.handle_inbound = note  # type: ignore[method-assign]  # as tests do it
        stack = MiddlewareStack([middleware])
        success_result_of(stack.apply_consume("inbound", self.message, "x"))
        self.assertEqual(seen, [self.message])

    def test_an_empty_stack_returns_the_message(self) -> None:
        stack = MiddlewareStack([])
        result = success_result_of(stack.apply_publish("outbound", self.message, "x"))
        self.assertIs(result, self.message)


class AsyncTests(VumiTestCase):
    @inlineCallbacks
    def test_hooks_in_all_styles_pass_the_message_on_in_order(self) -> Any:
        class ByDeferred(RecordingMiddleware):
            @inlineCallbacks
            def handle_inbound(self, message: Any, connector_name: str) -> Any:
                yield a_turn()
                return super().handle_inbound(message, connector_name)

        class ByCoroutine(RecordingMiddleware):
            async def handle_inbound(self, message: Any, connector_name: str) -> Any:
                await a_turn()
                return super().handle_inbound(message, connector_name)

        message = MessageHelper().make_inbound("hi")
        stack = MiddlewareStack(
            [
                recorder("a"),
                ByDeferred("b", {}, None),
                ByCoroutine("c", {}, None),
                recorder("d"),
            ]
        )
        yield stack.apply_consume("inbound", message, "x")
        self.assertEqual([name for name, _, _ in message["record"]], ["a", "b", "c", "d"])

    @inlineCallbacks
    def test_all_are_set_up_in_order_and_torn_down_once_in_the_order_of_publishing(self) -> Any:
        life: list[str] = []
        config = {"middleware": [{n: f"{HERE}.NotedMiddleware"} for n in "abc"]}
        middlewares = yield setup_middlewares_from_config(life, config)
        self.assertEqual(life, ["a up", "b up", "c up"])
        stack = MiddlewareStack(middlewares)
        yield stack.teardown()
        yield stack.teardown()
        self.assertEqual(life[3:], ["c down", "b down", "a down"])


class ConfigTests(SynchronousTestCase):
    CLASS = f"{HERE}.ConfiguredMiddleware"

    def test_classes_sections_and_priorities(self) -> None:
        config = {
            "middleware": [
                {"one": self.CLASS},
                {"two": {"class": self.CLASS, "consume_priority": 5, "publish_priority": -5}},
                {"three": self.CLASS},
            ],
            "one": {"step": 2},
            "three": None,
        }
        one, two, three = create_middlewares_from_config("worker", config)
        self.assertEqual([m.name for m in (one, two, three)], ["one", "two", "three"])
        self.assertEqual([m.config.step for m in (one, two, three)], [2, 1, 1])
        self.assertEqual((one.consume_priority, one.publish_priority), (0, 0))
        self.assertEqual((two.consume_priority, two.publish_priority), (5, -5))
        self.assertEqual(one.worker, "worker")
        # Made, not set up.
        self.assertFalse(hasattr(one, "is_set_up"))

    def test_the_configuration_is_left_as_it_is(self) -> None:
        config: dict[str, Any] = {
            "middleware": [{"one": {"class": self.CLASS, "consume_priority": 5}}],
            "one": {"step": 2},
        }
        create_middlewares_from_config(None, config)
        self.assertEqual(config["one"], {"step": 2})

    def test_no_middleware(self) -> None:
        configs: list[dict[str, Any]] = [{}, {"middleware": None}, {"middleware": []}]
        for config in configs:
            self.assertEqual(create_middlewares_from_config(None, config), [])

    def test_an_error_in_a_section_is_told_with_its_name(self) -> None:
        config = {"middleware": [{"one": self.CLASS}], "one": {"step": "far"}}
        error = self.assertRaises(ConfigError, create_middlewares_from_config, None, config)
        self.assertIn("one: ", str(error))
        self.assertIn("'step'", str(error))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("a.b.C", "must be a list"),
        (["a.b.C"], "single key"),
        ([{}], "single key"),
        ([{"a": "x.Y", "b": "x.Z"}], "single key"),
        ([{"a": None}], "'a'"),
        ([{"a": ["x.Y"]}], "'a'"),
        ([{"a": {"consume_priority": 1}}], "'class'"),
        ([{"a": {"class": "x.Y", "consume_priority": "high"}}], "consume_priority"),
        ([{"a": {"class": "x.Y", "publish_priority": 1.5}}], "publish_priority"),
        ([{"a": {"class": "x.Y", "publish_priority": True}}], "publish_priority"),
        ([{"a": "no.such.module.Thing"}], "'a'"),
        ([{"a": "vumi.middleware.NoSuchThing"}], "NoSuchThing"),
        ([{"a": "not-dotted"}], "not-dotted"),
    ],
)
def test_a_wrong_list_of_middlewares_is_told_in_words(entries: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_middlewares_from_config(None, {"middleware": entries})


def test_a_section_that_is_no_mapping_is_refused() -> None:
    config = {"middleware": [{"a": f"{HERE}.ConfiguredMiddleware"}], "a": ["step"]}
    with pytest.raises(ConfigError, match="section 'a'"):
        create_middlewares_from_config(None, config)
