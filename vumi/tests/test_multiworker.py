"""Tests for vumi.multiworker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.application import ApplicationWorker
from vumi.broker import MemoryBroker
from vumi.config import ConfigText
from vumi.errors import ConfigError
from vumi.multiworker import MultiWorker
from vumi.service import Worker, WorkerCreator
from vumi.tests.utils import LogCatcher
from vumi.transports import Transport, TransportConfig

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from vumi.message import TransportUserMessage

PLAIN = f"{__name__}.PlainWorker"
ECHO = f"{__name__}.EchoWorker"
LINE = f"{__name__}.LineTransport"
MULTI = "vumi.multiworker.MultiWorker"


class PlainWorker(Worker):
    """Starts and stops when it is told to."""

    life: ClassVar[list[str]] = []
    starting: ClassVar[dict[str, Any]] = {}
    stopping: ClassVar[dict[str, Any]] = {}

    def startWorker(self) -> Any:
        self.life.append(f"start {self.name}")
        return self._outcome(self.starting)

    def stopWorker(self) -> Any:
        self.life.append(f"stop {self.name}")
        return self._outcome(self.stopping)

    def _outcome(self, outcomes: dict[str, Any]) -> Any:
        outcome = outcomes.get(self.name or "")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class EchoWorker(ApplicationWorker):
    def consume_user_message(self, message: TransportUserMessage) -> Any:
        return self.reply_to(message, message["content"])


class LineConfig(TransportConfig):
    line = ConfigText("Which line.", static=True)


class LineTransport(Transport):
    CONFIG_CLASS: ClassVar[Any] = LineConfig

    def setup_transport(self) -> None:
        self.sent: list[str | None] = []

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        self.sent.append(message["content"])
        return self.publish_ack(message["message_id"], "1")


class MultiWorkerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = MemoryBroker(self.clock)
        self.connection = self.broker.connect()
        self.patch(PlainWorker, "life", [])
        self.patch(PlainWorker, "starting", {})
        self.patch(PlainWorker, "stopping", {})
        self.failures: list[Failure] = []

    def make(self, config: dict[str, Any]) -> MultiWorker:
        worker = MultiWorker({"system-id": "here"}, config)
        worker.attach_broker(self.connection)
        worker.on_failure(self.failures.append)
        return worker

    def start(self, config: dict[str, Any]) -> MultiWorker:
        worker = self.make(config)
        worker.startService()
        return worker

    def children(self, *names: str) -> dict[str, Any]:
        return {"workers": dict.fromkeys(names, PLAIN)}


class LifeTests(MultiWorkerCase):
    def test_children_start_in_order_with_names_and_options(self) -> None:
        worker = self.start(self.children("b", "a"))
        self.assertEqual(PlainWorker.life, ["start b", "start a"])
        self.assertEqual([child.name for child in worker.workers], ["b", "a"])
        self.assertIs(worker.getServiceNamed("a"), worker.workers[1])
        self.assertEqual(worker.workers[0].options, {"system-id": "here"})
        self.assertEqual(self.failures, [])

    def test_nothing_starts_before_the_broker_is_there(self) -> None:
        connected: Deferred[None] = Deferred()
        self.patch(self.connection, "start", lambda: connected)
        worker = self.start(self.children("a"))
        self.assertEqual(worker.workers, [])
        connected.callback(None)
        self.assertEqual(PlainWorker.life, ["start a"])

    def test_that_all_run_is_logged_once_all_do(self) -> None:
        waiting: Deferred[None] = Deferred()
        PlainWorker.starting["a"] = waiting
        with LogCatcher(message="All workers run: a, b") as caught:
            self.start(self.children("a", "b"))
            self.assertEqual(caught.logs, [])
            waiting.callback(None)
            self.assertEqual(len(caught.logs), 1)

    def test_children_talk_over_one_connection(self) -> None:
        worker = self.start(
            {
                "workers": {"line": LINE, "echo": ECHO},
                "defaults": {"transport_name": "t"},
            }
        )
        line, echo = worker.workers
        self.assertIs(line.broker, self.connection)
        self.assertIs(echo.broker, self.connection)
        assert isinstance(line, LineTransport)
        self.successResultOf(
            line.publish_message(
                content="hello", from_addr="1", to_addr="2", transport_type="telnet"
            )
        )
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual(line.sent, ["hello"])
        self.successResultOf(worker.stopService())

    def test_all_children_stop_at_the_same_time_and_then_the_connection(self) -> None:
        finishing: dict[str, Any] = {"a": Deferred(), "b": Deferred()}
        PlainWorker.stopping.update(finishing)
        worker = self.start(self.children("a", "b"))
        stopped = worker.stopService()
        self.assertEqual(PlainWorker.life[2:], ["stop a", "stop b"])
        finishing["b"].callback(None)
        self.assertNoResult(stopped)
        self.assertTrue(self.connection.connected)
        finishing["a"].callback(None)
        self.successResultOf(stopped)
        self.assertFalse(self.connection.connected)
        self.assertEqual(PlainWorker.life[2:], ["stop a", "stop b"])

    def test_a_child_that_fails_to_stop_is_logged_and_the_others_stop(self) -> None:
        PlainWorker.stopping["a"] = ZeroDivisionError()
        worker = self.start(self.children("a", "b"))
        self.successResultOf(worker.stopService())
        self.assertEqual(PlainWorker.life[2:], ["stop a", "stop b"])
        self.assertFalse(self.connection.connected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_it_can_be_started_again(self) -> None:
        worker = self.start(self.children("a"))
        self.successResultOf(worker.stopService())
        self.assertEqual(worker.workers, [])
        self.assertEqual(list(worker), [])
        worker.startService()
        self.assertEqual(PlainWorker.life, ["start a", "stop a", "start a"])
        self.assertEqual(len(worker.workers), 1)

    def test_a_child_that_cannot_start_is_a_failure_of_the_whole(self) -> None:
        PlainWorker.starting.update(a=OSError("port in use"), b=OSError("another"))
        with LogCatcher(message="could not start|All workers run") as caught:
            self.start(self.children("a", "b", "c"))
        [failure] = self.failures
        self.assertEqual(str(failure.value), "port in use")
        self.assertEqual(PlainWorker.life, ["start a", "start b", "start c"])
        texts = [event["log_format"].format(**event) for event in caught.logs]
        self.assertEqual(texts, ["a could not start: port in use", "b could not start: another"])

    def test_a_child_that_fails_late_is_a_failure_too(self) -> None:
        waiting: Deferred[None] = Deferred()
        PlainWorker.starting["b"] = waiting
        with LogCatcher(message="All workers run") as caught:
            self.start(self.children("a", "b"))
            self.assertEqual(self.failures, [])
            waiting.errback(OSError("refused"))
        self.assertEqual(len(self.failures), 1)
        self.assertEqual(caught.logs, [])

    def test_stopping_while_children_start_stops_them(self) -> None:
        PlainWorker.starting.update(a=Deferred(), b=Deferred())
        with LogCatcher(message="All workers run") as caught:
            worker = self.start(self.children("a", "b"))
            self.successResultOf(worker.stopService())
        self.assertEqual(PlainWorker.life[2:], ["stop a", "stop b"])
        self.assertEqual((self.failures, caught.logs), ([], []))

    def test_a_multiworker_may_be_a_child(self) -> None:
        worker = self.start({"workers": {"inner": MULTI}, "inner": self.children("a")})
        self.assertEqual(PlainWorker.life, ["start a"])
        [inner] = worker.workers
        assert isinstance(inner, MultiWorker)
        self.assertIs(inner.workers[0].broker, self.connection)
        self.successResultOf(worker.stopService())
        self.assertEqual(PlainWorker.life, ["start a", "stop a"])

    def test_a_subclass_may_make_its_children_by_another_creator(self) -> None:
        class OwnCreator(WorkerCreator):
            made: ClassVar[list[str]] = []

            def create_worker(
                self,
                worker_class: str,
                config: dict[str, Any],
                timeout: float = 30,
                bindAddress: Any = None,
            ) -> Worker:
                self.made.append(worker_class)
                return super().create_worker(worker_class, config, timeout, bindAddress)

        self.patch(MultiWorker, "WORKER_CREATOR", OwnCreator)
        self.start(self.children("a"))
        self.assertEqual(OwnCreator.made, [PLAIN])


class ConfigTests(MultiWorkerCase):
    def test_a_childs_config_is_the_defaults_its_section_and_its_name(self) -> None:
        cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({}, {"worker_name": "a"}),
            ({"a": {"x": 1}}, {"x": 1, "worker_name": "a"}),
            ({"a": None, "defaults": None}, {"worker_name": "a"}),
            ({"defaults": {"x": 1, "y": 1}, "a": {"x": 2}}, {"x": 2, "y": 1, "worker_name": "a"}),
            # As a whole: nothing of the default is left.
            ({"defaults": {"x": {"k": 1}}, "a": {"x": {}}}, {"x": {}, "worker_name": "a"}),
            ({"a": {"worker_name": "other"}}, {"worker_name": "other"}),
            ({"defaults": {"worker_name": "all"}}, {"worker_name": "all"}),
        ]
        for config, expected in cases:
            with self.subTest(config=config):
                worker = MultiWorker({}, {**self.children("a"), **config})
                self.assertEqual(worker.construct_worker_config("a"), expected)

    def test_children_do_not_share_their_config(self) -> None:
        defaults: dict[str, Any] = {"x": []}
        worker = MultiWorker({}, {**self.children("a", "b"), "defaults": defaults})
        worker.construct_worker_config("a")["x"].append(1)
        self.assertEqual(worker.construct_worker_config("b")["x"], [])
        self.assertEqual(defaults, {"x": []})

    def problems_of(self, config: dict[str, Any]) -> list[str]:
        return list(self.assertRaises(ConfigError, MultiWorker, {}, config).problems)

    def test_everything_wrong_with_any_child_is_told_with_its_name(self) -> None:
        config: dict[str, Any] = {
            "workers": {"a": ECHO, "b": "no.such.Class", "c": LINE, "d": f"{__name__}.Clock"},
            "a": {"worker_concurrency": "x"},
            "c": {"transport_name": 5},
        }
        problems = self.problems_of(config)
        expected = [
            "a: Field 'worker_concurrency' could not be converted to int.",
            "a: Missing required config field 'transport_name'",
            "b: Worker class 'no.such.Class' can't be loaded: No module named 'no'",
            "c: Field 'transport_name' is not unicode.",
            f"d: '{__name__}.Clock' is not a worker class.",
        ]
        self.assertEqual(sorted(problems), expected)
        self.assertEqual(PlainWorker.life, [])

    def test_a_bad_middleware_of_a_child_is_told_before_the_start(self) -> None:
        [problem] = self.problems_of(
            {
                "workers": {"a": ECHO},
                "a": {"transport_name": "t", "middleware": [{"m": "no.such.Middleware"}]},
            }
        )
        self.assertTrue(problem.startswith("a: Middleware 'm' can't be loaded"), problem)

    def test_what_is_no_list_of_children_is_refused(self) -> None:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"workers": [ECHO]}, "Field 'workers' is not a dict."),
            ({"defaults": 5}, "Field 'defaults' is not a dict."),
            ({"workers": {"a": 5}}, "a: its class in the field 'workers' is not a dotted path."),
            ({"workers": {"a": None}}, "a: its class in the field 'workers' is not a dotted"),
            ({"workers": {1: PLAIN}}, "Field 'workers' has a name that is no text: 1."),
            ({"workers": {"defaults": PLAIN}}, "'defaults': that is the name of an option."),
            ({"workers": {"a": PLAIN}, "a": [1]}, "a: its section is not a mapping of options."),
        ]
        for config, words in cases:
            with self.subTest(config=config):
                [problem] = self.problems_of(config)
                self.assertIn(words, problem)

    def test_unknown_options_are_found_wherever_they_are(self) -> None:
        config: dict[str, Any] = {
            "workers": {"echo": ECHO, "line": LINE},
            "default": {},
            "ecko": {},
            "defaults": {"transport_name": "t", "line": "y", "linee": 1},
            "echo": {"send_too": {}},
            "line": {"publish_status": "yes", "linne": "x"},
        }
        self.assertEqual(
            MultiWorker.check_config(config),
            [
                "Unknown option 'default'. Did you mean 'defaults'?",
                "Unknown option 'ecko'. Did you mean 'echo'?",
                "echo: Unknown option 'send_too'. Did you mean 'send_to'?",
                "line: Unknown option 'linne'. Did you mean 'line'?",
                "defaults: Unknown option 'linee'. Did you mean 'line'?",
            ],
        )

    def test_a_middlewares_section_is_known_wherever_the_list_is(self) -> None:
        middleware = {"middleware": [{"log": "vumi.middleware.LoggingMiddleware"}]}
        section: dict[str, Any] = {"log": {}}
        base = {"workers": {"a": ECHO}}
        for defaults, own in (
            ({**middleware, **section}, {}),
            (middleware, section),
            (section, middleware),
            ({}, {**middleware, **section}),
        ):
            with self.subTest(defaults=defaults, own=own):
                config = {**base, "defaults": {**defaults, "transport_name": "t"}, "a": own}
                self.assertEqual(MultiWorker.check_config(config), [])

    def test_with_a_worker_that_declares_nothing_the_defaults_may_be_for_it(self) -> None:
        config = {
            "workers": {"echo": ECHO, "plain": PLAIN},
            "defaults": {"transport_name": "t", "zz": 1},
            "plain": {"whatever": 1},
        }
        self.assertEqual(MultiWorker.check_config(config), [])

    def test_no_children_at_all_looks_wrong(self) -> None:
        configs: list[dict[str, Any]] = [{}, {"workers": {}}, {"workers": None}]
        for config in configs:
            with self.subTest(config=config):
                self.assertEqual(
                    MultiWorker.check_config(config), ["No workers are listed under 'workers'."]
                )
                self.start(config)
                self.assertEqual(self.failures, [])

    def test_a_warning_is_logged_at_the_start_and_does_not_prevent_it(self) -> None:
        with LogCatcher(message="Unknown option 'defaultz'") as caught:
            self.start({**self.children("a"), "defaultz": {}})
        self.assertEqual(len(caught.logs), 1)
        self.assertEqual(PlainWorker.life, ["start a"])

    def test_its_own_options_can_be_read(self) -> None:
        worker = MultiWorker({}, {**self.children("a"), "worker_name": "all"})
        self.assertEqual(worker.get_static_config().worker_name, "all")
        self.assertEqual(worker.get_static_config().workers, {"a": PLAIN})
