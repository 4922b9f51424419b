"""The simulator over HTTP."""

from __future__ import annotations

import json
from typing import Any

from treq.testing import StubTreq

from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.simulator.control import Control
from vumi.transports.smpp.simulator.tests.test_smsc import PHONE, SmscTestCase
from vumi.transports.smpp.transitions import BindType

MO = {"from": PHONE, "to": "8080", "text": "hello"}


class ControlTests(SmscTestCase):
    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask; gives the status, and what is in the body."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        response = self.stub.request(method, f"http://127.0.0.1/{path}", data=data)
        for _ in range(3):
            await self.simulation.settle()
            self.stub.flush()
        answer = await response
        text = await answer.text()
        if answer.headers.getRawHeaders("content-type") == ["text/plain; charset=utf-8"]:
            return answer.code, text
        return answer.code, json.loads(text)

    def open(self, **script: Any) -> None:
        self.simulate(**script)
        self.stub: Any = StubTreq(Control(self.smsc))

    async def test_the_front_page_tells_what_there_is(self) -> None:
        self.open()
        status, text = await self.ask("GET", "")
        self.assertEqual(status, 200)
        for path in ("/mo", "/messages", "/rules"):
            self.assertIn(path, text)

    async def test_what_was_received_can_be_looked_at_and_forgotten(self) -> None:
        self.open()
        esme = await self.simulation.esme()
        for text in ("a", "b", "c"):
            esme.submit(text, destination_addr=f"+27{text}")
        await self.simulation.settle()
        for query, texts in (
            ("", ["a", "b", "c"]),
            ("?limit=2", ["b", "c"]),
            ("?limit=0", []),
            ("?to=%2B27a", ["a"]),
            ("?from=8080&text=b", ["b"]),
            ("?from=none", []),
        ):
            status, messages = await self.ask("GET", f"messages{query}")
            self.assertEqual((status, [m["text"] for m in messages]), (200, texts), query)
        self.assertEqual(await self.ask("DELETE", "messages"), (200, {}))
        self.assertEqual(await self.ask("GET", "messages"), (200, []))

    async def test_a_message_from_a_phone_has_its_answer(self) -> None:
        self.open()
        esme = await self.simulation.esme()
        tlvs = {"ussd_service_op": 1, "0x1400": "hi", "its_session_info": 0x100}
        self.assertEqual(
            await self.ask("POST", "mo", {**MO, "tlvs": tlvs}), (200, {"statuses": ["ESME_ROK"]})
        )
        [pdu] = esme.delivered
        self.assertEqual(pdu.short_message, b"hello")
        self.assertEqual(pdu.tlv(Tag.ussd_service_op), b"\x01")
        self.assertEqual(pdu.tlv(0x1400), b"hi")
        self.assertEqual(pdu.tlv(Tag.its_session_info), b"\x01\x00")

    async def test_parts_are_sent_as_asked_for(self) -> None:
        self.open()
        await self.simulation.esme()
        for split, parts in (("sar", 2), ("payload", 1)):
            _, answer = await self.ask("POST", "mo", {**MO, "text": "x" * 200, "split": split})
            self.assertEqual(answer, {"statuses": ["ESME_ROK"] * parts})

    async def test_nobody_waits_longer_than_asked_for(self) -> None:
        self.open()
        await self.simulation.esme(BindType.TX)
        self.assertEqual(await self.ask("POST", "mo", {**MO, "wait": 0}), (200, {"statuses": []}))
        asking = self.stub.request(
            "POST", "http://127.0.0.1/mo", data=json.dumps({**MO, "wait": 2}).encode()
        )
        await self.simulation.advance(2.1)
        self.stub.flush()
        self.assertEqual((await asking).code, 504)
        # They are sent all the same, once somebody can take them.
        esme = await self.simulation.esme()
        self.assertEqual(len(esme.delivered), 2)

    async def test_one_without_a_bind_waits_for_its_account(self) -> None:
        self.open()
        status, answer = await self.ask("POST", "mo", MO)
        self.assertEqual(status, 400)
        self.assertIn("Nobody is bound", answer["error"])
        await self.ask("POST", "mo", {**MO, "account": "me", "wait": 0})
        esme = await self.simulation.esme()
        self.assertEqual(len(esme.delivered), 1)

    async def test_whoever_hangs_up_is_not_answered(self) -> None:
        self.open()
        await self.simulation.esme(BindType.TX)
        asking = self.stub.request(
            "POST", "http://127.0.0.1/mo", data=json.dumps({**MO, "wait": 2}).encode()
        )
        asking.cancel()
        self.stub.flush()
        await self.simulation.advance(2.1)
        await self.assertFailure(asking, Exception)

    async def test_it_can_be_told_to_behave_otherwise(self) -> None:
        self.open()
        esme = await self.simulation.esme()
        rules = [{"refuse": "ESME_RSYSERR"}]
        self.assertEqual(await self.ask("PUT", "rules", rules), (200, {}))
        outcome = esme.submit(registered_delivery=1)
        await self.simulation.settle()
        self.assertEqual([response.status_name for response in outcome], ["ESME_RSYSERR"])

    async def test_a_report_can_be_asked_for(self) -> None:
        self.open(reports=[])
        esme = await self.simulation.esme()
        esme.submit()
        await self.simulation.settle()
        asked = await self.ask("POST", "report", {"id": "2748", "state": "failed"})
        self.assertEqual(asked, (200, {}))
        self.assertIn(b"stat:UNDELIV", esme.delivered[0].short_message)

    async def test_binds_are_told_and_cut_and_frozen(self) -> None:
        self.open()
        await self.simulation.esme()
        _, binds = await self.ask("GET", "binds")
        self.assertEqual([bind["account"] for bind in binds], ["me"])
        self.assertEqual(await self.ask("POST", "freeze", {"seconds": 1}), (200, {}))
        self.assertTrue(self.smsc.frozen)
        await self.simulation.advance(1.1)
        self.assertEqual(await self.ask("POST", "disconnect", {"account": "x"}), (200, {"cut": 0}))
        self.assertEqual(await self.ask("POST", "disconnect", {}), (200, {"cut": 1}))
        self.assertEqual(await self.ask("GET", "binds"), (200, []))

    async def test_what_is_not_understood_is_told(self) -> None:
        self.open()
        await self.simulation.esme()
        cases: list[tuple[str, str, Any, int, str]] = [
            ("GET", "nothing", None, 404, "See /"),
            ("GET", "mo", None, 405, "See /"),
            ("POST", "mo", b"{", 400, "The body is no JSON"),
            ("POST", "mo", [], 400, "The body is no JSON object."),
            ("POST", "mo", {"from": "1"}, 400, "What is missing: text, to."),
            ("POST", "mo", {**MO, "cc": 1}, 400, "What is not known: cc."),
            ("POST", "mo", {**MO, "text": 1}, 400, "text is no text."),
            ("POST", "mo", {**MO, "from": "1" * 40}, 400, "source_addr has 40 octets"),
            ("POST", "mo", {**MO, "split": "x"}, 400, "split is none of"),
            ("POST", "mo", {**MO, "wait": "x"}, 400, "wait is no number of seconds."),
            ("POST", "mo", {**MO, "tlvs": []}, 400, "tlvs is no JSON object."),
            ("POST", "mo", {**MO, "tlvs": {"x": 1}}, 400, "no optional parameter 'x'"),
            ("POST", "mo", {**MO, "tlvs": {"5": []}}, 400, "neither a number nor a text"),
            ("POST", "mo", {**MO, "tlvs": {"70000": "x"}}, 400, "optional parameter"),
            ("POST", "report", {"id": 1, "state": "x"}, 400, "There is no message '1'."),
            ("PUT", "rules", [{}], 400, "Rule 1 does nothing"),
            ("POST", "freeze", {"seconds": True}, 400, "seconds is no number"),
            ("GET", "messages?limit=x", None, 400, "limit is no number."),
        ]
        for method, path, body, status, words in cases:
            found, answer = await self.ask(method, path, body)
            self.assertEqual(found, status, (path, body))
            self.assertIn(words, answer["error"], (path, body))

    async def test_a_mistake_of_ours_is_an_answer_too(self) -> None:
        self.open()
        self.patch(self.smsc, "binds", lambda: 1 / 0)
        status, answer = await self.ask("GET", "binds")
        self.assertEqual((status, answer), (500, {"error": "That failed; see the log."}))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
