"""Searches over HTTP: every request is answered, mistakes by a status of the client's."""

from __future__ import annotations

import json
import threading
from typing import Any, ClassVar

from twisted.internet.defer import fail

from vumi.components.message_store.tests.test_cache import message
from vumi.components.message_store_api import MessageStoreAPIWorker
from vumi.components.tests.test_message_store_resource import ServiceTestCase, fill
from vumi.errors import ConfigError, StoreUnavailable
from vumi.linear_regex import LinearRegex

QUERY = [{"key": "msg.content", "pattern": "HI", "flags": "i"}]
PATH = "/api/batch/b/inbound/match/"


class ApiTests(ServiceTestCase):
    worker_class = MessageStoreAPIWorker
    config: ClassVar[Any] = {
        "web_path": "/api/",
        "allow_anonymous": True,
        "web_port": 0,
        "host": "127.0.0.1",
        "message_store": {"url": "sqlite://", "redis_manager": {"FAKE_REDIS": "yes"}},
    }

    async def post(self, query: Any, **headers: str) -> Any:
        body = query if isinstance(query, bytes) else json.dumps(query).encode()
        named = {f"X-VMS-Match-{name}": value for name, value in headers.items()}
        return await self.ask(PATH, body, named)

    async def test_a_search_is_begun_and_its_results_are_asked_for(self) -> None:
        worker = await self.worker()
        await fill(worker.store, 3)
        answer = await self.post(QUERY, TTL="60", Wait="1")
        token = answer.headers["X-VMS-Result-Token"]
        self.assertTrue(token.startswith("inbound-"))
        answer = await self.get(PATH, token=token)
        self.assertEqual(answer.headers["X-VMS-Result-Count"], "3")
        self.assertEqual(answer.headers["X-VMS-Match-In-Progress"], "0")
        ids = [message["message_id"] for message in json.loads(answer.text)]
        self.assertEqual(ids, ["m2", "m1", "m0"])
        for query, wanted in (
            ({"keys": "1", "asc": "1"}, ["m0", "m1", "m2"]),
            ({"keys": "1", "start": "1"}, ["m1", "m0"]),
            ({"keys": "1", "start": "0", "stop": "0"}, ["m2"]),
            ({"keys": "1", "stop": "-1"}, ["m2", "m1", "m0"]),
        ):
            answer = await self.get(PATH, token=token, **query)
            self.assertEqual(json.loads(answer.text), wanted)

    async def test_an_expression_that_would_stop_a_backtracking_engine_is_answered(self) -> None:
        # (a+)+$ on one message stopped the process.
        worker = await self.worker()
        await fill(worker.store, 1)
        await worker.store.add_inbound_message(
            message(9, content="a" * 50_000 + "!", message_id="long"), batch_id="b"
        )
        for pattern in ("(a+)+$", "(a|a)*$", "^(a|aa)+$"):
            query = [{"key": "msg.content", "pattern": pattern}]
            answer = await self.post(query, Wait="1")
            self.assertEqual(answer.code, 200, answer.text)
        for pattern in ("(a)\\1", "(?=a)", "(?<!a)b"):
            answer = await self.post([{"key": "msg.content", "pattern": pattern}])
            self.assertEqual((answer.code, "is not known" in answer.text), (400, True))

    async def test_the_reactor_s_thread_matches_no_expression(self) -> None:
        worker = await self.worker()
        await fill(worker.store, 2)
        threads: list[Any] = []
        search = LinearRegex.search

        def recorded(regex: LinearRegex, text: str) -> bool:
            threads.append(threading.current_thread())
            return search(regex, text)

        self.patch(LinearRegex, "search", recorded)
        self.assertEqual((await self.post(QUERY, Wait="1")).code, 200)
        self.assertEqual(len(threads), 2)
        self.assertNotIn(threading.current_thread(), threads)

    async def test_nobody_is_let_in_by_default(self) -> None:
        config = {**self.config, "allow_anonymous": False}
        with self.assertRaises(ConfigError):
            await self.helper.get_worker(self.worker_class, config)

    async def test_a_search_that_is_not_waited_for_is_found_in_the_end(self) -> None:
        worker = await self.worker()
        await fill(worker.store, 3)
        token = (await self.post(QUERY)).headers["X-VMS-Result-Token"]
        progress = None
        while progress != "0":
            answer = await self.get(PATH, token=token, keys="1")
            progress = answer.headers["X-VMS-Match-In-Progress"]
        answer = await self.get(PATH, token=token, keys="1")
        self.assertEqual(len(json.loads(answer.text)), 3)

    async def test_mistakes_are_the_clients(self) -> None:
        # A missing token was an error of the server, and one in a query was never answered.
        await self.worker()
        for query, words in (
            ({}, "Invalid 'token' parameter"),
            ({"token": ""}, "Invalid 'token' parameter"),
            ({"token": "x", "start": "y"}, "Invalid 'start' parameter"),
            ({"token": "x", "asc": "2"}, "Invalid 'asc' parameter"),
            ({"token": "x", "stop": "100000"}, "at most 1000 messages"),
        ):
            answer = await self.get(PATH, **query)
            self.assertEqual((answer.code, words in answer.text), (400, True), answer.text)
        for body, headers, words in (
            (b"{", {}, "it is not JSON"),
            ([], {}, "A query is a list of parts"),
            ([{"key": "msg.content", "pattern": "("}], {}, "not a regular expression"),
            (QUERY, {"TTL": "soon"}, "'soon' is not a number"),
            (QUERY, {"Wait": "2"}, "it is from 0 to 1"),
        ):
            answer = await self.post(body, **headers)
            self.assertEqual((answer.code, words in answer.text), (400, True), answer.text)

    async def test_what_there_is(self) -> None:
        await self.worker()
        self.assertEqual((await self.get("/api/batch/b/")).text, "b")
        self.assertEqual((await self.get("/api/batch/b")).text, "b")
        self.assertEqual((await self.get("/health/")).text, "ok")
        for path in ("/api/batch/b/x", "/api/batch/b/inbound/x", "/api/x", "/api/batch//"):
            self.assertEqual((await self.get(path)).code, 404, path)

    async def test_every_request_is_answered_whatever_fails(self) -> None:
        worker = await self.worker()
        for error, code in ((StoreUnavailable("away"), 503), (ZeroDivisionError("oops"), 500)):
            worker.store.cache.is_query_in_progress = lambda *args, e=error: fail(e)
            for answer in (await self.post(QUERY), await self.get(PATH, token="x")):
                self.assertEqual(answer.code, code)
                self.assertNotIn("oops", answer.text)

    async def test_a_store_without_redis_is_refused_before_anything_starts(self) -> None:
        with self.assertRaises(ConfigError):
            await self.worker(message_store="sqlite://")
