"""SMPP with somebody else's implementation, the npm package ``smpp``, in both directions."""

from __future__ import annotations

import json
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.utils import getProcessOutput
from twisted.trial.unittest import TestCase

from vumi.tests.local_server import LOOPBACK
from vumi.tests.servers import require
from vumi.transports.smpp.constants import CommandStatus, Tag
from vumi.transports.smpp.pdu import (
    DataSm,
    DeliverSm,
    Pdu,
    QuerySm,
    SubmitSm,
    decode,
    tlv,
)
from vumi.transports.smpp.pdu_base import Octet, Octets
from vumi.transports.smpp.service import SmppService
from vumi.transports.smpp.session import ResponseLost, ResponseTimeout, SessionSettings
from vumi.transports.smpp.smsc import SmscProtocolFactory
from vumi.transports.smpp.tests.node_peer import NodeCodec, NodeSmsc, node_esme_command
from vumi.transports.smpp.tests.pdus import PDU_CLASSES, pdus_of
from vumi.transports.smpp.tests.sessions import Counter
from vumi.transports.smpp.text import split
from vumi.transports.smpp.transitions import BindType, Event, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.python.failure import Failure

pytestmark = pytest.mark.integration

# Any: it has all of a reactor's interfaces.
reactor: Any = global_reactor

# The package reads times into dates, and has no octets beyond ASCII in texts.
TIMES = ("schedule_delivery_time", "validity_period", "final_date")
LIST_NAMES = {"dest_addresses": "dest_address", "unsuccess_smes": "unsuccess_sme"}
KNOWN_TLVS: list[tuple[int, int | str | bytes]] = [
    (Tag.user_message_reference, 0x1234),
    (Tag.qos_time_to_live, 0x12345678),
    (Tag.ussd_service_op, 17),
    (Tag.receipted_message_id, "1f"),
    (Tag.message_payload, b"\0payload\xff"),
    (Tag.sar_msg_ref_num, 0xFFFF),
    (Tag.sar_total_segments, 3),
    (Tag.message_state, 2),
    (Tag.network_error_code, b"\3\0\5"),
]


@st.composite
def comparable_pdus(draw: st.DrawFn) -> Pdu:
    """PDUs that the package and we have the same idea of."""
    pdu: Pdu = draw(st.sampled_from(PDU_CLASSES).flatmap(pdus_of))
    pdu.command_status = 0
    # The package has fields and parameters in one: query_sm_resp's message_state is both.
    names = {part.name for part in type(pdu).LAYOUT}
    pdu.tlvs = tuple(
        tlv(tag, value)
        for tag, value in draw(st.lists(st.sampled_from(KNOWN_TLVS), unique=True, max_size=3))
        if Tag(tag).name not in names
    )
    for part in type(pdu).LAYOUT:
        value = getattr(pdu, part.name)
        if part.name in TIMES:
            setattr(pdu, part.name, "")
        elif isinstance(value, str):
            setattr(pdu, part.name, plain(value))
        elif part.name in LIST_NAMES:
            setattr(pdu, part.name, tuple(map(plain_entry, value)))
    return pdu


def plain(text: str) -> str:
    return "".join(chr(ord(character) % 0x5E + 0x20) for character in text)


def plain_entry(entry: Any) -> Any:
    fields = entry_fields(entry)
    return type(entry)(
        **{
            name: plain(value) if isinstance(value, str) else value
            for name, value in fields.items()
        }
    )


def entry_fields(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__slots__}


def package_fields(pdu: Pdu) -> dict[str, Any]:
    """A PDU's fields under the package's names."""
    fields: dict[str, Any] = {"sequence_number": pdu.sequence_number}
    for part in type(pdu).LAYOUT:
        value = getattr(pdu, part.name)
        if part.name in LIST_NAMES:
            value = [entry_fields(entry) for entry in value]
        elif isinstance(part, Octets):
            value = {"hex": value.hex()}
        elif not isinstance(part, Octet):
            value = str(value)
        fields[LIST_NAMES.get(part.name, part.name)] = value
    for tag, octets in pdu.tlvs:
        known = dict(KNOWN_TLVS)[tag]
        fields[Tag(tag).name] = known if isinstance(known, int | str) else {"hex": octets.hex()}
    return fields


@pytest.fixture(scope="module")
def codec() -> Iterator[NodeCodec]:
    require(NodeSmsc)
    with NodeCodec() as codec:
        yield codec


def test_the_package_reads_what_we_write(codec: NodeCodec) -> None:
    @settings(max_examples=300)
    @given(comparable_pdus())
    def check(pdu: Pdu) -> None:
        read = codec.decode(pdu.encode())
        assert (read["command"], read["command_id"]) == (pdu.name, pdu.command_id)
        expected = package_fields(pdu)
        assert {name: read.get(name) for name in expected} == expected

    check()


def test_we_read_what_the_package_writes(codec: NodeCodec) -> None:
    @settings(max_examples=300)
    @given(comparable_pdus())
    def check(pdu: Pdu) -> None:
        pdu_read = decode(codec.encode(pdu.name, package_fields(pdu)))
        assert sorted(pdu_read.tlvs) == sorted(pdu.tlvs)
        pdu_read.tlvs = pdu.tlvs
        assert pdu_read == pdu

    check()


def test_a_vendors_parameter_and_status_are_the_same_for_both(codec: NodeCodec) -> None:
    pdu = DeliverSm(command_status=0x400, tlvs=((0x1501, b"vendor"),))
    read = codec.decode(pdu.encode())
    assert read["command_status"] == 0x400
    assert read[str(0x1501)] == {"hex": b"vendor".hex()}


class Peer:
    """A listener on both ends' connections: collects, and lets a test wait."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.requests: list[Any] = []
        self.notifications: list[Any] = []
        self.late: list[Any] = []
        self.password = "secret"
        self._waiters: list[tuple[Any, Deferred[None]]] = []

    async def until(self, happened: Any) -> None:
        """Wait until a callable gives something true."""
        if not happened():
            waiter: Deferred[None] = Deferred()
            self._waiters.append((happened, waiter))
            await waiter

    def _look(self) -> None:
        for pair in list(self._waiters):
            if pair[0]():
                self._waiters.remove(pair)
                # Not from within what has just been told.
                reactor.callLater(0, pair[1].callback, None)

    def state_changed(self, _: Any, old: State, new: State, event: Event, detail: Any) -> None:
        self.events.append(event)
        self._look()

    def request_received(self, *args: Any) -> Any:
        pdu = args[-1]
        self.requests.append(pdu)
        self._look()
        if isinstance(pdu, SubmitSm):
            connection = args[0]
            reactor.callLater(0, self.deliver, connection)
            return pdu.respond(message_id="our id")
        return None

    def deliver(self, connection: Any) -> None:
        pdu = DeliverSm(data_coding=8, short_message="\u0436".encode("utf-16-be"))
        connection.send_request(pdu, self.answered, self.answered)

    def answered(self, outcome: Any) -> None:
        self.late.append(outcome)
        self._look()

    def notification_received(self, *args: Any) -> None:
        self.notifications.append(args[-1])
        self._look()

    def late_response(self, *args: Any) -> None:
        self.late.append(args[-1])
        self._look()

    def has_room(self, *_: Any) -> None:
        self._look()

    def may_send(self, possible: bool) -> None:
        self._look()

    def connection_failed(self, bind: int, reason: Failure) -> None:
        self._look()

    def bind_requested(self, connection: Any, pdu: Any) -> int:
        good = pdu.password == self.password
        return CommandStatus.ESME_ROK if good else CommandStatus.ESME_RINVPASWD


class TestNodeSmsc(TestCase):
    """The package as SMSC, vumi as ESME."""

    timeout = 60

    def setUp(self) -> None:
        require(NodeSmsc)
        directory = tempfile.mkdtemp(prefix="vumi-smpp-smsc-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.smsc = NodeSmsc(directory)
        self.smsc.start()
        self.addCleanup(self.smsc.stop)
        self.peer = Peer()

    async def bind(self, binds: int = 1, **changes: Any) -> SmppService:
        service = SmppService(
            TCP4ClientEndpoint(reactor, LOOPBACK, self.smsc.port),
            SessionSettings(**{"system_id": "vumi", "password": "secret", **changes}),
            Counter(),
            self.peer,
            reactor,
            binds=binds,
            initial_reconnect_delay=0.05,
        )
        service.startService()
        self.addCleanup(service.stopService)
        if changes.get("password", "secret") == "secret":
            await self.peer.until(lambda: service.bound == binds)
        return service

    async def test_each_kind_of_bind(self) -> None:
        for bind_type in BindType:
            service = await self.bind(bind_type=bind_type)
            self.assertEqual(service.connections[0].state, f"BOUND_{bind_type.name}")
            await service.stopService()
            self.assertEqual(self.peer.events[-2:], [Event.UNBIND_ANSWERED, Event.LOST])

    async def test_a_wrong_password_is_refused(self) -> None:
        await self.bind(password="wrong")
        await self.peer.until(lambda: Event.BIND_REFUSED in self.peer.events)

    async def test_a_message_its_echo_and_its_report(self) -> None:
        service = await self.bind()
        response = await service.submit(
            SubmitSm(
                source_addr="12345",
                dest_addr_ton=1,
                destination_addr="27831234567",
                registered_delivery=1,
                short_message=b"hello",
            )
        )
        self.assertEqual((response.status_name, response.message_id), ("ESME_ROK", "1"))
        await self.peer.until(lambda: len(self.peer.requests) == 2)
        echo, report = self.peer.requests
        self.assertEqual(
            (echo.source_addr, echo.source_addr_ton, echo.short_message),
            ("27831234567", 1, b"hello"),
        )
        self.assertEqual(report.esm_class, 4)
        self.assertEqual(report.tlv_text(Tag.receipted_message_id), "1")
        self.assertEqual(report.tlv_int(Tag.message_state), 2)

    async def test_texts_in_every_mode_and_encoding_come_back_as_they_were(self) -> None:
        service = await self.bind()
        sent: list[bytes] = []
        for text in ("[x] 5\u20ac @\u00e0" * 20, "\u0436\U0001f600" * 80, "short"):
            for mode in ("udh8", "sar", "payload"):
                for segment in split(text, mode, reference=77):
                    await service.submit(
                        SubmitSm(
                            source_addr="1",
                            destination_addr="2",
                            esm_class=segment.esm_class,
                            data_coding=segment.data_coding,
                            short_message=segment.short_message,
                            tlvs=segment.tlvs,
                        )
                    )
                    sent.append(segment.short_message or dict(segment.tlvs)[Tag.message_payload])
        await self.peer.until(lambda: len(self.peer.requests) == len(sent))
        echoes = [pdu.short_message or pdu.tlv(Tag.message_payload) for pdu in self.peer.requests]
        self.assertEqual(echoes, sent)

    async def test_refusals_of_all_kinds(self) -> None:
        service = await self.bind(response_timeout=0.2)
        statuses = []
        for destination in ("throttled", "throttled", "throttled", "vendor"):
            response = await service.submit(SubmitSm(destination_addr=destination))
            statuses.append(response.status_name)
        self.assertEqual(
            statuses, ["ESME_RTHROTTLED", "ESME_RTHROTTLED", "ESME_ROK", "0x00000400"]
        )
        with self.assertRaises(ResponseTimeout):
            await service.submit(SubmitSm(destination_addr="silent"))

    async def test_other_requests_and_notifications(self) -> None:
        service = await self.bind()
        response = await service.submit(DataSm(destination_addr="2"))
        self.assertEqual(response.message_id, "data")
        response = await service.submit(QuerySm(message_id="x"))
        self.assertEqual((response.message_id, response.message_state), ("x", 2))
        await service.submit(SubmitSm(destination_addr="alert"))
        await self.peer.until(lambda: self.peer.notifications)
        self.assertEqual(self.peer.notifications[0].source_addr, "27831234567")

    async def test_an_unbind_or_a_cut_of_the_smsc_leads_to_a_new_bind(self) -> None:
        service = await self.bind()
        first = service.connections[0]
        await service.submit(SubmitSm(destination_addr="unbind"))
        await self.peer.until(lambda: self.peer.events.count(Event.BIND_ACCEPTED) == 2)
        self.assertIn(Event.UNBIND_RECEIVED, self.peer.events)
        self.assertIsNot(service.connections[0], first)
        with self.assertRaises(ResponseLost):
            await service.submit(SubmitSm(destination_addr="cut"))
        await self.peer.until(lambda: self.peer.events.count(Event.BIND_ACCEPTED) == 3)

    async def test_a_full_window_over_several_binds(self) -> None:
        service = await self.bind(binds=3, window_size=10)
        left, outcomes = 300, []

        def send() -> None:
            nonlocal left
            while left and service.can_send:
                left -= 1
                service.send_request(SubmitSm(destination_addr="2"), answered, answered)

        def answered(outcome: Any) -> None:
            outcomes.append(outcome)
            send()
            self.peer._look()

        send()
        self.assertEqual(service.in_flight, 30)
        await self.peer.until(lambda: len(outcomes) == 300 and len(self.peer.requests) == 300)
        self.assertEqual({pdu.status_name for pdu in outcomes}, {"ESME_ROK"})
        self.assertEqual(len({pdu.message_id for pdu in outcomes}), 300)


class TestNodeEsme(TestCase):
    """The package as ESME, vumi as SMSC."""

    timeout = 60

    def setUp(self) -> None:
        require(NodeSmsc)
        self.peer = Peer()
        factory = SmscProtocolFactory(
            SessionSettings(system_id="vumi"), Counter(), self.peer, reactor
        )
        self.port = reactor.listenTCP(0, factory, interface=LOOPBACK)
        self.addCleanup(self.port.stopListening)

    async def talk(self, password: str) -> dict[str, Any]:
        program, *arguments = node_esme_command(self.port.getHost().port, password)
        output = await getProcessOutput(program, arguments, env=None, errortoo=True)
        told: dict[str, Any] = json.loads(output)
        # What the SMSC does on its end of the connection may come after that.
        await self.peer.until(lambda: Event.LOST in self.peer.events)
        return told

    async def test_a_whole_conversation(self) -> None:
        self.assertEqual(
            await self.talk("secret"),
            {
                "bound": 0,
                "smsc": "vumi",
                "link": 0,
                "message_id": "our id",
                "text": "\u0436",
                "unbound": 0,
            },
        )
        (message,) = self.peer.requests
        self.assertEqual(message.destination_addr, "27831234567")
        self.assertEqual(message.short_message.decode("utf-16-be"), "h\u00e9 \u0436 \U0001f600")
        self.assertEqual(message.tlv_int(Tag.user_message_reference), 0x1234)
        (answer,) = self.peer.late
        self.assertEqual(answer.status_name, "ESME_RX_T_APPN")
        self.assertIn(Event.UNBIND_RECEIVED, self.peer.events)

    async def test_a_wrong_password(self) -> None:
        told = await self.talk("wrong")
        self.assertEqual(told["bound"], CommandStatus.ESME_RINVPASWD)
        self.assertEqual(self.peer.requests, [])
