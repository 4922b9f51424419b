"""Where a case is played: one transport, its broker, its web, its Redis, and a clock.

Knows how a transport is started and stopped, how to let happen what has to happen, and what must
not be left behind. Knows no tables.

How it works: everything is in this process and nothing is timed. Twisted's real reactor only turns
over; the transport's clock is a pretended one. :meth:`Stage.until` lets the reactor turn until
nothing is left to do, and only then moves the clock, to the next moment at which something is due.
So half an hour of retries takes no time, and "never" is known.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import uuid
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import eventAsText, globalLogPublisher
from twisted.web.server import Site

from vumi.config.redact import secret_texts
from vumi.tests.cases.canned import PretendWeb
from vumi.tests.cases.client import Exchange
from vumi.tests.cases.pretend import PretendReactor, no_sockets
from vumi.tests.fake_amqp import FakeAMQPBroker
from vumi.tests.worker_helper import WorkerHelper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vumi.tests.cases.client import RawRequest
    from vumi.tests.cases.pretend import Connection

__all__ = ["PATIENCE", "Stage"]

#: Seconds of the pretended clock that anything may take. More is never.
PATIENCE = 1800.0
#: What is done at one moment without an end is a fault.
_MAX_TURNS = 20_000
TRANSPORT_NAME = "line"
#: Kinds of what a transport publishes -> the end of the routing key.
KINDS = {
    "message": "inbound",
    "event": "event",
    "failure": "failures",
    "status": "status.status",
}


class Stage:
    """One transport and all that it needs.

    :param transport_class: The transport.
    :param config: Its options; those about names, statuses and Redis need not be given.
    :param label: What ids and chance are made of.
    :param now: When it begins.
    """

    def __init__(
        self,
        transport_class: type[Any],
        config: Mapping[str, Any],
        label: str,
        now: datetime = datetime(2024, 1, 17, 8, 30, tzinfo=UTC),
    ) -> None:
        self.transport_class = transport_class
        self.reactor = PretendReactor(now.timestamp())
        self.broker = FakeAMQPBroker(self.reactor)
        self.web = PretendWeb(self.reactor)
        self.exchanges: list[Exchange] = []
        self.transport: Any = None
        self.log_events: list[dict[str, Any]] = []
        self._label = label
        self._redis: Any = None
        self.config = self._full_config(config)
        self.name: str = self.config["transport_name"]
        self._helper = WorkerHelper(self.name, broker=self.broker)

    def _full_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        full = {"transport_name": TRANSPORT_NAME, "publish_status": True, **config}
        # A table that says ``redis_manager: ~`` means a transport without one.
        wants_redis = full.get("redis_manager", {}) is not None
        if wants_redis and "redis_manager" in self.transport_class.CONFIG_CLASS._fields:
            from vumi.persist.fake_redis import FakeRedis

            # Its own, so that its time passes with that of the case.
            self._redis = FakeRedis(async_=True)
            full["redis_manager"] = {
                "key_prefix": "cases",
                **(full.get("redis_manager") or {}),
                "FAKE_REDIS": self._redis,
            }
        return full

    # Life

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have time, ids, chance, sockets and the log be those of this stage."""
        numbers = iter(range(1, 1_000_000))

        def next_uuid() -> uuid.UUID:
            digest = hashlib.sha256(f"{self._label}#{next(numbers)}".encode()).digest()
            return uuid.UUID(bytes=digest[:16], version=4)

        def now() -> datetime:
            return datetime.fromtimestamp(self.reactor.seconds(), UTC).replace(tzinfo=None)

        chance = random.getstate()
        random.seed(self._label)
        note: Any = self.log_events.append
        globalLogPublisher.addObserver(note)
        try:
            with ExitStack() as stack:
                stack.enter_context(no_sockets(self.reactor))
                for path, replacement in (
                    ("vumi.message.uuid4", next_uuid),
                    ("uuid.uuid4", next_uuid),
                    ("vumi.message.utc_now", now),
                    ("vumi.payload.utc_now", now),
                    ("vumi.web.outgoing.Agent", self.web.agent),
                    ("vumi.web.client.Agent", self.web.agent),
                ):
                    stack.enter_context(mock.patch(path, replacement))
                yield
        finally:
            globalLogPublisher.removeObserver(note)
            random.setstate(chance)

    async def start(self) -> None:
        """Make the transport and start it.

        :raises ConfigError: Its options are wrong.
        """
        self.transport = await self._drive(
            self._helper.get_worker(self.transport_class, self.config), "starting"
        )

    async def stop(self) -> None:
        """Stop the transport."""
        if self.transport is not None:
            transport, self.transport = self.transport, None
            await self._drive(self._helper.cleanup_worker(transport), "stopping")

    async def _drive(self, work: Deferred[Any], what: str) -> Any:
        outcome: list[Any] = []
        _ = work.addBoth(outcome.append)
        if not await self.until(lambda: bool(outcome)):
            raise AssertionError(f"{what} the transport does not end")
        done: Deferred[Any] = Deferred()
        done.callback(outcome[0])
        return await done

    # Time

    async def until(self, is_done: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Let things happen until something is so.

        :param patience: How many seconds may pass on the pretended clock.
        :returns: Whether it is so.
        """
        deadline = self.reactor.seconds() + patience
        for _ in range(_MAX_TURNS):
            await self._settle(is_done)
            if is_done():
                return True
            due = [call.getTime() for call in self.reactor.getDelayedCalls()]
            if not due or min(due) > deadline:
                self.pass_time(deadline - self.reactor.seconds())
                await self._settle(is_done)
                return is_done()
            self.pass_time(min(due) - self.reactor.seconds())
        raise AssertionError("this has no end")

    async def quiet(self) -> None:
        """Let happen what happens by itself, without any time passing."""
        await self._settle(lambda: False)

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        if seconds > 0 and self._redis is not None:
            self._redis.clock.advance(seconds)
        self.reactor.advance(max(seconds, 0.0))

    async def _settle(self, is_done: Callable[[], bool]) -> None:
        from twisted.internet import reactor

        calm = 0
        for _ in range(_MAX_TURNS):
            await deferLater(reactor, 0, lambda: None)
            moved = [connection.flush() for connection in self._connections()]
            self.reactor.advance(0)
            if is_done():
                return
            # Twice: what the last turn has begun may show in the next one only.
            calm = calm + 1 if not any(moved) and _is_idle(reactor) else 0
            if calm == 2:
                return
        raise AssertionError("this has no end: the reactor is always busy")

    def _connections(self) -> list[Connection]:
        return [*self.web.connections, *(exchange.connection for exchange in self.exchanges)]

    # Requests

    @property
    def site(self) -> Site | None:
        """The site that the transport serves; ``None`` if it serves none."""
        own = getattr(self.transport, "web_site", None)
        if isinstance(own, Site):
            return own
        sites = [_site_of(port.factory) for port in self.reactor.ports]
        return next((site for site in sites if site is not None), None)

    def request(self, request: RawRequest) -> Exchange:
        """Make a request of the transport's site. It has a response when that was waited for."""
        site = self.site
        if site is None:
            raise AssertionError("the transport serves no web site")
        exchange = Exchange(self.reactor, site, request)
        self.exchanges.append(exchange)
        return exchange

    # Messages

    def published(self, kind: str) -> list[dict[str, Any]]:
        """What the transport has published: data, as JSON has it.

        :param kind: ``message``, ``event``, ``failure`` or ``status``.
        """
        key = f"{self.name}.{KINDS[kind]}"
        return [json.loads(content.body) for content in self.broker.get_dispatched("vumi", key)]

    def send(self, message: Any) -> None:
        """Hand the transport a message to send."""
        self.broker.publish_message("vumi", f"{self.name}.outbound", message)

    def is_answered(self, message_id: str) -> bool:
        """Whether there is an ack or nack of a message."""
        return any(
            event["user_message_id"] == message_id and event["event_type"] in ("ack", "nack")
            for event in self.published("event")
        )

    def dead_letters(self) -> list[str]:
        """What the transport could not handle at all, in words."""
        return [
            f"{key}: {content.properties['headers']}"
            for key, contents in self.broker.dispatched.get("", {}).items()
            if key.endswith(".dead")
            for content in contents
        ]

    # What must not be

    def logged_errors(self) -> list[str]:
        """The errors that were logged, in words."""
        return [
            _as_text(event)
            for event in self.log_events
            if event.get("log_failure") is not None
            or event.get("isError")
            or getattr(event.get("log_level"), "name", "") in ("error", "critical")
        ]

    def secrets(self) -> set[str]:
        """The texts that must be shown nowhere."""
        config = self.transport_class.CONFIG_CLASS(self.config, static=True)
        return secret_texts(config)

    def leaks(self) -> Iterator[str]:
        """Say where a secret is shown."""
        secrets = self.secrets()
        if not secrets:
            return
        pattern = re.compile("|".join(re.escape(secret) for secret in secrets))
        told = [("the log", _with_values(event)) for event in self.log_events]
        told += [
            (f"a {kind} that was published", json.dumps(payload, ensure_ascii=False))
            for kind in KINDS
            for payload in self.published(kind)
        ]
        for where, text in told:
            match = pattern.search(text)
            if match:
                start, end = max(match.start() - 80, 0), match.end() + 40
                yield f"a secret ({match[0]!r}) is shown in {where}: …{text[start:end]}…"

    def remains(self) -> Iterator[str]:
        """Say what a transport that was stopped has left behind."""
        for port in list(self.reactor.ports):
            yield f"it still listens on port {port.getHost().port}"
            # Sites have timers on the real reactor, about which the test framework complains too.
            _ = port.stopListening()
        for call in self.reactor.getDelayedCalls():
            wait = call.getTime() - self.reactor.seconds()
            yield f"a call in {wait:g} seconds is left: {_name_of(call)}"
        for connection in self._connections():
            if connection.is_open:
                yield f"{connection.words} is still open"


def _is_idle(reactor: Any) -> bool:
    """Whether the real reactor has nothing to do now."""
    now = reactor.seconds()
    if any(call.getTime() <= now for call in reactor.getDelayedCalls()):
        return False
    pool = getattr(reactor, "threadpool", None)
    return not reactor.threadCallQueue and (pool is None or not pool.working)


def _site_of(factory: Any) -> Site | None:
    """The site behind a factory, which may be wrapped (TLS, a limit of connections)."""
    while factory is not None:
        if isinstance(factory, Site):
            return factory
        factory = getattr(factory, "wrappedFactory", None)
    return None


def _name_of(call: Any) -> str:
    function = call.func
    owner: Any = getattr(function, "__self__", None)
    if hasattr(owner, "f"):
        # A LoopingCall.
        function = owner.f
    return str(getattr(function, "__qualname__", function))


def _as_text(event: Mapping[str, Any]) -> str:
    return eventAsText(dict(event), includeTimestamp=False, includeSystem=False)


def _with_values(event: Mapping[str, Any]) -> str:
    """An event's text, and its fields too: a log that is data shows those."""
    values = [f"{name}={value!r}" for name, value in event.items() if isinstance(value, _PLAIN)]
    return "\n".join([_as_text(event), *values])


_PLAIN = (str, bytes, dict, list, tuple)
