"""An HTTP front refuses in time what it could not publish."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from treq.testing import StubTreq
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from vumi.web.overload import OverloadGuard, overload_reason
from vumi.web.site import build_web_site


@dataclass
class Broker:
    """The part of a broker that the guard looks at."""

    connected: bool = True
    blocked: bool = False
    published: int = 0
    confirmed: int = 0


@pytest.mark.parametrize(
    ("broker", "words"),
    [
        (Broker(), None),
        (Broker(connected=False), "not connected"),
        (Broker(blocked=True), "takes no messages"),
        (Broker(published=10, confirmed=1), None),
        (Broker(published=11, confirmed=1), "too many messages wait"),
    ],
)
def test_reasons(broker: Any, words: str | None) -> None:
    reason = overload_reason(broker, max_unconfirmed=10)
    if words is None:
        assert reason is None
    else:
        assert reason is not None
        assert words in reason


@dataclass
class Front:
    """A web front that keeps what it took."""

    taken: list[bytes] = field(default_factory=list)

    def resource(self) -> Any:
        front = self

        class Take(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                front.taken.append(request.path)
                return b"taken"

        return build_web_site({"in": Take()}).resource


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.broker = Broker()
        self.front = Front()
        broker: Any = self.broker
        guard: Any = OverloadGuard(self.front.resource(), broker, max_unconfirmed=10)
        self.client: Any = StubTreq(guard)

    def get(self, path: str) -> Any:
        return self.successResultOf(self.client.get(f"http://front.example/{path}"))

    def test_while_the_broker_is_away_requests_are_refused_and_later_taken(self) -> None:
        self.assertEqual(self.get("in").code, 200)
        self.broker.connected = False
        response = self.get("in")
        self.assertEqual(response.code, 503)
        self.assertEqual(response.headers.getRawHeaders("retry-after"), ["5"])
        self.assertEqual(len(self.front.taken), 1)
        self.broker.connected = True
        self.assertEqual(self.get("in").code, 200)
        self.assertEqual(len(self.front.taken), 2)

    def test_what_is_not_there_stays_not_found(self) -> None:
        self.assertEqual(self.get("elsewhere").code, 404)
