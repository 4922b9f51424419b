from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from vumi.application.sandbox.resources.http import HttpClientResource
from vumi.application.sandbox.resources.tests.utils import ResourceTestCaseBase
from vumi.application.sandbox.resources.tls import (
    HttpClientContextFactory,
    HttpClientPolicyForHTTPS,
    make_context_factory,
)
from vumi.errors import ConfigError
from vumi.tests.certificates import make_test_certificates
from vumi.tests.fake_connection import wait0
from vumi.web.tests.raw_server import RawServer, response


class HttpTestCase(ResourceTestCaseBase):
    resource_cls: Any = HttpClientResource
    timeout = 30

    async def make(self, *answers: bytes | None, **config: Any) -> None:
        """A resource that may reach a server, which answers so."""
        self.server = RawServer(answers or [response(b"here")])
        self.server.start()
        self.add_cleanup(self.server.stop)
        await self.create_resource({"allowed_hosts": ["127.0.0.1"], **config})

    async def ask(self, cmd: str = "get", **fields: Any) -> Any:
        reply = await self.dispatch_command(cmd, **{"url": self.server.url, **fields})
        return reply.payload

    async def reason(self, cmd: str = "get", **fields: Any) -> str:
        reply = await self.ask(cmd, **fields)
        self.assertIs(reply["success"], False)
        reason: str = reply["reason"]
        return reason

    def requested(self) -> tuple[str, dict[str, str], bytes]:
        """The last request: its first line, headers and body."""
        head, _, body = self.server.requests[-1].partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [line.split(": ", 1) for line in lines]
        return first, {name.lower(): value for name, value in headers}, body


class RequestTests(HttpTestCase):
    async def test_every_method(self) -> None:
        await self.make(response(b"there", "201 Created", X_More="one"))
        for cmd in ("get", "put", "delete", "post", "patch"):
            reply = await self.ask(cmd)
            self.assertEqual((reply["success"], reply["code"]), (True, 201))
            self.assertEqual(reply["body"], "there")
            self.assertEqual(reply["headers"]["x-more"], ["one"])
            self.assertEqual(self.requested()[0], f"{cmd.upper()} /relay HTTP/1.1")

    async def test_a_status_of_an_error_is_an_answer_too(self) -> None:
        await self.make(response(b"no", "404 Not Found"))
        reply = await self.ask()
        self.assertEqual((reply["success"], reply["code"], reply["body"]), (True, 404, "no"))

    async def test_headers_and_body_are_sent(self) -> None:
        await self.make()
        await self.ask("post", headers={"X-One": ["a", "b"], "x-two": "c"}, data="\N{SNOWMAN}")
        _first, headers, body = self.requested()
        self.assertEqual((headers["x-one"], headers["x-two"]), ("b", "c"))
        self.assertIn(b"x-one: a\r\n", self.server.requests[-1].lower())
        self.assertEqual(body, "\N{SNOWMAN}".encode())

    async def test_how_a_request_is_framed_is_not_the_programs_to_say(self) -> None:
        await self.make()
        await self.ask(
            "post",
            headers={
                "Content-Length": ["1"],
                "transfer-encoding": ["chunked"],
                "Connection": ["upgrade"],
            },
            data="four",
        )
        _first, headers, body = self.requested()
        self.assertEqual((headers["content-length"], headers["connection"]), ("4", "close"))
        self.assertNotIn("transfer-encoding", headers)
        self.assertEqual(body, b"four")

    async def test_files_are_sent_as_a_form(self) -> None:
        await self.make()
        files = {
            "photo": {
                "file_name": 'a "b".png',
                "content_type": "image/png",
                "data": base64.b64encode(b"\x89PNG\xff").decode(),
            }
        }
        reply = await self.ask("post", files=files, data={"caption": "Hi"})
        self.assertIs(reply["success"], True)
        _first, headers, body = self.requested()
        kind, _, boundary = headers["content-type"].partition("; boundary=")
        self.assertEqual(kind, "multipart/form-data")
        self.assertIn(boundary.encode(), body)
        for part in (b"image/png", b"\x89PNG\xff", b'name="photo"', b'name="caption"', b"\nHi\r"):
            self.assertIn(part, body)

    async def test_what_can_not_be_sent_is_told_in_words(self) -> None:
        await self.make()
        file = {"file_name": "a", "content_type": "b", "data": "Yw=="}
        cases: list[tuple[dict[str, Any], str]] = [
            ({"url": None}, "No URL given"),
            ({"url": 5}, "No URL given"),
            ({"url": "/relative"}, "must begin with http"),
            ({"url": "file:///etc/passwd"}, "must begin with http"),
            ({"url": "http:///x"}, "has no host"),
            ({"url": "http://a:99999/"}, "can't be read"),
            ({"url": "http://[::1/"}, "can't be read"),
            ({"url": "http://127.0.0.1@example.org/"}, "must not have a user"),
            ({"headers": ["a"]}, "'headers' must be an object."),
            ({"headers": {"a": 5}}, "must be a list of texts"),
            ({"headers": {"a": ["b\r\nc: d"]}}, "can't be sent"),
            ({"headers": {"a b": ["c"]}}, "can't be sent"),
            ({"data": 5}, "'data' must be a text or null."),
            ({"files": {"a": {}}}, "must have 'file_name'"),
            ({"files": {"a": None}}, "must have 'file_name'"),
            ({"files": {"a": {**file, "data": "?"}}}, "must have 'file_name'"),
            ({"files": {"a": {**file, "file_name": "a\r\nb"}}}, "can't be sent"),
            ({"files": {"a": file}, "data": "text"}, "must be an object of texts"),
            ({"files": {"a": file}, "data": {"x": 5}}, "must be a text"),
            ({"verify_options": "VERIFY_NONE"}, "must be a list of texts"),
            ({"verify_options": []}, "must not be empty"),
            ({"verify_options": ["VERIFY_MAYBE"]}, "can't be 'VERIFY_MAYBE'"),
            ({"ssl_method": "SSLv2"}, "can't be 'SSLv2'"),
            ({"body_encoding": "rot13"}, "must be text or base64"),
        ]
        for fields, words in cases:
            self.assertIn(words, await self.reason("post", **fields))
        self.assertEqual(self.server.requests, [])

    async def test_where_requests_may_not_go_is_told(self) -> None:
        await self.make(allowed_hosts=[])
        self.assertEqual(await self.reason(), "127.0.0.1 must not be reached from here.")
        self.assertEqual(self.server.requests, [])

    async def test_a_redirect_of_get_and_head_is_followed(self) -> None:
        away = response(b"", "302 Found", Location="/there")
        await self.make(away, response(b"arrived"))
        self.assertEqual((await self.ask("get"))["body"], "arrived")
        self.assertEqual(self.requested()[0], "GET /there HTTP/1.1")

    async def test_a_redirect_to_where_requests_may_not_go_is_not_followed(self) -> None:
        inside = response(b"", "302 Found", Location="http://127.0.0.2:1/latest/meta-data")
        await self.make(inside)
        self.assertEqual(await self.reason(), "127.0.0.2 must not be reached from here.")
        self.server.answers = [response(b"", "302 Found", Location="file:///etc/passwd")]
        self.assertIn("Unsupported scheme", await self.reason())

    async def test_a_redirect_of_another_method_is_a_failure(self) -> None:
        await self.make(response(b"", "302 Found", Location="/there"))
        for cmd in ("post", "put", "patch", "delete"):
            self.assertIn("302", await self.reason(cmd))

    async def test_a_server_that_is_not_there(self) -> None:
        await self.make()
        await self.server.stop()
        self.assertIn("refused", await self.reason())

    async def test_a_name_that_is_not_there(self) -> None:
        await self.make()
        self.assertIn("lookup", await self.reason(url="http://nowhere.invalid/"))

    async def test_a_connection_that_is_lost(self) -> None:
        await self.make(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        self.server.close = True
        self.assertNotEqual(await self.reason(), "")


class AnswerTests(HttpTestCase):
    async def test_what_is_too_big_is_cut_off_while_it_comes(self) -> None:
        # It never ends: a limit that is looked at when all is there would never be.
        endless = response(b"x" * 101, length=False)
        await self.make(endless, data_limit=100)
        reason = await self.reason()
        self.assertEqual(reason, "Received more than 100 bytes, maximum of 100 bytes allowed.")
        await self.server.gone.get()

    async def test_what_is_just_not_too_big(self) -> None:
        await self.make(response(b"x" * 100), data_limit=100)
        self.assertEqual((await self.ask())["body"], "x" * 100)

    async def test_what_becomes_too_big_when_decompressed(self) -> None:
        bomb = gzip.compress(b"\0" * 1_000_000)
        await self.make(response(bomb, Content_Encoding="gzip"), data_limit=10_000)
        self.assertIn("maximum of 10000 bytes", await self.reason())

    async def test_a_head_may_tell_of_any_length(self) -> None:
        await self.make(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", data_limit=10)
        reply = await self.ask("head")
        self.assertEqual((reply["success"], reply["body"]), (True, ""))
        self.assertEqual(reply["headers"]["content-length"], ["1000000"])

    async def test_what_takes_too_long_is_given_up(self) -> None:
        await self.make(None, timeout=0.05)
        self.assertEqual(await self.reason(), "Timeout while connecting")
        self.server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"]
        self.assertEqual(await self.reason(), "Timeout while receiving data")

    async def test_texts_in_other_encodings(self) -> None:
        await self.make()
        for content, kind, text in [
            (b"caf\xe9", "text/plain; charset=latin-1", "caf\xe9"),
            ("caf\xe9".encode(), "text/plain", "caf\xe9"),
            ("caf\xe9".encode(), "text/plain; charset=no-such-thing", "caf\xe9"),
            # It says one thing and is another.
            ("\u2026".encode(), "text/plain; charset=ascii", "\u2026"),
        ]:
            self.server.answers = [response(content, Content_Type=kind)]
            self.assertEqual((await self.ask())["body"], text)

    async def test_a_body_that_is_no_text(self) -> None:
        await self.make(response(b"\xff\xd8"))
        self.assertIn("body_encoding", await self.reason())
        reply = await self.ask(body_encoding="base64")
        self.assertEqual(base64.b64decode(reply["body"]), b"\xff\xd8")

    async def test_every_answer_can_be_written_as_json(self) -> None:
        await self.make(response(zlib.compress(b"x"), X_Odd="\xff"))
        json.dumps(await self.ask(body_encoding="base64"))


class TurnTests(HttpTestCase):
    async def test_only_so_many_at_once_for_each_sandbox(self) -> None:
        await self.make(None, requests_at_once=2)
        asked = [self.dispatch_command("get", url=self.server.url) for _ in range(5)]
        self.api.sandbox_id = "other"
        other = self.dispatch_command("get", url=self.server.url)
        while len(self.server.requests) < 3:
            await wait0()
        self.assertEqual(len(self.server.connections), 3)
        self.server.answers = [response(b"late")]
        for connection in list(self.server.connections):
            connection.transport.write(response(b"late"))
        for reply in [*asked, other]:
            self.assertIs((await reply)["success"], True)
        self.assertEqual(len(self.server.requests), 6)
        self.assertEqual((self.resource._turns, dict(self.resource._asking)), ({}, {}))

    async def test_what_is_under_way_when_the_worker_stops_is_given_up(self) -> None:
        await self.make(None)
        asked = self.dispatch_command("get", url=self.server.url)
        while not self.server.requests:
            await wait0()
        self.resource.teardown()
        self.assertEqual((await asked)["reason"], "The worker is stopping.")


class Echo(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes | int:
        if request.path == b"/never":
            return NOT_DONE_YET
        return b"secure"


class TlsTests(ResourceTestCaseBase):
    resource_cls = HttpClientResource
    timeout = 30

    async def serve(self) -> str:
        self.files = await deferToThread(make_test_certificates, self.mktemp())
        pem = self.files.server_certificate.read_bytes() + self.files.server_key.read_bytes()
        options = PrivateCertificate.loadPEM(pem).options()
        port: Any = reactor.listenSSL(0, Site(Echo()), options, interface="127.0.0.1")  # type: ignore[attr-defined]  # mypy sees a module
        self.add_cleanup(port.stopListening)
        return f"https://localhost:{port.getHost().port}/"

    async def test_a_certificate_that_nobody_trusts_is_not_trusted(self) -> None:
        url = await self.serve()
        await self.create_resource({"allowed_hosts": ["localhost"]})
        for fields in ({}, {"verify_options": ["VERIFY_PEER"]}, {"ssl_method": "SSLv3"}):
            reply = await self.dispatch_command("get", url=url, **fields)
            self.assertEqual(reply["reason"], "TLS: certificate verify failed")

    async def test_verification_can_be_switched_off_for_one_request(self) -> None:
        url = await self.serve()
        await self.create_resource({"allowed_hosts": ["localhost"]})
        reply = await self.dispatch_command("get", url=url, verify_options=["VERIFY_NONE"])
        self.check_reply(reply, body="secure")
        # Together with others it has no effect.
        options = ["VERIFY_NONE", "VERIFY_PEER"]
        reply = await self.dispatch_command("get", url=url, verify_options=options)
        self.check_reply(reply, success=False)
        reply = await self.dispatch_command("get", url=url)
        self.check_reply(reply, success=False)

    async def test_authorities_of_ones_own(self) -> None:
        url = await self.serve()
        ca_certs = str(self.files.ca_certificate)
        await self.create_resource({"allowed_hosts": ["localhost"], "ca_certs": ca_certs})
        for fields in ({}, {"ssl_method": "TLSv1"}):
            reply = await self.dispatch_command("get", url=url, **fields)
            self.check_reply(reply, body="secure", code=200)

    async def test_authorities_that_can_not_be_read(self) -> None:
        for path in ("/no/such/file", __file__):
            with self.assertRaises(ConfigError):
                await self.create_resource({"ca_certs": path})

    def test_the_old_names(self) -> None:
        for factory in (make_context_factory(), make_context_factory(verify_options=1)):
            self.assertIsInstance(factory, HttpClientPolicyForHTTPS)
        factory = make_context_factory(ssl_method=3, verify_options=0)
        self.assertIsInstance(factory, HttpClientContextFactory)
        self.assertEqual((factory.ssl_method, factory.verify_options), (3, 0))
        self.assertIs(factory.getContext("x", 1), factory.getContext())


class OptionTests(HttpTestCase):
    def test_bad_options_are_refused(self) -> None:
        for config in (
            {"timeout": 0},
            {"data_limit": -1},
            {"requests_at_once": 0},
            {"allowed_hosts": ["http://x/"]},
            {"denied_networks": ["name"]},
        ):
            with self.assertRaises(ConfigError):
                HttpClientResource("http", None, config)
