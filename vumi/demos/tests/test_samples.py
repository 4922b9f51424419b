"""The demos' sample files: each is good, starts, and can be talked to over telnet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.trial.unittest import SkipTest

from vumi.multiworker import MultiWorker
from vumi.service import WorkerCreator
from vumi.tests.fake_connection import wait0
from vumi.tests.helpers import VumiTestCase

SAMPLES = Path(__file__).parents[3] / "config" / "demos"

#: Sample -> what is typed by the first client and by the second; and what both are to see of it.
TALKS: dict[str, tuple[list[str], list[str], str, str]] = {
    "calculator": (["3", "6", "7"], [], "What would you like to do?", "The result is: 42."),
    "hangman": (["0"], [], "New game!", "Adieu!"),
    "ircbot": (
        ["any", "ann", "bot: tell bob hi"],
        ["any", "bob"],
        "ann: Sure thing, boss.",
        "bob, ann asked me tell you: hi",
    ),
    "rps": (["1"], ["2"], "You lost!", "You won!"),
    "tictactoe": (["1", "2", "3"], ["4", "5"], "You won!", "You lost!"),
}


class Terminal(Protocol):
    """A telnet client that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown = ""
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.shown += data.decode("utf-8", "replace")

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.gone.callback(None)

    def type(self, line: str) -> None:
        """Send a line."""
        assert self.transport is not None
        self.transport.write(f"{line}\r\n".encode())


class SampleTests(VumiTestCase):
    """Each file in config/demos."""

    timeout = 30

    async def see(self, terminal: Terminal, words: str, after: int = 0) -> None:
        """Wait until a terminal shows something."""
        while words not in terminal.shown[after:]:
            await wait0()

    async def connect(self, port: int) -> Terminal:
        terminal = Terminal()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        _ = await connectProtocol(endpoint, terminal)
        return terminal

    async def run_sample(self, name: str) -> None:
        if not SAMPLES.exists():
            raise SkipTest("the sample files are in the source tree only")
        text = (SAMPLES / f"{name}.yaml").read_text("utf-8")
        assert f"vumi run config/demos/{name}.yaml" in text
        config = yaml.safe_load(text)
        assert MultiWorker.check_config(config) == []
        assert config["line"]["twisted_endpoint"] == "tcp:port=9010:interface=127.0.0.1"
        config["line"]["twisted_endpoint"] = "tcp:port=0:interface=127.0.0.1"
        creator = WorkerCreator({"broker": "memory:"}, reactor)
        worker: Any = creator.create_worker_by_class(MultiWorker, config)
        worker.startService()
        self.add_cleanup(worker.stopService)
        while not worker.workers or worker.workers[0].telnet_server is None:
            await wait0()
        await self.talk(name, worker.workers[0].telnet_server.getHost().port)

    async def talk(self, name: str, port: int) -> None:
        first_types, second_types, first_sees, second_sees = TALKS[name]
        first = await self.connect(port)
        if not second_types:
            await self.see(first, first_sees)
            await self.type_all(first, first_types)
            await self.see(first, second_sees)
            await first.gone
            return
        if name == "ircbot":
            await self.type_all(first, first_types)
            await self.see(first, first_sees)
            second = await self.connect(port)
            await self.type_all(second, second_types)
        else:
            second = await self.connect(port)
            await self.play(first, second, first_types, second_types)
        await self.see(first, first_sees)
        await self.see(second, second_sees)
        for terminal in (first, second):
            terminal.type("/quit")
            await terminal.gone

    async def type_all(self, terminal: Terminal, lines: list[str]) -> None:
        """Type each line when the one before was answered."""
        for line in lines:
            while not terminal.shown:
                await wait0()
            seen = len(terminal.shown)
            terminal.type(line)
            await self.see(terminal, "\n", seen)

    async def play(
        self, first: Terminal, second: Terminal, moves: list[str], answers: list[str]
    ) -> None:
        """Have both make their moves in turn, each when it is shown something new."""
        seen = {first: 0, second: 0}
        for number in range(len(moves) + len(answers)):
            terminal, lines = ((first, moves), (second, answers))[number % 2]
            await self.see(terminal, "\n", seen[terminal])
            seen[terminal] = len(terminal.shown)
            terminal.type(lines[number // 2])

    async def test_calculator(self) -> None:
        await self.run_sample("calculator")

    async def test_hangman(self) -> None:
        await self.run_sample("hangman")

    async def test_ircbot(self) -> None:
        await self.run_sample("ircbot")

    async def test_rps(self) -> None:
        await self.run_sample("rps")

    async def test_tictactoe(self) -> None:
        await self.run_sample("tictactoe")
