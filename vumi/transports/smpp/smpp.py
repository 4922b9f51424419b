"""The SMPP transports: an ESME between the broker and an SMSC.

Knows how the parts are put together, and what they tell each other. The parts:
:mod:`~vumi.transports.smpp.service` (the binds),
:mod:`~vumi.transports.smpp.processors` (texts and PDUs),
:mod:`~vumi.transports.smpp.sending` and :mod:`~vumi.transports.smpp.outbox` (what is sent),
:mod:`~vumi.transports.smpp.reporting` (delivery reports),
:mod:`~vumi.transports.smpp.correlation` (what is remembered).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from vumi.codecs import is_encoding
from vumi.config import ConfigError, config_hints
from vumi.errors import VumiError
from vumi.message import TransportUserMessage
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tasks import deferred, in_background, settle, to_wait_for
from vumi.token_bucket import TokenBucket
from vumi.transports.base import Transport
from vumi.transports.smpp.config import SmppTransportConfig
from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.correlation import SmppMessageDataStash
from vumi.transports.smpp.iprocessors import DecodingError
from vumi.transports.smpp.link_status import LinkStatus
from vumi.transports.smpp.old_config import OldSmppTransportConfig, nested_config
from vumi.transports.smpp.outbox import Outbox
from vumi.transports.smpp.reassembly import MultipartMessages
from vumi.transports.smpp.receipts import remote_id_forms
from vumi.transports.smpp.reporting import ReportFinder, UnknownReport
from vumi.transports.smpp.sending import MessageSender
from vumi.transports.smpp.sequence import MAX_REFERENCE, RedisSequence
from vumi.transports.smpp.service import SmppService
from vumi.transports.smpp.transitions import BindType, Event, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.python.failure import Failure

    from vumi.transports.smpp.pdu import Pdu

__all__ = [
    "SmppReceiverTransport",
    "SmppTransceiverTransport",
    "SmppTransceiverTransportWithOldConfig",
    "SmppTransmitterTransport",
    "SmppTransport",
]

#: How many message references are taken from the store at a time.
REFERENCE_BLOCK = 100
#: Seconds to wait when stopping for what can't be sent as there is no bind.
UNBOUND_DRAIN_SECONDS = 0.1

#: How much of a text the log is told.
LOGGED_TEXT = 500

#: The processors' options, by their names in the configuration.
PROCESSORS = (
    "delivery_report_processor",
    "deliver_short_message_processor",
    "submit_short_message_processor",
)


class UnreadableReport(VumiError):
    """A delivery report does not say what it is about, or not in a way that is known."""


class SmppRefused(Exception):
    """The SMSC has refused a message; the text is the status's name."""


class SmppTransceiverTransport(Transport):
    """Sends and receives over binds of the kind transceiver."""

    CONFIG_CLASS: ClassVar[Any] = SmppTransportConfig

    catalogue_facts: ClassVar[dict[str, Any]] = {
        "protocol": "SMPP 3.4",
        "receives": True,
        "sends": True,
        "sessions": True,
        "receipts": True,
    }

    #: What binds are for.
    bind_type: ClassVar[BindType] = BindType.TRX

    #: Messages are taken from the queue while there is a bind to send them over.
    start_message_consumer = False

    _log = Logger()

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        #: Encodes and decodes texts.
        self.codec: Any = None
        #: The key-value store, with the prefix of this transport.
        self.redis: Any = None
        self.service: SmppService | None = None
        self.message_stash: SmppMessageDataStash | None = None
        self.dr_processor: Any = None
        self.deliver_sm_processor: Any = None
        self.submit_sm_processor: Any = None
        #: Inbound messages whose parts are not all there.
        self.multipart: Any = None
        self._own_redis: Any = None
        self._sequences: list[RedisSequence] = []
        self._outbox: Outbox | None = None
        self._sender: MessageSender | None = None
        self._reports: Any = None
        self._link: Any = None
        self._decoding_error = 0
        self._disable_ack = self._disable_report = False
        #: How many delivery reports have come that were not understood.
        self.unreadable_reports = 0

    # Config

    def _apply_static_config(self, config: Any) -> None:
        super()._apply_static_config(config)
        self.worker_concurrency = config.concurrency
        self.amqp_prefetch_count = config.prefetch
        # 0 is no limit, and the default.
        self.handler_timeout = config.handler_timeout or 0

    def _validate_config(self) -> Any:
        problems: list[str] = []
        config = self.get_static_config()
        codec = config.codec_class()
        for name in PROCESSORS:
            options_name = f"{name}_config"
            try:
                options = getattr(config, name).CONFIG_CLASS(
                    getattr(config, options_name), static=True, path=options_name
                )
            except ConfigError as error:
                problems += error.problems
                continue
            encodings = options.encodings() if hasattr(options, "encodings") else {}
            problems += [
                f"{options_name}: Field '{field}' is not the name of an encoding: {encoding!r}."
                for field, encoding in encodings.items()
                if encoding and not is_encoding(encoding, codec)
            ]
        if problems:
            raise ConfigError(problems=problems)
        return super()._validate_config()

    def _config_warnings(self) -> list[str]:
        """Also about the options of processors."""
        found = super()._config_warnings()
        config = self.get_static_config()
        for name in PROCESSORS:
            option = f"{name}_config"
            options_class, section = getattr(config, name).CONFIG_CLASS, getattr(config, option)
            hints = list(config_hints(options_class, section))
            if hasattr(options_class, "hints"):
                hints += options_class(section, static=True, path=option).hints()
            found += [f"{option}: {hint}" for hint in hints]
        return found

    # Life

    @deferred
    async def setup_transport(self) -> None:
        config = self.get_static_config()
        self.codec = config.codec_class()
        self._decoding_error = config.deliver_sm_decoding_error
        self._disable_ack = config.disable_ack
        self._disable_report = config.disable_delivery_report
        self._own_redis = await TxRedisManager.from_config(config.redis_manager)
        self.redis = self._own_redis.sub_manager(config.redis_prefix)
        sequence = RedisSequence(self.redis, self.clock, block=config.sequence_block)
        references = RedisSequence(
            self.redis,
            self.clock,
            "smpp_last_message_reference",
            MAX_REFERENCE,
            REFERENCE_BLOCK,
        )
        self._sequences = [sequence, references]
        for counter in self._sequences:
            await counter.start()
        self.service = self._make_service(config, sequence)
        self._link = LinkStatus(self._publish_link_status, self.service.is_bound, config.binds > 1)
        self._make_parts(config, self.service, references)
        self._link.starting()
        self.service.startService()

    def _make_service(self, config: Any, sequence: RedisSequence) -> SmppService:
        if config.cuts_password:
            self.log.warning("Password longer than 8 characters, truncating.")
        return SmppService(
            config.twisted_endpoint,
            config.session_settings(self.bind_type),
            sequence,
            self,
            self.clock,
            binds=config.binds,
            initial_reconnect_delay=config.initial_reconnect_delay,
            max_reconnect_delay=config.max_reconnect_delay,
            name=self.transport_name,
        )

    def _make_parts(self, config: Any, service: SmppService, references: RedisSequence) -> None:
        of_answer, of_report = remote_id_forms(config.remote_id_format)
        self.message_stash = SmppMessageDataStash(self.redis, self.clock, config.expiries)
        self.multipart = MultipartMessages(self.redis, config.multipart_limits)
        self._outbox = Outbox(
            self.clock,
            service,
            TokenBucket(config.mt_tps, self.clock.seconds),
            config.throttle_delay,
            self._link.throttled,
        )
        self._sender = MessageSender(
            self.clock,
            self.message_stash,
            self._outbox,
            self,
            references.take,
            of_answer,
            config,
        )
        self._reports = ReportFinder(self.message_stash, self._publish_report, of_report, config)
        self.dr_processor, self.deliver_sm_processor, self.submit_sm_processor = (
            getattr(config, name)(self, getattr(config, f"{name}_config")) for name in PROCESSORS
        )

    @deferred
    async def teardown_transport(self) -> None:
        if self.service is not None:
            await settle(self.service.stopService())
        for part in (self._sender, self._outbox, *self._sequences):
            if part is not None:
                part.stop()
        if self._own_redis is not None:
            await self._own_redis.close_manager()

    async def drain_connectors(self) -> None:
        """Finish what is in hand; what waits for a bind goes back to the broker at once."""
        if self._answered and self.service is not None and not self.service.may_send:
            self.drain_timeout = min(self.drain_timeout, UNBOUND_DRAIN_SECONDS)
            # A consumer that is paused would be waited for without a limit.
            await self.connectors[self.transport_name].unpause()
        await super().drain_connectors()

    @property
    def throttled(self) -> bool:
        """Whether the SMSC has said that it is given too much, and taken nothing since."""
        return self._outbox is not None and self._outbox.throttled

    # Outbound: from the broker to a processor, and back from it

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        """Have the processor make PDUs of a message. Fires once it has its ack or nack."""
        return self.submit_sm_processor.handle_outbound_message(message, self.service)

    def send_pdus(
        self,
        message: TransportUserMessage,
        parts: int,
        make_pdus: Callable[[int], Sequence[Pdu]],
    ) -> Deferred[None]:
        """Send a message's PDUs, and answer it with one ack or nack.

        :param message: The message.
        :param parts: How many PDUs it is.
        :param make_pdus: Makes them, of the reference that they are to have.
        :returns: Fires when it has its answer.
        """
        assert self._sender is not None  # noqa: S101 (nothing is consumed before the set-up)
        return self._sender.send(message, parts, make_pdus)

    def refuse(self, message: TransportUserMessage, reason: str) -> Any:
        """Nack a message that can't be sent.

        :param reason: Why, in words that the application gets.
        """
        self._log.warn(
            "Message {message_id} can't be sent: {reason}",
            event="smpp-cannot-send",
            message_id=message["message_id"],
            reason=reason,
        )
        return self._publish_nack(message, reason)

    def message_answered(
        self, message: TransportUserMessage, event_type: str, value: str, by_smsc: bool
    ) -> Deferred[Any] | None:
        """Publish a message's ack or nack; see :class:`~vumi.transports.smpp.sending.IAnswers`."""
        if event_type == "ack":
            if self._disable_ack:
                return None
            return to_wait_for(self.publish_ack(message.payload["message_id"], value))
        if not by_smsc:
            return to_wait_for(self._publish_nack(message, value))
        return Deferred.fromCoroutine(self._publish_refusal(message, value))

    async def _publish_refusal(self, message: TransportUserMessage, reason: str) -> None:
        self._log.info(
            "Message {message_id} was refused by the SMSC: {reason}",
            event="smpp-refused",
            message_id=message["message_id"],
            reason=reason,
        )
        await self.send_failure(message, SmppRefused(reason), reason)
        await self._publish_nack(message, reason)

    def _publish_nack(self, message: TransportUserMessage, reason: str) -> Deferred[Any]:
        return self.publish_nack(message.payload["message_id"], reason)

    def early_report(self, message_id: str, report: str) -> None:
        """A delivery report came before the answer."""
        self._reports.take_early(message_id, report)

    # Inbound: from a bind to a processor, and back from it

    def request_received(self, pdu: Any) -> Any:
        """Deal with a deliver_sm or data_sm; gives the status that answers it."""
        return self._receive(pdu)

    async def _receive(self, pdu: Any) -> int:
        deliver = self.deliver_sm_processor
        try:
            for handle in (
                self.dr_processor.handle_delivery_report_pdu,
                deliver.handle_multipart_pdu,
                deliver.handle_ussd_pdu,
            ):
                handled = handle(pdu)
                if handled is not False and await settle(handled):
                    return CommandStatus.ESME_ROK
            await settle(deliver.handle_short_message_pdu(pdu))
        except DecodingError as error:
            self._log.warn(
                "WARNING: {reason}. A message from {from_addr} is refused",
                event="smpp-not-decoded",
                reason=str(error).rstrip("."),
                from_addr=pdu.source_addr,
            )
            return self._decoding_error
        except UnknownReport:
            return CommandStatus.ESME_RX_T_APPN
        return CommandStatus.ESME_ROK

    def handle_raw_inbound_message(self, **fields: Any) -> Deferred[Any]:
        """Publish a message from a phone. Fires when the broker has it safe.

        :param fields: The message's fields.
        """
        return self.publish_message(**fields)

    def handle_delivery_report(
        self, receipted_message_id: str, delivery_status: str, smpp_delivery_status: str
    ) -> Deferred[Any]:
        """Publish a delivery report, if it is known what it is about.

        :param receipted_message_id: What the SMSC calls the message.
        :param delivery_status: ``pending``, ``failed`` or ``delivered``.
        :param smpp_delivery_status: The SMSC's word.
        """
        taken: Deferred[Any] = self._reports.take(
            receipted_message_id, delivery_status, smpp_delivery_status
        )
        return taken

    async def handle_unreadable_report(self, pdu: Any, text: str) -> bool:
        """Keep what says that it is a delivery report, but not what of, as a failure message.

        :param text: Its text, as far as it can be read.
        :returns: ``True``: it is dealt with. The SMSC would only send it again.
        """
        self.unreadable_reports += 1
        self._log.warn(
            "A delivery report from {from_addr} is not understood ({count} so far); it is kept as "
            "a failure: {text!r}",
            event="smpp-report-not-understood",
            from_addr=pdu.source_addr,
            count=self.unreadable_reports,
            text=text[:LOGGED_TEXT],
        )
        message = TransportUserMessage(
            from_addr=pdu.source_addr,
            to_addr=pdu.destination_addr,
            content=text,
            transport_name=self.transport_name,
            transport_type="sms",
            transport_metadata={"smpp": {"esm_class": pdu.esm_class}},
        )
        reason = "This delivery report is not understood."
        await self.send_failure(message, UnreadableReport(reason), reason)
        return True

    def _publish_report(self, message_id: str, status: str, raw_status: str) -> Deferred[Any]:
        if self._disable_report:
            return succeed(None)
        return self.publish_delivery_report(
            message_id, status, transport_metadata={"smpp_delivery_status": raw_status}
        )

    # What the service tells; see vumi.transports.smpp.service.ServiceListener

    def state_changed(self, bind: int, old: State, new: State, event: Event, detail: Any) -> None:
        """A bind is in another state."""
        self._link.state_changed(bind, new, event, detail)

    def connection_failed(self, bind: int, reason: Failure) -> None:
        """An attempt to connect has failed."""
        self._link.connection_failed(bind, reason)

    def may_send(self, possible: bool) -> None:
        """There is a bind to send over, or there is none any more."""
        connector = self.connectors.get(self.transport_name)
        if connector is None:
            return
        if possible:
            in_background(connector.unpause(), self._log, "Going on with outbound messages")
        else:
            # Those that are handled are kept, and sent over the next bind.
            in_background(connector.pause(), self._log, "Pausing outbound messages")

    def has_room(self) -> None:
        """There is room in a window."""
        if self._outbox is not None:
            self._outbox.pump()

    def notification_received(self, pdu: Any) -> None:
        """An alert_notification has come."""
        self._log.info(
            "{address} can be reached again", event="smpp-alert", address=pdu.source_addr
        )

    def late_response(self, request: Any, response: Any) -> None:
        """An answer has come after its message was nacked for having none."""
        if self._sender is not None:
            self._sender.late_response(request, response)

    def _publish_link_status(self, **fields: Any) -> None:
        in_background(self.publish_status(**fields), self._log, "Publishing a status")


class SmppTransceiverTransportWithOldConfig(SmppTransceiverTransport):
    """Takes the options of processors at the top of its configuration, as older ones did."""

    CONFIG_CLASS: ClassVar[Any] = OldSmppTransportConfig

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        warnings.warn(
            f"{type(self).__name__} takes a flat configuration. Use SmppTransceiverTransport, "
            "with the options of processors in their own sections.",
            PendingDeprecationWarning,
            stacklevel=2,
        )
        super().__init__(options, None if config is None else nested_config(config))


#: The old name.
SmppTransport = SmppTransceiverTransportWithOldConfig


class SmppReceiverTransport(SmppTransceiverTransport):
    """Receives only. Outbound messages are left in their queue."""

    bind_type = BindType.RX


class SmppTransmitterTransport(SmppTransceiverTransport):
    """Sends only."""

    bind_type = BindType.TX
