"""Bodies of requests and answers: made of what a table says, and compared with it.

Knows forms, JSON, XML, XML-RPC, texts and bytes. Knows no HTTP besides the content type.
"""

from __future__ import annotations

import json
import re
import xmlrpc.client
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_from_bytes, quote_plus, unquote_to_bytes
from xml.etree import ElementTree

from vumi.tests.cases.matching import differences, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.tests.cases.model import Body

__all__ = ["body_differences", "encode_body", "encode_form", "form_differences"]

_RAW = re.compile(r"<raw (.*)>", re.DOTALL)
_CONTENT_TYPES = {
    "form": "application/x-www-form-urlencoded",
    "json": "application/json",
    "xml": "text/xml",
    "xmlrpc": "text/xml",
    "text": "text/plain",
    "hex": "application/octet-stream",
}


# Making them


def encode_form(value: Any, charset: str = "utf-8") -> str:
    """A query string or form.

    :param value: A text that is one already, or a mapping of names to texts, to lists of texts, or
        to ``None`` for what is left out. ``<raw %ff>`` is a text that is encoded already.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    pairs = [
        (name, one)
        for name, values in value.items()
        for one in (values if isinstance(values, list) else [values])
        if one is not None
    ]
    return "&".join(f"{_quoted(name, charset)}={_quoted(one, charset)}" for name, one in pairs)


def _quoted(text: str, charset: str) -> str:
    raw = _RAW.fullmatch(text)
    return raw[1] if raw else quote_plus(text, encoding=charset)


def encode_body(body: Body | None, is_answer: bool = False) -> tuple[bytes, str | None]:
    """The bytes of a body and their content type, ``None`` if there is no body.

    :param is_answer: Whether it is an answer: that matters to XML-RPC.
    """
    if body is None:
        return b"", None
    content_type = _CONTENT_TYPES[body.kind]
    if body.kind in ("xml", "text"):
        content_type += f"; charset={body.charset}"
    return _encoded(body, is_answer), content_type


def _encoded(body: Body, is_answer: bool) -> bytes:
    if body.kind == "form":
        return encode_form(body.value, body.charset).encode("ascii", "replace")
    if body.kind == "json":
        return json.dumps(body.value, ensure_ascii=False).encode(body.charset)
    if body.kind == "hex":
        return bytes.fromhex(body.value)
    if body.kind == "xmlrpc":
        return _encoded_xmlrpc(body.value, is_answer).encode(body.charset)
    return str(body.value).encode(body.charset)


def _encoded_xmlrpc(value: Any, is_answer: bool) -> str:
    fault = _fault_of(value)
    if fault is not None:
        return xmlrpc.client.dumps(xmlrpc.client.Fault(*fault))
    if is_answer:
        return xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True)
    [(method, params)] = value.items()
    return xmlrpc.client.dumps(tuple(params), method, allow_none=True)


def _fault_of(value: Any) -> tuple[int, str] | None:
    """``{fault: [8002, error]}`` is an XML-RPC fault."""
    if isinstance(value, dict) and list(value) == ["fault"] and isinstance(value["fault"], list):
        code, words = value["fault"]
        return int(code), str(words)
    return None


# Comparing them


def form_differences(expected: Any, actual: bytes | str, where: str) -> Iterator[str]:
    """Say in what a query string or form differs from what is expected. Order doesn't matter."""
    found: dict[str, Any] = {}
    for name, value in _pairs(actual):
        # Several of one name are a list.
        known = found.get(name)
        if known is None:
            found[name] = value
        else:
            found[name] = [*(known if isinstance(known, list) else [known]), value]
    if not isinstance(expected, dict):
        wanted = dict(_pairs(expected or ""))
    else:
        wanted = {
            name: _unraw(value[0] if isinstance(value, list) and len(value) == 1 else value)
            for name, value in expected.items()
            if value is not None
        }
    yield from differences(wanted, found, where)


def _pairs(encoded: bytes | str) -> list[tuple[str, str]]:
    text = encoded.decode("latin-1") if isinstance(encoded, bytes) else encoded
    # What is no UTF-8 is told as it was sent.
    return [
        (_as_text(name), _as_text(value))
        for name, value in parse_qsl(text, keep_blank_values=True, encoding="latin-1")
    ]


def _as_text(latin: str) -> str:
    data = latin.encode("latin-1", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return f"<raw {quote_from_bytes(data)}>"


def _unraw(value: Any) -> Any:
    if isinstance(value, list):
        return [_unraw(one) for one in value]
    raw = _RAW.fullmatch(value)
    return _as_text(unquote_to_bytes(raw[1]).decode("latin-1")) if raw else value


def body_differences(body: Body, actual: bytes, where: str) -> Iterator[str]:
    """Say in what a body differs from what is expected."""
    if body.kind == "form":
        yield from form_differences(body.value, actual, where)
    elif body.kind == "json":
        yield from _json_differences(body.value, actual, where)
    elif body.kind == "hex":
        if bytes.fromhex(body.value) != actual:
            yield f"{where}: the bytes {body.value} are expected, not {actual.hex()}"
    elif body.kind == "xml":
        yield from _xml_differences(body.value, actual, where)
    elif body.kind == "xmlrpc":
        yield from _xmlrpc_differences(body.value, actual, where)
    else:
        try:
            text = actual.decode(body.charset)
        except UnicodeDecodeError:
            yield f"{where}: is no {body.charset}: {shown(actual)}"
        else:
            yield from differences(body.value, text, where)


def _json_differences(expected: Any, actual: bytes, where: str) -> Iterator[str]:
    try:
        found = json.loads(actual)
    except ValueError:
        yield f"{where}: JSON is expected, not {shown(actual)}"
    else:
        yield from differences(expected, found, where)


def _xml_differences(expected: str, actual: bytes, where: str) -> Iterator[str]:
    try:
        found = _canonical(actual)
    except (ElementTree.ParseError, ValueError) as error:
        yield f"{where}: XML is expected ({error}), not {shown(actual)}"
        return
    wanted = _canonical(expected.encode("utf-8"))
    if wanted != found:
        yield f"{where}: {wanted} is expected, not {found}"


def _canonical(document: bytes) -> str:
    """A document without what makes no difference: order of attributes, space between tags."""
    # These are documents of the transport under test and of its own tables.
    root = ElementTree.fromstring(document)  # noqa: S314 (see above)
    text = ElementTree.tostring(root, encoding="unicode")
    return ElementTree.canonicalize(text, strip_text=True)


def _xmlrpc_differences(expected: Any, actual: bytes, where: str) -> Iterator[str]:
    try:
        params, method = xmlrpc.client.loads(actual.decode("utf-8"))
        found: Any = {method: list(params)} if method else params[0]
    except xmlrpc.client.Fault as fault:
        found = {"fault": [fault.faultCode, fault.faultString]}
    except Exception as error:  # noqa: BLE001 (xmlrpc.client raises what its parser raises)
        yield f"{where}: XML-RPC is expected ({error}), not {shown(actual)}"
        return
    yield from differences(expected, found, where)
