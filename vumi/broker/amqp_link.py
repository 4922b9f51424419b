"""One AMQP connection: from the TCP connect to its end.

Knows pika's Twisted adapter, and is the only module that looks under its surface: deliveries and
confirmations are taken from pika's own channel by callback, since a Deferred per message would
cost more than the rest of the work; and everything that one chunk of bytes brings about (acks,
above all) goes out together after it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from pika import BasicProperties, ConnectionParameters, PlainCredentials, spec
from pika.adapters.twisted_connection import TwistedProtocolConnection
from pika.exceptions import NoFreeChannels, StreamLostError
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.broker.amqp_frames import DeliveryReader, PublishEncoder
from vumi.broker.interface import Delivery
from vumi.endpoints import client_endpoint
from vumi.errors import BrokerError
from vumi.tasks import on_outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol as Structural

    from pika.adapters.twisted_connection import TwistedChannel
    from pika.channel import Channel

    from vumi.broker.address import BrokerAddress
    from vumi.broker.amqp_frames import OnDelivery
    from vumi.broker.interface import Publication

    class PublishObserver(Structural):
        """Who is told what became of publishes."""

        def publish_settled(self, tag: int, multiple: bool, accepted: bool) -> None: ...
        def publish_returned(self, routing_key: str, body: bytes) -> None: ...
        def publish_too_large(self, size: int, limit: int) -> None: ...


__all__ = ["Link", "LinkLost", "connect_link"]

#: Seconds for the TCP connect, and again for the AMQP handshake.
CONNECT_TIMEOUT = 30
#: Seconds that the broker has to agree to closing.
CLOSE_TIMEOUT = 5
#: Seconds that the broker has to answer anything else. One that takes no publishes for now (it
#: lacks memory) doesn't read what this connection sends, so this is long.
ANSWER_TIMEOUT = 60
PERSISTENT = 2
#: What RabbitMQ says when it ends a channel because of a body.
_TOO_LARGE = re.compile(r"message size (\d+) is larger than configured max size (\d+)")


class LinkLost(BrokerError):
    """The connection ended while something was under way on it."""


class _Protocol(TwistedProtocolConnection):
    """pika's protocol, with Nagle's algorithm off and a hook after each chunk of data."""

    _log = Logger()

    ready: Deferred[Any] | None

    def __init__(self, parameters: ConnectionParameters, reactor: Any) -> None:
        super().__init__(parameters, custom_reactor=reactor)
        #: Fires with the reason when the connection has ended, however far it had come.
        self.gone: Deferred[Any] = Deferred()
        self.after_data: Callable[[], None] | None = None
        self.in_data = False
        self.reader = DeliveryReader(super().dataReceived)

    def makeConnection(self, transport: Any) -> None:
        # A small frame waiting for the ack of the one before costs 20 to 40 ms per message.
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        self.in_data = True
        impl = self._impl
        try:
            if not self.reader.channels:
                super().dataReceived(data)
            else:
                if impl._frame_buffer:
                    # A frame that was cut before there was a channel to read fast.
                    data = impl._frame_buffer + data
                    impl._frame_buffer = b""
                else:
                    # pika takes a quiet connection for a dead one.
                    impl.bytes_received += len(data)
                self.reader.feed(data)
        except ValueError as error:
            self._log.error(
                "The broker broke the rules of AMQP: {error}", event="broker-protocol", error=error
            )
            _abort(self)
        finally:
            self.in_data = False
            if self.after_data is not None:
                self.after_data()

    def open_channel(self) -> Deferred[TwistedChannel]:
        channel: Deferred[TwistedChannel] = self.channel()
        return channel

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # The adapter takes an orderly end of the TCP connection for the reason, also when the
        # broker has said the real one before (a wrong password, a closed connection).
        if reason.check(ConnectionDone):
            reason = Failure(self._impl._error or StreamLostError("it was closed by the broker"))
        super().connectionLost(reason)
        self.gone.callback(reason.value)

    def _on_connection_failed(self, _connection: Any, error: Any = None) -> None:
        # pika's own version keeps the reason to itself.
        ready, self.ready = self.ready, None
        if ready is not None:
            ready.errback(error or LinkLost("The broker closed the connection."))

    @property
    def connection(self) -> Any:
        return self._impl


async def connect_link(
    address: BrokerAddress,
    host: str,
    port: int,
    reactor: Any,
    label: str,
    observer: PublishObserver,
) -> Link:
    """Connect to one host and prepare the channel for publishing.

    :raises OSError: or another error that says why there is no connection.
    """
    parameters = ConnectionParameters(
        virtual_host=address.vhost,
        credentials=PlainCredentials(address.username, address.password),
        heartbeat=address.heartbeat,
        client_properties={"connection_name": label},
    )
    endpoint = client_endpoint(host, port, address.tls, reactor, CONNECT_TIMEOUT, "the broker")
    factory = Factory.forProtocol(lambda: _Protocol(parameters, reactor))
    factory.noisy = False
    connecting = endpoint.connect(factory)
    protocol = cast("_Protocol", await connecting)
    try:
        link = Link(protocol, f"{host}:{port}", reactor, observer)
        # pika drops its own reference once the handshake is over.
        ready: Deferred[Any] | None = protocol.ready
        if ready is not None:
            await link.answer(ready, CONNECT_TIMEOUT)
        await link.prepare()
    except BaseException:
        _abort(protocol)
        raise
    return link


def _abort(protocol: _Protocol) -> None:
    transport = protocol.transport
    if transport is not None:
        getattr(transport, "abortConnection", transport.loseConnection)()


def _cancel(timer: Any) -> None:
    if timer.active():
        timer.cancel()


class Link:
    """A connection that is up.

    :ivar lost: Fires with the reason once the connection has ended.
    :ivar blocked: The broker takes no publishes for now.
    :ivar frame_max: The largest frame that was agreed on, in bytes.
    """

    frame_max: int

    log = Logger()

    def __init__(
        self, protocol: _Protocol, where: str, reactor: Any, observer: PublishObserver
    ) -> None:
        self.where = where
        self.blocked = False
        self.lost: Deferred[Any] = Deferred()
        self._protocol = protocol
        self._reactor = reactor
        self._observer = observer
        self._publishing: Channel | None = None
        self._topology: TwistedChannel | None = None
        self._to_flush: list[Callable[[], None]] = []
        self._flush_due = False
        self._closing = False
        self._awaited: set[Deferred[Any]] = set()
        protocol.after_data = self._flush
        _ = protocol.gone.addCallback(self._ended)

    @property
    def over(self) -> bool:
        """The connection has ended, or is about to."""
        return self._closing or self.lost.called or not self._protocol.is_open

    def answer(self, coming: Deferred[Any], seconds: float = ANSWER_TIMEOUT) -> Deferred[Any]:
        """Wait for an answer of the broker, as long as this connection lasts.

        pika leaves many of its Deferreds unfired when a connection ends.

        :param coming: Fires with the answer; nobody else waits for it.
        :param seconds: How long the broker has. After that the connection is dropped.
        :returns: Fires with the answer, or fails with what `coming` failed with, or with
            :class:`LinkLost`.
        """
        if self.lost.called:
            return fail(self._lost_error(self.lost.result))
        answer: Deferred[Any] = Deferred()
        self._awaited.add(answer)

        def come(result: Any) -> None:
            if not answer.called:
                answer.callback(result)

        def too_late() -> None:
            self.log.warn(
                "The broker at {where} has not answered within {seconds} s; the connection is "
                "dropped",
                event="broker-no-answer",
                where=self.where,
                seconds=seconds,
            )
            self.abort()
            come(Failure(LinkLost(f"The broker has not answered within {seconds:g} s.")))

        def over(result: Any) -> Any:
            self._awaited.discard(answer)
            _cancel(timer)
            return result

        timer = self._reactor.callLater(seconds, too_late)
        _ = answer.addBoth(over)
        _ = coming.addBoth(come)
        return answer

    @staticmethod
    def _lost_error(reason: Any) -> LinkLost:
        return LinkLost(f"The connection to the broker was lost: {reason}")

    async def prepare(self) -> None:
        """Open the channel for publishing, in confirm mode."""
        connection = self._protocol.connection
        connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))
        opened = await self.open_channel()
        opened.on_closed.addBoth(self._publishing_closed)
        channel = opened._channel
        selected: Deferred[Any] = Deferred()
        channel.confirm_delivery(self._on_confirm, callback=selected.callback)
        channel.add_on_return_callback(self._on_return)
        await self.answer(selected)
        self._publishing = channel
        self.frame_max = connection.params.frame_max
        self._encode_publish = PublishEncoder(channel.channel_number, self.frame_max).encode

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked
        if blocked:
            self.log.warn(
                "The broker at {where} takes no publishes for now, as it lacks memory or disk "
                "space; messages wait",
                event="broker-blocked",
                where=self.where,
            )
        else:
            self.log.info(
                "The broker at {where} takes publishes again",
                event="broker-unblocked",
                where=self.where,
            )

    # The end

    def close(self) -> None:
        """Close in order: what was written goes out first. Fires :attr:`lost`, within a bound."""
        self._closing = True
        self._flush()
        self._protocol.close()
        timer = self._reactor.callLater(CLOSE_TIMEOUT, self.abort)
        on_outcome(self.lost, lambda _: _cancel(timer), lambda _: _cancel(timer))

    def abort(self) -> None:
        """Drop the connection, if it is still there."""
        _abort(self._protocol)

    def _ended(self, reason: Any) -> None:
        if not self.lost.called:
            self.lost.callback(reason)
        for answer in list(self._awaited):
            if not answer.called:
                answer.errback(self._lost_error(reason))

    def _publishing_closed(self, reason: Any) -> None:
        # Also fired as a part of the connection's own end; the first reason counts.
        self._publishing = None
        reason = getattr(reason, "value", reason)
        too_large = _TOO_LARGE.search(str(reason))
        if too_large:
            self._observer.publish_too_large(*map(int, too_large.groups()))
        if not self._closing:
            self._ended(reason)

    # Channels

    async def open_channel(self) -> TwistedChannel:
        if self._protocol.is_closed:
            raise LinkLost("The connection to the broker was lost.")
        try:
            return await self.answer(self._protocol.open_channel())
        except BrokerError:
            raise
        except NoFreeChannels:
            raise BrokerError(
                f"The broker allows {self._protocol.connection.params.channel_max} channels on a "
                "connection, and all are in use: a process needs two, and one for each queue that "
                "it reads. Run fewer workers in this process, or raise channel_max in "
                "rabbitmq.conf."
            ) from None
        except Exception as error:
            raise LinkLost(f"The connection to the broker was lost: {error}") from error

    async def topology(self, method: str, **arguments: Any) -> Any:
        """Call a method of a channel that is for declarations, opened again when it was closed.

        :raises ChannelClosedByBroker: The broker refused; the reply code says why.
        :raises LinkLost: The connection ended meanwhile.
        """
        if self._topology is None or not self._topology.is_open:
            self._topology = await self.open_channel()
        channel = self._topology
        if arguments.get("arguments", ()) is None:
            del arguments["arguments"]
        try:
            return await self.answer(getattr(channel, method)(**arguments))
        except BrokerError:
            raise
        except Exception as error:
            if self._protocol.is_closed or self.lost.called:
                raise LinkLost(f"The connection to the broker was lost: {error}") from error
            raise

    async def get(self, queue: str) -> Delivery | None:
        """Take one message off a queue, acknowledged at once."""
        message = await self.topology("basic_get", queue=queue, auto_ack=True)
        if message is None:
            return None
        return Delivery(
            message.body,
            headers=message.properties.headers,
            exchange=message.method.exchange,
            routing_key=message.method.routing_key,
            redelivered=message.method.redelivered,
        )

    # Consuming

    def read_deliveries(self, channel: Channel, on_delivery: OnDelivery | None) -> None:
        """Have a channel's deliveries read the fast way (``None``: no longer)."""
        channels = self._protocol.reader.channels
        if on_delivery is None:
            channels.pop(channel.channel_number, None)
        else:
            channels[channel.channel_number] = on_delivery

    # Publishing

    def publish(self, publication: Publication) -> None:
        """Write a publish; its tag is one more than that of the one before."""
        channel = self._publishing
        if channel is None or not channel.is_open:
            return
        if publication.headers:
            channel.basic_publish(
                publication.exchange,
                publication.routing_key,
                publication.body,
                BasicProperties(delivery_mode=PERSISTENT, headers=publication.headers),
                publication.mandatory,
            )
        else:
            frames = self._encode_publish(
                publication.exchange,
                publication.routing_key,
                publication.mandatory,
                publication.body,
            )
            self._protocol.connection._output_marshaled_frames((frames,))

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        self._observer.publish_settled(
            method.delivery_tag, method.multiple, isinstance(method, spec.Basic.Ack)
        )

    def _on_return(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self._observer.publish_returned(method.routing_key, body)

    # Sending acks together

    def flush_later(self, flush: Callable[[], None]) -> None:
        """Have a callable called after the present chunk of data, or in the next turn."""
        self._to_flush.append(flush)
        if not self._protocol.in_data and not self._flush_due:
            self._flush_due = True
            self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._to_flush:
            flushes, self._to_flush = self._to_flush, []
            for flush in flushes:
                flush()
