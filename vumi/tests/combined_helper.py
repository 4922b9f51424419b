"""The base of the helpers for one kind of worker: the helpers for everything under one roof.

Knows the other helpers and the order they are set up and cleaned up in. Knows no kind of worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from vumi.tasks import settle
from vumi.tests.case import IHelper
from vumi.tests.message_helper import MessageDispatchHelper, MessageHelper
from vumi.tests.persistence_helper import PersistenceHelper
from vumi.tests.proxies import generate_proxies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vumi.tests.worker_helper import WorkerHelper

__all__ = ["CombinedHelper"]


@implementer(IHelper)
class CombinedHelper:
    """Starts workers of one class, hands them messages and shows what they publish.

    The methods of the helpers named in :attr:`PROXIED` that are marked
    :func:`~vumi.tests.helpers.proxyable` are its own too.

    :param msg_helper: Makes the messages.
    :param worker_helper: Runs the workers.
    :param use_riak: Whether the workers use Riak.
    """

    PROXIED: ClassVar[Iterable[str]] = (
        "msg_helper",
        "worker_helper",
        "dispatch_helper",
        "persistence_helper",
    )

    def __init__(
        self, msg_helper: MessageHelper, worker_helper: WorkerHelper, use_riak: bool
    ) -> None:
        self.msg_helper = msg_helper
        self.transport_name = msg_helper.transport_name
        self.worker_helper = worker_helper
        self.dispatch_helper = MessageDispatchHelper(msg_helper, worker_helper)
        self.persistence_helper = PersistenceHelper(use_riak=use_riak)
        for name in self.PROXIED:
            generate_proxies(self, getattr(self, name))

    if TYPE_CHECKING:
        # The proxies.
        def __getattr__(self, name: str) -> Any: ...

    def setup(self) -> None:
        """Get ready."""
        self.persistence_helper.setup()
        self.worker_helper.setup()

    def cleanup(self) -> Deferred[None]:
        """Stop the workers, and leave nothing behind."""
        return Deferred.fromCoroutine(self._cleanup())

    async def _cleanup(self) -> None:
        try:
            await self.worker_helper.cleanup()
        finally:
            await settle(self.persistence_helper.cleanup())

    def _get_worker(
        self, worker_class: type[Any], config: Mapping[str, Any], start: bool, **defaults: Any
    ) -> Deferred[Any]:
        """Make a worker with databases of its own.

        :param defaults: Options that the config need not have.
        """
        full_config = {**defaults, **self.persistence_helper.mk_config(config)}
        return self.worker_helper.get_worker(worker_class, full_config, start)
