"""JSON-RPC: the forms of requests and responses, and what callers learn of failures."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from vumi.errors import VumiError
from vumi.rpc import Int, Unicode, signature
from vumi.web.jsonrpc import JsonRpcFault, JsonRpcResource


class Methods(JsonRpcResource):
    def __init__(self) -> None:
        super().__init__()
        self.called: list[Any] = []
        self.waiting: Deferred[Any] = Deferred()

    @signature(a=Int("One."), b=Int("Another."), returns=Int())
    def jsonrpc_add(self, a: int, b: int = 1) -> int:
        """Adds."""
        return a + b

    def jsonrpc_echo(self, *args: Any, **kw: Any) -> Any:
        self.called.append(args)
        return [list(args), kw]

    def jsonrpc_deferred(self) -> Any:
        return succeed("deferred")

    async def jsonrpc_coroutine(self) -> str:
        return "coroutine"

    def jsonrpc_wait(self) -> Any:
        return self.waiting

    def jsonrpc_fault(self) -> None:
        raise JsonRpcFault(404, "Nobody is there.")

    def jsonrpc_refuse(self) -> None:
        raise VumiError("I would rather not.")

    def jsonrpc_crash(self) -> None:
        raise RuntimeError("the password is 1234")

    @signature(returns=Unicode())
    def jsonrpc_wrong(self) -> Any:
        return 5

    def jsonrpc_unsayable(self) -> Any:
        return object()

    def one_argument(self, a: Any) -> Any:
        return a

    jsonrpc_one = one_argument


class AnswerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.methods = Methods()

    def ask(self, request: Any) -> Any:
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        answer = self.successResultOf(Deferred.fromCoroutine(self.methods.answer(body)))
        return None if answer is None else json.loads(answer)

    def test_the_response_has_the_form_of_the_request(self) -> None:
        call: dict[str, Any] = {"method": "add", "params": [1, 2]}
        self.assertEqual(
            self.ask({**call, "jsonrpc": "2.0", "id": "x"}),
            {"jsonrpc": "2.0", "id": "x", "result": 3},
        )
        self.assertEqual(self.ask({**call, "id": 7}), {"id": 7, "result": 3, "error": None})
        self.assertEqual(self.ask(call), [3])

    def test_so_has_an_error(self) -> None:
        error = {"code": 404, "message": "Nobody is there."}
        self.assertEqual(
            self.ask({"method": "fault", "jsonrpc": "2.0", "id": "x"}),
            {"jsonrpc": "2.0", "id": "x", "error": error},
        )
        self.assertEqual(
            self.ask({"method": "fault", "id": 7}), {"id": 7, "result": None, "error": error}
        )
        self.assertEqual(
            self.ask({"method": "fault"}),
            {"fault": "Fault", "faultCode": 404, "faultString": "Nobody is there."},
        )

    def test_methods_of_all_styles(self) -> None:
        for method in ("deferred", "coroutine"):
            self.assertEqual(self.ask({"method": method}), [method])

    def test_parameters_by_place_by_name_and_none(self) -> None:
        for params, args, kw in [([1, "x"], [1, "x"], {}), ({"a": 1}, [], {"a": 1})]:
            self.assertEqual(self.ask({"method": "echo", "params": params}), [[args, kw]])
        self.assertEqual(self.ask({"method": "echo"}), [[[], {}]])

    def error(self, request: Any) -> tuple[int, str]:
        answer = self.ask(request)
        self.assertEqual(answer["jsonrpc"], "2.0")
        return answer["error"]["code"], answer["error"]["message"]

    def test_what_is_wrong_with_a_request(self) -> None:
        call = {"jsonrpc": "2.0", "id": 1}
        cases: list[tuple[Any, int, str]] = [
            (b"{", -32700, "not JSON"),
            (b"\xff", -32700, "not JSON"),
            (b"[" * 100_000, -32700, "not JSON"),
            ([], -32600, "empty"),
            (5, -32600, "object"),
            ({**call, "jsonrpc": "3.0", "method": "add"}, -32600, "2.0"),
            ({**call, "id": [1], "method": "add"}, -32600, "id"),
            (call, -32600, "method"),
            ({**call, "method": 5}, -32600, "method"),
            ({**call, "method": "unknown"}, -32601, "unknown"),
            ({**call, "method": "unknown.add"}, -32601, "unknown.add"),
            ({**call, "method": "answer"}, -32601, "answer"),
            ({**call, "method": "add", "params": "x"}, -32602, "list or an object"),
            ({**call, "method": "add", "params": ["x"]}, -32602, "Int value expected for a"),
            ({**call, "method": "add", "params": {"a": 1}}, -32602, "Keyword"),
            ({**call, "method": "add"}, -32602, "'a'"),
            ({**call, "method": "one", "params": [1, 2]}, -32602, "too many"),
        ]
        for request, code, words in cases:
            got, message = self.error(request)
            self.assertEqual(got, code, request)
            self.assertIn(words, message)

    def test_a_refusal_in_vumis_own_words_is_told(self) -> None:
        call = {"jsonrpc": "2.0", "id": 1, "method": "refuse"}
        self.assertEqual(self.error(call), (8002, "I would rather not."))

    def test_what_goes_wrong_inside_is_logged_and_not_told(self) -> None:
        for method, logged in [
            ("crash", RuntimeError),
            ("wrong", VumiError),
            ("unsayable", TypeError),
        ]:
            call = {"jsonrpc": "2.0", "id": 1, "method": method}
            self.assertEqual(self.error(call), (-32603, "Internal error."))
            self.assertEqual(len(self.flushLoggedErrors(logged)), 1)

    def test_notifications_are_done_and_not_answered(self) -> None:
        for request in (
            {"jsonrpc": "2.0", "method": "echo", "params": [1]},
            {"jsonrpc": "2.0", "method": "unknown"},
            {"id": None, "method": "echo", "params": [2]},
        ):
            self.assertIsNone(self.ask(request))
        self.assertEqual(self.methods.called, [(1,), (2,)])

    def test_a_batch(self) -> None:
        call = {"jsonrpc": "2.0", "method": "add"}
        answers = self.ask(
            [{**call, "id": 1, "params": [1]}, {**call, "params": [5]}, 5, {**call, "id": 2}]
        )
        self.assertEqual([answer.get("result") for answer in answers], [2, None, None])
        self.assertEqual([answer["id"] for answer in answers], [1, None, 2])
        self.assertIsNone(self.ask([{**call, "params": [1]}]))

    def test_introspection(self) -> None:
        self.methods.add_introspection()
        [names] = self.ask({"method": "system.listMethods"})
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"add", "echo", "system.listMethods", "system.methodHelp"}, {*names})
        self.assertNotIn("answer", names)
        [words] = self.ask({"method": "system.methodHelp", "params": ["add"]})
        self.assertIn("Adds.", words)
        self.assertIn(":param Int a:\n    One.", words)
        [types] = self.ask({"method": "system.methodSignature", "params": ["add"]})
        self.assertEqual(types, [["int", "int", "int"]])
        self.assertEqual(self.ask({"method": "system.methodSignature", "params": ["echo"]}), [""])
        answer = self.ask({"method": "system.methodHelp", "params": ["unknown"]})
        self.assertEqual(answer["faultCode"], -32601)


class HttpTests(TestCase):
    def post(self, methods: Methods, body: bytes) -> Any:
        request: Any = DummyRequest([b""])
        request.method = b"POST"
        request.content = _Content(body)
        self.assertEqual(methods.render(request), NOT_DONE_YET)
        return request

    def test_a_response_is_json(self) -> None:
        request = self.post(Methods(), b'{"method": "add", "params": [1, 2]}')
        self.assertEqual(b"".join(request.written), b"[3]")
        headers = request.responseHeaders
        self.assertEqual(headers.getRawHeaders(b"content-type"), [b"application/json"])
        self.assertEqual(headers.getRawHeaders(b"content-length"), [b"3"])
        self.assertEqual(request.finished, 1)

    def test_a_notification_has_no_content(self) -> None:
        request = self.post(Methods(), b'{"jsonrpc": "2.0", "method": "echo"}')
        self.assertEqual((request.responseCode, request.written), (204, []))

    def test_a_caller_who_has_gone_gets_no_answer(self) -> None:
        methods = Methods()
        request = self.post(methods, b'{"method": "wait"}')
        request.processingFailed(VumiError("gone"))
        methods.waiting.callback(5)
        self.assertEqual((request.written, request.finished), ([], 0))


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self) -> bytes:
        return self._body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": json_values | st.just("2.0"),
        "id": json_values,
        "method": json_values | st.sampled_from(["echo", "add", "one", "system.listMethods"]),
        "params": json_values,
    },
)


@given(st.binary() | (json_values | requests | st.lists(requests)).map(json.dumps))
def test_every_request_is_answered_by_json_or_not_at_all(request: bytes | str) -> None:
    body = request.encode() if isinstance(request, str) else request
    answers: list[bytes | None] = []
    _ = Deferred.fromCoroutine(Methods().answer(body)).addCallback(answers.append)
    [answer] = answers
    if answer is not None:
        json.loads(answer)
