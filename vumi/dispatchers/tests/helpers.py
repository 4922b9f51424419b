"""What a test of a dispatcher or a router needs. Part of the public test kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import succeed

from vumi.tests.combined_helper import CombinedHelper
from vumi.tests.helpers import (
    MessageDispatchHelper,
    MessageHelper,
    WorkerHelper,
    generate_proxies,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

__all__ = ["DispatcherConnectorHelper", "DispatcherHelper", "DummyDispatcher"]


class DispatcherHelper(CombinedHelper):
    """Starts a dispatcher; :meth:`get_connector_helper` then gives each of its ends.

    The methods of the message, worker and dispatch helpers that it is made of are its own too.
    Those that hand over messages or look at what was published need a ``connector_name`` here.

    :param dispatcher_class: The dispatcher.
    :param use_riak: Whether it uses Riak.
    :param msg_helper_args: For the :class:`~vumi.tests.helpers.MessageHelper`.
    """

    PROXIED = ("msg_helper", "worker_helper", "dispatch_helper")

    def __init__(
        self, dispatcher_class: type[Any], use_riak: bool = False, **msg_helper_args: Any
    ) -> None:
        super().__init__(MessageHelper(**msg_helper_args), WorkerHelper(), use_riak)
        self.dispatcher_class = dispatcher_class

    def get_dispatcher(
        self, config: Mapping[str, Any], cls: type[Any] | None = None, start: bool = True
    ) -> Deferred[Any]:
        """Make a dispatcher, which is stopped after the test.

        :param config: Its config.
        :param cls: Its class; the helper's if left out.
        :param start: Whether to start it.
        :returns: Fires with the dispatcher.
        """
        return self._get_worker(cls or self.dispatcher_class, config, start)

    def get_connector_helper(self, connector_name: str) -> DispatcherConnectorHelper:
        """A helper for one end of the dispatcher."""
        return DispatcherConnectorHelper(self, connector_name)


class DispatcherConnectorHelper:
    """Stands for what is connected to one end of a dispatcher: a transport or an application.

    The methods of the worker and dispatch helpers are its own, except those that make and stop
    workers; the connector is the one named here.

    :param dispatcher_helper: Runs the dispatcher.
    :param connector_name: The end.
    """

    def __init__(self, dispatcher_helper: DispatcherHelper, connector_name: str) -> None:
        self.msg_helper = dispatcher_helper.msg_helper
        self.worker_helper = WorkerHelper(connector_name, dispatcher_helper.worker_helper.broker)
        self.dispatch_helper = MessageDispatchHelper(self.msg_helper, self.worker_helper)
        generate_proxies(self, self.worker_helper)
        generate_proxies(self, self.dispatch_helper)
        # A worker made here would not be cleaned up.
        del self.get_worker
        del self.cleanup_worker

    if TYPE_CHECKING:
        # The proxies.
        def __getattr__(self, name: str) -> Any: ...
        def __delattr__(self, name: str) -> None: ...


class DummyDispatcher:
    """Stands in for a dispatcher in tests of a router: keeps what the router publishes.

    :param config: ``transport_names`` and ``exposed_names``, lists.

    :ivar transport_publisher: transport name -> outbound messages
    :ivar exposed_publisher: exposed name -> inbound messages
    :ivar exposed_event_publisher: exposed name -> events
    """

    class DummyPublisher:
        """Keeps messages in :attr:`msgs`."""

        def __init__(self) -> None:
            self.msgs: list[Any] = []

        def publish_message(self, message: Any) -> Deferred[Any]:
            """Keep a message."""
            self.msgs.append(message)
            return succeed(message)

        def clear(self) -> None:
            """Forget all messages."""
            self.msgs.clear()

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = dict(config)
        self.transport_names: list[str] = list(config.get("transport_names") or [])
        self.exposed_names: list[str] = list(config.get("exposed_names") or [])
        self.transport_publisher = self._publishers(self.transport_names)
        self.exposed_publisher = self._publishers(self.exposed_names)
        self.exposed_event_publisher = self._publishers(self.exposed_names)

    def _publishers(self, names: list[str]) -> dict[str, DummyPublisher]:
        return {name: self.DummyPublisher() for name in names}

    def publish_inbound_message(self, endpoint: str, msg: Any) -> Deferred[Any]:
        """Keep an inbound message for an exposed name."""
        return self.exposed_publisher[endpoint].publish_message(msg)

    def publish_inbound_event(self, endpoint: str, event: Any) -> Deferred[Any]:
        """Keep an event for an exposed name."""
        return self.exposed_event_publisher[endpoint].publish_message(event)

    def publish_outbound_message(self, endpoint: str, msg: Any) -> Deferred[Any]:
        """Keep an outbound message for a transport."""
        return self.transport_publisher[endpoint].publish_message(msg)
