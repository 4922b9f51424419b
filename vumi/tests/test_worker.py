"""A worker's life: what comes up in which order, what goes down, and what it says meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from vumi.blinkenlights.heartbeat import HeartBeatMessage, HeartBeatPublisher
from vumi.config import ConfigInt, ConfigText
from vumi.connectors import ReceiveInboundConnector, ReceiveOutboundConnector
from vumi.errors import ConfigError, DuplicateConnectorError
from vumi.middleware import BaseMiddleware
from vumi.tests.fake_amqp import FakeAMQPBroker
from vumi.tests.helpers import VumiTestCase, WorkerHelper, success_result_of
from vumi.tests.utils import LogCatcher
from vumi.worker import BaseConfig, BaseWorker, then_call

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = ("heartbeat", "middleware", "connectors", "worker")


def a_turn() -> Deferred[None]:
    from twisted.internet import reactor

    return deferLater(reactor, 0, lambda: None)


class Broken(Exception):
    """What a hook may raise."""


class IdleWorker(BaseWorker):
    """Does nothing."""

    def setup_connectors(self) -> Any:
        return None

    def setup_worker(self) -> Any:
        return None


class LifeWorker(IdleWorker):
    """Writes down what comes up and goes down; may fail at any step."""

    fails_at: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.life: list[str] = []

    async def _step(self, name: str) -> None:
        await a_turn()
        self.life.append(name)
        if name in self.fails_at:
            raise Broken(name)

    def validate_config(self) -> Any:
        return Deferred.fromCoroutine(self._step("validate_config"))

    def drain_connectors(self) -> Any:
        return self._step("drain_connectors")


def _add_steps() -> None:
    """Give the class a set-up and a tear-down of each part."""

    def step(name: str) -> Callable[[LifeWorker], Any]:
        return lambda self: self._step(name)

    for part in PARTS:
        for verb in ("setup", "teardown"):
            setattr(LifeWorker, f"{verb}_{part}", step(f"{verb}_{part}"))


_add_steps()

UP = ["validate_config", *(f"setup_{part}" for part in PARTS)]
DOWN = ["drain_connectors", *(f"teardown_{part}" for part in reversed(PARTS))]


class LifeTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(WorkerHelper())

    def failing_at(self, *steps: str) -> type[LifeWorker]:
        return type("FailingWorker", (LifeWorker,), {"fails_at": steps})

    @inlineCallbacks
    def test_everything_comes_up_in_order_and_goes_down_in_the_opposite_one(self) -> Any:
        worker = yield self.helper.get_worker(LifeWorker, {})
        self.assertEqual(worker.life, UP)
        worker.life.clear()
        yield worker.stopWorker()
        self.assertEqual(worker.life, DOWN)

    @inlineCallbacks
    def test_only_what_came_up_is_torn_down(self) -> Any:
        for step, torn_down in [
            ("validate_config", []),
            # These can come up in part, and then something of them is there to be torn down.
            ("setup_heartbeat", ["heartbeat"]),
            ("setup_middleware", ["middleware", "heartbeat"]),
            ("setup_connectors", ["connectors", "middleware", "heartbeat"]),
            # A user's teardown hook relies on all that its setup hook has made.
            ("setup_worker", ["connectors", "middleware", "heartbeat"]),
        ]:
            worker = yield self.helper.get_worker(self.failing_at(step), {}, start=False)
            yield self.assertFailure(worker.startWorker(), Broken)
            self.assertEqual(worker.life, UP[: UP.index(step) + 1])
            worker.life.clear()
            yield worker.stopWorker()
            expected = ["drain_connectors", *(f"teardown_{part}" for part in torn_down)]
            self.assertEqual(worker.life, expected, step)

    @inlineCallbacks
    def test_a_worker_that_was_never_started_tears_nothing_down(self) -> Any:
        worker = yield self.helper.get_worker(LifeWorker, {}, start=False)
        yield worker.stopWorker()
        self.assertEqual(worker.life, ["drain_connectors"])

    @inlineCallbacks
    def test_stopping_twice_tears_down_once(self) -> Any:
        worker = yield self.helper.get_worker(LifeWorker, {})
        yield worker.stopWorker()
        worker.life.clear()
        yield worker.stopWorker()
        self.assertEqual(worker.life, ["drain_connectors"])

    @inlineCallbacks
    def test_whatever_fails_the_rest_is_torn_down(self) -> Any:
        cls = self.failing_at("teardown_worker", "teardown_middleware")
        worker = yield self.helper.get_worker(cls, {})
        worker.life.clear()
        yield self.assertFailure(worker.stopWorker(), Broken)
        self.assertEqual(worker.life, DOWN)
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 2)

    @inlineCallbacks
    def test_a_stopped_worker_can_be_started_again(self) -> Any:
        worker = yield self.helper.get_worker(LifeWorker, {})
        yield worker.stopWorker()
        worker.life.clear()
        yield worker.startWorker()
        self.assertEqual(worker.life, UP)

    @inlineCallbacks
    def test_hooks_may_return_plain_values_deferreds_and_coroutines(self) -> Any:
        class MixedWorker(BaseWorker):
            def setup_connectors(self) -> Any:
                return succeed("a deferred")

            async def setup_worker(self) -> Any:
                await a_turn()
                self.is_up = True

            def teardown_worker(self) -> Any:
                return "a value"

        worker = yield self.helper.get_worker(MixedWorker, {})
        self.assertTrue(worker.is_up)

    @inlineCallbacks
    def test_the_abstract_hooks_say_what_to_override(self) -> Any:
        worker = yield self.helper.get_worker(BaseWorker, {}, start=False)
        error = yield self.assertFailure(worker.startWorker(), NotImplementedError)
        self.assertIn("BaseWorker must override setup_connectors()", str(error))

    @inlineCallbacks
    def test_as_a_service(self) -> Any:
        worker = yield self.helper.get_worker(LifeWorker, {}, start=False)
        worker.startService()
        while "setup_worker" not in worker.life:
            yield a_turn()
        worker.life.clear()
        yield worker.stopService()
        self.assertEqual(worker.life, DOWN)

    @inlineCallbacks
    def test_a_service_that_can_not_start_says_so(self) -> Any:
        worker = yield self.helper.get_worker(self.failing_at("setup_worker"), {}, start=False)
        failures: list[Any] = []
        worker.on_failure(failures.append)
        self.worker = worker
        worker.startService()
        while "setup_worker" not in worker.life:
            yield a_turn()
        yield a_turn()
        self.assertEqual([failure.type for failure in failures], [Broken])
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    @inlineCallbacks
    def test_a_service_with_a_wrong_config_says_so_in_words(self) -> Any:
        worker = yield self.helper.get_worker(
            IdleWorker, {"middleware": [{"one": "no.such.Thing"}]}, start=False
        )
        failures: list[Any] = []
        worker.on_failure(failures.append)
        with LogCatcher(message="could not start") as catcher:
            worker.startService()
            yield a_turn()
        self.assertEqual([failure.type for failure in failures], [ConfigError])
        [event] = catcher.logs
        text = str(event["format"] % event if event.get("format") else event["message"])
        self.assertIn("IdleWorker could not start: Middleware 'one'", text)
        self.flushLoggedErrors()

    def test_then_call(self) -> None:
        first: Deferred[str] = Deferred()
        result = then_call(first, lambda a, b: (a, b), 1, b=2)
        first.callback("ignored")
        self.assertEqual(success_result_of(result), (1, 2))
        self.failureResultOf(then_call(fail(Broken()), lambda: None), Broken)


class CountingMiddleware(BaseMiddleware):
    """Counts how often it is set up and torn down."""

    def setup_middleware(self) -> Any:
        self.worker.counts.append(f"{self.name} up")
        if self.name == "broken":
            raise Broken(self.name)

    async def teardown_middleware(self) -> Any:
        await a_turn()
        self.worker.counts.append(f"{self.name} down")


class ConnectedWorker(BaseWorker):
    """Has a connector of each kind."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.counts: list[str] = []

    @inlineCallbacks
    def setup_connectors(self) -> Any:
        yield self.setup_ri_connector("ri")
        yield self.setup_ro_connector("ro")
        yield self.setup_publish_status_connector("tx")
        yield self.setup_receive_status_connector("rx")

    def setup_worker(self) -> Any:
        return None


class MiddlewareTests(VumiTestCase):
    CLASS = f"{__name__}.CountingMiddleware"

    def setUp(self) -> None:
        self.helper = self.add_helper(WorkerHelper())

    @inlineCallbacks
    def test_it_is_torn_down_once_however_many_connectors_there_are(self) -> Any:
        worker = yield self.helper.get_worker(
            ConnectedWorker, {"middleware": [{"one": self.CLASS}, {"two": self.CLASS}]}
        )
        self.assertEqual([m.name for m in worker.middlewares], ["one", "two"])
        self.assertEqual(worker.counts, ["one up", "two up"])
        yield worker.stopWorker()
        self.assertEqual(worker.counts[2:], ["two down", "one down"])

    @inlineCallbacks
    def test_what_was_set_up_before_one_failed_is_torn_down(self) -> Any:
        worker = yield self.helper.get_worker(
            ConnectedWorker,
            {"middleware": [{"one": self.CLASS}, {"broken": self.CLASS}, {"two": self.CLASS}]},
            start=False,
        )
        yield self.assertFailure(worker.startWorker(), Broken)
        yield worker.stopWorker()
        self.assertEqual(worker.counts[:2], ["one up", "broken up"])
        self.assertIn("one down", worker.counts)
        self.assertNotIn("two down", worker.counts)

    @inlineCallbacks
    def test_a_wrong_list_is_an_error_at_start(self) -> Any:
        worker = yield self.helper.get_worker(
            ConnectedWorker, {"middleware": [{"one": "no.such.Thing"}]}, start=False
        )
        error = yield self.assertFailure(worker.startWorker(), ConfigError)
        self.assertIn("'one'", str(error))


class ConnectorTests(VumiTestCase):
    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.helper = self.add_helper(WorkerHelper())
        self.worker = yield self.helper.get_worker(ConnectedWorker, {})

    def test_they_are_kept_by_name(self) -> None:
        self.assertEqual(list(self.worker.connectors), ["ri", "ro", "tx", "rx"])
        self.assertIsInstance(self.worker.connectors["ri"], ReceiveInboundConnector)
        self.assertIsInstance(self.worker.connectors["ro"], ReceiveOutboundConnector)

    @inlineCallbacks
    def test_they_start_paused(self) -> Any:
        self.assertTrue(all(c.paused for c in self.worker.connectors.values()))
        yield self.worker.unpause_connectors()
        self.assertFalse(self.worker.connectors["ri"].paused)
        self.assertFalse(self.worker.connectors["ro"].paused)
        yield self.worker.pause_connectors()
        self.assertTrue(all(c.paused for c in self.worker.connectors.values()))

    @inlineCallbacks
    def test_a_name_can_be_had_once(self) -> Any:
        def second() -> Any:
            return self.worker.setup_ro_connector("ri")

        self.assertRaises(DuplicateConnectorError, second)
        yield self.worker.teardown_connector("ri")
        connector = yield self.worker.setup_ro_connector("ri")
        self.assertIs(self.worker.connectors["ri"], connector)

    @inlineCallbacks
    def test_the_queues_of_a_name_are_there_before_anybody_reads_them(self) -> Any:
        yield self.worker.teardown_connectors()
        self.assertEqual(self.worker.connectors, {})
        self.assertEqual(
            {name for name in self.helper.broker.queues if not name.endswith(".dead")},
            {"ri.inbound", "ri.outbound", "ri.event", "ro.outbound", "ro.inbound", "ro.event"}
            # Statuses may have no reader at all: only the reader declares their queue.
            | {"rx.status"},
        )


class ConfiguredWorker(IdleWorker):
    class CONFIG_CLASS(BaseConfig):
        """Options of this test's worker."""

        web_port = ConfigInt("A port.", required=True, static=True)
        token = ConfigText("A secret.", secret=True, static=True)
        greeting = ConfigText("Differs from message to message.", default="hi")


class ConfigTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(WorkerHelper())

    @inlineCallbacks
    def test_unknown_options_are_told_with_the_nearest_name(self) -> Any:
        with LogCatcher() as catcher:
            yield self.helper.get_worker(
                ConfiguredWorker, {"web_port": 1, "web_prot": 2, "zzz": 3}
            )
        warnings = [text for text in catcher.messages() if "Unknown option" in text]
        self.assertEqual(
            warnings,
            ["Unknown option 'web_prot'. Did you mean 'web_port'?", "Unknown option 'zzz'."],
        )

    @inlineCallbacks
    def test_secrets_are_not_logged_with_the_config(self) -> Any:
        with LogCatcher() as catcher:
            worker = yield self.helper.get_worker(
                ConfiguredWorker, {"web_port": 8000, "token": "correct-horse"}
            )
        [started] = [text for text in catcher.messages() if text.startswith("Starting a")]
        self.assertIn("ConfiguredWorker", started)
        self.assertIn("8000", started)
        for event in catcher.logs:
            self.assertNotIn("correct-horse", str(event))
        self.assertEqual(worker.scrub("a correct-horse!").count("correct-horse"), 0)

    def test_an_error_is_told_before_anything_starts(self) -> None:
        error = self.assertRaises(ConfigError, ConfiguredWorker, {}, {"web_port": "x"})
        self.assertIn("web_port", str(error))

    @inlineCallbacks
    def test_static_and_per_message_options(self) -> Any:
        worker = yield self.helper.get_worker(ConfiguredWorker, {"web_port": "8000"})
        self.assertEqual(worker.get_static_config().web_port, 8000)
        config = yield worker.get_config(None)
        self.assertEqual((config.web_port, config.greeting), (8000, "hi"))

    def test_check_config_tells_warnings_and_raises_all_errors(self) -> None:
        self.assertEqual(ConfiguredWorker.check_config({"web_port": 1}), [])
        [warning] = ConfiguredWorker.check_config({"web_port": 1, "prot": 2})
        self.assertIn("'prot'", warning)
        wrong = {"web_port": "x", "middleware": [{"tagger": "no.such.Thing"}]}
        error = self.assertRaises(ConfigError, ConfiguredWorker.check_config, wrong)
        for word in ("web_port", "tagger"):
            self.assertIn(word, str(error))

    @inlineCallbacks
    def test_the_exchange_type_of_old_deployments(self) -> Any:
        yield self.helper.get_worker(ConnectedWorker, {"amqp_exchange_type": "direct"})
        self.assertEqual(self.helper.broker.exchanges["vumi"].type, "direct")

    @inlineCallbacks
    def test_the_exchange_type_by_default(self) -> Any:
        yield self.helper.get_worker(ConnectedWorker, {})
        exchange = self.helper.broker.exchanges["vumi"]
        self.assertEqual((exchange.type, exchange.durable), ("topic", True))

    def test_quorum_queues(self) -> None:
        self.assertEqual(IdleWorker({}, {}).amqp_queue_type, "classic")
        self.assertEqual(IdleWorker({}, {"amqp_queue_type": "quorum"}).amqp_queue_type, "quorum")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("amqp_exchange_type", "fanout"),
        ("amqp_queue_type", "lazy"),
        ("worker_concurrency", 0),
        ("handler_timeout", -1),
        ("handler_timeout", float("nan")),
        ("drain_timeout", -0.5),
        ("amqp_prefetch_count", -1),
        ("amqp_prefetch_count", 65536),
    ],
)
def test_options_out_of_range_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=option):
        IdleWorker({}, {option: value})


class BeatingWorker(IdleWorker):
    beats = 0

    def custom_heartbeat_attrs(self) -> dict[str, Any]:
        self.beats += 1
        if self.beats == 2:
            raise Broken("no pulse")
        return {"beats": self.beats}


class HeartbeatTests(VumiTestCase):
    PERIOD = HeartBeatPublisher.HEARTBEAT_PERIOD_SECS

    def setUp(self) -> None:
        self.clock = Clock()
        self.helper = self.add_helper(WorkerHelper(broker=FakeAMQPBroker(self.clock)))

    def beats(self) -> list[Any]:
        return [
            HeartBeatMessage.from_json(content.body)
            for content in self.helper.broker.get_dispatched("vumi.health", "heartbeat.inbound")
        ]

    @inlineCallbacks
    def test_a_worker_with_a_name_beats_every_ten_seconds(self) -> Any:
        worker = yield self.helper.get_worker(IdleWorker, {"worker_name": "greeter"})
        self.assertEqual(self.PERIOD, 10)
        self.assertEqual(self.beats(), [])
        self.clock.advance(9.9)
        self.assertEqual(self.beats(), [])
        self.clock.advance(0.1)
        [beat] = self.beats()
        self.assertEqual(beat["version"], "20130319")
        self.assertEqual(beat["worker_name"], "greeter")
        self.assertEqual(beat["worker_id"], "global:greeter")
        self.assertEqual(beat["system_id"], "global")
        self.assertEqual(beat["pid"], os.getpid())
        self.assertIsInstance(beat["timestamp"], float)
        self.clock.advance(10)
        self.assertEqual(len(self.beats()), 2)
        yield self.helper.cleanup_worker(worker)
        self.clock.advance(100)
        self.assertEqual(len(self.beats()), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @inlineCallbacks
    def test_the_exchange_is_the_one_that_monitors_know(self) -> Any:
        yield self.helper.get_worker(IdleWorker, {"worker_name": "greeter"})
        exchange = self.helper.broker.exchanges["vumi.health"]
        self.assertEqual((exchange.type, exchange.durable), ("direct", True))
        # It may have no reader: a queue would fill for ever.
        self.assertNotIn("heartbeat.inbound", self.helper.broker.queues)

    @inlineCallbacks
    def test_a_worker_without_a_name_has_no_heartbeat(self) -> Any:
        worker = IdleWorker({}, {})
        worker.attach_broker(self.helper.get_fake_amq_client(self.helper.broker))
        yield worker.startWorker()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        yield worker.stopWorker()

    @inlineCallbacks
    def test_the_system_id_is_an_option(self) -> Any:
        worker = IdleWorker({"system-id": "prod"}, {"worker_name": "greeter"})
        worker.attach_broker(self.helper.get_fake_amq_client(self.helper.broker))
        yield worker.startWorker()
        self.clock.advance(10)
        [beat] = self.beats()
        self.assertEqual((beat["system_id"], beat["worker_id"]), ("prod", "prod:greeter"))
        yield worker.stopWorker()

    @inlineCallbacks
    def test_one_bad_beat_is_not_the_last(self) -> Any:
        yield self.helper.get_worker(BeatingWorker, {})
        self.clock.pump([10, 10, 10])
        self.assertEqual([beat["beats"] for beat in self.beats()], [1, 3])
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)


class LoggerTests(SynchronousTestCase):
    def test_the_workers_name_is_in_its_log_lines(self) -> None:
        worker = IdleWorker({}, {"worker_name": "greeter"})
        with LogCatcher(system="greeter") as catcher:
            worker.log.info("hello")
        self.assertEqual(catcher.messages(), ["hello"])
