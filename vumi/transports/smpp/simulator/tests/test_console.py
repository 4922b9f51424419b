"""The simulator at a terminal."""

from __future__ import annotations

from typing import Any

from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.simulator.console import HELP, Console
from vumi.transports.smpp.simulator.tests.test_smsc import SmscTestCase


class ConsoleTests(SmscTestCase):
    def open(self, **script: Any) -> None:
        self.simulate(**script)
        self.shown: list[tuple[str, str]] = []
        self.ended = 0
        self.console = Console(
            self.smsc, lambda kind, text: self.shown.append((kind, text)), self.end
        )

    def end(self) -> None:
        self.ended += 1

    async def type(self, line: str) -> list[tuple[str, str]]:
        """Type a line; gives what is shown."""
        self.shown.clear()
        self.console.typed(line)
        await self.simulation.settle()
        return self.shown

    async def test_a_line_is_a_message_from_a_phone(self) -> None:
        self.open()
        esme = await self.simulation.esme()
        for line, shown in (
            ("+2783 -> 8080: hello", "> +2783 -> 8080: hello"),
            ("+2783->8080:hi: there", "> +2783 -> 8080: hi: there"),
            ("the same again", "> +2783 -> 8080: the same again"),
            ("+2783 -> *120*1#: x", "> +2783 -> *120*1#: x"),
            ("x" * 200, f"> +2783 -> *120*1#: {'x' * 200}  [2 parts]"),
        ):
            self.assertEqual(await self.type(line), [("said", shown)])
        self.assertEqual(len(esme.delivered), 6)
        self.assertEqual(await self.type("  "), [])

    async def test_what_an_esme_says_to_it_is_told(self) -> None:
        self.open()
        esme = await self.simulation.esme()
        esme.answer = CommandStatus.ESME_RDELIVERYFAILURE
        self.assertEqual(
            await self.type("1 -> 2: x"), [("error", "> 1 -> 2: x  [ESME_RDELIVERYFAILURE]")]
        )

    async def test_what_esmes_do_is_shown(self) -> None:
        self.open(rules=[{"text": "bad", "refuse": 0x400}])
        esme = await self.simulation.esme()
        esme.submit("hello", registered_delivery=1)
        esme.submit("bad")
        await self.simulation.settle()
        self.smsc.disconnect()
        await self.simulation.until(lambda: not self.smsc.bound)
        self.assertEqual(
            self.shown,
            [
                ("note", "# me is bound: BOUND_TRX"),
                ("heard", "< 8080 -> +27831234567: hello  [2748]"),
                ("error", "< 8080 -> +27831234567: bad  [0x00000400]"),
                ("note", "# report of 2748: DELIVRD"),
                ("note", "# me is gone: the connection is lost"),
            ],
        )

    async def test_commands(self) -> None:
        self.open(reports=[], accounts={"me": "pw"})
        self.assertEqual(await self.type("/binds"), [("note", "Nobody is bound.")])
        await self.simulation.esme(password="x", bound=False)
        self.assertEqual(self.shown[1:], [("error", "# 'me' is not let in: ESME_RINVPASWD")])
        esme = await self.simulation.esme()
        esme.submit("hello")
        await self.simulation.settle()
        [(_, bind)] = await self.type("/binds")
        self.assertTrue(bind.startswith("me BOUND_TRX"))
        self.assertEqual(
            await self.type("/report 2748 failed"), [("note", "# report of 2748: UNDELIV")]
        )
        self.assertEqual(await self.type("/freeze 2"), [("note", "# frozen for 2 seconds")])
        self.assertTrue(self.smsc.frozen)
        await self.simulation.advance(2.1)
        self.assertEqual((await self.type("/disconnect"))[0], ("note", "Cut: 1."))
        self.assertEqual([text for _, text in await self.type("/help")], HELP.splitlines())
        await self.type("/quit")
        self.assertEqual(self.ended, 1)

    async def test_what_is_not_understood_is_told(self) -> None:
        self.open()
        await self.simulation.esme()
        for line, words in (
            ("hello", "From whom, to whom?"),
            ("/nothing", "There is no /nothing."),
            ("/report", "/report ID STATE"),
            ("/report 1 failed", "There is no message '1'."),
            ("/freeze x", "could not convert"),
            ("/freeze 1 2", "/freeze SECONDS"),
            (f"{'1' * 40} -> 2: x", "source_addr has 40 octets"),
        ):
            [(kind, text)] = await self.type(line)
            self.assertEqual(kind, "error")
            self.assertIn(words, text)

    async def test_one_that_has_to_wait_is_told_of(self) -> None:
        self.open()
        self.assertEqual(
            await self.type("1 -> 2: x"), [("note", "Nobody is bound yet: it waits.")]
        )
        esme = await self.simulation.esme()
        self.assertEqual(len(esme.delivered), 1)
