"""Batches and searches over HTTP: whole, or visibly not; never more than a page in memory."""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from datetime import timedelta
from http.client import HTTPException
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.threads import deferToThread

from vumi.components.message_store import export
from vumi.components.message_store.http.serving import Slots
from vumi.components.message_store.tests.test_cache import START, event, message
from vumi.components.message_store_resource import (
    MessageStoreResourceWorker,
    ParameterError,
)
from vumi.errors import ConfigError, StoreError, StoreUnavailable
from vumi.message import TransportEvent, TransportUserMessage
from vumi.tests.helpers import VumiTestCase, WorkerHelper
from vumi.web.streaming import ResponseStream

CONFIG = {
    "worker_name": "files",
    "twisted_endpoint": "tcp:0:interface=127.0.0.1",
    "web_path": "/store",
    "allow_anonymous": True,
    "message_store": {"url": "sqlite://"},
}


class Answer:
    """What a server has answered."""

    def __init__(self, code: int, headers: Any, body: bytes) -> None:
        self.code = code
        self.headers = headers
        self.text = body.decode()


class ServiceTestCase(VumiTestCase):
    timeout = 30
    worker_class: Any = MessageStoreResourceWorker
    config: ClassVar[Any] = CONFIG

    def setUp(self) -> None:
        self.helper = self.add_helper(WorkerHelper())

    async def worker(self, **options: Any) -> Any:
        worker = await self.helper.get_worker(self.worker_class, {**self.config, **options})
        self.url = f"http://127.0.0.1:{worker.port.getHost().port}"
        return worker

    async def ask(self, path: str, body: Any = None, headers: Any = None, **query: str) -> Answer:
        words = f"?{urlencode(query)}" if query else ""
        url = f"{self.url}{path}{words}"
        request = Request(url, body, headers or {})  # noqa: S310 (our own server)

        def ask() -> Answer:
            try:
                with urlopen(request) as response:  # noqa: S310 (our own server)
                    return Answer(response.status, response.headers, response.read())
            except HTTPError as error:
                with error:
                    return Answer(error.code, error.headers, error.read())

        answer: Answer = await deferToThread(ask)
        return answer

    async def get(self, path: str, **query: str) -> Answer:
        return await self.ask(path, **query)


async def fill(store: Any, count: int = 3) -> None:
    for number in range(count):
        await store.add_inbound_message(message(number, content=f"=hi {number}"), batch_id="b")
        await store.add_outbound_message(message(number, content="ho"), batch_id="b")
        about = event(number)
        about["user_message_id"] = f"m{number}"
        await store.add_event(about)


class FileTests(ServiceTestCase):
    async def test_a_batch_as_json_lines(self) -> None:
        worker = await self.worker()
        await fill(worker.store)
        for kind, oldest_first in (("inbound", True), ("outbound", True), ("events", False)):
            answer = await self.get(f"/store/b/{kind}.json")
            self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
            message_class: Any = TransportEvent if kind == "events" else TransportUserMessage
            rows = [message_class.from_json(line) for line in answer.text.splitlines()]
            times = [row["timestamp"] for row in rows]
            self.assertEqual(times, sorted(times, reverse=not oldest_first))
            self.assertEqual(len(rows), 3)

    async def test_a_batch_as_csv(self) -> None:
        worker = await self.worker()
        await fill(worker.store, 1)
        answer = await self.get("/store/b/inbound.csv")
        self.assertEqual(answer.headers["content-type"], "text/csv; charset=utf-8")
        header, row = csv.reader(io.StringIO(answer.text, newline=""))
        self.assertEqual(dict(zip(header, row, strict=True))["content"], "=hi 0")
        answer = await self.get("/store/b/events.csv")
        header, row = csv.reader(io.StringIO(answer.text, newline=""))
        self.assertEqual(dict(zip(header, row, strict=True))["status"], "ack")

    async def test_formulas_are_escaped_if_wanted(self) -> None:
        worker = await self.worker(escape_formulas=True)
        await fill(worker.store, 1)
        self.assertIn("'=hi 0", (await self.get("/store/b/inbound.csv")).text)

    async def test_a_range_includes_its_ends_and_heeds_zones(self) -> None:
        worker = await self.worker()
        await fill(worker.store, 5)
        start = (START + timedelta(seconds=1)).isoformat()
        # An offset was ignored: two hours off.
        end = (START + timedelta(hours=2, seconds=3)).isoformat() + "+02:00"
        for given in (end, end.replace("+", " ")):
            answer = await self.get("/store/b/inbound.json", start=start, end=given)
            ids = [json.loads(line)["message_id"] for line in answer.text.splitlines()]
            self.assertEqual(ids, ["m1", "m2", "m3"])

    async def test_mistakes_in_parameters_are_the_clients(self) -> None:
        await self.worker()
        for path, words in (
            ("/store/b/inbound.json?start=yesterday", "Invalid 'start' parameter: 'yesterday'"),
            ("/store/b/inbound.json?end=1&end=2", "Invalid 'end' parameter"),
            ("/store/b/inbound.json?concurrency=x", "Invalid 'concurrency' parameter"),
            ("/store/b/inbound.json?concurrency=0", "Invalid 'concurrency' parameter"),
            ("/store/b/inbound.json?concurrency=999", "Invalid 'concurrency' parameter"),
            ("/store/b/inbound.json?start=%ff", "Invalid 'start' parameter"),
            ("/store/search.json?colour=red", "Invalid 'colour' parameter"),
            ("/store/search.json?address=", "Invalid 'address' parameter"),
            ("/store/search.json?status=lost", "Invalid 'status' parameter"),
            ("/store/search.json?direction=up", "Invalid 'direction' parameter"),
            ("/store/search.json?tag=x", "Invalid 'tag' parameter"),
            ("/store/search.json?limit=0", "Invalid 'limit' parameter"),
            ("/store/search.json?order=random", "Invalid 'order' parameter"),
            ("/store/search.json?start=2026-02-01&end=2026-01-01", "Invalid 'end' parameter"),
            ("/store/search.json?status=ack&direction=inbound", "Invalid 'status' parameter"),
        ):
            answer = await self.get(path)
            self.assertEqual((answer.code, words in answer.text), (400, True), answer.text)

    async def test_what_there_is_not(self) -> None:
        await self.worker()
        for path in ("/store/b/inbound.xml", "/store/", "/store/b/", "/", "/store/%ff/x"):
            self.assertEqual((await self.get(path)).code, 404, path)
        self.assertEqual((await self.get("/store/nobatch/inbound.json")).text, "")
        self.assertEqual(len((await self.get("/store/nobatch/events.csv")).text.splitlines()), 1)
        self.assertEqual((await self.get("/health/")).text, "OK")

    async def test_a_search_finds_by_what_is_asked_newest_first(self) -> None:
        worker = await self.worker()
        await fill(worker.store, 3)
        answer = await self.get("/store/search.json", text="hi", batch="b")
        rows = [json.loads(line) for line in answer.text.splitlines()]
        self.assertEqual([row["message"]["message_id"] for row in rows], ["m2", "m1", "m0"])
        self.assertEqual((rows[0]["direction"], rows[0]["batches"]), ("inbound", ["b"]))
        answer = await self.get("/store/search.csv", status="ack", limit="1", order="oldest")
        header, row = csv.reader(io.StringIO(answer.text, newline=""))
        self.assertEqual((header[0], row[0], row[2]), ("direction", "outbound", "m0"))
        answer = await self.get("/store/search.csv", direction="inbound")
        self.assertIn("'=hi 0", answer.text)


class TroubleTests(ServiceTestCase):
    async def test_a_store_that_is_away_is_told_by_the_status(self) -> None:
        worker = await self.worker()
        worker.store.archive.page = lambda *args: fail(StoreUnavailable("s3cret host is away"))
        answer = await self.get("/store/b/inbound.json")
        self.assertEqual((answer.code, "s3cret" in answer.text), (503, False))
        self.assertEqual(answer.headers["retry-after"], "5")
        worker.store.archive.search = lambda *args: fail(StoreError("No full text here."))
        answer = await self.get("/store/search.json", text="hi")
        self.assertEqual((answer.code, answer.text), (400, "No full text here.\n"))
        worker.store.archive.page = lambda *args: fail(ZeroDivisionError("oops"))
        answer = await self.get("/store/b/inbound.json")
        self.assertEqual((answer.code, "oops" in answer.text), (500, False))

    async def test_an_answer_that_cannot_be_finished_is_not_taken_for_a_whole_one(self) -> None:
        # It stalled for ever.
        worker = await self.worker()
        await fill(worker.store, export.PAGE + 1)
        page, pages = worker.store.archive.page, []

        def failing(*args: Any) -> Any:
            pages.append(args)
            return page(*args) if len(pages) < 2 else fail(StoreUnavailable("away"))

        worker.store.archive.page = failing
        with self.assertRaises((HTTPException, ConnectionError)):
            await self.get("/store/b/inbound.json")

    async def test_only_so_many_answers_are_written_at_a_time(self) -> None:
        worker = await self.worker(max_requests=1)
        await fill(worker.store, 1)
        page, asked, waiting = worker.store.archive.page, Deferred[None](), Deferred[None]()

        async def slow(*args: Any) -> Any:
            asked.callback(None)
            await waiting
            return await page(*args)

        worker.store.archive.page = slow
        first = Deferred.fromCoroutine(self.get("/store/b/inbound.json"))
        await asked
        second = await self.get("/store/b/inbound.json")
        self.assertEqual((second.code, second.headers["retry-after"]), (503, "5"))
        waiting.callback(None)
        self.assertEqual(len((await first).text.splitlines()), 1)
        worker.store.archive.page = page
        self.assertEqual((await self.get("/store/b/inbound.json")).code, 200)

    async def test_a_slow_client_is_waited_for_and_one_that_has_gone_is_not(self) -> None:
        worker = await self.worker()
        for number in range(40):
            big = message(number, content="x" * 200_000)
            await worker.store.add_inbound_message(big, batch_id="b")
        self.patch(export, "PAGE", 1)
        page, asked = worker.store.archive.page, []

        def asking(*args: Any) -> Any:
            asked.append(args)
            return page(*args)

        worker.store.archive.page = asking
        paused: Deferred[None] = Deferred()
        pause = ResponseStream.pauseProducing

        def pausing(stream: ResponseStream) -> None:
            pause(stream)
            if not paused.called:
                paused.callback(None)

        self.patch(ResponseStream, "pauseProducing", pausing)
        client = self.connect(worker)
        await paused
        # 8 MB are there; what kernels buffer is less.
        self.assertLess(len(asked), 40)
        client.read_on()
        await client.closed
        self.assertEqual(len(asked), 40)
        self.assertGreater(client.received, 40 * 200_000)

        asked.clear()
        paused = Deferred()
        gone = self.connect(worker)
        await paused
        gone.abort()
        await gone.closed
        self.assertLess(len(asked), 40)

    def connect(self, worker: Any) -> LazyClient:
        client = LazyClient(b"GET /store/b/inbound.json HTTP/1.0\r\n\r\n")
        factory = ClientFactory.forProtocol(lambda: client)
        factory.noisy = False
        worker.clock.connectTCP("127.0.0.1", worker.port.getHost().port, factory)
        return client


class LazyClient(Protocol):
    """Asks, and does not read until it is told to."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.received = 0
        self.closed: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._request)
        transport.pauseProducing()

    def read_on(self) -> None:
        transport: Any = self.transport
        transport.resumeProducing()

    def abort(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.closed.callback(None)


class LoginTests(ServiceTestCase):
    async def test_nobody_reads_messages_without_the_login(self) -> None:
        login_options = {"web_username": "me", "web_password": "s3cret:ü"}
        worker = await self.worker(**login_options, allow_anonymous=False)
        await fill(worker.store, 1)
        path = "/store/b/inbound.json"
        for login in (None, "me:wrong", "you:s3cret:ü", "me", ""):
            headers = {} if login is None else basic(login)
            answer = await self.ask(path, headers=headers)
            self.assertEqual(answer.code, 401)
            self.assertIn("Basic", answer.headers["www-authenticate"])
        answer = await self.ask(path, headers={"Authorization": "Basic !"})
        self.assertEqual(answer.code, 401)
        answer = await self.ask(path, headers={"Authorization": "Bearer x"})
        self.assertEqual(answer.code, 401)
        answer = await self.ask(path, headers=basic("me:s3cret:ü"))
        self.assertEqual((answer.code, len(answer.text.splitlines())), (200, 1))
        self.assertEqual((await self.get("/health/")).code, 200)

    async def test_half_a_login_is_refused(self) -> None:
        for options in (
            {"web_username": "me"},
            {"web_password": "x"},
            {"web_username": "a:b", "web_password": "x"},
            {"web_username": "", "web_password": ""},
            {"web_username": "me", "web_password": ""},
            {"max_requests": 0},
        ):
            for open_to_all in (False, True):
                with self.assertRaises(ConfigError):
                    await self.worker(**options, allow_anonymous=open_to_all)

    async def test_nobody_is_let_in_by_default(self) -> None:
        for options in ({}, {"allow_anonymous": False}):
            config = {k: v for k, v in self.config.items() if k != "allow_anonymous"}
            with self.assertRaises(ConfigError) as caught:
                await self.helper.get_worker(self.worker_class, {**config, **options})
            self.assertIn("web_username", str(caught.exception))
        with self.assertRaises(ConfigError):
            await self.worker(web_username="me", web_password="x", allow_anonymous=True)

    async def test_the_old_options_still_say_where_to_listen(self) -> None:
        config = {**CONFIG, "port": 0, "host": "127.0.0.1"}
        del config["twisted_endpoint"]
        worker = await self.helper.get_worker(MessageStoreResourceWorker, config)
        self.assertEqual(worker.port.getHost().host, "127.0.0.1")

    async def test_a_worker_that_cannot_listen_lets_go_of_the_store(self) -> None:
        worker = await self.worker()
        port = worker.port.getHost().port
        helper = self.add_helper(WorkerHelper())
        with self.assertRaises(Exception):  # noqa: B017 (CannotListenError, or what wraps it)
            await helper.get_worker(
                MessageStoreResourceWorker,
                {**CONFIG, "twisted_endpoint": f"tcp:{port}:interface=127.0.0.1"},
            )


def basic(login: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def test_slots_are_bounded() -> None:
    slots = Slots(1)
    assert slots.take()
    assert not slots.take()
    slots.give_back()
    assert slots.take()


def test_an_error_names_its_parameter() -> None:
    assert ParameterError("start", "no time").part == "start"
