"""The options of the SMPP transports.

Knows what may be asked for, what it is by default, and what parts of the transport are told of it.
The options of processors are declared beside these, in :mod:`vumi.transports.smpp.processors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.config import (
    ClientEndpointFallback,
    ConfigBool,
    ConfigChoice,
    ConfigClassName,
    ConfigClientEndpoint,
    ConfigCount,
    ConfigDict,
    ConfigPort,
    ConfigSeconds,
    ConfigText,
)
from vumi.persist.config import ConfigRedis
from vumi.transports.base import TransportConfig
from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.correlation import Expiries
from vumi.transports.smpp.fields import (
    ConfigAddressRules,
    ConfigHexVersion,
    ConfigOctet,
    ConfigOctets,
    ConfigStatus,
    ConfigStatusActions,
    ConfigTime,
    StatusAction,
)
from vumi.transports.smpp.iprocessors import (
    IDeliverShortMessageProcessor,
    IDeliveryReportProcessor,
    ISubmitShortMessageProcessor,
)
from vumi.transports.smpp.reassembly import MultipartLimits
from vumi.transports.smpp.receipts import REMOTE_ID_FORMATS
from vumi.transports.smpp.session import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.transports.smpp.transitions import BindType

__all__ = ["SmppTransportConfig"]

DEFAULT_WINDOW = 20
#: The longest ``password`` that the specification allows (5.2.2), without the null.
PASSWORD_LENGTH = 8
#: The most that AMQP can be told.
MAX_PREFETCH = 65535
#: More messages are handled than the windows hold, as they also wait for the store and to be sent;
#: and more are prefetched than are handled, as they also wait for confirmations.
CONCURRENCY_FACTOR = PREFETCH_FACTOR = 2

DEFAULT_ACTIONS: Mapping[int, StatusAction] = {
    CommandStatus.ESME_RTHROTTLED: "throttle",
    CommandStatus.ESME_RMSGQFUL: "throttle",
    # What SMSCs say to a message that crosses their unbind: the next bind can take it.
    CommandStatus.ESME_RINVBNDSTS: "retry",
    CommandStatus.ESME_RX_T_APPN: "retry",
}


class SmppTransportConfig(TransportConfig):
    """Options of the SMPP transports."""

    # The link

    twisted_endpoint = ConfigClientEndpoint(
        "The SMSC: a Twisted client endpoint such as tcp:host=smsc.example.org:port=2775, or "
        "tls:smsc.example.org:3550.",
        required=True,
        static=True,
        fallbacks=[ClientEndpointFallback()],
    )
    host = ConfigText("The SMSC's host, if there is no twisted_endpoint.", static=True)
    port = ConfigPort("The SMSC's TCP port, if there is no twisted_endpoint.", static=True)
    system_id = ConfigOctets("The name to log in with.", 15, required=True, static=True)
    password = ConfigText("The password to log in with.", required=True, static=True, secret=True)
    truncate_password = ConfigBool(
        "Whether a password of more than 8 characters is cut to the 8 that SMPP allows, as the "
        "old Vumi did. Many SMSCs take longer ones.",
        default=True,
        static=True,
    )
    system_type = ConfigOctets(
        "What kind of system we are, if the SMSC asks.", 12, default="", static=True
    )
    interface_version = ConfigHexVersion(
        "The version of SMPP that we speak, as hexadecimal digits.", default="34", static=True
    )
    address_range = ConfigOctets(
        "The addresses whose messages we want, if the SMSC asks.", 40, default="", static=True
    )
    bind_addr_ton = ConfigOctet("address_range's type of number.", default=0, static=True)
    bind_addr_npi = ConfigOctet("address_range's numbering plan.", default=0, static=True)
    binds = ConfigCount(
        "How many connections to have, each with its own bind and window. Messages are sent over "
        "whichever has room.",
        1,
        100,
        default=1,
        static=True,
    )
    window_size = ConfigCount(
        "How many messages may be sent over a bind without an answer yet.",
        1,
        10_000,
        default=DEFAULT_WINDOW,
        static=True,
    )
    smpp_bind_timeout = ConfigSeconds(
        "How long the SMSC may take to answer a bind, in seconds.", default=30, static=True
    )
    smpp_enquire_link_interval = ConfigSeconds(
        "How often the SMSC is asked whether it is still there, in seconds. After twice that "
        "time without a sign of it the connection is closed and made again. 0: never.",
        default=55,
        static=True,
    )
    submit_sm_resp_timeout = ConfigSeconds(
        "How long the SMSC may take to answer a message, in seconds. The message is then nacked, "
        "as nobody knows whether it was taken; an answer that comes later is still understood, so "
        "that delivery reports find their message. 0: for ever.",
        default=60,
        static=True,
    )
    initial_reconnect_delay = ConfigSeconds(
        "How long to wait before the first attempt to connect again, in seconds. Each further "
        "wait is longer, until a bind succeeds.",
        default=5,
        static=True,
    )
    max_reconnect_delay = ConfigSeconds(
        "How long to wait between two attempts to connect at most, in seconds.",
        default=300,
        static=True,
    )
    sequence_block = ConfigCount(
        "How many sequence numbers are taken from Redis at a time.",
        10,
        1_000_000,
        default=1000,
        static=True,
    )

    # How fast

    mt_tps = ConfigCount(
        "How many messages (of a long one each part) may be sent a second, over all binds of this "
        "process. 0 is no limit.",
        default=0,
        static=True,
    )
    throttle_delay = ConfigSeconds(
        "How long to wait after the SMSC has said that it is given too much, in seconds. Then one "
        "message is tried, and the others if that is taken.",
        default=0.1,
        static=True,
    )
    status_actions = ConfigStatusActions(
        "What is done if the SMSC refuses a message with a status (its name or number). throttle: "
        "nothing is sent for throttle_delay, then the message again. retry: it is sent again "
        "after retry_delay, up to retry_limit times, while others go on. nack: it is given up. "
        "What is here is added to: throttle for ESME_RTHROTTLED and ESME_RMSGQFUL, retry for "
        "ESME_RINVBNDSTS and ESME_RX_T_APPN (a temporary error), which a message gets that "
        "crosses an unbind, nack for all others.",
        default={},
        static=True,
    )
    retry_delay = ConfigSeconds(
        "After how many seconds a message is sent again whose status says retry.",
        default=5,
        static=True,
    )
    retry_limit = ConfigCount(
        "How often a message is sent again whose status says retry. Then it is nacked.",
        default=3,
        static=True,
    )
    worker_concurrency = ConfigCount(
        "How many messages of one queue are handled at a time; those for one address always one "
        "after another. By default twice what the windows of all binds hold.",
        1,
        static=True,
    )
    amqp_prefetch_count = ConfigCount(
        "How many messages of one queue the broker hands out before they are acknowledged. By "
        "default twice worker_concurrency.",
        0,
        MAX_PREFETCH,
        static=True,
    )
    handler_timeout = ConfigSeconds(
        "How long the handling of one message may take, in seconds, the time without a bind "
        "included. It then becomes a dead letter. 0 is no limit.",
        default=0,
        static=True,
    )

    # What is sent

    service_type = ConfigOctets("The messages' service_type.", 5, default="", static=True)
    source_addr_ton = ConfigOctet("The type of number of from_addr.", default=0, static=True)
    source_addr_npi = ConfigOctet("The numbering plan of from_addr.", default=0, static=True)
    dest_addr_ton = ConfigOctet("The type of number of to_addr.", default=0, static=True)
    dest_addr_npi = ConfigOctet("The numbering plan of to_addr.", default=1, static=True)
    strip_plus = ConfigBool(
        "Whether a + before a number is left out, and its type of number set to 1 "
        "(international) and its numbering plan to 1.",
        default=False,
        static=True,
    )
    source_addr_rules = ConfigAddressRules(
        "Rules for from_addr: a list of mappings with match (a regular expression for the whole "
        "address), ton, npi and strip_plus. The first that fits is taken.",
        default=[],
        static=True,
    )
    dest_addr_rules = ConfigAddressRules(
        "Rules for to_addr, like those for from_addr.", default=[], static=True
    )
    registered_delivery = ConfigBool(
        "Whether delivery reports are asked for.", default=True, static=True
    )
    validity_period = ConfigTime(
        "How long the SMSC tries to deliver a message, in SMPP's own form (section 7.1.1), such "
        "as 000001000000000R for a day. By default as long as the SMSC likes.",
        default="",
        static=True,
    )
    priority_flag = ConfigCount("The messages' priority, 0 to 3.", 0, 3, default=0, static=True)

    # What is remembered

    split_bind_prefix = ConfigText(
        "What Redis keys begin with, below redis_manager's key_prefix. A transmitter and a "
        "receiver whose reports are to find each other's messages need the same one. By default "
        "<system_id>@<transport_name>.",
        default="",
        static=True,
    )
    redis_manager = ConfigRedis(
        "The Redis in which sent messages are remembered.", default={}, static=True
    )
    submit_sm_expiry = ConfigCount(
        "How long a message whose parts are not all answered is remembered, in seconds.",
        1,
        default=86400,
        static=True,
    )
    submit_sm_answer_expiry = ConfigCount(
        "How long the answer to a message is remembered, in seconds. If the broker delivers the "
        "message again within that time, it is answered again rather than sent again.",
        1,
        default=3600,
        static=True,
    )
    third_party_id_expiry = ConfigCount(
        "How long the SMSC's id of a message is remembered, in seconds. A delivery report that "
        "comes later is not understood.",
        1,
        default=604800,
        static=True,
    )
    final_dr_third_party_id_expiry = ConfigCount(
        "How long it is remembered after a final delivery report, in seconds.",
        1,
        default=3600,
        static=True,
    )
    completed_multipart_info_expiry = ConfigCount(
        "How long the parts of a message that was answered are remembered, in seconds.",
        1,
        default=3600,
        static=True,
    )
    early_report_expiry = ConfigCount(
        "How long a delivery report is kept whose message is not known, in seconds: it may have "
        "overtaken the answer that tells the id.",
        1,
        default=60,
        static=True,
    )
    multipart_expiry = ConfigCount(
        "How long the parts of an inbound message wait for the last one, in seconds, from the "
        "first on.",
        1,
        default=86400,
        static=True,
    )
    multipart_max_messages = ConfigCount(
        "How many inbound messages may wait for their other parts. The oldest is forgotten first.",
        1,
        default=10_000,
        static=True,
    )
    multipart_max_per_sender = ConfigCount(
        "How many messages of one sender may wait for their other parts.",
        1,
        default=100,
        static=True,
    )
    multipart_max_octets = ConfigCount(
        "How many octets of Redis the parts that wait may take together, twice those of their "
        "texts.",
        1,
        default=64 * 1024 * 1024,
        static=True,
    )
    early_report_limit = ConfigCount(
        "How many messages may have delivery reports that are kept although they are not known. "
        "The oldest are forgotten first.",
        1,
        default=10_000,
        static=True,
    )

    # What is received

    deliver_sm_decoding_error = ConfigStatus(
        "The status by which an inbound message that can't be read is refused.",
        default="ESME_RDELIVERYFAILURE",
        static=True,
    )
    disable_ack = ConfigBool(
        "Whether acks are left out. Nacks are published all the same.", default=False, static=True
    )
    disable_delivery_report = ConfigBool(
        "Whether delivery reports are left out.", default=False, static=True
    )
    remote_id_format = ConfigChoice(
        "How the SMSC's id of a message in a delivery report differs from that in its answer. "
        "same: not at all. loose: in case and leading zeros. hex_to_decimal: the answer has it in "
        "hexadecimal, the report in decimal digits. decimal_to_hex: the other way round.",
        REMOTE_ID_FORMATS,
        default="same",
        static=True,
    )
    delivery_report_unknown = ConfigChoice(
        "What is done with a delivery report whose message is not known. keep: it is taken, and "
        "kept for early_report_expiry seconds. drop: it is taken and forgotten. refuse: it is "
        "refused, so that the SMSC tries again.",
        ("keep", "drop", "refuse"),
        default="keep",
        static=True,
    )
    aggregate_delivery_reports = ConfigBool(
        "Whether a message in several parts has one delivery report, once all parts have one, "
        "rather than one for each part.",
        default=False,
        static=True,
    )

    # Who does it

    codec_class = ConfigClassName(
        "What encodes and decodes texts.",
        default="vumi.codecs.VumiCodec",
        static=True,
    )
    delivery_report_processor = ConfigClassName(
        "What recognises delivery reports.",
        default="vumi.transports.smpp.processors.DeliveryReportProcessor",
        static=True,
        implements=IDeliveryReportProcessor,
    )
    delivery_report_processor_config = ConfigDict("Its options.", default={}, static=True)
    deliver_short_message_processor = ConfigClassName(
        "What makes messages of what is received.",
        default="vumi.transports.smpp.processors.DeliverShortMessageProcessor",
        static=True,
        implements=IDeliverShortMessageProcessor,
    )
    deliver_short_message_processor_config = ConfigDict("Its options.", default={}, static=True)
    submit_short_message_processor = ConfigClassName(
        "What makes PDUs of messages.",
        default="vumi.transports.smpp.processors.SubmitShortMessageProcessor",
        static=True,
        implements=ISubmitShortMessageProcessor,
    )
    submit_short_message_processor_config = ConfigDict("Its options.", default={}, static=True)

    # What parts of the transport are told

    @property
    def concurrency(self) -> int:
        """How many messages are handled at a time."""
        return self.worker_concurrency or self.binds * self.window_size * CONCURRENCY_FACTOR

    @property
    def prefetch(self) -> int:
        """How many messages the broker hands out."""
        if self.amqp_prefetch_count is not None:
            return self.amqp_prefetch_count
        return min(self.concurrency * PREFETCH_FACTOR, MAX_PREFETCH)

    @property
    def redis_prefix(self) -> str:
        """What Redis keys begin with."""
        return self.split_bind_prefix or f"{self.system_id}@{self.transport_name}"

    @property
    def all_status_actions(self) -> dict[int, StatusAction]:
        """What is to be done about statuses; nack for all others."""
        return {**DEFAULT_ACTIONS, **self.status_actions}

    @property
    def cuts_password(self) -> bool:
        """Whether the password is longer than what is sent of it."""
        return self.truncate_password and len(self.password) > PASSWORD_LENGTH

    def session_settings(self, bind_type: BindType) -> SessionSettings:
        """What the session of each bind is told."""
        return SessionSettings(
            bind_type=bind_type,
            system_id=self.system_id,
            password=self.password[:PASSWORD_LENGTH] if self.cuts_password else self.password,
            system_type=self.system_type,
            interface_version=int(self.interface_version, 16),
            addr_ton=self.bind_addr_ton,
            addr_npi=self.bind_addr_npi,
            address_range=self.address_range,
            bind_timeout=self.smpp_bind_timeout,
            enquire_link_interval=self.smpp_enquire_link_interval,
            response_timeout=self.submit_sm_resp_timeout,
            window_size=self.window_size,
        )

    @property
    def multipart_limits(self) -> MultipartLimits:
        """How much may wait for its other parts."""
        return MultipartLimits(
            self.multipart_expiry,
            self.multipart_max_messages,
            self.multipart_max_octets,
            self.multipart_max_per_sender,
        )

    @property
    def expiries(self) -> Expiries:
        """How long what was sent is remembered."""
        return Expiries(
            submission=self.submit_sm_expiry,
            answered=self.submit_sm_answer_expiry,
            remote_id=self.third_party_id_expiry,
            final_remote_id=self.final_dr_third_party_id_expiry,
            multipart=self.third_party_id_expiry
            if self.aggregate_delivery_reports
            else self.completed_multipart_info_expiry,
            early_report=self.early_report_expiry,
            early_reports=self.early_report_limit,
        )
