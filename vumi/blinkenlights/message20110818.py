"""The message that carries metrics between workers.

A datapoint is a list of three: the metric's name, the names of its aggregators, and pairs of a
time (seconds since 1970) and a value. Knows nothing of who makes or collects them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from vumi.errors import InvalidMessageField
from vumi.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MetricMessage"]

Datapoint = Any


class MetricMessage(Message):
    """Metrics on their way. A consumer reads a plain message and calls :meth:`from_dict`."""

    def __init__(self) -> None:
        super().__init__(datapoints=[])

    def append(self, datapoint: Datapoint) -> None:
        """Add one datapoint: ``[name, [aggregator, ...], [[time, value], ...]]``."""
        self.payload["datapoints"].append(datapoint)

    def extend(self, datapoints: Iterable[Datapoint]) -> None:
        """Add datapoints."""
        self.payload["datapoints"].extend(datapoints)

    def datapoints(self) -> list[Datapoint]:
        """The datapoints, the list itself."""
        datapoints: list[Datapoint] = self.payload["datapoints"]
        return datapoints

    def to_dict(self) -> dict[str, Any]:
        """The message as plain data."""
        return self.payload

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A message of plain data.

        :raises InvalidMessageField: It has no list of datapoints.
        """
        datapoints = data.get("datapoints")
        if not isinstance(datapoints, list):
            raise InvalidMessageField("datapoints")
        message = cls()
        message.extend(datapoints)
        return message
