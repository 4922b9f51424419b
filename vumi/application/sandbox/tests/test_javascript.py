"""JavaScript in sandboxes, with a real Node.js."""

from __future__ import annotations

import os
from typing import Any

import pytest

from vumi.application.sandbox import module_check
from vumi.application.sandbox.javascript import (
    JsFileSandbox,
    JsSandbox,
    NodeSandbox,
    StandaloneJsFileSandbox,
)
from vumi.application.sandbox.tests.helpers import RESOURCES, require_node
from vumi.application.tests.helpers import ApplicationHelper
from vumi.checking import check_worker
from vumi.errors import ConfigError
from vumi.tests.helpers import VumiTestCase

pytestmark = pytest.mark.integration

ECHO = """
api.on_inbound_message = function (command) {
    var self = this;
    var key = 'seen.' + command.msg.from_addr;
    self.request('kv.get', {key: key}, function (got) {
        var seen = (got.value || 0) + 1;
        self.request('kv.set', {key: key, value: seen}, function () {
            self.request('outbound.reply_to', {
                content: command.msg.content + ' ' + seen,
                in_reply_to: command.msg.message_id,
            }, function () { self.done(); });
        });
    });
};
api.on_inbound_event = function (command) {
    this.log_info('event ' + command.msg.event_type, function () { this.done(); });
};
"""

BREAKING = """
api.on_inbound_message = function (command) {
    var message = command.msg;
    var reply = {content: 'first', in_reply_to: message.message_id};
    switch (message.content) {
    case 'throws':
        null.nothing;
        break;
    case 'later':
        Promise.resolve().then(function later() { throw new Error('in a promise'); });
        break;
    case 'answers':
        this.request('outbound.reply_to', reply, function () { throw new Error('too late'); });
        break;
    case 'forgets':
        break;
    case 'exits':
        this.done();
        break;
    case 'complains':
        this.request('log.error', {msg: 'caught'}, function () { this.done(); });
        break;
    }
};
"""


class NodeCase(VumiTestCase):
    isolation = "process"
    timeout = 60

    def setUp(self) -> None:
        self.node = require_node()
        self.app_helper = self.add_helper(ApplicationHelper(JsSandbox))

    async def start(self, cls: Any = None, **config: Any) -> Any:
        settings = {
            "sandbox": RESOURCES,
            "sandbox_id": "box",
            "executable": self.node,
            "isolation": self.isolation,
            "pool_size": 1,
            **config,
        }
        worker = await self.app_helper.get_application(settings, cls=cls)
        self.log_lines = worker.resources.resources["log"]
        return worker

    async def send(self, content: str, **fields: Any) -> Any:
        return await self.app_helper.make_dispatch_inbound(content, **fields)

    def answers(self) -> list[Any]:
        return [msg["content"] for msg in self.app_helper.get_dispatched_outbound()]

    def dead_letters(self) -> list[Any]:
        queue = f"{self.app_helper.transport_name}.inbound.dead"
        found: list[Any] = self.app_helper.worker_helper.broker.get_dispatched("vumi", queue)
        return found


class TestApplications(NodeCase):
    async def test_a_script_answers_and_keeps_its_state(self) -> None:
        worker = await self.start(javascript=ECHO)
        for _ in range(3):
            await self.send("hello")
        self.assertEqual(self.answers(), ["hello 1", "hello 2", "hello 3"])
        self.assertEqual(worker.sandbox_counters.by_ending["done"], 3)
        self.assertEqual(self.log_lines.told().count("Done."), 3)

    async def test_events_are_handled_by_the_script(self) -> None:
        await self.start(javascript=ECHO)
        await self.app_helper.make_dispatch_ack()
        await self.app_helper.make_dispatch_delivery_report()
        told = self.log_lines.told()
        self.assertIn("event ack", told)
        self.assertIn("event delivery_report", told)

    async def test_new_and_closing_sessions_reach_the_script(self) -> None:
        await self.start(javascript=ECHO)
        await self.send("a", session_event="new")
        await self.send("b", session_event="close")
        self.assertEqual(self.answers(), ["a 1", "b 2"])

    async def test_text_beyond_ascii_arrives_whole_both_ways(self) -> None:
        await self.start(javascript=ECHO)
        await self.send("ñandú ± жёлтый 🦜 \u2028")
        self.assertEqual(self.answers(), ["ñandú ± жёлтый 🦜 \u2028 1"])

    async def test_a_script_error_is_logged_with_the_scripts_line(self) -> None:
        worker = await self.start(javascript=BREAKING)
        await self.send("throws")
        self.assertIn("Cannot read properties of null", self.log_lines.told())
        self.assertIn("javascript:7:", self.log_lines.told())
        self.assertNotIn("runner.js", self.log_lines.told())
        self.assertEqual(worker.sandbox_counters.by_ending["crashed"], 1)
        self.flushLoggedErrors()

    async def test_an_error_in_a_promise_is_told_too(self) -> None:
        await self.start(javascript=BREAKING)
        await self.send("later")
        self.assertIn("in a promise", self.log_lines.told())
        self.assertIn("at later", self.log_lines.told())
        self.flushLoggedErrors()

    async def test_a_script_that_is_no_javascript_is_told_with_its_line(self) -> None:
        await self.start(javascript="var a = 1;\nvar b = ;\n")
        await self.send("hello")
        self.assertIn("SyntaxError", self.log_lines.told())
        self.assertIn("javascript:2", self.log_lines.told())
        self.flushLoggedErrors()

    async def test_the_message_of_a_broken_script_becomes_a_dead_letter(self) -> None:
        await self.start(javascript=BREAKING)
        await self.send("throws")
        [letter] = self.dead_letters()
        self.assertIn(b"throws", letter.body)
        self.flushLoggedErrors()

    async def test_no_dead_letter_if_none_is_wanted_and_the_end_is_logged(self) -> None:
        await self.start(javascript=BREAKING, dead_letter_failures=False)
        await self.send("throws")
        self.assertEqual(self.dead_letters(), [])
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    async def test_users_of_a_broken_script_were_left_without_a_word(self) -> None:
        worker = await self.start(javascript=BREAKING, error_reply="Sorry.")
        await self.send("throws")
        [reply] = self.app_helper.get_dispatched_outbound()
        self.assertEqual((reply["content"], reply["session_event"]), ("Sorry.", "close"))
        self.assertEqual(worker.sandbox_counters.error_replies, 1)
        self.flushLoggedErrors()

    async def test_who_was_answered_gets_no_apology(self) -> None:
        await self.start(javascript=BREAKING, error_reply="Sorry.")
        await self.send("answers")
        self.assertEqual(self.answers(), ["first"])
        self.flushLoggedErrors()

    async def test_who_closed_his_session_gets_no_apology(self) -> None:
        await self.start(javascript=BREAKING, error_reply="Sorry.")
        await self.send("throws", session_event="close")
        self.assertEqual(self.answers(), [])
        self.flushLoggedErrors()

    async def test_an_error_that_a_toolkit_caught_was_silence_for_the_user(self) -> None:
        worker = await self.start(javascript=BREAKING, error_reply="Sorry.")
        await self.send("complains")
        self.assertEqual(self.answers(), ["Sorry."])
        self.assertEqual(self.dead_letters(), [])
        self.assertEqual(worker.sandbox_counters.errors_logged, 1)

    async def test_a_script_that_says_nothing_on_purpose_is_left_in_peace(self) -> None:
        await self.start(javascript=BREAKING, error_reply="Sorry.")
        await self.send("exits")
        self.assertEqual(self.answers(), [])

    async def test_a_script_that_never_ends_is_ended(self) -> None:
        worker = await self.start(javascript=BREAKING, timeout=0.3, error_reply="Sorry.")
        await self.send("forgets")
        self.assertEqual(worker.sandbox_counters.by_ending["timeout"], 1)
        self.assertIn("killed for taking more than 0.3 seconds", self.log_lines.told())
        self.assertEqual(self.answers(), ["Sorry."])
        self.flushLoggedErrors()

    async def test_a_script_goes_on_after_one_that_broke(self) -> None:
        await self.start(javascript=BREAKING + ECHO.replace("api.on_inbound_message", "var x"))
        await self.send("throws")
        await self.send("answers")
        self.assertEqual(self.answers(), ["first"])
        self.flushLoggedErrors()

    async def test_an_unknown_command_is_refused_and_the_program_lives(self) -> None:
        script = """
        api.on_inbound_message = function (command) {
            this.request('nonsense.do', {}, function (reply) {
                this.request('kv.nonsense', {}, function (other) {
                    this.request('outbound.reply_to', {
                        content: reply.success + reply.reason + other.success + other.reason,
                        in_reply_to: command.msg.message_id,
                    }, function () { this.done(); });
                });
            });
        };"""
        await self.start(javascript=script)
        await self.send("hello")
        self.assertEqual(
            self.answers(),
            ["falseUnknown command 'nonsense.do'.falseUnknown command 'nonsense'."],
        )

    async def test_app_context_gives_a_script_its_globals(self) -> None:
        script = """
        api.on_inbound_message = function (command) {
            var self = this;
            var buffer = Buffer.from('x\\u00e9').toString('base64');
            later(function () {
                self.request('outbound.reply_to', {
                    content: [typeof require, buffer, helper(2), events.EventEmitter.name].join(),
                    in_reply_to: command.msg.message_id,
                }, function () { self.done(); });
            }, 1);
        };"""
        context = """{
            Buffer: Buffer, later: setTimeout, events: require('events'),
            helper: function (n) { return n * 2; },
        }"""
        await self.start(javascript=script, app_context=context)
        await self.send("hello")
        self.assertEqual(self.answers(), ["undefined,eMOp,4,EventEmitter"])

    async def test_objects_are_shown_and_compared_and_texts_are_bytes_in_all_encodings(
        self,
    ) -> None:
        script = """
        api.on_inbound_message = function (command) {
            var texts = [util.format('%s %j', {a: [1]}, {b: 2})], same = util.isDeepStrictEqual;
            texts.push(same({a: 1}, {a: 1}), same({a: 1}, {a: 2}));
            assert.deepEqual({a: 1}, {a: 1});
            try { assert.deepEqual({a: 1}, {a: 2}); } catch (error) { texts.push(error.name); }
            var names = ['utf8', 'UTF-8', 'base64', 'base64url', 'hex', 'latin1', 'ucs2'];
            names.forEach(function (name) {
                var bytes = Buffer.from('\\u00e9\\ud83d\\ude00', name === 'hex' ? 'utf8' : name);
                texts.push(Buffer.from('\\u20ac').toString(name), bytes.length);
            });
            texts.push(Buffer.from('_-8', 'base64url').toString('hex'), Buffer.isEncoding('none'));
            try { Buffer.from('x', 'none'); } catch (error) { texts.push(error.message); }
            this.request('outbound.reply_to', {
                content: texts.join(' '), in_reply_to: command.msg.message_id,
            }, function () { this.done(); });
        };"""
        context = "{Buffer: Buffer, util: require('util'), assert: require('assert')}"
        await self.start(javascript=script, app_context=context)
        await self.send("hello")
        shown = '{"a":[1]} {"b":2} true false AssertionError'
        texts = "\u20ac 6 \u20ac 6 4oKs 0 4oKs 0 e282ac 6 \u00e2\u0082\u00ac 3 \u82e2 6"
        self.assertEqual(self.answers(), [f"{shown} {texts} ffef false Unknown encoding: none"])


class TestApplicationsByContext(TestApplications):
    isolation = "context"

    async def test_no_message_sees_what_another_left(self) -> None:
        script = """
        var before = typeof left;
        left = 1;
        Object.prototype.polluted = 'yes';
        var own = {}.polluted;
        api.on_inbound_message = function (command) {
            this.request('outbound.reply_to', {
                content: before + own + (this.mine || ''), in_reply_to: command.msg.message_id,
            }, function () { api.mine = 'mine'; this.done(); });
        };"""
        worker = await self.start(javascript=script)
        for _ in range(3):
            await self.send("hello")
        self.assertEqual(self.answers(), ["undefinedyes"] * 3)
        [pool] = worker._pools.values()
        self.assertEqual(pool.counters.started, 1)

    async def test_a_child_is_replaced_after_its_messages(self) -> None:
        worker = await self.start(javascript=ECHO, messages_per_child=2)
        for _ in range(5):
            await self.send("hello")
        [pool] = worker._pools.values()
        self.assertEqual(pool.counters.recycled, 2)
        self.assertEqual(len(self.answers()), 5)

    async def test_what_a_script_still_wanted_to_do_is_not_done_in_the_next_ones_time(
        self,
    ) -> None:
        script = """
        api.on_inbound_message = function (command) {
            if (command.msg.content === 'haunts') {
                every(function () { api.log_info('a ghost'); }, 1);
            }
            later(function () { api.done(); }, 30);
        };"""
        await self.start(javascript=script, app_context="{every: setInterval, later: setTimeout}")
        await self.send("haunts")
        self.assertIn("a ghost", self.log_lines.told())
        self.log_lines.lines.clear()
        await self.send("hello")
        self.assertNotIn("a ghost", self.log_lines.told())

    async def test_no_process_ever_serves_two_sandboxes(self) -> None:
        worker = await self.start(javascript=ECHO)
        for _ in range(3):
            for sandbox_id in ("mine", "yours", "box"):
                await self.send("hello", sandbox_id=sandbox_id)
        self.assertEqual(self.answers(), [f"hello {n}" for n in (1, 2, 3) for _ in range(3)])
        served = {
            launch.owner: [(child.pid, child.served) for child in pool._idle]
            for launch, pool in worker._pools.items()
        }
        self.assertEqual({*served}, {"mine", "yours", "box"})
        self.assertEqual([count for [(_pid, count)] in served.values()], [3, 3, 3])

    async def test_processes_for_any_sandbox_are_told_nothing_before_their_message(self) -> None:
        worker = await self.start(javascript=ECHO, sandbox_id=None, isolation="process")
        for sandbox_id in ("mine", "yours"):
            await self.send("hello", sandbox_id=sandbox_id)
        [launch] = worker._pools
        self.assertEqual((launch.owner, launch.prepares, launch.messages), ("", False, 1))

    async def test_one_message_for_each_process_is_enough(self) -> None:
        await self.start(javascript=ECHO, messages_per_child=1)
        for _ in range(2):
            await self.send("hello")
        self.assertEqual(self.answers(), ["hello 1", "hello 2"])

    async def test_what_a_package_says_while_it_is_loaded_ahead_is_heard_with_its_message(
        self,
    ) -> None:
        folder = os.path.abspath(self.mktemp())
        os.makedirs(os.path.join(folder, "loud"))
        with open(os.path.join(folder, "loud", "index.js"), "w", encoding="utf-8") as script:
            script.write("console.log('loaded');")
        worker = await self.start(javascript=ECHO, modules=["loud"], env={"NODE_PATH": folder})
        for _ in range(3):
            await self.send("hello")
        self.assertEqual(self.log_lines.told().count("loaded"), 3)
        [pool] = worker._pools.values()
        self.assertEqual([child.served for child in pool._idle], [3])

    async def test_a_runner_of_ones_own_is_refused(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            await self.start(javascript=ECHO, args=["/srv/sandboxer.js"])
        self.assertIn("needs the runner that comes with vumi", str(caught.exception))


class TestWorkers(NodeCase):
    def write(self, name: str, text: str) -> str:
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as script:
            script.write(text)
        return path

    def setUp(self) -> None:
        super().setUp()
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)

    async def test_a_script_in_a_file_is_read_anew_for_each_message(self) -> None:
        path = self.write("app.js", ECHO)
        await self.start(JsFileSandbox, javascript_file=path)
        await self.send("hello")
        self.write("app.js", ECHO.replace("command.msg.content", "'changed'"))
        await self.send("hello")
        self.assertEqual(self.answers(), ["hello 1", "changed 2"])

    async def test_errors_name_the_scripts_file(self) -> None:
        path = self.write("menu.js", BREAKING)
        await self.start(JsFileSandbox, javascript_file=path)
        await self.send("throws")
        self.assertIn("menu.js:7:", self.log_lines.told())
        self.flushLoggedErrors()

    async def test_a_message_that_no_sandbox_was_named_for_stopped_the_worker(self) -> None:
        path = self.write("app.js", ECHO)
        await self.start(StandaloneJsFileSandbox, javascript_file=path, sandbox_id="mine")
        await self.send("hello", sandbox_id="another")
        self.assertEqual(self.answers(), ["hello 1"])

    async def test_packages_beside_the_script_can_be_required_if_they_are_named(self) -> None:
        self.write("node_modules/one/package.json", '{"main": "lib/main"}')
        self.write(
            "node_modules/one/lib/main.js",
            "exports.two = require('two').value + require('./other.json').n;",
        )
        self.write("node_modules/one/lib/other.json", '{"n": 1}')
        self.write("node_modules/two/index.js", "exports.value = [].constructor === Array && 41;")
        script = """
        api.on_inbound_message = function (command) {
            var text = [];
            ['one', 'two', 'fs', '/etc/hostname', '../app.js'].forEach(function (name) {
                try { text.push(require(name).two); } catch (error) { text.push(error.code); }
            });
            this.request('outbound.reply_to', {
                content: text.join(), in_reply_to: command.msg.message_id,
            }, function () { this.done(); });
        };"""
        path = self.write("app.js", script)
        await self.start(JsFileSandbox, javascript_file=path, modules=["one"])
        await self.send("hello")
        refused = ",".join(["MODULE_NOT_FOUND"] * 4)
        self.assertEqual(self.answers(), [f"42,{refused}"])

    async def test_packages_that_can_not_be_loaded_are_refused_at_start_by_name(self) -> None:
        self.write("node_modules/good/index.js", "console.log('hi'); setTimeout(() => {}, 9e5);")
        self.write("node_modules/throws/index.js", "null.x;")
        self.write("node_modules/needy/index.js", "require('absent');")
        self.write("node_modules/wrong/index.js", "var = ;")
        self.write("node_modules/json/package.json", '{"main": "a.json"}')
        self.write("node_modules/json/a.json", "{")
        path = self.write("app.js", ECHO)
        bad = ["nosuch", "throws", "needy", "wrong", "json", "node:nosuch"]
        config = {
            "transport_name": "sms",
            "sandbox_id": "box",
            "executable": self.node,
            "javascript_file": path,
            "modules": ["good", "url", *bad],
        }
        for isolation in ("process", "context"):
            config["isolation"] = isolation
            errors = check_worker(JsFileSandbox, config).errors
            told = [f"Field 'modules': {name!r} can't be loaded: " for name in bad]
            self.assertEqual(
                [error[: len(words)] for error, words in zip(errors, told, strict=True)], told
            )
            self.assertIn("'absent'", errors[2])
            self.assertIn("SyntaxError", errors[3])
        with self.assertRaises(ConfigError) as caught:
            await self.start(JsFileSandbox, javascript_file=path, modules=["nosuch"])
        self.assertIn("'nosuch' can't be loaded", str(caught.exception))

    async def test_packages_that_never_end_loading_are_refused(self) -> None:
        self.patch(module_check, "PATIENCE", 2)
        self.write("node_modules/loop/index.js", "for (;;) {}")
        path = self.write("app.js", ECHO)
        with self.assertRaises(ConfigError) as caught:
            await self.start(JsFileSandbox, javascript_file=path, modules=["loop"])
        self.assertIn("loading loop takes more than 2 seconds", str(caught.exception))

    async def test_a_script_that_can_not_be_read_is_refused_at_start(self) -> None:
        for name, why in self.unreadable():
            with self.assertRaises(ConfigError) as caught:
                await self.start(JsFileSandbox, javascript_file=name)
            self.assertIn(f"Field 'javascript_file': {why}", str(caught.exception))

    async def test_who_writes_to_a_script_that_can_not_be_read_any_more_is_told_so(self) -> None:
        await self.check_unreadable("process")

    async def test_the_same_by_context(self) -> None:
        await self.check_unreadable("context")

    async def check_unreadable(self, isolation: str) -> None:
        path = self.write("app.js", ECHO)
        worker = await self.start(
            JsFileSandbox, javascript_file=path, error_reply="Sorry.", isolation=isolation
        )
        for other, why in self.unreadable():
            os.replace(path, self.write("old.js", ""))
            if os.path.exists(other):
                os.rename(other, path)
            await self.send("hello")
            await self.app_helper.make_dispatch_ack()
            self.assertIn(why.replace(other, path), self.log_lines.told())
            self.assertEqual(len(self.flushLoggedErrors()), 2)
            if os.path.isdir(path):
                os.rmdir(path)
            self.write("app.js", ECHO)
        self.assertEqual(self.answers(), ["Sorry."] * 3)
        self.assertEqual(worker.sandbox_counters.by_ending["not-started"], 6)
        self.assertEqual(len(self.dead_letters()), 3)
        # And when it is there again all is well.
        await self.send("hello")
        self.assertEqual(self.answers()[-1], "hello 1")

    def unreadable(self) -> list[tuple[str, str]]:
        """Paths of what is no script, and what is said of it."""
        nowhere = os.path.join(self.folder, "nowhere.js")
        folder = os.path.join(self.folder, "folder.js")
        os.makedirs(folder, exist_ok=True)
        latin = self.write("latin.js", "")
        with open(latin, "wb") as script:
            script.write("// z\u00fcrich".encode("latin-1"))
        return [
            (nowhere, f"There is no script {nowhere!r}."),
            (folder, f"The script {folder!r} can't be read: "),
            (latin, f"The script {latin!r} can't be read: it is not UTF-8"),
        ]

    async def test_a_runner_of_ones_own_is_run_as_it_is(self) -> None:
        path = self.write(
            "sandboxer.js",
            """
            process.stdin.on('data', function (data) {
                String(data).split('\\n').filter(Boolean).map(JSON.parse).forEach(function (c) {
                    if (c.cmd === 'inbound-message') {
                        console.log(JSON.stringify({
                            cmd: 'outbound.reply_to', cmd_id: 'a', reply: false,
                            content: 'by hand', in_reply_to: c.msg.message_id,
                        }));
                    }
                    if (c.reply && c.cmd_id === 'a') { process.exit(0); }
                });
            });
            console.log(JSON.stringify({cmd: 'log.info', cmd_id: 'x', reply: false, msg: 'up'}));
            """,
        )
        await self.start(javascript="ignored", args=[path])
        await self.send("hello")
        self.assertEqual(self.answers(), ["by hand"])

    async def test_a_subclass_finds_the_script_by_message(self) -> None:
        class ByMessage(NodeSandbox):
            def javascript_for_api(self, api: Any) -> str:
                return ECHO.replace("command.msg.content", repr(api.sandbox_id))

            def get_config(self, msg: Any, ctxt: Any = None) -> Any:
                return super().get_config(msg)

        await self.start(ByMessage)
        await self.send("hello", sandbox_id="mine")
        await self.send("hello", sandbox_id="yours")
        self.assertEqual(self.answers(), ["mine 1", "yours 1"])

    async def test_a_missing_node_is_told_when_the_worker_starts(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            await self.start(javascript=ECHO, executable="/nowhere/node")
        self.assertIn("/nowhere/node", str(caught.exception))
