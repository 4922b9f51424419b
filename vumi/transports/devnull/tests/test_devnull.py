"""Tests for the transport to nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import yaml
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from vumi.errors import ConfigError
from vumi.middleware.base import TransportMiddleware
from vumi.tests.fake_amqp import FakeAMQPBroker
from vumi.tests.helpers import VumiTestCase
from vumi.transports.devnull import DevNullTransport
from vumi.transports.tests.helpers import TransportHelper

SAMPLE = Path(__file__).parents[4] / "config" / "transports" / "devnull.yaml"

HALF = {"ack_rate": 0.5, "failure_rate": 0.5, "reply_rate": 0.5}


class SlowFirst(TransportMiddleware):
    """Holds each first event until the test lets it go."""

    gate: ClassVar[Deferred[None]]

    def handle_publish_event(self, event: Any, connector_name: str) -> Any:
        return self.gate.addCallback(lambda _: event) if event["event_type"] == "ack" else event


class DevNullTests(VumiTestCase):
    """One message at a time, with chance put right."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.helper: Any = TransportHelper(DevNullTransport)
        # Timers are the test's: nobody waits for them.
        self.helper.worker_helper.broker = FakeAMQPBroker(self.clock)
        self.add_helper(self.helper)

    async def start(self, *chances: float, **config: Any) -> Any:
        transport = await self.helper.get_transport({**HALF, **config})
        if chances:
            transport.random = iter(chances).__next__
        return transport

    def events(self) -> list[tuple[str, str | None]]:
        """The events since the last call, each with its delivery status."""
        events = self.helper.get_dispatched_events()
        self.helper.clear_dispatched_events()
        return [(event["event_type"], event.get("delivery_status")) for event in events]

    async def test_chances_decide_what_becomes_of_a_message(self) -> None:
        transport = await self.start()
        ack, nack = ("ack", None), ("nack", None)
        delivered, failed = ("delivery_report", "delivered"), ("delivery_report", "failed")
        for chances, events, replies in (
            # Below the rate it happens.
            ((0.5,), [nack], 0),
            ((0.9,), [nack], 0),
            ((0.0, 0.5, 0.5), [ack, delivered], 0),
            ((0.4, 0.9, 0.4), [ack, delivered], 1),
            ((0.4, 0.4, 0.9), [ack, failed], 0),
            ((0.4, 0.0, 0.0), [ack, failed], 1),
        ):
            transport.random = iter(chances).__next__
            await self.helper.make_dispatch_outbound("hello")
            assert self.events() == events, chances
            assert len(self.helper.get_dispatched_inbound()) == replies, chances
            self.helper.clear_dispatched_inbound()

    async def test_a_rate_of_0_is_never_and_of_1_always(self) -> None:
        transport = await self.start(ack_rate=1, failure_rate=0, reply_rate="1.0")
        for chance in (0.0, 1 - 2**-53):
            transport.random = lambda chance=chance: chance
            await self.helper.make_dispatch_outbound("hello")
            assert self.events() == [("ack", None), ("delivery_report", "delivered")]
        assert len(self.helper.get_dispatched_inbound()) == 2

    async def test_events_are_about_the_message(self) -> None:
        await self.start(0.0, 0.9, 0.9, 0.0, 0.9, 0.9, 0.9)
        sent = [await self.helper.make_dispatch_outbound("hello") for _ in range(3)]
        ack, report, other_ack, _, nack = self.helper.get_dispatched_events()
        ids = [message["message_id"] for message in sent]
        assert [event["user_message_id"] for event in (ack, report)] == [ids[0]] * 2
        assert nack["user_message_id"] == ids[2]
        assert nack["nack_reason"] == "Not accepted by network"
        assert len({ack["sent_message_id"], other_ack["sent_message_id"], *ids}) == 5
        assert len(ack["sent_message_id"]) == 32

    async def test_an_answer_comes_from_who_was_written_to(self) -> None:
        for config, content in (({}, "hello"), ({"reply_copy": "thanks"}, "thanks")):
            transport = await self.start(0.0, 0.0, 0.0, transport_type="ussd", **config)
            await self.helper.make_dispatch_outbound("hello", from_addr="9292", to_addr="+41")
            [answer] = self.helper.get_dispatched_inbound()
            assert (answer["from_addr"], answer["to_addr"]) == ("+41", "9292")
            assert answer["content"] == content
            assert answer["provider"] == "devnull"
            assert answer["session_event"] is None
            assert answer["transport_type"] == "ussd"
            assert answer["transport_name"] == self.helper.transport_name
            self.helper.clear_dispatched_inbound()
            await self.helper.cleanup_worker(transport)

    async def test_a_report_may_come_later(self) -> None:
        await self.start(0.0, 0.9, 0.9, report_delay=2)
        await self.helper.make_dispatch_outbound("hello")
        assert self.events() == [("ack", None)]
        self.clock.advance(1.9)
        assert self.events() == []
        self.clock.advance(0.1)
        assert self.events() == [("delivery_report", "delivered")]

    async def test_reports_are_not_lost_when_the_transport_stops_before(self) -> None:
        transport = await self.start(0.0, 0.9, 0.9, 0.0, 0.0, 0.9, report_delay=2)
        for _ in range(2):
            await self.helper.make_dispatch_outbound("hello")
        self.events()
        await self.helper.cleanup_worker(transport)
        assert self.events() == [
            ("delivery_report", "delivered"),
            ("delivery_report", "failed"),
        ]
        assert not self.clock.getDelayedCalls()

    async def test_a_report_does_not_overtake_its_ack(self) -> None:
        SlowFirst.gate = Deferred()
        await self.start(0.0, 0.9, 0.9, middleware=[{"slow": f"{__name__}.SlowFirst"}])
        handled = self.helper.make_dispatch_outbound("hello")
        assert self.events() == []
        SlowFirst.gate.callback(None)
        await handled
        assert self.events() == [("ack", None), ("delivery_report", "delivered")]


class ConfigTests(VumiTestCase):
    """What may be configured, and what may not."""

    def test_the_sample_is_good(self) -> None:
        sample = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
        assert DevNullTransport.check_config(sample) == []

    def test_problems_are_told(self) -> None:
        for change, problem in (
            ({"ack_rate": 1.1}, "Field 'ack_rate' must be from 0 to 1."),
            ({"failure_rate": -0.1}, "Field 'failure_rate' must be from 0 to 1."),
            ({"reply_rate": "nan"}, "Field 'reply_rate' must be from 0 to 1."),
            ({"reply_rate": None}, "Field 'reply_rate' must be from 0 to 1."),
            ({"ack_rate": "often"}, "Field 'ack_rate' could not be converted to float."),
            ({"report_delay": -1}, "Field 'report_delay' must not be negative or infinite."),
            ({"report_delay": "inf"}, "Field 'report_delay' must not be negative or infinite."),
        ):
            with self.assertRaises(ConfigError) as caught:
                DevNullTransport({}, {"transport_name": "devnull", **HALF, **change})
            assert str(caught.exception) == problem

    def test_each_rate_is_required(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            DevNullTransport({}, {"transport_name": "devnull"})
        assert caught.exception.problems == tuple(
            f"Missing required config field '{name}'" for name in HALF
        )
