"""Workers on a broker in memory, made by hand: the older way, before there were helpers.

Part of the public test kit, offered by :mod:`vumi.tests.utils`. New tests use
:class:`vumi.tests.helpers.WorkerHelper`, which also cleans up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from vumi.service import WorkerCreator
from vumi.tests.fake_amqp import FakeAMQClient, FakeAMQPBroker

if TYPE_CHECKING:
    from vumi.service import Worker

__all__ = ["StubbedWorkerCreator", "get_fake_amq_client", "get_stubbed_worker"]

W = TypeVar("W", bound="Worker")


def get_fake_amq_client(broker: FakeAMQPBroker | None = None) -> FakeAMQClient:
    """A connection to a broker in memory, or to a new one."""
    return FakeAMQClient(broker=broker)


def get_stubbed_worker(
    worker_class: type[W],
    config: dict[str, Any] | None = None,
    broker: FakeAMQPBroker | None = None,
) -> W:
    """Make a worker that is connected to a broker in memory, and don't start it."""
    worker = worker_class({}, config)
    worker.attach_broker(get_fake_amq_client(broker))
    return worker


class StubbedWorkerCreator(WorkerCreator):
    """Makes workers that are all connected to one broker in memory.

    :ivar broker: The broker; made with the first worker unless it was set before.
    """

    broker: FakeAMQPBroker | None = None

    def _connect(self, worker: Worker, timeout: float, bindAddress: Any) -> None:
        if self.broker is None:
            self.broker = FakeAMQPBroker()
        worker.attach_broker(get_fake_amq_client(self.broker))
