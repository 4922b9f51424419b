"""The fast frames are byte for byte what pika encodes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from vumi.broker.amqp_frames import PublishEncoder


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
