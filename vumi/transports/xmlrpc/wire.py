"""XML-RPC (http://xmlrpc.com/spec.md) in bytes. Pure: no Twisted, no messages."""

from __future__ import annotations

import xml.parsers.expat
import xmlrpc.client
from typing import Any, NoReturn

from vumi.errors import VumiError
from vumi.web.xml import mend_xml, xml_text

__all__ = ["Fault", "MalformedCall", "encode_fault", "encode_result", "parse_call"]

#: Twisted's numbers for its own faults.
NOT_FOUND, FAILURE = 8001, 8002


class MalformedCall(VumiError):
    """What came is no XML-RPC method call."""


class Fault(VumiError):
    """Raised to answer a call with a fault.

    :param code: Its number.
    :param text: Its words.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


def _refuse_entity(*_declaration: object) -> NoReturn:
    raise MalformedCall("entities may not be declared")


def parse_call(body: bytes) -> tuple[str, tuple[Any, ...]]:
    """Read a method call.

    Characters that are damaged, or that XML can't carry, become U+FFFD.

    :returns: The method's name and its parameters, as plain Python data; dates are datetimes.
    :raises MalformedCall: It is none.
    """
    try:
        return _parse_call(body)
    except xml.parsers.expat.ExpatError:
        pass
    try:
        return _parse_call(mend_xml(body))
    except xml.parsers.expat.ExpatError as error:
        raise MalformedCall(f"no XML-RPC: {type(error).__name__}") from None


def _parse_call(body: bytes | str) -> tuple[str, tuple[Any, ...]]:
    unmarshaller = xmlrpc.client.Unmarshaller(use_builtin_types=True)
    parser: Any = xmlrpc.client.ExpatParser(unmarshaller)
    parser._parser.EntityDeclHandler = _refuse_entity
    try:
        parser.feed(body)
        parser.close()
        parameters = unmarshaller.close()
        method: Any = unmarshaller.getmethodname()
    except (MalformedCall, xml.parsers.expat.ExpatError):
        raise
    except Exception as error:  # noqa: BLE001 (the parser raises whatever garbage leads to)
        raise MalformedCall(f"no XML-RPC: {type(error).__name__}") from None
    if not isinstance(method, str) or not method:
        raise MalformedCall("no method is called")
    return method, tuple(parameters)


def encode_result(value: Any) -> bytes:
    """A response with a result: texts, numbers, booleans, dates, bytes, and lists and dicts of
    these. What XML can't carry is left out of texts.

    :raises TypeError: It holds something else.
    """
    return xmlrpc.client.dumps((_cleaned(value),), methodresponse=True).encode("utf-8")


def encode_fault(fault: Fault) -> bytes:
    """A response that says that the call has failed."""
    return xmlrpc.client.dumps(xmlrpc.client.Fault(fault.code, xml_text(fault.text))).encode(
        "utf-8"
    )


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return xml_text(value)
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value
