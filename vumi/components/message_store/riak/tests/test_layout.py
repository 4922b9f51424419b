"""How things are in Riak: what old workers wrote is read, and what is written they read."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.components.message_store.interface import Batch, CurrentTag, Kind, StoredMessage
from vumi.components.message_store.riak.layout import (
    batch_record,
    event_draft,
    message_draft,
    read_batch,
    read_event,
    read_message,
    read_tag,
    tag_record,
)
from vumi.components.message_store.riak.objects import merge_stored, newest
from vumi.components.message_store.riak.terms import (
    MAX_KEY,
    CoarseHit,
    Hit,
    compound_term,
    digest,
    escape_key,
    escape_term,
    exact_term,
    group_prefix,
    object_key,
    parse_forward,
    parse_reverse,
    quoted,
    rest_term,
    reverse_timestamp,
    second_of,
    split_forward,
    unescape_key,
    unescape_term,
)
from vumi.components.message_store.tests.contract import ack, inbound, outbound, report
from vumi.errors import StoreError
from vumi.message import TransportUserMessage
from vumi.payload import format_vumi_date

TIMESTAMP = "2026-03-04 05:06:07.000000"
REVERSE = f"{0xFFFFFFFFFF - 1772600767:X}"

#: All texts, halves of surrogate pairs too.
texts = st.text(st.characters(exclude_categories=()))


def indexes(record: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, term in record.indexes:
        found.setdefault(name, []).append(term)
    return found


# What is written


def test_an_outbound_message_is_written_as_the_old_vumi_s_fifth_version() -> None:
    message = outbound("hi", message_id="m1")
    record = message_draft(Kind.OUTBOUND, message).record(["b2", "b1"])
    assert json.loads(record.body) == {
        "$VERSION": 5,
        "batches": ["b1", "b2"],
        "msg.content": "hi",
        "msg.from_addr": "*120*1#",
        "msg.from_addr_type": None,
        "msg.group": None,
        "msg.helper_metadata": {},
        "msg.in_reply_to": None,
        "msg.message_id": "m1",
        "msg.message_type": "user_message",
        "msg.message_version": "20110921",
        "msg.provider": None,
        "msg.routing_metadata": {},
        "msg.session_event": None,
        "msg.timestamp": TIMESTAMP,
        "msg.to_addr": "+27831234567",
        "msg.to_addr_type": None,
        "msg.transport_metadata": {},
        "msg.transport_name": "sphex",
        "msg.transport_type": "sms",
    }
    assert indexes(record) == {
        "batches_bin": ["b1", "b2"],
        "batches_with_addresses_bin": [
            f"b1${TIMESTAMP}$+27831234567",
            f"b2${TIMESTAMP}$+27831234567",
        ],
        "batches_with_addresses_reverse_bin": [
            f"b1${REVERSE}$+27831234567",
            f"b2${REVERSE}$+27831234567",
        ],
        "addresses_bin": [f"+27831234567${TIMESTAMP}$"],
        "other_addresses_bin": ["*120*1#"],
        "timestamps_bin": [f"${TIMESTAMP}$"],
    }


def test_the_address_of_an_inbound_message_is_its_sender_s() -> None:
    found = indexes(message_draft(Kind.INBOUND, inbound()).record(["b"]))
    assert found["batches_with_addresses_bin"] == [f"b${TIMESTAMP}$+27831234567"]
    assert found["addresses_bin"] == [f"+27831234567${TIMESTAMP}$"]
    assert found["other_addresses_bin"] == ["*120*1#"]


def test_an_event_is_written_as_the_old_vumi_s_second_version() -> None:
    event = report("m1", "delivered", event_id="e1")
    record = event_draft(event).record(["b"])
    assert json.loads(record.body) == {
        "$VERSION": 2,
        "message": "m1",
        "batches": ["b"],
        "event.delivery_status": "delivered",
        "event.event_id": "e1",
        "event.event_type": "delivery_report",
        "event.helper_metadata": {},
        "event.message_type": "event",
        "event.message_version": "20110921",
        "event.routing_metadata": {},
        "event.timestamp": TIMESTAMP,
        "event.user_message_id": "m1",
    }
    assert indexes(record) == {
        "message_bin": ["m1"],
        "message_with_status_bin": [f"m1${TIMESTAMP}$delivery_report.delivered"],
        "batches_bin": ["b"],
        "batches_with_statuses_reverse_bin": [f"b${REVERSE}$delivery_report.delivered"],
        "batches_with_statuses_bin": [f"b${TIMESTAMP}$delivery_report.delivered"],
        "timestamps_bin": [f"${TIMESTAMP}$"],
    }


def test_batches_and_tags_are_written_as_the_old_vumi_s() -> None:
    batch = Batch("b", (("pool", "1"), ("pool", "2")), {"name": "x"})
    record = batch_record(batch)
    assert json.loads(record.body) == {
        "$VERSION": None,
        "tags": [["pool", "1"], ["pool", "2"]],
        "metadata.name": "x",
    }
    assert indexes(record) == {"tags_bin": ["pool:1", "pool:2"]}
    assert read_batch("b", record.body) == batch
    current = CurrentTag(("pool", "1"), "b", {"x": "y"})
    record = tag_record(current)
    assert json.loads(record.body) == {
        "$VERSION": None,
        "current_batch": "b",
        "tag": ["pool", "1"],
        "metadata.x": "y",
    }
    assert indexes(record) == {"current_batch_bin": ["b"]}
    assert read_tag(("pool", "1"), record.body) == current
    assert tag_record(CurrentTag(("pool", "1"))).indexes == ()


def test_scratch_of_a_process_is_not_written() -> None:
    message = inbound()
    message.cache["x"] = object()
    assert b"__cache__" not in message_draft(Kind.INBOUND, message).record([]).body


def test_a_message_in_more_batches_than_riak_can_show_is_refused_when_written() -> None:
    # Riak shows all terms of an index in one header line; a longer one nobody could read again.
    draft = message_draft(Kind.INBOUND, inbound())
    draft.record([f"{n:032x}" for n in range(150)])
    with pytest.raises(StoreError, match="too many batches"):
        draft.record([f"{n:032x}" for n in range(300)])


@pytest.mark.parametrize(
    "character", ["x", "+", "%", " ", "\N{SNOWMAN}", "\N{PILE OF POO}", "\ud83d"]
)
@pytest.mark.parametrize("length", [50, 100, 500, 5_000])
def test_no_request_line_for_a_page_is_longer_than_riak_reads(character: str, length: int) -> None:
    text = character * length
    draft = message_draft(Kind.INBOUND, inbound(user=text, message_id=text))
    record = draft.record([text])
    assert len(quoted(object_key(text))) <= MAX_KEY
    for name, term in record.indexes:
        # The longest continuation: each octet of Base64 may need three in a query.
        octets = f"{term}{object_key(text)}".encode()
        continuation = quote(urlsafe_b64encode(octets + b"x" * 40).decode(), safe="")
        group = term.rpartition("$")[0] if "$" in term else term
        bounds = "/".join(quoted(part) for part in (name, f"{group}$", f"{group}$%"))
        assert len(bounds) + len(continuation) + 850 < 8_192, (
            name,
            len(bounds),
            len(continuation),
        )


@given(st.text(st.characters(exclude_categories=()), min_size=200, max_size=700), st.datetimes())
def test_a_long_group_and_a_long_address_are_read_again_by_their_digests(
    text: str, time: datetime
) -> None:
    message = inbound(user=text, timestamp=time)
    found = indexes(message_draft(Kind.INBOUND, message).record([text]))
    hit = parse_forward(text, found["batches_with_addresses_bin"][0], "k")
    assert hit is not None
    assert hit.term == rest_term(text)
    assert parse_forward(f"{text}x", found["batches_with_addresses_bin"][0], "k") is None
    own = parse_forward(text, found["addresses_bin"][0], "k")
    assert own is not None
    # What an index gives can be fetched.
    assert object_key(digest(text)) == digest(text)


@given(texts, st.datetimes(), st.sampled_from(["ack", "delivery_report.failed"]))
def test_a_term_of_any_group_is_split_where_its_group_ends(
    group: str, time: datetime, status: str
) -> None:
    stamp = time.isoformat(" ", "microseconds")
    split = split_forward(compound_term(group, stamp, status), "k")
    assert split == (group_prefix(group), Hit(format_vumi_date(time), "k", status))


def test_what_no_old_worker_and_no_text_could_have_written_is_a_digest() -> None:
    texts = [digest("a"), digest("b"), "%~", "%25~"]
    assert len({escape_term(text) for text in texts} | {digest("a")}) == 5


# What is read

FIELDS = {
    "msg.message_id": "m",
    "msg.message_type": "user_message",
    "msg.message_version": "20110921",
    "msg.timestamp": "2015-01-02 23:14:11.000500",
    "msg.to_addr": "+1",
    "msg.from_addr": "+2",
    "msg.in_reply_to": None,
    "msg.session_event": None,
    "msg.content": "2015-01-02 23:14:11",
    "msg.transport_name": "t",
    "msg.transport_type": "sms",
    "msg.transport_metadata": {},
    "msg.helper_metadata": {"a": {"b": 1}},
}
EVENT_FIELDS = {
    "event.message_type": "event",
    "event.message_version": "20110921",
    "event.timestamp": "2015-01-02 23:14:11",
    "event.event_id": "e",
    "event.event_type": "ack",
    "event.user_message_id": "m",
    "event.sent_message_id": "s",
    "message": "m",
}


@pytest.mark.parametrize(
    ("head", "batch_ids"),
    [
        ({"$VERSION": None, "batch": "b"}, ("b",)),
        ({"batch": "b"}, ("b",)),
        ({"$VERSION": None, "batch": None}, ()),
        ({"$VERSION": 1, "batches": ["b", "a"]}, ("a", "b")),
        ({"$VERSION": 2, "batches": ["b"]}, ("b",)),
        ({"$VERSION": 3, "batches": ["b"]}, ("b",)),
        ({"$VERSION": 4, "batches": []}, ()),
        ({"$VERSION": 5, "batches": ["b", "b"]}, ("b",)),
    ],
)
def test_messages_of_all_old_versions_are_read(
    head: dict[str, Any], batch_ids: tuple[str, ...]
) -> None:
    stored = read_message(Kind.OUTBOUND, "m", json.dumps({**head, **FIELDS}).encode())
    assert stored.batch_ids == batch_ids
    assert type(stored.message) is TransportUserMessage
    assert stored.message["timestamp"] == datetime(2015, 1, 2, 23, 14, 11, 500)
    assert stored.message["content"] == "2015-01-02 23:14:11"
    assert stored.message["helper_metadata"] == {"a": {"b": 1}}
    assert "batches" not in stored.message


@pytest.mark.parametrize(
    ("head", "batch_ids"),
    [
        ({"$VERSION": None}, ()),
        ({"$VERSION": 1}, ()),
        ({"$VERSION": 2, "batches": ["b"]}, ("b",)),
    ],
)
def test_events_of_all_old_versions_are_read(
    head: dict[str, Any], batch_ids: tuple[str, ...]
) -> None:
    stored = read_event("e", json.dumps({**head, **EVENT_FIELDS}).encode())
    assert stored.batch_ids == batch_ids
    assert stored.event["timestamp"] == datetime(2015, 1, 2, 23, 14, 11)
    assert stored.event.status() == "ack"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps({"$VERSION": 6, "batches": [], **FIELDS}).encode(),
        json.dumps({"$VERSION": "5", "batches": [], **FIELDS}).encode(),
        json.dumps({"$VERSION": 5, **FIELDS, "msg.timestamp": "yesterday"}).encode(),
    ],
)
def test_what_is_no_message_is_refused_with_its_id(body: bytes) -> None:
    with pytest.raises(StoreError, match="'some id'"):
        read_message(Kind.INBOUND, "some id", body)


# Terms


@given(texts)
def test_a_term_survives_a_header_line(text: str) -> None:
    escaped = escape_term(text)
    assert all(" " <= character <= "~" and character != "," for character in escaped)
    assert escaped == escaped.strip()
    assert unescape_term(escaped) == text
    assert exact_term(text)


def test_terms_of_different_texts_differ() -> None:
    names = ["", "%", "%25", " ", "%20", ",", "%2C", "\0", "é", "é\ud83d"]
    assert len({exact_term(name) for name in names}) == len(names)
    assert len({escape_key(name) for name in names}) == len(names)


@given(texts)
def test_an_id_survives_being_a_key(text: str) -> None:
    key = escape_key(text)
    assert key
    key.encode("utf-8")
    assert unescape_key(key) == text


def test_ordinary_ids_and_addresses_are_written_as_they_are() -> None:
    for text in ("a0b1", "+27831234567", "*120*1#", "user@example.com/res", "a b", "50%", "$"):
        assert escape_key(text) == text
        if "%" not in text:
            assert escape_term(text) == text
    assert escape_key("é\N{SNOWMAN}") == "é\N{SNOWMAN}"


def test_raw_terms_of_old_workers_are_read_as_they_are() -> None:
    hit = parse_forward("b", "b$2015-01-02 23:14:11.000001$é, 50% off", "k")
    assert hit == Hit("2015-01-02 23:14:11.000001", "k", "é, 50% off")
    assert unescape_term("100%ZZ %FF") == "100%ZZ %FF"


@given(texts, st.datetimes(), st.text(st.characters(exclude_categories=()), max_size=50))
def test_what_is_written_into_a_compound_index_is_read_again(
    group: str, time: datetime, address: str
) -> None:
    message = inbound(user=address, timestamp=time)
    found = indexes(message_draft(Kind.INBOUND, message).record([group]))
    hit = parse_forward(group, found["batches_with_addresses_bin"][0], "k")
    assert hit is not None
    assert (datetime.fromisoformat(hit.timestamp), hit.term) == (time, address)
    coarse = parse_reverse(group, found["batches_with_addresses_reverse_bin"][0], "k")
    assert coarse == CoarseHit(second_of(hit.timestamp), "k", address)
    own = parse_forward(address, found["addresses_bin"][0], "k")
    assert own == Hit(hit.timestamp, "k", "")


@pytest.mark.parametrize(
    "term",
    [
        "b",
        "b$",
        "b$x$y",
        "b$$2015-01-02 23:14:11.000001$a",
        "b$c$2015-01-02 23:14:11.000001$a",
        "c$2015-01-02 23:14:11.000001$a",
        "b$2015-13-02 23:14:11.000001$a",
        "b$2015-01-02 23:14:11.000001",
    ],
)
def test_a_term_of_another_batch_that_begins_alike_is_none_of_this(term: str) -> None:
    assert parse_forward("b", term, "k") is None
    assert parse_reverse("b", term, "k") is None


def test_a_time_with_a_zone_is_indexed_as_utc() -> None:
    time = datetime(2026, 3, 4, 7, 6, 7, tzinfo=timezone(timedelta(hours=2)))
    draft = message_draft(Kind.INBOUND, inbound(timestamp=time))
    assert draft.timestamp == TIMESTAMP


def test_reverse_timestamps_are_those_of_the_old_vumi() -> None:
    assert reverse_timestamp(0) == "FFFFFFFFFF"
    assert reverse_timestamp(1438597000) == "FFAA40C077"
    assert second_of("2015-08-03 10:16:40.999999") == 1438597000


@given(st.datetimes(), st.datetimes())
def test_reverse_timestamps_sort_backwards_and_have_one_length(
    one: datetime, other: datetime
) -> None:
    # What was before 1970 got one more digit, and was out of order.
    seconds = [second_of(time.isoformat(" ", "microseconds")) for time in (one, other)]
    terms = [reverse_timestamp(second) for second in seconds]
    assert [len(term) for term in terms] == [10, 10]
    assert (terms[0] <= terms[1]) == (seconds[0] >= seconds[1])
    assert seconds[0] == max(0, int(one.replace(tzinfo=UTC, microsecond=0).timestamp()))


# Siblings


def test_siblings_unite_their_batches_and_the_newest_has_the_content() -> None:
    versions = []
    for seconds, content, batches in (
        (10.0, "old", ("b1",)),
        (20.0, "new", ("b2",)),
        (20.0, "also new", ("b3",)),
    ):
        message = inbound(content, message_id="m")
        body = message_draft(Kind.INBOUND, message).record(batches).body
        versions.append((seconds, body, StoredMessage(Kind.INBOUND, message, batches)))
    merged = [merge_stored(order) for order in permutations(versions)]
    assert len({each.message["content"] for each in merged}) == 1
    assert merged[0].message["content"] != "old"
    assert merged[0].batch_ids == ("b1", "b2", "b3")


def test_of_versions_of_the_same_second_everybody_chooses_the_same() -> None:
    versions = [(1.0, b"b", "b"), (1.0, b"c", "c"), (0.5, b"z", "z")]
    assert {newest(order) for order in permutations(versions)} == {"c"}


def test_a_message_that_is_changed_later_leaves_its_draft_alone() -> None:
    message = inbound("before")
    draft = message_draft(Kind.INBOUND, message)
    message["content"] = "after"
    assert b"before" in draft.record([]).body


def test_what_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(StoreError, match="can't be stored"):
        message_draft(Kind.INBOUND, inbound(extra=object()))
    with pytest.raises(StoreError, match="can't be stored"):
        event_draft(ack("m", extra=object()))
