"""Requests of any kind at a transport: whatever comes, it answers, and shows and loses nothing.

Knows what requests look like and which parts of those in a table to play with; uses hypothesis.
What must hold for every request:

* it is answered, with a status from 200 to 499, or 501, 503, 504 or 505: 500 is an accident;
* if it became a message and waits for the reply, the reply answers it;
* no error is logged, no secret shows, nothing is left when the transport stops.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread

from vumi.tests.cases.bodies import encode_body
from vumi.tests.cases.checks import after_problems
from vumi.tests.cases.client import RawRequest, raw_request
from vumi.tests.cases.model import METHODS, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vumi.tests.cases.model import Request, Tables
    from vumi.tests.cases.nodes import Place
    from vumi.tests.cases.stage import Stage

__all__ = ["fuzz", "request_problems", "requests_like"]

GOOD_STATUSES = frozenset([*range(200, 500), 501, 503, 504, 505])
#: What somebody with bad intentions, or a bad library, sends where a text is expected.
ODD_VALUES = (
    *("", "%", "%zz", "%ff%fe", "%00", "+", "&", "=", "%0d%0aX-Injected:%20yes", "%F0%9F%98%80"),
    *("null", "None", "-1", "NaN", "1e999", "0" * 400, "%2A120%2A1%23", "%C3%28", "[]", "{}"),
    *("%3C%21DOCTYPE%20x%3E", "..%2F..%2Fetc%2Fpasswd", "%ED%A0%80", "%26%2360%3B"),
)
#: The same as a table says it, in which null leaves a parameter out.
ODD_TEXTS: tuple[str | list[str] | None, ...] = (
    *(f"<raw {value}>" for value in ODD_VALUES),
    *(None, None, ["1", "2"]),
)
#: The same where there is JSON; three dots leave a member out.
ODD_DATA: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1e308,
        10**40,
        "",
        "\x00",
        "\u2028",
        "a" * 400,
        [],
        [None],
        {},
        {"a": {}},
    ),
    *("\N{GRINNING FACE}", "<a>&", "2024-99-99", "1e999"),
)
ODD_METHODS = ("get", "TRACE", "BREW", "HEAD", "DELETE", "PUT", "POST", "GET")
ODD_BODIES = (
    *(b"", b"\xff\xfe\x00", b"{", b"{}", b"[]", b"null", b'"x"', b"[" * 2000, b'{"a":' * 500),
    *(b"<", b"<a/>", b"<a><b></a>", b"\xef\xbb\xbf{}", b"1e99999", b'{"\\ud800": "\\ud800"}'),
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    b'<?xml version="1.0" encoding="no-such"?><a/>',
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
)
CONTENT_TYPES = (
    *("application/json", "application/x-www-form-urlencoded", "text/xml", "text/plain"),
    *("multipart/form-data; boundary=x", "multipart/form-data", "application/json; charset=no"),
    *("", "x", "application/x-www-form-urlencoded; charset=utf-16"),
)
ODD_HEADERS: tuple[dict[str, str], ...] = (
    *({}, {"Authorization": "Basic %%%"}, {"Authorization": "Basic"}, {"Authorization": "x"}),
    *({"Authorization": "Basic w7/Dvzo="}, {"Authorization": "Basic /w=="}),
    *({"Expect": "100-continue"}, {"Accept-Encoding": "gzip"}, {"Content-Encoding": "gzip"}),
    *({"Cookie": "a=b; c"}, {"X-Forwarded-For": "x" * 500}, {"Range": "bytes=0-"}),
)


def requests_like(tables: Tables, path: str) -> st.SearchStrategy[RawRequest]:
    """Requests as those in some tables, with something wrong in most; and others.

    :param path: Where requests go to if a table doesn't say.
    """
    known = [step.request for step in tables.steps if step.request is not None]
    wild = _wild_requests(tables, known, path)
    if not known:
        return wild
    spoiled = _spoiled_requests(known, path)
    return st.one_of(spoiled, spoiled, spoiled, wild)


@st.composite
def _spoiled_requests(draw: st.DrawFn, known: Sequence[Request], path: str) -> RawRequest:
    """One that is in a table, but for a parameter or two, the method or a header."""
    request = draw(st.sampled_from(known))
    body = request.body
    if body is not None and body.kind in ("json", "xmlrpc"):
        # Of an XML-RPC call only what is in its parameters.
        least = 2 if body.kind == "xmlrpc" else 0
        paths = [path for path in _paths(body.value) if len(path) >= least]
        # A call without parameters has nothing that could be changed.
        changes = st.lists(
            st.tuples(st.sampled_from(paths or [()]), st.sampled_from(ODD_DATA)),
            max_size=2 if paths else 0,
        )
        value = body.value
        for where, odd in draw(changes):
            value = _with(value, where, odd)
        body = replace(body, value=value)
    elif body is not None and isinstance(body.value, dict):
        body = replace(body, value=draw(_spoiled(body.value, ODD_TEXTS)))
    if isinstance(request.query, dict):
        request = replace(request, query=draw(_spoiled(request.query, ODD_TEXTS)))
    try:
        raw = raw_request(replace(request, body=body), path)
    except (OverflowError, RecursionError, TypeError, UnicodeError, ValueError):
        # It can't even be written.
        raw = raw_request(request, path)
    if draw(st.integers(0, 5)) == 0:
        raw.method = draw(st.sampled_from(ODD_METHODS))
    if draw(st.integers(0, 5)) == 0:
        raw.headers.update(draw(st.sampled_from(ODD_HEADERS)))
    if draw(st.integers(0, 8)) == 0:
        raw.headers["Content-Type"] = draw(st.sampled_from(CONTENT_TYPES))
    if raw.body and draw(st.integers(0, 8)) == 0:
        raw.body = draw(st.sampled_from(ODD_BODIES) | st.binary(max_size=60))
    return raw


def _spoiled(values: dict[str, Any], odd: Sequence[Any]) -> st.SearchStrategy[dict[str, Any]]:
    changes = st.dictionaries(
        st.sampled_from([*values, "unknown", ""]), st.sampled_from(odd), max_size=2
    )
    return changes.map(lambda changed: {**values, **changed})


def _paths(data: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything in some data, the data itself included."""
    found = [before]
    if isinstance(data, dict):
        items = [*data.items(), ("unknown", None)]
    else:
        items = list(enumerate(data)) if isinstance(data, list) else []
    for key, value in items:
        found += _paths(value, (*before, key))
    return found


def _with(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of some data with something else in one place; missing for ``...``."""
    if not path:
        return None if value is ... else value
    key, *rest = path
    if isinstance(data, dict):
        if value is ... and not rest:
            return {name: held for name, held in data.items() if name != key}
        return {**data, key: _with(data.get(key), tuple(rest), value)}
    if isinstance(data, list) and isinstance(key, int) and key < len(data):
        return [_with(h, tuple(rest), value) if n == key else h for n, h in enumerate(data)]
    # Something else was put there before.
    return data


def _wild_requests(
    tables: Tables, known: Sequence[Request], path: str
) -> st.SearchStrategy[RawRequest]:
    """Anything."""
    paths = sorted({path, *(r.target for r in known if r.target)})
    names = sorted(_names(tables))
    pairs = st.tuples(
        st.sampled_from([*names, "", "x", "%ff"]),
        st.one_of(
            st.sampled_from(ODD_VALUES),
            st.text(max_size=20).map(_quoted),
            st.binary(max_size=8).map(quote),
        ),
    )
    forms = st.lists(pairs, max_size=8).map(
        lambda items: "&".join(f"{name}={value}" for name, value in items)
    )
    body = st.one_of(
        st.just(b""),
        st.sampled_from([*ODD_BODIES, *(encode_body(r.body)[0] for r in known)]),
        forms.map(str.encode),
        st.binary(max_size=60),
    )
    targets = st.one_of(
        st.sampled_from([*paths, "/", "/health", f"{path}/", f"{path}/x", "//", f"{path}/%2e%2e"]),
        st.text(max_size=12).map(lambda text: "/" + _quoted(text)),
    )
    target = st.builds(
        lambda base, query: f"{base}{'&' if '?' in base else '?'}{query}" if query else base,
        targets,
        st.one_of(st.just(""), forms),
    )
    return st.builds(
        _request,
        st.sampled_from([*METHODS, *ODD_METHODS, "GET", "POST", "POST"]),
        target,
        st.sampled_from(CONTENT_TYPES),
        st.sampled_from(ODD_HEADERS),
        body,
    )


def _request(
    method: str, target: str, content_type: str, headers: dict[str, str], body: bytes
) -> RawRequest:
    full = {**({"Content-Type": content_type} if content_type else {}), **headers}
    if not body and method in ("POST", "PUT"):
        full["Content-Length"] = "0"
    return RawRequest(method, target, full, body)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"))


def _mappings(tables: Tables) -> list[dict[str, Any]]:
    found = []
    for step in tables.steps:
        if step.request is not None:
            found.append(step.request.query)
            found.append(step.request.body.value if step.request.body else None)
    return [mapping for mapping in found if isinstance(mapping, dict)]


def _names(tables: Tables) -> set[str]:
    """The names of the parameters that requests in tables have."""
    return {_quoted(name) for mapping in _mappings(tables) for name in mapping}


async def request_problems(
    stage: Stage,
    request: RawRequest,
    place: Place,
    sign: Callable[[RawRequest], None] = lambda request: None,
) -> list[str]:
    """Make one request of a transport, and say what goes wrong.

    :param stage: With the transport not started.
    :param sign: Signs the request, as the network does: or nothing would come further than that.
    """
    sign(request)
    problems: list[str] = []
    with stage.installed():
        stage.web.always = Answer(place)
        await stage.start()
        exchange = stage.request(request)
        await stage.until(lambda: exchange.is_over or bool(stage.published("message")))
        await stage.quiet()
        for payload in stage.published("message"):
            await _reply(stage, payload)
        if not await stage.until(lambda: exchange.is_over):
            problems.append("it is not answered")
        else:
            try:
                status = exchange.response().status
            except ValueError as error:
                problems.append(str(error))
            else:
                if status not in GOOD_STATUSES:
                    problems.append(f"it is answered {status}")
        await stage.stop()
        problems += after_problems(stage)
    return problems


async def _reply(stage: Stage, payload: dict[str, Any]) -> None:
    from vumi.message import TransportUserMessage

    message = TransportUserMessage(_process_fields=False, **payload)
    reply = message.reply("OK")
    stage.send(reply)
    await stage.until(lambda: stage.is_answered(reply["message_id"]))


def fuzz(
    make: Callable[[], Stage],
    requests: st.SearchStrategy[RawRequest],
    place: Place,
    examples: int,
    sign: Callable[[RawRequest], None] = lambda request: None,
) -> Deferred[None]:
    """Make many requests, each of a transport of its own.

    :param make: Makes a stage.
    :param examples: How many requests.
    :param sign: Signs each request.
    :returns: Fires when all went well; fails with the smallest request that didn't.
    """
    from twisted.internet import reactor

    running: Any = reactor

    def play(request: RawRequest) -> Deferred[list[str]]:
        return Deferred.fromCoroutine(request_problems(make(), request, place, sign))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(requests)
    def each(request: RawRequest) -> None:
        # Any: its annotations are about functions that give no Deferred.
        call: Any = blockingCallFromThread
        problems = call(running, play, request)
        assert not problems, "\n".join([f"{request.encoded()!r}", *problems])

    done: Deferred[None] = Deferred()

    def run() -> None:
        # Not a thread of the reactor's pool: a stage takes work there for something to wait for.
        try:
            each()
        except BaseException as error:  # noqa: BLE001 (it is handed over to the reactor's thread)
            running.callFromThread(done.errback, error)
        else:
            running.callFromThread(done.callback, None)

    threading.Thread(target=run, daemon=True).start()
    return done
