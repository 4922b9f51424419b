"""JSON and dates of messages."""

from __future__ import annotations

import json
import math
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi import message, payload
from vumi.errors import InvalidMessage, InvalidMessageField
from vumi.payload import (
    VUMI_DATE_FORMAT,
    JSONMessageEncoder,
    copy_payload,
    date_time_decoder,
    decode_payload,
    encode_payload,
    format_vumi_date,
    from_json,
    parse_timestamp,
    parse_vumi_date,
    short_repr,
    to_json,
    utc_now,
)

WHEN = datetime(2015, 1, 2, 23, 14, 11, 1)

#: Any text, lone surrogates included: what Python's json takes a message may hold.
any_text = st.text(st.characters(exclude_categories=()))
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


# Dates


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (datetime(2015, 1, 2, 23, 14, 11), "2015-01-02 23:14:11.000000"),
        (WHEN, "2015-01-02 23:14:11.000001"),
        (datetime(2015, 1, 2, 23, 14, 11, 120000), "2015-01-02 23:14:11.120000"),
        (datetime(2015, 1, 2, 23, 14, 11, tzinfo=UTC), "2015-01-02 23:14:11.000000"),
        (
            datetime(2015, 1, 2, 23, 14, 11, tzinfo=timezone(timedelta(hours=2))),
            "2015-01-02 21:14:11.000000",
        ),
        (datetime(33, 1, 2, 3, 4, 5), "0033-01-02 03:04:05.000000"),
    ],
)
def test_dates_are_written_with_six_digits_of_microseconds_in_utc(
    when: datetime, text: str
) -> None:
    assert format_vumi_date(when) == text


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2015-01-02 23:14:11.000001", WHEN),
        ("2015-01-02 23:14:11", datetime(2015, 1, 2, 23, 14, 11)),
        ("2015-01-02 23:14:11.5", datetime(2015, 1, 2, 23, 14, 11, 500000)),
    ],
)
def test_dates_are_read_with_and_without_microseconds(text: str, when: datetime) -> None:
    assert parse_vumi_date(text) == when
    assert parse_timestamp(text) == when


@pytest.mark.parametrize(
    "text", ["", "foo", "2015-01-02", "2015-01-02T23:14:11", "2015-13-02 1:1:1"]
)
def test_what_is_no_vumi_date_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="does not match"):
        parse_vumi_date(text)


@pytest.mark.parametrize("value", [None, 1, 1.5, b"2015-01-02 23:14:11", ["2015"], WHEN])
def test_a_date_that_is_not_a_text_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="a date is a string, not"):
        parse_vumi_date(value)


@given(st.datetimes())
def test_a_date_survives_writing_and_reading(when: datetime) -> None:
    text = format_vumi_date(when)
    assert parse_vumi_date(text) == parse_timestamp(text) == when
    if when.year >= 1000:  # strftime pads smaller years on some platforms only
        assert text == when.strftime(VUMI_DATE_FORMAT)


@pytest.mark.parametrize(
    ("value", "when"),
    [
        (WHEN, WHEN),
        ("2015-01-02T23:14:11.000001", WHEN),
        ("2015-01-02T23:14:11.000001Z", WHEN),
        ("2015-01-03 01:14:11.000001+02:00", WHEN),
        # As long as the canonical form, but not it.
        ("2015-01-02 23:14:11.000+01", datetime(2015, 1, 2, 22, 14, 11)),
        ("2015-13-02 23:14:11.000001", None),
        ("2015-01-02 23:14:11.000001 ", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1420240451.0, None),
        ([[[["x"]]]], None),
    ],
)
def test_a_timestamp_is_read_leniently_or_refused_as_a_field(
    value: Any, when: datetime | None
) -> None:
    if when is not None:
        assert parse_timestamp(value) == when
        assert parse_timestamp(value).tzinfo is None
    else:
        with pytest.raises(InvalidMessageField, match="'timestamp' is not a date"):
            parse_timestamp(value)


@given(any_text)
def test_no_text_makes_reading_a_timestamp_fail_otherwise(text: str) -> None:
    with suppress(InvalidMessageField):
        assert parse_timestamp(text).tzinfo is None


def test_now_is_naive_utc() -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    now = utc_now()
    assert before <= now <= datetime.now(UTC).replace(tzinfo=None)


# The old functions


def test_date_time_decoder_turns_dates_and_nothing_else_in_place() -> None:
    data = {
        "a": "2015-01-02 23:14:11",
        "b": "text",
        "c": 1,
        "d": None,
        "e": ["2015-01-02 23:14:11"],
    }
    assert date_time_decoder(data) is data
    assert data == {
        "a": datetime(2015, 1, 2, 23, 14, 11),
        "b": "text",
        "c": 1,
        "d": None,
        "e": ["2015-01-02 23:14:11"],
    }


def test_from_json_turns_dates_at_every_depth_but_not_in_lists() -> None:
    text = '{"a": {"b": {"c": "2015-01-02 23:14:11.000001"}}, "d": ["2015-01-02 23:14:11.000001"]}'
    assert from_json(text) == {
        "a": {"b": {"c": WHEN}},
        "d": ["2015-01-02 23:14:11.000001"],
    }
    assert from_json("[1, null]") == [1, None]


def test_from_json_of_what_is_no_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        from_json("{no")


def test_the_encoder_class_writes_dates() -> None:
    assert json.dumps({"a": WHEN}, cls=JSONMessageEncoder) == '{"a": "2015-01-02 23:14:11.000001"}'


def test_to_json_writes_dates_at_every_depth() -> None:
    assert json.loads(to_json({"a": [{"b": WHEN}], "c": (1, 2)})) == {
        "a": [{"b": "2015-01-02 23:14:11.000001"}],
        "c": [1, 2],
    }


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize(
    "value",
    [
        {"a": {1}},
        {"a": b"bytes"},
        {"a": object()},
        {"a": WHEN.date()},
        CIRCULAR,
        {"a": [CIRCULAR]},
    ],
)
def test_what_json_cannot_hold_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        to_json(value)


def test_a_value_nested_beyond_all_reason_is_a_type_error() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(TypeError, match="not JSON serializable"):
        encode_payload(value)


# Payloads


@given(st.dictionaries(any_text, json_values, max_size=6))
def test_a_payload_survives_writing_and_reading(data: dict[str, Any]) -> None:
    encoded = encode_payload(data)
    assert decode_payload(encoded) == data
    assert decode_payload(encoded.decode("utf-8")) == data
    # ... and an old worker reads the same.
    assert json.loads(encoded) == data


@given(st.dictionaries(any_text, json_values, max_size=6))
def test_a_payload_that_an_old_worker_wrote_is_read(data: dict[str, Any]) -> None:
    assert decode_payload(json.dumps(data)) == data


@pytest.mark.parametrize(
    "value",
    [
        2**63 - 1,
        2**63,
        -(2**63),
        -(2**63) - 1,
        2**64,
        2**70,
        -(2**70),
        1e300,
        math.inf,
        -math.inf,
        "\ud800",
        "a\udfffb",
    ],
    ids=repr,
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [{"deep": [v]}]], ids=["top", "deep"])
def test_values_that_fast_parsers_falsify_survive(value: Any, wrap: Any) -> None:
    data = {"value": wrap(value), "other": None}
    assert decode_payload(json.dumps(data)) == data
    decoded = decode_payload(encode_payload(data))
    assert decoded == data
    assert repr(decoded) == repr(data)  # an integer is no float of the same size


def test_nan_survives() -> None:
    decoded = decode_payload(encode_payload({"a": [math.nan]}))
    assert math.isnan(decoded["a"][0])
    assert math.isnan(decode_payload('{"a": NaN}')["a"])


@pytest.mark.parametrize(
    "data",
    ["", "{", "nonsense", b"\xff", "{'a': 1}", '{"a": ' + "9" * 5000 + "}", "[" * 3000, b"\x00"],
    ids=lambda data: repr(data)[:12],
)
def test_what_is_no_json_is_an_invalid_message(data: bytes | str) -> None:
    with pytest.raises(InvalidMessage, match=r"^not JSON") as caught:
        decode_payload(data)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("data", ["[]", "null", "1", '"text"', "true", "[{}]", "1e999"])
def test_json_that_is_no_object_is_an_invalid_message(data: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^JSON, but not an object"):
        decode_payload(data)


@given(st.binary() | any_text)
def test_arbitrary_input_is_a_payload_or_an_invalid_message(data: bytes | str) -> None:
    with suppress(InvalidMessage):
        assert isinstance(decode_payload(data), dict)


def test_a_payload_nested_deeply_is_read_and_written_or_refused() -> None:
    for depth in (100, 300, 800, 2000, 100_000):
        text = '{"a":' + "[" * depth + "]" * depth + "}"
        if depth <= 800:
            assert json.loads(encode_payload(decode_payload(text))) == json.loads(text)
        else:
            with pytest.raises(InvalidMessage):
                decode_payload(text)


# Copies


@given(json_values)
def test_a_copy_is_equal_and_shares_nothing(value: Any) -> None:
    duplicate = copy_payload(value)
    assert duplicate == value
    assert not set(_containers(value)) & set(_containers(duplicate))


def _containers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [id(value), *(i for item in value.values() for i in _containers(item))]
    if isinstance(value, list):
        return [id(value), *(i for item in value for i in _containers(item))]
    return []


def test_a_copy_of_a_tuple_is_a_list_as_after_a_journey() -> None:
    assert copy_payload({"a": (1, (2,))}) == {"a": [1, [2]]}


def test_short_repr_is_short_whatever_it_is_given() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, "x" * 10_000, list(range(10_000)), {uuid.uuid4().hex: 1}):
        assert len(short_repr(value)) < 400


@pytest.mark.parametrize("name", sorted(set(payload.__all__) & set(message.__all__)))
def test_vumi_message_has_the_same_objects(name: str) -> None:
    assert getattr(message, name) is getattr(payload, name)
