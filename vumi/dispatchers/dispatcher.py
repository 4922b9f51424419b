"""Dispatchers that go by where a message came in: its connector and its endpoint.

Knows connectors, endpoints and what becomes of a message that has no route. Looks into no message.

Theory of operation. A message comes in by a connector. :meth:`Dispatcher.process_inbound` and its
likes publish it by others. What they raise passes ``errback_inbound()`` and its likes, where
subclasses may deal with it. What is left then decides: :class:`~vumi.errors.DispatcherError` of an
outbound message means that it has no route, so it is nacked; everything else makes the message a
dead letter.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.config import ConfigError
from vumi.connectors import IgnoreMessage
from vumi.dispatchers.fields import ConfigNames
from vumi.dispatchers.hops import count_hop
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, RoutePlan
from vumi.errors import DispatcherError
from vumi.tasks import as_deferred, deferred, hook_result, settle, to_wait_for
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from twisted.internet.defer import Deferred

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["Dispatcher", "DispatcherConfig"]


class DispatcherConfig(BaseConfig):
    """Options of every dispatcher that goes by endpoints."""

    receive_inbound_connectors = ConfigNames(
        "The connectors towards transports: of each, <name>.inbound and <name>.event are "
        "consumed, and <name>.outbound is published to. Lower case.",
        required=True,
        static=True,
    )
    receive_outbound_connectors = ConfigNames(
        "The connectors towards applications: of each, <name>.outbound is consumed, and "
        "<name>.inbound and <name>.event are published to. Lower case.",
        required=True,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        outbound = self.receive_outbound_connectors or ()
        problems = [
            f"Fields 'receive_inbound_connectors' and 'receive_outbound_connectors' both have "
            f"{name!r}: a connector has one side."
            for name in self.receive_inbound_connectors or ()
            if name in outbound
        ]
        if problems:
            raise ConfigError(problems=problems)


class Dispatcher(BaseWorker):
    """Routes messages by what subclasses say; override the three ``process_`` methods.

    They, and all hooks, may be plain methods, ones under ``inlineCallbacks``, or ``async def``.

    :param options: The command line's options.
    :param config: The configuration.
    :raises ConfigError: There are problems with it; all of them are told at once.

    :ivar unrouted: How many messages had no route, by kind: inbound, outbound, event.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = DispatcherConfig

    _routing_log = Logger()

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        self.unrouted = {INBOUND: 0, OUTBOUND: 0, EVENT: 0}
        #: The options for every message, unless a subclass looks them up by message.
        self._fixed_config: Any = None
        #: kind -> what handles such a message, and what deals with its failure
        self._processes: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
        same_for_all = type(self).get_config is BaseWorker.get_config
        try:
            super().__init__(options, config)
        except ConfigError:
            if same_for_all:
                # Tells what is wrong with the options that aren't static, too.
                self.CONFIG_CLASS(config or {})
            raise
        if same_for_all:
            self._fixed_config = self.CONFIG_CLASS(self.config)
            problems = tuple(self.find_problems(self._fixed_config))
            if problems:
                raise ConfigError(problems=problems)

    # Config

    def find_problems(self, config: Any) -> Iterable[str]:
        """What is wrong with the options, in sentences: the dispatcher won't start.

        Called by the constructor, unless :meth:`get_config` is overridden.
        """
        return ()

    def route_plan(self) -> RoutePlan:
        """All ways through this dispatcher."""
        return RoutePlan(
            type(self).__name__,
            tuple(self.get_configured_ri_connectors()),
            tuple(self.get_configured_ro_connectors()),
            (),
            (f"{type(self).__name__} decides by its code.",),
        )

    def get_configured_ri_connectors(self) -> Iterable[str]:
        """The connectors towards transports."""
        return list(self.get_static_config().receive_inbound_connectors or ())

    def get_configured_ro_connectors(self) -> Iterable[str]:
        """The connectors towards applications."""
        return list(self.get_static_config().receive_outbound_connectors or ())

    # Life

    @deferred
    async def setup_connectors(self) -> None:
        for name in self.get_configured_ri_connectors():
            connector = await self.setup_ri_connector(name)
            connector.set_default_inbound_handler(partial(self._dispatch, INBOUND, name))
            connector.set_default_event_handler(partial(self._dispatch, EVENT, name))
        for name in self.get_configured_ro_connectors():
            connector = await self.setup_ro_connector(name)
            connector.set_default_outbound_handler(partial(self._dispatch, OUTBOUND, name))

    @deferred
    async def setup_worker(self) -> None:
        self._processes = {
            INBOUND: (self.process_inbound, self.errback_inbound),
            OUTBOUND: (self.process_outbound, self.errback_outbound),
            EVENT: (self.process_event, self.errback_event),
        }
        await settle(self.setup_dispatcher())
        await settle(self.unpause_connectors())

    @deferred
    async def teardown_worker(self) -> None:
        await settle(self.pause_connectors())
        await settle(self.teardown_dispatcher())

    def setup_dispatcher(self) -> Any:
        """Called before the first message; may return a Deferred or be ``async``."""

    def teardown_dispatcher(self) -> Any:
        """Called after the last message; may return a Deferred or be ``async``."""

    # Messages coming in

    def process_inbound(self, config: Any, msg: TransportUserMessage, connector_name: str) -> Any:
        """Send a message from a user on.

        :param config: The options for this message.
        :param connector_name: The connector it has come by.
        """
        raise NotImplementedError(f"{type(self).__name__} must override process_inbound().")

    def process_outbound(self, config: Any, msg: TransportUserMessage, connector_name: str) -> Any:
        """Send a message to a user on; as :meth:`process_inbound`."""
        raise NotImplementedError(f"{type(self).__name__} must override process_outbound().")

    def process_event(self, config: Any, event: TransportEvent, connector_name: str) -> Any:
        """Send an event on; as :meth:`process_inbound`."""
        raise NotImplementedError(f"{type(self).__name__} must override process_event().")

    def errback_inbound(self, f: Failure, msg: TransportUserMessage, connector_name: str) -> Any:
        """:meth:`process_inbound` has failed.

        :param f: Why.
        :returns: `f` if nothing was done about it; anything else means that the message is done
            with.
        """
        return f

    def errback_outbound(self, f: Failure, msg: TransportUserMessage, connector_name: str) -> Any:
        """:meth:`process_outbound` has failed; as :meth:`errback_inbound`."""
        return f

    def errback_event(self, f: Failure, event: TransportEvent, connector_name: str) -> Any:
        """:meth:`process_event` has failed; as :meth:`errback_inbound`."""
        return f

    def default_errback(self, f: Failure, msg: Any, connector_name: str) -> Any:
        """Nothing was done about a failure; as :meth:`errback_inbound`, for all kinds."""
        return f

    def _dispatch(self, kind: str, connector_name: str, msg: Any) -> Any:
        if self._fixed_config is None:
            return self._dispatch_later(kind, connector_name, msg)
        count_hop(msg)
        process, _ = self._processes[kind]
        try:
            result = process(self._fixed_config, msg, connector_name)
        except Exception:  # noqa: BLE001 (what it is and what becomes of it is decided there)
            return self._failed(Failure(), kind, connector_name, msg)
        waiting = to_wait_for(result)
        if waiting is None:
            return result
        return waiting.addErrback(self._failed, kind, connector_name, msg)

    async def _dispatch_later(self, kind: str, connector_name: str, msg: Any) -> Any:
        count_hop(msg)
        process, _ = self._processes[kind]
        try:
            config = await settle(self.get_config(msg))
            return await hook_result(process(config, msg, connector_name))
        except Exception:  # noqa: BLE001 (what it is and what becomes of it is decided there)
            return await settle(self._failed(Failure(), kind, connector_name, msg))

    def _failed(self, failure: Failure, kind: str, connector_name: str, msg: Any) -> Any:
        _, errback = self._processes[kind]
        dealing = as_deferred(errback, failure, msg, connector_name)
        dealing = dealing.addErrback(self.default_errback, msg, connector_name)
        return dealing.addErrback(self._no_route, kind, connector_name, msg)

    def _no_route(self, failure: Failure, kind: str, connector_name: str, msg: Any) -> Any:
        if not failure.check(DispatcherError):
            return failure
        self.unrouted[kind] += 1
        if kind != OUTBOUND:
            return failure
        reason = str(failure.value)
        self._routing_log.warn(
            "{endpoint}: no route for {kind} message {message_id}; it is nacked: {reason}",
            event="no-route",
            endpoint=connector_name,
            kind=kind,
            message_id=msg.get("message_id"),
            reason=reason,
        )
        # The connector nacks it, to whom it came from.
        raise IgnoreMessage(reason) from failure.value

    # Messages going out

    def publish_inbound(
        self, msg: TransportUserMessage, connector_name: str, endpoint: str | None
    ) -> Deferred[Any]:
        """Send a message from a user on by a connector towards an application.

        :param endpoint: The endpoint it is bound for from now on; ``None``: it stays as it is.
        :returns: Fires with the message once the broker has it safe. You need not wait for it.
        :raises DispatcherError: There is no such connector, or it is towards a transport.
        """
        return self._publish(INBOUND, msg, connector_name, endpoint)

    def publish_outbound(
        self, msg: TransportUserMessage, connector_name: str, endpoint: str | None
    ) -> Deferred[Any]:
        """Send a message to a user on by a connector towards a transport; as
        :meth:`publish_inbound`.
        """
        return self._publish(OUTBOUND, msg, connector_name, endpoint)

    def publish_event(
        self, event: TransportEvent, connector_name: str, endpoint: str | None
    ) -> Deferred[Any]:
        """Send an event on by a connector towards an application; as :meth:`publish_inbound`."""
        return self._publish(EVENT, event, connector_name, endpoint)

    def _publish(
        self, kind: str, msg: Any, connector_name: str, endpoint: str | None
    ) -> Deferred[Any]:
        connector = self.connectors.get(connector_name)
        if connector is None or kind not in connector.PUBLISHES:
            raise DispatcherError(f"No connector {connector_name!r} publishes {kind} messages.")
        published: Deferred[Any] = getattr(connector, f"publish_{kind}")(msg, endpoint)
        return published
