"""What every message archive must do: one suite, run against each implementation.

A subclass says how an archive is made (:meth:`ArchiveContract.make_archive`); for
:class:`ArchiveOutageContract` also how what is behind it goes away and comes back. What an
implementation can't do it names in :attr:`ArchiveContract.cannot`, each with the reason; then the
suite checks that asking for it is refused, or leaves out what nobody can ask for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import CancelledError, gatherResults
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from vumi.components.message_store.interface import (
    Batch,
    BatchStats,
    Entry,
    IMessageArchive,
    Kind,
    Order,
    Page,
    Query,
    StoredEvent,
    StoredMessage,
)
from vumi.errors import StoreError, StoreUnavailable
from vumi.message import TransportEvent, TransportUserMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from twisted.internet.defer import Deferred

START = datetime(2026, 3, 4, 5, 6, 7)
USER = "+27831234567"
SHORT_CODE = "*120*1#"

#: Fields that a message must have again when it comes back.
NASTY_FIELDS: dict[str, dict[str, Any]] = {
    "no content": {"content": None},
    "empty content": {"content": ""},
    "unicode": {"content": "\N{SNOWMAN} \N{PILE OF POO} Ünïcödé \u202eRTL"},
    "NUL": {"content": "before\0after"},
    "a lone surrogate": {"content": "half \ud83d of a pair"},
    "quotes and wildcards": {"content": """'; DROP TABLE messages; -- "%_\\ """},
    "line ends": {"content": "\r\n\n\u2028\u2029\x85"},
    "a million characters": {"content": "0123456789" * 100_000},
    "many different words": {"content": " ".join(f"word{n}" for n in range(60_000))},
    "one endless word": {"content": "\N{SNOWMAN}x" * 100_000},
    "a text that looks like a date": {"content": "2026-01-02 03:04:05.678901"},
    "content that is no text": {"content": {"url": ["a", 1]}},
    "unknown fields": {"extra": {"a": [1, 2.5, None, True, {"b": "\0"}]}, "": "no name"},
    "an integer over 64 bits": {"extra": 2**70},
    "metadata": {"helper_metadata": {"x": {"y": ["\N{SNOWMAN}"]}}, "transport_metadata": {"z": 1}},
    "a field of the archive's own": {"batches": ["x"], "$VERSION": 9, "kind": "event", "seq": 1},
    "a strange address": {"from_addr": "a\0b'\ud83d\x1a\N{SNOWMAN}", "to_addr": ""},
    "no address": {"from_addr": None, "to_addr": None},
    "a strange id": {"message_id": "id\0'\ud83d/\x1a?\N{SNOWMAN}"},
    "a long id": {"message_id": "x" * 500},
    "before 1970": {"timestamp": datetime(1901, 1, 1)},
    "the last day": {"timestamp": datetime.max},
}


def at(seconds: float) -> datetime:
    """A time some seconds after the suite's usual one."""
    return START + timedelta(seconds=seconds)


def inbound(content: Any = "hello", seconds: float = 0, **kw: Any) -> TransportUserMessage:
    """A message from the user."""
    user = kw.pop("user", USER)
    addresses = {"from_addr": user, "to_addr": SHORT_CODE}
    return _message(content, seconds, {**addresses, **kw})


def outbound(content: Any = "hello", seconds: float = 0, **kw: Any) -> TransportUserMessage:
    """A message to the user."""
    user = kw.pop("user", USER)
    addresses = {"from_addr": SHORT_CODE, "to_addr": user}
    return _message(content, seconds, {**addresses, **kw})


def _message(content: Any, seconds: float, more: dict[str, Any]) -> TransportUserMessage:
    fields = {
        "content": content,
        "timestamp": at(seconds),
        "transport_name": "sphex",
        "transport_type": "sms",
    }
    return TransportUserMessage(**{**fields, **more})


def ack(message_id: str, seconds: float = 0, **kw: Any) -> TransportEvent:
    """An ack of a message."""
    return _event("ack", message_id, seconds, sent_message_id="abc", **kw)


def nack(message_id: str, seconds: float = 0, **kw: Any) -> TransportEvent:
    """A nack of a message."""
    return _event("nack", message_id, seconds, nack_reason="no credit", **kw)


def report(message_id: str, status: str, seconds: float = 0, **kw: Any) -> TransportEvent:
    """A delivery report: ``pending``, ``failed`` or ``delivered``."""
    return _event("delivery_report", message_id, seconds, delivery_status=status, **kw)


def _event(event_type: str, message_id: str, seconds: float, **kw: Any) -> TransportEvent:
    fields = {"event_type": event_type, "user_message_id": message_id, "timestamp": at(seconds)}
    return TransportEvent(**{**fields, **kw})


def ids(found: Page | Iterable[Any]) -> list[str]:
    """The ids of entries, messages or events."""
    entries = found.entries if isinstance(found, Page) else found
    return [_id(entry) for entry in entries]


def _id(entry: Any) -> str:
    if isinstance(entry, Entry):
        return entry.key
    if isinstance(entry, StoredMessage):
        return entry.message_id
    if isinstance(entry, StoredEvent):
        return entry.event_id
    if isinstance(entry, Batch):
        return entry.batch_id
    return str(entry["message_id"])


async def all_of(deferreds: Iterable[Deferred[Any]]) -> list[Any]:
    """The results of what goes on at the same time."""
    return list(await gatherResults(list(deferreds), consumeErrors=True))


class ArchiveSuite:
    """What both suites need."""

    timeout = 120

    #: What this archive can't do, and why. Known are the words of the tests below:
    #: ``text`` and ``status`` (of a :class:`Query`), ``any batch`` (a :class:`Query` that names
    #: neither batch nor tag), ``address anywhere`` (one that has an address, but neither batch
    #: nor tag), ``newest first within a second`` and ``equal times by id`` (the order of entries
    #: of the same second, and of other addresses at the same time).
    cannot: ClassVar[Mapping[str, str]] = {}

    def make_archive(self) -> Any:
        """An archive that is not open yet.

        It is empty for each test; all that one test makes are doors to the same store.
        """
        raise NotImplementedError

    @property
    def case(self) -> TestCase:
        """This object, as the test case that it is mixed into."""
        assert isinstance(self, TestCase)
        return self

    async def opened(self) -> Any:
        """An open archive, closed when the test is over."""
        archive = self.make_archive()
        self.case.addCleanup(archive.close)
        await archive.open()
        return archive

    def assert_equal(self, first: object, second: object, hint: object = None) -> None:
        self.case.assertEqual(first, second, None if hint is None else str(hint))

    async def refused(self, function: Callable[..., Any], *args: Any, **kw: Any) -> StoreError:
        """Check that something is refused, but not because the archive is away."""
        try:
            result = await function(*args, **kw)
        except StoreError as error:
            assert not isinstance(error, StoreUnavailable), error
            return error
        raise AssertionError(f"not refused, but {result!r}")

    async def pages(self, function: Callable[..., Any], *args: Any, **kw: Any) -> list[Page]:
        """All pages, one after another."""
        found = [await function(*args, **kw)]
        while found[-1].continuation is not None:
            found.append(await function(*args, **kw, continuation=found[-1].continuation))
        return found

    async def everything(self, function: Callable[..., Any], *args: Any, **kw: Any) -> list[str]:
        """The ids on all pages."""
        return [
            _id(entry)
            for page in await self.pages(function, *args, **kw)
            for entry in page.entries
        ]


class ArchiveContract(ArchiveSuite):
    """The suite. Mixed into a :class:`TestCase`."""

    # Its life

    async def test_provides_the_interface(self) -> None:
        archive = await self.opened()
        verifyObject(IMessageArchive, archive)
        assert isinstance(archive.address, str)
        assert archive.address
        self.assert_equal(archive.full_text, "text" not in self.cannot)

    async def test_several_workers_may_open_it_at_once(self) -> None:
        archives = [self.make_archive() for _ in range(4)]
        for archive in archives:
            self.case.addCleanup(archive.close)
        await all_of(archive.open() for archive in archives)
        message = inbound()
        await archives[0].store_message(Kind.INBOUND, message)
        for archive in archives:
            found = await archive.get_message(Kind.INBOUND, message["message_id"])
            self.assert_equal(found.message, message)

    async def test_what_was_stored_is_there_after_closing_and_opening(self) -> None:
        archive = await self.opened()
        other = await self.opened()
        message = inbound()
        await archive.store_message(Kind.INBOUND, message, ["b"])
        await archive.close()
        again = await self.opened()
        for each in (other, again):
            found = await each.get_message(Kind.INBOUND, message["message_id"])
            self.assert_equal(found, StoredMessage(Kind.INBOUND, message, ("b",)))

    async def test_closing_finishes_what_is_being_written(self) -> None:
        archive, other = await self.opened(), await self.opened()
        messages = [inbound(seconds=n) for n in range(30)]
        writes = [archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages]
        closed = archive.close()
        self.assert_equal(await all_of(writes), [True] * 30)
        await closed
        await archive.close()
        self.assert_equal(await other.count(Kind.INBOUND, "b"), 30)

    async def test_a_closed_archive_refuses_everything(self) -> None:
        archive = await self.opened()
        await archive.close()
        for function, args in (
            (archive.store_message, (Kind.INBOUND, inbound())),
            (archive.store_event, (ack("m"),)),
            (archive.get_message, (Kind.INBOUND, "m")),
            (archive.page, (Kind.INBOUND, "b")),
            (archive.put_batch, (Batch("b"),)),
        ):
            try:
                await function(*args)
            except StoreError:
                continue
            raise AssertionError(f"{function!r} of a closed archive worked")

    # Batches and tags

    async def test_a_batch_comes_back(self) -> None:
        archive = await self.opened()
        batch = Batch("b1", (("pool", "tag"), ("pööl", "tag:2")), {"name": "\N{SNOWMAN}", "": ""})
        await archive.put_batch(batch)
        await archive.put_batch(Batch("b2"))
        self.assert_equal(await archive.get_batch("b1"), batch)
        self.assert_equal(await archive.get_batch("b2"), Batch("b2"))
        self.assert_equal(await archive.get_batch("b3"), None)

    async def test_a_batch_that_is_put_again_is_replaced(self) -> None:
        archive = await self.opened()
        await archive.put_batch(Batch("b", (("p", "1"), ("p", "2")), {"a": "1", "b": "2"}))
        batch = Batch("b", (("p", "2"), ("p", "3")), {"c": "3"})
        await archive.put_batch(batch)
        self.assert_equal(await archive.get_batch("b"), batch)
        self.assert_equal((await archive.list_batches()).entries, (batch,))

    async def test_batches_are_listed_by_id(self) -> None:
        archive = await self.opened()
        names = ["b", "B", "a-b", "a_b", "ab", "10", "9", "é", "\N{SNOWMAN}"]
        for name in names:
            await archive.put_batch(Batch(name, (("pool", name),), {"n": name}))
        pages = await self.pages(archive.list_batches, limit=4)
        found = [batch for page in pages for batch in page.entries]
        expected = [Batch(name, (("pool", name),), {"n": name}) for name in sorted(names)]
        self.assert_equal(found, expected)
        assert all(len(page.entries) <= 4 for page in pages)
        self.assert_equal((await archive.list_batches()).continuation, None)

    async def test_tags_know_their_batch(self) -> None:
        archive = await self.opened()
        one, other, third = ("pool", "1"), ("pool", "2"), ("pööl", "\N{SNOWMAN}:1")
        self.assert_equal(await archive.get_current_tag(one), None)
        await archive.set_current_batch([one, other, third], "b1")
        await archive.set_current_batch([other], "b2")
        await archive.set_current_batch([third], None)
        await archive.set_current_batch([], "b3")
        found = [await archive.get_current_tag(tag) for tag in (one, other, third)]
        self.assert_equal([current.current_batch for current in found], ["b1", "b2", None])
        self.assert_equal([current.tag for current in found], [one, other, third])
        self.assert_equal([dict(current.metadata) for current in found], [{}, {}, {}])

    # Messages

    async def test_messages_come_back_as_they_were(self) -> None:
        archive = await self.opened()
        for kind, make in ((Kind.INBOUND, inbound), (Kind.OUTBOUND, outbound)):
            for hint, fields in NASTY_FIELDS.items():
                message = make(**fields)
                new = await archive.store_message(kind, message, ["b"])
                self.assert_equal(new, True, hint)
                found = await archive.get_message(kind, message["message_id"])
                self.assert_equal(found, StoredMessage(kind, message, ("b",)), hint)
                self.assert_equal(type(found.message), TransportUserMessage)
                page = await archive.page(kind, "b", start=message["timestamp"], limit=1000)
                assert message["message_id"] in ids(page), hint
        self.assert_equal(await archive.count(Kind.INBOUND, "b"), len(NASTY_FIELDS))

    async def test_batch_ids_come_back_as_they_were(self) -> None:
        archive = await self.opened()
        names = ("", "$", "a$b", "x" * 300, "é\N{SNOWMAN}", "a\0b\ud83d\x1a", "%", "it's")
        message = inbound()
        await archive.store_message(Kind.INBOUND, message, names)
        found = await archive.get_message(Kind.INBOUND, message["message_id"])
        self.assert_equal(found.batch_ids, tuple(sorted(names)))
        for name in names:
            page = await archive.page(Kind.INBOUND, name)
            self.assert_equal(ids(page), [message["message_id"]], repr(name))
            self.assert_equal(await archive.count(Kind.INBOUND, name), 1, repr(name))

    async def test_a_message_that_is_not_there_is_none(self) -> None:
        archive = await self.opened()
        self.assert_equal(await archive.get_message(Kind.INBOUND, "nowhere"), None)
        self.assert_equal(await archive.get_event("nowhere"), None)
        self.assert_equal(await archive.get_messages(Kind.INBOUND, ["nowhere"]), [])
        self.assert_equal(await archive.get_messages(Kind.INBOUND, []), [])

    async def test_a_message_that_is_stored_again_is_there_once(self) -> None:
        archive = await self.opened()
        message = inbound("first")
        message_id = message["message_id"]
        self.assert_equal(await archive.store_message(Kind.INBOUND, message, ["b2"]), True)
        self.assert_equal(await archive.store_message(Kind.INBOUND, message, ["b2"]), False)
        second = inbound("second", message_id=message_id)
        self.assert_equal(await archive.store_message(Kind.INBOUND, second, ["b1"]), False)
        self.assert_equal(await archive.store_message(Kind.INBOUND, second), False)
        found = await archive.get_message(Kind.INBOUND, message_id)
        self.assert_equal(found, StoredMessage(Kind.INBOUND, second, ("b1", "b2")))
        for batch_id in ("b1", "b2", None):
            self.assert_equal(await archive.count(Kind.INBOUND, batch_id), 1)
        for batch_id in ("b1", "b2"):
            page = await archive.page(Kind.INBOUND, batch_id)
            self.assert_equal(page, Page((Entry(message_id, START, USER),)))

    async def test_a_message_stored_again_with_another_time_and_address_has_moved(self) -> None:
        archive = await self.opened()
        message = inbound("first", 10)
        message_id = message["message_id"]
        await archive.store_message(Kind.INBOUND, message, ["b1"])
        moved = inbound("second", 20, user="+99", message_id=message_id)
        await archive.store_message(Kind.INBOUND, moved, ["b2"])
        for order in Order:
            for batch_id in ("b1", "b2"):
                page = await archive.page(Kind.INBOUND, batch_id, order)
                self.assert_equal(page.entries, (Entry(message_id, at(20), "+99"),))
        page = await archive.page(Kind.INBOUND, "b1", end=at(15))
        self.assert_equal(page.entries, ())
        stats = await archive.stats(Kind.INBOUND, "b1")
        self.assert_equal(stats, BatchStats(1, 1))
        self.assert_equal(await archive.delete_before(at(15)), 0)

    async def test_many_writers_of_one_message_add_their_batches_up(self) -> None:
        archives = [await self.opened() for _ in range(3)]
        message = outbound()
        writes = [
            archives[n % 3].store_message(Kind.OUTBOUND, message, [f"b{n:02}"]) for n in range(30)
        ]
        self.assert_equal(sorted(await all_of(writes)), [False] * 29 + [True])
        found = await archives[0].get_message(Kind.OUTBOUND, message["message_id"])
        expected = tuple(f"b{n:02}" for n in range(30))
        self.assert_equal(found, StoredMessage(Kind.OUTBOUND, message, expected))
        for batch_id in expected:
            page = await archives[1].page(Kind.OUTBOUND, batch_id)
            self.assert_equal(ids(page), [message["message_id"]])
        self.assert_equal(await archives[2].count(Kind.OUTBOUND), 1)

    async def test_many_writers_of_many_messages_disturb_nobody(self) -> None:
        archives = [await self.opened() for _ in range(2)]
        messages = [inbound(f"text {n}", n % 7) for n in range(60)]
        writes = []
        for archive, order in zip(archives, (messages, messages[::-1]), strict=True):
            writes += [archive.store_message(Kind.INBOUND, message, ["b"]) for message in order]
        self.assert_equal(sum(await all_of(writes)), 60)
        self.assert_equal(await archives[0].count(Kind.INBOUND, "b"), 60)
        expected = sorted(messages, key=lambda m: (m["timestamp"], m["message_id"]))
        page = await archives[1].page(Kind.INBOUND, "b")
        self.assert_equal(ids(page), ids(expected))

    async def test_inbound_and_outbound_messages_of_one_id_are_two(self) -> None:
        archive = await self.opened()
        one, other = inbound("in", message_id="m"), outbound("out", message_id="m")
        self.assert_equal(await archive.store_message(Kind.INBOUND, one, ["b"]), True)
        self.assert_equal(await archive.store_message(Kind.OUTBOUND, other, ["b"]), True)
        self.assert_equal((await archive.get_message(Kind.INBOUND, "m")).message, one)
        self.assert_equal((await archive.get_message(Kind.OUTBOUND, "m")).message, other)
        self.assert_equal(await archive.count(Kind.INBOUND, "b"), 1)
        self.assert_equal(await archive.count(Kind.OUTBOUND, "b"), 1)

    async def test_many_messages_are_found_in_the_order_that_was_asked_for(self) -> None:
        archive = await self.opened()
        messages = [inbound(f"text {n}", message_id=f"m{n:04}") for n in range(40)]
        await all_of(archive.store_message(Kind.INBOUND, message) for message in messages)
        wanted = [f"m{n:04}" for n in (17, 3, 999, 39, 0)]
        found = await archive.get_messages(Kind.INBOUND, wanted)
        self.assert_equal(ids(found), ["m0017", "m0003", "m0039", "m0000"])
        # More than a database takes as parameters of one question.
        wanted = [f"missing{n}" for n in range(1500)] + [f"m{n:04}" for n in range(40)]
        found = await archive.get_messages(Kind.INBOUND, wanted)
        self.assert_equal([each.message for each in found], messages)

    async def test_changing_a_message_afterwards_changes_nothing_stored(self) -> None:
        archive = await self.opened()
        message = inbound("as it was", message_id="m")
        write = archive.store_message(Kind.INBOUND, message)
        message["content"] = "changed"
        await write
        found = await archive.get_message(Kind.INBOUND, "m")
        self.assert_equal(found.message["content"], "as it was")

    async def test_what_is_refused_fails_alone(self) -> None:
        archive = await self.opened()
        good = [inbound(seconds=n) for n in range(5)]
        bad = inbound(extra=object())
        writes = [archive.store_message(Kind.INBOUND, message, ["b"]) for message in good[:3]]
        await self.refused(archive.store_message, Kind.INBOUND, bad, ["b"])
        writes += [archive.store_message(Kind.INBOUND, message, ["b"]) for message in good[3:]]
        await all_of(writes)
        self.assert_equal(ids(await archive.page(Kind.INBOUND, "b")), ids(good))
        await self.refused(archive.store_message, Kind.EVENT, good[0])
        await self.refused(archive.get_message, Kind.EVENT, "m")

    async def test_cancelling_one_write_leaves_the_others(self) -> None:
        archive = await self.opened()
        messages = [inbound(seconds=n) for n in range(10)]
        writes = [archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages]
        writes[4].cancel()
        try:
            await writes[4]
        except CancelledError:
            pass
        else:
            raise AssertionError("a cancelled write succeeded")
        await all_of(writes[:4] + writes[5:])
        # Whether the cancelled one got in is open; storing it again settles it.
        await archive.store_message(Kind.INBOUND, messages[4], ["b"])
        self.assert_equal(ids(await archive.page(Kind.INBOUND, "b")), ids(messages))
        reading = archive.page(Kind.INBOUND, "b")
        reading.addErrback(lambda failure: failure.trap(CancelledError))
        reading.cancel()
        self.assert_equal(await archive.count(Kind.INBOUND, "b"), 10)

    # Events

    async def test_an_event_belongs_to_the_batches_of_its_message(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.OUTBOUND, outbound(message_id="m"), ["b2", "b1"])
        # An inbound message of this id has nothing to do with it.
        await archive.store_message(Kind.INBOUND, inbound(message_id="m"), ["b3"])
        event = report("m", "delivered", 1)
        stored = await archive.store_event(event)
        self.assert_equal(stored, StoredEvent(event, ("b1", "b2")))
        self.assert_equal(await archive.get_event(event["event_id"]), stored)
        entry = Entry(event["event_id"], at(1), "delivery_report.delivered")
        for batch_id in ("b1", "b2"):
            self.assert_equal((await archive.page(Kind.EVENT, batch_id)).entries, (entry,))
        self.assert_equal((await archive.message_events("m")).entries, (entry,))
        self.assert_equal(await archive.count(Kind.EVENT), 1)

    async def test_an_event_can_be_given_batches(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.OUTBOUND, outbound(message_id="m"), ["b1"])
        event = ack("m")
        stored = await archive.store_event(event, ["b3", "b2"])
        self.assert_equal(stored.batch_ids, ("b2", "b3"))
        other = ack("m")
        self.assert_equal((await archive.store_event(other, [])).batch_ids, ())
        self.assert_equal(await archive.count(Kind.EVENT, "b1"), 0)

    async def test_an_event_that_is_stored_again_is_there_once(self) -> None:
        archive = await self.opened()
        event = ack("m", event_id="e")
        await archive.store_event(event, ["b1"])
        self.assert_equal((await archive.store_event(event)).batch_ids, ("b1",))
        second = nack("m", 5, event_id="e")
        stored = await archive.store_event(second, ["b2"])
        self.assert_equal(stored, StoredEvent(second, ("b1", "b2")))
        self.assert_equal(await archive.get_event("e"), stored)
        entry = Entry("e", at(5), "nack")
        for batch_id in ("b1", "b2"):
            self.assert_equal((await archive.page(Kind.EVENT, batch_id)).entries, (entry,))
            counts = await archive.status_counts(batch_id)
            self.assert_equal((counts["ack"], counts["nack"]), (0, 1))
        self.assert_equal((await archive.message_events("m")).entries, (entry,))
        self.assert_equal(await archive.count(Kind.EVENT), 1)

    async def test_an_event_that_changed_its_message_is_about_the_new_one_only(self) -> None:
        archive = await self.opened()
        await archive.store_event(ack("m1", event_id="e"))
        await archive.store_event(ack("m2", event_id="e"))
        self.assert_equal(ids(await archive.message_events("m1")), [])
        self.assert_equal(ids(await archive.message_events("m2")), ["e"])

    async def test_an_event_that_comes_before_its_message_is_kept(self) -> None:
        archive = await self.opened()
        event = ack("m", event_id="e")
        self.assert_equal((await archive.store_event(event)).batch_ids, ())
        await archive.store_message(Kind.OUTBOUND, outbound(message_id="m"), ["b"])
        self.assert_equal(ids(await archive.message_events("m")), ["e"])
        # Delivered again it finds the message.
        self.assert_equal((await archive.store_event(event)).batch_ids, ("b",))
        self.assert_equal(ids(await archive.page(Kind.EVENT, "b")), ["e"])
        self.assert_equal(await archive.count(Kind.EVENT), 1)

    async def test_many_writers_of_one_event_add_their_batches_up(self) -> None:
        archives = [await self.opened() for _ in range(2)]
        event = ack("m")
        await all_of(archives[n % 2].store_event(event, [f"b{n:02}"]) for n in range(20))
        found = await archives[0].get_event(event["event_id"])
        self.assert_equal(found, StoredEvent(event, tuple(f"b{n:02}" for n in range(20))))

    async def test_a_message_and_its_event_at_the_same_moment_find_each_other(self) -> None:
        archive = await self.opened()
        writes: list[Deferred[Any]] = []
        for n in range(20):
            message = outbound(seconds=n, message_id=f"m{n:02}")
            writes.append(archive.store_message(Kind.OUTBOUND, message, ["b"]))
            writes.append(archive.store_event(ack(f"m{n:02}", n, event_id=f"e{n:02}"), ["b"]))
        await all_of(writes)
        self.assert_equal(await archive.count(Kind.OUTBOUND, "b"), 20)
        self.assert_equal(await archive.count(Kind.EVENT, "b"), 20)

    async def test_events_of_a_message_come_in_pages_oldest_first(self) -> None:
        archive = await self.opened()
        seconds = [5, 1, 4, 2, 3, 2, 2]
        events = [ack("m", s, event_id=f"e{n}") for n, s in enumerate(seconds)]
        await all_of(archive.store_event(event) for event in events)
        await archive.store_event(ack("other", event_id="other"))
        expected = ["e1", "e3", "e5", "e6", "e4", "e2", "e0"]
        pages = await self.pages(archive.message_events, "m", limit=2)
        self.assert_equal([key for page in pages for key in ids(page)], expected)
        assert all(len(page.entries) <= 2 for page in pages)
        self.assert_equal(ids(await archive.message_events("m")), expected)

    async def test_many_events_are_found_in_the_order_that_was_asked_for(self) -> None:
        archive = await self.opened()
        events = [ack("m", n, event_id=f"e{n}", extra="\0\ud83d") for n in range(5)]
        await all_of(archive.store_event(event) for event in events)
        found = await archive.get_events(["e3", "nowhere", "e0", "e4"])
        self.assert_equal([each.event for each in found], [events[3], events[0], events[4]])

    # Pages

    async def test_a_page_is_ordered_by_time(self) -> None:
        archive = await self.opened()
        seconds = [40, 10, 30, 0, 20]
        messages = [inbound(seconds=s, user=f"+{s}", message_id=f"m{s:02}") for s in seconds]
        await all_of(archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages)
        await archive.store_message(Kind.INBOUND, inbound(), ["other"])
        await archive.store_message(Kind.OUTBOUND, outbound(), ["b"])
        entries = tuple(Entry(f"m{s:02}", at(s), f"+{s}") for s in sorted(seconds))
        self.assert_equal(await archive.page(Kind.INBOUND, "b"), Page(entries))
        newest = await archive.page(Kind.INBOUND, "b", Order.NEWEST_FIRST)
        self.assert_equal(newest, Page(entries[::-1]))
        self.assert_equal(await archive.page(Kind.INBOUND, "nowhere"), Page(()))

    async def test_pages_follow_each_other_without_gap_or_repetition(self) -> None:
        archive = await self.opened()
        messages = [inbound(seconds=n // 3) for n in range(50)]
        await all_of(archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages)
        expected = ids(sorted(messages, key=lambda m: (m["timestamp"], m["message_id"])))
        for order in Order:
            for limit in (1, 7, 25, 49, 50, 51):
                pages = await self.pages(archive.page, Kind.INBOUND, "b", order, limit)
                found = [key for page in pages for key in ids(page)]
                if order is Order.NEWEST_FIRST:
                    self.assert_same_backwards(found, expected, messages)
                else:
                    self.assert_equal(found, expected, limit)
                assert all(len(page.entries) <= limit for page in pages)
                # An empty last page would cost everybody one more question.
                assert pages[-1].entries

    def assert_same_backwards(
        self, found: list[str], expected: list[str], messages: list[TransportUserMessage]
    ) -> None:
        if "newest first within a second" in self.cannot:
            self.assert_equal(sorted(found), sorted(expected))
            times = {m["message_id"]: m["timestamp"].replace(microsecond=0) for m in messages}
            seconds = [times[key] for key in found]
            self.assert_equal(seconds, sorted(seconds, reverse=True))
        else:
            self.assert_equal(found, expected[::-1])

    async def test_entries_within_a_second_are_in_order(self) -> None:
        archive = await self.opened()
        micros = [999_999, 1, 500_000, 0, 2, 499_999]
        messages = [inbound(seconds=n / 1_000_000, message_id=f"m{n:06}") for n in micros]
        await all_of(archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages)
        expected = [f"m{n:06}" for n in sorted(micros)]
        page = await archive.page(Kind.INBOUND, "b")
        self.assert_equal(ids(page), expected)
        self.assert_equal(page.entries[-1].timestamp, START.replace(microsecond=999_999))
        newest = await archive.page(Kind.INBOUND, "b", Order.NEWEST_FIRST)
        self.assert_same_backwards(ids(newest), expected, messages)

    async def test_entries_of_the_same_time_are_ordered_by_id(self) -> None:
        archive = await self.opened()
        names = ["b", "a", "C", "9", "10", "é", "\N{SNOWMAN}", "\U0001f4a9", "\uffee"]
        by_id = "equal times by id" not in self.cannot
        for n, name in enumerate(names):
            user = f"+{len(names) - n}" if by_id else USER
            message = inbound(seconds=0, user=user, message_id=name)
            await archive.store_message(Kind.INBOUND, message, ["b"])
        found = await self.everything(archive.page, Kind.INBOUND, "b", limit=2)
        self.assert_equal(found, sorted(names))
        found = await self.everything(archive.page, Kind.INBOUND, "b", Order.NEWEST_FIRST, 2)
        self.assert_equal(sorted(found), sorted(names))

    async def test_a_range_of_time_has_both_its_ends(self) -> None:
        archive = await self.opened()
        messages = [inbound(seconds=n, message_id=f"m{n}") for n in range(6)]
        await all_of(archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages)
        zone = timezone(timedelta(hours=2))
        for start, end, expected in (
            (at(2), at(4), [2, 3, 4]),
            (at(2), None, [2, 3, 4, 5]),
            (None, at(1), [0, 1]),
            (at(3), at(3), [3]),
            (at(4), at(2), []),
            (at(2.5), at(3.5), [3]),
            (at(-10), at(-1), []),
            (at(2).replace(tzinfo=UTC), at(4).replace(tzinfo=UTC).astimezone(zone), [2, 3, 4]),
            (datetime.min, datetime.max, [0, 1, 2, 3, 4, 5]),
        ):
            wanted = [f"m{n}" for n in expected]
            found = await self.everything(
                archive.page, Kind.INBOUND, "b", limit=2, start=start, end=end
            )
            self.assert_equal(found, wanted, (start, end))
            found = await self.everything(
                archive.page, Kind.INBOUND, "b", Order.NEWEST_FIRST, 2, start=start, end=end
            )
            self.assert_equal(found, wanted[::-1], (start, end))

    async def test_clocks_that_are_wrong_put_messages_where_they_say(self) -> None:
        archive = await self.opened()
        times = [datetime.max, START, datetime(1969, 12, 31, 23, 59, 59), datetime(1, 1, 2)]
        for n, timestamp in enumerate(times):
            message = inbound(timestamp=timestamp, message_id=f"m{n}")
            await archive.store_message(Kind.INBOUND, message, ["b"])
        found = await self.everything(archive.page, Kind.INBOUND, "b", limit=1)
        self.assert_equal(found, ["m3", "m2", "m1", "m0"])
        page = await archive.page(Kind.INBOUND, "b")
        self.assert_equal([entry.timestamp for entry in page.entries], times[::-1])

    async def test_a_time_with_a_zone_is_filed_as_utc(self) -> None:
        archive = await self.opened()
        zone = timezone(timedelta(hours=5))
        message = inbound(message_id="m")
        message["timestamp"] = at(1).replace(tzinfo=UTC).astimezone(zone)
        await archive.store_message(Kind.INBOUND, message, ["b"])
        page = await archive.page(Kind.INBOUND, "b", start=at(1), end=at(1))
        self.assert_equal(page.entries, (Entry("m", at(1), USER),))

    async def test_a_message_without_an_address_has_an_empty_term(self) -> None:
        archive = await self.opened()
        message = outbound(message_id="m")
        message["to_addr"] = None
        await archive.store_message(Kind.OUTBOUND, message, ["b"])
        page = await archive.page(Kind.OUTBOUND, "b")
        self.assert_equal(page.entries, (Entry("m", START, ""),))

    async def test_very_long_ids_addresses_and_batches_are_paged_found_and_forgotten(self) -> None:
        # What an archive's index can't hold came back as a page that nobody could go on from.
        archive = await self.opened()
        for character in ("x", "+", "\N{SNOWMAN}", "$", "%"):
            batch, user, other = (character * 3_000 + each for each in ("b", "u", "v"))
            keys = [f"{character * 3_000}{n}" for n in range(4)]
            for n, key in enumerate(keys):
                message = outbound(seconds=n, message_id=key, user=user if n % 2 else other)
                await archive.store_message(Kind.OUTBOUND, message, [batch])
                event = ack(key, n, event_id=f"e{key}")
                self.assert_equal((await archive.store_event(event)).batch_ids, (batch,))
            await archive.put_batch(Batch(batch, (("pool", f"{character * 3_000}"),)))
            for order in Order:
                wanted = keys if order is Order.OLDEST_FIRST else keys[::-1]
                found = await self.everything(archive.page, Kind.OUTBOUND, batch, order, 1)
                self.assert_equal(found, wanted)
                found = await self.everything(
                    archive.search, Query(batch_id=batch, address=user), order, 1
                )
                self.assert_equal(found, [key for key in wanted if keys.index(key) % 2])
                found = await self.everything(archive.search, Query(address=other), order, 1)
                self.assert_equal(found, [key for key in wanted if not keys.index(key) % 2])
                found = await self.everything(archive.page, Kind.EVENT, batch, order, 1)
                self.assert_equal(found, [f"e{key}" for key in wanted])
            page = await archive.page(Kind.OUTBOUND, batch, limit=1)
            self.assert_equal(page.entries, (Entry(keys[0], at(0), other),))
            self.assert_equal(ids(await archive.message_events(keys[1])), [f"e{keys[1]}"])
            self.assert_equal(await archive.stats(Kind.OUTBOUND, batch), BatchStats(4, 2))
            tagged = Query(tag=("pool", character * 3_000), status="ack")
            self.assert_equal(ids(await archive.search(tagged)), keys[::-1])
            self.assert_equal(
                (await archive.get_message(Kind.OUTBOUND, keys[0])).batch_ids, (batch,)
            )
            erased = 0
            while step := await archive.forget(user):
                erased += step
            self.assert_equal(erased, 4)
            self.assert_equal(await archive.count(Kind.OUTBOUND, batch), 2)
        found = await self.everything(archive.list_batches, limit=2)
        self.assert_equal(sorted(map(len, found)), [3_001] * 5)

    async def test_pages_stay_right_while_others_write(self) -> None:
        archive = await self.opened()
        messages = [inbound(seconds=10 * n, message_id=f"m{n:02}") for n in range(20)]
        expected = ids(messages)
        for order in Order:
            batch = order.name
            await all_of(archive.store_message(Kind.INBOUND, each, [batch]) for each in messages)
            found: list[str] = []
            step, continuation = 0, None
            while step == 0 or continuation is not None:
                step += 1
                page = await archive.page(Kind.INBOUND, batch, order, 4, continuation)
                found += ids(page)
                continuation = page.continuation
                # Before, between and after what was given; and once more what was given.
                for seconds in (-50 - step, 10 * step + 1, 500 + step):
                    new = inbound(seconds=seconds, message_id=f"new-{batch}-{seconds}")
                    await archive.store_message(Kind.INBOUND, new, [batch])
                await archive.store_message(Kind.INBOUND, messages[step % 20], [batch])
            self.assert_equal(len(found), len(set(found)))
            old = [key for key in found if key.startswith("m")]
            self.assert_equal(old, expected[::-1] if order is Order.NEWEST_FIRST else expected)

    async def test_a_continuation_holds_when_its_entry_is_gone(self) -> None:
        archive = await self.opened()
        messages = [inbound(seconds=n, message_id=f"m{n}") for n in range(6)]
        await all_of(archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages)
        page = await archive.page(Kind.INBOUND, "b", limit=3)
        await archive.delete_before(at(3))
        page = await archive.page(Kind.INBOUND, "b", limit=3, continuation=page.continuation)
        self.assert_equal(ids(page), ["m3", "m4", "m5"])

    async def test_a_continuation_is_plain_text_for_a_url_and_holds_for_other_doors(self) -> None:
        archive, other = await self.opened(), await self.opened()
        for n in range(6):
            message = inbound(seconds=n, message_id=f"m{n}\N{SNOWMAN}&?/")
            await archive.store_message(Kind.INBOUND, message, ["b&?/"])
        page = await archive.page(Kind.INBOUND, "b&?/", limit=2)
        assert page.continuation.isascii()
        assert page.continuation.replace("-", "").replace("_", "").isalnum()
        page = await other.page(Kind.INBOUND, "b&?/", limit=3, continuation=page.continuation)
        self.assert_equal([key[:2] for key in ids(page)], ["m2", "m3", "m4"])

    async def test_a_continuation_of_another_page_is_refused(self) -> None:
        archive = await self.opened()
        for n in range(4):
            await archive.store_message(Kind.INBOUND, inbound(seconds=n), ["b", "other"])
            await archive.store_event(ack("m", n), ["b"])
            await archive.put_batch(Batch(f"b{n}"))
        page = (await archive.page(Kind.INBOUND, "b", limit=2)).continuation
        event_page = (await archive.message_events("m", limit=2)).continuation
        batches = (await archive.list_batches(limit=2)).continuation
        for function, args in (
            (archive.page, (Kind.INBOUND, "other", Order.OLDEST_FIRST, 2, page)),
            (archive.page, (Kind.INBOUND, "b", Order.NEWEST_FIRST, 2, page)),
            (archive.page, (Kind.EVENT, "b", Order.OLDEST_FIRST, 2, page)),
            (archive.page, (Kind.INBOUND, "b", Order.OLDEST_FIRST, 2, page, at(1))),
            (archive.page, (Kind.INBOUND, "b", Order.OLDEST_FIRST, 2, event_page)),
            (archive.page, (Kind.INBOUND, "b", Order.OLDEST_FIRST, 2, batches)),
            (archive.message_events, ("m", 2, page)),
            (archive.message_events, ("other", 2, event_page)),
            (archive.list_batches, (2, page)),
            (archive.search, (Query(batch_id="b"), Order.NEWEST_FIRST, 2, page)),
        ):
            await self.refused(function, *args)

    async def test_a_continuation_that_is_none_is_refused(self) -> None:
        archive = await self.opened()
        for n in range(4):
            await archive.store_message(Kind.INBOUND, inbound(seconds=n), ["b"])
        good = (await archive.page(Kind.INBOUND, "b", limit=2)).continuation
        for wrong in (
            "",
            "x",
            "%",
            "\0",
            "\ud83d",
            "e30",
            "bnVsbA",
            good[:-3],
            good + "A",
            "A" * 10_000,
        ):
            await self.refused(archive.page, Kind.INBOUND, "b", limit=2, continuation=wrong)
            await self.refused(archive.message_events, "m", continuation=wrong)
            await self.refused(archive.list_batches, continuation=wrong)
            await self.refused(archive.search, Query(batch_id="b"), continuation=wrong)

    async def test_a_limit_that_is_none_is_refused(self) -> None:
        archive = await self.opened()
        for limit in (0, -1):
            await self.refused(archive.page, Kind.INBOUND, "b", limit=limit)
            await self.refused(archive.message_events, "m", limit=limit)
            await self.refused(archive.list_batches, limit=limit)
            await self.refused(archive.search, Query(batch_id="b"), limit=limit)
            await self.refused(archive.delete_before, START, limit=limit)
            await self.refused(archive.forget, USER, limit=limit)

    # Search

    async def found(self, archive: Any, query: Query, expected: list[str]) -> None:
        """Check what a query finds, oldest first; in both orders and by pages of two."""
        for order in Order:
            wanted = expected if order is Order.OLDEST_FIRST else expected[::-1]
            page = await archive.search(query, order)
            self.assert_equal(ids(page), wanted, (query, order))
            self.assert_equal(page.continuation, None)
            found = await self.everything(archive.search, query, order, 2)
            self.assert_equal(found, wanted, (query, order))

    async def conversation(self, archive: Any) -> None:
        """Some messages of two people in three batches, with events."""
        await archive.put_batch(Batch("b1", (("pool", "1"),)))
        await archive.put_batch(Batch("b2", (("pool", "1"), ("pool", "2"))))
        await archive.put_batch(Batch("b3", (("pool", "3"),)))
        kinds = {"i": (Kind.INBOUND, inbound), "o": (Kind.OUTBOUND, outbound)}
        for key, seconds, user, batches in (
            ("i1", 10, "+1", ["b1"]),
            ("o1", 20, "+1", ["b1"]),
            ("i2", 30, "+2", ["b2"]),
            ("o2", 40, "+2", ["b1", "b2"]),
            ("o3", 50, "+2", ["b3"]),
            ("i3", 60, "+1", ["b3"]),
            ("o4", 70, "+1", []),
        ):
            kind, make = kinds[key[0]]
            message = make(f"text of {key}", seconds, user=user, message_id=key)
            await archive.store_message(kind, message, batches)

    async def test_search_finds_by_batch(self) -> None:
        archive = await self.opened()
        await self.conversation(archive)
        await self.found(archive, Query(batch_id="b1"), ["i1", "o1", "o2"])
        await self.found(archive, Query(batch_id="b2"), ["i2", "o2"])
        await self.found(archive, Query(batch_id="nowhere"), [])
        page = await archive.search(Query(batch_id="b2"))
        self.assert_equal([stored.kind for stored in page.entries], [Kind.OUTBOUND, Kind.INBOUND])
        self.assert_equal(page.entries[0].batch_ids, ("b1", "b2"))
        self.assert_equal(page.entries[0].message["content"], "text of o2")

    async def test_search_finds_by_tag_each_message_once(self) -> None:
        archive = await self.opened()
        await self.conversation(archive)
        await self.found(archive, Query(tag=("pool", "1")), ["i1", "o1", "i2", "o2"])
        await self.found(archive, Query(tag=("pool", "2")), ["i2", "o2"])
        await self.found(archive, Query(tag=("pool", "9")), [])
        await self.found(archive, Query(tag=("pool", "1"), batch_id="b1"), ["i1", "o1", "o2"])
        await self.found(archive, Query(tag=("pool", "2"), batch_id="b1"), ["o2"])
        await self.found(archive, Query(tag=("pool", "3"), batch_id="b1"), [])
        # A tag that the batch no longer has.
        await archive.put_batch(Batch("b2", (("pool", "2"),)))
        await self.found(archive, Query(tag=("pool", "1")), ["i1", "o1", "o2"])

    async def test_search_finds_by_direction_time_and_address_together(self) -> None:
        archive = await self.opened()
        await self.conversation(archive)
        only_in, only_out = frozenset({Kind.INBOUND}), frozenset({Kind.OUTBOUND})
        for query, expected in (
            (Query(batch_id="b1", kinds=only_in), ["i1"]),
            (Query(batch_id="b1", kinds=only_out), ["o1", "o2"]),
            (Query(batch_id="b1", start=at(20)), ["o1", "o2"]),
            (Query(batch_id="b1", end=at(20)), ["i1", "o1"]),
            (Query(batch_id="b1", start=at(20), end=at(20)), ["o1"]),
            (Query(batch_id="b1", start=at(21), end=at(20)), []),
            (Query(batch_id="b1", address="+1"), ["i1", "o1"]),
            (Query(batch_id="b1", address="+1", kinds=only_out, start=at(20)), ["o1"]),
            (Query(tag=("pool", "1"), address="+2", kinds=only_in), ["i2"]),
            (Query(tag=("pool", "1"), address="+9"), []),
        ):
            await self.found(archive, query, expected)

    async def test_search_finds_by_address_anywhere(self) -> None:
        archive = await self.opened()
        await self.conversation(archive)
        if "address anywhere" in self.cannot:
            await self.refused(archive.search, Query(address="+1"))
            return
        await self.found(archive, Query(address="+1"), ["i1", "o1", "i3", "o4"])
        await self.found(archive, Query(address="+1", start=at(20), end=at(60)), ["o1", "i3"])
        await self.found(
            archive, Query(address="+1", kinds=frozenset({Kind.INBOUND})), ["i1", "i3"]
        )
        # The address is the user's, and all of it.
        await self.found(archive, Query(address=SHORT_CODE), [])
        await self.found(archive, Query(address="1"), [])
        await self.found(archive, Query(address="+%"), [])

    async def test_search_finds_in_the_whole_archive(self) -> None:
        archive = await self.opened()
        await self.conversation(archive)
        if "any batch" in self.cannot:
            await self.refused(archive.search, Query())
            await self.refused(archive.search, Query(start=at(30), end=at(50)))
            return
        await self.found(archive, Query(), ["i1", "o1", "i2", "o2", "o3", "i3", "o4"])
        await self.found(archive, Query(start=at(30), end=at(50)), ["i2", "o2", "o3"])
        await self.found(archive, Query(kinds=frozenset({Kind.INBOUND})), ["i1", "i2", "i3"])

    async def test_search_tells_messages_of_one_time_and_id_apart(self) -> None:
        archive = await self.opened()
        for n in range(3):
            await archive.store_message(Kind.INBOUND, inbound(message_id=f"m{n}"), ["b"])
            await archive.store_message(Kind.OUTBOUND, outbound(message_id=f"m{n}"), ["b"])
        for limit in (1, 2, 3, 6):
            pages = await self.pages(
                archive.search, Query(batch_id="b"), Order.OLDEST_FIRST, limit
            )
            found = [(s.message_id, s.kind) for page in pages for s in page.entries]
            self.assert_equal(len(found), 6)
            self.assert_equal(len(set(found)), 6)

    async def test_search_finds_by_words(self) -> None:
        archive = await self.opened()
        if "text" in self.cannot:
            await self.refused(archive.search, Query(batch_id="b", text="hello"))
            return
        texts = {
            "m0": "Hello, World! Füße in the sand",
            "m1": "hello again, world.",
            "m2": "HELLO",
            "m3": 'helloworld (it\'s NOT "quoted" AND 50%)',
            "m4": None,
            "m5": "नमस्ते दुनिया and +27-83 123 4567",
            "m6": "\0NUL\0 and \ud83d half",
            "m7": "http://example.com/path?x=1&y=2 a@b.org",
        }
        for n, (key, text) in enumerate(texts.items()):
            message = inbound(text, n, message_id=key)
            await archive.store_message(Kind.INBOUND, message, ["b" if n % 2 else "c"])
        for text, expected in (
            ("hello", ["m0", "m1", "m2"]),
            ("Hello World", ["m0", "m1"]),
            ("world hello", ["m0", "m1"]),
            ("hello, again!", ["m1"]),
            ("fÜSSE", ["m0"]),
            ("hell", []),
            ("hello nowhere", []),
            ("NOT", ["m3"]),
            ("and", ["m3", "m5", "m6"]),
            ('"quoted"', ["m3"]),
            ("50", ["m3"]),
            ("hello OR sand", []),
            ("hel*", []),
            ("दुनिया", ["m5"]),
            ("123 4567", ["m5"]),
            ("nul half", ["m6"]),
            ("example.com", ["m7"]),
            ("path 1", ["m7"]),
            ("b.org", ["m7"]),
        ):
            await self.found(archive, Query(text=text), expected)
        await self.found(archive, Query(text="hello", batch_id="b"), ["m1"])
        await self.found(archive, Query(text="hello", address=USER, start=at(1)), ["m1", "m2"])
        await self.found(archive, Query(text="hello", kinds=frozenset({Kind.OUTBOUND})), [])
        for nothing in ("", "  ", "?!", "\0"):
            await self.refused(archive.search, Query(text=nothing))

    async def test_search_by_words_follows_what_is_replaced_and_erased(self) -> None:
        archive = await self.opened()
        if "text" in self.cannot:
            return
        await archive.store_message(Kind.INBOUND, inbound("old words", message_id="m"), ["b"])
        await archive.store_message(Kind.INBOUND, inbound("new words", message_id="m"))
        await self.found(archive, Query(text="old"), [])
        await self.found(archive, Query(text="new words"), ["m"])
        await archive.store_message(Kind.INBOUND, inbound("words late", 10, message_id="n"))
        await archive.delete_before(at(5))
        await self.found(archive, Query(text="words"), ["n"])
        await archive.forget(USER)
        await self.found(archive, Query(text="words"), [])
        await archive.store_message(Kind.INBOUND, inbound("other", message_id="m"))
        await self.found(archive, Query(text="words"), [])

    async def test_search_finds_by_the_last_event(self) -> None:
        archive = await self.opened()
        await self.conversation(archive)
        if "status" in self.cannot:
            await self.refused(archive.search, Query(batch_id="b1", status="ack"))
            return
        await archive.store_event(report("o1", "delivered", 25))
        # What happened earlier but came later changes nothing.
        await archive.store_event(ack("o1", 21))
        await archive.store_event(ack("o2", 41))
        await archive.store_event(report("o2", "pending", 42))
        await archive.store_event(nack("o3", 51, event_id="e3"))
        for status, expected in (
            ("delivered", ["o1"]),
            ("ack", []),
            ("pending", ["o2"]),
            ("nack", ["o3"]),
            ("failed", []),
            ("none", ["o4"]),
        ):
            await self.found(archive, Query(status=status), expected)
        await self.found(archive, Query(status="delivered", batch_id="b1"), ["o1"])
        await self.found(archive, Query(status="delivered", batch_id="b3"), [])
        await self.found(archive, Query(status="nack", address="+2", start=at(50)), ["o3"])
        await self.found(archive, Query(status="nack", tag=("pool", "3")), ["o3"])
        await self.found(archive, Query(status="none", batch_id="b1"), [])
        await self.found(archive, Query(status="none", kinds=frozenset({Kind.INBOUND})), [])
        # Stored again, the event and the message are what they are now.
        await archive.store_event(ack("o3", 51, event_id="e3"))
        await self.found(archive, Query(status="nack"), [])
        await self.found(archive, Query(status="ack"), ["o3"])
        await archive.store_message(Kind.OUTBOUND, outbound("moved", 5, message_id="o3"))
        await self.found(archive, Query(status="ack", end=at(5)), ["o3"])
        await self.refused(archive.search, Query(status="lost"))

    async def test_search_by_status_knows_an_event_that_came_before_its_message(self) -> None:
        archive = await self.opened()
        if "status" in self.cannot:
            return
        await archive.store_event(report("m", "failed", 5))
        await self.found(archive, Query(status="failed"), [])
        await archive.store_message(Kind.OUTBOUND, outbound(message_id="m"))
        await self.found(archive, Query(status="failed"), ["m"])
        await self.found(archive, Query(status="none"), [])

    async def test_search_by_status_forgets_events_that_were_erased(self) -> None:
        archive = await self.opened()
        if "status" in self.cannot:
            return
        await archive.store_message(Kind.OUTBOUND, outbound(seconds=100, message_id="m"))
        await archive.store_event(nack("m", 5))
        await archive.store_event(ack("m", 3))
        self.assert_equal(await archive.delete_before(at(5)), 1)
        await self.found(archive, Query(status="nack"), ["m"])
        self.assert_equal(await archive.delete_before(at(50)), 1)
        await self.found(archive, Query(status="nack"), [])
        await self.found(archive, Query(status="none"), ["m"])

    async def test_search_never_finds_events(self) -> None:
        archive = await self.opened()
        await archive.store_event(ack("m"), ["b"])
        await self.found(archive, Query(batch_id="b"), [])
        await self.refused(archive.search, Query(batch_id="b", kinds=frozenset({Kind.EVENT})))
        await self.found(archive, Query(batch_id="b", kinds=frozenset()), [])

    async def test_a_continuation_of_another_search_is_refused(self) -> None:
        archive = await self.opened()
        await self.conversation(archive)
        page = await archive.search(Query(batch_id="b1"), limit=1)
        for query, order in (
            (Query(batch_id="b2"), Order.NEWEST_FIRST),
            (Query(batch_id="b1", address="+1"), Order.NEWEST_FIRST),
            (Query(batch_id="b1"), Order.OLDEST_FIRST),
        ):
            await self.refused(archive.search, query, order, 1, page.continuation)

    # Counts

    async def test_counts(self) -> None:
        archive = await self.opened()
        for kind in Kind:
            self.assert_equal(await archive.count(kind), 0)
            self.assert_equal(await archive.count(kind, "b1"), 0)
        await self.conversation(archive)
        await archive.store_event(ack("o1"))
        await archive.store_event(ack("o4"))
        counted = [await archive.count(kind) for kind in Kind]
        self.assert_equal(counted, [3, 4, 2])
        counted = [await archive.count(kind, "b1") for kind in Kind]
        self.assert_equal(counted, [1, 2, 1])

    async def test_stats_are_exact(self) -> None:
        archive = await self.opened()
        self.assert_equal(await archive.stats(Kind.INBOUND, "b"), BatchStats(0, 0))
        messages = [inbound(seconds=n, user=f"+{n % 7}") for n in range(30)]
        await all_of(archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages)
        nobody = inbound(seconds=100)
        nobody["from_addr"] = None
        await archive.store_message(Kind.INBOUND, nobody, ["b"])
        await archive.store_message(Kind.OUTBOUND, outbound(), ["b"])
        for start, end, expected in (
            (None, None, BatchStats(31, 7)),
            (at(5), at(8), BatchStats(4, 4)),
            (at(28), None, BatchStats(3, 2)),
            (None, at(0), BatchStats(1, 1)),
            (at(100), at(100), BatchStats(1, 0)),
            (at(50), at(60), BatchStats(0, 0)),
        ):
            stats = await archive.stats(Kind.INBOUND, "b", start, end)
            self.assert_equal(stats, expected, (start, end))
        self.assert_equal(await archive.stats(Kind.OUTBOUND, "b"), BatchStats(1, 1))
        await self.refused(archive.stats, Kind.EVENT, "b")

    async def test_status_counts(self) -> None:
        archive = await self.opened()
        names = ["ack", "nack", "delivery_report", "sent"]
        names += [f"delivery_report.{status}" for status in ("pending", "failed", "delivered")]
        self.assert_equal(await archive.status_counts("b"), dict.fromkeys(names, 0))
        for n in range(3):
            await archive.store_message(Kind.OUTBOUND, outbound(message_id=f"m{n}"), ["b"])
            await archive.store_event(ack(f"m{n}"))
        for status in ("pending", "delivered", "delivered", "failed"):
            await archive.store_event(report("m0", status))
        await archive.store_event(nack("m1"), ["b"])
        await archive.store_event(nack("m1"), ["other"])
        expected = {
            "ack": 3,
            "nack": 1,
            "delivery_report": 4,
            "delivery_report.pending": 1,
            "delivery_report.failed": 1,
            "delivery_report.delivered": 2,
            "sent": 3,
        }
        self.assert_equal(await archive.status_counts("b"), expected)

    # Erasing

    async def test_what_is_older_is_erased_in_small_steps(self) -> None:
        archive = await self.opened()
        for n in range(10):
            await archive.store_message(
                Kind.OUTBOUND, outbound(seconds=n, message_id=f"m{n}"), ["b", "c"]
            )
            await archive.store_event(ack(f"m{n}", n, event_id=f"e{n}"))
        self.assert_equal(await archive.delete_before(at(6), dry_run=True), 12)
        self.assert_equal(await archive.delete_before(at(6), 5, dry_run=True), 12)
        self.assert_equal(await archive.count(Kind.OUTBOUND), 10)
        steps = []
        while erased := await archive.delete_before(at(6), 5):
            steps.append(erased)
        self.assert_equal(sum(steps), 12)
        assert max(steps) <= 5, steps
        rest = [f"m{n}" for n in range(6, 10)]
        for batch_id in ("b", "c"):
            self.assert_equal(ids(await archive.page(Kind.OUTBOUND, batch_id)), rest)
            newest = await archive.page(Kind.OUTBOUND, batch_id, Order.NEWEST_FIRST)
            self.assert_equal(ids(newest), rest[::-1])
            self.assert_equal(await archive.count(Kind.OUTBOUND, batch_id), 4)
            self.assert_equal(await archive.count(Kind.EVENT, batch_id), 4)
            self.assert_equal((await archive.status_counts(batch_id))["ack"], 4)
        self.assert_equal(await archive.get_message(Kind.OUTBOUND, "m5"), None)
        self.assert_equal(await archive.get_event("e5"), None)
        self.assert_equal(ids(await archive.message_events("m5")), [])
        self.assert_equal(ids(await archive.message_events("m6")), ["e6"])
        self.assert_equal(await archive.delete_before(at(6), dry_run=True), 0)
        # What was erased can come again.
        self.assert_equal(
            await archive.store_message(Kind.OUTBOUND, outbound(message_id="m0"), ["b"]), True
        )

    async def test_a_person_is_forgotten_everywhere_and_nobody_else(self) -> None:
        archive = await self.opened()
        await archive.store_message(
            Kind.INBOUND, inbound("from", 1, user="+1", message_id="i1"), ["b"]
        )
        await archive.store_message(
            Kind.OUTBOUND, outbound("to", 2, user="+1", message_id="o1"), ["b"]
        )
        await archive.store_message(Kind.OUTBOUND, outbound("to", 3, user="+1", message_id="o2"))
        for n in range(3):
            await archive.store_event(ack("o1", n, event_id=f"e{n}"))
        await archive.store_message(
            Kind.INBOUND, inbound("x", 5, user="+12", message_id="i3"), ["b"]
        )
        await archive.store_message(
            Kind.OUTBOUND, outbound("x", 6, user="1", message_id="o3"), ["b"]
        )
        await archive.store_event(ack("o3", event_id="e9"))
        self.assert_equal(await archive.forget("+1", dry_run=True), 6)
        self.assert_equal(await archive.forget("+1", 1, dry_run=True), 6)
        steps = []
        while erased := await archive.forget("+1", 4):
            steps.append(erased)
        self.assert_equal(sum(steps), 6)
        self.assert_equal(ids(await archive.page(Kind.INBOUND, "b")), ["i3"])
        self.assert_equal(ids(await archive.page(Kind.OUTBOUND, "b")), ["o3"])
        self.assert_equal(ids(await archive.page(Kind.EVENT, "b")), ["e9"])
        self.assert_equal([await archive.count(kind) for kind in Kind], [1, 1, 1])
        for kind, key in ((Kind.INBOUND, "i1"), (Kind.OUTBOUND, "o1"), (Kind.OUTBOUND, "o2")):
            self.assert_equal(await archive.get_message(kind, key), None)
        self.assert_equal(ids(await archive.message_events("o1")), [])
        self.assert_equal(await archive.get_events(["e0", "e1", "e2"]), [])
        self.assert_equal(await archive.forget("+1", dry_run=True), 0)

    async def test_nobody_is_not_forgotten(self) -> None:
        archive = await self.opened()
        message = inbound()
        message["from_addr"] = None
        await archive.store_message(Kind.INBOUND, message, ["b"])
        await self.refused(archive.forget, "")
        await self.refused(archive.forget, "", dry_run=True)
        self.assert_equal(await archive.count(Kind.INBOUND), 1)

    async def test_a_person_is_forgotten_as_the_other_side_too(self) -> None:
        archive = await self.opened()
        for n, (kind, sender, receiver) in enumerate(
            [
                (Kind.INBOUND, "+1", "+2"),
                (Kind.INBOUND, "+2", "+1"),
                (Kind.OUTBOUND, "+1", "+2"),
                (Kind.OUTBOUND, "+2", "+1"),
                (Kind.INBOUND, "+1", "+1"),
                (Kind.INBOUND, "+2", "+2"),
            ]
        ):
            message = inbound(seconds=n, message_id=f"m{n}")
            message["from_addr"], message["to_addr"] = sender, receiver
            await archive.store_message(kind, message, ["b"])
        self.assert_equal(await archive.forget("+1", dry_run=True), 5)
        while await archive.forget("+1", 2):
            pass
        self.assert_equal(ids(await archive.page(Kind.INBOUND, "b")), ["m5"])
        self.assert_equal(ids(await archive.page(Kind.OUTBOUND, "b")), [])

    # Locks

    async def test_a_lock_has_one_owner(self) -> None:
        archive, other = await self.opened(), await self.opened()
        self.assert_equal(await archive.acquire_lock("purge", "one", 60), True)
        self.assert_equal(await other.acquire_lock("purge", "two", 60), False)
        self.assert_equal(await archive.acquire_lock("purge", "one", 60), True)
        self.assert_equal(await other.acquire_lock("another", "two", 60), True)
        await other.release_lock("purge", "two")
        self.assert_equal(await other.acquire_lock("purge", "two", 60), False)
        await archive.release_lock("purge", "one")
        await archive.release_lock("purge", "one")
        self.assert_equal(await other.acquire_lock("purge", "two", 60), True)
        self.assert_equal(await archive.acquire_lock("purge", "one", 60), False)

    async def test_a_lock_that_ran_out_is_free(self) -> None:
        archive = await self.opened()
        self.assert_equal(await archive.acquire_lock("purge", "one", 0), True)
        self.assert_equal(await archive.acquire_lock("purge", "two", 60), True)
        self.assert_equal(await archive.acquire_lock("purge", "one", 60), False)

    async def test_of_many_who_want_a_lock_one_gets_it(self) -> None:
        archives = [await self.opened() for _ in range(2)]
        taken = await all_of(
            archives[n % 2].acquire_lock("purge", f"owner {n}", 60) for n in range(10)
        )
        self.assert_equal(sum(taken), 1)


class ArchiveOutageContract(ArchiveSuite):
    """What is behind the archive goes away, and comes back. Mixed into a :class:`TestCase`."""

    #: Whether reading goes on all the same.
    reads_go_on = False

    def make_impatient_archive(self) -> Any:
        """An archive that gives up within about a second."""
        raise NotImplementedError

    async def take_away(self) -> None:
        """Let the archive's database be away."""
        raise NotImplementedError

    async def bring_back(self) -> None:
        """Let it be there again, with what was in it. May be called if it was never away."""
        raise NotImplementedError

    async def away(self, function: Callable[..., Any], *args: Any) -> StoreUnavailable:
        try:
            result = await function(*args)
        except StoreUnavailable as error:
            return error
        raise AssertionError(f"worked all the same: {result!r}")

    async def opened_impatient(self) -> Any:
        archive = self.make_impatient_archive()
        self.case.addCleanup(archive.close)
        self.case.addCleanup(self.bring_back)
        await archive.open()
        return archive

    async def test_what_is_away_is_an_error_and_works_again_afterwards(self) -> None:
        archive = await self.opened_impatient()
        first, second = inbound("first", 1), inbound("second", 2)
        await archive.store_message(Kind.INBOUND, first, ["b"])
        await self.take_away()
        error = await self.away(archive.store_message, Kind.INBOUND, second, ["b"])
        assert archive.address in str(error), error
        await self.away(archive.store_event, ack("m"))
        if not self.reads_go_on:
            await self.away(archive.page, Kind.INBOUND, "b")
            await self.away(archive.get_message, Kind.INBOUND, "m")
        await self.bring_back()
        await archive.store_message(Kind.INBOUND, second, ["b"])
        self.assert_equal(ids(await archive.page(Kind.INBOUND, "b")), ids([first, second]))

    async def test_a_short_absence_is_waited_for(self) -> None:
        archive = await self.opened()
        self.case.addCleanup(self.bring_back)
        messages = [inbound(seconds=n) for n in range(10)]
        await archive.store_message(Kind.INBOUND, messages[0], ["b"])
        await self.take_away()
        writes = [archive.store_message(Kind.INBOUND, message, ["b"]) for message in messages[1:]]
        reading = archive.count(Kind.INBOUND, "b")
        await self.bring_back()
        self.assert_equal(await all_of(writes), [True] * 9)
        assert 1 <= await reading <= 10
        self.assert_equal(ids(await archive.page(Kind.INBOUND, "b")), ids(messages))

    async def test_an_archive_that_is_away_is_not_opened_but_later_it_is(self) -> None:
        archive = self.make_impatient_archive()
        self.case.addCleanup(archive.close)
        self.case.addCleanup(self.bring_back)
        await self.take_away()
        await self.away(archive.open)
        await self.bring_back()
        await archive.open()
        self.assert_equal(await archive.store_message(Kind.INBOUND, inbound(), ["b"]), True)

    async def test_an_archive_that_is_away_can_be_closed(self) -> None:
        archive = await self.opened_impatient()
        await self.take_away()
        write = archive.store_message(Kind.INBOUND, inbound())
        closed = archive.close()
        await self.away(lambda: write)
        await closed
