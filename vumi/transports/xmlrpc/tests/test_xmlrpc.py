"""An XML-RPC transport answers each call with the reply to its message, or with a fault."""

from __future__ import annotations

import xmlrpc.client
from typing import Any, ClassVar

from vumi.transports.httprpc.tests.clients import Client, HttpTestCase
from vumi.transports.xmlrpc import Fault, XmlRpcTransport


class MenuTransport(XmlRpcTransport):
    """A USSD gateway with three methods."""

    transport_type = "ussd"
    METHODS: ClassVar = {
        "USSD.INPUT": "user_input",
        "USSD.LATER": "user_input_later",
        "USSD.PING": "ping",
    }

    def user_input(self, call: Any) -> Any:
        struct = call.struct("msisdn", "code")
        if struct["code"] == "bad":
            raise Fault(17, "bad code")
        return {
            "from_addr": struct["msisdn"],
            "to_addr": struct["code"],
            "content": struct.get("text"),
            "session_event": "resume",
        }

    async def user_input_later(self, call: Any) -> Any:
        return self.user_input(call)

    def ping(self, call: Any) -> Any:
        return self.result([call.method, *call.parameters])

    def make_result(self, message: Any, held: Any) -> Any:
        return {"text": message["content"], "end": message["session_event"] == "close"}


class XmlRpcTests(HttpTestCase):
    transport_class = MenuTransport

    def call(self, method: str, *parameters: Any) -> Client:
        body = xmlrpc.client.dumps(parameters, method, allow_none=True).encode()
        return self.client().send("/ussd", "POST", body, {"Content-Type": "text/xml"})

    def result(self, client: Client) -> Any:
        response = client.response
        self.assertEqual(response.code, 200)
        self.assertEqual(response.headers["Content-Type"], "text/xml; charset=utf-8")
        try:
            [value], _ = xmlrpc.client.loads(response.body)
        except xmlrpc.client.Fault as fault:
            return fault.faultCode, fault.faultString
        return value

    async def test_a_call_is_answered_with_the_reply_to_its_message(self) -> None:
        await self.start()
        struct = {"msisdn": "+27831", "code": "*120#", "text": "hé"}
        for number, method in enumerate(["USSD.INPUT", "USSD.LATER"], 1):
            client = self.call(method, struct)
            message = (await self.helper.wait_for_dispatched_inbound(number))[-1]
            self.assertEqual(
                [message[name] for name in ("from_addr", "to_addr", "content")],
                ["+27831", "*120#", "hé"],
            )
            assert not client.is_answered
            await self.reply(message, "bye <&> ü", continue_session=False)
            self.assertEqual(self.result(client), {"text": "bye <&> ü", "end": True})
        self.assertEqual(self.events(), [("ack", None)] * 2)

    async def test_a_call_can_be_answered_at_once(self) -> None:
        await self.start()
        self.assertEqual(self.result(self.call("USSD.PING", 1, "x")), ["USSD.PING", 1, "x"])

    async def test_what_is_wrong_is_a_fault(self) -> None:
        await self.start()
        struct = {"msisdn": "1", "code": "bad"}
        for client, fault in [
            (self.call("USSD.INPUT", struct), (17, "bad code")),
            (self.call("USSD.LATER", struct), (17, "bad code")),
            (self.call("USSD.INPUT", {"msisdn": "1"}), (8002, "missing members: code")),
            (self.call("USSD.INPUT", "x"), (8002, "one struct is expected")),
            (self.call("USSD.INPUT"), (8002, "one struct is expected")),
            (self.call("system.exit"), (8001, "procedure system.exit not found")),
            (self.client().send("/ussd", "POST", b"<x"), (8002, "no XML-RPC: ExpatError")),
            (self.client().send("/ussd"), (8002, "no XML-RPC: ExpatError")),
        ]:
            self.assertEqual(self.result(client), fault)
        self.assertEqual(self.helper.get_dispatched_inbound(), [])

    async def test_an_error_of_ours_is_a_fault_at_once(self) -> None:
        class Broken(MenuTransport):
            def ping(self, call: Any) -> Any:
                raise KeyError("secret")

        await self.start(Broken)
        self.assertEqual(self.result(self.call("USSD.PING")), (8002, "error"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    async def test_a_call_that_waits_too_long_gets_a_fault(self) -> None:
        await self.start(request_timeout=10)
        client = self.call("USSD.INPUT", {"msisdn": "1", "code": "2"})
        await self.only_message()
        self.clock.pump([5, 5, 5])
        self.assertEqual(self.result(client), (8002, "error"))

    async def test_a_result_may_take_its_time(self) -> None:
        class Slow(MenuTransport):
            async def make_result(self, message: Any, held: Any) -> Any:
                return held.to_addr

        await self.start(Slow)
        client = self.call("USSD.INPUT", {"msisdn": "1", "code": "*2#"})
        await self.reply(await self.only_message())
        self.assertEqual(self.result(client), "*2#")

    async def test_the_result_is_the_text_unless_said_otherwise(self) -> None:
        class Plain(MenuTransport):
            make_result = XmlRpcTransport.make_result

        await self.start(Plain)
        client = self.call("USSD.INPUT", {"msisdn": "1", "code": "2"})
        await self.reply(await self.only_message(), "hello")
        self.assertEqual(self.result(client), "hello")
