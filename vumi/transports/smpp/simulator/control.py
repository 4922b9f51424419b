"""The simulator over HTTP: messages from phones go in, what ESMEs have sent comes out, as JSON.

Knows requests and responses. What they do is the :class:`~vumi.transports.smpp.simulator.Smsc`'s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from vumi.errors import ConfigError, VumiError
from vumi.tasks import in_background, on_outcome
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.pdu import tlv

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.server import Request

    from vumi.transports.smpp.pdu import Tlv
    from vumi.transports.smpp.simulator.smsc import Smsc

__all__ = ["USAGE", "Control"]

#: What the front page says.
USAGE = """\
A simulated SMSC.

POST /mo           {"from": ..., "to": ..., "text": ...}: a message from a phone. Also account,
                   split (udh8, udh16, sar, payload), tlvs (a mapping of names or numbers to
                   numbers or texts), wait (seconds; 0: not at all). Answers when the ESME has:
                   {"statuses": ["ESME_ROK"]}
POST /report       {"id": ..., "state": ...}: a delivery report
GET /messages      what ESMEs have sent; ?from=...&to=...&text=...&limit=100
DELETE /messages   forget them
GET /binds         who is bound
PUT /rules         [...]: behave so from now on
POST /freeze       {"seconds": ...}: do nothing for a while
POST /disconnect   {"account": ...}, or {}: cut connections
"""
DEFAULT_WAIT, DEFAULT_LIMIT = 10.0, 1000


class _Wrong(Exception):
    """A request is not understood; the text says why."""


class Control(Resource):
    """All of it.

    :param smsc: What it controls.
    """

    isLeaf = True

    log = Logger()

    def __init__(self, smsc: Smsc) -> None:
        super().__init__()
        self._smsc = smsc
        self._doings: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "binds"): self._binds,
            ("GET", "messages"): self._messages,
            ("DELETE", "messages"): self._forget,
            ("POST", "mo"): self._mo,
            ("POST", "report"): self._report,
            ("PUT", "rules"): self._rules,
            ("POST", "freeze"): self._freeze,
            ("POST", "disconnect"): self._disconnect,
        }

    def render(self, request: Request) -> Any:
        """Answer a request."""
        path = request.path.decode("ascii", "replace").strip("/")
        method = request.method.decode("ascii", "replace")
        if not path and method in ("GET", "HEAD"):
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            return USAGE.encode()
        doing = self._doings.get((method, path))
        if doing is None:
            known = any(name == path for _, name in self._doings)
            return _answer(request, 405 if known else 404, {"error": "See / for what there is."})
        in_background(self._do(request, doing), self.log, f"{method} /{path}")
        return NOT_DONE_YET

    async def _do(self, request: Request, doing: Callable[[Request], Any]) -> None:
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)
        status = 200
        try:
            result = doing(request)
            if isinstance(result, Deferred):
                result = await result
        except _Wrong as error:
            status, result = 400, {"error": str(error)}
        except ConfigError as error:
            status, result = 400, {"error": " ".join(error.problems)}
        except VumiError as error:
            status, result = 400, {"error": str(error)}
        except DeferredTimeout:
            status, result = 504, {"error": "No answer yet. It is still to be sent."}
        except Exception:  # noqa: BLE001 (whoever asks would wait for ever)
            self.log.failure("A request failed")
            status, result = 500, {"error": "That failed; see the log."}
        if not gone:
            request.write(_answer(request, status, result))
            request.finish()

    # What can be asked for

    def _binds(self, request: Request) -> Any:
        return self._smsc.binds()

    def _messages(self, request: Request) -> Any:
        wanted = {
            name: _argument(request, name)
            for name in ("from", "to", "text")
            if _argument(request, name) is not None
        }
        limit = _argument(request, "limit") or str(DEFAULT_LIMIT)
        if not limit.isdecimal():
            raise _Wrong("limit is no number.")
        found = [
            message
            for message in (message.as_json() for message in self._smsc.archive.messages)
            if all(message[name] == value for name, value in wanted.items())
        ]
        return found[-int(limit) :] if int(limit) else []

    def _forget(self, request: Request) -> Any:
        self._smsc.archive.messages.clear()
        return {}

    def _mo(self, request: Request) -> Any:
        fields = _fields(request, {"from", "to", "text"}, {"account", "split", "tlvs", "wait"})
        wait = fields.get("wait", DEFAULT_WAIT)
        if isinstance(wait, bool) or not isinstance(wait, int | float) or wait < 0:
            raise _Wrong("wait is no number of seconds.")
        split = fields.get("split")
        if split not in (None, "udh8", "udh16", "sar", "payload"):
            raise _Wrong("split is none of udh8, udh16, sar, payload.")
        for name in ("from", "to", "text", "account"):
            if not isinstance(fields.get(name, ""), str):
                raise _Wrong(f"{name} is no text.")
        if not self._smsc.bound and not fields.get("account"):
            raise _Wrong("Nobody is bound. With an account it waits until that one is.")
        sent = self._smsc.send_from_phone(
            fields["from"],
            fields["to"],
            fields["text"],
            fields.get("account"),
            split,
            _tlvs(fields.get("tlvs", {})),
        )
        if not wait:
            in_background(sent, self.log, "A message from a phone")
            return {"statuses": []}
        # A Deferred of its own: when this one gives up, the message does not.
        answered: Deferred[Any] = Deferred()
        on_outcome(sent, answered.callback, answered.errback)
        return answered.addTimeout(wait, self._smsc.clock).addCallback(
            lambda statuses: {"statuses": statuses}
        )

    def _report(self, request: Request) -> Any:
        fields = _fields(request, {"id", "state"})
        self._smsc.report(str(fields["id"]), str(fields["state"]))
        return {}

    def _rules(self, request: Request) -> Any:
        self._smsc.set_rules(_body(request))
        return {}

    def _freeze(self, request: Request) -> Any:
        seconds = _fields(request, {"seconds"})["seconds"]
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise _Wrong("seconds is no number of seconds.")
        self._smsc.freeze(seconds)
        return {}

    def _disconnect(self, request: Request) -> Any:
        return {"cut": self._smsc.disconnect(_fields(request, set(), {"account"}).get("account"))}


def _answer(request: Request, status: int, value: Any) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
    body = json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def _argument(request: Request, name: str) -> str | None:
    values = (request.args or {}).get(name.encode())
    return values[0].decode("utf-8", "replace") if values else None


def _body(request: Request) -> Any:
    content: Any = request.content
    try:
        return json.loads(content.read() or b"{}")
    except ValueError as error:
        raise _Wrong(f"The body is no JSON: {error}.") from None


def _fields(
    request: Request, required: set[str], optional: set[str] | None = None
) -> dict[str, Any]:
    body = _body(request)
    if not isinstance(body, dict):
        raise _Wrong("The body is no JSON object.")
    missing = sorted(required - body.keys())
    if missing:
        raise _Wrong(f"What is missing: {', '.join(missing)}.")
    unknown = sorted(body.keys() - required - (optional or set()))
    if unknown:
        raise _Wrong(f"What is not known: {', '.join(unknown)}.")
    return body


def _tlvs(values: Any) -> list[Tlv]:
    if not isinstance(values, dict):
        raise _Wrong("tlvs is no JSON object.")
    tlvs = []
    for name, value in values.items():
        try:
            tag = Tag[name].value if name in Tag.__members__ else int(name, 0)
        except ValueError:
            raise _Wrong(f"There is no optional parameter {name!r}.") from None
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise _Wrong(f"The optional parameter {name} is neither a number nor a text.")
        tlvs.append(tlv(tag, value))
    return tlvs
