"""The fast frames are byte for byte what pika encodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from vumi.broker.amqp_frames import DeliveryReader, PublishEncoder


def by_pika(
    channel: int, frame_max: int, exchange: str, key: str, mandatory: bool, body: bytes
) -> bytes:
    """The same publish, frame by frame, encoded by pika."""
    largest = frame_max - 8
    frames = [
        frame.Method(
            channel, spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory)
        ),
        frame.Header(channel, len(body), BasicProperties(delivery_mode=2)),
        *(
            frame.Body(channel, body[offset : offset + largest])
            for offset in range(0, len(body), largest)
        ),
    ]
    return b"".join(item.marshal() for item in frames)


names = st.text(st.characters(codec="ascii"), max_size=40)


@given(
    st.integers(1, 2047),
    st.integers(64, 300),
    names,
    names,
    st.booleans(),
    st.lists(st.binary(max_size=700), min_size=1, max_size=3),
)
def test_frames_are_those_of_pika(
    channel: int, frame_max: int, exchange: str, key: str, mandatory: bool, bodies: list[bytes]
) -> None:
    encoder = PublishEncoder(channel, frame_max)
    for body in bodies:
        assert encoder.encode(exchange, key, mandatory, body) == by_pika(
            channel, frame_max, exchange, key, mandatory, body
        )


def test_many_routes_do_not_pile_up() -> None:
    encoder = PublishEncoder(1, 131_072)
    for number in range(5_000):
        encoder.encode("vumi", f"key.{number}", False, b"")
    assert len(encoder._routes) <= 1_000


def delivery(
    channel: int,
    tag: int,
    body: bytes,
    *,
    redelivered: bool = False,
    key: str = "app.inbound",
    headers: dict[str, object] | None = None,
    frame_max: int = 131_072,
) -> bytes:
    """A delivery as RabbitMQ sends it, encoded by pika."""
    method = spec.Basic.Deliver("ctag1.x", tag, redelivered, "vumi", key)
    properties = BasicProperties(delivery_mode=2, headers=headers)
    largest = frame_max - 8
    frames = [
        frame.Method(channel, method),
        frame.Header(channel, len(body), properties),
        *(
            frame.Body(channel, body[offset : offset + largest])
            for offset in range(0, len(body), largest)
        ),
    ]
    return b"".join(item.marshal() for item in frames)


class Reading:
    """A reader, and what it has read."""

    def __init__(self, *channels: int) -> None:
        self.frames: list[bytes] = []
        self.deliveries: list[tuple[object, ...]] = []
        self.reader = DeliveryReader(self.frames.append)
        for channel in channels:
            self.reader.channels[channel] = self.on_delivery

    def on_delivery(self, *fields: object) -> None:
        self.deliveries.append(fields)


bodies = st.binary(max_size=300)
header_tables = st.none() | st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8))


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 9]), bodies, st.booleans(), header_tables)),
    st.integers(1, 400),
    st.integers(40, 200),
)
def test_deliveries_in_any_chunks_are_read_as_they_were(
    messages: list[tuple[int, bytes, bool, dict[str, object] | None]], chunk: int, frame_max: int
) -> None:
    stream, expected, others = b"", [], []
    for tag, (channel, body, redelivered, headers) in enumerate(messages, 1):
        whole = delivery(
            channel, tag, body, redelivered=redelivered, headers=headers, frame_max=frame_max
        )
        stream += whole
        if channel == 9:
            others.append(whole)
        else:
            expected.append((tag, redelivered, "vumi", "app.inbound", headers or None, body))
    reading = Reading(1, 2)
    for offset in range(0, len(stream), chunk):
        reading.reader.feed(stream[offset : offset + chunk])
    assert [
        (*fields[:4], fields[4] or None, fields[5]) for fields in reading.deliveries
    ] == expected
    assert b"".join(reading.frames) == b"".join(others)


def test_frames_that_are_no_deliveries_are_passed_on_in_order() -> None:
    ack = frame.Method(1, spec.Basic.Ack(7, True)).marshal()
    heartbeat = frame.Heartbeat().marshal()
    reading = Reading(1)
    reading.reader.feed(ack + delivery(1, 1, b"x") + heartbeat + ack[:3])
    assert reading.frames == [ack, heartbeat]
    assert len(reading.deliveries) == 1
    reading.reader.feed(ack[3:])
    assert reading.frames == [ack, heartbeat, ack]


def test_a_delivery_without_its_content_is_a_broken_rule() -> None:
    reading = Reading(1)
    whole = delivery(1, 1, b"body")
    method = whole[: whole.index(bytes([spec.FRAME_END])) + 1]
    with pytest.raises(ValueError, match="without a content header"):
        reading.reader.feed(method + method)
