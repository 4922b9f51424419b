"""The handset: phones, each with its user, that talk to an application.

Knows what commands do and tells what happens. Knows no terminal and no script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.handset import commands, happenings
from vumi.handset.phones import SESSION_TYPES, HandsetError, Phones

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from vumi.deadletters import DeadLetter
    from vumi.handset.commands import Command
    from vumi.handset.happenings import Happening
    from vumi.handset.phones import Spoken
    from vumi.handset.switchboard import Switchboard
    from vumi.message import TransportUserMessage

__all__ = ["Handset"]

DEFAULT_ENDPOINT = "default"


class Handset:
    """Phones on a switchboard.

    :param switchboard: Runs the application.
    :param address: The first user's address.
    :param tell: Called with all that happens.
    """

    def __init__(
        self, switchboard: Switchboard, address: str, tell: Callable[[Happening], None]
    ) -> None:
        self.phones = Phones(address, switchboard.transport_type in SESSION_TYPES)
        self._switchboard = switchboard
        self._tell = tell
        self._takes = True
        #: address -> the id of the message that it got last
        self._last: dict[str, str] = {}
        switchboard.deliver = self._deliver
        switchboard.died = self._died

    async def start(self) -> None:
        """Start the application; waits until it runs.

        :raises VumiError: It can't start.
        """
        await self._switchboard.start()

    async def stop(self) -> None:
        """Stop the application."""
        await self._switchboard.stop()

    def quiet(self) -> Deferred[None]:
        """Fires once all that was sent is handled, and so is all that it led to."""
        return self._switchboard.quiet()

    # What is asked for

    async def do(self, command: Command) -> None:
        """Do what a command says.

        :raises HandsetError: It can't be done now, or this is no command for a handset.
        """
        phone = self.phones.current
        match command:
            case commands.Say(text):
                await self._send(phone.say(text))
            case commands.New(text):
                await self._send(phone.dial(text))
            case commands.Hangup():
                await self._send(phone.close())
            case commands.TimeOut():
                phone.time_out()
                self._tell(happenings.TimedOut(phone.address))
            case commands.Switch(address):
                self.phones.take(address)
                self._tell(happenings.Switched(address))
            case commands.Answering(takes):
                self._takes = takes
                self._tell(happenings.Answers(takes))
            case commands.Report(status):
                await self._report(phone.address, status)
            case _:
                raise HandsetError("That is for scripts only.")

    async def _send(self, spoken: Spoken) -> None:
        # First, as the answer may be there before the broker's confirmation is.
        self._tell(happenings.Sent(spoken.address, spoken.session_event, spoken.content))
        await self._switchboard.send(spoken.address, spoken.session_event, spoken.content)

    async def _report(self, address: str, status: str) -> None:
        if address not in self._last:
            raise HandsetError(f"{address} has got no message yet.")
        self._tell(happenings.Reported(address, status))
        await self._switchboard.report(self._last[address], status)

    # What the application does

    def _deliver(self, message: TransportUserMessage) -> str | None:
        address, content = str(message["to_addr"]), str(message["content"] or "")
        if not self._takes:
            reason = "The handset takes no messages (/ack off)."
            self._tell(happenings.Nacked(address, content, reason, on_purpose=True))
            return reason
        endpoint = message.get_routing_endpoint()
        transport_type = str(message["transport_type"] or self._switchboard.transport_type)
        closes = False
        # What goes to another endpoint, or by another network, is in no session of this one.
        if endpoint == DEFAULT_ENDPOINT and transport_type == self._switchboard.transport_type:
            phone = self.phones.get(address)
            closes = phone.in_session and message["session_event"] == "close"
            if not phone.hear(message["session_event"]):
                reason = f"{address} is in no session."
                self._tell(happenings.Nacked(address, content, reason))
                return reason
        self._last[address] = message["message_id"]
        self._tell(happenings.Heard(address, content, closes, endpoint, transport_type))
        return None

    def _died(self, letter: DeadLetter) -> None:
        self._tell(happenings.Dead(letter.queue, letter.reason, letter.error, letter.traceback))
