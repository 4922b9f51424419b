"""Tables of what a dispatcher does with one message, and the test case that tries them.

A case says where a message comes in, what is in it, and everything that is published because of
it: nothing else may be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import inlineCallbacks

from vumi.dispatchers.tests.helpers import DispatcherHelper
from vumi.dispatchers.worker import BaseDispatchWorker
from vumi.errors import ConfigError, DispatcherError
from vumi.message import Message, TransportEvent, TransportUserMessage
from vumi.tests.helpers import MessageHelper, VumiTestCase

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Case", "RoutingTestCase", "event", "inbound", "outbound"]

MAKERS = MessageHelper()


@dataclass(frozen=True)
class Case:
    """What becomes of one message.

    :param title: What the case shows.
    :param comes: Connector and kind, as ``"t1.inbound"``.
    :param message: What comes.
    :param goes: Routing key -> the fields of what is published there that differ from the message.
    :param nack: The reason of the nack that goes back; ``""``: none does.
    :param dead: A part of what is said in the dead letter; ``""``: there is none.
    """

    title: str
    comes: str
    message: Message
    goes: dict[str, dict[str, Any]] = field(default_factory=dict)
    nack: str = ""
    dead: str = ""


def inbound(
    transport_name: str | None = "t1", content: str | None = "hi", **kw: Any
) -> TransportUserMessage:
    """A message from a user."""
    return MAKERS.make_inbound(content, transport_name=transport_name, **kw)


def outbound(
    transport_name: str | None = "t1", content: str | None = "hi", **kw: Any
) -> TransportUserMessage:
    """A message to a user."""
    return MAKERS.make_outbound(content, transport_name=transport_name, **kw)


def event(transport_name: str | None = "t1", **kw: Any) -> TransportEvent:
    """An ack."""
    return MAKERS.make_ack(transport_name=transport_name, **kw)


class RoutingTestCase(VumiTestCase):
    """Makes a test of each of its cases."""

    #: The dispatcher's configuration.
    CONFIG: ClassVar[dict[str, Any]] = {}
    CASES: ClassVar[Iterable[Case]] = ()
    #: What else the configuration may be, and a part of each problem that is then told.
    WRONG: ClassVar[dict[str, tuple[dict[str, Any], list[str]]]] = {}
    #: The same, for what is only warned of.
    DOUBTFUL: ClassVar[dict[str, tuple[dict[str, Any], list[str]]]] = {}

    dispatcher_class: ClassVar[type[Any]] = BaseDispatchWorker

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        for case in cls.CASES:
            _add_test(cls, case.title, "check_case", case)
        for title, (changes, problems) in cls.WRONG.items():
            _add_test(cls, f"refused {title}", "check_refused", changes, problems)
        for title, (changes, warnings) in cls.DOUBTFUL.items():
            _add_test(cls, f"warned of {title}", "check_warned", changes, warnings)

    def setUp(self) -> None:
        self.helper = self.add_helper(DispatcherHelper(self.dispatcher_class))

    def start(self, **changes: Any) -> Any:
        """Start the dispatcher with the configuration, changed."""
        return self.helper.get_dispatcher({**self.CONFIG, **changes})

    def published(self) -> dict[str, list[Message]]:
        """All that was published, by routing key."""
        keys = self.helper.worker_helper.broker.dispatched.get("vumi", {})
        return {
            key: [_read(key, content.body) for content in contents]
            for key, contents in keys.items()
            if contents
        }

    @inlineCallbacks
    def check_case(self, case: Case) -> Any:
        yield self.start()
        message = case.message
        yield self.helper.dispatch_raw(case.comes, message)
        found = self.published()
        found[case.comes].remove(message)
        if not found[case.comes]:
            del found[case.comes]
        expected = {
            key: [hopped(_changed(message, changes))] for key, changes in case.goes.items()
        }
        if case.nack:
            [nack] = found.pop(f"{case.comes.partition('.')[0]}.event")
            self.check_nack(nack, message, case.nack)
        if case.dead:
            self.assertEqual(found.pop(f"{case.comes}.dead"), [message])
            [logged] = self.flushLoggedErrors(DispatcherError)
            self.assertIn(case.dead, str(logged.value))
        self.assertEqual(found, expected)

    def check_nack(self, nack: Message, message: Message, reason: str) -> None:
        """Check that a nack is one about a message."""
        self.assertEqual(nack["event_type"], "nack")
        self.assertEqual(nack["nack_reason"], reason)
        self.assertEqual(nack["user_message_id"], message["message_id"])
        for name in ("transport_name", "transport_type", "transport_metadata"):
            self.assertEqual(nack[name], message[name])
        assert isinstance(nack, TransportEvent)
        assert isinstance(message, TransportUserMessage)
        self.assertEqual(nack.get_routing_endpoint(), message.get_routing_endpoint())

    def check_refused(self, changes: dict[str, Any], problems: list[str]) -> None:
        config = {**self.CONFIG, **changes}
        for use in (self.dispatcher_class.check_config, self._make):
            error = self.assertRaises(ConfigError, use, config)
            self._match(error.problems, problems)

    def _make(self, config: dict[str, Any]) -> Any:
        return self.dispatcher_class({}, config)

    def check_warned(self, changes: dict[str, Any], warnings: list[str]) -> None:
        config = {**self.CONFIG, **changes}
        self._match(self.dispatcher_class.check_config(config), warnings)
        self._make(config)

    def _match(self, found: Iterable[str], expected: Iterable[str]) -> None:
        found, expected = list(found), list(expected)
        self.assertEqual(len(found), len(expected), found)
        for sentence, part in zip(found, expected, strict=True):
            self.assertIn(part, sentence)

    def test_the_sample_has_nothing_doubtful(self) -> None:
        if self.CONFIG:
            self.assertEqual(self.dispatcher_class.check_config(dict(self.CONFIG)), [])


def _add_test(cls: type[Any], title: str, method: str, *args: Any) -> None:
    name = "test_" + re.sub(r"\W+", "_", title).strip("_")
    assert not hasattr(cls, name), f"two cases are called {title!r}"

    def test(self: Any) -> Any:
        return getattr(self, method)(*args)

    test.__name__ = name
    setattr(cls, name, test)


def _read(routing_key: str, body: bytes) -> Message:
    kind = routing_key.removesuffix(".dead").rpartition(".")[2]
    return (TransportEvent if kind == "event" else TransportUserMessage).from_json(body)


def hopped(message: Any, hops: int = 1) -> Any:
    """A message as it leaves a dispatcher, if nothing else is changed."""
    changed = message.copy()
    changed["routing_metadata"]["hops"] = hops
    return changed


def _changed(message: Any, changes: dict[str, Any]) -> Message:
    changed: Message = message.copy()
    for name, value in changes.items():
        if name == "endpoint":
            message_changed: Any = changed
            message_changed.set_routing_endpoint(value)
        else:
            changed[name] = value
    return changed
