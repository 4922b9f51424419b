"""The two AMQP 0-9-1 frames that come by the thousand, made fast: publishes and deliveries.

Knows the frame format (section 4.2 of the AMQP 0-9-1 specification) and nothing else. Everything
that is not hot, and everything out of the ordinary, is left to pika.

* Of a publish all but the body and its size stays the same from one to the next: it is encoded
  once, by pika, and kept.
* Of a delivery only the tag, the redelivered bit and the body differ; the rest is decoded once per
  queue. A message with headers goes through pika's decoder for them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from pika import BasicProperties, frame, spec
from pika.exceptions import AMQPError

from vumi.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Takes tag, redelivered, exchange, routing key, headers and body.
    OnDelivery = Callable[[int, bool, str, str, "dict[str, Any] | None", bytes], None]

__all__ = ["DeliveryReader", "PublishEncoder", "check_headers"]

#: Class id and weight of a content header, then the size of the body in bytes.
_BODY_SIZE = struct.Struct(">Q")
_BODY_SIZE_OFFSET = spec.FRAME_HEADER_SIZE + 4
_FRAME_HEADER = struct.Struct(">BHL")
_FRAME_END = bytes([spec.FRAME_END])
#: How many routes are kept; programs that publish to ever new keys must not fill the memory.
_MOST_ROUTES = 1_000


class PublishEncoder:
    """Encodes publishes of persistent messages without headers for one channel.

    :param channel: The channel's number.
    :param frame_max: The largest frame that was agreed on, in bytes.
    """

    def __init__(self, channel: int, frame_max: int) -> None:
        self._channel = channel
        self._largest_body = frame_max - spec.FRAME_HEADER_SIZE - len(_FRAME_END)
        header = frame.Header(channel, 0, BasicProperties(delivery_mode=2)).marshal()
        self._header_start = header[:_BODY_SIZE_OFFSET]
        self._header_end = header[_BODY_SIZE_OFFSET + _BODY_SIZE.size :]
        self._routes: dict[tuple[str, str, bool], bytes] = {}

    def _route(self, route: tuple[str, str, bool]) -> bytes:
        exchange, routing_key, mandatory = route
        publish = spec.Basic.Publish(
            exchange=exchange, routing_key=routing_key, mandatory=mandatory
        )
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        start: bytes = frame.Method(self._channel, publish).marshal() + self._header_start
        self._routes[route] = start
        return start

    def encode(self, exchange: str, routing_key: str, mandatory: bool, body: bytes) -> bytes:
        """All frames of one publish."""
        route = (exchange, routing_key, mandatory)
        start = self._routes.get(route) or self._route(route)
        size = len(body)
        parts = [start, _BODY_SIZE.pack(size), self._header_end]
        largest = self._largest_body
        if 0 < size <= largest:
            parts += (
                _FRAME_HEADER.pack(spec.FRAME_BODY, self._channel, size),
                body,
                _FRAME_END,
            )
        else:
            for offset in range(0, size, largest):
                piece = body[offset : offset + largest]
                parts += (
                    _FRAME_HEADER.pack(spec.FRAME_BODY, self._channel, len(piece)),
                    piece,
                    _FRAME_END,
                )
        return b"".join(parts)


#: Frame header, then the class and method ids that every method frame begins with.
_METHOD_START = struct.Struct(">BHLHH")
_DELIVER = divmod(spec.Basic.Deliver.INDEX, 1 << 16)
#: Frame header, class id, weight, body size and property flags of a content header.
_CONTENT_START = struct.Struct(">BHLHHQH")
_TAG = struct.Struct(">QB")
_FLAG_HEADERS = BasicProperties.FLAG_HEADERS
_OVERHEAD = spec.FRAME_HEADER_SIZE + len(_FRAME_END)


#: Of a content header all but the properties: frame header, class id, weight, body size, end.
_CONTENT_OVERHEAD = spec.FRAME_HEADER_SIZE + 12 + len(_FRAME_END)


def check_headers(headers: dict[str, Any], frame_max: int) -> None:
    """Check that headers can be encoded, before their message is taken for publishing.

    :param frame_max: The largest frame that the broker takes, in bytes: all headers of a message
        travel in one.
    :raises BrokerError: They can't.
    """
    try:
        encoded = BasicProperties(headers=headers).encode()
    except (AMQPError, RecursionError, TypeError, ValueError, struct.error) as error:
        raise BrokerError(f"Headers that AMQP can't carry: {error}") from error
    size = sum(map(len, encoded)) + _CONTENT_OVERHEAD
    if size > frame_max:
        raise BrokerError(f"Headers of {size} bytes are too large: at most {frame_max} are taken.")


class DeliveryReader:
    """Takes whole deliveries out of a stream of frames; all other frames are passed on.

    :param on_frame: Takes the bytes of any other frame.
    """

    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        self.channels: dict[int, OnDelivery] = {}
        self._on_frame = on_frame
        #: What has come and is not a whole frame or delivery yet, and how many bytes that is.
        self._rest: list[bytes] = []
        self._size = 0
        #: How many bytes there must be at least before looking at them can lead to anything.
        self._needed = 0
        self._routes: dict[bytes, tuple[str, str]] = {}

    def feed(self, data: bytes) -> None:
        """Take what has come from the broker, in order; any chunks will do.

        The pieces of a large body are joined when they are all there: joined one by one, each
        would be copied again with every piece after it.
        """
        if self._rest:
            self._rest.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(self._rest)
            self._rest.clear()
        self._needed = 0
        position, end = 0, len(data)
        while end - position >= _OVERHEAD:
            kind, channel, size = _FRAME_HEADER.unpack_from(data, position)
            following = position + _OVERHEAD + size
            if following > end:
                self._needed = following - position
                break
            on_delivery = self.channels.get(channel)
            if (
                kind == spec.FRAME_METHOD
                and on_delivery is not None
                and size >= 4
                and _METHOD_START.unpack_from(data, position)[3:] == _DELIVER
            ):
                after = self._delivery(data, position, following, end, channel, on_delivery)
                if not after:
                    break
                position = after
            else:
                self._on_frame(data[position:following])
                position = following
        if position < end:
            self._rest.append(data[position:])
            self._size = end - position

    def _delivery(
        self,
        data: bytes,
        position: int,
        content: int,
        end: int,
        channel: int,
        on_delivery: OnDelivery,
    ) -> int:
        """Hand over one delivery; return where it ends, or 0 if it isn't there whole."""
        if end - content < _CONTENT_START.size:
            return 0
        kind, of_channel, size, _, _, body_size, flags = _CONTENT_START.unpack_from(data, content)
        body_start = content + _OVERHEAD + size
        if kind != spec.FRAME_HEADER or of_channel != channel:
            raise ValueError("A delivery without a content header.")
        pieces = []
        offset: int = body_start
        missing: int = body_size
        if body_start + missing > end:
            # The body, and at least one frame around it.
            self._needed = body_start + missing + (_OVERHEAD if missing else 0) - position
            return 0
        while missing:
            if end - offset < _OVERHEAD:
                return 0
            kind, of_channel, size = _FRAME_HEADER.unpack_from(data, offset)
            if kind != spec.FRAME_BODY or of_channel != channel or size > missing:
                raise ValueError("A delivery with a body that does not fit its header.")
            start = offset + spec.FRAME_HEADER_SIZE
            offset = start + size + 1
            if offset + missing - size > end:
                self._needed = offset + missing - size - position
                return 0
            pieces.append(data[start : start + size])
            missing -= size
        if body_start > end:
            return 0
        headers = None
        if flags & _FLAG_HEADERS:
            properties = BasicProperties()
            properties.decode(data[content + spec.FRAME_HEADER_SIZE + 12 : body_start - 1])
            headers = properties.headers
        # Method ids, consumer tag (a short string), delivery tag, redelivered, exchange, key.
        tag_start = position + _METHOD_START.size
        tag_start += 1 + data[tag_start]
        tag, redelivered = _TAG.unpack_from(data, tag_start)
        route = data[tag_start + _TAG.size : content - 1]
        exchange, routing_key = self._routes.get(route) or self._route(route)
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        on_delivery(tag, bool(redelivered & 1), exchange, routing_key, headers, body)
        return offset

    def _route(self, route: bytes) -> tuple[str, str]:
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        split = 1 + route[0]
        names = (route[1:split].decode("utf-8"), route[split + 1 :].decode("utf-8"))
        self._routes[route] = names
        return names
