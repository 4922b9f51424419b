"""JSON-RPC over HTTP: the methods of an object, for whoever posts a request.

Knows the forms of requests and responses; knows nothing of what the methods do. What they take is
declared by :mod:`vumi.rpc`, or by their Python signature.

JSON-RPC 2.0 (https://www.jsonrpc.org/specification), with batches and notifications, and two older
forms. Which one a request has shows in it, and the response has the same:

=======  =================================  ===============================================
form     request                            response
=======  =================================  ===============================================
2.0      ``jsonrpc`` is ``2.0``             ``{jsonrpc, id, result}``, or ``error`` in place
                                            of ``result``
1.0      ``id``                             ``{id, result, error}``, one of the two null
before   neither                            ``[result]``, or ``{fault, faultCode,
                                            faultString}``
=======  =================================  ===============================================

The last one is what clients of the old Vumi's services use (txJSON-RPC's default).
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.web.pages import errorPage
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from vumi.errors import VumiError
from vumi.payload import encode_payload
from vumi.rpc import RpcCheckError, RpcResultError
from vumi.tasks import in_background, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure
    from twisted.web.http import Request

__all__ = ["JsonRpcFault", "JsonRpcResource"]

# What JSON-RPC 2.0 defines.
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
#: A method has refused, in its own words. The number is txJSON-RPC's.
FAILURE = 8002

PREFIX = "jsonrpc_"


class JsonRpcFault(VumiError):
    """A request that fails on purpose.

    :param code: A number for programs.
    :param message: A sentence for people.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class JsonRpcResource(Resource):
    """Serves its own methods whose names begin with ``jsonrpc_``.

    A method may return a Deferred or be ``async``. What it raises becomes an error: a
    :class:`JsonRpcFault` with its code, another :class:`~vumi.errors.VumiError` with its words;
    anything else is logged, and the caller learns no more than that it happened.
    """

    isLeaf = True

    log = Logger()

    def __init__(self) -> None:
        super().__init__()
        self._others: dict[str, Any] = {}

    def put_sub_handler(self, prefix: str, handler: object) -> None:
        """Serve the methods of another object, too.

        :param prefix: What their names begin with, before a dot.
        """
        self._others[prefix] = handler

    def add_introspection(self) -> None:
        """Serve ``system.listMethods``, ``system.methodHelp`` and ``system.methodSignature``."""
        self.put_sub_handler("system", _Introspection(self))

    def method_names(self) -> list[str]:
        """The names of all methods, sorted."""
        names = _method_names(self)
        for prefix, other in self._others.items():
            names += (f"{prefix}.{name}" for name in _method_names(other))
        return sorted(names)

    def find_method(self, name: Any) -> Callable[..., Any]:
        """The method of a name.

        :raises JsonRpcFault: There is none.
        """
        if not isinstance(name, str):
            raise JsonRpcFault(INVALID_REQUEST, "The method must be a text.")
        prefix, dot, rest = name.partition(".")
        owner, short = (self._others.get(prefix), rest) if dot else (self, name)
        found = getattr(owner, PREFIX + short, None)
        if not callable(found):
            raise JsonRpcFault(METHOD_NOT_FOUND, f"There is no method {name!r}.")
        method: Callable[..., Any] = found
        return method

    # HTTP

    def render(self, request: Request) -> bytes | int:
        """Answer a request."""
        if request.method != b"POST":
            # Not left to the base: its page is one that Twisted itself has deprecated.
            request.setHeader(b"allow", b"POST")
            page: Any = errorPage(405, "Method Not Allowed", "JSON-RPC requests are posted.")
            refused: bytes = page.render(request)
            return refused
        in_background(self._render(request), self.log, "Answering a JSON-RPC request")
        return NOT_DONE_YET

    async def _render(self, request: Request) -> None:
        body = b"" if request.content is None else request.content.read()
        gone: list[Failure] = []
        finished: Deferred[None] = request.notifyFinish()
        _ = finished.addErrback(gone.append)
        answer = await self.answer(body)
        if gone:
            return
        if answer is None:
            request.setResponseCode(204)
        else:
            request.setHeader(b"content-type", b"application/json")
            request.setHeader(b"content-length", str(len(answer)).encode("ascii"))
            request.write(answer)
        request.finish()

    # Requests

    async def answer(self, body: bytes) -> bytes | None:
        """Do what a request asks for.

        :param body: The request, or a batch of them, as JSON.
        :returns: The response as JSON; ``None`` if the request wants none.
        """
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            fault = JsonRpcFault(PARSE_ERROR, "The request is not JSON.")
            return encode_payload(_Call({"jsonrpc": "2.0"}).failed(fault))
        if not isinstance(asked, list):
            return await self._answer_one(asked)
        if not asked:
            fault = JsonRpcFault(INVALID_REQUEST, "The batch is empty.")
            return encode_payload(_Call({"jsonrpc": "2.0"}).failed(fault))
        answers = [await self._answer_one(one) for one in asked]
        given = [answer for answer in answers if answer is not None]
        return b"[%s]" % b",".join(given) if given else None

    async def _answer_one(self, asked: Any) -> bytes | None:
        call = _Call(asked)
        try:
            encoded = encode_payload(call.succeeded(await self._call(call)))
        except Exception as error:  # noqa: BLE001 (whatever a method raises is told and logged)
            encoded = encode_payload(call.failed(self._fault(error, call.method)))
        return encoded if call.wants_answer else None

    def _fault(self, error: Exception, method: Any) -> JsonRpcFault:
        """What the caller is told of an error. Called while it is being handled."""
        if isinstance(error, JsonRpcFault):
            return error
        if isinstance(error, VumiError) and not isinstance(error, RpcResultError):
            is_callers = isinstance(error, RpcCheckError)
            return JsonRpcFault(INVALID_PARAMS if is_callers else FAILURE, str(error))
        self.log.failure("JSON-RPC method {method} failed", method=method)
        return JsonRpcFault(INTERNAL_ERROR, "Internal error.")

    async def _call(self, call: _Call) -> Any:
        call.check()
        method = self.find_method(call.method)
        args, kw = call.arguments()
        try:
            inspect.signature(method).bind(*args, **kw)
        except TypeError as error:
            raise JsonRpcFault(INVALID_PARAMS, f"Wrong parameters: {error}.") from None
        return await settle(method(*args, **kw))


class _Call:
    """One request, and the form of its response."""

    def __init__(self, asked: Any) -> None:
        self._asked = asked
        fields: dict[str, Any] = asked if isinstance(asked, dict) else {"jsonrpc": "2.0"}
        self.method = fields.get("method")
        self._params = fields.get("params")
        self._id = fields.get("id")
        self._is_2 = "jsonrpc" in fields
        self._is_1 = not self._is_2 and "id" in fields
        self.wants_answer = True
        if isinstance(asked, dict) and isinstance(self.method, str):
            if self._is_2:
                self.wants_answer = "id" in fields
            elif self._is_1:
                self.wants_answer = self._id is not None

    def check(self) -> None:
        """Check the request's form.

        :raises JsonRpcFault: It is no request.
        """
        if not isinstance(self._asked, dict):
            raise JsonRpcFault(INVALID_REQUEST, "A request is an object.")
        if self._is_2 and self._asked["jsonrpc"] not in ("2.0", 2, 2.0):
            raise JsonRpcFault(INVALID_REQUEST, "Only JSON-RPC 2.0 is known by its version.")
        if isinstance(self._id, dict | list):
            self._id = None
            raise JsonRpcFault(INVALID_REQUEST, "An id is a text or a number.")

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """What the method is called with."""
        params = self._params
        if params is None:
            return [], {}
        if isinstance(params, dict):
            return [], params
        if isinstance(params, list):
            return params, {}
        raise JsonRpcFault(INVALID_PARAMS, "Parameters are a list or an object.")

    def succeeded(self, result: Any) -> Any:
        """The response with a result."""
        if self._is_2:
            return {"jsonrpc": "2.0", "id": self._id, "result": result}
        if self._is_1:
            return {"id": self._id, "result": result, "error": None}
        return [result]

    def failed(self, fault: JsonRpcFault) -> Any:
        """The response with an error."""
        error = {"code": fault.code, "message": str(fault)}
        if self._is_2:
            return {"jsonrpc": "2.0", "id": self._id, "error": error}
        if self._is_1:
            return {"id": self._id, "result": None, "error": error}
        return {"fault": "Fault", "faultCode": fault.code, "faultString": str(fault)}


class _Introspection:
    """What JSON-RPC clients ask about the methods that there are."""

    def __init__(self, resource: JsonRpcResource) -> None:
        self._resource = resource

    def jsonrpc_listMethods(self) -> list[str]:
        """The names of all methods."""
        return self._resource.method_names()

    def jsonrpc_methodHelp(self, method: str) -> str:
        """What a method does, in words."""
        return inspect.getdoc(self._resource.find_method(method)) or ""

    def jsonrpc_methodSignature(self, method: str) -> Any:
        """The types of a method's result and parameters; an empty text if they are not known."""
        return getattr(self._resource.find_method(method), "signature", None) or ""


def _method_names(owner: object) -> list[str]:
    return [name.removeprefix(PREFIX) for name in dir(owner) if name.startswith(PREFIX)]
