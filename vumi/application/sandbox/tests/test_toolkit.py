"""An application on vumi's old toolkit for JavaScript runs as it is, on the Node.js of today.

The toolkit comes from npm; the application is the one in ``config/examples/js``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from vumi.application.sandbox import StandaloneJsFileSandbox
from vumi.application.sandbox.tests.helpers import require_node
from vumi.application.sandbox.tests.packages import TOOLKIT, require_packages
from vumi.message import TransportEvent, TransportUserMessage
from vumi.persist.txredis_manager import TxRedisManager
from vumi.service import Worker, WorkerCreator
from vumi.tasks import settle
from vumi.tests.helpers import VumiTestCase
from vumi.tests.servers import shared_rabbitmq, shared_redis

if TYPE_CHECKING:
    from vumi.message import Message

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "config" / "examples" / "js"
CLASS = "vumi.application.sandbox.StandaloneJsFileSandbox"
PORT = "8001"
#: Moments to wait for something on a machine that is busy.
PATIENCE = 1500


class Prices(Resource):
    """Serves the files of a folder."""

    isLeaf = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def render_GET(self, request: Request) -> bytes:
        path = self._folder / Path(request.path.decode("ascii")).name
        if not path.is_file():
            request.setResponseCode(404)
            return b"{}"
        request.setHeader("Content-Type", "application/json")
        return path.read_bytes()


class Line(Worker):
    """Stands for the network: sends what the test says, and keeps what it is answered."""

    async def startWorker(self) -> None:
        self.replies: DeferredQueue[Any] = DeferredQueue()
        self.figures: DeferredQueue[Message] = DeferredQueue()
        name = self.config["transport_name"]
        await self.consume(
            f"{name}.outbound", self.replies.put, message_class=TransportUserMessage
        )
        await self.consume(
            "vumi.metrics",
            self.figures.put,
            queue_name=f"figures-{name}",
            exchange_name="vumi.metrics",
            exchange_type="direct",
        )
        self.inbound = await self.publish_to(f"{name}.inbound")
        self.events = await self.publish_to(f"{name}.event")
        self.last: Any = None

    async def say(self, text: str | None, session_event: str = "resume") -> None:
        """Send a user's message."""
        self.last = TransportUserMessage(
            content=text,
            session_event=session_event,
            from_addr="+27831234567",
            to_addr="*120*1#",
            transport_name=self.config["transport_name"],
            transport_type="ussd",
        )
        await self.inbound.publish_message(self.last)

    async def ask(self, text: str | None, session_event: str = "resume") -> Any:
        """Send a user's message, and give the reply to it."""
        await self.say(text, session_event)
        reply = await self.replies.get().addTimeout(30, reactor)
        assert reply["in_reply_to"] == self.last["message_id"]
        return reply


class ToolkitTestCase(VumiTestCase):
    timeout = 120

    async def prepare(self) -> None:
        """The example in a folder of its own, with the toolkit, and the prices on a server."""
        require_node()
        if not EXAMPLE.is_dir():
            raise SkipTest("the example is in the source tree only")
        packages = await deferToThread(require_packages, TOOLKIT)
        self.folder = Path(self.mktemp()).absolute()
        shutil.copytree(EXAMPLE, self.folder)
        (self.folder / "node_modules").symlink_to(packages)
        wanted = json.loads((self.folder / "package.json").read_text("utf-8"))["dependencies"]
        self.assertEqual(wanted, TOOLKIT)
        prices: Any = Site(Prices(self.folder / "prices"))
        port: Any = reactor.listenTCP(0, prices, interface="127.0.0.1")
        self.add_cleanup(port.stopListening)
        text = (self.folder / "market.yaml").read_text("utf-8")
        text = text.replace(f":{PORT}", f":{port.getHost().port}")
        (self.folder / "market.yaml").write_text(text, "utf-8")

    def config(self, **options: Any) -> dict[str, Any]:
        loaded = yaml.safe_load((self.folder / "market.yaml").read_text("utf-8"))
        loaded["javascript_file"] = str(self.folder / "market.js")
        return {**loaded, **options}


class ChatTests(ToolkitTestCase):
    async def chat(self, *options: str) -> None:
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            [
                *("-m", "vumi.cli", "chat", CLASS, "--config", "market.yaml"),
                *("--script", "market.chat", "--timeout", "30", *options),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            path=str(self.folder),
        )
        self.assertEqual((code, err.decode()), (0, ""), out.decode())
        self.assertTrue(out.startswith(b"OK: market.chat, "), out)

    async def test_the_conversation_is_as_its_script_says(self) -> None:
        await self.prepare()
        await self.chat()

    async def test_it_is_the_same_in_one_process_for_many_messages(self) -> None:
        await self.prepare()
        await self.chat("--set-option", "isolation:context")


class RabbitMQTests(ToolkitTestCase):
    async def start(self, **options: Any) -> None:
        await self.prepare()
        url = await deferToThread(lambda: shared_rabbitmq().url())
        name = f"market-{uuid4().hex[:8]}"
        redis = {"url": await deferToThread(lambda: shared_redis().url()), "key_prefix": name}
        config = self.config(transport_name=name, **options)
        for resource in ("kv", "contacts"):
            config["sandbox"][resource]["redis_manager"] = redis
        creator = WorkerCreator({"broker": url}, reactor)
        self.line: Any = creator.create_worker_by_class(Line, {"transport_name": name})
        self.app: Any = creator.create_worker_by_class(StandaloneJsFileSandbox, config)
        for worker in (self.line, self.app):
            self.add_cleanup(worker.stopService)
            worker.startService()
        while not hasattr(self.line, "last"):
            await self.a_moment()
        self.redis = redis

    async def a_moment(self) -> None:
        await deferLater(reactor, 0.02)

    async def kept(self, key: str, wanted: Any) -> Any:
        """Wait until the application keeps something."""
        manager = await TxRedisManager.from_config(self.redis)
        text = None
        try:
            for _ in range(PATIENCE):
                text = await settle(manager.get(f"sandboxes#market#{key}"))
                if text is not None and wanted(json.loads(text)):
                    return json.loads(text)
                await self.a_moment()
            raise AssertionError(f"waited in vain for {key}, which is {text}")
        finally:
            await manager.close_manager()

    async def conversation(self) -> None:
        ask = self.line.ask
        reply = await ask(None, "new")
        self.assertEqual(reply["content"], "Welcome to the market. What is your name?")
        self.assertIs(reply["session_event"], None)
        await ask("Juma")
        await ask("1")
        reply = await ask("1")
        self.assertEqual(reply["content"], "Maize: 3500 KES for 90 kg.\n1. Another crop\n2. Leave")
        # Figures arrive where they are collected.
        figure: Any = await self.line.figures.get()
        self.assertEqual(figure["datapoints"][0][0], "apps.market.stores.market.asked.maize")
        # He hangs up: that is noted, and where he was is kept.
        await self.line.say(None, "close")
        figure = await self.line.figures.get()
        self.assertEqual(figure["datapoints"][0][:2], [
            "apps.market.stores.market.hung_up", ["last"],
        ])  # fmt: skip
        user = await self.kept(
            "users.market.+27831234567", lambda user: user["state"]["name"] == "states:price"
        )
        self.assertEqual(user["answers"]["states:crop"], "Maize")
        reply = await ask(None, "new")
        self.assertIn("Maize: 3500", reply["content"])
        reply = await ask("2")
        self.assertEqual((reply["content"], reply["session_event"]), ("Good-bye.", "close"))
        # What became of what it has sent.
        ack = TransportEvent(
            event_type="ack", user_message_id=reply["message_id"], sent_message_id="1"
        )
        for _ in range(2):
            await self.line.events.publish_message(ack)
        await self.kept("market.ack", lambda count: count == 2)
        self.assertEqual(self.flushLoggedErrors(), [])
        endings = self.app.sandbox_counters.by_ending
        self.assertEqual({name for name, count in endings.items() if count}, {"done"})

    async def test_a_conversation_over_rabbitmq(self) -> None:
        await self.start()
        await self.conversation()

    async def test_a_conversation_in_one_process_for_many_messages(self) -> None:
        await self.start(isolation="context", pool_size=1)
        await self.conversation()

    async def test_who_resets_begins_anew(self) -> None:
        await self.start()
        await self.line.ask(None, "new")
        await self.line.ask("Juma")
        await self.line.ask("1")
        reply = await self.line.ask("!reset")
        self.assertIn("Hello Juma.", reply["content"])

    async def test_a_price_list_that_is_away_is_no_end_of_the_conversation(self) -> None:
        await self.start()
        await self.line.ask(None, "new")
        await self.line.ask("Juma")
        await self.line.ask("1")
        self.app.resources.resources["http"].reach._rules.clear()
        reply = await self.line.ask("1")
        self.assertIn("There is no price for Maize today.", reply["content"])
