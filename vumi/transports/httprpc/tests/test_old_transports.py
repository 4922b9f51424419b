"""Transports that were written for the old Vumi's HTTP-RPC base keep working."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock

from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.transports.httprpc import HttpRpcTransport
from vumi.transports.httprpc.tests.clients import Client, HttpTestCase
from vumi.transports.httprpc.tests.helpers import (
    HttpRpcTransportHelper,
    HttpRpcTransportHelperError,
)
from vumi.web.client import http_request_full

FIELDS = {"content", "to_addr", "from_addr"}


class OldTransport(HttpRpcTransport):
    """As they were written: with a set of field names, and everything done by hand."""

    def handle_raw_inbound_message(self, msgid: str, request: Any) -> Any:
        values, errors = self.get_field_values(request, FIELDS, frozenset(["ignored"]))
        if errors:
            return self.finish_request(msgid, json.dumps(errors), code=400)
        return self.publish_message(
            message_id=msgid,
            content=values["content"],
            to_addr=values["to_addr"],
            from_addr=values["from_addr"],
            provider="vumi",
            transport_type=self.transport_type,
            transport_metadata={"original": "x"},
        )


class GeneratorTransport(OldTransport):
    """With inlineCallbacks, and an answer of its own."""

    @inlineCallbacks
    def setup_transport(self) -> Any:
        yield super().setup_transport()
        self.sessions = "set up"

    @inlineCallbacks
    def teardown_transport(self) -> Any:
        yield super().teardown_transport()

    @inlineCallbacks
    def handle_raw_inbound_message(self, message_id: str, request: Any) -> Any:
        yield None
        values, _ = self.get_field_values(request, FIELDS)
        yield self.publish_message(
            message_id=message_id,
            content=values["content"],
            to_addr=values["to_addr"],
            from_addr=values["from_addr"],
            transport_type="ussd",
        )
        assert self.get_request_to_addr(message_id) == values["to_addr"]

    @inlineCallbacks
    def handle_outbound_message(self, message: Any) -> Any:
        missing = self.ensure_message_values(message, ["in_reply_to", "content"])
        if missing:
            yield self.reject_message(message, missing)
            return
        response_id = self.finish_request(
            message["in_reply_to"],
            message["content"].encode("utf-8"),
            headers={"Freeflow": ["FB"]},
        )
        if response_id is None:
            yield self.publish_nack(message["message_id"], "gone")
        else:
            yield self.publish_ack(message["message_id"], response_id)


class FailingTransport(OldTransport):
    @inlineCallbacks
    def handle_raw_inbound_message(self, message_id: str, request: Any) -> Any:
        yield None
        raise KeyError("MSISDN")


class UndecodableTransport(OldTransport):
    def handle_raw_inbound_message(self, message_id: str, request: Any) -> Any:
        return request.args[b"content"][0].decode("utf-8")


class OldTransportsOverSocketsTests(VumiTestCase):
    """By the helper that their tests use."""

    def setUp(self) -> None:
        super().setUp()
        self.helper: Any = self.add_helper(
            HttpRpcTransportHelper(
                OldTransport,
                request_defaults={"content": "hi", "to_addr": "555", "from_addr": "666"},
            )
        )
        self.config = {"web_path": "foo", "web_port": 0}

    async def reply(self, content: str = "OK") -> Any:
        [message] = await self.helper.wait_for_dispatched_inbound(1)
        await self.helper.make_dispatch_reply(message, content)
        return message

    async def test_a_request_and_its_reply(self) -> None:
        await self.helper.get_transport(self.config)
        asked: Deferred[Any] = self.helper.mk_request()
        message = await self.reply()
        self.assertEqual(message["transport_metadata"], {"original": "x"})
        response = await asked
        self.assertEqual((response.code, response.delivered_body), (200, b"OK"))
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["text/plain"])

    async def test_the_other_methods(self) -> None:
        await self.helper.get_transport(self.config)
        for number, method in enumerate(["POST", "PUT"], 1):
            asked = self.helper.mk_request(_method=method, content=method)
            message = (await self.helper.wait_for_dispatched_inbound(number))[-1]
            self.assertEqual(message["content"], method)
            await self.helper.make_dispatch_reply(message, "yo")
            self.assertEqual((await asked).delivered_body, b"yo")
        for method in ("DELETE", "HEAD", "BREW"):
            response = await self.helper.mk_request(_method=method)
            self.assertEqual(response.code, 405, method)
            self.assertEqual(response.headers.getRawHeaders("allow"), ["GET, POST, PUT"])

    async def test_errors_that_a_transport_answers_itself(self) -> None:
        await self.helper.get_transport(self.config)
        response = await self.helper.mk_request(unknown="1", ignored="2")
        self.assertEqual(response.code, 400)
        self.assertEqual(
            json.loads(response.delivered_body), {"unexpected_parameter": ["unknown"]}
        )

    async def test_the_health_page_needs_no_password(self) -> None:
        transport = await self.helper.get_transport(
            {**self.config, "web_username": "u", "web_password": "p", "health_path": "/ok"}
        )
        response = await http_request_full(transport.get_transport_url("ok"), method="GET")
        self.assertEqual(json.loads(response.delivered_body), {"pending_requests": 0})

    async def test_a_suffix_and_raw_parameters(self) -> None:
        await self.helper.get_transport(self.config)
        response = await self.helper.mk_request_raw("/more", {"content": ["a", "b"]}, b"body")
        self.assertEqual(response.code, 400)

    async def test_the_helper_needs_a_started_transport(self) -> None:
        transport = await self.helper.get_transport(self.config, start=False)
        with self.assertRaises(HttpRpcTransportHelperError):
            self.helper.mk_request()
        with self.assertRaises(ValueError):
            transport.get_transport_url()


class AuthTests(VumiTestCase):
    async def test_requests_need_the_user_name_and_password(self) -> None:
        helper: Any = self.add_helper(HttpRpcTransportHelper(OldTransport))
        transport = await helper.get_transport(
            {"web_path": "foo", "web_username": "user", "web_password": "pa:ss wörd"}
        )
        url = transport.get_transport_url("foo")
        good = b64encode("user:pa:ss wörd".encode()).decode()
        cases = [
            (f"Basic {good}", 400),
            (f"basic  {good}", 400),
            (None, 401),
            ("Basic", 401),
            ("Basic !!!", 401),
            (f"Bearer {good}", 401),
            (f"Basic {b64encode(b'user:wrong').decode()}", 401),
            (f"Basic {b64encode(b'user').decode()}", 401),
        ]
        for authorization, code in cases:
            headers = {"Authorization": authorization} if authorization else {}
            response = await http_request_full(url, headers=headers, method="GET")
            self.assertEqual(response.code, code, authorization)
            if code == 401:
                self.assertEqual(response.delivered_body, b"Unauthorized")
                self.assertEqual(
                    response.headers.getRawHeaders("www-authenticate"),
                    ['basic realm="Vumi HTTP RPC transport"'],
                )


class OldTransportsTests(HttpTestCase):
    transport_class = OldTransport

    def ask(self, text: str = "hi", **kw: str) -> Client:
        parameters = {"content": text, "to_addr": "1", "from_addr": "2", **kw}
        return self.client().send("/ussd", parameters=parameters)

    async def test_a_transport_with_inline_callbacks(self) -> None:
        await self.start(GeneratorTransport)
        self.assertEqual(self.transport.sessions, "set up")
        client = self.ask()
        reply = await self.reply(await self.only_message(), "hello")
        self.assertEqual(client.response.headers["Freeflow"], "FB")
        [ack] = self.helper.get_dispatched_events()
        self.assertRegex(ack["sent_message_id"], r"^192\.168\.1\.1:54321:")
        self.assertEqual(ack["user_message_id"], reply["message_id"])

    async def test_a_handler_that_fails_later_answers_500(self) -> None:
        await self.start(FailingTransport)
        self.assertEqual(self.ask().response.code, 500)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    async def test_a_parameter_that_the_transport_can_not_decode_answers_400(self) -> None:
        await self.start(UndecodableTransport)
        client = self.client().send("/ussd?content=%ff")
        self.assertEqual(client.response.code, 400)

    async def test_the_clock_can_be_replaced(self) -> None:
        clock = Clock()
        self.patch(OldTransport, "get_clock", lambda _: clock)
        transport = await self.start(request_timeout=10)
        request = self.ask().channel.requests[0]
        transport.set_request("id", request, timestamp=-5)
        self.assertIdentical(transport.clock, clock)
        clock.advance(6)
        self.assertIdentical(transport.get_request("id"), None)

    async def test_a_request_that_was_finished_without_the_base_is_no_error(self) -> None:
        class ByHand(OldTransport):
            def handle_raw_inbound_message(self, msgid: str, request: Any) -> Any:
                request.write(b"x")
                request.finish()
                super().handle_raw_inbound_message(msgid, request)

        await self.start(ByHand)
        self.assertEqual(self.ask().response.body, b"x")
        await self.reply(await self.only_message())
        self.assertEqual(self.events(), [("nack", "Could not find original request.")])

    async def test_requests_can_be_kept_and_forgotten_by_hand(self) -> None:
        class Fake:
            pass

        transport = await self.start()
        fake = Fake()
        self.assertIdentical(transport.set_request("id", fake), fake)
        self.assertIdentical(transport.get_request("id"), fake)
        transport.set_request_to_addr("id", "123")
        self.assertEqual(transport.get_request_to_addr("id"), "123")
        self.assertEqual(transport.get_health_response(), '{"pending_requests": 1}')
        transport.remove_request("id")
        self.assertIdentical(transport.get_request("id"), None)
        self.assertIdentical(transport.get_request_to_addr("id"), None)

    async def test_noisy_transports_tell_what_passes(self) -> None:
        await self.start(noisy=True)
        with LogCatcher() as log:
            self.ask()
            await self.reply(await self.only_message(), "hello")
        told = "".join(log.messages())
        assert "HttpRpcTransport consuming" in told
        assert "finish_request with data: b'hello'" in told

    async def test_statuses_can_be_told_by_hand_and_repeats_are_dropped(self) -> None:
        transport = await self.start(publish_status=True)
        for _ in range(2):
            transport.add_status(component="c", status="ok", type="t", message="m")
        await self.helper.kick_delivery()
        self.assertEqual(len(self.helper.get_dispatched_statuses()), 1)
