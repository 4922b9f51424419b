"""Messages to phones: each has one ack or nack, whatever happens on the way."""

from __future__ import annotations

from typing import Any

from vumi.persist.fake_redis import FakeRedis
from vumi.transports.smpp.constants import CommandStatus as Status
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.smpp import SmppReceiverTransport
from vumi.transports.smpp.tests.fake_smsc import SmppTestCase

LONG = "0123456789" * 20  # two parts of 153
UDH8 = {"submit_short_message_processor_config": {"send_multipart_udh": True}}


class TestAnswers(SmppTestCase):
    async def test_a_message_is_sent_and_acked(self) -> None:
        await self.start()
        message = await self.send("hello")
        (pdu,) = self.smsc.submitted
        self.assertEqual(
            (pdu.short_message, pdu.source_addr, pdu.destination_addr, pdu.data_coding),
            (b"hello", "9292", "+41791234567", 0),
        )
        self.assertEqual(self.events(), [])
        self.smsc.answer_next(message_id="abc")
        await self.settle()
        self.assertEqual(self.events(), [("ack", message["message_id"], "abc")])

    async def test_the_fields_of_a_pdu(self) -> None:
        await self.start(
            service_type="CMT", source_addr_ton=5, source_addr_npi=0, registered_delivery=False
        )
        await self.send()
        (pdu,) = self.smsc.submitted
        self.assertEqual(
            (pdu.service_type, pdu.source_addr_ton, pdu.source_addr_npi, pdu.dest_addr_ton),
            ("CMT", 5, 0, 0),
        )
        self.assertEqual((pdu.dest_addr_npi, pdu.registered_delivery, pdu.esm_class), (1, 0, 0))

    async def test_a_refusal_is_a_nack_with_the_statuss_name_and_a_failure(self) -> None:
        await self.start()
        message = await self.send()
        self.smsc.answer_next(Status.ESME_RINVDSTADR)
        await self.settle()
        self.assertEqual(self.events(), [("nack", message["message_id"], "ESME_RINVDSTADR")])
        (failure,) = self.helper.get_dispatched_failures()
        self.assertEqual(
            (failure["failure_code"], failure["reason"], failure["message"]["message_id"]),
            (None, "ESME_RINVDSTADR", message["message_id"]),
        )

    async def test_a_vendors_status_was_called_unspecified(self) -> None:
        await self.start()
        message = await self.send()
        self.smsc.answer_next(0x0000040B)
        await self.settle()
        self.assertEqual(self.events(), [("nack", message["message_id"], "0x0000040B")])

    async def test_acks_can_be_left_out_but_not_nacks(self) -> None:
        await self.start(disable_ack=True)
        await self.send()
        self.smsc.answer_next()
        refused = await self.send()
        self.smsc.answer_next(Status.ESME_RSUBMITFAIL)
        await self.settle()
        self.assertEqual(self.events(), [("nack", refused["message_id"], "ESME_RSUBMITFAIL")])

    async def test_addresses_that_are_no_ascii(self) -> None:
        await self.start()
        first = await self.send(to_addr="+2776é")
        second = await self.send(from_addr="мой")
        third = await self.send(to_addr=None)
        self.assertEqual(
            self.events(),
            [
                ("nack", first["message_id"], "Invalid to_addr: +2776é"),
                ("nack", second["message_id"], "Invalid from_addr: мой"),
                ("nack", third["message_id"], "Invalid to_addr: None"),
            ],
        )
        self.assertEqual(self.smsc.submitted, [])

    async def test_an_address_that_is_too_long_is_nacked(self) -> None:
        await self.start()
        message = await self.send(to_addr="1" * 30)
        ((event, message_id, reason),) = self.events()
        self.assertEqual((event, message_id), ("nack", message["message_id"]))
        self.assertIn("destination_addr", reason)
        # The window is not used up by it.
        await self.send()
        self.assertEqual(len(self.smsc.submitted), 1)

    async def test_a_text_that_can_not_be_encoded_is_nacked(self) -> None:
        await self.start(submit_short_message_processor_config={"submit_sm_encoding": "gsm0338"})
        await self.send("日本")
        ((event, _, reason),) = self.events()
        self.assertEqual(event, "nack")
        self.assertIn("gsm0338", reason)

    async def test_utf_8_left_with_the_data_coding_of_gsm(self) -> None:
        await self.start()
        for user, text, octets, coding in (
            ("1", "Habari é ✓", "Habari é ✓".encode("utf-16-be"), 8),
            ("2", "Habari é", b"Habari \x05", 0),
            ("3", "ok \ud83d", "ok \ufffd".encode("utf-16-be"), 8),
            ("4", "\ude00 ok", "\ufffd ok".encode("utf-16-be"), 8),
            ("5", "😀", "😀".encode("utf-16-be"), 8),
        ):
            await self.send(text, to_addr=user)
            pdu = self.smsc.submitted[-1]
            self.assertEqual((pdu.short_message, pdu.data_coding), (octets, coding), text)

    async def test_no_answer_was_waited_for_for_ever(self) -> None:
        await self.start(submit_sm_resp_timeout=10)
        message = await self.send()
        await self.advance(9)
        self.assertEqual(self.events(), [])
        await self.advance(2)
        ((event, message_id, reason),) = self.events()
        self.assertEqual((event, message_id), ("nack", message["message_id"]))
        self.assertIn("10 seconds", reason)

    async def test_a_late_answer_still_makes_reports_find_their_message(self) -> None:
        await self.start(submit_sm_resp_timeout=10)
        message = await self.send()
        await self.advance(11)
        self.smsc.answer_next(message_id="late")
        await self.settle()
        _ = self.smsc.receipt("late")
        await self.settle()
        self.assertEqual(
            [event[:2] for event in self.events()],
            [("nack", message["message_id"]), ("delivery_report", message["message_id"])],
        )


class TestWindowAndOrder(SmppTestCase):
    async def test_no_more_than_the_window_is_in_flight(self) -> None:
        await self.start(window_size=2)
        for user in range(5):
            await self.send(to_addr=f"+2{user}")
        self.assertEqual(len(self.smsc.submitted), 2)
        self.smsc.answer_next()
        await self.settle()
        self.assertEqual(len(self.smsc.submitted), 3)

    async def test_the_default_settings_fill_a_window_of_100_on_two_binds(self) -> None:
        await self.start(window_size=100, binds=2)
        for user in range(250):
            self.helper.dispatch_outbound(self.helper.make_outbound("x", to_addr=f"+2{user}"))
        await self.settle()
        self.assertEqual(len(self.smsc.submitted), 200)
        self.smsc.accept_all()
        while self.smsc.unanswered:
            self.smsc.answer_next()
        await self.settle()
        self.assertEqual(len(self.events()), 250)

    async def test_messages_for_one_user_are_sent_one_after_another(self) -> None:
        await self.start()
        for content in "abc":
            await self.send(content, to_addr="+27")
        await self.send("other", to_addr="+28")
        sent = lambda: [pdu.short_message for pdu in self.smsc.submitted]  # noqa: E731 (short)
        self.assertEqual(sent(), [b"a", b"other"])
        self.smsc.answer_next()
        await self.settle()
        self.assertEqual(sent(), [b"a", b"other", b"b"])

    async def test_the_limit_holds_also_if_the_smsc_answers_at_once(self) -> None:
        self.smsc.accept_all()
        await self.start(mt_tps=2)
        for user in range(8):
            await self.send(to_addr=f"+2{user}")
        self.assertLessEqual(len(self.smsc.submitted), 2)
        for second in range(1, 4):
            await self.advance(0.5)
            await self.advance(0.5)
            self.assertLessEqual(abs(len(self.smsc.submitted) - 2 * second), 1)

    async def test_what_waits_has_no_bind_to_be_sent_over_and_is_held(self) -> None:
        await self.start(initial_reconnect_delay=5)
        self.smsc.connections[0].transport.loseConnection()
        await self.settle()
        message = await self.send()
        self.assertEqual((self.smsc.submitted, self.events()), ([], []))
        self.smsc.accept_all()
        await self.advance(30)
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")])


class TestThrottling(SmppTestCase):
    async def test_throttled_messages_are_sent_again_in_order(self) -> None:
        await self.start(throttle_delay=1)
        messages = [await self.send(str(user), to_addr=f"+2{user}") for user in range(3)]
        for status in (Status.ESME_RTHROTTLED, Status.ESME_RMSGQFUL, Status.ESME_RTHROTTLED):
            self.smsc.answer_next(status)
        await self.settle()
        late = await self.send("3", to_addr="+23")
        self.assertEqual(len(self.smsc.submitted), 3)
        # One is tried, and the rest once that is taken.
        await self.advance(1)
        self.assertEqual([p.short_message for p in self.smsc.submitted[3:]], [b"0"])
        self.smsc.answer_next()
        await self.settle()
        self.assertEqual([p.short_message for p in self.smsc.submitted[4:]], [b"1", b"2", b"3"])
        while self.smsc.unanswered:
            self.smsc.answer_next()
        await self.settle()
        self.assertEqual(
            [event[:2] for event in self.events()],
            [("ack", message["message_id"]) for message in (*messages, late)],
        )

    async def test_statuses_of_throttling(self) -> None:
        await self.start(throttle_delay=1)
        before = len(self.statuses())
        await self.send()
        self.smsc.answer_next(Status.ESME_RTHROTTLED)
        await self.advance(1)
        self.smsc.answer_next(Status.ESME_RTHROTTLED)
        await self.advance(1)
        self.smsc.answer_next()
        await self.settle()
        self.assertEqual(
            self.statuses()[before:], [("degraded", "throttled"), ("ok", "throttled_end")]
        )

    async def test_an_answer_to_what_was_sent_before_does_not_end_the_throttling(self) -> None:
        await self.start(throttle_delay=1)
        for user in range(3):
            await self.send(str(user), to_addr=f"+2{user}")
        self.smsc.answer_next(Status.ESME_RTHROTTLED)
        self.smsc.answer_next()
        await self.settle()
        await self.send("3", to_addr="+23")
        self.assertEqual(len(self.smsc.submitted), 3)

    async def test_a_new_bind_does_not_end_the_throttling(self) -> None:
        await self.start(throttle_delay=1000, initial_reconnect_delay=1)
        await self.send()
        self.smsc.answer_next(Status.ESME_RTHROTTLED)
        await self.settle()
        self.smsc.connections[0].transport.loseConnection()
        await self.advance(10)
        self.assertEqual(len(self.smsc.connections), 1)
        self.assertEqual(len(self.smsc.submitted), 1)
        self.assertEqual(self.statuses()[-2:], [("ok", "bound"), ("degraded", "throttled")])

    async def test_a_status_may_mean_trying_again_for_one_message(self) -> None:
        await self.start(
            status_actions={"ESME_RSYSERR": "retry", "0x400": "throttle"},
            retry_delay=5,
            retry_limit=2,
        )
        message = await self.send("first", to_addr="+27")
        for _ in range(2):
            self.smsc.answer_next(Status.ESME_RSYSERR)
            await self.settle()
            await self.send("others go on", to_addr="+28")
            self.smsc.answer_next()
            await self.advance(5)
        self.smsc.answer_next(Status.ESME_RSYSERR)
        await self.settle()
        self.assertEqual(self.events()[-1], ("nack", message["message_id"], "ESME_RSYSERR"))
        self.assertEqual([p.short_message for p in self.smsc.submitted].count(b"first"), 3)

    async def test_a_message_that_crossed_an_unbind_was_nacked(self) -> None:
        await self.start(retry_delay=5)
        for number, status in enumerate((Status.ESME_RINVBNDSTS, Status.ESME_RX_T_APPN)):
            message = await self.send()
            before = self.events()
            self.smsc.answer_next(status)
            await self.settle()
            self.assertEqual(self.events(), before)
            await self.advance(5)
            self.smsc.answer_next(message_id=f"id-{number}")
            await self.settle()
            self.assertEqual(self.events()[-1], ("ack", message["message_id"], f"id-{number}"))

    async def test_a_vendors_status_may_mean_throttling(self) -> None:
        await self.start(status_actions={"0x400": "throttle"}, throttle_delay=1)
        message = await self.send()
        self.smsc.answer_next(0x400)
        await self.advance(1)
        self.smsc.answer_next()
        await self.settle()
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")])


class TestLongMessages(SmppTestCase):
    async def test_all_parts_make_one_ack(self) -> None:
        await self.start(**UDH8)
        message = await self.send(LONG)
        first, second = self.smsc.submitted
        self.assertEqual(first.short_message[:3], b"\x05\x00\x03")
        self.assertEqual((first.short_message[4:6], second.short_message[4:6]), (b"\2\1", b"\2\2"))
        self.assertEqual(first.short_message[3], second.short_message[3])
        self.assertEqual((first.esm_class, len(first.short_message)), (0x40, 159))
        self.smsc.answer_next(message_id="z")
        await self.settle()
        self.assertEqual(self.events(), [])
        self.smsc.answer_next(message_id="a")
        await self.settle()
        self.assertEqual(self.events(), [("ack", message["message_id"], "a,z")])

    async def test_parts_that_fail_make_one_nack(self) -> None:
        await self.start(**UDH8)
        message = await self.send(LONG)
        self.smsc.answer_next(Status.ESME_RSUBMITFAIL)
        self.smsc.answer_next(Status.ESME_RINVDSTADR)
        await self.settle()
        self.assertEqual(self.events(), [("nack", message["message_id"], "ESME_RSUBMITFAIL")])
        self.assertEqual(len(self.helper.get_dispatched_failures()), 1)

    async def test_a_part_that_is_taken_after_the_nack_changes_nothing(self) -> None:
        await self.start(**UDH8)
        message = await self.send(LONG)
        self.smsc.answer_next(Status.ESME_RSUBMITFAIL)
        self.smsc.answer_next()
        await self.settle()
        self.assertEqual(self.events(), [("nack", message["message_id"], "ESME_RSUBMITFAIL")])

    async def test_parts_that_are_not_sent_yet_are_not_sent_after_a_refusal(self) -> None:
        await self.start(window_size=1, **UDH8)
        await self.send("0123456789" * 40)
        self.smsc.answer_next(Status.ESME_RSUBMITFAIL)
        await self.settle()
        self.assertEqual(len(self.smsc.submitted), 1)

    async def test_by_default_254_octets_are_one_message_and_more_are_parts(self) -> None:
        await self.start()
        await self.send("x" * 254, to_addr="+1")
        self.assertEqual(len(self.smsc.submitted), 1)
        await self.send("x" * 255, to_addr="+2")
        self.assertEqual(len(self.smsc.submitted), 3)

    async def test_what_is_too_long_had_no_nack(self) -> None:
        await self.start(submit_short_message_processor_config={"long_messages": "none"})
        message = await self.send("x" * 255)
        ((event, message_id, _),) = self.events()
        self.assertEqual((event, message_id), ("nack", message["message_id"]))

    async def test_references_differ_from_message_to_message(self) -> None:
        await self.start(submit_short_message_processor_config={"send_multipart_sar": True})
        self.smsc.accept_all()
        for user in range(3):
            await self.send(LONG, to_addr=f"+2{user}")
        references = [pdu.tlv_int(Tag.sar_msg_ref_num) for pdu in self.smsc.submitted]
        self.assertEqual(references, [1, 1, 2, 2, 3, 3])
        self.assertEqual(
            [pdu.tlv_int(Tag.sar_segment_seqnum) for pdu in self.smsc.submitted], [1, 2] * 3
        )

    async def test_references_roll_over_where_the_config_says(self) -> None:
        await self.start(
            submit_short_message_processor_config={
                "send_multipart_sar": True,
                "multipart_sar_reference_rollover": 2,
            }
        )
        self.smsc.accept_all()
        for user in range(3):
            await self.send(LONG, to_addr=f"+2{user}")
        references = [pdu.tlv_int(Tag.sar_msg_ref_num) for pdu in self.smsc.submitted]
        self.assertEqual(references, [1, 1, 0, 0, 1, 1])

    async def test_payload_takes_short_texts_too(self) -> None:
        await self.start(submit_short_message_processor_config={"send_long_messages": True})
        await self.send("short")
        (pdu,) = self.smsc.submitted
        self.assertEqual((pdu.short_message, pdu.tlv(Tag.message_payload)), (b"", b"short"))


class TestFaults(SmppTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.redis = FakeRedis()
        self.store = {"redis_manager": {"FAKE_REDIS": self.redis, "key_prefix": "vumi"}}

    async def crash(self, transport: Any) -> None:
        """End a transport as if its process had died: what it has in hand is not finished."""
        transport.drain_timeout = 0
        await self.get_in_time(self.helper.worker_helper.cleanup_worker(transport))

    async def get_in_time(self, deferred: Any) -> None:
        over: list[Any] = []
        deferred.addBoth(over.append)

        def is_over() -> list[Any]:
            self.clock.advance(0.1)
            return over

        await self.until(is_over)

    async def test_what_was_in_flight_when_the_process_died_is_sent_again(self) -> None:
        first = await self.start(**self.store)
        message = await self.send()
        self.assertEqual(len(self.smsc.submitted), 1)
        await self.crash(first)
        self.assertEqual(self.events(), [])
        self.smsc.accept_all()
        await self.start(**self.store)
        self.assertEqual(len(self.smsc.submitted), 2)
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")])

    async def test_what_was_answered_is_not_sent_again_if_the_broker_delivers_it_again(
        self,
    ) -> None:
        await self.start(**self.store)
        self.smsc.accept_all()
        message = await self.send()
        self.helper.dispatch_outbound(message)
        await self.settle()
        self.assertEqual(len(self.smsc.submitted), 1)
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")] * 2)

    async def test_what_was_nacked_is_tried_again_if_it_is_delivered_again(self) -> None:
        await self.start()
        message = await self.send()
        self.smsc.answer_next(Status.ESME_RSUBMITFAIL)
        await self.settle()
        self.smsc.accept_all()
        self.helper.dispatch_outbound(message)
        await self.settle()
        self.assertEqual([event[0] for event in self.events()], ["nack", "ack"])

    async def test_only_the_missing_parts_are_sent_after_a_crash(self) -> None:
        first = await self.start(**self.store, **UDH8)
        message = await self.send(LONG)
        self.smsc.answer_next(message_id="one")
        await self.settle()
        await self.crash(first)
        reference = self.smsc.submitted[0].short_message[3]
        self.smsc.accept_all()
        await self.start(**self.store, **UDH8)
        again = self.smsc.submitted[2:]
        self.assertEqual([pdu.short_message[3:6] for pdu in again], [bytes((reference, 2, 2))])
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1,one")])

    async def test_what_a_lost_connection_has_left_unanswered_is_sent_again(self) -> None:
        await self.start(initial_reconnect_delay=1)
        messages = [await self.send(str(user), to_addr=f"+2{user}") for user in range(3)]
        self.smsc.answer_next()
        await self.settle()
        self.smsc.connections[0].transport.loseConnection()
        await self.advance(10)
        self.smsc.unanswered.clear()
        self.assertEqual([p.short_message for p in self.smsc.submitted[3:]], [b"1", b"2"])
        self.smsc.accept_all()
        self.smsc.connections[0].transport.loseConnection()
        await self.advance(10)
        self.assertEqual(
            sorted(event[:2] for event in self.events()),
            sorted(("ack", message["message_id"]) for message in messages),
        )

    async def test_a_message_that_makes_the_smsc_go_is_given_up_some_day(self) -> None:
        await self.start(initial_reconnect_delay=1, max_reconnect_delay=1)
        message = await self.send()
        for _ in range(10):
            self.smsc.connections[0].transport.loseConnection()
            await self.advance(3)
        ((event, message_id, _),) = self.events()
        self.assertEqual((event, message_id), ("nack", message["message_id"]))

    async def test_what_has_no_bind_does_not_hold_up_the_end(self) -> None:
        transport = await self.start(initial_reconnect_delay=100, **self.store)
        message = await self.send("first", to_addr="+1")
        self.smsc.connections[0].transport.loseConnection()
        await self.settle()
        transport.drain_timeout = 1000
        await self.get_in_time(self.helper.worker_helper.cleanup_worker(transport))
        self.assertLess(self.clock.seconds(), 100)
        self.smsc.accept_all()
        await self.start(**self.store)
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")])

    async def test_a_store_that_is_away_holds_messages_up_and_loses_none(self) -> None:
        transport = await self.start()
        self.smsc.accept_all()
        stash = transport.message_stash
        look_up, fail = stash._look_up_script, stash.redis.script("return error('away')")
        stash._look_up_script = fail
        message = await self.send()
        self.assertEqual((self.smsc.submitted, self.events()), ([], []))
        stash._look_up_script = look_up
        await self.advance(1)
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")])

    async def test_an_answer_that_can_not_be_recorded_is_told_all_the_same(self) -> None:
        transport = await self.start()
        self.smsc.accept_all()
        stash = transport.message_stash
        stash._record_script = stash.redis.script("return error('away')")
        message = await self.send()
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")])

    async def test_a_processor_that_raises_has_its_message_nacked(self) -> None:
        transport = await self.start()

        def broken(*_: object) -> Any:
            raise ValueError("broken")

        transport.submit_sm_processor.pdu_of = broken
        message = await self.send()
        self.assertEqual(self.events(), [("nack", message["message_id"], "broken")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class TestReceiver(SmppTestCase):
    transport_class = SmppReceiverTransport

    async def test_a_receiver_took_messages_that_it_could_not_send(self) -> None:
        await self.start()
        await self.send()
        self.assertEqual((self.smsc.submitted, self.events()), ([], []))
