"""The tag pools' web service: its methods, and the worker that serves them."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThread

from vumi.components.tagpool import TagpoolManager
from vumi.components.tagpool_api import TagpoolApiServer, TagpoolApiWorker
from vumi.components.tests.stores import InProcess
from vumi.errors import ConfigError, StoreError
from vumi.tests.helpers import WorkerHelper

TAG1, TAG2 = ["pool1", "tag1"], ["pool1", "tag2"]


class MethodTests(InProcess):
    async def ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = await self.server.answer(body.encode())
        assert answer is not None
        return json.loads(answer)

    async def gives(self, expected: Any, method: str, *params: Any) -> None:
        answer = await self.ask(method, *params)
        self.assertEqual(answer, {"jsonrpc": "2.0", "id": 1, "result": expected})

    async def pools(self) -> TagpoolManager:
        pools = TagpoolManager(await self.manager())
        self.server = TagpoolApiServer(pools)
        await pools.declare_tags([TAG1, TAG2])
        return pools

    async def test_acquiring_and_releasing(self) -> None:
        await self.pools()
        await self.gives(TAG1, "acquire_tag", "pool1")
        await self.gives(TAG2, "acquire_specific_tag", TAG2, "me", {"for": "quiz"})
        await self.gives(None, "acquire_specific_tag", TAG2)
        await self.gives(None, "acquire_tag", "pool1", None, None)
        await self.gives(None, "release_tag", TAG1)
        await self.gives(TAG1, "acquire_tag", "pool1", "me")

    async def test_owners(self) -> None:
        await self.pools()
        await self.gives([None, None], "acquired_by", TAG1)
        await self.gives(TAG1, "acquire_tag", "pool1", "me", {"for": "quiz"})
        answer = await self.ask("acquired_by", TAG1)
        owner, reason = answer["result"]
        self.assertEqual((owner, reason["owner"], reason["for"]), ("me", "me", "quiz"))
        await self.gives([TAG1], "owned_tags", "me")
        await self.gives([], "owned_tags", None)

    async def test_pools(self) -> None:
        await self.pools()
        await self.gives(None, "declare_tags", [["pool2", "a"], ["pool2", "b"]])
        await self.gives(["pool1", "pool2"], "list_pools")
        await self.gives(None, "set_metadata", "pool2", {"a": [1]})
        await self.gives({"a": [1]}, "get_metadata", "pool2")
        await self.gives(["pool2", "a"], "acquire_tag", "pool2")
        await self.gives([["pool2", "b"]], "free_tags", "pool2")
        await self.gives([["pool2", "a"]], "inuse_tags", "pool2")
        answer = await self.ask("purge_pool", "pool2")
        self.assertEqual(
            answer["error"], {"code": 8002, "message": "1 tags of pool pool2 still in use."}
        )
        await self.gives(None, "release_tag", ["pool2", "a"])
        await self.gives(None, "purge_pool", "pool2")
        await self.gives(["pool1"], "list_pools")

    async def test_parameters_of_the_wrong_type_are_refused(self) -> None:
        await self.pools()
        cases: list[tuple[str, list[Any]]] = [
            ("acquire_tag", [5]),
            ("acquire_tag", [None]),
            ("acquire_tag", ["pool1", 5]),
            ("acquire_tag", ["pool1", "me", "reason"]),
            ("acquire_specific_tag", ["tag1"]),
            ("release_tag", [["pool1"]]),
            ("declare_tags", [["pool1", "tag1"]]),
            ("set_metadata", ["pool1", []]),
            ("purge_pool", []),
            ("owned_tags", [5]),
        ]
        for method, params in cases:
            answer = await self.ask(method, *params)
            self.assertEqual(answer["error"]["code"], -32602, method)

    async def test_every_method_is_documented(self) -> None:
        await self.pools()
        for name in self.server.method_names():
            method: Any = getattr(self.server, f"jsonrpc_{name}")
            self.assertTrue(method.signature)
            self.assertFalse(method.__doc__.startswith(":"), name)


def _request(url: str, body: bytes | None) -> tuple[int, bytes]:
    try:
        with urlopen(url, body, timeout=10) as response:  # noqa: S310 (a server of the test's own)
            return response.status, response.read()
    except HTTPError as error:
        return error.code, error.read()


class WorkerTests(InProcess):
    def setUp(self) -> Any:
        self.helper = self.add_helper(WorkerHelper())
        return super().setUp()

    def config(self, **options: Any) -> dict[str, Any]:
        return {
            "worker_name": "pools",
            "twisted_endpoint": "tcp:0:interface=127.0.0.1",
            "web_path": "api/tags",
            "redis_manager": self.redis_config(),
            **options,
        }

    async def request(self, worker: Any, path: str, body: str | None = None) -> Any:
        """GET, or POST if there is a body; gives status and body."""
        url = f"http://127.0.0.1:{worker.port.getHost().port}{path}"
        return await deferToThread(_request, url, None if body is None else body.encode())

    async def test_it_serves_the_methods_and_its_health(self) -> None:
        worker = await self.helper.get_worker(TagpoolApiWorker, self.config())
        tags = TagpoolManager(worker.redis)
        await tags.declare_tags([TAG1])
        call = json.dumps({"method": "acquire_tag", "params": ["pool1"]})
        # What clients of the old Vumi send, and get.
        answer = await self.request(worker, "/api/tags", call)
        self.assertEqual(answer, (200, b'[["pool1","tag1"]]'))
        self.assertEqual(await tags.inuse_tags("pool1"), [tuple(TAG1)])
        call = json.dumps({"method": "system.listMethods"})
        _, names = await self.request(worker, "/api/tags", call)
        self.assertIn("acquire_tag", json.loads(names)[0])
        self.assertEqual(await self.request(worker, "/health/"), (200, b"OK"))
        code, _ = await self.request(worker, "/api/tags")
        self.assertEqual(code, 405)
        code, _ = await self.request(worker, "/elsewhere")
        self.assertEqual(code, 404)

    async def test_it_closes_the_store_and_its_port_when_it_stops(self) -> None:
        worker = await self.helper.get_worker(TagpoolApiWorker, self.config())
        await self.helper.cleanup_worker(worker)
        with self.assertRaises(StoreError):
            await worker.redis.get("x")
        self.assertFalse(worker.port.connected)

    async def test_it_closes_the_store_if_it_can_not_listen(self) -> None:
        first = await self.helper.get_worker(TagpoolApiWorker, self.config())
        port = first.port.getHost().port
        worker = self.helper.get_worker_raw(
            TagpoolApiWorker, self.config(twisted_endpoint=f"tcp:{port}:interface=127.0.0.1")
        )
        with self.assertRaises(CannotListenError):
            await worker.startWorker()
        with self.assertRaises(StoreError):
            await worker.redis.get("x")
        await worker.stopWorker()

    def test_its_config(self) -> None:
        TagpoolApiWorker.check_config(self.config())
        old = self.config(port="8080", host="127.0.0.1", health_path="up")
        del old["twisted_endpoint"]
        TagpoolApiWorker.check_config(old)
        for missing in ("worker_name", "twisted_endpoint", "web_path"):
            config = self.config()
            del config[missing]
            error = self.assertRaises(ConfigError, TagpoolApiWorker.check_config, config)
            self.assertIn(missing, str(error))
