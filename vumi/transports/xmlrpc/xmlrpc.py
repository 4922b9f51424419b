"""Transports that are an XML-RPC server: a call is held until its result is there.

Knows calls, results and faults; holding them is :mod:`vumi.transports.httprpc`'s. Knows no
provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.tasks import settle
from vumi.transports.httprpc import Answer, HttpRpcTransport, Refused
from vumi.transports.xmlrpc.wire import (
    FAILURE,
    NOT_FOUND,
    Fault,
    MalformedCall,
    encode_fault,
    encode_result,
    parse_call,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import HeldRequest, Incoming

__all__ = ["XmlRpcCall", "XmlRpcTransport"]


class XmlRpcCall:
    """One method call.

    :ivar method: The method's name.
    :ivar parameters: Its parameters, as plain Python data.
    :ivar incoming: The request that it came with.
    """

    __slots__ = ("incoming", "method", "parameters")

    def __init__(self, method: str, parameters: tuple[Any, ...], incoming: Incoming) -> None:
        self.method = method
        self.parameters = parameters
        self.incoming = incoming

    def struct(self, *required: str) -> dict[str, Any]:
        """The call's only parameter, a struct.

        :param required: Members that it must have.
        :raises Fault: It is none, or lacks some.
        """
        struct = self.parameters[0] if len(self.parameters) == 1 else None
        if not isinstance(struct, dict):
            raise Fault(FAILURE, "one struct is expected")
        missing = [name for name in required if name not in struct]
        if missing:
            raise Fault(FAILURE, f"missing members: {', '.join(missing)}")
        return struct


class XmlRpcTransport(HttpRpcTransport):
    """An XML-RPC server whose calls are answered with the replies to the messages they bring.

    .. code-block:: python

        class MenuUssdTransport(XmlRpcTransport):
            transport_type = "ussd"
            METHODS = {"USSD.INPUT": "user_input"}

            def user_input(self, call):
                struct = call.struct("msisdn", "code", "text")
                return {
                    "from_addr": struct["msisdn"],
                    "to_addr": struct["code"],
                    "content": struct["text"],
                    "session_event": "resume",
                }

            def make_result(self, message, held):
                return {"text": message["content"], "end": message["session_event"] == "close"}
    """

    content_type = "text/xml; charset=utf-8"

    #: The methods that can be called -> the names of the hooks that take the calls. A hook gets an
    #: :class:`XmlRpcCall` and returns what :meth:`~.HttpRpcTransport.receive` does;
    #: :meth:`result` makes an answer that is given at once. It may raise :class:`Fault`.
    METHODS: ClassVar[Mapping[str, str]] = {}

    def receive(self, incoming: Incoming) -> Any:
        try:
            method, parameters = parse_call(incoming.body)
        except MalformedCall as error:
            raise self._refusal(Fault(FAILURE, str(error)), "malformed_call") from None
        hook_name = self.METHODS.get(method)
        if hook_name is None:
            raise self._refusal(
                Fault(NOT_FOUND, f"procedure {method[:100]} not found"), "unknown_method"
            )
        try:
            received = getattr(self, hook_name)(XmlRpcCall(method, parameters, incoming))
        except Fault as fault:
            raise self._refusal(fault, "invalid_call") from None
        if isinstance(received, dict | Answer) or received is None:
            return received
        return Deferred.fromCoroutine(self._received_from(received))

    async def _received_from(self, received: Any) -> Any:
        try:
            return await settle(received)
        except Fault as fault:
            raise self._refusal(fault, "invalid_call") from None

    def _refusal(self, fault: Fault, type: str) -> Refused:
        # XML-RPC tells of errors with the status 200.
        return Refused(encode_fault(fault), 200, type=type)

    def result(self, value: Any) -> Answer:
        """An answer with a result."""
        return Answer(encode_result(value))

    def fault(self, code: int, text: str) -> Answer:
        """An answer with a fault."""
        return Answer(encode_fault(Fault(code, text)))

    def make_result(self, message: TransportUserMessage, held: HeldRequest) -> Any:
        """The result for the call that a message replies to. To be overridden; may be ``async``.

        :param message: The reply; its content may be ``None`` if it closes the session.
        :param held: The request that the call came with.
        :returns: Plain Python data.
        """
        return message.payload["content"] or ""

    def make_answer(self, message: TransportUserMessage, held: HeldRequest) -> Any:
        value = self.make_result(message, held)
        if hasattr(value, "__await__"):
            return Deferred.fromCoroutine(self._result_later(value))
        return self.result(value)

    async def _result_later(self, value: Any) -> Answer:
        return self.result(await value)

    def make_timeout_answer(self) -> Answer:
        return self.fault(FAILURE, "error")

    def make_error_answer(self) -> Answer:
        return self.fault(FAILURE, "error")
