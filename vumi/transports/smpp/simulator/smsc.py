"""A simulated SMSC: who may bind, what becomes of what they send, and what they are sent.

Knows SMPP's other end as far as authors and tests need it. How it behaves is a
:class:`~vumi.transports.smpp.simulator.script.SmscScript`'s business; listening, the terminal and
HTTP are beside this in the package.
"""

from __future__ import annotations

import json
from functools import partial
from hmac import compare_digest
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from vumi.errors import VumiError
from vumi.steady_clock import wall_seconds
from vumi.tasks import in_background
from vumi.transports.smpp.constants import CommandId, CommandStatus, Npi, Ton, status_name
from vumi.transports.smpp.pdu import DeliverSm
from vumi.transports.smpp.session import SessionSettings
from vumi.transports.smpp.simulator.connection import SimulatorProtocol
from vumi.transports.smpp.simulator.messages import Archive, Submission, part_of
from vumi.transports.smpp.simulator.outgoing import Outgoing
from vumi.transports.smpp.simulator.reports import is_wanted, report_pdu
from vumi.transports.smpp.simulator.rules import STATES, parse_rules
from vumi.transports.smpp.simulator.script import ID_FORMATS
from vumi.transports.smpp.smsc import SmscProtocolFactory
from vumi.transports.smpp.text import TextNotEncodable, split
from vumi.transports.smpp.transitions import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from vumi.transports.smpp.pdu import Tlv
    from vumi.transports.smpp.simulator.rules import Report

__all__ = ["SimulatorError", "Smsc"]


class SimulatorError(VumiError):
    """The simulator was asked for what it can't do."""


class _Numbers:
    def __init__(self) -> None:
        self._numbers = count(1)

    def take(self) -> int:
        return next(self._numbers)


class Smsc:
    """The SMSC.

    :param script: How it behaves, an
        :class:`~vumi.transports.smpp.simulator.script.SmscScript`.
    :param clock: For timers.
    :param first_id: What ids begin with; by default the time, so that they are not the same again
        when it starts again.
    """

    log = Logger()

    def __init__(self, script: Any, clock: IReactorTime, first_id: int | None = None) -> None:
        self.script = script
        self.clock = clock
        self.behaviour = script.behaviour
        #: The bound connections.
        self.bound: list[SimulatorProtocol] = []
        #: Whether it does nothing for now.
        self.frozen = False
        #: Called with each happening.
        self.observers: list[Callable[[str, dict[str, Any]], object]] = []
        self.archive = Archive(script.keep, script.default_encoding)
        self._accounts: dict[str, str] = script.accounts
        self._own_form, self._report_form = ID_FORMATS[script.id_format]
        self._connections: list[SimulatorProtocol] = []
        self._outgoing = Outgoing(clock, lambda: self.bound, script.retry_delay)
        self._ids = count(
            max(int(wall_seconds(clock) * 1000), 1) if first_id is None else first_id
        )
        self._references = count(1)
        self._timers: set[IDelayedCall] = set()
        self._thawing: IDelayedCall | None = None
        self._journal: Any = None
        settings = SessionSettings(
            system_id=script.system_id,
            window_size=script.window_size,
            response_timeout=script.response_timeout,
            enquire_link_interval=0,
        )
        #: Makes the protocol of each connection.
        self.factory = SmscProtocolFactory(settings, _Numbers(), self, clock)
        self.factory.protocol = SimulatorProtocol

    # Life

    def start(self) -> None:
        """Open the journal.

        :raises SimulatorError: It can't be written.
        """
        if self.script.journal:
            try:
                self._journal = Path(self.script.journal).open(  # noqa: SIM115 (closed in stop)
                    "ab", buffering=0
                )
            except OSError as error:
                raise SimulatorError(
                    f"The journal {self.script.journal} can't be written: {error.strerror}."
                ) from None

    def stop(self) -> Deferred[None]:
        """Unbind everybody, and end.

        :returns: Fires when all connections have ended.
        """
        self.thaw()
        self._outgoing.stop()
        timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()
        ends = [connection.disconnect() for connection in list(self._connections)]
        return DeferredList(ends).addCallback(self._ended)

    def _ended(self, _: object) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    # What is asked of it

    @property
    def undelivered(self) -> int:
        """How many messages and reports wait to be sent."""
        return len(self._outgoing)

    def binds(self) -> list[dict[str, Any]]:
        """Who is bound."""
        return [
            {
                "account": connection.account,
                "state": connection.state,
                "peer": connection.name,
                "in_flight": connection.in_flight,
            }
            for connection in self.bound
        ]

    def set_rules(self, rules: Any) -> None:
        """Behave otherwise from now on.

        :param rules: As in the script.
        :raises ConfigError: They are not understood.
        """
        self.behaviour.rules = parse_rules(rules)

    def disconnect(self, account: str | None = None) -> int:
        """Cut connections.

        :param account: Whose; ``None``: all.
        :returns: How many were cut.
        """
        connections = [
            connection for connection in self._connections if account in (None, connection.account)
        ]
        for connection in connections:
            connection.cut()
        return len(connections)

    def freeze(self, seconds: float) -> None:
        """Do nothing for a while: connections stay open, and who connects gets no answer."""
        if self._thawing is not None:
            self._thawing.cancel()
        self.tell("frozen", seconds=seconds)
        self.frozen = True
        for connection in self._connections:
            connection.freeze()
        self._thawing = self.clock.callLater(seconds, self.thaw)

    def thaw(self) -> None:
        """Go on."""
        if self._thawing is not None and self._thawing.active():
            self._thawing.cancel()
        self._thawing = None
        if self.frozen:
            self.tell("thawed")
        self.frozen = False
        for connection in list(self._connections):
            connection.thaw()

    def send_from_phone(
        self,
        from_addr: str,
        to_addr: str,
        text: str,
        account: str | None = None,
        mode: str | None = None,
        tlvs: Iterable[Tlv] = (),
    ) -> Deferred[list[str]]:
        """Send a message from a phone to an ESME, in parts if it is long.

        :param from_addr: The phone's address.
        :param to_addr: The address that it writes to.
        :param text: What it says.
        :param account: To whom; ``None``: to anybody who receives.
        :param mode: How a long one is sent; ``None``: as the script says.
        :param tlvs: Optional parameters besides.
        :returns: Fires when all parts are answered in the end, with the names of the statuses.
        :raises VumiError: It can't be sent.
        """
        encoding, coding = self.script.default_encoding, 0
        split_mode = mode or self.script.mo_split
        try:
            segments = split(text, split_mode, encoding, coding, reference=self._reference)
        except TextNotEncodable:
            segments = split(text, split_mode, "ucs2", reference=self._reference)
        source_ton, source_npi = _kind_of_number(from_addr)
        dest_ton, dest_npi = _kind_of_number(to_addr)
        pdus = [
            DeliverSm(
                source_addr=from_addr,
                source_addr_ton=source_ton,
                source_addr_npi=source_npi,
                destination_addr=to_addr,
                dest_addr_ton=dest_ton,
                dest_addr_npi=dest_npi,
                short_message=segment.short_message,
                data_coding=segment.data_coding,
                esm_class=segment.esm_class,
                tlvs=(*segment.tlvs, *tlvs),
            )
            for segment in segments
        ]
        for pdu in pdus:
            # Raises what is wrong with it, before any was sent.
            pdu.encode()
        self.tell("mo", **{"from": from_addr, "to": to_addr}, text=text, parts=len(pdus))
        sent = DeferredList(
            [self._outgoing.send(account, pdu) for pdu in pdus], fireOnOneErrback=True
        )

        def answered(results: list[Any]) -> list[str]:
            names = [status_name(status) for _, status in results]
            self.tell(
                "mo_answered", **{"from": from_addr, "to": to_addr}, text=text, statuses=names
            )
            return names

        statuses: Deferred[list[str]] = sent.addCallback(answered)
        return statuses

    def report(self, message_id: str, state: str) -> None:
        """Send a delivery report.

        :param message_id: What the ESME was told.
        :param state: One of :data:`~vumi.transports.smpp.simulator.rules.STATES`.
        :raises SimulatorError: There is no such message, or no such state.
        """
        submission = self.archive.find(message_id)
        if submission is None:
            raise SimulatorError(f"There is no message {message_id!r}.")
        if state not in STATES:
            raise SimulatorError(f"A state is one of {', '.join(STATES)}.")
        self._report(submission, state)

    # As the listener of its connections, see vumi.transports.smpp.smsc.SmscListener

    def bind_requested(self, connection: Any, pdu: Any) -> int:
        """Somebody wants to bind."""
        status = self._judge(pdu)
        if status:
            self.tell("bind_refused", account=pdu.system_id, status=status_name(status))
        else:
            connection.account = pdu.system_id
        return status

    def _judge(self, pdu: Any) -> int:
        if not self._accounts:
            return CommandStatus.ESME_ROK
        password = self._accounts.get(pdu.system_id)
        if password is None:
            return CommandStatus.ESME_RINVSYSID
        if not compare_digest(password.encode(), pdu.password.encode()):
            return CommandStatus.ESME_RINVPASWD
        return CommandStatus.ESME_ROK

    def state_changed(self, connection: Any, old: Any, new: Any, event: Any, detail: Any) -> None:
        """A connection has come, is bound, or has ended."""
        if old is State.CLOSED:
            self._connections.append(connection)
        if new is State.BOUND:
            self.bound.append(connection)
            self.tell("bound", account=connection.account, state=connection.state)
            self._outgoing.pump()
        elif connection in self.bound:
            self.bound.remove(connection)
            self.tell("unbound", account=connection.account, why=event.value)
        if new is State.CLOSED and connection in self._connections:
            self._connections.remove(connection)

    def request_received(self, connection: Any, pdu: Any) -> None:
        """Deal with a request, and answer it."""
        if pdu.command_id in (CommandId.submit_sm, CommandId.data_sm):
            self._submitted(connection, pdu)
        elif pdu.command_id == CommandId.query_sm:
            self._queried(connection, pdu)
        else:
            connection.session.respond(pdu, CommandStatus.ESME_RINVCMDID)

    def notification_received(self, connection: Any, pdu: Any) -> None:
        """Nobody sends an SMSC one."""

    def late_response(self, connection: Any, request: Any, response: Any) -> None:
        """It was sent again; there will be another response."""

    def has_room(self, connection: Any) -> None:
        """More can be sent."""
        self._outgoing.pump()

    # What becomes of a message

    def _submitted(self, connection: Any, pdu: Any) -> None:
        number = next(self._ids)
        submission = Submission(
            number, format(number, self._own_form), connection.account, part_of(pdu), pdu
        )
        text = self.archive.text_of(submission)
        plan = self.behaviour.plan(pdu.source_addr, pdu.destination_addr, text)
        submission.status = plan.status
        about = {
            "id": submission.id,
            "account": connection.account,
            "from": pdu.source_addr,
            "to": pdu.destination_addr,
            "text": text,
            "part": submission.part.number,
            "parts": submission.part.total,
            "status": status_name(plan.status),
        }
        self.tell("submitted", **about)
        message = self.archive.add(submission, wall_seconds(self.clock))
        if message is not None and not plan.status:
            self.tell("message", **message.as_json())
        if plan.freeze:
            self.freeze(plan.freeze)
        if not plan.status:
            self._plan_reports(submission, plan.reports)
        if plan.disconnect:
            connection.cut()
        elif plan.lose:
            self.tell("lost_response", id=submission.id)
        elif plan.delay:
            self._later(plan.delay, lambda: self._answer(connection, submission))
        else:
            self._answer(connection, submission)

    def _answer(self, connection: Any, submission: Submission) -> None:
        pdu = submission.pdu
        if submission.status:
            sent = connection.session.respond(pdu, submission.status)
        else:
            sent = connection.session.respond(pdu, message_id=submission.id)
        submission.answered = sent
        self.tell("answered", id=submission.id, sent=sent)

    def _queried(self, connection: Any, pdu: Any) -> None:
        submission = self.archive.find(pdu.message_id)
        if submission is None:
            connection.session.respond(pdu, CommandStatus.ESME_RQUERYFAIL)
            return
        state = submission.reports[-1][0] if submission.reports else "ENROUTE"
        connection.session.respond(pdu, message_id=submission.id, message_state=STATES[state][1])

    # Reports

    def _plan_reports(self, submission: Submission, reports: Iterable[Report]) -> None:
        for report in reports:
            if is_wanted(report.state, submission.pdu.registered_delivery):
                # Later even if at once, so that the answer is the first.
                self._later(report.after, partial(self._report, submission, report.state))

    def _report(self, submission: Submission, state: str) -> None:
        pdu = report_pdu(
            submission,
            state,
            format(submission.number, self._report_form),
            self.archive.text_of(submission),
            self.script.report_form,
            wall_seconds(self.clock),
        )
        word = STATES[state][0]

        def answered(status: int) -> None:
            submission.reports.append((word, status_name(status)))
            self.tell("report", id=submission.id, state=word, answer=status_name(status))

        sent = self._outgoing.send(submission.account, pdu).addCallback(answered)
        in_background(sent, self.log, f"The report of message {submission.id}")

    # Small things

    def _reference(self) -> int:
        return next(self._references)

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            action()

        timer = self.clock.callLater(seconds, due)
        self._timers.add(timer)

    def tell(self, what: str, **about: Any) -> None:
        """Tell the journal and the observers that something has happened.

        :param about: What is to be known of it, in values that JSON has.
        """
        if self._journal is not None:
            line = {"time": wall_seconds(self.clock), "event": what, **about}
            self._journal.write(json.dumps(line).encode() + b"\n")
        for observer in self.observers:
            observer(what, about)


def _kind_of_number(address: str) -> tuple[int, int]:
    """Type of number and numbering plan."""
    if address.startswith("+"):
        return int(Ton.INTERNATIONAL), int(Npi.ISDN)
    return int(Ton.UNKNOWN), int(Npi.UNKNOWN)
