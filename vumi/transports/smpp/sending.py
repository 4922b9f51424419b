"""Outbound messages on their way: from the broker to the SMSC, and its answer back.

Knows what becomes of a message that is one PDU or several, and the statuses that may answer them.
Knows no encoding, no session and no delivery report.

Theory of operation. While a message is here the broker has it unacknowledged; it is acknowledged
after its ack or nack was published. So nothing is lost with the process; what it had in its hands
is delivered again. Whether a message was dealt with before is looked up first, and each answer of
the SMSC's is recorded before it is told::

    looked up ──> new, or not all of it was sent ──> PDUs in the outbox ──> answers recorded ──┐
        └──────> answered before ──────────────────────────────────────────────────────────────┴──>
                                                                            ack or nack, and over

A PDU that the connection was lost over is sent again: whether it was taken nobody knows. One that
has no answer in time makes the message's nack. These, and a process that dies between the SMSC's
answer and the record of it, are when a phone may get a message twice.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.transports.smpp.correlation import Answer, Submission
from vumi.transports.smpp.outbox import Outgoing
from vumi.transports.smpp.pdu import PduEncodeError, SubmitSmResp
from vumi.transports.smpp.session import ResponseLost, ResponseTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from vumi.message import TransportUserMessage
    from vumi.transports.smpp.config import SmppTransportConfig
    from vumi.transports.smpp.correlation import SmppMessageDataStash
    from vumi.transports.smpp.outbox import Outbox
    from vumi.transports.smpp.pdu import Pdu

__all__ = ["IAnswers", "MessageSender"]

#: So often a PDU is sent over a connection that is then lost. It may be what makes the SMSC go.
MAX_LOSSES = 10
#: Seconds until the store is asked again.
RETRY_SECONDS = 1.0
#: So many PDUs are remembered that had no answer in time.
MAX_LATE = 10_000


class IAnswers(Protocol):
    """Who is told what has become of messages."""

    def message_answered(
        self, message: TransportUserMessage, event_type: str, value: str, by_smsc: bool
    ) -> Deferred[Any] | None:
        """A message has its ack (with the SMSC's id) or nack (with the reason).

        :param by_smsc: Whether the SMSC has just now refused it.
        :returns: Fires when that is published; ``None``: it was issued.
        """

    def early_report(self, message_id: str, report: str) -> object:
        """A delivery report came before the answer."""


class _Sending:
    """One message on its way."""

    def __init__(
        self,
        sender: MessageSender,
        message: TransportUserMessage,
        parts: int,
        make_pdus: Callable[[int], Sequence[Pdu]],
    ) -> None:
        self.sender = sender
        self.message = message
        self.message_id: str = message.payload["message_id"]
        self.parts = parts
        self.make_pdus = make_pdus
        self.submission = Submission(self.message_id)
        self.outgoing: list[Outgoing] = []
        self.done: Deferred[None] = Deferred()

    # Before

    def look_up(self) -> None:
        self.sender.stash.look_up(self.message_id, self.looked_up, self.look_up_failed)

    def look_up_failed(self, failure: Failure) -> None:
        self.sender.store_failed(failure)
        self.sender.later(RETRY_SECONDS, self.look_up)

    def looked_up(self, before: Submission | None) -> None:
        if before is not None and before.event is not None:
            self.sender.log.info(
                "Message {message_id} was answered before; it is answered again, not sent",
                event="smpp-answered-before",
                message_id=self.message_id,
            )
            self.submission = before
            # Recorded once more, for the reports that came before the answer: whoever recorded
            # it first may not have lived to tell them.
            remote_ids = before.event[1].split(",") if before.event[0] == "ack" else [""]
            for index, remote_id in enumerate(remote_ids, 1):
                self.record(remote_id, decided=index == len(remote_ids))
            return
        if before is not None and before.parts == self.parts > 1:
            self.submission = before
        else:
            reference = self.sender.take_reference() if self.parts > 1 else 0
            self.submission = Submission(self.message_id, self.parts, reference)
        try:
            pdus = self.make_pdus(self.submission.reference)
        except Exception:  # noqa: BLE001 (whatever a processor raises is the message's failure)
            self.done.errback(Failure())
            return
        taken = self.submission.taken
        self.outgoing = [
            Outgoing(pdu, self, part) for part, pdu in enumerate(pdus) if part not in taken
        ]
        if not self.outgoing:
            self.all_taken()
            self.conclude()
            return
        for outgoing in self.outgoing:
            self.sender.outbox.put(outgoing)

    # As the owner of its PDUs

    def answered(self, outgoing: Outgoing, response: Any) -> None:
        status = response.command_status
        if status == 0 and isinstance(response, SubmitSmResp):
            self.taken(outgoing.part, response.message_id)
            return
        action = self.sender.actions.get(status, "nack")
        if self.submission.event is not None:
            return
        if action == "throttle":
            self.sender.outbox.throttle(outgoing)
        elif action == "retry" and outgoing.retries < self.sender.retry_limit:
            outgoing.retries += 1
            self.sender.later(
                self.sender.retry_delay, lambda: self.sender.outbox.put_back(outgoing)
            )
        else:
            self.refused(response.status_name if status else response.name, by_smsc=True)

    def failed(self, outgoing: Outgoing, failure: Failure) -> None:
        if failure.check(ResponseTimeout):
            self.sender.note_late(outgoing, self)
        if self.submission.event is not None:
            return
        if failure.check(ResponseTimeout, PduEncodeError):
            self.refused(failure.getErrorMessage())
            return
        if failure.check(ResponseLost):
            outgoing.losses += 1
        if outgoing.losses >= MAX_LOSSES:
            self.refused(f"{failure.getErrorMessage()} That was so {MAX_LOSSES} times.")
        else:
            self.sender.outbox.put_back(outgoing)

    # What has become of it

    def taken(self, part: int, remote_id: str) -> None:
        submission = self.submission
        submission.taken[part] = remote_id
        decided = submission.event is None and len(submission.taken) == self.parts
        if decided:
            self.all_taken()
        self.record(remote_id, decided)

    def all_taken(self) -> None:
        self.submission.event = ("ack", ",".join(sorted(self.submission.taken.values())))

    def refused(self, reason: str, by_smsc: bool = False) -> None:
        self.submission.event = ("nack", reason)
        for outgoing in self.outgoing:
            outgoing.dropped = True
        self.record("", True, by_smsc)

    def record(self, remote_id: str, decided: bool, by_smsc: bool = False) -> None:
        sender = self.sender

        def recorded(early_reports: Sequence[str]) -> None:
            if decided:
                self.conclude(by_smsc)
            for report in early_reports:
                sender.answers.early_report(self.message_id, report)

        def not_recorded(failure: Failure) -> None:
            sender.store_failed(failure)
            if decided:
                # What the SMSC has said is true all the same.
                self.conclude(by_smsc)

        answer = Answer(self.submission, sender.remote_id_form(remote_id) if remote_id else "")
        sender.stash.record(answer, recorded, not_recorded)

    def conclude(self, by_smsc: bool = False) -> None:
        """Tell, and be over."""
        event = self.submission.event
        assert event is not None  # noqa: S101 (who calls this has set it)
        try:
            published = self.sender.answers.message_answered(self.message, *event, by_smsc)
        except Exception:  # noqa: BLE001 (it is the message's failure)
            self.done.errback(Failure())
            return
        if published is None:
            self.done.callback(None)
        else:
            _ = published.addCallback(_nothing).chainDeferred(self.done)


class MessageSender:
    """Sends messages.

    :param clock: For timers.
    :param stash: Where answers are recorded.
    :param outbox: Where PDUs go.
    :param answers: Who is told what has become of messages.
    :param take_reference: Gives the reference of a message in parts.
    :param remote_id_form: Makes of an id in an answer the one that reports have.
    :param config: The transport's options.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        stash: SmppMessageDataStash,
        outbox: Outbox,
        answers: IAnswers,
        take_reference: Callable[[], int],
        remote_id_form: Callable[[str], str],
        config: SmppTransportConfig,
    ) -> None:
        self.stash = stash
        self.outbox = outbox
        self.answers = answers
        self.take_reference = take_reference
        self.remote_id_form = remote_id_form
        self.actions = config.all_status_actions
        self.retry_delay = config.retry_delay
        self.retry_limit = config.retry_limit
        self._clock = clock
        self._timers: set[IDelayedCall] = set()
        self._late: OrderedDict[int, tuple[Outgoing, _Sending]] = OrderedDict()
        self._stopped = False

    def send(
        self,
        message: TransportUserMessage,
        parts: int,
        make_pdus: Callable[[int], Sequence[Pdu]],
    ) -> Deferred[None]:
        """Send a message.

        :param message: The message.
        :param parts: How many PDUs it is.
        :param make_pdus: Makes them, of the reference that they are to have.
        :returns: Fires when its ack or nack was issued.
        """
        sending = _Sending(self, message, parts, make_pdus)
        sending.look_up()
        return sending.done

    def stop(self) -> None:
        """Do nothing more later."""
        self._stopped = True
        timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()

    def late_response(self, request: Any, response: Any) -> None:
        """An answer has come after the message was nacked for having none.

        If it was taken after all, reports of it are still understood.
        """
        late = self._late.pop(id(request), None)
        if late is not None and response.ok and isinstance(response, SubmitSmResp):
            outgoing, sending = late
            sending.taken(outgoing.part, response.message_id)

    # For those on their way

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something later, unless stopped by then."""
        if self._stopped:
            return

        def due() -> None:
            self._timers.discard(timer)
            action()

        timer = self._clock.callLater(seconds, due)
        self._timers.add(timer)

    def note_late(self, outgoing: Outgoing, sending: _Sending) -> None:
        """Remember a PDU that has no answer in time."""
        # By identity, as PDUs that are alike are equal. The entry keeps the PDU alive.
        self._late[id(outgoing.pdu)] = outgoing, sending
        if len(self._late) > MAX_LATE:
            self._late.popitem(last=False)

    def store_failed(self, failure: Failure) -> None:
        """Tell the log that the store has failed."""
        self.log.warn(
            "The store of sent messages failed: {reason}",
            event="smpp-store-failed",
            reason=failure.getErrorMessage(),
        )


def _nothing(_: object) -> None:
    """Take a result that nobody is interested in."""
