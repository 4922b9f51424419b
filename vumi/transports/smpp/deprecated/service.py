"""A toy SMSC, as a worker: it takes all messages and reports them as delivered.

Knows SMPP's other end as far as trying out an ESME needs it.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger

from vumi.config import ConfigPort, ConfigServerEndpoint, ConfigText, ServerEndpointFallback
from vumi.tasks import deferred, in_background
from vumi.transports.smpp.constants import CommandId, CommandStatus, EsmClass
from vumi.transports.smpp.pdu import DeliverSm
from vumi.transports.smpp.session import SessionSettings
from vumi.transports.smpp.smsc import SmscProtocolFactory
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort

__all__ = ["SmppService", "SmppServiceConfig"]

DEFAULT_REPORT = (
    "id:%s sub:001 dlvrd:001 submit date:0000000000 done date:0000000000 stat:DELIVRD err:000 "
    "text:"
)


class SmppServiceConfig(BaseConfig):
    """Options of the toy SMSC."""

    twisted_endpoint = ConfigServerEndpoint(
        "Where to listen.",
        required=True,
        static=True,
        fallbacks=[ServerEndpointFallback("host", "port")],
    )
    host = ConfigText("The address to listen on, if there is no twisted_endpoint.", static=True)
    port = ConfigPort(
        "The port to listen on, if there is no twisted_endpoint.", static=True, any_free=True
    )
    system_id = ConfigText("What the SMSC calls itself.", default="smsc", static=True)
    smsc_delivery_report_string = ConfigText(
        "The text of delivery reports; %s is the message's id.",
        default=DEFAULT_REPORT,
        static=True,
    )


class _Numbers:
    def __init__(self) -> None:
        self._numbers = count(1)

    def take(self) -> int:
        return next(self._numbers)


class SmppService(BaseWorker):
    """Binds anybody, takes all messages, and reports each as delivered.

    A text that begins with a status's name, such as ``ESME_RTHROTTLED``, is refused with it.
    """

    CONFIG_CLASS: ClassVar[Any] = SmppServiceConfig

    _log = Logger()
    _listening: IListeningPort | None = None

    def setup_connectors(self) -> None:
        """It has none: nothing of what is sent to it goes anywhere."""

    @deferred
    async def setup_worker(self) -> None:
        """Listen."""
        config = self.get_static_config()
        self._ids = count(1)
        factory = SmscProtocolFactory(
            SessionSettings(system_id=config.system_id), _Numbers(), self, self.clock
        )
        self._listening = await config.twisted_endpoint.listen(factory)

    def teardown_worker(self) -> Any:
        """Listen no more."""
        return None if self._listening is None else self._listening.stopListening()

    # As the listener of connections, see vumi.transports.smpp.smsc.SmscListener

    def bind_requested(self, connection: Any, pdu: Any) -> int:
        """Accept."""
        return CommandStatus.ESME_ROK

    def request_received(self, connection: Any, pdu: Any) -> Any:
        """Take a message, or refuse it if it says so."""
        if pdu.command_id != CommandId.submit_sm:
            return CommandStatus.ESME_RINVCMDID
        # Of these names only the underscore is another octet in the GSM alphabet than in ASCII.
        word = pdu.short_message.partition(b" ")[0].replace(b"\x11", b"_").decode("latin-1")
        status = CommandStatus.__members__.get(word)
        if status:
            return status
        message_id = str(next(self._ids))
        if pdu.registered_delivery:
            self.clock.callLater(0, self._report, connection, pdu, message_id)
        return pdu.respond(message_id=message_id)

    def _report(self, connection: Any, pdu: Any, message_id: str) -> None:
        text = self.get_static_config().smsc_delivery_report_string
        report = DeliverSm(
            source_addr=pdu.destination_addr,
            destination_addr=pdu.source_addr,
            esm_class=EsmClass.DELIVERY_RECEIPT,
            short_message=text.replace("%s", message_id).encode("latin-1", "replace"),
        )
        in_background(connection.submit(report), self._log, f"The report of {message_id}")

    def state_changed(self, connection: Any, old: Any, new: Any, event: Any, detail: Any) -> None:
        """Nothing to be done."""

    def notification_received(self, connection: Any, pdu: Any) -> None:
        """Nothing to be done."""

    def late_response(self, connection: Any, request: Any, response: Any) -> None:
        """Nothing to be done."""

    def has_room(self, connection: Any) -> None:
        """Nothing to be done."""
