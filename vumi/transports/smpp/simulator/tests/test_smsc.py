"""The simulated SMSC, as an ESME sees it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from vumi.transports.smpp.constants import CommandStatus, Tag
from vumi.transports.smpp.pdu import (
    CancelSm,
    DataSm,
    EnquireLink,
    PduEncodeError,
    QuerySm,
    SubmitSm,
    Unbind,
    tlv,
)
from vumi.transports.smpp.session import ResponseLost
from vumi.transports.smpp.simulator import SimulatorError
from vumi.transports.smpp.simulator.tests.simulating import Esme, Simulation
from vumi.transports.smpp.text import split
from vumi.transports.smpp.transitions import BindType

PHONE = "+27831234567"


class SmscTestCase(TestCase):
    """Makes simulations, and ends them."""

    def simulate(self, **script: Any) -> Simulation:
        self.simulation = Simulation(**script)
        self.smsc = self.simulation.smsc

        async def stop() -> None:
            stopping = self.smsc.stop()
            for _ in range(20):
                await self.simulation.advance(0.5)
            await stopping

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return self.simulation


class BindTests(SmscTestCase):
    async def test_who_has_no_account_or_the_wrong_password_is_refused(self) -> None:
        simulation = self.simulate(accounts={"me": "pw", "you": "other"})
        await simulation.esme()
        await simulation.esme(system_id="you", bound=False)
        await simulation.esme(system_id="they", bound=False)
        self.assertEqual([bind["account"] for bind in self.smsc.binds()], ["me"])
        self.assertEqual(
            simulation.named("bind_refused"),
            [
                {"account": "you", "status": "ESME_RINVPASWD"},
                {"account": "they", "status": "ESME_RINVSYSID"},
            ],
        )

    async def test_without_accounts_everybody_may_bind(self) -> None:
        simulation = self.simulate()
        for bind_type in BindType:
            await simulation.esme(bind_type, system_id=bind_type.value)
        self.assertEqual(
            [(bind["account"], bind["state"]) for bind in self.smsc.binds()],
            [("TRX", "BOUND_TRX"), ("TX", "BOUND_TX"), ("RX", "BOUND_RX")],
        )

    async def test_when_it_stops_everybody_is_unbound(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        stopping = self.smsc.stop()
        await simulation.until(lambda: stopping.called)
        self.assertEqual(esme.connection.state, "CLOSED")
        self.assertEqual(self.smsc.binds(), [])


class SubmitTests(SmscTestCase):
    async def test_a_message_is_taken_and_reported_after_its_answer(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        [response] = await self.submitted(esme, registered_delivery=1)
        self.assertEqual((response.status_name, response.message_id), ("ESME_ROK", "2748"))
        await simulation.settle()
        [report] = esme.delivered
        self.assertEqual((report.source_addr, report.destination_addr), (PHONE, "8080"))
        self.assertEqual(report.esm_class, 0x04)
        self.assertEqual(
            report.short_message,
            b"id:2748 sub:001 dlvrd:001 submit date:7001010000 done date:7001010000 stat:DELIVRD "
            b"err:000 text:hello",
        )
        self.assertEqual(report.tlv_text(Tag.receipted_message_id), "2748")
        self.assertEqual(report.tlv_int(Tag.message_state), 2)
        [message] = self.smsc.archive.messages
        told = message.as_json()
        self.assertEqual((told["from"], told["to"], told["text"]), ("8080", PHONE, "hello"))
        self.assertEqual(
            told["parts"],
            [
                {
                    "id": "2748",
                    "part": 1,
                    "status": "ESME_ROK",
                    "answered": True,
                    "reports": [{"state": "DELIVRD", "answer": "ESME_ROK"}],
                }
            ],
        )

    async def submitted(self, esme: Esme, text: str = "hello", **fields: Any) -> list[Any]:
        outcome = esme.submit(text, **fields)
        await self.simulation.settle()
        return outcome

    async def test_forms_of_ids_and_reports(self) -> None:
        cases: list[tuple[dict[str, Any], str, str, bool, bool]] = [
            ({}, "2748", "2748", True, True),
            ({"id_format": "hex_to_decimal"}, "ABC", "2748", True, True),
            ({"id_format": "decimal_to_hex"}, "2748", "ABC", True, True),
            ({"report_form": "text"}, "2748", "2748", True, False),
            ({"report_form": "tlv"}, "2748", "2748", False, True),
        ]
        for script, answered, reported, has_text, has_tlv in cases:
            simulation = self.simulate(**script)
            esme = await simulation.esme()
            [response] = await self.submitted(esme, registered_delivery=1)
            self.assertEqual(response.message_id, answered)
            [report] = esme.delivered
            self.assertEqual(report.short_message.startswith(f"id:{reported} ".encode()), has_text)
            self.assertEqual(
                report.tlv_text(Tag.receipted_message_id), reported if has_tlv else None
            )

    async def test_only_reports_that_are_wanted_are_sent(self) -> None:
        simulation = self.simulate(reports=["delivered", "failed"])
        esme = await simulation.esme()
        for registered, states in ((0, []), (1, [2, 5]), (2, [5]), (16, [])):
            esme.delivered.clear()
            await self.submitted(esme, registered_delivery=registered)
            found = [report.tlv_int(Tag.message_state) for report in esme.delivered]
            self.assertEqual(found, states, registered)

    async def test_reports_come_when_they_are_to(self) -> None:
        simulation = self.simulate(reports=["pending", {"state": "failed", "after": 5}])
        esme = await simulation.esme()
        await self.submitted(esme, registered_delivery=1)
        self.assertEqual(len(esme.delivered), 1)
        await simulation.advance(4.9)
        self.assertEqual(len(esme.delivered), 1)
        await simulation.advance(0.2)
        self.assertIn(b"dlvrd:000", esme.delivered[1].short_message)
        self.assertIn(b"stat:UNDELIV err:001", esme.delivered[1].short_message)

    async def test_a_report_can_overtake_a_slow_answer(self) -> None:
        simulation = self.simulate(delay=2)
        esme = await simulation.esme()
        outcome = await self.submitted(esme, registered_delivery=1)
        self.assertEqual((len(esme.delivered), outcome), (1, []))
        await simulation.advance(2)
        self.assertEqual([response.status_name for response in outcome], ["ESME_ROK"])

    async def test_rules_refuse(self) -> None:
        simulation = self.simulate(
            rules=[{"to": "+2799.*", "refuse": "ESME_RINVDSTADR"}, {"every": 2, "throttle": True}]
        )
        esme = await simulation.esme()
        statuses = []
        for to_addr in ("+27991", PHONE, PHONE, PHONE):
            [response] = await self.submitted(
                esme, destination_addr=to_addr, registered_delivery=1
            )
            statuses.append((response.status_name, response.message_id))
        self.assertEqual(
            statuses,
            [
                ("ESME_RINVDSTADR", ""),
                ("ESME_RTHROTTLED", ""),
                ("ESME_ROK", "2750"),
                ("ESME_RTHROTTLED", ""),
            ],
        )
        self.assertEqual(len(esme.delivered), 1)
        self.assertEqual(len(self.smsc.archive.messages), 4)

    async def test_an_answer_is_lost_though_the_message_is_taken(self) -> None:
        simulation = self.simulate(rules=[{"lose": True}])
        esme = await simulation.esme()
        outcome = await self.submitted(esme, registered_delivery=1)
        self.assertEqual(outcome, [])
        self.assertEqual(len(esme.delivered), 1)
        self.assertFalse(self.smsc.archive.messages[0].submissions[0].answered)

    async def test_the_connection_is_cut(self) -> None:
        simulation = self.simulate(rules=[{"after": 1, "disconnect": True}])
        esme = await simulation.esme()
        [first] = await self.submitted(esme)
        self.assertTrue(first.ok)
        [failure] = await self.submitted(esme)
        self.assertTrue(failure.check(ResponseLost))
        self.assertEqual(esme.connection.state, "CLOSED")

    async def test_a_frozen_smsc_does_nothing_and_then_all(self) -> None:
        simulation = self.simulate(rules=[{"times": 1, "freeze": 10}])
        esme = await simulation.esme()
        outcomes = [esme.submit() for _ in range(2)]
        await simulation.settle()
        self.assertEqual(outcomes, [[], []])
        other = await simulation.esme(bound=False)
        self.assertEqual(other.connection.state, "OPEN")
        await simulation.advance(9)
        self.assertEqual(outcomes, [[], []])
        await simulation.advance(2)
        self.assertEqual([response.ok for [response] in outcomes], [True, True])
        self.assertEqual(other.connection.state, "BOUND_TRX")

    async def test_freezing_again_begins_anew(self) -> None:
        simulation = self.simulate()
        await simulation.esme()
        self.smsc.freeze(5)
        await simulation.advance(4)
        self.smsc.freeze(5)
        await simulation.advance(4)
        self.assertTrue(self.smsc.frozen)
        await simulation.advance(2)
        self.assertFalse(self.smsc.frozen)

    async def test_long_messages_are_put_together(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        text = "a {long} message " * 20
        for mode in ("udh8", "udh16", "sar", "payload"):
            self.smsc.archive.messages.clear()
            # The last part first.
            for segment in reversed(split(text, mode, "auto", reference=7)):
                esme.send(
                    SubmitSm(
                        source_addr="8080",
                        destination_addr=PHONE,
                        short_message=segment.short_message,
                        data_coding=segment.data_coding,
                        esm_class=segment.esm_class,
                        tlvs=segment.tlvs,
                    )
                )
            await simulation.settle()
            self.assertEqual([message.text for message in self.smsc.archive.messages], [text])
        self.assertEqual([about["text"] for about in simulation.named("message")], [text] * 4)

    async def test_texts_in_all_encodings(self) -> None:
        cases = (
            (0, b"5\x02", "5$"),
            (0, b"\x00\x1be", "@€"),
            (3, "grün".encode("latin-1"), "grün"),
            (8, "привет".encode("utf-16-be"), "привет"),
            (8, b"\xd8\xff", "\\xd8\\xff"),
            (2, b"\xff\x00", "ÿ\x00"),
        )
        simulation = self.simulate()
        esme = await simulation.esme()
        for coding, data, text in cases:
            esme.send(SubmitSm(data_coding=coding, short_message=data))
            await simulation.settle()
            self.assertEqual(self.smsc.archive.messages[-1].text, text)
        utf_8 = self.simulate(default_encoding="utf-8")
        esme = await utf_8.esme()
        esme.send(SubmitSm(short_message="привет".encode()))
        await utf_8.settle()
        self.assertEqual(self.smsc.archive.messages[-1].text, "привет")

    async def test_a_broken_header_is_no_header(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        for data in (b"\x09\x00", b"\x05\x00\x03\x01\x02\x09x", b""):
            [response] = await self.submitted(esme, short_message=data, esm_class=0x40)
            self.assertTrue(response.ok)
        self.assertEqual(len(self.smsc.archive.messages), 3)

    async def test_no_more_is_kept_than_asked_for(self) -> None:
        simulation = self.simulate(keep=2)
        esme = await simulation.esme()
        for text in "abc":
            await self.submitted(esme, text)
        self.assertEqual([message.text for message in self.smsc.archive.messages], ["b", "c"])
        self.assertIsNone(self.smsc.archive.find("2748"))

    async def test_other_requests(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        [response] = await self.submitted(esme, registered_delivery=1)
        cases = (
            (DataSm(tlvs=(tlv(Tag.message_payload, b"hi"),)), "ESME_ROK"),
            (QuerySm(message_id=response.message_id), "ESME_ROK"),
            (QuerySm(message_id="other"), "ESME_RQUERYFAIL"),
            (CancelSm(message_id=response.message_id), "ESME_RINVCMDID"),
        )
        for pdu, status in cases:
            outcome = esme.send(pdu)
            await simulation.settle()
            self.assertEqual([answer.status_name for answer in outcome], [status], pdu.name)
        self.assertEqual(self.smsc.archive.messages[-1].text, "hi")

    async def test_everything_that_happens_is_in_the_journal(self) -> None:
        path = Path(tempfile.mkdtemp(dir=self.mktemp_parent())) / "journal"
        simulation = self.simulate(journal=str(path))
        esme = await simulation.esme()
        await self.submitted(esme, registered_delivery=1)
        events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
        self.assertEqual(events, ["bound", "submitted", "message", "answered", "report"])

    def mktemp_parent(self) -> str:
        parent = Path(self.mktemp())
        parent.mkdir(parents=True)
        return str(parent)

    def test_a_journal_that_can_not_be_written_is_told(self) -> None:
        with self.assertRaisesRegex(SimulatorError, "can't be written: No such file"):
            self.simulate(journal="/no/such/folder/journal")


class DeliverTests(SmscTestCase):
    def outcome(self, deferred: Any) -> list[Any]:
        outcome: list[Any] = []
        _ = deferred.addBoth(outcome.append)
        return outcome

    async def test_a_message_from_a_phone(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        esme.answer = CommandStatus.ESME_RDELIVERYFAILURE
        outcome = self.outcome(self.smsc.send_from_phone(PHONE, "8080", "molo {€}"))
        await simulation.settle()
        [pdu] = esme.delivered
        self.assertEqual(
            (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi), (PHONE, 1, 1)
        )
        self.assertEqual((pdu.destination_addr, pdu.dest_addr_ton), ("8080", 0))
        self.assertEqual((pdu.data_coding, pdu.short_message), (0, b"molo \x1b(\x1be\x1b)"))
        self.assertEqual(outcome, [["ESME_RDELIVERYFAILURE"]])

    async def test_a_long_message_from_a_phone_is_sent_in_parts(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        for mode, parts in (("udh8", 3), ("udh16", 3), ("sar", 3), ("payload", 1)):
            esme.delivered.clear()
            outcome = self.outcome(
                self.smsc.send_from_phone(PHONE, "8080", "привет" * 30, mode=mode)
            )
            await simulation.settle()
            self.assertEqual([pdu.data_coding for pdu in esme.delivered], [8] * parts, mode)
            self.assertEqual(outcome, [["ESME_ROK"] * parts])

    async def test_what_the_esme_can_not_take_now_comes_again(self) -> None:
        simulation = self.simulate(retry_delay=3)
        esme = await simulation.esme()
        esme.answer = CommandStatus.ESME_RX_T_APPN
        outcome = self.outcome(self.smsc.send_from_phone(PHONE, "8080", "hello"))
        await simulation.settle()
        esme.answer = None
        self.assertEqual((len(esme.delivered), outcome), (1, []))
        self.assertEqual(self.smsc.undelivered, 1)
        await simulation.advance(3.1)
        self.assertEqual((len(esme.delivered), outcome), (2, [["ESME_ROK"]]))
        self.assertEqual(self.smsc.undelivered, 0)

    async def test_what_was_not_answered_comes_again_in_order(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        esme.answer = Deferred()
        for number in range(3):
            _ = self.smsc.send_from_phone(PHONE, "8080", str(number))
        await simulation.settle()
        self.smsc.disconnect()
        await simulation.until(lambda: not self.smsc.bound)
        self.assertEqual(self.smsc.undelivered, 3)
        again = await simulation.esme()
        self.assertEqual([pdu.short_message for pdu in again.delivered], [b"0", b"1", b"2"])

    async def test_what_has_no_answer_in_time_comes_again(self) -> None:
        simulation = self.simulate(response_timeout=5)
        esme = await simulation.esme()
        esme.answer = Deferred()
        outcome = self.outcome(self.smsc.send_from_phone(PHONE, "8080", "hello"))
        await simulation.settle()
        esme.answer = None
        await simulation.advance(5.1)
        self.assertEqual((len(esme.delivered), outcome), (2, [["ESME_ROK"]]))

    async def test_no_more_is_sent_than_the_window_holds(self) -> None:
        simulation = self.simulate(window_size=2)
        esme = await simulation.esme()
        answers: list[Deferred[None]] = [Deferred() for _ in range(5)]
        esme.answers = iter(answers)
        for number in range(5):
            _ = self.smsc.send_from_phone(PHONE, "8080", str(number))
        await simulation.settle()
        self.assertEqual(len(esme.delivered), 2)
        answers[0].callback(None)
        await simulation.settle()
        self.assertEqual(len(esme.delivered), 3)

    async def test_messages_go_to_their_account_and_reports_to_who_has_sent(self) -> None:
        simulation = self.simulate()
        transmitter = await simulation.esme(BindType.TX, system_id="me")
        other = await simulation.esme(system_id="you")
        receiver = await simulation.esme(BindType.RX, system_id="me")
        _ = self.smsc.send_from_phone(PHONE, "8080", "hello", account="you")
        _ = self.smsc.send_from_phone(PHONE, "8080", "hello", account="they")
        transmitter.submit(registered_delivery=1)
        await simulation.settle()
        counts = [len(esme.delivered) for esme in (transmitter, other, receiver)]
        self.assertEqual(counts, [0, 1, 1])
        self.assertEqual(self.smsc.undelivered, 1)
        late = await simulation.esme(system_id="they")
        self.assertEqual(len(late.delivered), 1)

    async def test_a_report_by_hand(self) -> None:
        simulation = self.simulate(reports=[])
        esme = await simulation.esme()
        esme.submit(registered_delivery=1)
        await simulation.settle()
        self.smsc.report("2748", "REJECTD")
        await simulation.settle()
        self.assertIn(b"stat:REJECTD", esme.delivered[0].short_message)
        for message_id, state in (("none", "delivered"), ("2748", "none")):
            with self.assertRaises(SimulatorError):
                self.smsc.report(message_id, state)

    async def test_what_can_not_be_sent_is_told_at_once(self) -> None:
        self.simulate()
        with self.assertRaises(PduEncodeError):
            await self.smsc.send_from_phone("x" * 30, "8080", "hello")
        self.assertEqual(self.smsc.undelivered, 0)

    async def test_links_are_answered_and_who_unbinds_is_gone(self) -> None:
        simulation = self.simulate()
        esme = await simulation.esme()
        esme.connection.transport.write(EnquireLink(sequence_number=77).encode())
        esme.connection.transport.write(Unbind(sequence_number=78).encode())
        await simulation.until(lambda: not self.smsc.bound)
        self.assertEqual([about["why"] for about in simulation.named("unbound")], ["unbind comes"])
