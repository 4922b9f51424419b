"""What a test of a transport needs. Part of the public test kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.tests.combined_helper import CombinedHelper
from vumi.tests.helpers import MessageHelper, WorkerHelper
from vumi.transports.failures import FailureMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

__all__ = ["TransportHelper"]


class TransportHelper(CombinedHelper):
    """Starts a transport, hands it messages and shows what it publishes.

    All ``make_*``, ``dispatch_*``, ``make_dispatch_*``, ``get_dispatched_*``,
    ``wait_for_dispatched_*`` and ``clear_*`` methods of the helpers that it is made of are its own
    too, and so are :meth:`~vumi.tests.helpers.WorkerHelper.get_worker`,
    :meth:`~vumi.tests.helpers.WorkerHelper.kick_delivery` and
    :meth:`~vumi.tests.helpers.PersistenceHelper.mk_config`.

    :param transport_class: The transport.
    :param use_riak: Whether it uses Riak.
    :param msg_helper_args: For the :class:`~vumi.tests.helpers.MessageHelper`.
    """

    def __init__(
        self, transport_class: type[Any], use_riak: bool = False, **msg_helper_args: Any
    ) -> None:
        msg_helper = MessageHelper(**msg_helper_args)
        name = msg_helper.transport_name
        worker_helper = WorkerHelper(name, status_connector_name=f"{name}.status")
        super().__init__(msg_helper, worker_helper, use_riak)
        self.transport_class = transport_class

    def get_transport(
        self, config: Mapping[str, Any], cls: type[Any] | None = None, start: bool = True
    ) -> Deferred[Any]:
        """Make a transport, which is stopped after the test.

        :param config: Its config; ``transport_name`` need not be given.
        :param cls: Its class; the helper's if left out.
        :param start: Whether to start it.
        :returns: Fires with the transport.
        """
        return self._get_worker(
            cls or self.transport_class, config, start, transport_name=self.transport_name
        )

    def get_dispatched_failures(self, connector_name: str | None = None) -> list[FailureMessage]:
        """The failure messages that were published."""
        return self.worker_helper.get_dispatched(connector_name, "failures", FailureMessage)
