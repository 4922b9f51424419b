"""The resource by which a sandboxed program tells figures about itself: ``metrics.fire``.

Knows how a figure is named and checked. What collects figures is another worker's business.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.figures import MetricsPublisher, metric_message
from vumi.application.sandbox.resources.declared import (
    ANYTHING,
    Argument,
    DeclaredResource,
    answers,
)
from vumi.config import Config, ConfigText
from vumi.steady_clock import wall_seconds

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["MetricsResource", "MetricsResourceConfig"]

#: What can be made of the figures of one period.
AGGREGATORS = ("avg", "last", "max", "min", "sum")
NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9._-]{,100}")


class MetricsResourceConfig(Config):
    """Options of the metrics resource."""

    metrics_prefix = ConfigText(
        "What all names begin with: a figure's whole name is "
        "``<metrics_prefix>.stores.<store>.<metric>``.",
        required=True,
        static=True,
    )


def _name_problem(value: Any, what: str) -> str | None:
    if value is None:
        return f"Missing {what} name."
    if not isinstance(value, str):
        return f"Invalid type for {what} name: {value!r}."
    if not NAME.fullmatch(value):
        return f"Invalid {what} name: '{value}'."
    return None


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


class MetricsResource(DeclaredResource):
    """Publishes figures at once, each as it comes."""

    CONFIG_CLASS: ClassVar[type[Config]] = MetricsResourceConfig

    def __init__(self, name: str, app_worker: Any, config: Any) -> None:
        super().__init__(name, app_worker, config)
        self._publisher: Any = None

    async def setup(self) -> None:
        """Make what figures are published to known to the broker."""
        self._publisher = await self.app_worker.start_publisher(MetricsPublisher)

    @answers(
        Argument(
            "metric",
            ANYTHING,
            "The figure's name: letters, digits, ``.``, ``_`` and ``-``, a letter first.",
            optional=True,
        ),
        Argument("value", ANYTHING, "The figure: a number, or its digits.", optional=True),
        Argument(
            "agg",
            ANYTHING,
            f"What is made of the figures of one period: one of {', '.join(AGGREGATORS)}.",
            optional=True,
        ),
        Argument(
            "store",
            ANYTHING,
            "The name of the group of figures that it belongs to.",
            optional=True,
            default="default",
        ),
    )
    async def handle_fire(
        self,
        api: SandboxApi,
        command: SandboxCommand,
        metric: Any,
        value: Any,
        agg: Any,
        store: Any,
    ) -> dict[str, Any]:
        """Publish a figure. Metric, value and agg must be given."""
        problem = _name_problem(metric, "metric") or _name_problem(store, "store")
        number = _as_number(value)
        if problem is None and number is None:
            problem = f"Invalid metric value {_shown(value)}."
        if problem is None and agg not in AGGREGATORS:
            problem = f"Invalid metric aggregator {_shown(agg)}."
        if problem is not None:
            raise CommandRefused(problem)
        name = f"{self.options.metrics_prefix}.stores.{store}.{metric}"
        assert number is not None  # noqa: S101 (looked at above)
        now = wall_seconds(self.app_worker.clock)
        await self._publisher.publish_message(metric_message(name, agg, number, now))
        return {}


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else repr(value)
