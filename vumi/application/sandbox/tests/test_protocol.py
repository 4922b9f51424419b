from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from vumi.application.sandbox import protocol as protocol_module
from vumi.application.sandbox.api import SandboxApi
from vumi.application.sandbox.children import Launch
from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.pool import ChildPool, PoolOptions
from vumi.application.sandbox.protocol import Ending, Outcome, SandboxProtocol
from vumi.application.sandbox.resources.base import SandboxResource
from vumi.application.sandbox.tests.helpers import ApiConfig, FakeReactor, ListLog, resources_of


class Slow(SandboxResource):
    """Answers when the test says so."""

    def handle_ask(self, api: Any, command: SandboxCommand) -> Any:
        waiting: Deferred[Any] = Deferred()
        self.waiting.append((command, waiting))
        return waiting

    def handle_nan(self, api: Any, command: SandboxCommand) -> Any:
        return self.reply(command, success=True, value=float("nan"))

    def setup(self) -> None:
        self.waiting: list[Any] = []

    def answer(self) -> None:
        command, waiting = self.waiting.pop(0)
        waiting.callback(self.reply(command, success=True))


class ProtocolCase(SynchronousTestCase):
    messages = 1

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.slow = Slow("slow", None, {})
        self.slow.setup()
        self.log = ListLog("log", None, {})
        self.log.setup()
        self.resources = resources_of(slow=self.slow, log=self.log)
        stays = self.messages > 1
        launch = Launch(("/bin/program",), messages=self.messages, stays=stays)
        # None is started that no message asks for.
        size = int(stays)
        self.pool = ChildPool(launch, PoolOptions(size, 1, 1), self.reactor)

    def run_one(self, deliver: Any = None, timeout: float = 10, limit: int = 10_000) -> list[Any]:
        api = SandboxApi(self.resources, ApiConfig(logging_resource="log"))
        protocol = SandboxProtocol(api, self.pool, self.reactor, timeout=timeout, recv_limit=limit)
        self.protocol = protocol
        outcomes: list[Any] = []
        running = Deferred.fromCoroutine(
            protocol.run(deliver or (lambda: api.sandbox_send(SandboxCommand(cmd="go"))))
        )
        _ = running.addCallbacks(outcomes.append, lambda failure: outcomes.append(failure.value))
        self.ready()
        return outcomes

    def ready(self) -> None:
        child = self.reactor.children[-1]
        if not child.served:
            child.outReceived(b"\n")

    def says(self, cmd: str, **fields: Any) -> None:
        self.reactor.says(
            len(self.reactor.children) - 1, SandboxCommand(cmd=cmd, **fields).to_line()
        )

    def prints(self, text: bytes) -> None:
        self.reactor.says(len(self.reactor.children) - 1, text)

    def ends(self, code: int = 0) -> None:
        self.reactor.ends(len(self.reactor.children) - 1, code)

    def told(self) -> list[Any]:
        written = self.reactor.children[-1].transport.written
        return [json.loads(line) for line in written.splitlines()]


class TestSandboxProtocol(ProtocolCase):
    def test_a_message_is_delivered_and_answered(self) -> None:
        outcomes = self.run_one()
        self.assertEqual([line["cmd"] for line in self.told()], ["go"])
        self.says("slow.ask", cmd_id="1")
        self.slow.answer()
        self.assertEqual(self.told()[1], {
            "cmd": "slow.ask", "cmd_id": "1", "reply": True, "success": True,
        })  # fmt: skip
        self.ends()
        self.assertEqual([(o.ending, o.status) for o in outcomes], [(Ending.DONE, 0)])

    def test_it_is_done_when_all_requests_are(self) -> None:
        outcomes = self.run_one()
        self.says("slow.ask")
        self.says("slow.ask")
        self.ends()
        self.slow.answer()
        self.assertEqual(outcomes, [])
        self.slow.answer()
        self.assertEqual(len(outcomes), 1)

    def test_a_crash_has_its_code_and_its_last_words(self) -> None:
        outcomes = self.run_one()
        self.reactor.children[0].errReceived(b"TypeError\n  at app.js:3\n")
        self.ends(1)
        [outcome] = outcomes
        self.assertEqual((outcome.ending, outcome.good), (Ending.CRASHED, False))
        self.assertIn("ended with exit code", str(outcome))
        self.assertTrue(str(outcome).endswith("TypeError\n  at app.js:3"))

    def test_the_time_runs_from_when_the_program_has_the_message(self) -> None:
        outcomes = self.run_one(timeout=5)
        self.reactor.advance(4.9)
        self.assertFalse(self.reactor.is_killed(0))
        self.reactor.advance(0.2)
        self.assertTrue(self.reactor.is_killed(0))
        self.ends(9)
        self.assertEqual(outcomes[0].ending, Ending.TIMEOUT)
        self.assertEqual(
            outcomes[0].reason, "Sandbox 'box' killed for taking more than 5 seconds."
        )

    def test_starting_costs_a_program_none_of_its_time(self) -> None:
        api = SandboxApi(self.resources, ApiConfig())
        protocol = SandboxProtocol(api, self.pool, self.reactor, timeout=1, recv_limit=100)
        running = Deferred.fromCoroutine(protocol.run(lambda: None))
        self.reactor.advance(1.5)
        self.ready()
        self.reactor.advance(0.9)
        self.assertFalse(self.reactor.is_killed(0))
        self.reactor.advance(0.2)
        self.assertTrue(self.reactor.is_killed(0))
        self.ends(9)
        self.assertEqual(self.successResultOf(running).ending, Ending.TIMEOUT)

    def test_too_much_output(self) -> None:
        outcomes = self.run_one(limit=100)
        self.prints(b"x" * 101)
        self.ends(9)
        self.assertEqual(outcomes[0].ending, Ending.OUTPUT)
        self.assertIn("killed for producing too much data on stderr and stdout", str(outcomes[0]))

    def test_one_blank_or_printed_line_killed_the_program(self) -> None:
        outcomes = self.run_one()
        for text in (b"\n", b"  \r\n", b"hello\n", b"[1]\n", b'{"a": 1}\n', b"\xff\xfe\n"):
            self.prints(text)
        self.assertFalse(self.reactor.is_killed(0))
        self.assertIn("Sandbox 'box' printed: hello", self.log.told())
        self.assertEqual(len(self.log.lines), 4)
        self.ends()
        self.assertTrue(outcomes[0].good)

    def test_printed_lines_are_logged_up_to_a_number(self) -> None:
        self.run_one()
        self.prints(b"blah\n" * 100)
        self.assertEqual(len(self.log.lines), protocol_module.MAX_STRAY_LINES)
        self.assertIn("and whatever else it prints", self.log.told())

    def test_a_last_line_without_its_end_counts(self) -> None:
        self.run_one()
        self.prints(SandboxCommand(cmd="slow.ask").to_line()[:-1])
        self.assertEqual(self.slow.waiting, [])
        self.ends()
        self.assertEqual(len(self.slow.waiting), 1)

    def test_requests_are_worked_on_a_hundred_at_a_time(self) -> None:
        outcomes = self.run_one(limit=10**6)
        for number in range(250):
            self.says("slow.ask", number=number)
        self.assertEqual(len(self.slow.waiting), protocol_module.MAX_IN_HAND)
        self.ends()
        answered = []
        while self.slow.waiting:
            answered.append(self.slow.waiting[0][0]["number"])
            self.slow.answer()
        self.assertEqual(answered, list(range(250)))
        self.assertEqual(len(outcomes), 1)

    def test_of_a_program_that_was_killed_no_more_requests_are_begun(self) -> None:
        self.run_one(limit=10**6)
        for _ in range(150):
            self.says("slow.ask")
        self.protocol.kill()
        self.slow.answer()
        self.assertEqual(len(self.slow.waiting), protocol_module.MAX_IN_HAND - 1)

    def test_a_reply_that_is_no_json_is_told_instead_of_a_wait_for_ever(self) -> None:
        self.run_one()
        self.says("slow.nan")
        self.assertFalse(self.told()[1]["success"])
        self.assertIn("can't be written as JSON", self.told()[1]["reason"])

    def test_replies_after_the_end_go_nowhere(self) -> None:
        self.run_one()
        self.says("slow.ask")
        self.ends()
        before = self.told()
        self.slow.answer()
        self.assertEqual(self.told(), before)

    def test_what_can_not_be_delivered_ends_the_program(self) -> None:
        def deliver() -> None:
            raise ValueError("no script")

        outcomes = self.run_one(deliver)
        self.assertTrue(self.reactor.is_killed(0))
        self.assertEqual(outcomes, [])
        self.ends(9)
        self.assertIsInstance(outcomes[0], ValueError)

    def test_a_program_that_does_not_start(self) -> None:
        self.reactor.refuses = True
        api = SandboxApi(self.resources, ApiConfig())
        protocol = SandboxProtocol(api, self.pool, self.reactor, timeout=1, recv_limit=100)
        outcome = self.successResultOf(Deferred.fromCoroutine(protocol.run(lambda: None)))
        self.assertEqual(outcome.ending, Ending.NOT_STARTED)
        self.assertIn("Process failed to start", outcome.reason)

    def test_errors_that_a_program_logs_are_counted(self) -> None:
        outcomes = self.run_one()
        for cmd, fields in (
            ("log.error", {}), ("log.critical", {}), ("log.log", {"level": 50}),
            ("log.info", {}), ("log.log", {"level": 30}), ("log.log", {"level": "loud"}),
        ):  # fmt: skip
            self.says(cmd, msg="a", **fields)
        self.ends()
        self.assertEqual(outcomes[0].errors_logged, 3)

    def test_no_timer_is_left(self) -> None:
        self.run_one()
        self.ends()
        _ = self.pool.close()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_the_runners_end_is_no_command_where_each_message_has_its_process(self) -> None:
        outcomes = self.run_one()
        self.says("sandbox.done")
        self.assertEqual(outcomes, [])
        self.assertFalse(self.told()[1]["success"])


class TestChildrenForManyMessages(ProtocolCase):
    messages = 10

    def secret(self) -> str:
        begins = [command for command in self.told() if command["cmd"] == "sandbox.begin"]
        secret: str = begins[-1]["secret"]
        return secret

    def done(self, **fields: Any) -> None:
        self.says("sandbox.done", secret=self.secret(), **fields)

    def test_each_message_begins_with_a_secret_of_its_own(self) -> None:
        secrets = []
        for _ in range(3):
            self.run_one()
            secrets.append(self.secret())
            self.done()
        self.assertEqual(len({*secrets}), 3)
        self.assertEqual({len(secret) for secret in secrets}, {32})

    def test_who_does_not_know_the_secret_can_not_say_that_it_is_done(self) -> None:
        wrong: list[dict[str, Any]] = [{}, {"secret": ""}, {"secret": None}, {"secret": "\ud800"}]
        for fields in wrong:
            outcomes = self.run_one()
            self.says("sandbox.done", **fields)
            self.assertEqual(outcomes, [])
            self.assertTrue(self.reactor.is_killed(len(self.reactor.children) - 1))
            self.ends(9)
            self.assertEqual(outcomes[0].ending, Ending.CRASHED)

    def test_what_is_said_after_the_end_is_not_taken_for_the_next_message(self) -> None:
        self.run_one()
        following = self.run_one()
        done = SandboxCommand(cmd="sandbox.done", secret=self.secret()).to_line()
        self.prints(done + SandboxCommand(cmd="slow.ask").to_line())
        self.assertTrue(self.reactor.is_killed(0))
        self.assertEqual((self.slow.waiting, following), ([], []))

    def test_the_secret_of_the_message_before_is_worth_nothing(self) -> None:
        self.run_one()
        old = self.secret()
        self.done()
        outcomes = self.run_one()
        self.says("sandbox.done", secret=old)
        self.ends(9)
        self.assertEqual(outcomes[0].ending, Ending.CRASHED)

    def test_the_next_message_has_the_same_child(self) -> None:
        for _ in range(3):
            outcomes = self.run_one()
            self.done()
            self.assertEqual(outcomes[0].ending, Ending.DONE)
        self.assertEqual(len(self.reactor.children), 1)

    def test_a_late_reply_is_not_told_to_the_next_message(self) -> None:
        outcomes = self.run_one()
        self.says("slow.ask", secret="the first user's")
        self.done()
        self.assertEqual(outcomes, [])
        following = self.run_one()
        before = self.told()
        self.slow.answer()
        self.assertEqual(self.told(), before)
        self.assertEqual((len(outcomes), following), (1, []))

    def test_a_child_that_asks_for_it_is_replaced(self) -> None:
        self.run_one()
        self.done(recycle=True)
        self.assertTrue(self.reactor.is_killed(0))

    def test_the_output_of_one_message_is_not_charged_to_the_next(self) -> None:
        for _ in range(3):
            self.run_one(limit=1000)
            self.prints(b" " * 600 + b"\n")
            self.done()
        self.assertFalse(self.reactor.is_killed(0))

    def test_a_program_that_is_being_killed_can_not_say_that_it_is_done(self) -> None:
        outcomes = self.run_one(timeout=1)
        self.reactor.advance(1)
        self.done()
        self.ends(9)
        self.assertEqual(outcomes[0].ending, Ending.TIMEOUT)


class TestOutcome(SynchronousTestCase):
    def test_its_words(self) -> None:
        self.assertEqual(str(Outcome(Ending.CRASHED, 1, "It broke.", "at 3")), "It broke.\nat 3")
        self.assertEqual(str(Outcome(Ending.DONE, 0)), "")
