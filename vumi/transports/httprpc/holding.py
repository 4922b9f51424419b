"""Requests that are held, and how they are answered, late or in time.

Knows answers and time. Knows no messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.tasks import on_outcome
from vumi.transports.httprpc.answers import Answer
from vumi.transports.httprpc.held import write_answer
from vumi.transports.httprpc.serving import HttpServing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vumi.transports.httprpc.held import HeldRequest

__all__ = ["HttpHolding"]


class HttpHolding(HttpServing):
    """Holds and answers requests. A part of :class:`~vumi.transports.httprpc.HttpRpcTransport`."""

    # Requests being held

    def set_request(self, request_id: str, request: Any, timestamp: float | None = None) -> Any:
        """Hold a request.

        :param timestamp: When it came, in seconds of the clock; now, if left out.
        """
        if timestamp is None:
            timestamp = self.clock.seconds()
        self._requests.add(request_id, request, timestamp)
        return request

    def get_request(self, request_id: str) -> Any:
        """Twisted's object of a request; ``None`` if it isn't held (any more)."""
        held = self._requests.get(request_id)
        return None if held is None else held.request

    def get_request_to_addr(self, request_id: str) -> str | None:
        """Whom the message of a request is for."""
        held = self._requests.get(request_id)
        return None if held is None else held.to_addr

    def set_request_to_addr(self, request_id: str, to_addr: str | None) -> None:
        """Note whom the message of a request is for."""
        held = self._requests.get(request_id)
        if held is not None:
            held.to_addr = to_addr

    def remove_request(self, request_id: str) -> None:
        """Forget a request without answering it."""
        self._requests.remove(request_id)

    def _client_gone(self, held: HeldRequest) -> None:
        self.log.info("The client of request", held.id, "has hung up before it was answered")

    def manually_close_requests(self) -> None:
        """Answer the requests that have waited too long. Called every so often."""
        now = self.clock.seconds()
        for held in self._requests.overdue(now - self.request_timeout):
            self.log.warning("Timing out", self.get_request_to_addr(held.id))
            self.on_timeout(held.id, now - held.timestamp)
            self.close_request(held.id)

    def close_request(self, request_id: str) -> None:
        """Answer a request that has waited too long."""
        self._finish(request_id, self.make_timeout_answer())

    def make_timeout_answer(self) -> Answer:
        """The answer for a request that has waited too long."""
        return Answer(self.request_timeout_body, self.request_timeout_status_code)

    # Answering

    def finish_request(
        self,
        request_id: str,
        data: str | bytes,
        code: int = 200,
        headers: Mapping[str, str | Sequence[str]] | None = None,
    ) -> str | None:
        """Answer a request.

        :param data: The body; a text goes out as UTF-8.
        :param code: The HTTP status.
        :param headers: Name to a value or a list of values.
        :returns: A name for the answer, ``host:port:id`` with the client's address; ``None`` if
            the request isn't held (any more): the answer has reached nobody.
        """
        request = self._finish(request_id, Answer(data, code, headers))
        if request is None:
            return None
        return f"{request.client.host}:{request.client.port}:{self.generate_message_id()}"

    def _finish(self, request_id: str, answer: Answer) -> Any:
        """Answer a request; gives Twisted's object, or ``None`` if it isn't held."""
        if self.noisy:
            self.emit(f"HttpRpcTransport.finish_request with data: {answer.body!r}")
        held = self._requests.get(request_id)
        if held is None:
            return None
        request = held.request
        if getattr(request, "finished", False):
            # The transport has done it behind our back.
            self._requests.remove(request_id)
            return None
        request.setResponseCode(answer.code)
        self._tell_response_time(held)
        self._requests.remove(request_id)
        write_answer(request, answer)
        return request

    def _tell_response_time(self, held: HeldRequest) -> None:
        seconds = self.clock.seconds() - held.timestamp
        if seconds > self.response_time_down:
            self.on_down_response_time(held.id, seconds)
        elif seconds > self.response_time_degraded:
            self.on_degraded_response_time(held.id, seconds)
        else:
            self.on_good_response_time(held.id, seconds)

    def _is_success(self, request_id: str) -> bool:
        # Errors of the client are told by the request component.
        request = self.get_request(request_id)
        return request is not None and 200 <= request.code < 300

    def on_good_response_time(self, message_id: str, time: float) -> Any:
        """A request is about to be answered in time.

        :param time: How long it has waited, in seconds.
        """
        if self._is_success(message_id):
            self._statuses.response_sent(time)

    def on_degraded_response_time(self, message_id: str, time: float) -> Any:
        """A request is about to be answered late: after ``response_time_degraded``."""
        if self._is_success(message_id):
            self._statuses.response_slow(time, self.response_time_degraded, very=False)

    def on_down_response_time(self, message_id: str, time: float) -> Any:
        """A request is about to be answered very late: after ``response_time_down``."""
        if self._is_success(message_id):
            self._statuses.response_slow(time, self.response_time_down, very=True)

    def on_timeout(self, message_id: str, time: float) -> Any:
        """A request has waited too long and is about to be answered so."""
        self._statuses.response_timeout(time, self.request_timeout)

    def add_status(self, **kw: Any) -> Any:
        """Publish a status, unless it repeats what was published."""
        self._statuses.add(**kw)

    def _publish_status(self, **status: Any) -> None:
        on_outcome(
            self.publish_status(**status),
            lambda _: None,
            lambda failure: self.log.err(failure, "Publishing a status failed"),
        )

    def emit(self, log: str) -> None:
        """Log a line if the transport is ``noisy``."""
        if self.noisy:
            self.log.info(self.scrub(log))
