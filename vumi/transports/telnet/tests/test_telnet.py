"""Tests for the telnet transports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import yaml
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.task import Clock

from vumi.errors import ConfigError, StoreUnavailable
from vumi.middleware.base import TransportMiddleware
from vumi.tests.fake_amqp import FakeAMQPBroker
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.transports.telnet import AddressedTelnetServerTransport, TelnetServerTransport
from vumi.transports.telnet.tests.clients import MemoryClient, MemoryEndpoint, TcpClient
from vumi.transports.tests.helpers import TransportHelper

SAMPLE = Path(__file__).parents[4] / "config" / "transports" / "telnet.yaml"

NEW, RESUME, CLOSE = "new", "resume", "close"


class Gatekeeper(TransportMiddleware):
    """Lets a message through to the broker when the test says so."""

    waiting: ClassVar[list[Deferred[None]]] = []

    def handle_publish_inbound(self, message: Any, connector_name: str) -> Deferred[Any]:
        gate: Deferred[None] = Deferred()
        self.waiting.append(gate)
        return gate.addCallback(lambda _: message)


BEHIND_A_GATE = {"middleware": [{"gate": f"{__name__}.Gatekeeper"}]}


class TelnetCase(VumiTestCase):
    """A transport whose clients have no sockets."""

    transport_class: type[TelnetServerTransport] = TelnetServerTransport

    def setUp(self) -> None:
        self.clock = Clock()
        self.helper: Any = TransportHelper(self.transport_class, transport_type="telnet")
        # Timers are the test's: nobody waits for them.
        self.helper.worker_helper.broker = FakeAMQPBroker(self.clock)
        self.add_helper(self.helper)
        Gatekeeper.waiting = []
        self.addCleanup(setattr, Gatekeeper, "waiting", [])

    async def start(self, *peers: Any, **config: Any) -> Any:
        self.endpoint = MemoryEndpoint(*peers)
        transport = await self.helper.get_transport({"twisted_endpoint": self.endpoint, **config})
        return transport

    async def stopped(self, transport: Any) -> None:
        await self.helper.cleanup_worker(transport)

    def connect(self) -> MemoryClient:
        return self.endpoint.connect()

    def published(self) -> list[tuple[str | None, str | None]]:
        """The session events and texts that were published since the last call."""
        messages = self.helper.get_dispatched_inbound()
        self.helper.clear_dispatched_inbound()
        return [(message["session_event"], message["content"]) for message in messages]

    async def reply(self, content: str | None, to: str | None = "10.0.0.9:5001", **kw: Any) -> Any:
        """Send a message to a client; returns the only event about it."""
        self.helper.clear_dispatched_events()
        message = await self.helper.make_dispatch_outbound(content, to_addr=to, **kw)
        [event] = self.helper.get_dispatched_events()
        assert event["user_message_id"] == message["message_id"]
        return event


class InboundTests(TelnetCase):
    """What a client does, and what is published of it."""

    async def test_a_connection_is_a_session(self) -> None:
        await self.start()
        client = self.connect()
        client.send(b"hello\r\n")
        client.hang_up()
        messages = self.helper.get_dispatched_inbound()
        assert [(m["session_event"], m["content"]) for m in messages] == [
            (NEW, None),
            (RESUME, "hello"),
            (CLOSE, None),
        ]
        for message in messages:
            assert message["from_addr"] == "10.0.0.9:5001"
            assert message["to_addr"] == "10.0.0.1:9010"
            assert message["transport_name"] == self.helper.transport_name
            assert message["transport_type"] == "telnet"
            assert message["transport_metadata"] == {}
            assert message["provider"] is None

    async def test_config_gives_the_messages_their_address_and_type(self) -> None:
        await self.start(to_addr="9292", transport_type="ussd")
        self.connect()
        [message] = self.helper.get_dispatched_inbound()
        assert (message["to_addr"], message["transport_type"]) == ("9292", "ussd")

    async def test_clients_without_host_and_port_have_addresses_of_their_own(self) -> None:
        await self.start(UNIXAddress(b""), UNIXAddress(b""))
        for _ in range(2):
            self.connect()
        messages = self.helper.get_dispatched_inbound()
        assert [message["from_addr"] for message in messages] == ["client-1", "client-2"]

    async def test_what_a_client_sends_becomes_lines(self) -> None:
        await self.start(max_line_length=20)
        for chunks, contents in (
            ([b"one\r\n"], ["one"]),
            ([b"one\r\ntwo\r\n"], ["one", "two"]),
            ([b"o", b"ne\r", b"\ntw", b"o\n"], ["one", "two"]),
            ([b"\r\n"], [""]),
            ([b"  spaces stay \r\n"], ["  spaces stay "]),
            ([b"Z\xc3\xbcrich\r\n", b"Z\xfcrich\r\n"], ["Zürich", "Zürich"]),
            ([b"not yet"], []),
            ([b"a\xff\xf1b\r\n"], ["ab"]),
            ([b"/quite\r\n"], ["/quite"]),
        ):
            client = self.connect()
            client.send(*chunks)
            expected = [(NEW, None), *((RESUME, content) for content in contents)]
            assert self.published() == expected, chunks
            client.hang_up(ConnectionLost)
            assert self.published() == [(CLOSE, None)], chunks

    async def test_a_last_line_without_an_end_counts_if_the_client_closed(self) -> None:
        await self.start()
        client = self.connect()
        client.send(b"one\ntwo")
        client.hang_up()
        assert self.published() == [(NEW, None), (RESUME, "one"), (RESUME, "two"), (CLOSE, None)]

    async def test_half_a_line_is_nothing_if_the_connection_broke(self) -> None:
        await self.start()
        for sent, reason in ((b"tw", ConnectionLost), (b"tw\xff", None)):
            client = self.connect()
            client.send(sent)
            client.hang_up(*([reason] if reason else []))
            assert self.published() == [(NEW, None), (CLOSE, None)]

    async def test_quit_closes_the_connection(self) -> None:
        await self.start()
        for sent in (b"/quit\r\n", b"/QUIT\r\n", b"/quit \r\n", b"/quit\r\nmore\r\n"):
            client = self.connect()
            client.send(sent)
            assert client.disconnecting, sent
            client.hang_up()
            assert self.published() == [(NEW, None), (CLOSE, None)], sent

    async def test_a_line_that_is_too_long_ends_the_connection_with_a_word(self) -> None:
        await self.start(max_line_length=5)
        client = self.connect()
        client.send(b"12345\r\n123456", b"78\r\nmore\r\n")
        assert client.seen() == "Line too long (at most 5 bytes). Goodbye.\r\n"
        assert client.disconnecting
        client.hang_up()
        assert self.published() == [(NEW, None), (RESUME, "12345"), (CLOSE, None)]

    async def test_what_is_no_telnet_ends_the_connection(self) -> None:
        await self.start()
        client = self.connect()
        with LogCatcher(message="no valid telnet") as catcher:
            client.send(b"one\r\n\xff\x00two\r\n")
        assert len(catcher.messages()) == 1
        assert client.disconnecting
        client.hang_up()
        assert self.published() == [(NEW, None), (RESUME, "one"), (CLOSE, None)]


class OutboundTests(TelnetCase):
    """Messages to clients."""

    async def test_a_text_is_shown_and_acked(self) -> None:
        await self.start()
        client = self.connect()
        for content, shown in (
            ("hello", "hello\r\n"),
            ("one\ntwo", "one\r\ntwo\r\n"),
            ("one\r\ntwo\r\n", "one\r\ntwo\r\n"),
            ("Zürich", "Zürich\r\n"),
            ("", "\r\n"),
            (None, "\r\n"),
        ):
            event = await self.reply(content)
            assert event["event_type"] == "ack"
            assert event["sent_message_id"] == event["user_message_id"]
            assert client.seen() == shown
        assert not client.disconnecting

    async def test_a_text_is_shown_to_nobody_else(self) -> None:
        await self.start()
        first, second = self.connect(), self.connect()
        await self.reply("hello", to="10.0.0.9:5002")
        assert (first.seen(), second.seen()) == ("", "hello\r\n")

    async def test_a_reply_goes_back_to_who_wrote(self) -> None:
        await self.start()
        client = self.connect()
        [message] = self.helper.get_dispatched_inbound()
        await self.helper.make_dispatch_reply(message, "Welcome.")
        assert client.seen() == "Welcome.\r\n"

    async def test_close_ends_the_session_after_the_text(self) -> None:
        await self.start()
        client = self.connect()
        client.stuck = True
        event = await self.reply("Goodbye.", session_event="close")
        assert event["event_type"] == "ack"
        assert client.seen() == "Goodbye.\r\n"
        assert client.disconnecting
        client.send(b"wait\r\n")
        client.hang_up()
        assert self.published() == [(NEW, None), (CLOSE, None)]

    async def test_an_unknown_address_is_nacked_and_nobody_else_reads_the_text(self) -> None:
        await self.start()
        client = self.connect()
        for address in ("10.0.0.9:1", None):
            event = await self.reply("secret", to=address)
            assert (event["event_type"], event["nack_reason"]) == ("nack", "Unknown address.")
        assert client.seen() == ""
        assert self.helper.get_dispatched_failures() == []

    async def test_the_old_broadcast_is_there_for_who_wants_it(self) -> None:
        await self.start(broadcast_unknown_addr=True)
        clients = [self.connect(), self.connect()]
        event = await self.reply("hello", to="nobody")
        assert event["nack_reason"] == "Unknown address."
        for client in clients:
            assert client.seen() == "UNKNOWN ADDR [nobody]: hello\r\n"

    async def test_who_is_gone_or_going_is_nobody(self) -> None:
        await self.start()
        gone, going = self.connect(), self.connect()
        gone.hang_up()
        going.stuck = True
        going.send(b"/quit\r\n")
        for address in ("10.0.0.9:5001", "10.0.0.9:5002"):
            event = await self.reply("hello", to=address)
            assert event["event_type"] == "nack"
        assert (gone.seen(), going.seen()) == ("", "")
        going.hang_up()

    async def test_who_does_not_take_his_last_words_is_cut_off(self) -> None:
        transport = await self.start()
        client = self.connect()
        client.stuck = True
        await self.reply("Goodbye.", session_event="close")
        self.clock.advance(transport.close_timeout - 0.1)
        assert not client.disconnected
        self.clock.advance(0.1)
        assert client.disconnected
        await self.helper.wait_for_dispatched_inbound(2)
        assert client.closed is ConnectionAborted
        assert self.published() == [(NEW, None), (CLOSE, None)]


class UnreadTests(TelnetCase):
    """Clients that do not read what is sent to them, or say nothing."""

    def choke(self, client: MemoryClient) -> None:
        """The socket is full, as the client doesn't read."""
        producer: Any = client.producer
        producer.pauseProducing()

    async def test_a_client_that_does_not_read_is_cut_off_and_the_message_nacked(self) -> None:
        await self.start(max_unread=1000)
        client, other = self.connect(), self.connect()
        assert (await self.reply("a" * 5000))["event_type"] == "ack", "one text of any size"
        client.clear()
        self.choke(client)
        assert (await self.reply("a" * 5000))["event_type"] == "nack"
        assert client.disconnected
        assert client.value() == b""
        event = await self.reply("hello")
        assert event["nack_reason"] in (
            "Unknown address.",
            "The client does not read what is sent to it.",
        )
        assert (await self.reply("hello", to="10.0.0.9:5002"))["event_type"] == "ack"
        other.hang_up()

    async def test_what_waits_is_counted_until_the_client_reads(self) -> None:
        await self.start(max_unread=1000)
        client = self.connect()
        self.choke(client)
        for _ in range(4):
            assert (await self.reply("a" * 198))["event_type"] == "ack"
        producer: Any = client.producer
        producer.resumeProducing()
        for _ in range(20):
            assert (await self.reply("a" * 198))["event_type"] == "ack"
        self.choke(client)
        events = [(await self.reply("a" * 198))["event_type"] for _ in range(6)]
        assert "nack" in events
        assert events == sorted(events)

    async def test_answers_to_commands_are_bounded_too(self) -> None:
        await self.start(max_unread=1000)
        client = self.connect()
        self.choke(client)
        client.send(*[b"\xff\xfd\x01"] * 1000)
        assert client.disconnected
        assert len(client.value()) <= 1000

    async def test_a_broadcast_leaves_out_who_does_not_read(self) -> None:
        await self.start(max_unread=20, broadcast_unknown_addr=True)
        deaf, other = self.connect(), self.connect()
        self.choke(deaf)
        await self.reply("hello", to="nobody")
        assert (deaf.seen(), other.seen()) == ("", "UNKNOWN ADDR [nobody]: hello\r\n")
        deaf.hang_up()
        other.hang_up()

    async def test_a_client_that_is_silent_for_too_long_is_disconnected(self) -> None:
        await self.start(idle_timeout=100)
        talks, listens, silent = self.connect(), self.connect(), self.connect()
        self.clock.advance(60)
        talks.send(b"hello\r\n")
        await self.reply("hello", to="10.0.0.9:5002")
        self.clock.advance(60)
        assert silent.disconnecting
        assert silent.seen() == "You have been silent for too long. Goodbye.\r\n"
        assert not talks.disconnecting
        assert not listens.disconnecting
        self.clock.advance(60)
        assert talks.disconnecting
        assert listens.disconnecting

    async def test_silence_may_be_allowed(self) -> None:
        await self.start(idle_timeout=0)
        client = self.connect()
        self.clock.advance(1_000_000)
        assert not client.disconnecting
        client.hang_up()


class WaitingTests(TelnetCase):
    """When publishing takes its time."""

    def let_through(self, number: int = 1) -> None:
        for _ in range(number):
            Gatekeeper.waiting.pop(0).callback(None)

    async def test_a_clients_messages_stay_in_order(self) -> None:
        await self.start(**BEHIND_A_GATE)
        client = self.connect()
        client.send(b"one\r\ntwo\r\n")
        assert len(Gatekeeper.waiting) == 1, "the second must not be able to overtake the first"
        self.let_through()
        self.let_through()
        self.let_through()
        assert self.published() == [(NEW, None), (RESUME, "one"), (RESUME, "two")]
        client.hang_up()
        self.let_through()

    async def test_messages_have_the_time_they_came_and_an_id_from_then(self) -> None:
        await self.start(**BEHIND_A_GATE)
        client = self.connect()
        client.hang_up()
        self.let_through()
        self.let_through()
        new, close = self.helper.get_dispatched_inbound()
        assert new["message_id"] != close["message_id"]
        assert new["timestamp"] <= close["timestamp"]

    async def test_clients_do_not_wait_for_each_other(self) -> None:
        await self.start(**BEHIND_A_GATE)
        clients = [self.connect(), self.connect()]
        assert len(Gatekeeper.waiting) == 2
        for client in clients:
            client.hang_up()
        self.let_through(2)
        self.let_through(2)

    async def test_a_client_with_too_much_waiting_is_not_read_from(self) -> None:
        transport = await self.start(**BEHIND_A_GATE)
        transport.max_unconfirmed = 4
        client, other = self.connect(), self.connect()
        client.send(b"1\r\n2\r\n3\r\n")
        assert client.producerState == "producing"
        client.send(b"4\r\n")
        assert client.producerState == "paused"
        assert other.producerState == "producing"
        # The other one's first message is the second at the gate.
        states = []
        while Gatekeeper.waiting:
            self.let_through()
            states.append(client.producerState)
        assert states.count("paused") == 3, states
        assert client.producerState == "producing"
        for each in (client, other):
            each.hang_up()
        self.let_through(2)

    async def test_lines_wait_for_a_store_that_is_away(self) -> None:
        await self.start(**BEHIND_A_GATE)
        client = self.connect()
        self.let_through()
        client.send(b"one\r\ntwo\r\n")
        for _ in range(5):
            Gatekeeper.waiting.pop(0).errback(StoreUnavailable("Redis is away."))
            assert not Gatekeeper.waiting
            self.clock.advance(30)
        self.let_through(1)
        self.let_through(1)
        assert self.published() == [(NEW, None), (RESUME, "one"), (RESUME, "two")]
        assert client.seen() == ""
        client.hang_up()
        self.let_through()

    async def test_a_client_is_told_of_a_line_that_can_not_be_published(self) -> None:
        await self.start(**BEHIND_A_GATE)
        client = self.connect()
        self.let_through()
        client.send(b"one\r\n")
        Gatekeeper.waiting.pop(0).errback(ValueError("broken middleware"))
        assert client.seen() == "Your message could not be taken. Please try again.\r\n"
        assert len(self.flushLoggedErrors(ValueError)) == 1
        client.hang_up()
        self.let_through()

    async def test_one_that_can_not_be_published_is_told_and_the_next_is_published(self) -> None:
        await self.start(**BEHIND_A_GATE)
        client = self.connect()
        client.hang_up()
        with LogCatcher() as catcher:
            Gatekeeper.waiting.pop(0).errback(ValueError("broken middleware"))
        self.let_through()
        assert self.published() == [(CLOSE, None)]
        [event] = catcher.errors
        assert event["from_addr"] == "10.0.0.9:5001"
        assert event["message_id"] in event["log_format"].format(**event)
        self.flushLoggedErrors(ValueError)


class StoppingTests(TelnetCase):
    """The transport's own end."""

    async def test_all_clients_are_disconnected_and_their_sessions_closed(self) -> None:
        transport = await self.start()
        clients = [self.connect(), self.connect()]
        await self.stopped(transport)
        assert all(client.closed for client in clients)
        assert not self.endpoint.listening
        assert self.published() == [(NEW, None)] * 2 + [(CLOSE, None)] * 2

    async def test_the_last_messages_are_waited_for(self) -> None:
        transport = await self.start(**BEHIND_A_GATE)
        self.connect()
        stopped = Deferred.fromCoroutine(self.stopped(transport))
        for _ in range(2):
            while not Gatekeeper.waiting:
                await self.helper.kick_delivery()
            assert not stopped.called
            Gatekeeper.waiting.pop(0).callback(None)
        await stopped
        assert self.published() == [(NEW, None), (CLOSE, None)]

    async def test_but_not_for_ever(self) -> None:
        transport = await self.start(drain_timeout=3, **BEHIND_A_GATE)
        client = self.connect()
        stopped = Deferred.fromCoroutine(self.stopped(transport))
        while not client.closed:
            await self.helper.kick_delivery()
        with LogCatcher(message="given up") as catcher:
            self.clock.advance(3)
            await stopped
        [words] = catcher.messages()
        assert words.endswith("given up: 2")

    async def test_who_does_not_go_is_cut_off(self) -> None:
        transport = await self.start()
        client = self.connect()
        client.stuck = True
        stopped = Deferred.fromCoroutine(self.stopped(transport))
        while not client.disconnected:
            self.clock.advance(1)
            await self.helper.kick_delivery()
        await stopped
        assert client.closed is ConnectionAborted

    async def test_who_is_going_already_is_not_given_more_time(self) -> None:
        transport = await self.start()
        client = self.connect()
        client.stuck = True
        client.send(b"/quit\r\n")
        self.clock.advance(transport.close_timeout - 0.1)
        stopped = Deferred.fromCoroutine(self.stopped(transport))
        await self.helper.kick_delivery()
        self.clock.advance(0.1)
        assert client.disconnected
        await stopped
        assert self.published() == [(NEW, None), (CLOSE, None)]

    async def test_it_can_be_set_up_again(self) -> None:
        transport = await self.start()
        self.connect()
        await transport.teardown_transport()
        assert not self.clock_is_used_by(transport)
        await transport.setup_transport()
        self.published()
        client = self.connect()
        assert self.published() == [(NEW, None)]
        await self.reply("hello", to="10.0.0.9:5002")
        assert client.seen() == "hello\r\n"

    def clock_is_used_by(self, transport: Any) -> bool:
        heartbeats = {transport._hb_pub and transport._hb_pub._task.call}
        return bool(set(self.clock.getDelayedCalls()) - heartbeats)


class StatusTests(TelnetCase):
    """What is told of the server."""

    async def test_that_it_listens_is_published_if_asked_for(self) -> None:
        await self.start(publish_status=True)
        [status] = self.helper.get_dispatched_statuses()
        assert (status["component"], status["status"], status["type"]) == (
            "server",
            "ok",
            "listening",
        )
        assert status["message"] == "Listening on 10.0.0.1:9010"


class AddressedTests(TelnetCase):
    """Clients that choose their addresses."""

    transport_class = AddressedTelnetServerTransport

    TO_PROMPT = 'Please provide "to_addr":\r\n'
    FROM_PROMPT = 'Please provide "from_addr":\r\n'

    def addresses(self) -> list[tuple[str, str, str, str | None]]:
        messages = self.helper.get_dispatched_inbound()
        return [(m["from_addr"], m["to_addr"], m["session_event"], m["content"]) for m in messages]

    async def test_the_dialogue(self) -> None:
        await self.start()
        client = self.connect()
        assert client.seen() == self.TO_PROMPT
        client.send(b"9292\r\n")
        assert client.seen() == self.FROM_PROMPT
        assert self.addresses() == []
        client.send(b"+27831234567\r\n")
        assert client.seen() == "[Sending all messages to: 9292 and from: +27831234567]\r\n"
        client.send(b"hello\r\n")
        await self.reply("hi", to="+27831234567")
        assert client.seen() == "hi\r\n"
        client.hang_up()
        assert self.addresses() == [
            ("+27831234567", "9292", NEW, None),
            ("+27831234567", "9292", RESUME, "hello"),
            ("+27831234567", "9292", CLOSE, None),
        ]

    async def test_an_empty_answer_is_asked_for_again(self) -> None:
        await self.start()
        client = self.connect()
        client.send(b"\r\n  \r\n9292\r\n\r\n \r\njo\r\n")
        assert client.seen() == (
            self.TO_PROMPT * 3
            + self.FROM_PROMPT * 3
            + "[Sending all messages to: 9292 and from: jo]\r\n"
        )

    async def test_each_client_has_its_own_addresses(self) -> None:
        await self.start(to_addr="unused")
        first, second = self.connect(), self.connect()
        first.send(b"111\r\njo\r\n")
        second.send(b"222\r\nmo\r\n")
        first.send(b"one\r\n")
        second.send(b"two\r\n")
        assert [entry for entry in self.addresses() if entry[2] == RESUME] == [
            ("jo", "111", RESUME, "one"),
            ("mo", "222", RESUME, "two"),
        ]

    async def test_an_address_that_is_in_use_is_refused_until_it_is_free(self) -> None:
        await self.start()
        first, second = self.connect(), self.connect()
        first.send(b"111\r\njo\r\n")
        second.send(b"222\r\n")
        second.seen()
        second.send(b"jo\r\n")
        assert second.seen() == (
            'The from_addr "jo" is in use by somebody else. Please choose another.\r\n'
            + self.FROM_PROMPT
        )
        first.hang_up()
        second.send(b"jo\r\nhello\r\n")
        assert self.addresses() == [
            ("jo", "111", NEW, None),
            ("jo", "111", CLOSE, None),
            ("jo", "222", NEW, None),
            ("jo", "222", RESUME, "hello"),
        ]

    async def test_who_takes_over_an_address_does_not_overtake_who_had_it(self) -> None:
        await self.start(**BEHIND_A_GATE)
        first, second = self.connect(), self.connect()
        first.send(b"111\r\njo\r\n")
        first.hang_up()
        second.send(b"222\r\njo\r\n")
        assert len(Gatekeeper.waiting) == 1
        for _ in range(3):
            Gatekeeper.waiting.pop(0).callback(None)
        assert [entry[1:3] for entry in self.addresses()] == [
            ("111", NEW),
            ("111", CLOSE),
            ("222", NEW),
        ]
        second.hang_up()
        Gatekeeper.waiting.pop(0).callback(None)

    async def test_quit_at_any_time(self) -> None:
        await self.start()
        for sent, published in (
            (b"/quit\r\n", []),
            (b"9292\r\n/quit\r\n", []),
            (b"9292\r\njo\r\n/quit\r\n", [(NEW, None), (CLOSE, None)]),
        ):
            client = self.connect()
            client.send(sent)
            assert client.disconnecting, sent
            client.hang_up()
            assert self.published() == published, sent

    async def test_who_has_no_address_yet_is_disconnected_too(self) -> None:
        transport = await self.start()
        client = self.connect()
        await self.stopped(transport)
        assert client.closed
        assert self.addresses() == []


class ConfigTests(VumiTestCase):
    """What may be configured, and what may not."""

    def test_the_sample_is_good(self) -> None:
        sample = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
        for cls in (TelnetServerTransport, AddressedTelnetServerTransport):
            assert cls.check_config(sample) == []

    def test_problems_are_told(self) -> None:
        good = {"transport_name": "telnet", "twisted_endpoint": "tcp:0"}
        for change, problem in (
            ({"twisted_endpoint": "carrier pigeon"}, "is not a valid server endpoint"),
            ({"max_line_length": 0}, "Field 'max_line_length' must be at least 1."),
            ({"transport_name": None, "telnet_port": "x"}, "'telnet_port'"),
        ):
            with self.assertRaises(ConfigError) as caught:
                TelnetServerTransport({}, {**good, **change})
            assert problem in str(caught.exception)

    def test_where_to_listen_has_to_be_said(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            TelnetServerTransport({}, {"transport_name": "telnet", "telnet_host": "127.0.0.1"})
        assert str(caught.exception) == "Missing required config field 'twisted_endpoint'"


class TcpTests(VumiTestCase):
    """Real connections."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(TransportHelper(TelnetServerTransport))

    async def start(self, **config: Any) -> tuple[Any, int]:
        transport = await self.helper.get_transport(config)
        return transport, transport.telnet_server.getHost().port

    async def test_a_conversation(self) -> None:
        _, port = await self.start(telnet_host="127.0.0.1", telnet_port=0)
        client = await TcpClient.connect(port)
        client.send(b"hel")
        await self.helper.wait_for_dispatched_inbound(1)
        client.send(b"lo\r\n")
        new, hello = await self.helper.wait_for_dispatched_inbound(2)
        assert new["from_addr"] == hello["from_addr"] == client.address
        assert new["to_addr"] == f"127.0.0.1:{port}"
        assert hello["content"] == "hello"
        await self.helper.make_dispatch_reply(hello, "Zürich\nBern")
        assert await client.read_until(b"Bern\r\n") == "Zürich\r\nBern\r\n".encode()
        await self.helper.make_dispatch_reply(hello, "Goodbye.", continue_session=False)
        assert await client.read_until(b"\r\n") == b"Goodbye.\r\n"
        await client.closed
        *_, close = await self.helper.wait_for_dispatched_inbound(3)
        assert close["session_event"] == "close"

    async def test_stopping_closes_the_connections(self) -> None:
        transport, port = await self.start(twisted_endpoint="tcp:0:interface=127.0.0.1")
        clients = [await TcpClient.connect(port) for _ in range(3)]
        await self.helper.wait_for_dispatched_inbound(3)
        await self.helper.cleanup_worker(transport)
        for client in clients:
            await client.closed
        messages = self.helper.get_dispatched_inbound()
        assert [m["session_event"] for m in messages] == ["new"] * 3 + ["close"] * 3

    async def test_a_client_that_is_paused_is_read_from_again(self) -> None:
        transport, port = await self.start(
            twisted_endpoint="tcp:0:interface=127.0.0.1", **BEHIND_A_GATE
        )
        transport.max_unconfirmed = 2
        Gatekeeper.waiting = []
        self.addCleanup(setattr, Gatekeeper, "waiting", [])
        client = await TcpClient.connect(port)
        client.send(b"".join(b"%d\r\n" % number for number in range(20)))
        client.transport.loseConnection()
        published = 0
        while published < 22:
            while Gatekeeper.waiting:
                Gatekeeper.waiting.pop(0).callback(None)
                published += 1
            await self.helper.kick_delivery()
        contents = [message["content"] for message in self.helper.get_dispatched_inbound()]
        assert contents == [None, *(str(number) for number in range(20)), None]
