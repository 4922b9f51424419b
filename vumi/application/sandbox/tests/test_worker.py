"""Sandboxed programs of any kind; these are in Python."""

from __future__ import annotations

import os
import select
import sys
from typing import Any

import pytest

from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.tests.helpers import RESOURCES
from vumi.application.sandbox.worker import Sandbox
from vumi.application.tests.helpers import ApplicationHelper
from vumi.errors import ConfigError
from vumi.message import TransportUserMessage
from vumi.tests.helpers import VumiTestCase

pytestmark = pytest.mark.integration

PRELUDE = """
import json, os, signal, sys, time
def ask(cmd, **fields):
    fields.update(cmd=cmd, cmd_id='1', reply=False)
    sys.stdout.write(json.dumps(fields) + chr(10))
    sys.stdout.flush()
    while True:
        got = json.loads(sys.stdin.readline())
        if got['reply']:
            return got
message = json.loads(sys.stdin.readline())['msg']
def reply(content):
    ask('outbound.reply_to', content=content, in_reply_to=message.get('message_id'))
"""


def has_ended(pid: int) -> bool:
    """Whether a process is no more, or is about to go and gone within some seconds."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = select.select([process], [], [], 5)
    finally:
        os.close(process)
    return bool(ended)


class TestSandbox(VumiTestCase):
    timeout = 30

    def setUp(self) -> None:
        self.app_helper = self.add_helper(ApplicationHelper(Sandbox))

    async def start(self, program: str = "reply('hello')", **config: Any) -> Any:
        settings = {
            "sandbox": RESOURCES,
            "sandbox_id": "box",
            "executable": sys.executable,
            "args": ["-u", "-c", PRELUDE + program],
            "logging_resource": "log",
            "network": "host",
            **config,
        }
        worker = await self.app_helper.get_application(settings)
        self.log = worker.resources.resources["log"]
        return worker

    async def send(self, **fields: Any) -> Any:
        return await self.app_helper.make_dispatch_inbound("hi", **fields)

    def answers(self) -> list[Any]:
        return [msg["content"] for msg in self.app_helper.get_dispatched_outbound()]

    async def test_any_program_that_reads_and_writes_lines_will_do(self) -> None:
        await self.start("reply('got ' + message['content'])")
        await self.send()
        self.assertEqual(self.answers(), ["got hi"])

    async def test_the_status_is_what_processing_gives(self) -> None:
        worker = await self.start()
        status = await worker.process_message_in_sandbox(self.app_helper.make_inbound("hi"))
        self.assertEqual(status, 0)
        status = await worker.process_event_in_sandbox(self.app_helper.make_ack())
        self.assertEqual(status, 0)

    async def test_of_a_program_that_breaks_it_gives_none(self) -> None:
        worker = await self.start("sys.exit(3)", dead_letter_failures=False)
        status = await worker.process_message_in_sandbox(self.app_helper.make_inbound("hi"))
        self.assertIsNone(status)
        self.assertIn("ended with exit code 3. It was handling message", self.log.told())
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    async def test_a_program_that_breaks_is_told_as_a_figure(self) -> None:
        worker = await self.start("sys.exit(3)", dead_letter_failures=False)
        await self.send()
        [[[name, aggregators, [[when, value]]]]] = self.app_helper.get_dispatched_metrics()
        self.assertEqual(name, f"vumi.sandbox.{worker.transport_name}.crashed")
        self.assertEqual((aggregators, value), (["sum"], 1))
        self.assertTrue(when > 1_700_000_000)
        self.flushLoggedErrors()

    async def test_figures_can_be_left_out(self) -> None:
        await self.start("sys.exit(3)", dead_letter_failures=False, metrics_prefix=None)
        await self.send()
        self.assertEqual(self.app_helper.get_dispatched_metrics(), [])
        self.flushLoggedErrors()

    async def test_nothing_of_the_workers_environment_is_there(self) -> None:
        os.environ["VUMI_TEST_SECRET"] = "secret"
        self.addCleanup(os.environ.pop, "VUMI_TEST_SECRET")
        await self.start("reply(','.join(sorted(os.environ)))", env={"GIVEN": "1"})
        await self.send()
        self.assertEqual(set(self.answers()[0].split(",")) - {"LC_CTYPE"}, {"GIVEN"})

    async def test_limits_are_set(self) -> None:
        program = """
import resource
reply(repr([resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CPU)]))
"""
        await self.start(program, rlimits={"RLIMIT_NOFILE": [33, 44]})
        await self.send()
        self.assertEqual(self.answers(), ["[(33, 44), (60, 60)]"])

    async def test_a_program_that_ignores_sigterm_is_killed(self) -> None:
        program = """
signal.signal(signal.SIGTERM, lambda *args: None)
reply('deaf')
while True:
    time.sleep(1)
"""
        worker = await self.start(program, timeout=1)
        await self.send()
        self.assertEqual(self.answers(), ["deaf"])
        self.assertEqual(worker.sandbox_counters.by_ending["timeout"], 1)
        self.flushLoggedErrors()

    async def test_what_a_program_started_ended_with_it(self) -> None:
        program = """
child = os.fork()
if child == 0:
    time.sleep(60)
reply(str(child))
"""
        await self.start(program)
        await self.send()
        child = int(self.answers()[0])
        self.assertTrue(has_ended(child))

    async def test_a_program_that_prints_is_left_alive(self) -> None:
        await self.start("print('for debugging'); print(); reply('alive')")
        await self.send()
        self.assertEqual(self.answers(), ["alive"])
        self.assertIn("printed: for debugging", self.log.told())

    async def test_stderr_of_a_program_that_ends_well_is_one_line_of_the_log(self) -> None:
        await self.start("print('one', file=sys.stderr); print('two', file=sys.stderr)")
        await self.send()
        self.assertIn((40, "one\ntwo"), self.log.lines)

    async def test_a_message_without_a_sandbox_id_killed_the_consumer(self) -> None:
        worker = await self.start(sandbox_id=None)
        with self.assertRaises(SandboxError):
            worker.sandbox_id_for_message(self.app_helper.make_inbound("hi"))
        await self.send()
        await self.send(sandbox_id="mine")
        self.assertEqual(self.answers(), ["hello"])
        self.assertEqual(len(self.flushLoggedErrors(SandboxError)), 1)

    async def test_users_are_served_side_by_side_and_each_in_order(self) -> None:
        program = """
time.sleep(0.3 if message['content'] == 'slow' else 0)
reply(message['from_addr'] + ' ' + message['content'])
"""
        await self.start(program)
        work = [
            self.app_helper.make_dispatch_inbound(content, from_addr=user)
            for user, content in (("a", "slow"), ("a", "quick"), ("b", "quick"))
        ]
        for done in work:
            _ = await done
        self.assertEqual(self.answers(), ["b quick", "a slow", "a quick"])

    async def test_a_program_that_does_not_start_is_told(self) -> None:
        worker = await self.start(path="/no/such/folder")
        await self.send()
        self.assertIn("could not be prepared", self.log.told())
        self.assertEqual(worker.sandbox_counters.by_ending["crashed"], 1)
        self.flushLoggedErrors()

    async def test_stopping_the_worker_leaves_no_program(self) -> None:
        worker = await self.start("reply(str(os.getpid())); time.sleep(60)", drain_timeout=0.1)
        _ = self.app_helper.make_dispatch_inbound("hi")
        [answer] = await self.app_helper.wait_for_dispatched_outbound(1)
        await self.app_helper.cleanup_worker(worker)
        self.assertTrue(has_ended(int(answer["content"])))
        self.flushLoggedErrors()


WRONG = [
    ({"executable": None}, None),
    ({"executable": "/no/such/program"}, "is no program"),
    ({"rlimits": {"RLIMIT_NONSENSE": [1, 1]}}, "Unknown resource limit key 'RLIMIT_NONSENSE'"),
    ({"timeout": 0}, "'timeout' must be more than 0"),
    ({"timeout": float("nan")}, "'timeout' must be more than 0"),
    ({"recv_limit": -1}, "'recv_limit' must be more than 0"),
    ({"network": "some"}, "'network' must be one of auto, none, host"),
    ({"args": [1]}, "'args' may only hold texts"),
    ({"env": {"A": 1}}, "'env' may only hold texts"),
    ({"sandbox": {"a": {}}}, "sandbox.a: It must be a mapping with 'cls'"),
]


@pytest.mark.parametrize(("wrong", "problem"), WRONG)
def test_what_is_wrong_is_told_before_the_first_message(wrong: Any, problem: str | None) -> None:
    config = {"transport_name": "t", "executable": sys.executable, **wrong}
    if problem is None:
        # A subclass may know its program.
        assert Sandbox.check_config(config) == []
        return
    with pytest.raises(ConfigError) as caught:
        Sandbox.check_config(config)
    assert problem in str(caught.value)


def test_the_sandbox_id_of_a_message_counts_before_the_configs() -> None:
    worker = Sandbox({}, {"transport_name": "t", "sandbox_id": "config's"})
    fields: dict[str, Any] = {
        "to_addr": "1",
        "from_addr": "2",
        "transport_name": "t",
        "transport_type": "sms",
    }
    plain = TransportUserMessage(**fields)
    marked = TransportUserMessage(**fields, sandbox_id="its own")
    assert worker.sandbox_id_for_message(plain) == "config's"
    assert worker.sandbox_id_for_message(marked) == "its own"
