"""What SMSCs send that no specification has, or that few clients understand: all of it is taken.

The page ``docs/transports/smpp.rst`` has the same in a table.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import capturedLogs

from vumi.persist.fake_redis import FakeRedis
from vumi.transports.smpp.constants import CommandStatus as Status
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.pdu import HEADER_LENGTH, DataSm, DeliverSm, tlv
from vumi.transports.smpp.tests.fake_smsc import SmppTestCase

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (
    "id:M1 sub:001 dlvrd:001 submit date:2404011200 done date:2404011201 stat:DELIVRD err:000 "
    "text:hi"
)


@contextmanager
def logged(name: str) -> Iterator[list[Any]]:
    """The log events of a name, once the block is over."""
    events: list[Any] = []
    with capturedLogs() as captured:
        yield events
    events += [event for event in captured if event.get("event") == name]


def with_state(word: str) -> str:
    return TEXT.replace("DELIVRD", word)


class VendorTestCase(SmppTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.redis = FakeRedis()

    def config(self, **config: Any) -> dict[str, Any]:
        return super().config(**{"redis_manager": {"FAKE_REDIS": self.redis}, **config})

    async def deliver(self, pdu: Any = None, **fields: Any) -> None:
        response = await self.get(self.smsc.deliver(pdu, **fields))
        self.assertEqual(response.command_status, Status.ESME_ROK)

    async def deliver_octets(self, tail: bytes, **fields: Any) -> None:
        """Send a deliver_sm with octets behind what it should have."""
        made = DeliverSm(source_addr="+27", destination_addr="9292", sequence_number=77, **fields)
        data = made.encode() + tail
        (connection,) = self.smsc.connections
        connection.write(len(data).to_bytes(4, "big") + data[4:])
        await self.settle()

    def texts(self) -> list[str | None]:
        return [message["content"] for message in self.inbound()]


class TestReports(VendorTestCase):
    async def sent(self) -> str:
        message = await self.send()
        self.smsc.answer_next(message_id="M1")
        await self.settle()
        ours: str = message["message_id"]
        return ours

    def reports(self) -> list[tuple[str, str]]:
        return [
            (event["delivery_status"], event["transport_metadata"]["smpp_delivery_status"])
            for event in self.helper.get_dispatched_events()
            if event["event_type"] == "delivery_report"
        ]

    async def report(self, text: str | bytes = "", *tlvs: Any, **fields: Any) -> Any:
        """What is told of a report."""
        payload = text.encode("latin-1") if isinstance(text, str) else text
        told = len(self.reports())
        await self.deliver(**{"esm_class": 4, "short_message": payload, "tlvs": tlvs, **fields})
        new = self.reports()[told:]
        return new[0] if len(new) == 1 else new

    async def test_a_message_state_that_is_none_was_looked_up_among_the_words(self) -> None:
        await self.start()
        await self.sent()
        m1 = tlv(Tag.receipted_message_id, "M1")
        for state, text, expected in (
            (0, with_state("UNDELIV"), ("failed", "UNDELIV")),
            (0, "", ("pending", "0")),
            (9, "", ("pending", "9")),
            (9, with_state("EXPIRED"), ("failed", "EXPIRED")),
            (255, "no report", ("pending", "255")),
            (2, with_state("UNDELIV"), ("delivered", "DELIVERED")),
            (5, TEXT, ("failed", "UNDELIVERABLE")),
        ):
            got = await self.report(text, m1, tlv(Tag.message_state, state))
            self.assertEqual(got, expected, (state, text))

    async def test_words_were_cut_after_seven_letters(self) -> None:
        await self.start()
        await self.sent()
        for word, status in (
            ("DELIVERED", "delivered"),
            ("delivrd", "delivered"),
            ("Delivered", "delivered"),
            ("DELIVER", "delivered"),
            ("REJECTED", "failed"),
            ("rejectd", "failed"),
            ("UNDELIVERABLE", "failed"),
            ("UNDELIVERED", "failed"),
            ("Undeliv", "failed"),
            ("EXPIRED", "failed"),
            ("DELETED", "failed"),
            ("ENROUTE", "pending"),
            ("EN_ROUTE", "pending"),
            ("Accepted", "delivered"),
            ("ACCEPTD", "pending"),
            ("UNKNOWN", "pending"),
            ("DELIVERY_FAILED", "pending"),
            ("SKIPPED", "pending"),
        ):
            self.assertEqual(await self.report(with_state(word)), (status, word), word)

    async def test_a_regex_of_ones_own_cuts_no_words_either(self) -> None:
        old = r"id:(?P<id>\S{,65}) .*stat:(?P<stat>[A-Z]{5,7}) .*"
        lenient = r"id:(?P<id>\S{,65}) .*stat:(?P<stat>[A-Z]{5,7})"
        for regex in (old, lenient):
            transport = await self.start(
                delivery_report_processor_config={"delivery_report_regex": regex}
            )
            await self.sent()
            self.assertEqual(
                await self.report(with_state("DELIVERED")), ("delivered", "DELIVERED")
            )
            self.assertEqual(await self.report(with_state("rejected")), ("failed", "rejected"))
            await self.get(transport.stopWorker())

    async def test_a_mapping_of_ones_own_knows_both_forms(self) -> None:
        mapping = {"DELIVRD": "pending", "REJECTED": "delivered"}
        await self.start(
            delivery_report_processor_config={"delivery_report_status_mapping": mapping}
        )
        await self.sent()
        self.assertEqual(await self.report(with_state("DELIVERED")), ("pending", "DELIVERED"))
        self.assertEqual(await self.report(with_state("REJECTD")), ("delivered", "REJECTD"))

    async def test_an_unknown_word_is_logged_once(self) -> None:
        await self.start()
        await self.sent()
        with logged("smpp-report-word-unknown") as events:
            for word in ("WEIRD", "WEIRD", "ODD"):
                self.assertEqual(await self.report(with_state(word)), ("pending", word))
        self.assertEqual([event["word"] for event in events], ["WEIRD", "ODD"])

    FORMS: ClassVar = [
        "id:M1 sub:001 dlvrd:001 submit date:240401120003912+ done date:240401120003912+ "
        "stat:DELIVRD err:000 text:",
        "id:M1 dlvrd:001 sub:001 submit date:2404011200 done date:2404011201 stat:DELIVRD",
        "id:M1\tsub:001\tdlvrd:001\tstat:DELIVRD\terr:000",
        "stat:DELIVRD id:M1",
        "id:M1 stat:DELIVRD",
        "ID:M1 STAT:DELIVRD",
        "Id: M1 Sub: 001 Stat: DELIVRD",
        "id=M1, sub=001, stat=DELIVRD, err=0",
        "id:M1;sub:001;stat:DELIVRD;",
        "id:M1\r\nstat:DELIVRD\r\n",
        'id:"M1" stat:"DELIVRD"',
        "id:M1 submit date:2024-04-01 12:00:03 done date:2024-04-01 12:00:05 stat:DELIVRD",
        "submit date:2404011200 done date:2404011201 stat:DELIVRD err:000 id:M1 text:x",
        "id:M1 sub: dlvrd: submit date: done date: stat:DELIVRD err: text:",
        "message id:M1 status:DELIVRD",
        "msgid:M1|state:DELIVRD",
        "id:M1 stat:DELIVRD text:id:M2 stat:UNDELIV",
        "text:hi id:M1 stat:DELIVRD",
        "id:M1 stat:DELIVRD err:000 Text:\x00\xff",
    ]

    async def test_reports_in_other_forms_were_answered_and_forgotten(self) -> None:
        await self.start()
        await self.sent()
        for form in self.FORMS:
            self.assertEqual(await self.report(form), ("delivered", "DELIVRD"), form)
        self.assertEqual(self.helper.get_dispatched_failures(), [])

    async def test_other_forms_are_understood_without_esm_class_too(self) -> None:
        await self.start(delivery_report_processor_config={"delivery_report_use_esm_class": False})
        await self.sent()
        for form in self.FORMS:
            for coding in (0, 3):
                got = await self.report(form, esm_class=0, data_coding=coding)
                self.assertEqual(got, ("delivered", "DELIVRD"), form)
        for text in ("my id: is M1", "the stat: DELIVRD", "id:M1", "hello"):
            await self.deliver(short_message=text.encode())
        self.assertEqual(len(self.inbound()), 4)

    async def test_what_can_not_be_read_vanished(self) -> None:
        transport = await self.start()
        unreadable: list[dict[str, Any]] = [
            {"short_message": b"hello"},
            {"short_message": b"id:M1 sub:001"},
            {"short_message": b""},
            {"short_message": b"id:" + b"1" * 100 + b" stat:DELIVRD"},
            {"short_message": b"\xff\x00", "esm_class": 0x20},
            {"short_message": b"x", "tlvs": (tlv(Tag.message_state, 2),)},
            {"short_message": b"binary", "data_coding": 4},
        ]
        for number, fields in enumerate(unreadable, 1):
            with logged("smpp-report-not-understood") as events:
                await self.deliver(**{"esm_class": 4, **fields})
            self.assertEqual([event["count"] for event in events], [number])
            failure = self.helper.get_dispatched_failures()[-1]
            self.assertEqual(failure["message"]["content"], events[0]["text"])
            self.assertEqual(failure["reason"], "This delivery report is not understood.")
        self.assertEqual((transport.unreadable_reports, self.inbound()), (7, []))

    async def test_an_acknowledgement_by_a_phone_is_a_message(self) -> None:
        await self.start()
        for esm_class in (0x08, 0x10, 0x18):
            await self.deliver(short_message=b"thanks", esm_class=esm_class)
        self.assertEqual(self.texts(), ["thanks"] * 3)

    async def test_a_report_in_ucs2_was_lost(self) -> None:
        await self.start()
        await self.sent()
        expected = ("failed", "UNDELIV")
        text = with_state("UNDELIV")
        forms: list[dict[str, Any]] = [
            {
                "data_coding": 8,
                "short_message": b"\xfe\xff" + "id:M1 stat:UNDELIV".encode("utf-16-be"),
            },
            {
                "data_coding": 8,
                "short_message": b"",
                "tlvs": (tlv(Tag.message_payload, text.encode("utf-16-be")),),
            },
            # With the wrong data coding.
            {"data_coding": 0, "short_message": "id:M1 stat:UNDELIV".encode("utf-16-be")},
            {"data_coding": 8, "short_message": text.encode()},
            {"data_coding": 4, "short_message": text.encode()},
            {"data_coding": 0xC8, "short_message": text.encode()},
            # With a header.
            {"esm_class": 0x44, "short_message": b"\x03\x24\x01\x01" + text.encode()},
        ]
        for fields in forms:
            self.assertEqual(await self.report(**{"text": b"", **fields}), expected, fields)

    async def test_a_report_in_two_parts_was_lost(self) -> None:
        await self.start()
        await self.sent()
        data = with_state("UNDELIV").encode("utf-16-be")
        for coding, payload in (
            (0, with_state("UNDELIV").encode()),
            (8, data),
            (4, b"id:M1 stat:UNDELIV"),
        ):
            half = len(payload) // 2 + 1
            for number, octets in ((1, payload[:half]), (2, payload[half:])):
                header = bytes((5, 0, 3, coding + 1, 2, number))
                await self.deliver(
                    short_message=header + octets, esm_class=0x44, data_coding=coding
                )
            self.assertEqual(self.reports()[-1], ("failed", "UNDELIV"), coding)
        for number, octets in ((1, b"id:M1 st"), (2, b"at:EXPIRED")):
            sar = (
                tlv(Tag.sar_msg_ref_num, 9),
                tlv(Tag.sar_total_segments, 2),
                tlv(Tag.sar_segment_seqnum, number),
            )
            await self.deliver(short_message=octets, esm_class=4, tlvs=sar)
        self.assertEqual(self.reports()[-1], ("failed", "EXPIRED"))
        self.assertEqual((len(self.reports()), self.inbound()), (4, []))

    async def test_the_id_of_the_parameter_was_ignored_without_a_state(self) -> None:
        await self.start()
        await self.sent()
        m1 = tlv(Tag.receipted_message_id, "M1")
        other = TEXT.replace("M1", "another")
        self.assertEqual(await self.report(other, m1), ("delivered", "DELIVRD"))
        self.assertEqual(await self.report(other, m1, esm_class=0), ("delivered", "DELIVRD"))
        self.assertEqual(await self.report("stat:EXPIRED", m1), ("failed", "EXPIRED"))
        self.assertEqual(await self.report("", m1), ("pending", "UNKNOWN"))
        state = tlv(Tag.message_state, 8)
        self.assertEqual(await self.report(other, m1, state), ("failed", "REJECTED"))
        empty = tlv(Tag.receipted_message_id, "")
        self.assertEqual(await self.report(TEXT, empty, state), ("failed", "REJECTED"))
        self.assertEqual(await self.report(TEXT, state), ("failed", "REJECTED"))
        pdu = DataSm(source_addr="1", destination_addr="2", esm_class=4, tlvs=(m1, state))
        await self.deliver(pdu)
        self.assertEqual(self.reports()[-1], ("failed", "REJECTED"))

    async def test_a_message_with_the_id_of_another_is_a_message(self) -> None:
        await self.start()
        m1 = tlv(Tag.receipted_message_id, "M1")
        await self.deliver(short_message=b"hello", tlvs=(m1,))
        self.assertEqual(self.texts(), ["hello"])


class TestOctets(VendorTestCase):
    async def test_what_is_wrong_behind_the_mandatory_part_cost_the_message(self) -> None:
        await self.start()
        with logged("smpp-complaint") as complaints:
            for tail in (
                b"\0",
                b"\0\0\0",
                b"\x04\x24\0\x05ab"[:3],
                b"\x02\x04\0\x02\1",
                b"\x14\0\0\x09short",
                b"\0\x02\x04\0\x02\0\1",
            ):
                await self.deliver_octets(tail, short_message=b"hi")
        self.assertEqual(self.texts(), ["hi"] * 6)
        self.assertEqual(
            [c["command"] for c in complaints if c["name"] == "sphex"], ["deliver_sm"]
        )

    async def test_parameters_behind_a_stray_nul_are_read(self) -> None:
        await self.start()
        payload = tlv(Tag.message_payload, b"long text")
        await self.deliver_octets(b"\0\x04\x24\0\x09" + payload[1])
        await self.deliver_octets(b"\x04\x24\0\x0a" + payload[1])
        self.assertEqual(self.texts(), ["long text"] * 2)

    async def test_stray_octets_in_other_requests_are_taken_too(self) -> None:
        await self.start()
        (connection,) = self.smsc.connections
        before = connection.session.in_flight
        for command in (0x15, 0x06):
            header = (HEADER_LENGTH + 1).to_bytes(4, "big") + command.to_bytes(4, "big")
            connection.write(header + bytes(4) + (99).to_bytes(4, "big") + b"\0")
        await self.settle()
        self.assertEqual(before, 0)
        # The unbind was understood: the connection is closed.
        self.assertEqual(self.smsc.connections, [])


SAR_ZEROS = (
    tlv(Tag.sar_msg_ref_num, 0),
    tlv(Tag.sar_total_segments, 0),
    tlv(Tag.sar_segment_seqnum, 0),
)


def sar(number: int, total: int = 2) -> tuple[Any, ...]:
    return (
        tlv(Tag.sar_msg_ref_num, 7),
        tlv(Tag.sar_total_segments, total),
        tlv(Tag.sar_segment_seqnum, number),
    )


def udh(number: int, total: int = 2, reference: int = 7) -> bytes:
    return bytes((5, 0, 3, reference, total, number))


class TestPrecedence(VendorTestCase):
    async def parts(self, *pdus: dict[str, Any]) -> list[str | None]:
        for fields in pdus:
            await self.deliver(**fields)
        return self.texts()

    async def test_a_header_beside_sar_parameters_stayed_in_the_text(self) -> None:
        await self.start()
        got = await self.parts(
            *(
                {"short_message": udh(n) + text, "esm_class": 0x40, "tlvs": sar(n)}
                for n, text in ((1, b"a"), (2, b"b"))
            )
        )
        self.assertEqual(got, ["ab"])

    async def test_sar_parameters_of_zeros_hid_the_header(self) -> None:
        await self.start()
        got = await self.parts(
            *(
                {"short_message": udh(n) + text, "esm_class": 0x40, "tlvs": SAR_ZEROS}
                for n, text in ((1, b"a"), (2, b"b"))
            )
        )
        self.assertEqual(got, ["ab"])

    async def test_a_header_of_zeros_hides_no_sar_parameters(self) -> None:
        await self.start()
        zeros = b"\5\0\3\0\0\0"
        got = await self.parts(
            *(
                {"short_message": zeros + text, "esm_class": 0x40, "tlvs": sar(n)}
                for n, text in ((1, b"a"), (2, b"b"))
            )
        )
        self.assertEqual(got, ["ab"])

    async def test_a_header_about_something_else_is_taken_off_a_sar_part(self) -> None:
        await self.start()
        ports = b"\x06\x05\x04\x0b\x84\x23\xf0"
        got = await self.parts(
            *(
                {"short_message": ports + text, "esm_class": 0x40, "tlvs": sar(n)}
                for n, text in ((1, b"a"), (2, b"b"))
            )
        )
        self.assertEqual(got, ["ab"])

    async def test_numbers_that_can_not_be_make_a_whole_message(self) -> None:
        await self.start()
        got = await self.parts(
            {"short_message": b"zeros", "tlvs": SAR_ZEROS},
            {"short_message": b"3 of 2", "tlvs": sar(3)},
            {"short_message": b"lacks one", "tlvs": sar(1)[:2]},
            {"short_message": udh(3) + b"udh", "esm_class": 0x40},
            {"short_message": b"1 of 1", "tlvs": sar(1, 1)},
        )
        self.assertEqual(got, ["zeros", "3 of 2", "lacks one", "udh", "1 of 1"])

    async def test_an_empty_payload_hid_the_short_message(self) -> None:
        await self.start()
        empty = tlv(Tag.message_payload, b"")
        got = await self.parts(
            {"short_message": b"hi", "tlvs": (empty,)},
            {"short_message": udh(1) + b"a", "esm_class": 0x40, "tlvs": (empty,)},
            {
                "short_message": b"",
                "esm_class": 0x40,
                "tlvs": (tlv(Tag.message_payload, udh(2) + b"b"),),
            },
        )
        self.assertEqual(got, ["hi", "ab"])

    async def test_a_header_that_can_not_be_is_text(self) -> None:
        await self.start()
        got = await self.parts(
            {"short_message": b"hi", "esm_class": 0x40},
            # The header is whole, an element in it is not.
            {"short_message": b"\x03\x00\x09xtext", "esm_class": 0x40},
        )
        self.assertEqual(got, ["hi", "text"])


class TestAlphabets(VendorTestCase):
    async def test_data_codings_of_gsm_were_refused(self) -> None:
        await self.start()
        gsm, ucs2 = (b"\x00 hi", "@ hi"), ("дa".encode("utf-16-be"), "дa")
        for coding, (octets, text) in (
            *((coding, gsm) for coding in (0xC0, 0xC8, 0xCB, 0xD0, 0xD8, 0xDB)),
            *((coding, ucs2) for coding in (0xE0, 0xE8, 0xEB, 0x18, 0x1B, 0x28, 0x48, 0x58)),
            *((coding, gsm) for coding in (0x10, 0x13, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70)),
            *((coding, gsm) for coding in (0xF0, 0xF3, 0xF8, 0x80, 0xBF, 0x0B, 0x0C, 0x0F)),
        ):
            await self.deliver(short_message=octets, data_coding=coding)
            self.assertEqual(self.texts()[-1], text, hex(coding))

    async def test_what_is_eight_bit_data_is_still_refused(self) -> None:
        await self.start()
        for coding in (2, 4, 0x14, 0x17, 0x54, 0xF4, 0xF7):
            response = await self.get(self.smsc.deliver(short_message=b"x", data_coding=coding))
            self.assertEqual(response.command_status, Status.ESME_RDELIVERYFAILURE, hex(coding))

    async def test_an_unknown_escape_was_refused(self) -> None:
        await self.start()
        for octets, text in (
            (b"pay \x1bA now", "pay A now"),
            (b"a\x1b\x1bb", "a b"),
            (b"a\x1b", "a\ufffd"),
            (b"\x1be\x1b\x00", "€@"),
            (b"a\x80\xffb", "a\ufffd\ufffdb"),
        ):
            await self.deliver(short_message=octets)
            self.assertEqual(self.texts()[-1], text)

    async def test_national_languages_were_wrong_letters(self) -> None:
        await self.start()
        for header, octets, text in (
            (b"\x03\x24\x01\x01", b"\x1bs\x1bg\x04", "şğè"),
            (b"\x03\x25\x01\x01", b"\x1d\x0c\x07\x1be", "şğı€"),
            (b"\x06\x24\x01\x01\x25\x01\x01", b"\x1d\x1bg", "şğ"),
            (b"\x03\x24\x01\x02", b"\x1ba\x1bN", "áN"),
            (b"\x06\x25\x01\x06\x24\x01\x06", b"\x28\x2a\x1b\x1c", ")थ\u0966"),
            (b"\x03\x24\x01\x63", b"\x1be", "€"),
            (b"\x02\x24\x00", b"\x1be", "€"),
        ):
            await self.deliver(short_message=header + octets, esm_class=0x40)
            self.assertEqual(self.texts()[-1], text, header)
        # Of other alphabets they say nothing.
        await self.deliver(
            short_message=b"\x03\x24\x01\x01" + "ş".encode("utf-16-be"),
            esm_class=0x40,
            data_coding=8,
        )
        self.assertEqual(self.texts()[-1], "ş")

    async def test_parts_keep_their_language(self) -> None:
        await self.start()
        for number, octets in ((1, b"\x1b"), (2, b"s\x1bg")):
            header = bytes((8, 0, 3, 9, 2, number, 0x24, 1, 1))
            await self.deliver(short_message=header + octets, esm_class=0x40)
        self.assertEqual(self.texts(), ["şğ"])

    async def test_damaged_texts_were_refused(self) -> None:
        await self.start()
        for coding, octets, text in (
            (8, "ok ".encode("utf-16-be") + b"\xd8\x3d", "ok \ufffd"),
            (8, b"\xde\x00\x00a", "\ufffda"),
            (8, b"\xfe\xff\x00h\x00i", "hi"),
            (8, b"\xff\xfeh\x00i\x00", "hi"),
            (8, b"\x00h\x00i\x00", "hi\ufffd"),
            (1, b"caf\xe9", "caf\ufffd"),
            (9, b"\x83J\x83", "カ\ufffd"),
        ):
            await self.deliver(short_message=octets, data_coding=coding)
            self.assertEqual(self.texts()[-1], text)

    async def test_damaged_texts_in_an_encoding_of_ones_own(self) -> None:
        await self.start(
            deliver_short_message_processor_config={"data_coding_overrides": {0: "utf-8"}}
        )
        await self.deliver(short_message=b"\xef\xbb\xbfcaf\xc3")
        self.assertEqual(self.texts(), ["caf\ufffd"])
