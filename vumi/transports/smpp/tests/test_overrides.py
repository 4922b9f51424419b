"""What messages say of their own PDUs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.overrides import InvalidOverride, parse_overrides, relative_time
from vumi.transports.smpp.pdu import PduEncodeError
from vumi.transports.smpp.tests.fake_smsc import SmppTestCase

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "000000000000000R"),
        (90, "000000000130000R"),
        (86400, "000001000000000R"),
        (45 * 86400 + 3661, "000115010101000R"),
        (400 * 86400, "010110000000000R"),
    ],
)
def test_relative_times(seconds: int, text: str) -> None:
    assert relative_time(seconds) == text


@pytest.mark.parametrize(
    "options",
    [
        [],
        {"priority": 1},
        {"priority_flag": 256},
        {"priority_flag": "1"},
        {"validity_period": -1},
        {"validity_period": 1e12},
        {"validity_period": True},
        {"service_type": 5},
        {"service_type": "é"},
        {"tlvs": []},
        {"tlvs": {"no_such_parameter": 1}},
        {"tlvs": {"0x1400": None}},
        {"tlvs": {"0x1400": {"hex": "xy"}}},
        {"tlvs": {"0x1400": {"hex": 5}}},
        {"tlvs": {"0x1400": -1}},
        {"user_message_reference": True},
    ],
)
def test_what_can_not_be_sent_is_refused(options: Any) -> None:
    with pytest.raises(InvalidOverride):
        parse_overrides(options)


def test_parameters_by_name_and_number() -> None:
    overrides = parse_overrides(
        {
            "user_message_reference": 7,
            "tlvs": {
                "source_port": 1,
                "0x1400": "text",
                "5121": {"hex": "0a0b"},
                "0x1402": 300,
            },
        }
    )
    assert overrides.tlvs == (
        (Tag.user_message_reference, b"\0\7"),
        (Tag.source_port, b"\0\1"),
        (0x1400, b"text"),
        (5121, b"\x0a\x0b"),
        (0x1402, b"\x01\x2c"),
    )


@given(JSON | st.dictionaries(st.sampled_from(["tlvs", "data_coding", "validity_period"]), JSON))
def test_anything_is_read_or_refused(options: Any) -> None:
    try:
        parse_overrides(options)
    except (InvalidOverride, PduEncodeError):
        return


class TestInMessages(SmppTestCase):
    async def send_with(self, content: str = "hello", **options: Any) -> Any:
        await self.send(content, transport_metadata={"smpp": options})
        return self.smsc.submitted[-1]

    async def test_fields(self) -> None:
        await self.start()
        pdu = await self.send_with(
            validity_period=3600,
            schedule_delivery_time="240401120000000+",
            priority_flag=3,
            registered_delivery=False,
            dest_addr_ton=1,
            source_addr_npi=9,
            tlvs={"0x1400": {"hex": "ff"}},
        )
        self.assertEqual(
            (pdu.validity_period, pdu.schedule_delivery_time, pdu.priority_flag),
            ("000000010000000R", "240401120000000+", 3),
        )
        self.assertEqual(
            (pdu.registered_delivery, pdu.dest_addr_ton, pdu.source_addr_npi), (0, 1, 9)
        )
        self.assertEqual(pdu.tlvs, ((0x1400, b"\xff"),))

    async def test_a_data_coding_says_how_the_text_is_encoded(self) -> None:
        await self.start()
        for coding, data in ((8, "é".encode("utf-16-be")), (3, b"\xe9"), (0, b"\x05")):
            pdu = await self.send_with("é", data_coding=coding)
            self.assertEqual((pdu.data_coding, pdu.short_message), (coding, data))
            self.smsc.answer_next()

    async def test_a_data_coding_says_how_the_text_is_encoded_unless_it_is_configured(
        self,
    ) -> None:
        await self.start(submit_short_message_processor_config={"submit_sm_encoding": "utf-8"})
        for coding, data in ((8, "é".encode("utf-16-be")), (3, b"\xe9"), (0, "é".encode())):
            pdu = await self.send_with("é", data_coding=coding)
            self.assertEqual((pdu.data_coding, pdu.short_message), (coding, data))
            self.smsc.answer_next()

    async def test_what_is_not_understood_is_nacked(self) -> None:
        await self.start()
        message = await self.send(transport_metadata={"smpp": {"priority": 1}})
        self.assertEqual(
            self.events(),
            [
                (
                    "nack",
                    message["message_id"],
                    "transport_metadata.smpp has what is not known: 'priority'.",
                )
            ],
        )


class TestAddresses(SmppTestCase):
    async def addresses(self, to_addr: str, from_addr: str = "9292") -> tuple[Any, ...]:
        await self.send(to_addr=to_addr, from_addr=from_addr)
        pdu = self.smsc.submitted[-1]
        return (
            (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi),
            (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi),
        )

    async def test_by_default_they_are_sent_as_they_are(self) -> None:
        await self.start()
        self.assertEqual(await self.addresses("+2776"), (("+2776", 0, 1), ("9292", 0, 0)))

    async def test_a_plus_can_be_left_out(self) -> None:
        await self.start(strip_plus=True)
        self.assertEqual(await self.addresses("+2776"), (("2776", 1, 1), ("9292", 0, 0)))
        self.assertEqual(await self.addresses("2777"), (("2777", 0, 1), ("9292", 0, 0)))

    async def test_rules(self) -> None:
        await self.start(
            strip_plus=True,
            source_addr_rules=[
                {"match": r"\d{1,6}", "ton": 3, "npi": 0},
                {"match": r".*[A-Za-z].*", "ton": 5, "npi": 0},
            ],
            dest_addr_rules=[
                {"match": r"\+44.*", "strip_plus": False},
                {"match": "0.*", "ton": 2},
            ],
        )
        self.assertEqual(await self.addresses("0761", "Vumi"), (("0761", 2, 1), ("Vumi", 5, 0)))
        self.assertEqual(await self.addresses("+44123"), (("+44123", 0, 1), ("9292", 3, 0)))
        self.assertEqual(
            await self.addresses("+27", "+27831234567"), (("27", 1, 1), ("27831234567", 1, 1))
        )
