"""What is refused leaves a line in the log; what is refused for days leaves few."""

from __future__ import annotations

import json
from typing import Any

from vumi.tests.fake_connection import FakeHttpServer
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.transports.external import ExternalTransport
from vumi.transports.httprpc.refusals import PERIOD
from vumi.transports.httprpc.tests.clients import HttpTestCase
from vumi.transports.tests.helpers import TransportHelper

OPTIONS: dict[str, Any] = {
    "web_path": "/sms",
    "web_username": "pigeon",
    "web_password": "basic-7c31",
    "secrets": {"hook": "hook-7c31", "api_key": "key-7c31"},
    "access": {"parameter": "token", "key": "hook"},
    "send": {
        "url": "https://api.pigeon.example/send?k={{secrets.api_key}}",
        "json": {"text": "{{text}}"},
        "max_length": 20,
    },
    "answer": {"id": {"json": "id"}, "error": {"json": "error"}},
    "inbound": {
        "each": "results",
        "fields": {
            "from_addr": {"json": "from"},
            "to_addr": {"constant": "8123"},
            "content": {"json": "text"},
        },
    },
}
AUTH = {"Authorization": "Basic cGlnZW9uOmJhc2ljLTdjMzE="}
GOOD = {"from": "+27831234567", "text": "hi"}


class RefusalTests(HttpTestCase):
    transport_class = ExternalTransport

    async def start(self, transport_class: Any = None, **config: Any) -> Any:
        self.answers: list[tuple[int, str]] = []
        await super().start(transport_class, **{**OPTIONS, **config})
        self.transport.agent_factory = FakeHttpServer(self.answer).get_agent
        return self.transport

    def answer(self, request: Any) -> str:
        code, body = self.answers.pop(0)
        request.setResponseCode(code)
        return body

    def request(self, data: Any, token: str = "hook-7c31", **kw: Any) -> int:
        body = data if isinstance(data, bytes) else json.dumps({"results": data}).encode()
        headers = kw.pop("headers", AUTH)
        path = kw.pop("path", "/sms")
        client = self.client().send(
            f"{path}?token={token}", kw.pop("method", "POST"), body, headers
        )
        return client.response.code

    async def send(self, code: int, body: str, content: str = "hello") -> None:
        self.answers = [(code, body)]
        await self.helper.make_dispatch_outbound(content, to_addr="+27831234567")

    async def ten_refusals(self) -> None:
        self.assertEqual(self.request([GOOD], token="guessed"), 403)
        self.assertEqual(self.request([{"from": "+27831234567"}]), 400)
        self.assertEqual(self.request(b"{"), 400)
        self.assertEqual(self.request([GOOD], headers={}), 401)
        self.assertEqual(self.request([GOOD], path="/smss"), 404)
        self.assertEqual(self.request(b"", method="DELETE"), 405)
        self.assertEqual(self.request([GOOD, {"text": "lost"}]), 200)
        await self.send(200, '{"error": "no credit for key-7c31"}')
        await self.send(403, '{"error": "unknown sender"}')
        await self.send(200, "", content="x" * 30)

    def lines(self, catcher: LogCatcher) -> list[str]:
        kinds = ("http-request-refused", "http-item-refused", "http-message-nacked")
        return [
            text
            for event, text in zip(catcher.logs, catcher.messages(), strict=True)
            if event.get("event") in kinds
        ]

    async def test_refusals_left_no_line(self) -> None:
        await self.start()
        with LogCatcher() as catcher:
            await self.ten_refusals()
        wanted = [
            ("POST /sms from 192.168.1.1 was answered 403: invalid credentials", "token"),
            ("was answered 400: invalid inbound fields: missing parameter: text", "page"),
            ("was answered 400: invalid inbound fields: invalid parameter: the JSON", "page"),
            ("POST /sms from 192.168.1.1 was answered 401", "web_username"),
            ("POST /smss from 192.168.1.1 was answered 404", "web_path"),
            ("DELETE /sms from 192.168.1.1 was answered 405", "GET, POST or PUT"),
            ("One item of a request was dropped: missing: from", "page"),
            ("was not sent (nack): no credit for ****", "account"),
            ("was not sent (nack): unknown sender", "account"),
            ("was not sent (nack): The text is too long: 30 characters, not 20", "account"),
        ]
        lines = self.lines(catcher)
        self.assertEqual(len(lines), len(wanted), "\n".join(lines))
        for line, (reason, hint) in zip(lines, wanted, strict=True):
            self.assertIn(reason, line)
            self.assertIn(hint, line)
            self.assertTrue(line.startswith(f"{self.transport.transport_name}: "), line)
        for secret in ("7c31", "guessed"):
            self.assertNotIn(secret, str(catcher.logs))

    async def test_the_same_refusals_again_and_again_leave_few_lines(self) -> None:
        await self.start()
        with LogCatcher() as catcher:
            for _ in range(5):
                await self.ten_refusals()
            self.assertEqual(len(self.lines(catcher)), 10)
            self.clock.advance(PERIOD)
            await self.ten_refusals()
        again = self.lines(catcher)[10:]
        self.assertEqual(len(again), 10)
        for line in again:
            self.assertTrue(line.endswith("(4 more since the last such line.)"), line)

    async def test_a_text_from_outside_breaks_no_line(self) -> None:
        await self.start()
        with LogCatcher() as catcher:
            await self.send(400, json.dumps({"error": "a\nb\x1b[31m\u2028" + "c" * 5000}))
        [line] = self.lines(catcher)
        self.assertTrue(line.isprintable(), line)
        self.assertLess(len(line), 600)


class UrlTests(VumiTestCase):
    async def urls(self, **config: Any) -> list[str]:
        receipts = {
            "path": "/receipts",
            "id": {"json": "id"},
            "id_is": "ours",
            "status": {"json": "status"},
        }
        helper: Any = self.add_helper(TransportHelper(ExternalTransport))
        with LogCatcher() as catcher:
            self.transport = await helper.get_transport(
                {
                    **OPTIONS,
                    "receipts": receipts,
                    "twisted_endpoint": "tcp:port=0:interface=127.0.0.1",
                    **config,
                }
            )
        self.assertNotIn("7c31", str(catcher.logs))
        pairs = zip(catcher.logs, catcher.messages(), strict=True)
        return [text for event, text in pairs if event.get("event") == "http-url"]

    async def test_the_urls_that_the_provider_must_know_are_logged_at_the_start(self) -> None:
        [messages, receipts] = await self.urls()
        host = self.transport.get_transport_url().rstrip("/")
        needs = (
            "(HTTP Basic, user name 'pigeon', with the parameter 'token': the secret that "
            "access.key names)"
        )
        told = f"{self.transport.transport_name}: register this URL with the provider:"
        self.assertEqual(messages, f"{told} {host}/sms {needs}")
        self.assertEqual(receipts, f"{told} {host}/receipts {needs}")

    async def test_behind_a_proxy_they_are_those_of_the_proxy(self) -> None:
        [messages, _] = await self.urls(public_url="https://vumi.example.org/in/")
        self.assertIn(" https://vumi.example.org/in/sms ", messages)
