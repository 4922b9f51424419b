"""Each fault under load: nothing lost, nothing out of order, and the consumers go on.

With ``VUMI_UPDATE_DOCS=1`` the results are written to ``docs/operations/fault-table.rst``.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, ClassVar

import pika
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from vumi.broker import BrokerAddress, Delivery, Exchange
from vumi.broker.amqp import AmqpBroker
from vumi.broker.queue_types import dead_letter_queue
from vumi.components.message_store.config import open_archive
from vumi.components.message_store.export import found_pages
from vumi.components.message_store.interface import Kind, Query
from vumi.message import TransportUserMessage
from vumi.tests.faults.chain import HEARTBEAT, ROOT, Chain, FreezingLink
from vumi.tests.faults.network import Phones
from vumi.tests.faults.workers import FailingLate
from vumi.tests.poison import NAMED_BODIES, NAMED_HEADERS
from vumi.tests.servers import RabbitMQServer, require

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

MESSAGES, RATE = 600, 300
#: Seconds that everything has to be answered in after the last message was sent.
PATIENCE = 90


@dataclass(frozen=True)
class Fault:
    """Something that breaks, and is mended.

    :param title: What, for the table.
    :param breaks: Does it; runs in a thread, may block.
    :param evidence: Words that a process logs only because of it: which process, which words.
    :param duplicates: What may be answered twice; nothing if empty.
    :param in_a_lull: Nothing is sent while it happens.
    """

    title: str
    breaks: Callable[[FaultTestCase], None]
    evidence: tuple[str, str]
    duplicates: str = ""
    in_a_lull: bool = False


def _killed(name: str) -> Callable[[FaultTestCase], None]:
    def kill(test: FaultTestCase) -> None:
        process = getattr(test.chain, name)
        process.kill()
        process.start()

    return kill


def _stopped(name: str) -> Callable[[FaultTestCase], None]:
    def stop(test: FaultTestCase) -> None:
        process = getattr(test.chain, name)
        process.stop()
        process.start()

    return stop


def _broker_restarted(test: FaultTestCase) -> None:
    test.server.restart()


def _broker_killed(test: FaultTestCase) -> None:
    test.server.kill()
    test.server.start()


def _power_cut(test: FaultTestCase) -> None:
    test.server.kill()
    for process in test.chain.processes:
        process.kill()
    test.server.start()
    test.chain.start()


def _connections_cut(test: FaultTestCase) -> None:
    test.server.evaluate(
        '[rabbit_networking:close_connection(C, <<"fault">>) '
        "|| C <- rabbit_networking:connections()]"
    )


def _link_frozen(test: FaultTestCase) -> None:
    test.link.freeze()
    time.sleep(3 * HEARTBEAT)
    test.link.thaw()


def _channels_closed(test: FaultTestCase) -> None:
    # An ack for a delivery that never was: RabbitMQ closes the channel for it.
    test.server.evaluate(
        "[rabbit_channel:do(C, {'basic.ack', 999999999, false}) || C <- rabbit_channel:list()]"
    )


def _memory_alarm(test: FaultTestCase) -> None:
    test.server.node_memory_alarm(True)
    time.sleep(3)
    test.server.node_memory_alarm(False)


def _store_away(test: FaultTestCase) -> None:
    # Another process's transaction that does not end: as good as a disk that does not answer.
    database = sqlite3.connect(test.directory / "messages.db", isolation_level=None, timeout=10)
    database.execute("BEGIN IMMEDIATE")
    time.sleep(5)
    database.execute("ROLLBACK")
    database.close()


def _queue_deleted(test: FaultTestCase) -> None:
    test.server.rabbitmqctl("delete_queue", "--vhost", "/develop", "--if-empty", "app.inbound")


def _pika(test: FaultTestCase) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(test.server.url()))


def _forget_dead_letters(test: FaultTestCase) -> None:
    connection = _pika(test)
    connection.channel().queue_delete(DEAD)
    connection.close()


def _poisoned(test: FaultTestCase) -> None:
    """Whatever has stopped a queue once, three times over, with headers of every kind."""
    connection = _pika(test)
    channel = connection.channel()
    # What is a message after all makes the application fail.
    bodies = [body.replace(b'"content":"x"', b'"content":"raise"') for body in NAMED_BODIES]
    headers: list[Any] = [None, *NAMED_HEADERS]
    for number, body in enumerate(3 * bodies):
        if b"lone" not in body:
            properties = pika.BasicProperties(headers=headers[number % len(headers)])
            channel.basic_publish("", "app.inbound", body, properties)
    connection.close()


def _with_poison(take: Callable[[Any], Any]) -> Callable[[FaultTestCase], None]:
    """Have no dead letter of the application taken, and give it poison."""

    def break_it(test: FaultTestCase) -> None:
        told = test.log_of("application").count(GIVEN_UP)
        connection = _pika(test)
        channel = connection.channel()
        channel.queue_delete(DEAD)
        take(channel)
        for number in range(5):
            channel.basic_publish("", "app.inbound", b"poison %d" % number)
        # The broker's heartbeats have to be answered meanwhile.
        while test.log_of("application").count(GIVEN_UP) < told + 5:
            connection.sleep(0.1)
        connection.channel().queue_delete(DEAD)
        connection.close()

    return break_it


def _locked(channel: Any) -> None:
    channel.queue_declare(DEAD, exclusive=True)


def _full(channel: Any) -> None:
    full = {"x-max-length": 0, "x-overflow": "reject-publish"}
    channel.queue_declare(DEAD, durable=True, arguments=full)


def _published_late(test: FaultTestCase) -> None:
    connection = _pika(test)
    channel = connection.channel()
    for number in range(LATE):
        channel.basic_publish("", "app.inbound", user_message(str(FailingLate.FIRST + number)))
    connection.close()
    end = time.monotonic() + PATIENCE
    while test.log_of("application").count(DIES) < LATE and time.monotonic() < end:
        time.sleep(0.1)


def user_message(content: str) -> bytes:
    return TransportUserMessage(
        to_addr="8864",
        from_addr=f"+{content}",
        content=content,
        transport_name="net",
        transport_type="sms",
    ).to_bytes()


DEAD = dead_letter_queue("app.inbound")
DIES, GIVEN_UP = "becomes a dead letter", "is given up"
#: How many replies fail after their handler has ended.
LATE = 20

CRASH = "what the crashed worker had in hand"
RESENT = "publishes whose confirmation was lost"

STARTED = "Starting a"
CONNECTED = "Connected to the broker"
ALARM = "takes no publishes"


def _worker_faults() -> dict[str, Fault]:
    faults = {}
    for name in ("application", "relay", "transport"):
        evidence = (name, STARTED)
        faults[f"{name}_killed"] = Fault(
            f"{name} killed and restarted", _killed(name), evidence, CRASH
        )
        faults[f"{name}_stopped"] = Fault(
            f"{name} told to stop, restarted", _stopped(name), evidence
        )
    return faults


FAULTS = {
    **_worker_faults(),
    "broker_restarted": Fault(
        "RabbitMQ stopped and started", _broker_restarted, ("relay", CONNECTED), RESENT
    ),
    "broker_killed": Fault(
        "RabbitMQ killed and started", _broker_killed, ("relay", CONNECTED), RESENT
    ),
    "power_cut": Fault(
        "RabbitMQ and all workers killed, restarted", _power_cut, ("relay", STARTED), CRASH
    ),
    "connections_cut": Fault(
        "all connections closed by RabbitMQ", _connections_cut, ("transport", CONNECTED), RESENT
    ),
    "link_frozen": Fault(
        "TCP link frozen for three heartbeats",
        _link_frozen,
        ("application", CONNECTED),
        RESENT,
    ),
    "channels_closed": Fault(
        "all channels closed by RabbitMQ", _channels_closed, ("relay", CONNECTED), RESENT
    ),
    "memory_alarm": Fault(
        "memory alarm blocks publishers for 3 s", _memory_alarm, ("transport", ALARM)
    ),
    "hostile": Fault("99 hostile messages among them", _poisoned, ("application", DIES)),
    "dead_letters_locked": Fault(
        "dead letters can't be written: locked", _with_poison(_locked), ("application", GIVEN_UP)
    ),
    "dead_letters_full": Fault(
        "dead letters can't be written: full", _with_poison(_full), ("application", GIVEN_UP)
    ),
    # What is in a queue goes with it, and RabbitMQ confirms even what is just being put into one
    # that is being deleted: so it happens while the queue is empty.
    "queue_deleted": Fault(
        "empty queue deleted under its consumer",
        _queue_deleted,
        ("application", "declared and consumed again"),
        in_a_lull=True,
    ),
}


class FaultTestCase(TestCase):
    """One chain of processes goes through faults, one after another."""

    timeout = 240

    #: Further options of the application.
    application: ClassVar[dict[str, Any]] = {}

    directory: ClassVar[Path]
    server: ClassVar[RabbitMQServer]
    link: ClassVar[FreezingLink]
    chain: ClassVar[Chain]
    rows: ClassVar[list[tuple[str, ...]]] = []

    @classmethod
    def setUpClass(cls) -> None:
        require(RabbitMQServer)
        cls.directory = Path(tempfile.mkdtemp(prefix="vumi-faults-"))
        cls.server = RabbitMQServer(cls.directory / "rabbitmq")
        cls.server.start()
        cls.link = FreezingLink(cls.server.port)
        cls.chain = Chain(cls.server, cls.directory, cls.link.port, cls.application)
        cls.chain.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.chain.stop()
        cls.link.close()
        cls.server.stop()
        rmtree(cls.directory)

    async def phones(self) -> Phones:
        """The network, connected, and the whole chain answering."""
        prefix = f"+2782{zlib.crc32(self.id().encode()) % 10000:04}"
        phones = Phones(reactor, self.chain.port, prefix)
        phones.start()
        self.addCleanup(phones.stop)
        phones.send(1, RATE)
        await phones.all_answered(PATIENCE)
        assert not phones.book.lost, f"the chain does not answer: {self.logs()}"
        return phones

    def log_of(self, process: str) -> str:
        log: str = getattr(self.chain, process).log
        return log

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.log[-3000:]}" for p in self.chain.processes)

    async def go_through(self, fault: Fault) -> None:
        phones = await self.phones()
        process, words = fault.evidence
        told = self.log_of(process).count(words)
        phones.send(MESSAGES, RATE)
        await deferLater(reactor, MESSAGES / RATE / 3, lambda: None)
        if fault.in_a_lull:
            phones.hold()
            await phones.all_answered(PATIENCE)
        await deferToThread(fault.breaks, self)
        phones.go_on()
        await phones.all_answered(PATIENCE)
        # A second answer to the last numbers may still be under way.
        await deferLater(reactor, 0.3, lambda: None)
        book = phones.book
        self.assertEqual(book.lost, [], self.logs())
        self.assertEqual(book.reordered, 0)
        self.assertGreater(self.log_of(process).count(words), told, "the fault did not happen")
        if not fault.duplicates:
            self.assertEqual(book.duplicates, 0)
        self.assertEqual([p.name for p in self.chain.processes if not p.running], [])
        self.rows.append(
            (
                fault.title,
                f"{book.sent_count:,}",
                f"{book.answered_count:,}",
                str(len(book.lost)),
                str(book.duplicates),
                str(book.reordered),
            )
        )


class StoreFaultTests(FaultTestCase):
    """The application stores all messages, and its store goes away."""

    application: ClassVar[dict[str, Any]] = {
        "middleware": [{"store": "vumi.middleware.StoringMiddleware"}],
        # In the folder that the processes are started in. Patient for less than the outage.
        "store": {"message_store": {"url": "sqlite:///messages.db", "patience": 0.5}},
        "handler_timeout": 30,
    }

    def test_store_away(self) -> Deferred[None]:
        """Nothing becomes a dead letter; what was answered is stored."""
        return Deferred.fromCoroutine(self._store_away())

    async def _store_away(self) -> None:
        fault = Fault("message store away for 5 s", _store_away, ("application", "is put off"))
        await self.go_through(fault)
        stored = await self.stored()
        self.assertEqual(stored[Kind.INBOUND], stored[Kind.OUTBOUND])
        # One more was sent to see the chain answer.
        self.assertEqual(len(stored[Kind.OUTBOUND]), MESSAGES + 1)
        self.assertEqual(len(set(stored[Kind.OUTBOUND])), MESSAGES + 1)
        self.assertNotIn("becomes a dead letter", self.log_of("application"))

    async def stored(self) -> dict[Kind, list[str]]:
        """Users and numbers in the store, sorted."""
        archive = open_archive(f"sqlite:///{self.directory}/messages.db", reactor)
        await archive.open()
        found: dict[Kind, list[str]] = {Kind.INBOUND: [], Kind.OUTBOUND: []}
        async for page in found_pages(archive, Query()):
            for each in page:
                user = each.message["from_addr" if each.kind is Kind.INBOUND else "to_addr"]
                found[each.kind].append(f"{user} {each.message['content']}")
        await archive.close()
        return {kind: sorted(lines) for kind, lines in found.items()}


class LateFaultTests(FaultTestCase):
    """The application's replies pass a middleware that takes its time."""

    application: ClassVar[dict[str, Any]] = {
        "middleware": [{"late": "vumi.tests.faults.workers.FailingLate"}]
    }

    def test_replies_that_fail_late(self) -> Deferred[None]:
        """What they answer becomes a dead letter, although no handler waits for them."""
        return Deferred.fromCoroutine(self._fail_late())

    async def _fail_late(self) -> None:
        title = f"{LATE} replies fail after their handler's end"
        await self.go_through(Fault(title, _published_late, ("application", DIES)))
        broker = AmqpBroker(BrokerAddress.from_url(self.server.url()), reactor)
        await broker.start()
        self.addCleanup(broker.stop)
        self.assertEqual(await broker.depth(DEAD), LATE)


class FaultTests(FaultTestCase):
    """What may go wrong with the broker and the workers."""

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        if os.environ.get("VUMI_UPDATE_DOCS") and len(cls.rows) == len(FAULTS) + 3:
            write_table(cls.rows)

    async def test_poison(self) -> None:
        """What can't be handled becomes a dead letter with its reason; the rest goes on."""
        phones = await self.phones()
        # Letters of other tests.
        await deferToThread(_forget_dead_letters, self)
        broker = AmqpBroker(BrokerAddress.from_url(self.server.url()), reactor)
        await broker.start()
        self.addCleanup(broker.stop)
        await broker.declare_exchange(Exchange("vumi"))
        phones.send(MESSAGES, RATE)

        poison = {
            b"\xffnot JSON": "invalid-message",
            b"[1, 2]": "invalid-message",
            b'{"message_version": "20110921"}': "invalid-message",
            user_message("raise"): "handler-failed",
            user_message("hang"): "handler-timeout",
        }
        for body in poison:
            await broker.publish("vumi", "app.inbound", body)
        await phones.all_answered(PATIENCE)
        dead: dict[bytes, str] = {}
        for _ in range(200):
            letter: Delivery | None = await broker.get(dead_letter_queue("app.inbound"))
            if letter is not None:
                dead[letter.body] = letter.headers["x-vumi-reason"]
            if len(dead) == len(poison):
                break
            await deferLater(reactor, 0.05, lambda: None)
        self.assertEqual(dead, poison)
        book = phones.book
        self.assertEqual((book.lost, book.reordered, book.duplicates), ([], 0, 0), self.logs())
        self.rows.append(
            (
                "5 poison messages among them",
                f"{book.sent_count:,}",
                f"{book.answered_count:,}",
                "0",
                "0",
                "0",
            )
        )


def _make_test(fault: Fault) -> Callable[[FaultTests], Any]:
    def test(self: FaultTests) -> Deferred[None]:
        return Deferred.fromCoroutine(self.go_through(fault))

    return test


for _name, _fault in FAULTS.items():
    setattr(FaultTests, f"test_{_name}", _make_test(_fault))


HEADINGS = ("fault", "sent", "answered", "lost", "duplicates", "reordered")


def write_table(rows: list[tuple[str, ...]]) -> None:
    """Write the results for the documentation."""
    widths = [
        max(len(row[column]) for row in (HEADINGS, *rows)) for column in range(len(HEADINGS))
    ]
    rule = "  ".join("=" * width for width in widths)

    def line(row: tuple[str, ...]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        return "  ".join(cells).rstrip()

    table = [rule, line(HEADINGS), rule, *map(line, rows), rule]
    path = ROOT / "docs" / "operations" / "fault-table.rst"
    path.write_text(".. Written by vumi/tests/faults/test_faults.py\n\n" + "\n".join(table) + "\n")
