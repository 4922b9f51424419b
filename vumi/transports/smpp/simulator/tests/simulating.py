"""A simulated SMSC and an ESME, connected in memory; time that tests move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock

from vumi.tests.fake_connection import FakeServer, wait0
from vumi.transports.smpp.esme import EsmeProtocolFactory
from vumi.transports.smpp.pdu import SubmitSm
from vumi.transports.smpp.session import SessionSettings
from vumi.transports.smpp.simulator import Smsc, SmscScript
from vumi.transports.smpp.tests.sessions import Counter
from vumi.transports.smpp.transitions import BindType, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.defer import Deferred

__all__ = ["Esme", "Simulation"]

MAX_TURNS = 2000


class Esme:
    """An ESME; its SMSC is told ``answer`` whatever it delivers.

    :ivar connection: Its connection, once there is one.
    :ivar delivered: The PDUs that were delivered to it.
    :ivar answer: What they are answered with.
    :ivar answers: What they are answered with instead, one after another.
    """

    def __init__(self, simulation: Simulation, settings: SessionSettings) -> None:
        self.connection: Any = None
        self.delivered: list[Any] = []
        self.answer: Any = None
        self.answers: Iterator[Any] | None = None
        self._simulation = simulation
        self.factory = EsmeProtocolFactory(settings, Counter(), self, simulation.clock)

    def submit(self, text: str = "hello", **fields: Any) -> list[Any]:
        """Submit a message; gives a list that its response comes into."""
        pdu = SubmitSm(
            **{
                "source_addr": "8080",
                "destination_addr": "+27831234567",
                "short_message": text.encode("latin-1"),
                **fields,
            }
        )
        return self.send(pdu)

    def send(self, pdu: Any) -> list[Any]:
        """Send a request; gives a list that what becomes of it comes into."""
        outcome: list[Any] = []
        self.connection.send_request(pdu, outcome.append, outcome.append)
        return outcome

    # As the listener of its connection

    def state_changed(self, connection: Any, old: State, new: State, *_: Any) -> None:
        if old is State.CLOSED:
            self.connection = connection

    def request_received(self, connection: Any, pdu: Any) -> Any:
        self.delivered.append(pdu)
        return self.answer if self.answers is None else next(self.answers)

    def notification_received(self, *_: Any) -> None:
        pass

    def late_response(self, *_: Any) -> None:
        pass

    def has_room(self, *_: Any) -> None:
        pass


class Simulation:
    """An SMSC, and ESMEs.

    :param script: How it behaves.
    """

    def __init__(self, **script: Any) -> None:
        self.clock = Clock()
        self.smsc = Smsc(SmscScript(script, static=True), self.clock, first_id=0xABC)
        self.happened: list[tuple[str, dict[str, Any]]] = []
        self.smsc.observers.append(lambda what, about: self.happened.append((what, about)))
        self._server = FakeServer(self.smsc.factory, reactor=self.clock)
        self.smsc.start()

    async def esme(
        self, bind_type: BindType = BindType.TRX, bound: bool = True, **settings: Any
    ) -> Esme:
        """An ESME that is bound."""
        esme = Esme(
            self,
            SessionSettings(
                **{
                    "bind_type": bind_type,
                    "system_id": "me",
                    "password": "pw",
                    "enquire_link_interval": 0,
                    **settings,
                }
            ),
        )
        connecting: Deferred[Any] = self._server.endpoint.connect(esme.factory)
        await self.until(lambda: connecting.called)
        if bound:
            await self.until(lambda: esme.connection.bound)
        await self.settle()
        return esme

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let all happen that can without time passing, until something is so."""
        for _ in range(MAX_TURNS):
            self.clock.advance(0)
            if condition():
                return
            await wait0()
        raise AssertionError("what was waited for has not happened")

    async def settle(self) -> None:
        """Let all happen that can without time passing."""
        for _ in range(30):
            self.clock.advance(0)
            await wait0()

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        await self.settle()
        self.clock.advance(seconds)
        await self.settle()

    def named(self, what: str) -> list[dict[str, Any]]:
        """All happenings of a kind."""
        return [about for happened, about in self.happened if happened == what]
