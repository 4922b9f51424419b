"""Plays a case on a stage, and says in words all that is not as the case has it.

Knows cases and what a transport publishes, asks and answers. Knows no test framework.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vumi.message import TransportUserMessage
from vumi.tests.cases.bodies import body_differences
from vumi.tests.cases.client import raw_request
from vumi.tests.cases.comparing import call_differences, essence, header_differences
from vumi.tests.cases.matching import Ids, absent_differences, differences, shown
from vumi.tests.cases.stage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vumi.tests.cases.client import Exchange, RawRequest
    from vumi.tests.cases.model import Call, Case, Expected, Outbound, Request, Response, Step
    from vumi.tests.cases.nodes import Place
    from vumi.tests.cases.stage import Stage

__all__ = ["NUMBER", "USER", "CasePlayer", "StepPlayer"]

#: Whom messages go to and come from unless a case says so.
USER = "+27820001001"
NUMBER = "9292"


class CasePlayer:
    """Plays one case.

    :param stage: With a transport that was started.
    :param path: Where requests go to unless the case says so.
    :param transport_type: The type of messages that applications send.
    :param sign: Called with each request before it is made, to sign it.

    :ivar problems: What is not as it should be; each with its place.
    """

    def __init__(
        self,
        stage: Stage,
        case: Case,
        path: str,
        transport_type: str,
        sign: Callable[[RawRequest], None] = lambda request: None,
    ) -> None:
        self.stage = stage
        self.case = case
        self.ids = Ids()
        self.problems: list[str] = []
        self._path = path
        self._transport_type = transport_type
        self._sign = sign
        self._open: Exchange | None = None
        self._inbound: list[TransportUserMessage] = []
        self._seen = dict.fromkeys(KINDS, 0)

    async def play(self) -> None:
        """Play it, to its end or to the first step that goes wrong."""
        for number, step in enumerate(self.case.steps, 1):
            await StepPlayer(self, step, self._prefix(number)).play()
            if self.problems:
                return
        self._check_end()

    def _prefix(self, number: int) -> str:
        return f"step {number}, " if len(self.case.steps) > 1 else ""

    def _check_end(self) -> None:
        place = self.case.place
        for message_id in self.ids.sent:
            answers = [
                event["event_type"]
                for event in self.stage.published("event")
                if event["user_message_id"] == message_id
                and event["event_type"] in ("ack", "nack")
            ]
            if len(answers) != 1:
                got = " and ".join(answers) or "none"
                self.complain(
                    place, f"message {message_id!r} needs exactly one ack or nack, there is {got}"
                )
        if self._open is not None and not self._open.is_over:
            self.complain(place, "the request was not answered, and the case doesn't say that")
        left = self.stage.web.left_over
        if left:
            self.complain(left[0].place, f"{len(left)} answer(s) were not used")

    def complain(self, place: Place, words: str) -> None:
        """Note what is wrong."""
        self.problems.append(f"{place}: {words}")

    # What steps use

    def fill(self, value: Any, place: Place) -> Any:
        """Put ids into what a table says."""
        try:
            return self.ids.fill(value)
        except LookupError as error:
            self.complain(place, str(error))
            return value

    def new(self, kind: str) -> list[dict[str, Any]]:
        """What was published since this was asked last."""
        everything = self.stage.published(kind)
        found = everything[self._seen[kind] :]
        self._seen[kind] = len(everything)
        return found

    def count_new(self, kind: str) -> int:
        """How much :meth:`new` would give."""
        return len(self.stage.published(kind)) - self._seen[kind]

    def note_inbound(self) -> None:
        """Note the messages that came in, so that they can be replied to."""
        known = len(self._inbound)
        for payload in self.stage.published("message")[known:]:
            message = TransportUserMessage(_process_fields=False, **payload)
            self._inbound.append(message)
            self.ids.message.append(message["message_id"])

    def next_id(self) -> str:
        """The id of the next message that is sent, if the case doesn't say: the label."""
        number = len(self.ids.sent) + 1
        return self.case.slug if number == 1 else f"{self.case.slug}-{number}"

    @property
    def last_inbound(self) -> TransportUserMessage | None:
        """The message that a reply is to."""
        return self._inbound[-1] if self._inbound else None

    @property
    def transport_type(self) -> str:
        """The type of messages that applications send of their own accord."""
        return self._transport_type

    def request(self, request: Request) -> Exchange:
        """Make a request."""
        raw = raw_request(self.filled_request(request), self._path)
        self._sign(raw)
        self._open = self.stage.request(raw)
        return self._open

    def filled_request(self, request: Request) -> Request:
        """A request with ids in it."""
        body = request.body
        return replace(
            request,
            target=self.fill(request.target, request.place),
            query=self.fill(request.query, request.place),
            headers=self.fill(request.headers, request.place),
            body=body and replace(body, value=self.fill(body.value, request.place)),
        )

    @property
    def open(self) -> Exchange | None:
        """The last request that was made."""
        return self._open


class StepPlayer:
    """Plays one step.

    :param prefix: What complaints begin with.
    :ivar sent: The ids of the messages that it sends.
    """

    def __init__(self, player: CasePlayer, step: Step, prefix: str) -> None:
        self.player = player
        self.stage = player.stage
        self.step = step
        self.prefix = prefix
        self.sent: list[str] = []

    async def play(self) -> None:
        """Have it happen, and compare what comes of it."""
        self.stage.web.add_answers(
            call.answer for call in self.step.calls for _ in range(call.times)
        )
        await self.act()
        self._check()

    async def act(self) -> None:
        """Have it happen."""
        step, stage = self.step, self.stage
        if step.after:
            await stage.until(lambda: False, step.after)
        if step.request is not None:
            exchange = self.player.request(step.request)
            wanted = len(step.messages)
            await stage.until(
                lambda: (
                    exchange.is_over or bool(wanted and self.player.count_new("message") >= wanted)
                )
            )
        self.player.note_inbound()
        await self._hang_up()
        await self._send()
        if step.response is not None and self.player.open is not None:
            exchange = self.player.open
            await stage.until(lambda: exchange.is_over)
        await stage.quiet()
        self.player.note_inbound()

    async def _hang_up(self) -> None:
        if self.step.disconnect and self.player.open is not None:
            self.player.open.hang_up()
            await self.stage.quiet()

    async def _send(self) -> None:
        step = self.step
        if step.replies and self.player.last_inbound is None:
            self._complain(step.replies[0].place, "there is no message to reply to")
            return
        if step.reply_after:
            await self.stage.until(lambda: False, step.reply_after)
        for outbound in step.replies:
            await self._hand_over(self._reply(outbound), outbound)
        for outbound in step.sends:
            await self._hand_over(self._message(outbound), outbound)

    async def _hand_over(self, message: TransportUserMessage, outbound: Outbound) -> None:
        if outbound.endpoint is not None:
            message.set_routing_endpoint(outbound.endpoint)
        message_id = message["message_id"]
        self.player.ids.sent.append(message_id)
        self.sent.append(message_id)
        self.stage.send(message)
        if self.step.events == ():
            # It is said that nothing is told of it yet.
            await self.stage.quiet()
        else:
            await self.stage.until(lambda: self.stage.is_answered(message_id))

    def _reply(self, outbound: Outbound) -> TransportUserMessage:
        inbound = self.player.last_inbound
        assert inbound is not None
        fields = self.player.fill(outbound.fields, outbound.place)
        content = fields.pop("content", None)
        reply = inbound.reply(content)
        reply.payload.update({"message_id": self.player.next_id(), **fields})
        return reply

    def _message(self, outbound: Outbound) -> TransportUserMessage:
        fields = {
            "content": None,
            "to_addr": USER,
            "from_addr": NUMBER,
            "message_id": self.player.next_id(),
            "transport_name": self.stage.name,
            "transport_type": self.player.transport_type,
            "transport_metadata": {},
            **self.player.fill(outbound.fields, outbound.place),
        }
        return TransportUserMessage(**fields)

    # Comparing

    def _check(self) -> None:
        step = self.step
        self._check_response()
        self._check_published("message", step.messages)
        self._check_events()
        if step.failures is not None:
            self._check_published("failure", step.failures)
        elif step.events is None and self.sent:
            # Each is acked: then nothing has failed.
            self._check_published("failure", ())
        else:
            self.player.new("failure")
        if step.statuses is not None:
            self._check_published("status", step.statuses)
        else:
            self.player.new("status")
        self._check_calls(step.calls)

    def _complain(self, place: Place, words: str) -> None:
        self.player.complain(place, f"{self.prefix}{words}")

    def _check_published(self, kind: str, expected: Sequence[Expected]) -> None:
        found = self.player.new(kind)
        for number, (wanted, payload) in enumerate(zip(expected, found, strict=False), 1):
            name = kind if len(expected) == 1 else f"{kind} {number}"
            fields = self.player.fill(wanted.fields, wanted.place)
            for words in self._published_differences(wanted, fields, payload):
                self._complain(wanted.place, f"{name}: {words}")
        for wanted in expected[len(found) :]:
            self._complain(wanted.place, f"there is no such {kind}: {shown(wanted.fields)}")
        for payload in found[len(expected) :]:
            self._complain(
                self.step.place,
                f"there is a {kind} that is not expected: {shown(essence(kind, payload))}",
            )

    def _published_differences(
        self, wanted: Expected, fields: dict[str, Any], payload: dict[str, Any]
    ) -> Iterator[str]:
        yield from differences(fields, payload, "", subset=True)
        yield from absent_differences(wanted.absent, payload)

    def _check_events(self) -> None:
        if self.step.events is not None:
            self._check_published("event", self.step.events)
            return
        found = self.player.new("event")
        acked = [e["user_message_id"] for e in found if e["event_type"] == "ack"]
        for message_id in self.sent:
            if message_id not in acked:
                self._complain(self.step.place, f"there is no ack of message {message_id!r}")
        for event in found:
            if event["event_type"] != "ack" or event["user_message_id"] not in self.sent:
                words = shown(essence("event", event))
                self._complain(self.step.place, f"there is an event that is not expected: {words}")

    # The response

    def _check_response(self) -> None:
        exchange = self.player.open
        expected = self.step.response
        if exchange is None or exchange.has_hung_up:
            if expected is not None:
                self._complain(expected.place, "there is no request that could be answered")
            return
        if not exchange.is_over:
            if expected is not None:
                self._complain(expected.place, "the request is not answered")
            return
        if expected is None and self.step.request is None:
            return
        try:
            response = exchange.response()
        except ValueError as error:
            self._complain(self.step.place, str(error))
            return
        place = self.step.place if expected is None else expected.place
        wanted = self._wanted_status(expected)
        if response.status not in wanted:
            self._complain(
                place,
                f"response: the status {wanted[0]} is expected, not {response.status} with "
                f"{shown(response.body)}",
            )
        elif expected is not None:
            for words in self._answer_differences(expected, response.header, response.body):
                self._complain(place, f"response: {words}")

    def _wanted_status(self, expected: Response | None) -> Sequence[int]:
        return range(200, 300) if expected is None else [expected.status]

    def _answer_differences(
        self, expected: Response, header: Callable[[str], str | None], body: bytes
    ) -> Iterator[str]:
        headers = self.player.fill(expected.headers, expected.place)
        yield from header_differences(headers, header)
        if expected.body is not None:
            value = self.player.fill(expected.body.value, expected.place)
            yield from body_differences(replace(expected.body, value=value), body, "body")

    # What went out

    def _check_calls(self, calls: Sequence[Call]) -> None:
        made, self.stage.web.made = self.stage.web.made, []
        wanted = [call.request for call in calls for _ in range(call.times)]
        for number, (request, found) in enumerate(zip(wanted, made, strict=False), 1):
            name = "call" if len(wanted) == 1 else f"call {number}"
            for words in call_differences(self.player.filled_request(request), found):
                self._complain(request.place, f"{name}: {words}")
        for request in wanted[len(made) :]:
            self._complain(request.place, f"{request.method} {request.target} was not called")
        for found in made[len(wanted) :]:
            self._complain(
                self.step.place,
                f"a request was made that is not expected: {found.method} {found.url} "
                f"{shown(found.body) if found.body else ''}",
            )
