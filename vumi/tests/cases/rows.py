"""The pieces of a table: requests and answers, messages and events, and their short forms.

Knows which keys each may have.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from yaml.nodes import MappingNode, ScalarNode

from vumi.message import TransportEvent, TransportStatus, TransportUserMessage
from vumi.tests.cases.model import (
    BODIES,
    METHODS,
    TROUBLES,
    Answer,
    Body,
    Call,
    Expected,
    Outbound,
    Request,
    Response,
)
from vumi.tests.cases.nodes import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "read_call",
    "read_event",
    "read_failure",
    "read_message",
    "read_outbound",
    "read_request",
    "read_response",
    "read_status",
    "without",
]

#: What stands for a member that is given and is not to be there.
WITHOUT = "<without>"
_REQUEST_KEYS = ("method", "path", "query", "headers", "auth", "charset", *BODIES)
_CALL_KEYS = ("method", "url", "query", "headers", "auth", "charset", *BODIES, "answer", "times")
_RESPONSE_KEYS = ("status", "headers", "charset", *BODIES)
_TEXT_FIELDS = (
    *("content", "to_addr", "from_addr", "message_id", "in_reply_to", "session_event"),
    *("provider", "transport_type", "to_addr_type", "from_addr_type", "transport_name"),
)
_DATA_FIELDS = ("group", "transport_metadata", "helper_metadata", "routing_metadata")
_MESSAGE_KEYS = (*_TEXT_FIELDS, *_DATA_FIELDS, "absent", "more")
_SENT_KEYS = (*_TEXT_FIELDS, *_DATA_FIELDS, "endpoint", "more")
_EVENT_KEYS = (
    *("event_type", "user_message_id", "sent_message_id", "nack_reason", "delivery_status"),
    *(*_DATA_FIELDS, "absent", "more"),
)
_FAILURE_CODES = {"temporary": "temporary", "permanent": "permanent", "unspecified": None}
_STATUS_KEYS = (*TransportStatus.REQUIRED_FIELDS, "reasons", "details", "absent", "more")
_TEXT_TAG = "tag:yaml.org,2002:str"
_MAP_TAG = "tag:yaml.org,2002:map"


# Requests and answers


def read_request(part: Part, given: Part | None) -> Request:
    """A request that comes in.

    :param given: What it has unless it says otherwise; so everywhere here.
    """
    base = None if given is None else _spelled_out(given, "path")
    merged = _spelled_out(part, "path").over(base, BODIES)
    return _request_of(merged, merged.mapping(_REQUEST_KEYS), "path")


def read_response(part: Part, given: Part | None) -> Response:
    """What is answered to it."""
    merged = _as_answer(part).over(given, BODIES)
    return Response(merged.place, *_response_of(merged.mapping(_RESPONSE_KEYS)))


def read_call(part: Part, given: Part | None) -> Call:
    """A request that goes out, and its answer."""
    own = _with_plain_answer(_spelled_out(part, "url"))
    base = None if given is None else _with_plain_answer(_spelled_out(given, "url"))
    merged = own.over(base, BODIES)
    keys = merged.mapping(_CALL_KEYS)
    times = keys["times"].whole_number() if "times" in keys else 1
    return Call(_request_of(merged, keys, "url"), _answer(merged, keys.get("answer")), times)


def _request_of(part: Part, keys: dict[str, Part], target_key: str) -> Request:
    body = _body(keys)
    usual = "GET" if body is None else "POST"
    method = keys["method"].text() if "method" in keys else usual
    return Request(
        part.place,
        method,
        keys[target_key].text() if target_key in keys else "",
        query=_form(keys["query"]) if "query" in keys else None,
        headers=_headers(keys.get("headers")),
        body=body,
        auth=_auth(keys.get("auth")),
    )


def _headers(part: Part | None) -> dict[str, str | None]:
    if part is None:
        return {}
    return {name: value.optional_text() for name, value in part.mapping().items()}


def _auth(part: Part | None) -> tuple[str, str] | None:
    if part is None or part.is_null:
        return None
    name, colon, password = part.text().partition(":")
    if not colon:
        part.fail("name:password is expected")
    return name, password


def _form(part: Part) -> Any:
    return part.text() if part.is_scalar else part.texts()


def _body(keys: dict[str, Part]) -> Body | None:
    kinds = [kind for kind in BODIES if kind in keys]
    if not kinds:
        return None
    if len(kinds) > 1:
        keys[kinds[1]].fail(f"there is '{kinds[0]}' too: a body is of one kind")
    kind = kinds[0]
    part = keys[kind]
    charset = keys["charset"].text() if "charset" in keys else "utf-8"
    if kind == "form":
        return Body(kind, _form(part), charset)
    if kind in ("json", "xmlrpc"):
        return Body(kind, _pruned(part.data()), charset)
    text = part.text()
    if kind == "hex" and not re.fullmatch(r"(?:\s*[0-9a-fA-F]{2})*\s*", text):
        part.fail("pairs of hex digits are expected")
    return Body(kind, text, charset)


def _pruned(data: Any) -> Any:
    """Data without the members that are ``<without>``: null is something in JSON."""
    if isinstance(data, dict):
        return {name: _pruned(value) for name, value in data.items() if value != WITHOUT}
    return [_pruned(value) for value in data] if isinstance(data, list) else data


def _response_of(keys: dict[str, Part]) -> tuple[int, dict[str, str | None], Body | None]:
    status = keys["status"].whole_number() if "status" in keys else 200
    return status, _headers(keys.get("headers")), _body(keys)


def _answer(call: Part, part: Part | None) -> Answer:
    if part is None:
        return Answer(call.place)
    if part.is_scalar:
        return Answer(part.place, trouble=part.text())
    return Answer(part.place, *_response_of(part.mapping(_RESPONSE_KEYS)))


# What is published


def read_message(part: Part, given: Part | None) -> Expected:
    """A message that is published."""
    merged = _as_mapping(part, "content").over(given)
    return _expected(merged, _MESSAGE_KEYS, _TEXT_FIELDS)


def read_outbound(part: Part, given: Part | None) -> Outbound:
    """A message that an application sends, or replies with."""
    merged = _as_mapping(part, "content").over(given)
    keys = merged.mapping(_SENT_KEYS)
    event = keys.get("session_event")
    if event is not None and event.optional_text() not in TransportUserMessage.SESSION_EVENTS:
        event.fail(f"there is no session event {event.text()!r}")
    endpoint = keys["endpoint"].text() if "endpoint" in keys else None
    return Outbound(merged.place, _fields(keys, _TEXT_FIELDS), endpoint)


def _expected(part: Part, known: Sequence[str], texts: Sequence[str]) -> Expected:
    keys = part.mapping(known)
    fields = _fields(keys, texts)
    absent = tuple(item.text() for item in keys["absent"].items()) if "absent" in keys else ()
    return Expected(part.place, fields, absent)


def _fields(keys: dict[str, Part], texts: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in keys.items():
        if name == "more":
            fields.update({extra: held.data() for extra, held in value.mapping().items()})
        elif name not in ("absent", "endpoint"):
            fields[name] = value.optional_text() if name in texts else value.data()
    return fields


#: How an event is said in a word -> its fields, and what the word's value is.
_EVENT_WORDS: dict[str, tuple[dict[str, str], str]] = {
    "ack": ({"event_type": "ack"}, "sent_message_id"),
    "nack": ({"event_type": "nack"}, "nack_reason"),
    **{
        status: (
            {"event_type": "delivery_report", "delivery_status": status},
            "user_message_id",
        )
        for status in sorted(TransportEvent.DELIVERY_STATUSES)
    },
}


def read_event(part: Part, given: Part | None = None) -> Expected:
    """An event that is published."""
    if part.is_scalar:
        word = part.text()
        if word not in _EVENT_WORDS:
            part.fail(f"unknown event {word!r}: known are {', '.join(_EVENT_WORDS)}")
        return Expected(part.place, dict(_EVENT_WORDS[word][0]))
    keys = part.mapping((*_EVENT_KEYS, *_EVENT_WORDS))
    words = [word for word in _EVENT_WORDS if word in keys]
    if len(words) > 1:
        part.fail(f"either {words[0]} or {words[1]}")
    fields: dict[str, Any] = {}
    for word in words:
        known, value_field = _EVENT_WORDS[word]
        fields = {**known, value_field: keys.pop(word).text()}
    rest = _expected(without(part, words), _EVENT_KEYS, _EVENT_KEYS[:5])
    return replace(rest, fields={**fields, **rest.fields})


def read_failure(part: Part, given: Part | None = None) -> Expected:
    """A failure message that is published."""
    if part.is_scalar:
        if part.text() not in _FAILURE_CODES:
            part.fail(f"{', '.join(_FAILURE_CODES)} is expected, not {part.text()!r}")
        return Expected(part.place, {"failure_code": _FAILURE_CODES[part.text()]})
    return _expected(
        part, ("failure_code", "reason", "absent", "more"), ("failure_code", "reason")
    )


def read_status(part: Part, given: Part | None = None) -> Expected:
    """A status that is published."""
    return _expected(part, _STATUS_KEYS, TransportStatus.REQUIRED_FIELDS)


# Short forms


def _spelled_out(part: Part, target_key: str) -> Part:
    """``GET: /path`` as ``{method: GET, path: /path}``."""
    keys = part.mapping()
    short = [method for method in METHODS if method in keys]
    if not short:
        return part
    if len(short) + ("method" in keys) > 1:
        keys[short[-1]].fail("which method?")
    if target_key in keys:
        keys[target_key].fail(f"'{short[0]}' says it already")
    target = keys[short[0]]
    marks = target.node.start_mark, target.node.end_mark
    pairs = [
        (ScalarNode(_TEXT_TAG, name, *marks), node)
        for name, node in (
            ("method", ScalarNode(_TEXT_TAG, short[0], *marks)),
            (target_key, target.node),
        )
        if not target.is_null or name == "method"
    ]
    rest = without(part, short)
    assert isinstance(rest.node, MappingNode)
    return replace(rest, node=_mapping_node(part, [*pairs, *rest.node.value]))


def _as_mapping(part: Part, key: str) -> Part:
    """``Hello`` as ``{content: Hello}``."""
    if not part.is_scalar:
        return part
    marks = part.node.start_mark, part.node.end_mark
    pair = (ScalarNode(_TEXT_TAG, key, *marks), part.node)
    return replace(part, node=_mapping_node(part, [pair]))


def _as_answer(part: Part) -> Part:
    """``404`` as ``{status: 404}``, another text as ``{text: …}``."""
    return _as_mapping(part, "status" if part.is_whole_number else "text")


def _with_plain_answer(part: Part) -> Part:
    """A call whose answer is a mapping, unless it is a trouble."""
    if not isinstance(part.node, MappingNode):
        return part
    pairs = []
    for key, value in part.node.value:
        held = Part(value, part.within)
        is_answer = key.value == "answer" and held.is_scalar and held.text() not in TROUBLES
        pairs.append((key, _as_answer(held).node if is_answer else value))
    return replace(part, node=_mapping_node(part, pairs))


def without(part: Part, names: Sequence[str]) -> Part:
    """A mapping without some of its keys."""
    assert isinstance(part.node, MappingNode)
    pairs = [(key, value) for key, value in part.node.value if key.value not in names]
    return replace(part, node=_mapping_node(part, pairs))


def _mapping_node(part: Part, pairs: list[tuple[Any, Any]]) -> MappingNode:
    return MappingNode(_MAP_TAG, pairs, part.node.start_mark, part.node.end_mark)
