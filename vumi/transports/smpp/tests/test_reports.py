"""Delivery reports: each finds its message, however it comes and whenever."""

from __future__ import annotations

from typing import Any, ClassVar

from vumi.persist.fake_redis import FakeRedis
from vumi.transports.smpp.constants import CommandStatus as Status
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.pdu import tlv
from vumi.transports.smpp.tests.fake_smsc import SmppTestCase

LONG = "0123456789" * 20


class TestReports(SmppTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.redis = FakeRedis()

    def config(self, **config: Any) -> dict[str, Any]:
        store = {"FAKE_REDIS": self.redis, "key_prefix": "vumi"}
        return super().config(**{"redis_manager": store, **config})

    async def sent(self, message_id: str = "abc", **fields: Any) -> str:
        """Send a message that gets an id from the SMSC; gives our id."""
        message = await self.send(**fields)
        self.smsc.answer_next(message_id=message_id)
        await self.settle()
        ours: str = message["message_id"]
        return ours

    async def receipt(self, message_id: str = "abc", stat: str = "DELIVRD") -> int:
        response = await self.get(self.smsc.receipt(message_id, stat))
        status: int = response.command_status
        return status

    def reports(self) -> list[tuple[str, str]]:
        return [event[1:] for event in self.events() if event[0] == "delivery_report"]

    async def test_a_report_by_its_text(self) -> None:
        await self.start()
        ours = await self.sent()
        self.assertEqual(await self.receipt(), Status.ESME_ROK)
        self.assertEqual(self.reports(), [(ours, "delivered")])
        event = self.helper.get_dispatched_events()[-1]
        self.assertEqual(event["transport_metadata"], {"smpp_delivery_status": "DELIVRD"})

    async def test_undeliv_looked_pending_for_ever(self) -> None:
        await self.start()
        ours = await self.sent()
        await self.receipt(stat="UNDELIV")
        self.assertEqual(self.reports(), [(ours, "failed")])

    async def test_a_report_by_its_parameters(self) -> None:
        await self.start()
        ours = await self.sent()
        for state, status, word in ((1, "pending", "ENROUTE"), (5, "failed", "UNDELIVERABLE")):
            tlvs = (tlv(Tag.receipted_message_id, "abc"), tlv(Tag.message_state, state))
            await self.get(self.smsc.deliver(tlvs=tlvs, short_message=b"no report"))
            self.assertEqual(self.reports()[-1], (ours, status))
            event = self.helper.get_dispatched_events()[-1]
            self.assertEqual(event["transport_metadata"], {"smpp_delivery_status": word})
        self.assertEqual(self.inbound(), [])

    async def test_a_mapping_of_ones_own(self) -> None:
        options = {"delivery_report_status_mapping": {"WEIRD": "failed"}}
        await self.start(delivery_report_processor_config=options)
        await self.sent()
        await self.receipt(stat="WEIRD")
        await self.receipt(stat="DELIVRD")
        self.assertEqual([status for _, status in self.reports()], ["failed", "pending"])

    async def test_a_regex_of_ones_own(self) -> None:
        options = {"delivery_report_regex": r"(?P<id>\w+) is (?P<stat>\w+)"}
        await self.start(delivery_report_processor_config=options)
        ours = await self.sent()
        await self.get(self.smsc.deliver(short_message=b"abc is DELIVRD", esm_class=4))
        self.assertEqual(self.reports(), [(ours, "delivered")])

    async def test_what_is_marked_as_a_report_but_is_none_is_taken_and_dropped(self) -> None:
        await self.start()
        response = await self.get(self.smsc.deliver(short_message=b"hello", esm_class=4))
        self.assertEqual(response.command_status, Status.ESME_ROK)
        self.assertEqual((self.inbound(), self.events()), ([], []))

    async def test_a_text_is_no_report_if_the_esm_class_does_not_say_so(self) -> None:
        await self.start()
        await self.sent()
        await self.get(self.smsc.deliver(short_message=b"id:abc stat:DELIVRD text:"))
        self.assertEqual((len(self.inbound()), self.reports()), (1, []))

    async def test_a_text_is_a_report_without_esm_class_if_configured_so(self) -> None:
        await self.start(delivery_report_processor_config={"delivery_report_use_esm_class": False})
        ours = await self.sent()
        await self.get(self.smsc.deliver(short_message=b"id:abc stat:DELIVRD text:"))
        await self.get(self.smsc.deliver(short_message=b"no report"))
        self.assertEqual((len(self.inbound()), self.reports()), (1, [(ours, "delivered")]))

    async def test_a_report_in_parts(self) -> None:
        await self.start(delivery_report_processor_config={"delivery_report_use_esm_class": False})
        ours = await self.sent()
        for number, text in ((1, b"id:abc st"), (2, b"at:DELIVRD text:")):
            header = bytes((5, 0, 3, 1, 2, number))
            await self.get(self.smsc.deliver(short_message=header + text, esm_class=0x40))
        self.assertEqual((self.inbound(), self.reports()), ([], [(ours, "delivered")]))

    async def test_reports_can_be_left_out(self) -> None:
        await self.start(disable_delivery_report=True)
        await self.sent()
        self.assertEqual(await self.receipt(), Status.ESME_ROK)
        self.assertEqual(self.reports(), [])

    # Finding the message

    async def test_a_report_that_overtakes_the_answer(self) -> None:
        await self.start()
        message = await self.send()
        self.assertEqual(await self.receipt("fast"), Status.ESME_ROK)
        self.assertEqual(self.events(), [])
        self.smsc.answer_next(message_id="fast")
        await self.settle()
        ours = message["message_id"]
        self.assertEqual(
            self.events(), [("ack", ours, "fast"), ("delivery_report", ours, "delivered")]
        )

    async def test_a_report_was_lost_that_came_before_the_answer_and_a_crash(self) -> None:
        await self.start()
        message = await self.send()
        await self.receipt("fast")
        self.smsc.answer_next(message_id="fast")
        await self.settle()
        told = len(self.events())
        # The broker delivers again what a killed process had recorded, and may not have told.
        self.helper.dispatch_outbound(message)
        await self.settle()
        ours = message["message_id"]
        self.assertEqual(
            self.events()[told:], [("ack", ours, "fast"), ("delivery_report", ours, "delivered")]
        )

    async def test_an_early_report_is_kept_for_a_while_only(self) -> None:
        await self.start(early_report_expiry=30)
        await self.send()
        await self.receipt("fast")
        self.redis.clock.advance(31)
        self.smsc.answer_next(message_id="fast")
        await self.settle()
        self.assertEqual(self.reports(), [])

    async def test_a_report_of_nobodys_message_is_taken(self) -> None:
        await self.start(delivery_report_unknown="drop")
        self.assertEqual(await self.receipt("nobody"), Status.ESME_ROK)
        self.assertEqual(self.events(), [])
        self.assertEqual([key for key in self.redis.keys("*") if "early" in key], [])

    async def test_a_report_of_nobodys_message_can_be_refused(self) -> None:
        await self.start(delivery_report_unknown="refuse")
        self.assertEqual(await self.receipt("nobody"), Status.ESME_RX_T_APPN)

    async def test_ids_that_the_old_vumi_has_stored_are_found(self) -> None:
        await self.start()
        self.redis.set("vumi:me@sphex:remote_message:old-id", "our-old-id")
        await self.receipt("old-id")
        self.assertEqual(self.reports(), [("our-old-id", "delivered")])

    async def test_ids_are_stored_as_the_old_vumi_did(self) -> None:
        await self.start(third_party_id_expiry=1000, final_dr_third_party_id_expiry=10)
        ours = await self.sent()
        key = "vumi:me@sphex:remote_message:abc"
        self.assertEqual(self.redis.get(key), ours)
        self.assertTrue(10 < self.redis.ttl(key) <= 1000)
        await self.receipt(stat="ENROUTE")
        self.assertTrue(10 < self.redis.ttl(key) <= 1000)
        await self.receipt()
        self.assertTrue(0 < self.redis.ttl(key) <= 10)

    async def test_a_receiver_finds_what_a_transmitter_has_sent(self) -> None:
        await self.start(split_bind_prefix="pair", transport_name="sphex")
        ours = await self.sent()
        self.assertEqual(self.redis.get("vumi:pair:remote_message:abc"), ours)

    async def test_ids_in_hexadecimal_and_decimal(self) -> None:
        await self.start(remote_id_format="hex_to_decimal")
        ours = await self.sent("3B9ACA00")
        self.assertEqual(self.events(), [("ack", ours, "3B9ACA00")])
        await self.receipt("1000000000")
        self.assertEqual(self.reports(), [(ours, "delivered")])

    async def test_a_store_that_is_away_has_the_report_come_again(self) -> None:
        transport = await self.start()
        stash = transport.message_stash
        stash._resolve_script = stash.redis.script("return error('away')")
        self.assertEqual(await self.receipt(), Status.ESME_RX_T_APPN)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    # Several parts

    async def send_parts(self) -> str:
        message = await self.send(LONG)
        for message_id in ("p1", "p2"):
            self.smsc.answer_next(message_id=message_id)
        await self.settle()
        ours: str = message["message_id"]
        return ours

    PARTS: ClassVar[Any] = {"submit_short_message_processor_config": {"send_multipart_udh": True}}

    async def test_each_part_has_a_report(self) -> None:
        await self.start(**self.PARTS)
        ours = await self.send_parts()
        await self.receipt("p1")
        await self.receipt("p2", "EXPIRED")
        self.assertEqual(self.reports(), [(ours, "delivered"), (ours, "failed")])

    async def test_reports_of_parts_can_be_one(self) -> None:
        await self.start(aggregate_delivery_reports=True, **self.PARTS)
        ours = await self.send_parts()
        await self.receipt("p1", "ENROUTE")
        await self.receipt("p1", "EXPIRED")
        self.assertEqual(self.reports(), [])
        await self.receipt("p2")
        self.assertEqual(self.reports(), [(ours, "failed")])

    async def test_of_a_short_message_the_report_is_told_at_once(self) -> None:
        await self.start(aggregate_delivery_reports=True, **self.PARTS)
        ours = await self.sent()
        await self.receipt(stat="ENROUTE")
        await self.receipt()
        self.assertEqual(self.reports(), [(ours, "pending"), (ours, "delivered")])

    async def test_what_is_stored_of_parts(self) -> None:
        await self.start(completed_multipart_info_expiry=100, **self.PARTS)
        ours = await self.send_parts()
        key = f"vumi:me@sphex:multipart_info:{ours}"
        self.assertEqual(
            self.redis.hgetall(key), {"parts": "2", "part:p1": "ack", "part:p2": "ack"}
        )
        self.assertTrue(0 < self.redis.ttl(key) <= 100)

    async def test_everything_expires(self) -> None:
        await self.start(**self.PARTS)
        await self.send_parts()
        await self.receipt("unknown")
        lasting = [key for key in self.redis.keys("*") if self.redis.ttl(key) is None]
        self.assertEqual(
            {key.rpartition(":")[2] for key in lasting},
            {"smpp_last_sequence_number", "smpp_last_message_reference"},
        )

    # Storms of reports that nobody knows

    def early_keys(self) -> list[str]:
        return [key for key in self.redis.keys("*") if "early_report:" in key]

    async def test_reports_of_unknown_messages_grew_without_bound(self) -> None:
        await self.start(early_report_limit=20)
        for number in range(100):
            await self.receipt(f"nobody-{number}")
        self.assertEqual(len(self.early_keys()), 20)
        self.assertTrue(all(self.redis.ttl(key) for key in self.redis.keys("*early*")))

    async def test_reports_of_one_unknown_message_grew_and_renewed_their_expiry(self) -> None:
        await self.start(early_report_expiry=30)
        for _ in range(25):
            await self.receipt("nobody")
            self.redis.clock.advance(1)
        (key,) = self.early_keys()
        self.assertEqual(self.redis.llen(key), 10)
        self.assertTrue(0 < self.redis.ttl(key) <= 5)

    async def test_final_reports_did_renew_the_expiry_of_an_id(self) -> None:
        await self.start(final_dr_third_party_id_expiry=10)
        await self.sent()
        for _ in range(5):
            await self.receipt()
            self.redis.clock.advance(3)
        self.assertIsNone(self.redis.get("vumi:me@sphex:remote_message:abc"))
