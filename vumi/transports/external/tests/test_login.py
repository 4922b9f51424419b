"""A token is asked for when it is needed, and by one of many that need it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from vumi.transports.external.login import Login, LoginRule
from vumi.transports.external.sections import Section
from vumi.web.client import HttpResponse
from vumi.web.outgoing import Outcome, RequestFailed

OPTIONS: dict[str, Any] = {
    "url": "https://auth.example/token",
    "form": {"secret": "{{secrets.key}}"},
    "read": {"json": "token"},
    "expires_in": {"json": "expires"},
    "lifetime": 100,
}


def rule() -> LoginRule:
    problems: list[str] = []
    made = LoginRule.of(Section(OPTIONS, "login", problems), {"key": "k"})
    assert made is not None, problems
    return made


def answer(body: bytes) -> HttpResponse:
    return HttpResponse(200, b"OK", Headers(), body)


@pytest.mark.parametrize(
    ("body", "lifetime"),
    [
        (b'{"token": "t", "expires": 60}', 60),
        (b'{"token": "t", "expires": "60"}', 60),
        (b'{"token": "t"}', 100),
        (b'{"token": "t", "expires": "soon"}', 100),
        (b'{"token": "t", "expires": -1}', 100),
        (b'{"token": "t", "expires": 1e99}', 100),
    ],
)
def test_how_long_a_token_is_good(body: bytes, lifetime: float) -> None:
    assert rule().token_in(answer(body)) == ("t", lifetime)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token": ""}', b'{"token": {}}', b"\xff"])
def test_no_token(body: bytes) -> None:
    with pytest.raises(RequestFailed, match="gave no token") as caught:
        rule().token_in(answer(body))
    assert caught.value.outcome is Outcome.UNAVAILABLE


class LoginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[Any, Any, Deferred[Any]]] = []
        self.login = Login(rule(), {"key": "k"}, self.ask, self.clock)

    def ask(self, request: Any, read: Any) -> Deferred[Any]:
        outcome: Deferred[Any] = Deferred()
        self.asked.append((request, read, outcome))
        return outcome

    def tell(self, token: str) -> None:
        _, read, outcome = self.asked[-1]
        outcome.callback(read(answer(b'{"token": "%s"}' % token.encode())))

    def want(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self.login.token())

    def test_many_want_one_and_one_is_asked_for(self) -> None:
        wanted = [self.want() for _ in range(3)]
        self.assertEqual(len(self.asked), 1)
        self.assertEqual(self.asked[0][0].body, b"secret=k")
        self.tell("t1")
        self.assertEqual([self.successResultOf(one) for one in wanted], ["t1"] * 3)
        self.assertEqual(self.successResultOf(self.want()), "t1")
        self.assertEqual(len(self.asked), 1)

    def test_it_is_asked_for_again_before_it_is_over(self) -> None:
        _ = self.want()
        self.tell("t1")
        self.clock.advance(69)
        self.assertEqual(self.successResultOf(self.want()), "t1")
        self.clock.advance(1)
        wanted = self.want()
        self.tell("t2")
        self.assertEqual(self.successResultOf(wanted), "t2")
        self.assertEqual(self.login.known, ("t1", "t2"))

    def test_one_that_was_refused_is_not_used_again_and_a_newer_one_is_kept(self) -> None:
        _ = self.want()
        self.tell("t1")
        self.login.forget("t0")
        self.assertEqual(self.successResultOf(self.want()), "t1")
        self.login.forget("t1")
        wanted = self.want()
        self.tell("t2")
        self.assertEqual(self.successResultOf(wanted), "t2")

    def test_who_fails_leaves_the_next_one_to_try(self) -> None:
        first, second = self.want(), self.want()
        self.asked[0][2].errback(RequestFailed(Outcome.UNAVAILABLE, "is away"))
        self.failureResultOf(first, RequestFailed)
        self.assertEqual(len(self.asked), 2)
        self.tell("t1")
        self.assertEqual(self.successResultOf(second), "t1")
