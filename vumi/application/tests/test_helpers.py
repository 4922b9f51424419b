"""The helper for tests of applications."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import inlineCallbacks, succeed
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper, find_nodejs_or_skip_test
from vumi.tests.helpers import (
    IHelper,
    MessageDispatchHelper,
    MessageHelper,
    PersistenceHelper,
    PersistenceHelperError,
    VumiTestCase,
    WorkerHelper,
)


class GreetApp(ApplicationWorker):
    def consume_user_message(self, message: Any) -> Any:
        return self.reply_to(message, self.config.get("greeting", "hello"))


class OtherApp(GreetApp):
    pass


def proxied(helper: object) -> set[str]:
    """The names of the methods that a helper lets others have."""
    return {name for name in dir(helper) if getattr(getattr(helper, name), "proxyable", False)}


class ApplicationHelperTests(VumiTestCase):
    def test_it_is_made_of_the_other_helpers(self) -> None:
        helper = ApplicationHelper(GreetApp, transport_name="line", transport_type="ussd")
        self.assertTrue(IHelper.providedBy(helper))
        self.assertEqual(helper.transport_name, "line")
        self.assertEqual(helper.application_class, GreetApp)
        self.assertEqual(helper.msg_helper.transport_type, "ussd")
        for part, cls in [
            (helper.msg_helper, MessageHelper),
            (helper.worker_helper, WorkerHelper),
            (helper.dispatch_helper, MessageDispatchHelper),
            (helper.persistence_helper, PersistenceHelper),
        ]:
            self.assertIsInstance(part, cls)
            for name in proxied(part):
                self.assertEqual(getattr(helper, name), getattr(part, name))

    @inlineCallbacks
    def test_a_typical_test(self) -> Any:
        helper = self.add_helper(ApplicationHelper(GreetApp, transport_type="ussd"))
        app = yield helper.get_application({"greeting": "molo"})
        self.assertIsInstance(app, GreetApp)
        inbound = yield helper.make_dispatch_inbound(None, session_event="new")
        sent = helper.get_dispatched_outbound()
        self.assertEqual(
            [(m["content"], m["in_reply_to"]) for m in sent], [("molo", inbound["message_id"])]
        )

    @inlineCallbacks
    def test_the_config_of_the_application(self) -> Any:
        helper = self.add_helper(ApplicationHelper(GreetApp))
        config = {"greeting": "molo"}
        app = yield helper.get_application(config)
        self.assertEqual(config, {"greeting": "molo"})
        self.assertEqual(app.config["transport_name"], "sphex")
        self.assertEqual(app.config["redis_manager"]["key_prefix"], "vumitest")
        app = yield helper.get_application({"transport_name": "other"})
        self.assertEqual(app.transport_name, "other")

    @inlineCallbacks
    def test_another_class_and_not_started(self) -> Any:
        helper = self.add_helper(ApplicationHelper(GreetApp))
        app = yield helper.get_application({}, cls=OtherApp, start=False)
        self.assertIsInstance(app, OtherApp)
        self.assertEqual(app.connectors, {})

    @inlineCallbacks
    def test_cleanup_stops_the_application(self) -> Any:
        helper = ApplicationHelper(GreetApp)
        helper.setup()
        app = yield helper.get_application({})
        yield helper.cleanup()
        self.assertEqual(app.connectors, {})
        self.assertRaises(PersistenceHelperError, helper.get_application, {})

    @inlineCallbacks
    def test_riak_has_to_be_asked_for(self) -> Any:
        helper = self.add_helper(ApplicationHelper(GreetApp, use_riak=True))
        app = yield helper.get_application({})
        # With where it really is kept: in memory.
        self.assertEqual(
            app.config["riak_manager"], {"bucket_prefix": "vumitest", "url": "sqlite://"}
        )


class MessagesLeadingToMessagesTests(VumiTestCase):
    class ChattyApp(ApplicationWorker):
        """Talks to itself until there is nothing left to say."""

        async def consume_user_message(self, message: Any) -> None:
            await succeed(None)
            if message["content"]:
                connector = self.connectors[self.transport_name]
                shorter = message.copy()
                shorter["content"] = message["content"][1:]
                broker = self.broker
                await broker.publish("vumi", f"{connector.name}.inbound", shorter.to_bytes())
            else:
                _ = self.reply_to(message, "done")

    @inlineCallbacks
    def test_a_dispatch_is_done_when_the_last_of_them_is(self) -> Any:
        helper = self.add_helper(ApplicationHelper(self.ChattyApp))
        yield helper.get_application({})
        yield helper.make_dispatch_inbound("abc")
        self.assertEqual(
            [m["content"] for m in helper.get_dispatched_inbound()], ["abc", "bc", "c", ""]
        )
        [reply] = helper.get_dispatched_outbound()
        self.assertEqual(reply["content"], "done")


class FindNodeTests(SynchronousTestCase):
    class Sandbox:
        path: str | None = None

        @classmethod
        def find_nodejs(cls) -> str | None:
            return cls.path

    class NodeSandbox(Sandbox):
        path = "/usr/bin/node"

    def setUp(self) -> None:
        self.patch_environment(None)

    def patch_environment(self, value: str | None) -> None:
        patch = pytest.MonkeyPatch()
        self.addCleanup(patch.undo)
        if value is None:
            patch.delenv("VUMI_TEST_NODE_PATH", raising=False)
        else:
            patch.setenv("VUMI_TEST_NODE_PATH", value)

    def test_the_sandbox_is_asked(self) -> None:
        self.assertEqual(find_nodejs_or_skip_test(self.NodeSandbox), "/usr/bin/node")

    def test_without_one_the_test_is_skipped(self) -> None:
        skip = self.assertRaises(SkipTest, find_nodejs_or_skip_test, self.Sandbox)
        self.assertIn("VUMI_TEST_NODE_PATH", str(skip))

    def test_the_environment_names_one(self) -> None:
        self.patch_environment(__file__)
        self.assertEqual(find_nodejs_or_skip_test(self.NodeSandbox), __file__)

    def test_what_the_environment_names_must_be_there(self) -> None:
        self.patch_environment("/no/such/node")
        error = self.assertRaises(RuntimeError, find_nodejs_or_skip_test, self.NodeSandbox)
        self.assertIn("/no/such/node", str(error))

    def test_a_worker_that_does_not_know_how_to_look(self) -> None:
        try:
            path = find_nodejs_or_skip_test(object)
        except SkipTest:
            return
        self.assertIn("node", path)
