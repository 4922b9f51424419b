"""The message classes: fields, defaults, what is valid, replies, the way over the wire."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi import errors, message
from vumi.errors import InvalidMessage, InvalidMessageField, MissingMessageField, VumiError
from vumi.message import (
    Message,
    TransportEvent,
    TransportMessage,
    TransportStatus,
    TransportUserMessage,
)
from vumi.tests.test_payload import any_text, json_values
from vumi.tests.utils import UTCNearNow

HEX_ID = re.compile(r"[0-9a-f]{32}")

ALL_CLASSES: list[type[Message]] = [
    Message,
    TransportMessage,
    TransportUserMessage,
    TransportEvent,
    TransportStatus,
]

# What a worker of the old Vumi sends, by class; the timestamps as they are after reading.
USER_MESSAGE_JSON = """
{"message_version": "20110921", "message_type": "user_message",
 "timestamp": "2024-05-06 07:08:09.123456",
 "message_id": "0f3b5c0d7f2e4c0e9b6f1f0a1c2d3e4f", "in_reply_to": null,
 "to_addr": "*120*8864#", "from_addr": "+27820000001",
 "to_addr_type": null, "from_addr_type": "msisdn",
 "content": "Ja, asseblief", "session_event": "resume", "group": null, "provider": "acmetel",
 "transport_name": "ussd_gateway_1", "transport_type": "ussd",
 "transport_metadata": {"session_ref": "S-77"},
 "helper_metadata": {"session": {"session_start": 1714979280.5}},
 "routing_metadata": {"endpoint_name": "default"}}
"""
DELIVERY_REPORT_JSON = """
{"message_version": "20110921", "message_type": "event", "timestamp": "2024-05-06 07:08:10.000001",
 "event_id": "77aa0b1c2d3e4f5061728394a5b6c7d8", "event_type": "delivery_report",
 "delivery_status": "delivered",
 "user_message_id": "0f3b5c0d7f2e4c0e9b6f1f0a1c2d3e4f",
 "transport_name": "sms_out", "transport_metadata": {}, "helper_metadata": {},
 "routing_metadata": {}}
"""
ACK_JSON = """
{"message_version": "20110921", "message_type": "event", "timestamp": "2024-05-06 07:08:10.000002",
 "event_id": "5d1c9e7fa0b14c2d8e3f60718293a4b5", "event_type": "ack",
 "user_message_id": "0f3b5c0d7f2e4c0e9b6f1f0a1c2d3e4f", "sent_message_id": "gw-9931",
 "transport_name": "sms_out", "transport_metadata": {}, "helper_metadata": {},
 "routing_metadata": {}}
"""
NACK_JSON = """
{"message_version": "20110921", "message_type": "event", "timestamp": "2024-05-06 07:08:10.000003",
 "event_id": "e0c4d5f60718293a4b5c6d7e8f901a2b", "event_type": "nack",
 "user_message_id": "0f3b5c0d7f2e4c0e9b6f1f0a1c2d3e4f", "nack_reason": "number barred",
 "transport_name": "sms_out", "transport_metadata": {}, "helper_metadata": {},
 "routing_metadata": {"endpoint_name": "default"}}
"""
STATUS_JSON = """
{"message_version": "20110921", "message_type": "status_event",
 "timestamp": "2024-05-06 07:08:11.500000",
 "component": "request", "status": "degraded", "type": "slow_reply", "message": "reply took 4.2s",
 "reasons": [], "details": {"response_time": 4.2}, "helper_metadata": {}, "routing_metadata": {}}
"""
HEARTBEAT_JSON = """
{"version": "20130319", "system_id": "prod", "worker_name": "sms_app", "worker_id": "prod:sms_app",
 "hostname": "node3", "pid": 4711, "timestamp": 1714979300.12}
"""
METRICS_JSON = """
{"datapoints": [["campaign7.sent", ["sum"], [[1714979291, 1.0], [1714979292, 1.0]]],
                ["campaign7.latency", ["avg", "max"], [[1714979293, 0.25]]]]}
"""

WIRE_EXAMPLES: list[tuple[type[Message], str]] = [
    (TransportUserMessage, USER_MESSAGE_JSON),
    (TransportMessage, USER_MESSAGE_JSON),
    (Message, USER_MESSAGE_JSON),
    (TransportEvent, DELIVERY_REPORT_JSON),
    (TransportEvent, ACK_JSON),
    (TransportEvent, NACK_JSON),
    (TransportMessage, NACK_JSON),
    (TransportStatus, STATUS_JSON),
    (Message, HEARTBEAT_JSON),
    (Message, METRICS_JSON),
]


def user_message(**fields: Any) -> TransportUserMessage:
    """A user message whose needed fields are there."""
    defaults: dict[str, Any] = {
        "to_addr": "9292",
        "from_addr": "+41791234567",
        "transport_name": "sphex",
        "transport_type": "sms",
    }
    return TransportUserMessage(**{**defaults, **fields})


def event(event_type: str = "ack", **fields: Any) -> TransportEvent:
    """An event whose needed fields are there."""
    needed: dict[str, Any] = {
        "ack": {"sent_message_id": "sent-1"},
        "nack": {"nack_reason": "sunspots"},
        "delivery_report": {"delivery_status": "delivered"},
    }.get(event_type, {})
    return TransportEvent(
        **{"event_type": event_type, "user_message_id": "msg-1", **needed, **fields}
    )


def status(**fields: Any) -> TransportStatus:
    """A status whose needed fields are there."""
    defaults = {"component": "smpp", "status": "ok", "type": "bound", "message": "Bound."}
    return TransportStatus(**{**defaults, **fields})


SAMPLES: list[Message] = [
    Message(a=1),
    TransportMessage(message_type="foo"),
    user_message(content="Grüezi"),
    event(),
    status(),
]


# Over the wire


@pytest.mark.parametrize(("cls", "text"), WIRE_EXAMPLES)
def test_what_an_old_worker_sends_is_read_and_sent_on_unchanged(
    cls: type[Message], text: str
) -> None:
    original = json.loads(text)
    for data in (text, text.encode("utf-8")):
        read = cls.from_json(data)
        assert type(read) is cls
        assert json.loads(read.to_json()) == json.loads(read.to_bytes()) == original


@pytest.mark.parametrize(("cls", "text"), WIRE_EXAMPLES[:8])
def test_a_timestamp_is_a_naive_datetime_after_reading(cls: type[Message], text: str) -> None:
    timestamp = cls.from_json(text)["timestamp"]
    assert isinstance(timestamp, datetime)
    assert timestamp.tzinfo is None


def test_a_timestamp_that_is_a_number_stays_one_in_a_bare_message() -> None:
    assert Message.from_json(HEARTBEAT_JSON)["timestamp"] == 1714979300.12


def test_a_bare_message_keeps_a_timestamp_that_is_no_date() -> None:
    assert Message.from_json('{"timestamp": "soon"}')["timestamp"] == "soon"


def test_a_timestamp_without_microseconds_is_read_and_sent_with_them() -> None:
    text = USER_MESSAGE_JSON.replace("07:08:09.123456", "07:08:09")
    read = TransportUserMessage.from_json(text)
    assert read["timestamp"] == datetime(2024, 5, 6, 7, 8, 9)
    assert json.loads(read.to_json())["timestamp"] == "2024-05-06 07:08:09.000000"


@pytest.mark.parametrize(
    "name", ["content", "to_addr", "from_addr", "message_id", "group", "provider", "extra"]
)
def test_a_text_that_looks_like_a_date_stays_a_text(name: str) -> None:
    text = "2015-01-02 23:14:11.000001"
    read = TransportUserMessage.from_json(user_message(**{name: text}).to_json())
    assert read[name] == text


@pytest.mark.parametrize("name", ["transport_metadata", "helper_metadata", "routing_metadata"])
def test_a_text_in_metadata_that_looks_like_a_date_stays_a_text(name: str) -> None:
    text = "2015-01-02 23:14:11"
    read = TransportUserMessage.from_json(user_message(**{name: {"deep": {"a": text}}}).to_json())
    assert read[name] == {"deep": {"a": text}}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_unknown_fields_survive_reading_changing_and_sending(sample: Message) -> None:
    extra = {"retry_metadata": {"retries": 1}, "self": 1, "_process_fields": 2, "cls": 3, "ü": "é"}
    text = json.dumps({**json.loads(sample.to_json()), **extra})
    read = type(sample).from_json(text)
    read["new"] = [1]
    sent = json.loads(read.to_json())
    assert {name: sent[name] for name in extra} == extra
    assert sent["new"] == [1]


def test_a_message_may_have_a_field_named_self() -> None:
    assert Message(self=1).payload == {"self": 1}
    assert user_message(self=1)["self"] == 1


@given(
    st.dictionaries(any_text, json_values, max_size=4),
    st.none() | any_text,
    st.sampled_from([None, "new", "resume", "close"]),
)
def test_a_user_message_survives_the_journey(
    extra: dict[str, Any], content: str | None, session_event: str | None
) -> None:
    sent = user_message(content=content, session_event=session_event)
    for name, value in extra.items():
        sent.payload.setdefault(name, value)
    sent.payload.pop("__cache__", None)
    assert TransportUserMessage.from_json(sent.to_json()) == sent
    assert TransportUserMessage.from_json(sent.to_bytes()) == sent


@pytest.mark.parametrize("value", ["\ud800", 2**70, "2" * 30], ids=repr)
def test_odd_values_survive_the_journey(value: Any) -> None:
    sent = user_message(content="x", helper_metadata={"odd": value}, odd=[value])
    read = TransportUserMessage.from_json(sent.to_bytes())
    assert repr(read["helper_metadata"]["odd"]) == repr(read["odd"][0]) == repr(value)


@pytest.mark.parametrize("cls", ALL_CLASSES)
@given(data=st.binary() | any_text)
def test_arbitrary_input_is_a_message_or_invalid(cls: type[Message], data: bytes | str) -> None:
    with suppress(InvalidMessage):
        assert type(cls.from_json(data)) is cls


FIELD_NAMES = st.sampled_from(
    sorted({name for _, text in WIRE_EXAMPLES for name in json.loads(text)})
)


@pytest.mark.parametrize("cls", ALL_CLASSES)
@given(
    changes=st.dictionaries(FIELD_NAMES, json_values, max_size=3),
    removed=st.sets(FIELD_NAMES, max_size=2),
    example=st.sampled_from([json.loads(text) for _, text in WIRE_EXAMPLES]),
)
def test_a_message_with_arbitrary_fields_is_a_message_or_invalid(
    cls: type[Message], changes: dict[str, Any], removed: set[str], example: dict[str, Any]
) -> None:
    fields = {k: v for k, v in {**example, **changes}.items() if k not in removed}
    try:
        read = cls.from_json(json.dumps(fields))
    except InvalidMessage as error:
        assert len(str(error)) < 500
    else:
        assert cls.from_json(read.to_json()) == read


@pytest.mark.parametrize("cls", ALL_CLASSES)
@given(value=json_values)
def test_an_arbitrary_json_value_is_a_message_or_invalid(cls: type[Message], value: Any) -> None:
    with suppress(InvalidMessage):
        cls.from_json(json.dumps(value))


@pytest.mark.parametrize("name", ["session_event", "helper_metadata", "timestamp", "event_type"])
def test_a_deeply_nested_field_is_refused_in_few_words(name: str) -> None:
    fields = json.loads(USER_MESSAGE_JSON if name != "event_type" else ACK_JSON)
    fields[name] = "DEEP"
    text = json.dumps(fields).replace('"DEEP"', "[" * 900 + "]" * 900)
    cls = TransportEvent if name == "event_type" else TransportUserMessage
    with pytest.raises(InvalidMessageField) as caught:
        cls.from_json(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("cls", ALL_CLASSES)
@pytest.mark.parametrize("data", ["", "{", "[]", "null", b"\xff\xfe", "12", '"{}"'])
def test_what_is_no_json_object_is_an_invalid_message(
    cls: type[Message], data: bytes | str
) -> None:
    with pytest.raises(InvalidMessage):
        cls.from_json(data)


# Message


def test_a_message_is_a_small_dict() -> None:
    msg = Message(a=1, b=None)
    assert msg.payload == {"a": 1, "b": None}
    assert msg["a"] == 1
    assert msg.get("a") == 1
    assert msg.get("x") is None
    assert msg.get("x", 2) == 2
    assert "a" in msg
    assert "x" not in msg
    msg["x"] = 3
    assert dict(msg.items()) == {"a": 1, "b": None, "x": 3}
    with pytest.raises(KeyError):
        msg["y"]


def test_fields_are_checked_for_being_there() -> None:
    msg = Message(a=1, b=None)
    msg.assert_field_present("a", "b")
    with pytest.raises(MissingMessageField) as caught:
        msg.assert_field_present("a", "x", "y")
    assert caught.value.args == ("x",)


def test_fields_are_checked_for_their_value() -> None:
    msg = Message(a=1, b=None)
    msg.assert_field_value("a", 0, 1)
    msg.assert_field_value("b", None)
    with pytest.raises(InvalidMessageField) as caught:
        msg.assert_field_value("a", 2, None)
    assert caught.value.args == ("a",)
    with pytest.raises(MissingMessageField):
        msg.assert_field_value("x", 1)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_every_message_shows_its_payload(sample: Message) -> None:
    expected = f'<Message payload="{sample.payload!r}">'
    assert str(sample) == repr(sample) == expected


def test_messages_are_equal_by_payload_whatever_their_class() -> None:
    msg = user_message(content="x")
    assert msg == Message(_process_fields=False, **msg.payload)
    assert msg != user_message(content="x")  # another id
    assert msg != msg.payload
    assert len({msg, msg.copy()}) == 2


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_copy_is_equal_of_the_same_class_and_independent(sample: Message) -> None:
    sample = type(sample).from_json(sample.to_json())
    sample["nested"] = {"a": [1]}
    duplicate = sample.copy()
    assert duplicate == sample
    assert type(duplicate) is type(sample)
    duplicate["nested"]["a"].append(2)
    assert sample["nested"] == {"a": [1]}


def test_the_cache_is_kept_in_the_process_and_never_sent() -> None:
    msg = user_message(content="x")
    assert "__cache__" not in msg
    msg.cache["route"] = object()
    assert msg.cache is msg.payload["__cache__"]
    assert "__cache__" not in json.loads(msg.to_json())
    assert "__cache__" not in json.loads(msg.to_bytes())
    assert "route" in msg.cache


def test_a_copy_has_the_cache_too() -> None:
    msg = user_message(content="x")
    msg.cache["route"] = ["a"]
    assert msg.copy().cache == {"route": ["a"]}


def test_a_cache_that_an_old_worker_sent_is_read_and_not_sent_on() -> None:
    text = json.dumps({**json.loads(USER_MESSAGE_JSON), "__cache__": {"a": 1}})
    read = TransportUserMessage.from_json(text)
    assert read.cache == {"a": 1}
    assert "__cache__" not in json.loads(read.to_json())


class Greeting(Message):
    """A message as a program may define it."""

    def process_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in a default."""
        return {"greeting": "hello", **fields}

    def validate_fields(self) -> None:
        """Need a name."""
        self.assert_field_present("greeting", "name")


def test_hooks_fill_defaults_when_made_and_only_validate_when_read() -> None:
    assert Greeting(name="Jo").payload == {"greeting": "hello", "name": "Jo"}
    with pytest.raises(MissingMessageField):
        Greeting()
    with pytest.raises(MissingMessageField):
        Greeting(_process_fields=False, name="Jo")
    with pytest.raises(MissingMessageField):
        Greeting.from_json('{"name": "Jo"}')
    assert Greeting.from_json('{"greeting": "hi", "name": "Jo"}')["greeting"] == "hi"


# TransportMessage


def test_a_transport_message_has_defaults() -> None:
    msg = TransportMessage(message_type="foo")
    assert msg.payload == {
        "message_version": "20110921",
        "message_type": "foo",
        "timestamp": UTCNearNow(),
        "routing_metadata": {},
        "helper_metadata": {},
    }


def test_a_transport_message_needs_a_type() -> None:
    with pytest.raises(InvalidMessageField, match="message_type"):
        TransportMessage()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("message_version", ..., MissingMessageField),
        ("message_version", None, InvalidMessageField),
        ("message_version", "20110922", InvalidMessageField),
        ("message_version", 20110921, InvalidMessageField),
        ("message_type", ..., MissingMessageField),
        ("message_type", None, InvalidMessageField),
        ("timestamp", ..., MissingMessageField),
        ("timestamp", "soon", InvalidMessageField),
        ("timestamp", None, InvalidMessageField),
        ("timestamp", 1714979300.12, InvalidMessageField),
        ("helper_metadata", "text", InvalidMessageField),
        ("helper_metadata", [], InvalidMessageField),
        ("routing_metadata", 1, InvalidMessageField),
    ],
)
@pytest.mark.parametrize(("cls", "text"), [WIRE_EXAMPLES[i] for i in (0, 3, 7)])
def test_every_transport_message_read_is_checked(
    cls: type[Message], text: str, name: str, value: Any, error: type[InvalidMessage]
) -> None:
    fields = json.loads(text)
    if value is ...:
        del fields[name]
    else:
        fields[name] = value
    with pytest.raises(error, match=name):
        cls.from_json(json.dumps(fields))


@pytest.mark.parametrize("name", ["helper_metadata", "routing_metadata"])
@pytest.mark.parametrize("value", [..., None])
def test_metadata_that_are_not_there_are_empty(name: str, value: Any) -> None:
    fields = json.loads(USER_MESSAGE_JSON)
    del fields[name]
    if value is not ...:
        fields[name] = value
    assert TransportUserMessage.from_json(json.dumps(fields))[name] == {}


def test_defaults_are_not_shared_between_messages() -> None:
    first, second = user_message(), user_message()
    for name in ("helper_metadata", "routing_metadata", "transport_metadata"):
        first[name]["a"] = 1
        assert second[name] == {}
    one, other = status(), status()
    one["reasons"].append("a")
    one["details"]["a"] = 1
    assert (other["reasons"], other["details"]) == ([], {})


def test_the_routing_endpoint_is_kept_in_routing_metadata() -> None:
    msg = user_message()
    assert msg.get_routing_endpoint() == "default"
    assert msg.routing_metadata == {}
    msg.set_routing_endpoint("foo")
    assert msg.get_routing_endpoint() == "foo"
    assert msg["routing_metadata"] == {"endpoint_name": "foo"}
    msg.set_routing_endpoint(None)
    assert msg["routing_metadata"] == {"endpoint_name": "default"}
    msg.routing_metadata["endpoint_name"] = None
    assert msg.get_routing_endpoint() == "default"
    del msg.payload["routing_metadata"]
    assert msg.get_routing_endpoint() == "default"
    assert msg["routing_metadata"] == {}


def test_the_default_endpoint_has_a_name() -> None:
    assert TransportMessage.DEFAULT_ENDPOINT_NAME == "default"
    assert TransportMessage.check_routing_endpoint(None) == "default"
    assert TransportMessage.check_routing_endpoint("") == ""
    assert TransportMessage.check_routing_endpoint("foo") == "foo"


def test_generated_ids_are_32_hex_digits_and_differ() -> None:
    ids = {TransportMessage.generate_id() for _ in range(10)}
    assert len(ids) == 10
    assert all(HEX_ID.fullmatch(message_id) for message_id in ids)


def test_any_type_of_message_can_be_read_as_a_transport_message() -> None:
    assert TransportMessage.from_json(ACK_JSON)["event_type"] == "ack"


# TransportUserMessage


def test_a_user_message_has_defaults() -> None:
    msg = user_message()
    assert HEX_ID.fullmatch(msg["message_id"])
    assert msg.payload == {
        "message_version": "20110921",
        "message_type": "user_message",
        "timestamp": UTCNearNow(),
        "routing_metadata": {},
        "helper_metadata": {},
        "message_id": msg["message_id"],
        "to_addr": "9292",
        "from_addr": "+41791234567",
        "in_reply_to": None,
        "session_event": None,
        "content": None,
        "transport_name": "sphex",
        "transport_type": "sms",
        "transport_metadata": {},
        "group": None,
        "provider": None,
        "to_addr_type": None,
        "from_addr_type": None,
    }


USER_MESSAGE_FIELDS = [
    "message_id",
    "to_addr",
    "from_addr",
    "in_reply_to",
    "session_event",
    "content",
    "transport_name",
    "transport_type",
    "transport_metadata",
]


@pytest.mark.parametrize("name", USER_MESSAGE_FIELDS)
def test_a_user_message_read_needs_its_fields_and_gets_no_default(name: str) -> None:
    fields = json.loads(USER_MESSAGE_JSON)
    del fields[name]
    with pytest.raises(MissingMessageField) as caught:
        TransportUserMessage.from_json(json.dumps(fields))
    assert caught.value.args == (name,)


@pytest.mark.parametrize("name", ["group", "provider"])
def test_a_user_message_read_without_optional_fields_has_them_as_none(name: str) -> None:
    fields = json.loads(USER_MESSAGE_JSON)
    del fields[name]
    assert TransportUserMessage.from_json(json.dumps(fields))[name] is None


@pytest.mark.parametrize("name", ["to_addr_type", "from_addr_type"])
def test_a_user_message_read_without_address_types_stays_without(name: str) -> None:
    fields = json.loads(USER_MESSAGE_JSON)
    del fields[name]
    assert name not in TransportUserMessage.from_json(json.dumps(fields))


@pytest.mark.parametrize("name", ["to_addr", "from_addr", "transport_name", "transport_type"])
def test_a_user_message_is_not_made_without_addresses_and_transport(name: str) -> None:
    fields: dict[str, Any] = {
        "to_addr": None,
        "from_addr": None,
        "transport_name": None,
        "transport_type": None,
    }
    TransportUserMessage(**fields)  # None is as good as any
    del fields[name]
    with pytest.raises(MissingMessageField) as caught:
        TransportUserMessage(**fields)
    assert caught.value.args == (name,)


@pytest.mark.parametrize("session_event", [None, "new", "resume", "close"])
def test_session_events(session_event: str | None) -> None:
    assert user_message(session_event=session_event)["session_event"] == session_event
    assert session_event in TransportUserMessage.SESSION_EVENTS


@pytest.mark.parametrize("session_event", ["", "foo", "NEW", 0, False, [], {}, ["new"]])
def test_other_session_events_are_invalid(session_event: Any) -> None:
    with pytest.raises(InvalidMessageField, match="Invalid session_event"):
        user_message(session_event=session_event)


def test_transport_and_address_types_are_not_checked() -> None:
    msg = user_message(transport_type="pigeon", to_addr_type="ring", from_addr_type="loft")
    assert msg["transport_type"] == "pigeon"


def test_the_user_is_who_sent_the_message() -> None:
    assert user_message().user() == "+41791234567"


@pytest.mark.parametrize(
    ("prefix", "names", "collection"),
    [
        (
            "TT_",
            "http_api irc telnet twitter sms ussd xmpp mxit wechat",
            TransportUserMessage.TRANSPORT_TYPES,
        ),
        (
            "AT_",
            "irc_nickname twitter_handle msisdn gtalk_id jabber_id mxit_id wechat_id",
            TransportUserMessage.ADDRESS_TYPES,
        ),
    ],
)
def test_constants_for_types(prefix: str, names: str, collection: frozenset[str]) -> None:
    assert set(collection) == set(names.split())
    for name in names.split():
        assert getattr(TransportUserMessage, prefix + name.upper()) == name


# Replies

ORIGINAL: dict[str, Any] = {
    "content": "hi",
    "session_event": "new",
    "group": "#room",
    "provider": "acmetel",
    "transport_metadata": {"session_ref": {"id": 1}},
    "helper_metadata": {"tag": {"tag": ["pool", "one"]}},
    "from_addr_type": "msisdn",
    "to_addr_type": "irc_nickname",
}


def test_a_reply_goes_back_to_where_the_message_came_from() -> None:
    msg = user_message(**ORIGINAL)
    reply = msg.reply("hello")
    assert type(reply) is TransportUserMessage
    assert reply["message_id"] != msg["message_id"]
    assert reply.payload == {
        "message_version": "20110921",
        "message_type": "user_message",
        "timestamp": UTCNearNow(),
        "message_id": reply["message_id"],
        "content": "hello",
        "session_event": None,
        "to_addr": "+41791234567",
        "from_addr": "9292",
        "to_addr_type": "msisdn",
        "from_addr_type": "irc_nickname",
        "group": "#room",
        "in_reply_to": msg["message_id"],
        "provider": "acmetel",
        "transport_name": "sphex",
        "transport_type": "sms",
        "transport_metadata": {"session_ref": {"id": 1}},
        "helper_metadata": {"tag": {"tag": ["pool", "one"]}},
        "routing_metadata": {"endpoint_name": "default"},
    }


def test_a_reply_can_close_the_session() -> None:
    assert user_message().reply("bye", continue_session=False)["session_event"] == "close"
    assert user_message().reply("bye", False)["session_event"] == "close"


@pytest.mark.parametrize("continue_session", [True, False])
@pytest.mark.parametrize("session_event", [None, "new", "resume", "close"])
def test_a_session_event_wins_over_continue_session(
    continue_session: bool, session_event: str | None
) -> None:
    reply = user_message().reply("x", continue_session, session_event=session_event)
    assert reply["session_event"] == session_event


@pytest.mark.parametrize(
    "name",
    ["to_addr", "from_addr", "group", "in_reply_to", "transport_type", "transport_metadata"],
)
def test_what_a_reply_takes_from_its_original_may_not_be_overridden(name: str) -> None:
    msg = user_message()
    for value in ("other", msg.get(name)):
        override: dict[str, Any] = {name: value}
        with pytest.raises(TypeError, match=f"'{name}' may not be overridden."):
            msg.reply("x", **override)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("provider", "other"),
        ("transport_name", "other"),
        ("helper_metadata", {"a": 1}),
        ("message_id", "my-id"),
        ("timestamp", datetime(2024, 5, 6)),
        ("to_addr_type", "gtalk_id"),
        ("from_addr_type", "gtalk_id"),
        ("extra", [1]),
    ],
)
def test_other_fields_of_a_reply_may_be_given(name: str, value: Any) -> None:
    assert user_message(**ORIGINAL).reply("x", **{name: value})[name] == value


@pytest.mark.parametrize("name", ["transport_metadata", "helper_metadata"])
def test_changing_a_replys_metadata_leaves_the_original_alone(name: str) -> None:
    msg = user_message(**ORIGINAL)
    reply = msg.reply("x")
    assert reply[name] == msg[name]
    next(iter(reply[name].values()))["changed"] = True
    reply[name]["added"] = True
    assert msg[name] == ORIGINAL[name]


def test_a_reply_is_bound_for_its_originals_endpoint() -> None:
    msg = user_message()
    msg.set_routing_endpoint("foo")
    reply = msg.reply("x", routing_metadata={"endpoint_name": "bar", "go_hops": [1]})
    assert reply["routing_metadata"] == {"endpoint_name": "foo", "go_hops": [1]}


def test_a_reply_to_a_message_read_from_the_wire_can_be_sent() -> None:
    fields = json.loads(USER_MESSAGE_JSON)
    for name in ("group", "provider", "to_addr_type", "from_addr_type", "routing_metadata"):
        del fields[name]
    reply = TransportUserMessage.from_json(json.dumps(fields)).reply("x")
    sent = json.loads(reply.to_json())
    assert sent["to_addr"] == "+27820000001"
    assert sent["in_reply_to"] == fields["message_id"]
    assert sent["to_addr_type"] is None
    assert sent["routing_metadata"] == {"endpoint_name": "default"}


def test_a_reply_does_not_carry_the_cache_over() -> None:
    msg = user_message()
    msg.cache["a"] = 1
    assert "__cache__" not in msg.reply("x")


def test_a_reply_keeps_a_subclass() -> None:
    class Sub(TransportUserMessage):
        """A program's own."""

    msg = Sub(to_addr="a", from_addr="b", transport_name="c", transport_type="d")
    assert type(msg.reply("x")) is Sub


def test_a_group_reply_is_for_the_group_not_the_sender() -> None:
    reply = user_message(**ORIGINAL).reply_group("x", continue_session=False)
    assert reply["to_addr"] is None
    assert reply["group"] == "#room"
    assert reply["session_event"] == "close"


def test_a_group_reply_without_a_group_is_a_reply() -> None:
    reply = user_message().reply_group("x")
    assert reply["to_addr"] == "+41791234567"
    assert reply["group"] is None


def test_a_reply_to_an_undirected_message_comes_from_nowhere() -> None:
    assert user_message(group="#room", to_addr=None).reply("x")["from_addr"] is None


def test_send_starts_a_conversation() -> None:
    msg = TransportUserMessage.send("+41", "hello")
    assert HEX_ID.fullmatch(msg["message_id"])
    expected: dict[str, Any] = {
        "to_addr": "+41",
        "content": "hello",
        "from_addr": None,
        "transport_name": None,
        "transport_type": None,
        "session_event": None,
        "in_reply_to": None,
        "routing_metadata": {},
    }
    assert {name: msg[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from_addr", "9292"),
        ("transport_name", "sphex"),
        ("transport_type", "ussd"),
        ("session_event", "new"),
        ("provider", "acmetel"),
        ("helper_metadata", {"a": 1}),
        ("extra", 1),
    ],
)
def test_send_takes_further_fields(name: str, value: Any) -> None:
    assert TransportUserMessage.send("+41", "hello", **{name: value})[name] == value


def test_send_is_no_reply() -> None:
    assert TransportUserMessage.send("+41", "x", in_reply_to=None)["in_reply_to"] is None
    with pytest.raises(TypeError, match="in_reply_to"):
        TransportUserMessage.send("+41", "x", in_reply_to="id")


# TransportEvent


@pytest.mark.parametrize(
    ("event_type", "needed"),
    [
        ("ack", {"sent_message_id": "sent-1"}),
        ("nack", {"nack_reason": "sunspots"}),
        ("delivery_report", {"delivery_status": "delivered"}),
    ],
)
def test_an_event_has_defaults(event_type: str, needed: dict[str, Any]) -> None:
    made = event(event_type)
    assert HEX_ID.fullmatch(made["event_id"])
    assert made.payload == {
        "message_version": "20110921",
        "message_type": "event",
        "timestamp": UTCNearNow(),
        "routing_metadata": {},
        "helper_metadata": {},
        "event_id": made["event_id"],
        "event_type": event_type,
        "user_message_id": "msg-1",
        **needed,
    }


@pytest.mark.parametrize("name", ["user_message_id", "event_id", "event_type"])
@pytest.mark.parametrize("text", [ACK_JSON, NACK_JSON, DELIVERY_REPORT_JSON])
def test_an_event_read_needs_its_fields(text: str, name: str) -> None:
    fields = json.loads(text)
    del fields[name]
    with pytest.raises(MissingMessageField) as caught:
        TransportEvent.from_json(json.dumps(fields))
    assert caught.value.args == (name,)


@pytest.mark.parametrize("event_type", ["foo", "", None, "ACK", 1, [], {}, ["ack"]])
def test_other_event_types_are_invalid(event_type: Any) -> None:
    with pytest.raises(InvalidMessageField, match="Unknown event_type"):
        TransportEvent(event_type=event_type, user_message_id="x")


@pytest.mark.parametrize(
    ("event_type", "name", "bad_values"),
    [
        ("ack", "sent_message_id", [None]),
        ("nack", "nack_reason", [None]),
        ("delivery_report", "delivery_status", [None, "foo", "", [], {}, ["failed"]]),
    ],
)
def test_each_event_type_needs_its_field(
    event_type: str, name: str, bad_values: list[Any]
) -> None:
    fields = dict(event(event_type).items())
    for value in bad_values:
        with pytest.raises(InvalidMessageField, match=name):
            TransportEvent(**{**fields, name: value})
    del fields[name]
    with pytest.raises(MissingMessageField) as caught:
        TransportEvent(**fields)
    assert caught.value.args == (name,)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (event("ack"), "ack"),
        (event("nack"), "nack"),
        (event("delivery_report"), "delivery_report.delivered"),
        (event("delivery_report", delivery_status="pending"), "delivery_report.pending"),
        (event("delivery_report", delivery_status="failed"), "delivery_report.failed"),
    ],
)
def test_an_events_status(made: TransportEvent, expected: str) -> None:
    assert made.status() == expected


def test_the_kinds_of_events_are_listed() -> None:
    assert frozenset(["pending", "failed", "delivered"]) == TransportEvent.DELIVERY_STATUSES
    assert {name: set(fields) for name, fields in TransportEvent.EVENT_TYPES.items()} == {
        "ack": {"sent_message_id"},
        "nack": {"nack_reason"},
        "delivery_report": {"delivery_status"},
    }
    is_valid = TransportEvent.EVENT_TYPES["delivery_report"]["delivery_status"]
    assert all(map(is_valid, TransportEvent.DELIVERY_STATUSES))


# TransportStatus


def test_a_status_has_defaults() -> None:
    assert status().payload == {
        "message_version": "20110921",
        "message_type": "status_event",
        "timestamp": UTCNearNow(),
        "routing_metadata": {},
        "helper_metadata": {},
        "component": "smpp",
        "status": "ok",
        "type": "bound",
        "message": "Bound.",
        "reasons": [],
        "details": {},
    }


@pytest.mark.parametrize("name", ["component", "status", "type", "message"])
def test_a_status_needs_its_fields(name: str) -> None:
    fields = dict(status().items())
    del fields[name]
    with pytest.raises(MissingMessageField) as caught:
        TransportStatus(**fields)
    assert caught.value.args == (name,)
    fields["timestamp"] = "2024-05-06 07:08:10.000002"
    with pytest.raises(MissingMessageField):
        TransportStatus.from_json(json.dumps(fields))


def test_a_status_read_needs_no_reasons_and_details() -> None:
    fields = json.loads(STATUS_JSON)
    del fields["reasons"], fields["details"]
    assert "reasons" not in TransportStatus.from_json(json.dumps(fields))


@pytest.mark.parametrize("value", ["ok", "degraded", "down"])
def test_statuses(value: str) -> None:
    assert status(status=value)["status"] == value
    assert value in TransportStatus.STATUSES


@pytest.mark.parametrize("value", ["", "good", None, 1, [], {}, ["ok"]])
def test_other_statuses_are_invalid(value: Any) -> None:
    with pytest.raises(InvalidMessageField, match="Invalid status"):
        status(status=value)


# Names


@pytest.mark.parametrize("name", ["InvalidMessage", "InvalidMessageField", "MissingMessageField"])
def test_the_errors_are_those_of_vumi_errors(name: str) -> None:
    assert getattr(message, name) is getattr(errors, name)
    assert issubclass(getattr(message, name), VumiError)


def test_everything_that_is_exported_is_there() -> None:
    assert all(hasattr(message, name) for name in message.__all__)
