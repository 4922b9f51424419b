"""The ceiling: the least that an echo on pika's Twisted adapter can do and still confirm and ack.

No workers, no middleware, no configuration: decode, swap the addresses, encode, publish, ack when
the broker has confirmed. Run by ``echo.py`` with the broker's URL and a queue name.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

import orjson
from pika import BasicProperties, URLParameters
from pika.adapters.twisted_connection import TwistedProtocolConnection
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol


class Protocol(TwistedProtocolConnection):
    def makeConnection(self, transport: Any) -> None:
        transport.setTcpNoDelay(True)
        super().makeConnection(transport)


async def echo(url: str, name: str) -> None:
    parameters = URLParameters(url)
    endpoint = TCP4ClientEndpoint(reactor, parameters.host, parameters.port)
    protocol = await connectProtocol(endpoint, Protocol(parameters))
    await protocol.ready
    channel = (await protocol.channel())._channel
    waiting: deque[tuple[int, int]] = deque()
    published = 0
    properties = BasicProperties(delivery_mode=2)

    def confirmed(frame: Any) -> None:
        tag = frame.method.delivery_tag
        last = 0
        while waiting and waiting[0][0] <= tag:
            last = waiting.popleft()[1]
        if last:
            channel.basic_ack(last, multiple=True)

    def delivered(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        nonlocal published
        message = orjson.loads(body)
        message["to_addr"], message["from_addr"] = message["from_addr"], message["to_addr"]
        message["in_reply_to"] = message["message_id"]
        channel.basic_publish("vumi", f"{name}.outbound", orjson.dumps(message), properties)
        published += 1
        waiting.append((published, method.delivery_tag))

    selected: Deferred[Any] = Deferred()
    channel.confirm_delivery(confirmed, callback=selected.callback)
    await selected
    channel.basic_qos(prefetch_count=100)
    channel.basic_consume(f"{name}.inbound", delivered)
    await Deferred()


if __name__ == "__main__":
    ensureDeferred(echo(sys.argv[1], sys.argv[2])).addErrback(
        lambda failure: failure.printTraceback()
    )
    reactor.run()  # type: ignore[attr-defined]  # the module is the reactor
