"""PDUs on the wire."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.errors import VumiError
from vumi.transports.smpp.constants import RESPONSE_BIT, CommandId, CommandStatus, Tag
from vumi.transports.smpp.pdu import (
    AlertNotification,
    BindTransceiver,
    BindTransceiverResp,
    CancelSm,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    DistributionList,
    EnquireLink,
    GenericNack,
    Outbind,
    Pdu,
    PduDecodeError,
    PduEncodeError,
    PduError,
    PduFramingError,
    PduReader,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnknownPdu,
    Unsuccess,
    decode,
    response_class,
    tlv,
)
from vumi.transports.smpp.tests.pdus import PDU_CLASSES, any_pdu, pdus_of

# Bytes written down from the specification's tables of section 4; the length is put before them.
WIRE: list[tuple[Pdu, str]] = [
    (
        # The example of section 3.2.2 of SMPP 3.4.
        BindTransceiver(
            sequence_number=1,
            system_id="SMPP3TEST",
            password="secret08",
            system_type="SUBMIT1",
            interface_version=0x34,
            addr_ton=1,
            addr_npi=1,
        ),
        "00000009 00000000 00000001 534D50503354455354 00 7365637265743038 00 5355424D495431 00"
        " 34 01 01 00",
    ),
    (
        BindTransceiverResp(
            sequence_number=2, system_id="SMSC", tlvs=(tlv(Tag.sc_interface_version, 0x34),)
        ),
        "80000009 00000000 00000002 534D5343 00 0210 0001 34",
    ),
    (Outbind(sequence_number=3, system_id="a", password="b"), "0000000B 0 3 61 00 62 00"),
    (Unbind(sequence_number=4), "00000006 00000000 00000004"),
    (GenericNack(sequence_number=5, command_status=3), "80000000 00000003 00000005"),
    (EnquireLink(sequence_number=0x7FFFFFFF), "00000015 00000000 7FFFFFFF"),
    (
        SubmitSm(
            sequence_number=6,
            service_type="CMT",
            source_addr_ton=5,
            source_addr_npi=0,
            source_addr="vumi",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr="2783",
            esm_class=0x40,
            protocol_id=2,
            priority_flag=3,
            schedule_delivery_time="",
            validity_period="000001000000000R",
            registered_delivery=1,
            replace_if_present_flag=4,
            data_coding=8,
            sm_default_msg_id=7,
            short_message=b"\0h\0i",
            tlvs=(tlv(Tag.user_message_reference, 0x1234), (0x1501, b"vendor")),
        ),
        "00000004 00000000 00000006 434D54 00 05 00 76756D69 00 01 01 32373833 00 40 02 03 00"
        " 30303030303130303030303030303052 00 01 04 08 07 04 00680069"
        " 0204 0002 1234 1501 0006 76656E646F72",
    ),
    (
        SubmitSmResp(sequence_number=6, message_id="1f"),
        "80000004 00000000 00000006 3166 00",
    ),
    (SubmitSmResp(sequence_number=6, command_status=0x58), "80000004 00000058 00000006"),
    (DeliverSmResp(sequence_number=6), "80000005 00000000 00000006 00"),
    (DeliverSmResp(sequence_number=6, command_status=0x64), "80000005 00000064 00000006 00"),
    (
        DataSm(sequence_number=7, source_addr="1", destination_addr="2", data_coding=1),
        "00000103 00000000 00000007 00 00 00 31 00 00 00 32 00 00 00 01",
    ),
    (
        SubmitMulti(
            sequence_number=8,
            source_addr="1",
            dest_addresses=(
                SmeAddress(dest_addr_ton=1, dest_addr_npi=2, destination_addr="3"),
                DistributionList(dl_name="all"),
            ),
            short_message=b"x",
        ),
        "00000021 00000000 00000008 00 00 00 31 00 02 01 01 02 33 00 02 616C6C 00"
        " 00 00 00 00 00 00 00 00 00 01 78",
    ),
    (
        SubmitMultiResp(
            sequence_number=8,
            message_id="m",
            unsuccess_smes=(
                Unsuccess(
                    dest_addr_ton=1, dest_addr_npi=1, destination_addr="3", error_status_code=11
                ),
            ),
        ),
        "80000021 00000000 00000008 6D 00 01 01 01 33 00 0000000B",
    ),
    (
        QuerySm(sequence_number=9, message_id="m", source_addr_ton=1, source_addr="2"),
        "00000003 00000000 00000009 6D 00 01 00 32 00",
    ),
    (
        QuerySmResp(sequence_number=9, message_id="m", message_state=2, error_code=4),
        "80000003 00000000 00000009 6D 00 00 02 04",
    ),
    (
        CancelSm(sequence_number=10, message_id="m", source_addr="1", destination_addr="2"),
        "00000008 00000000 0000000A 00 6D 00 00 00 31 00 00 00 32 00",
    ),
    (
        ReplaceSm(sequence_number=11, message_id="m", source_addr="1", short_message=b"new"),
        "00000007 00000000 0000000B 6D 00 00 00 31 00 00 00 00 00 03 6E6577",
    ),
    (
        AlertNotification(
            sequence_number=12,
            source_addr="1",
            esme_addr="2",
            tlvs=(tlv(Tag.ms_availability_status, 0),),
        ),
        "00000102 00000000 0000000C 00 00 31 00 00 00 32 00 0422 0001 00",
    ),
    (
        UnknownPdu(sequence_number=13, unknown_command_id=0x00010200, body=b"\1\2"),
        "00010200 00000000 0000000D 01 02",
    ),
]


def framed(text: str) -> bytes:
    """A PDU of hexadecimal digits; a lone digit is a number of four octets."""
    body = b"".join(
        int(part, 16).to_bytes(4, "big") if len(part) == 1 else bytes.fromhex(part)
        for part in text.split()
    )
    return (len(body) + 4).to_bytes(4, "big") + body


def with_header(command: int, body: bytes, status: int = 0, number: int = 9) -> bytes:
    return struct.pack(">IIII", 16 + len(body), command, status, number) + body


@pytest.mark.parametrize(("pdu", "text"), WIRE, ids=[pdu.name for pdu, _ in WIRE])
def test_pdus_are_as_the_specification_draws_them(pdu: Pdu, text: str) -> None:
    assert pdu.encode() == framed(text)
    assert decode(framed(text)) == pdu


def test_every_command_of_the_specification_has_its_class() -> None:
    assert {cls.COMMAND for cls in PDU_CLASSES} == set(CommandId)
    for cls in PDU_CLASSES:
        if cls.RESPONSE is not None:
            assert cls.RESPONSE.COMMAND == cls.COMMAND | RESPONSE_BIT
            assert response_class(cls.COMMAND) is cls.RESPONSE
    assert response_class(0x00010200) is None


@given(any_pdu)
def test_any_pdu_survives(pdu: Pdu) -> None:
    data = pdu.encode()
    assert decode(data) == pdu
    assert len(data) == int.from_bytes(data[:4], "big")


@given(st.one_of(pdus_of(SubmitSm), pdus_of(DeliverSm)))
def test_the_fast_way_and_the_layouts_way_are_the_same(pdu: Any) -> None:
    assert pdu._encode_body() == Pdu._encode_body(pdu)
    slow = Pdu._decode_body.__func__  # type: ignore[attr-defined]  # a classmethod has one
    args = (pdu.encode(), pdu.command_status, pdu.sequence_number, False)
    assert slow(type(pdu), *args) == type(pdu)._decode_body(*args)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_a_pdu_or_the_declared_error(data: bytes) -> None:
    try:
        pdu = decode(data)
    except PduDecodeError as error:
        assert isinstance(error, VumiError)
        assert error.status in set(CommandStatus)
    else:
        assert isinstance(pdu, Pdu)


@given(
    st.sampled_from([*CommandId, 0x00010200]),
    st.binary(max_size=120),
    st.sampled_from([0, 0x58]),
)
def test_an_arbitrary_body_is_a_pdu_or_an_error_that_says_what_to_answer(
    command: int, body: bytes, status: int
) -> None:
    try:
        pdu = decode(with_header(command, body, status))
    except PduDecodeError as error:
        assert (error.command_id, error.sequence_number) == (command, 9)
        assert error.status != CommandStatus.ESME_ROK
        assert not command & RESPONSE_BIT
    else:
        assert (pdu.command_id, pdu.sequence_number, pdu.command_status) == (command, 9, status)


@given(any_pdu, st.data())
def test_a_pdu_that_is_cut_short_is_a_pdu_or_the_declared_error(
    pdu: Pdu, data: st.DataObject
) -> None:
    whole = pdu.encode()
    cut = whole[16 : data.draw(st.integers(16, len(whole)))]
    try:
        decode(with_header(pdu.command_id, cut))
    except PduDecodeError as error:
        assert not pdu.is_response
        assert error.sequence_number == 9


# A response that is not quite right still tells how a request fared.
@pytest.mark.parametrize(
    ("body", "message_id"),
    [(b"", ""), (b"\0", ""), (b"abc", "abc"), (b"abc\0", "abc"), (b"abc\0\0\0", "abc")],
)
def test_a_malformed_response_is_read_as_far_as_it_goes(body: bytes, message_id: str) -> None:
    for status in (0, 0x45):
        pdu = decode(with_header(CommandId.submit_sm_resp, body, status))
        assert pdu == SubmitSmResp(sequence_number=9, command_status=status, message_id=message_id)


GOOD = b"\0\1\1" + b"1\0" + b"\1\1" + b"2\0" + b"\0\0\0" + b"\0\0" + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("command", "body", "status"),
    [
        (CommandId.deliver_sm, b"", "ESME_RINVCMDLEN"),
        (CommandId.deliver_sm, GOOD, "ESME_RINVCMDLEN"),
        (CommandId.deliver_sm, GOOD + b"\5abcd", "ESME_RINVMSGLEN"),
        (CommandId.data_sm, b"abc", "ESME_RINVCMDLEN"),
        (CommandId.data_sm, b"\0\1", "ESME_RINVCMDLEN"),
        (CommandId.submit_multi, b"\0\0\0\0\1\7a\0", "ESME_RINVDESTFLAG"),
        (CommandId.submit_multi, b"\0\0\0\0\2\1\1\1a\0", "ESME_RINVCMDLEN"),
        (CommandId.replace_sm, b"m\0\0\0\0\0\0\0\0\5x", "ESME_RINVMSGLEN"),
    ],
)
def test_a_malformed_request_says_with_which_status_it_is_answered(
    command: int, body: bytes, status: str
) -> None:
    with pytest.raises(PduDecodeError, match="is malformed: ") as caught:
        decode(with_header(command, body))
    assert caught.value.status == CommandStatus[status]
    assert caught.value.sequence_number == 9


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x10", b"\0\0\0\x11" + bytes(12)])
def test_what_is_shorter_or_longer_than_it_says_is_no_pdu(data: bytes) -> None:
    with pytest.raises(PduDecodeError):
        decode(data)


def test_a_field_that_is_longer_than_allowed_is_read_but_not_written() -> None:
    body = GOOD.replace(b"1\0", b"1" * 30 + b"\0", 1) + b"\0"
    pdu = decode(with_header(CommandId.deliver_sm, body))
    assert isinstance(pdu, DeliverSm)
    assert pdu.source_addr == "1" * 30
    with pytest.raises(PduEncodeError, match="source_addr has 30 octets, and 20 are allowed"):
        pdu.encode()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"source_addr": "x" * 21}, "ESME_RINVSRCADR"),
        ({"destination_addr": "x" * 21}, "ESME_RINVDSTADR"),
        ({"service_type": "x" * 6}, "ESME_RINVSERTYP"),
        ({"validity_period": "x" * 17}, "ESME_RINVEXPIRY"),
        ({"schedule_delivery_time": "x" * 17}, "ESME_RINVSCHED"),
        ({"short_message": b"x" * 255}, "ESME_RINVMSGLEN"),
        ({"source_addr": "a\0b"}, None),
        ({"source_addr": "\N{SNOWMAN}"}, None),
        ({"source_addr": None}, None),
        ({"short_message": "text"}, None),
        ({"data_coding": 256}, None),
        ({"data_coding": -1}, None),
        ({"data_coding": "8"}, None),
        ({"esm_class": None}, None),
        ({"sequence_number": -1}, None),
        ({"tlvs": ((0x424, b"x" * 0x10000),)}, None),
        ({"tlvs": ((-1, b""),)}, None),
        ({"tlvs": ((1, "text"),)}, None),
        ({"tlvs": (1,)}, None),
    ],
)
def test_a_value_without_room_is_refused_rather_than_sent(
    fields: dict[str, Any], status: str | None
) -> None:
    pdu = SubmitSm(**{"sequence_number": 3, **fields})
    with pytest.raises(PduEncodeError, match="This submit_sm can't be sent") as caught:
        pdu.encode()
    assert caught.value.command_id == CommandId.submit_sm
    if status is not None:
        assert caught.value.status == CommandStatus[status]


@pytest.mark.parametrize(
    "pdu",
    [
        SubmitMulti(dest_addresses=(SmeAddress(destination_addr="1"),) * 256),
        SubmitMulti(dest_addresses=(SmeAddress(destination_addr="1" * 21),)),
        SubmitMulti(dest_addresses=(DistributionList(dl_name="a\0b"),)),
        BindTransceiver(system_id="x" * 16),
        SubmitSmResp(message_id="x" * 65),
        GenericNack(command_status=-1),
    ],
)
def test_other_pdus_are_refused_too(pdu: Pdu) -> None:
    with pytest.raises(PduEncodeError):
        pdu.encode()


def test_a_password_is_sent_whole_and_never_shown() -> None:
    pdu = BindTransceiver(system_id="me", password="a-long-password")
    assert b"a-long-password\0" in pdu.encode()
    assert "a-long-password" not in repr(pdu) + repr(Outbind(password="a-long-password"))


@pytest.mark.parametrize(
    ("tag", "value", "encoded"),
    [
        (Tag.ussd_service_op, 2, b"\2"),
        (Tag.sar_msg_ref_num, 1, b"\0\1"),
        (Tag.qos_time_to_live, 1, b"\0\0\0\1"),
        (Tag.receipted_message_id, "1f", b"1f\0"),
        (Tag.callback_num, "1f", b"1f"),
        (Tag.message_payload, b"abc", b"abc"),
        (0x1501, 0, b"\0"),
        (0x1501, 0x1234, b"\x12\x34"),
    ],
)
def test_an_optional_parameter_has_as_many_octets_as_it_should(
    tag: int, value: int | str | bytes, encoded: bytes
) -> None:
    assert tlv(tag, value) == (tag, encoded)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (Tag.ussd_service_op, 256),
        (Tag.ussd_service_op, -1),
        (Tag.callback_num, "\N{SNOWMAN}"),
        (0x10000, b""),
        (-1, b""),
        (Tag.message_payload, b"x" * 0x10000),
    ],
)
def test_an_optional_parameter_without_room_is_refused(tag: int, value: int | str | bytes) -> None:
    with pytest.raises(PduEncodeError):
        tlv(tag, value)


def test_optional_parameters_are_read_however_many_octets_they_have() -> None:
    pdu = DeliverSm(
        tlvs=(
            (Tag.message_state, b"\2"),
            (Tag.receipted_message_id, b"1f\0"),
            (Tag.sar_msg_ref_num, b"\5"),
            (Tag.callback_num, b"one"),
            (Tag.callback_num, b"two"),
        )
    )
    assert pdu.tlv_int(Tag.message_state) == 2
    assert pdu.tlv_int(Tag.sar_msg_ref_num) == 5
    assert pdu.tlv_text(Tag.receipted_message_id) == "1f"
    assert pdu.tlv_text(Tag.callback_num) == "one"
    assert pdu.tlv(Tag.callback_num) == b"one"
    assert pdu.tlv(0x1501) is None
    assert pdu.tlv_int(0x1501) is None
    assert pdu.tlv_text(0x1501) is None


def test_a_response_has_its_requests_number() -> None:
    assert SubmitSm(sequence_number=4).respond(message_id="x") == SubmitSmResp(
        sequence_number=4, message_id="x"
    )
    assert DeliverSm(sequence_number=4).respond(CommandStatus.ESME_RX_T_APPN) == DeliverSmResp(
        sequence_number=4, command_status=0x64
    )
    unknown = UnknownPdu(sequence_number=4, unknown_command_id=0x00010200)
    assert unknown.respond(3) == GenericNack(sequence_number=4, command_status=3)


def test_a_pdu_says_what_it_is() -> None:
    response = SubmitSmResp(command_status=0x400)
    assert (response.name, response.status_name) == ("submit_sm_resp", "0x00000400")
    assert response.is_response
    assert not response.ok
    request = SubmitSm()
    assert request.ok
    assert not request.is_response


# Streams


@given(st.lists(any_pdu, max_size=5), st.data())
def test_a_stream_is_cut_into_the_same_pdus_wherever_chunks_end(
    pdus: list[Pdu], data: st.DataObject
) -> None:
    stream = b"".join(pdu.encode() for pdu in pdus)
    reader = PduReader()
    received: list[Pdu] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += map(decode, reader.feed(stream[:size]))
        stream = stream[size:]
    assert received == pdus
    assert reader.error is None
    assert reader.pending == 0


@pytest.mark.parametrize("length", [0, 15, 1001, 0xFFFFFFFF])
def test_an_impossible_length_breaks_the_stream_after_what_was_good(length: int) -> None:
    good = EnquireLink(sequence_number=1).encode()
    bad = struct.pack(">IIII", length, CommandId.submit_sm, 0, 77)
    reader = PduReader(max_length=1000)
    assert reader.feed(good + bad[:10]) == [good]
    assert reader.error is None
    assert reader.feed(bad[10:] + good) == []
    error: PduError | None = reader.error
    assert isinstance(error, PduFramingError)
    assert (error.status, error.sequence_number) == (CommandStatus.ESME_RINVCMDLEN, 77)
    assert reader.feed(good) == []
    assert reader.pending == 0


@given(st.lists(st.binary(max_size=40)))
def test_an_arbitrary_stream_never_raises(chunks: list[bytes]) -> None:
    reader = PduReader(max_length=1000)
    for chunk in chunks:
        for frame in reader.feed(chunk):
            assert 16 <= len(frame) <= 1000
