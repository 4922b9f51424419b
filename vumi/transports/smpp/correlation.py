"""What is remembered of messages that were sent, in the key-value store.

Knows which keys there are, what they hold and how long. Knows no PDU, no session and no event: a
message is an id, and so is what the SMSC calls it.

The keys, all below the transport's prefix:

``remote_message:<smsc id>``
    Our id of the message that the SMSC calls so, for delivery reports. As in the old Vumi, so that
    reports of what that one has sent are still understood, and the other way round.
``multipart_info:<our id>``
    Of a message in several parts: a hash with ``parts`` and, by the id that each part has at the
    SMSC, ``part:<smsc id>``, ``ack`` or ``fail``. As in the old Vumi. ``report:<smsc id>`` is the
    last delivery status of a part.
``submission:<our id>``
    How far a message has come. A broker that does not know that a message was dealt with delivers
    it again, after a crash for instance; what is here is then not sent a second time.
``early_reports``
    Which of the following there are, by age, so that a storm of reports that nobody knows stays
    bounded.
``early_report:<smsc id>``
    Delivery reports that came before the answer that told us the id. They are left to expire, so
    that an answer that is recorded twice, as the connection was lost meanwhile, finds them too.

While a message is on its way there is nothing else to be remembered (the old Vumi had keys with
the message, its PDUs and their sequence numbers): the broker still has it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vumi.transports.smpp.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    Errback = Callable[[Failure], object]

__all__ = ["Answer", "Expiries", "SmppMessageDataStash", "Submission"]

#: KEYS: those of submissions. Gives their values.
LOOK_UP = """
return redis.call('MGET', unpack(KEYS))
"""

#: For each answer 4 KEYS: submission, remote id, early reports, multipart info; and 7 ARGV: the
#: submission (may be empty) and its seconds, our id, the SMSC's (may be empty) and its seconds,
#: how many parts there are (1: no multipart info), the info's seconds.
#: Gives for each the early reports.
RECORD = """
local early = {}
local k, a = 0, 0
while k < #KEYS do
    local theirs = ARGV[a + 4]
    if ARGV[a + 1] ~= '' then
        redis.call('SETEX', KEYS[k + 1], ARGV[a + 2], ARGV[a + 1])
    end
    if theirs ~= '' then
        redis.call('SETEX', KEYS[k + 2], ARGV[a + 5], ARGV[a + 3])
    end
    if ARGV[a + 6] ~= '1' then
        local info = KEYS[k + 4]
        redis.call('HSET', info, 'parts', ARGV[a + 6])
        if theirs ~= '' then redis.call('HSET', info, 'part:' .. theirs, 'ack') end
        redis.call('EXPIRE', info, ARGV[a + 7])
    end
    local reports = {}
    if theirs ~= '' and redis.call('EXISTS', KEYS[k + 3]) == 1 then
        reports = redis.call('LRANGE', KEYS[k + 3], 0, -1)
    end
    early[#early + 1] = reports
    k, a = k + 4, a + 7
end
return early
"""

#: So many reports are kept of one message that is not known.
MAX_EARLY_REPORTS = 10

#: KEYS: the early reports' keys by age; for each report 2: remote id, early reports.
#: ARGV: the time, how many keys with early reports there may be; for each report 3: the report,
#: how many seconds it is kept if it is early (0: not at all), the seconds that the remote id has
#: left (0: as before). No report makes anything live longer than it did before.
#: Gives for each our id, or an empty text.
RESOLVE = f"""
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local ours = {{}}
for i = 2, #KEYS, 2 do
    local a = 2 + (i - 2) / 2 * 3
    local early, keep, final = KEYS[i + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
    local id = redis.call('GET', KEYS[i])
    if id then
        if final > 0 and redis.call('TTL', KEYS[i]) > final then
            redis.call('EXPIRE', KEYS[i], final)
        end
    elseif keep > 0 then
        local kept = redis.call('LLEN', early)
        if kept < {MAX_EARLY_REPORTS} then redis.call('RPUSH', early, ARGV[a + 1]) end
        if kept == 0 then
            redis.call('EXPIRE', early, keep)
            redis.call('ZADD', KEYS[1], now, early)
            redis.call('EXPIRE', KEYS[1], keep)
            redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - keep)
            while redis.call('ZCARD', KEYS[1]) > limit do
                local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
                redis.call('ZREM', KEYS[1], oldest)
                redis.call('DEL', oldest)
            end
        end
    end
    ours[#ours + 1] = id or ''
end
return ours
"""

#: KEYS: multipart info. ARGV: the part's SMSC id, its status, seconds.
#: Gives how many parts there are (0: it is not known to have several) and all statuses so far.
PART_REPORT = """
local parts = redis.call('HGET', KEYS[1], 'parts')
if not parts then return {0} end
redis.call('HSET', KEYS[1], 'report:' .. ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local result = {tonumber(parts)}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if string.sub(all[i], 1, 7) == 'report:' then result[#result + 1] = all[i + 1] end
end
return result
"""


@dataclass(frozen=True)
class Expiries:
    """How long things are remembered, in seconds.

    :param submission: How far a message has come, until all of it is answered.
    :param answered: The answer to a message.
    :param remote_id: The SMSC's id of a message.
    :param final_remote_id: The same, once a final report has come.
    :param multipart: The parts of a message that has several, once it is answered.
    :param early_report: A report whose message is not known (yet); 0: not at all.
    :param early_reports: Of how many such messages reports are kept; not a time.
    """

    submission: int = 86400
    answered: int = 3600
    remote_id: int = 604800
    final_remote_id: int = 3600
    multipart: int = 3600
    early_report: int = 60
    early_reports: int = 10_000


@dataclass
class Submission:
    """How far a message has come.

    :ivar message_id: The message's id.
    :ivar parts: In how many parts it is sent.
    :ivar reference: What the parts have in common; 0 if there is one.
    :ivar taken: By the part's index, from 0: the id that the SMSC has given it.
    :ivar event: ``ack`` or ``nack`` once it is answered, and what that says.
    """

    message_id: str
    parts: int = 1
    reference: int = 0
    taken: dict[int, str] = field(default_factory=dict)
    event: tuple[str, str] | None = None

    def to_json(self) -> str:
        """What is stored; empty if that is nothing.

        A nack is not: whoever has the message delivered once more wants it to be tried again.
        """
        event = self.event if self.event is not None and self.event[0] == "ack" else None
        if self.parts == 1:
            return "" if event is None else json.dumps({"event": event})
        return json.dumps(
            {
                "parts": self.parts,
                "reference": self.reference,
                "taken": list(self.taken.items()),
                "event": event,
            }
        )

    @classmethod
    def from_json(cls, message_id: str, text: str | None) -> Submission | None:
        """What was stored; ``None`` if nothing was, or nothing that could be understood."""
        if not text:
            return None
        try:
            data = json.loads(text)
            event = data.get("event")
            return cls(
                message_id,
                int(data.get("parts", 1)),
                int(data.get("reference", 0)),
                {int(index): str(remote) for index, remote in data.get("taken", ())},
                None if event is None else (str(event[0]), str(event[1])),
            )
        except (ValueError, TypeError, AttributeError, IndexError, KeyError):
            return None


@dataclass(frozen=True)
class Answer:
    """The SMSC's answer to one part of a message.

    :ivar submission: How far the message has come with it.
    :ivar remote_id: The id by which reports will call the part; empty if it was refused.
    """

    submission: Submission
    remote_id: str


@dataclass(frozen=True)
class _Report:
    remote_id: str
    text: str
    keep: bool
    final: bool


class SmppMessageDataStash:
    """Remembers what was sent, and recognises reports by it.

    What comes in one turn of the reactor costs one round trip.

    :param redis: The manager, with the prefix that transports share whose reports may come to
        each other.
    :param clock: Tells when a turn is over.
    :param expiries: How long what is remembered.
    :param now: Tells the time of day, in seconds; it is compared with that of other processes.
    """

    def __init__(
        self,
        redis: Any,
        clock: IReactorTime,
        expiries: Expiries,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self.redis = redis
        self.expiries = expiries
        # All may be executed twice: the same is stored, or a report is kept twice.
        self._look_up_script = redis.script(LOOK_UP, repeatable=True)
        self._record_script = redis.script(RECORD, repeatable=True)
        self._resolve_script = redis.script(RESOLVE, repeatable=True)
        self._part_script = redis.script(PART_REPORT, repeatable=True)
        self._look_ups: Batch[str, Any] = Batch(clock, self._look_up_all)
        self._records: Batch[Answer, list[str]] = Batch(clock, self._record_all)
        self._resolves: Batch[_Report, str] = Batch(clock, self._resolve_all)

    # Sending

    def look_up(
        self, message_id: str, callback: Callable[[Submission | None], object], errback: Errback
    ) -> None:
        """Find out how far a message has come before.

        :param callback: Called with that; ``None``: it is new.
        """
        self._look_ups.add(
            message_id,
            lambda text: callback(Submission.from_json(message_id, text)),
            errback,
        )

    def record(
        self, answer: Answer, callback: Callable[[list[str]], object], errback: Errback
    ) -> None:
        """Remember an answer of the SMSC's.

        :param callback: Called with the reports that have come before it.
        """
        self._records.add(answer, callback, errback)

    def _look_up_all(self, message_ids: Sequence[str]) -> Deferred[Any]:
        found: Deferred[Any] = self._look_up_script([_submission(id_) for id_ in message_ids])
        return found

    def _record_all(self, answers: Sequence[Answer]) -> Deferred[Any]:
        expiries = self.expiries
        keys: list[str] = []
        arguments: list[str | int] = []
        for answer in answers:
            submission = answer.submission
            ours, theirs, parts = submission.message_id, answer.remote_id, submission.parts
            answered = submission.event is not None
            keys += (_submission(ours), _remote(theirs), _early(theirs), _multipart(ours))
            arguments += (
                submission.to_json(),
                expiries.answered if answered else expiries.submission,
                ours,
                theirs,
                expiries.remote_id,
                parts,
                expiries.multipart if answered else expiries.submission,
            )
        recorded: Deferred[Any] = self._record_script(keys, arguments)
        return recorded

    # Reports

    def resolve(
        self,
        remote_id: str,
        report: str,
        final: bool,
        callback: Callable[[str | None], object],
        errback: Errback,
        keep: bool = True,
    ) -> None:
        """Find out which message a report is about.

        :param remote_id: What the SMSC calls it.
        :param report: Kept for :meth:`record` if nobody knows the id yet.
        :param final: Whether there will be no other report.
        :param callback: Called with our id, or ``None``.
        :param keep: Whether an unknown one is kept at all.
        """
        self._resolves.add(
            _Report(remote_id, report, keep, final),
            lambda found: callback(found or None),
            errback,
        )

    def _resolve_all(self, reports: Sequence[_Report]) -> Deferred[Any]:
        keys: list[str] = ["early_reports"]
        arguments: list[str | int] = [f"{self._now():.3f}", self.expiries.early_reports]
        for report in reports:
            keys += (_remote(report.remote_id), _early(report.remote_id))
            arguments += (
                report.text,
                self.expiries.early_report if report.keep else 0,
                self.expiries.final_remote_id if report.final else 0,
            )
        resolved: Deferred[Any] = self._resolve_script(keys, arguments)
        return resolved

    def part_report(self, message_id: str, remote_id: str, status: str) -> Deferred[list[Any]]:
        """Note the report of a part.

        :param status: ``pending``, ``failed`` or ``delivered``.
        :returns: Fires with how many parts there are (0: one, or not known any more) followed by
            the statuses of the parts so far.
        """
        noted: Deferred[list[Any]] = self._part_script(
            [_multipart(message_id)], [remote_id, status, self.expiries.remote_id]
        )
        return noted

    # One by one, for tools and subclasses

    def get_internal_message_id(self, smsc_message_id: str) -> Deferred[str | None]:
        """Our id of what the SMSC calls so."""
        found: Deferred[str | None] = self.redis.get(_remote(smsc_message_id))
        return found

    def set_remote_message_id(self, message_id: str, smsc_message_id: str) -> Deferred[Any]:
        """Remember what the SMSC calls a message."""
        done: Deferred[Any] = self.redis.setex(
            _remote(smsc_message_id), self.expiries.remote_id, message_id
        )
        return done


def _submission(message_id: str) -> str:
    return f"submission:{message_id}"


def _remote(smsc_id: str) -> str:
    return f"remote_message:{smsc_id}"


def _early(smsc_id: str) -> str:
    return f"early_report:{smsc_id}"


def _multipart(message_id: str) -> str:
    return f"multipart_info:{message_id}"
