"""Messages from phones: published first, answered then, and always answered."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from vumi.persist.fake_redis import FakeRedis
from vumi.transports.smpp.constants import CommandStatus as Status
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.pdu import DataSm, tlv
from vumi.transports.smpp.tests.fake_smsc import SmppTestCase


def udh(number: int, total: int = 2, reference: int = 7) -> bytes:
    return bytes((5, 0, 3, reference, total, number))


class TestInbound(SmppTestCase):
    async def deliver(self, pdu: Any = None, **fields: Any) -> int:
        """Deliver something; gives the status of the answer."""
        response = await self.get(self.smsc.deliver(pdu, **fields))
        status: int = response.command_status
        return status

    def texts(self) -> list[str | None]:
        return [message["content"] for message in self.inbound()]


class TestShortMessages(TestInbound):
    async def test_a_message_is_published(self) -> None:
        await self.start()
        self.assertEqual(await self.deliver(short_message=b"hello"), Status.ESME_ROK)
        (message,) = self.inbound()
        self.assertEqual(
            [message[name] for name in ("from_addr", "to_addr", "content", "session_event")],
            ["+27761234567", "9292", "hello", None],
        )
        self.assertEqual(
            (message["transport_type"], message["transport_metadata"], message["transport_name"]),
            ("sms", {}, "sphex"),
        )

    async def test_it_is_answered_only_once_the_broker_has_it(self) -> None:
        transport = await self.start()
        published: Deferred[Any] = Deferred()
        transport.publish_message = lambda **_: published
        answers: list[Any] = []
        _ = self.smsc.deliver(short_message=b"hello").addCallback(answers.append)
        await self.settle()
        self.assertEqual(answers, [])
        published.callback(None)
        await self.settle()
        self.assertEqual(len(answers), 1)

    async def test_what_could_not_be_published_was_never_answered(self) -> None:
        transport = await self.start()
        transport.publish_message = lambda **_: fail(ValueError("no"))
        self.assertEqual(await self.deliver(short_message=b"hello"), Status.ESME_RX_T_APPN)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_a_processor_that_raises_was_never_answered(self) -> None:
        transport = await self.start()

        def broken(*_: object) -> Any:
            raise KeyError("broken")

        transport.deliver_sm_processor.handle_short_message_pdu = broken
        self.assertEqual(await self.deliver(short_message=b"hello"), Status.ESME_RX_T_APPN)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    async def test_encodings(self) -> None:
        await self.start()
        for coding, payload, text in (
            (0, b"\x00\x1b\x65 {}".replace(b"{}", b"\x1b\x28"), "@€ {"),
            (1, b"ascii", "ascii"),
            (3, b"caf\xe9", "café"),
            (5, "日本".encode("iso2022_jp"), "日本"),
            (6, "мир".encode("iso8859_5"), "мир"),
            (7, "שלום".encode("iso8859_8"), "שלום"),
            (8, "日本😀".encode("utf-16-be"), "日本😀"),
            (9, "カ".encode("shift_jis"), "カ"),
            (10, "日本".encode("iso2022_jp"), "日本"),
            (0xF1, b"class 1", "class 1"),
        ):
            status = await self.deliver(short_message=payload, data_coding=coding)
            self.assertEqual((status, self.texts()[-1]), (Status.ESME_ROK, text), coding)

    async def test_the_default_alphabet_was_refused(self) -> None:
        await self.start()
        self.assertEqual(await self.deliver(short_message=b"hi"), Status.ESME_ROK)
        self.assertEqual(self.texts(), ["hi"])

    async def test_the_default_alphabet_can_be_refused(self) -> None:
        await self.start(deliver_short_message_processor_config={"default_data_coding": ""})
        self.assertEqual(await self.deliver(short_message=b"hi"), Status.ESME_RDELIVERYFAILURE)

    async def test_overrides_of_encodings(self) -> None:
        overrides = {"0": "utf-8", 2: "ascii"}
        await self.start(
            deliver_short_message_processor_config={"data_coding_overrides": overrides}
        )
        await self.deliver(short_message="é".encode())
        await self.deliver(short_message=b"binary", data_coding=2)
        self.assertEqual(self.texts(), ["é", "binary"])

    async def test_what_can_not_be_read_is_refused_with_the_configured_status(self) -> None:
        await self.start(deliver_sm_decoding_error="ESME_RSYSERR")
        for fields in (
            {"data_coding": 4, "short_message": b"binary"},
            {"data_coding": 0xF5, "short_message": b"binary of class 1"},
            {"data_coding": 0, "short_message": b""},
        ):
            self.assertEqual(await self.deliver(**fields), Status.ESME_RSYSERR, fields)
        self.assertEqual(self.inbound(), [])

    async def test_empty_messages_can_be_allowed(self) -> None:
        await self.start(deliver_short_message_processor_config={"allow_empty_messages": True})
        self.assertEqual(await self.deliver(), Status.ESME_ROK)
        self.assertEqual(self.texts(), [""])

    async def test_message_payload_wins(self) -> None:
        await self.start()
        await self.deliver(short_message=b"short", tlvs=(tlv(Tag.message_payload, b"long"),))
        self.assertEqual(self.texts(), ["long"])

    async def test_data_sm_is_a_message_too(self) -> None:
        await self.start()
        pdu = DataSm(
            source_addr="+27", destination_addr="9292", tlvs=(tlv(Tag.message_payload, b"data"),)
        )
        self.assertEqual(await self.deliver(pdu), Status.ESME_ROK)
        self.assertEqual(self.texts(), ["data"])

    async def test_a_header_that_is_not_about_parts_is_no_text(self) -> None:
        await self.start()
        header = b"\x06\x05\x04\x0b\x84\x23\xf0"
        await self.deliver(short_message=header + b"push", esm_class=0x40)
        self.assertEqual(self.texts(), ["push"])

    async def test_messages_of_one_user_stay_in_order(self) -> None:
        await self.start()
        for number in range(20):
            _ = self.smsc.deliver(short_message=b"%d" % number)
        await self.settle()
        self.assertEqual(self.texts(), [str(number) for number in range(20)])


class TestParts(TestInbound):
    async def test_parts_by_header(self) -> None:
        await self.start()
        await self.deliver(short_message=udh(2) + b"world", esm_class=0x40)
        self.assertEqual(self.texts(), [])
        await self.deliver(short_message=udh(1) + b"hello ", esm_class=0x40)
        self.assertEqual(self.texts(), ["hello world"])

    async def test_parts_by_16_bit_header(self) -> None:
        await self.start()
        for number, text in ((1, b"a"), (2, b"b")):
            header = bytes((6, 8, 4, 1, 2, 2, number))
            await self.deliver(short_message=header + text, esm_class=0x40)
        self.assertEqual(self.texts(), ["ab"])

    async def test_parts_by_parameters_with_payload(self) -> None:
        await self.start()
        for number, text in ((1, b"a"), (2, b"b")):
            tlvs = (
                tlv(Tag.sar_msg_ref_num, 500),
                tlv(Tag.sar_total_segments, 2),
                tlv(Tag.sar_segment_seqnum, number),
                tlv(Tag.message_payload, text),
            )
            await self.deliver(tlvs=tlvs)
        self.assertEqual(self.texts(), ["ab"])

    async def test_a_text_that_begins_like_a_header_was_taken_for_a_part(self) -> None:
        await self.start()
        await self.deliver(short_message=udh(1) + b"text", data_coding=3)
        self.assertEqual(len(self.inbound()), 1)

    async def test_headers_of_the_old_vumi_are_understood_if_asked_for(self) -> None:
        await self.start(deliver_short_message_processor_config={"legacy_multipart_headers": True})
        for number, text in ((1, b"a"), (2, b"b")):
            await self.deliver(short_message=bytes((0, 3, 9, 2, number)) + text)
        self.assertEqual(self.texts(), ["ab"])

    async def test_a_character_that_is_cut_in_two(self) -> None:
        await self.start()
        payload = "日本".encode("utf-16-be")
        await self.deliver(short_message=udh(1) + payload[:3], esm_class=0x40, data_coding=8)
        await self.deliver(short_message=udh(2) + payload[3:], esm_class=0x40, data_coding=8)
        self.assertEqual(self.texts(), ["日本"])

    async def test_a_part_that_comes_again_publishes_nothing(self) -> None:
        await self.start()
        for number in (1, 2, 2, 1):
            status = await self.deliver(short_message=udh(number) + b"x", esm_class=0x40)
            self.assertEqual(status, Status.ESME_ROK)
        self.assertEqual(len(self.inbound()), 1)

    async def test_parts_of_different_users_are_not_mixed(self) -> None:
        await self.start()
        await self.deliver(short_message=udh(1) + b"a", esm_class=0x40, source_addr="+1")
        await self.deliver(short_message=udh(2) + b"b", esm_class=0x40, source_addr="+2")
        self.assertEqual(self.texts(), [])

    async def test_a_complete_message_that_can_not_be_read_is_refused(self) -> None:
        await self.start()
        await self.deliver(short_message=udh(1) + b"a", esm_class=0x40, data_coding=4)
        status = await self.deliver(short_message=udh(2) + b"b", esm_class=0x40, data_coding=4)
        self.assertEqual(status, Status.ESME_RDELIVERYFAILURE)
        self.assertEqual(self.texts(), [])

    async def test_a_crash_before_the_message_is_safe_loses_nothing(self) -> None:
        transport = await self.start(redis_manager={"FAKE_REDIS": FakeRedis()})
        await self.deliver(short_message=udh(1) + b"a", esm_class=0x40)
        publish, transport.publish_message = (
            transport.publish_message,
            lambda **_: fail(ValueError("crash")),
        )
        status = await self.deliver(short_message=udh(2) + b"b", esm_class=0x40)
        self.assertEqual(status, Status.ESME_RX_T_APPN)
        transport.publish_message = publish
        await self.deliver(short_message=udh(2) + b"b", esm_class=0x40)
        self.assertEqual(self.texts(), ["ab"])
        self.flushLoggedErrors(ValueError)


class TestUssd(TestInbound):
    async def ussd(self, operation: int, info: int, text: bytes = b"*100#") -> Any:
        tlvs = (tlv(Tag.ussd_service_op, operation), tlv(Tag.its_session_info, info))
        await self.deliver(short_message=text, tlvs=tlvs)
        return self.inbound()[-1]

    async def test_events_of_a_session(self) -> None:
        await self.start()
        for operation, info, event in (
            (0x01, 0x0100, "new"),
            (0x02, 0x0100, "resume"),
            (0x12, 0x0100, "resume"),
            (0x11, 0x0100, "close"),
            (0x7F, 0x0100, "close"),
            (0x12, 0x0101, "close"),
        ):
            message = await self.ussd(operation, info)
            self.assertEqual(message["session_event"], event, (operation, info))
            self.assertEqual(
                (message["transport_type"], message["transport_metadata"], message["content"]),
                ("ussd", {"session_info": "0100"}, "*100#"),
            )

    async def test_replies(self) -> None:
        await self.start()
        message = await self.ussd(0x01, 0x0ABC)
        for close, info, operation in ((False, 0x0ABC, b"\x02"), (True, 0x0ABD, b"\x11")):
            reply = message.reply("menu", continue_session=not close)
            self.helper.dispatch_outbound(reply)
            await self.settle()
            pdu = self.smsc.submitted[-1]
            self.assertEqual(pdu.tlv(Tag.ussd_service_op), operation)
            self.assertEqual(pdu.tlv(Tag.its_session_info), info.to_bytes(2, "big"))
            self.smsc.answer_next()
            await self.settle()

    async def test_a_gateway_may_want_another_operation_at_the_end(self) -> None:
        options = {"ussd_close_operation": 2}
        await self.start(submit_short_message_processor_config=options)
        message = await self.ussd(0x01, 0x0ABC)
        self.helper.dispatch_outbound(message.reply("bye", continue_session=False))
        await self.settle()
        self.assertEqual(self.smsc.submitted[-1].tlv(Tag.ussd_service_op), b"\x02")

    async def test_a_session_without_its_parameter(self) -> None:
        await self.start()
        await self.deliver(short_message=b"*1#", tlvs=(tlv(Tag.ussd_service_op, 1),))
        (message,) = self.inbound()
        self.assertEqual(message["transport_metadata"], {"session_info": None})
        self.helper.dispatch_outbound(message.reply("menu"))
        await self.settle()
        self.assertEqual(self.smsc.submitted[0].tlv(Tag.its_session_info), b"\0\0")

    async def test_an_empty_answer_in_a_session_is_a_message(self) -> None:
        await self.start()
        self.assertEqual((await self.ussd(0x12, 2, b""))["content"], "")


class SessionTests(TestInbound):
    """What the processors have in common that remember what was dialled."""

    MODULE = ""
    SESSION_TAG = Tag.its_session_info
    SESSION, CLOSED_SESSION = 0x0102, 0x0102

    def setUp(self) -> None:
        super().setUp()
        self.redis = FakeRedis()

    async def start(self, **config: Any) -> Any:
        base = f"vumi.transports.smpp.processors.{self.MODULE}"
        return await super().start(
            deliver_short_message_processor=f"{base}.DeliverShortMessageProcessor",
            submit_short_message_processor=f"{base}.SubmitShortMessageProcessor",
            redis_manager={"FAKE_REDIS": self.redis},
            **config,
        )

    async def ussd(self, operation: int, text: bytes, session: int | None = None) -> Any:
        tlvs = (
            tlv(Tag.ussd_service_op, operation),
            tlv(self.SESSION_TAG, self.SESSION if session is None else session),
        )
        status = await self.deliver(short_message=text, tlvs=tlvs)
        self.assertEqual(status, Status.ESME_ROK)
        return self.inbound()[-1]

    def fields(self, message: Any) -> tuple[Any, ...]:
        return (message["session_event"], message["to_addr"], message["content"])

    def sessions(self) -> list[str]:
        return [key for key in self.redis.keys("*") if "session:" in key]


class SharedSessionTests:
    """The tests themselves."""

    async def test_what_was_dialled_is_to_addr_of_the_whole_session(self: Any) -> None:
        await self.start()
        self.assertEqual(self.fields(await self.ussd(0x01, b"*120*1#")), ("new", "*120*1#", None))
        self.assertEqual(self.fields(await self.ussd(0x12, b"2")), ("resume", "*120*1#", "2"))
        self.assertEqual(len(self.sessions()), 1)
        self.assertEqual(self.fields(await self.ussd(0x81, b"x")), ("close", "*120*1#", None))
        self.assertEqual(self.sessions(), [])

    async def test_the_metadata_of_a_message(self: Any) -> None:
        await self.start()
        message = await self.ussd(0x01, b"*1#")
        self.assertEqual(
            message["transport_metadata"],
            {"session_info": {"ussd_service_op": "01", "session_identifier": "0102"}},
        )

    async def test_replies_go_into_their_session(self: Any) -> None:
        await self.start()
        self.smsc.accept_all()
        message = await self.ussd(0x01, b"*1#")
        for close, operation, session in (
            (False, b"\x02", self.SESSION),
            (True, b"\x17", self.CLOSED_SESSION),
        ):
            self.assertEqual(len(self.sessions()), 1)
            self.helper.dispatch_outbound(message.reply("menu", continue_session=not close))
            await self.settle()
            pdu = self.smsc.submitted[-1]
            self.assertEqual(pdu.tlv(Tag.ussd_service_op), operation)
            self.assertEqual(pdu.tlv_int(self.SESSION_TAG), session)
        self.assertEqual(self.sessions(), [])

    async def test_the_last_operation_was_not_the_standards(self: Any) -> None:
        options = {"ussd_close_operation": 0x11}
        await self.start(submit_short_message_processor_config=options)
        message = await self.ussd(0x01, b"*1#")
        self.helper.dispatch_outbound(message.reply("bye", continue_session=False))
        await self.settle()
        self.assertEqual(self.smsc.submitted[-1].tlv(Tag.ussd_service_op), b"\x11")

    async def test_a_session_that_nobody_knows_was_never_answered(self: Any) -> None:
        await self.start()
        self.assertEqual(self.fields(await self.ussd(0x12, b"2")), ("resume", "9292", "2"))

    async def test_an_unknown_operation_is_a_message(self: Any) -> None:
        await self.start()
        await self.ussd(0x01, b"*1#")
        self.assertEqual(self.fields(await self.ussd(0x55, b"2")), ("resume", "*1#", "2"))

    async def test_a_session_lives_from_its_last_message_on(self: Any) -> None:
        await self.start(deliver_short_message_processor_config={"max_session_length": 100})
        await self.ussd(0x01, b"*1#")
        self.redis.clock.advance(60)
        await self.ussd(0x12, b"1")
        self.redis.clock.advance(60)
        self.assertEqual(self.fields(await self.ussd(0x12, b"2")), ("resume", "*1#", "2"))

    async def test_sms_are_sms(self: Any) -> None:
        await self.start()
        await self.deliver(short_message=b"hello")
        self.assertEqual(self.inbound()[-1]["transport_type"], "sms")
        await self.send("hi")
        self.assertIsNone(self.smsc.submitted[-1].tlv(Tag.ussd_service_op))


class TestMica(SharedSessionTests, SessionTests):
    MODULE = "mica"
    SESSION_TAG = Tag.user_message_reference


class TestSixdee(SharedSessionTests, SessionTests):
    MODULE = "sixdee"
    CLOSED_SESSION = 0x0103

    async def test_the_last_bit_ends_a_session(self) -> None:
        await self.start()
        await self.ussd(0x01, b"*1#")
        self.assertEqual(self.fields(await self.ussd(0x12, b"x", 0x0103)), ("close", "*1#", None))

    async def test_what_was_dialled_may_be_in_the_address(self) -> None:
        options = {"ussd_code_pdu_field": "destination_addr"}
        await self.start(deliver_short_message_processor_config=options)
        self.assertEqual(self.fields(await self.ussd(0x01, b"x")), ("new", "9292", None))
