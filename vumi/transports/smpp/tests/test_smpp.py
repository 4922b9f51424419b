"""The life of the transports: binds, statuses, and what is old."""

from __future__ import annotations

import warnings
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.testing import MemoryReactorClock

from vumi.tests.helpers import WorkerHelper
from vumi.transports.smpp.constants import CommandId
from vumi.transports.smpp.constants import CommandStatus as Status
from vumi.transports.smpp.deprecated.service import SmppService
from vumi.transports.smpp.deprecated.transport import SmppTransport
from vumi.transports.smpp.smpp import (
    SmppReceiverTransport,
    SmppTransceiverTransport,
    SmppTransmitterTransport,
)
from vumi.transports.smpp.tests.fake_smsc import SmppTestCase


class TestLink(SmppTestCase):
    async def test_the_bind(self) -> None:
        await self.start(system_type="VMA", address_range="^92", password="123456789")
        (bind,) = self.smsc.binds
        self.assertEqual(bind.command_id, CommandId.bind_transceiver)
        self.assertEqual(
            (bind.system_id, bind.password, bind.system_type, bind.interface_version),
            ("me", "12345678", "VMA", 0x34),
        )
        self.assertEqual((bind.addr_ton, bind.addr_npi, bind.address_range), (0, 0, "^92"))

    async def test_kinds_of_binds(self) -> None:
        for cls, command in (
            (SmppReceiverTransport, CommandId.bind_receiver),
            (SmppTransmitterTransport, CommandId.bind_transmitter),
            (SmppTransceiverTransport, CommandId.bind_transceiver),
        ):
            config = self.config(transport_name=f"smpp{command}")
            await self.get(self.helper.get_transport(config, cls=cls))
            await self.until(lambda: self.smsc.binds)
            self.assertEqual(self.smsc.binds.pop().command_id, command)

    async def test_several_binds_share_the_messages(self) -> None:
        await self.start(binds=3, window_size=2)
        for user in range(6):
            await self.send(to_addr=f"+2{user}")
        by = [connection for connection, _, _ in self.smsc.unanswered]
        self.assertEqual([by.count(connection) for connection in self.smsc.connections], [2] * 3)
        numbers = [pdu.sequence_number for pdu in self.smsc.submitted]
        self.assertEqual(len(set(numbers)), 6)

    async def test_one_bind_of_several_may_be_lost(self) -> None:
        await self.start(binds=2, initial_reconnect_delay=1000)
        self.smsc.connections[0].transport.loseConnection()
        await self.settle()
        self.assertEqual(self.statuses()[-1], ("degraded", "connection_lost"))
        self.smsc.accept_all()
        message = await self.send()
        self.assertEqual(self.events(), [("ack", message["message_id"], "id-1")])

    async def test_statuses_from_the_start_to_the_end_of_a_connection(self) -> None:
        await self.start(initial_reconnect_delay=5)
        self.smsc.connections[0].transport.loseConnection()
        await self.settle()
        self.assertEqual(
            self.statuses(),
            [
                ("down", "starting"),
                ("down", "binding"),
                ("ok", "bound"),
                ("down", "connection_lost"),
            ],
        )
        await self.advance(20)
        self.assertEqual(self.statuses()[4:], [("down", "binding"), ("ok", "bound")])

    async def test_statuses_of_a_bind_that_is_refused(self) -> None:
        self.smsc.bind_status = Status.ESME_RINVPASWD
        await self.get(self.helper.get_transport(self.config(initial_reconnect_delay=1000)))
        await self.until(lambda: len(self.statuses()) == 4)
        self.assertEqual(
            self.statuses()[2:], [("down", "bind_refused"), ("down", "connection_lost")]
        )
        status = self.helper.get_dispatched_statuses()[2]
        self.assertEqual(status["message"], "Unable to bind: ESME_RINVPASWD")

    async def test_statuses_of_a_bind_that_is_not_answered(self) -> None:
        self.smsc.bind_requested = lambda *_: None  # type: ignore[method-assign]  # says nothing
        await self.get(
            self.helper.get_transport(
                self.config(smpp_bind_timeout=10, initial_reconnect_delay=1000)
            )
        )
        await self.until(lambda: len(self.statuses()) == 2)
        await self.advance(10)
        self.assertEqual(self.statuses()[2], ("down", "bind_timeout"))

    async def test_an_unbind_of_the_smscs_was_ignored(self) -> None:
        await self.start(initial_reconnect_delay=5)
        self.smsc.connections[0].session.stop()
        await self.settle()
        self.assertEqual(self.statuses()[3:], [("down", "unbinding"), ("down", "connection_lost")])
        await self.send()
        self.assertEqual(self.smsc.submitted, [])
        await self.advance(30)
        self.assertEqual(len(self.smsc.submitted), 1)

    async def test_nothing_is_left_behind(self) -> None:
        transport = await self.start()
        over: list[Any] = []
        self.helper.worker_helper.cleanup_worker(transport).addBoth(over.append)

        def is_over() -> list[Any]:
            self.clock.advance(0.1)
            return over

        await self.until(is_over)
        self.assertEqual(self.smsc.connections, [])
        await self.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TestOldTransport(SmppTestCase):
    transport_class = SmppTransport

    async def start(self, **config: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            return await super().start(**config)

    async def test_its_flat_options_work(self) -> None:
        await self.start(submit_sm_encoding="ucs2", submit_sm_data_coding=8)
        await self.send("hi")
        (pdu,) = self.smsc.submitted
        self.assertEqual((pdu.short_message, pdu.data_coding), (b"\0h\0i", 8))

    async def test_the_sender_is_chosen_by_the_operator(self) -> None:
        await self.start(
            COUNTRY_CODE="27",
            OPERATOR_PREFIX={"2782": "VODACOM", "2783": "MTN"},
            OPERATOR_NUMBER={"VODACOM": "8000", "MTN": "9000"},
        )
        for to_addr in ("27821234567", "0831234567", "27111234567"):
            await self.send(to_addr=to_addr, from_addr="9292")
        self.assertEqual(
            [pdu.source_addr for pdu in self.smsc.submitted], ["8000", "9000", "9292"]
        )


class TestToySmsc(SmppTestCase):
    async def test_it_takes_messages_and_reports_them(self) -> None:
        workers = self.add_helper(WorkerHelper(broker=self.helper.worker_helper.broker))
        reactor = MemoryReactorClock()
        endpoint = TCP4ServerEndpoint(reactor, 0)
        await self.get(workers.get_worker(SmppService, {"twisted_endpoint": endpoint}))
        # The transport's connections end at the toy instead of at the fake SMSC.
        self.smsc.server.server_factory = reactor.tcpServers[0][1]
        await self.get(self.helper.get_transport(self.config()))
        await self.until(lambda: ("ok", "bound") in self.statuses())
        message = await self.send("hello")
        refused = await self.send("ESME_RINVDSTADR please")
        await self.until(lambda: len(self.events()) == 3)
        self.assertEqual(
            self.events(),
            [
                ("ack", message["message_id"], "1"),
                ("delivery_report", message["message_id"], "delivered"),
                ("nack", refused["message_id"], "ESME_RINVDSTADR"),
            ],
        )
