from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from vumi.application.sandbox.resources.metrics import MetricsResource
from vumi.application.sandbox.resources.tests.utils import DummyAppWorker, ResourceTestCaseBase
from vumi.errors import ConfigError
from vumi.service import Worker
from vumi.tests.helpers import WorkerHelper


class Publishing(DummyAppWorker):
    """A worker that keeps what is published."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1500.7)
        self.published: list[Any] = []

    async def start_publisher(self, publisher_class: Any) -> Any:
        self.publisher_class = publisher_class
        return self

    async def publish_message(self, message: Any) -> None:
        self.published.append(message.to_dict())


class Idle(Worker):
    def startWorker(self) -> None:
        """There is nothing to do."""


class TestMetricsResource(ResourceTestCaseBase):
    app_worker_cls = Publishing
    resource_cls = MetricsResource

    async def fire(self, **fields: Any) -> Any:
        reply = await self.dispatch_command("fire", **fields)
        return True if reply["success"] else reply["reason"]

    async def test_a_figure_is_published_at_once(self) -> None:
        await self.create_resource({"metrics_prefix": "apps.demo"})
        for value in (5, 5.0, "5"):
            answer = await self.fire(store="shop", metric="sold.fruit", value=value, agg="sum")
            self.assertIs(answer, True)
            [message] = self.app_worker.published
            self.app_worker.published.clear()
            self.assertEqual(
                message["datapoints"],
                [["apps.demo.stores.shop.sold.fruit", ["sum"], [[1500, 5.0]]]],
            )

    async def test_the_store_has_a_default(self) -> None:
        await self.create_resource({"metrics_prefix": "p"})
        self.assertIs(await self.fire(metric="m", value=-1, agg="last"), True)
        [[name, _, _]] = self.app_worker.published[0]["datapoints"]
        self.assertEqual(name, "p.stores.default.m")

    async def test_what_is_wrong_is_told_in_words(self) -> None:
        await self.create_resource({"metrics_prefix": "p"})
        good = {"metric": "m", "value": 1, "agg": "sum"}
        cases: list[tuple[dict[str, Any], str]] = [
            ({"value": 1, "agg": "sum"}, "Missing metric name."),
            ({**good, "metric": "1m"}, "Invalid metric name: '1m'."),
            ({**good, "metric": "m\n"}, "Invalid metric name: 'm\n'."),
            ({**good, "metric": "m" * 102}, f"Invalid metric name: '{'m' * 102}'."),
            ({**good, "metric": {}}, "Invalid type for metric name: {}."),
            ({**good, "store": "a b"}, "Invalid store name: 'a b'."),
            ({**good, "store": 5}, "Invalid type for store name: 5."),
            ({"metric": "m", "agg": "sum"}, "Invalid metric value None."),
            ({**good, "value": "five"}, "Invalid metric value 'five'."),
            ({**good, "value": True}, "Invalid metric value True."),
            ({**good, "value": [1]}, "Invalid metric value [1]."),
            # JSON can't say it: whoever reads the message would break.
            ({**good, "value": "nan"}, "Invalid metric value 'nan'."),
            ({"metric": "m", "value": 1}, "Invalid metric aggregator None."),
            ({**good, "agg": "median"}, "Invalid metric aggregator 'median'."),
            ({**good, "agg": ["sum"]}, "Invalid metric aggregator ['sum']."),
        ]
        for fields, reason in cases:
            self.assertEqual(await self.fire(**fields), reason)
        self.assertEqual(self.app_worker.published, [])

    async def test_names_need_a_prefix(self) -> None:
        with self.assertRaises(ConfigError):
            MetricsResource("metrics", self.app_worker, {})

    async def test_figures_arrive_where_they_are_collected(self) -> None:
        helper: Any = self.add_helper(WorkerHelper())
        worker: Any = await helper.get_worker(Idle, {})
        received: list[Any] = []
        await worker.consume(
            "vumi.metrics",
            received.append,
            exchange_name="vumi.metrics",
            exchange_type="direct",
        )
        self.app_worker = worker
        await self.create_resource({"metrics_prefix": "p"})
        self.assertIs(await self.fire(metric="m", value=1, agg="max"), True)
        await helper.kick_delivery()
        [message] = received
        self.assertEqual(message["datapoints"][0][:2], ["p.stores.default.m", ["max"]])
