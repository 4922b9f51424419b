"""How the two sides of an HTTP transport are doing, told when it changes.

Knows which statuses there are; publishing them is the transport's.

=========  ========  ==============================  ============================================
component  status    type                            when
=========  ========  ==============================  ============================================
request    ok        request_parsed                  a request made sense
request    down      invalid_inbound_fields,         a request was refused; ``details`` says why
                     invalid_encoding, ...
request    down      request_failed                  handling a request has raised an error
response   ok        response_sent                   an answer went out in time
response   degraded  slow_response                   later than ``response_time_degraded``
response   down      very_slow_response              later than ``response_time_down``
response   down      timeout                         no answer came
=========  ========  ==============================  ============================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.utils import StatusEdgeDetector

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StatusBoard"]


class StatusBoard:
    """Tells statuses that are news.

    :param publish: Called with the fields of a status that is.
    """

    def __init__(self, publish: Callable[..., object]) -> None:
        self._publish = publish
        self._detector = StatusEdgeDetector()

    def add(self, **status: Any) -> bool:
        """Tell a status, unless it repeats what was told.

        :returns: Whether it was news.
        """
        if self._detector.check_status(**status) is None:
            return False
        self._publish(**status)
        return True

    def is_news(self, component: str, status: str, type: str) -> bool:
        """Whether a status would be told. For the way of every request: costs next to nothing."""
        detector = self._detector
        return detector.statuses.get(component) != status or type not in detector.types[component]

    # The request side

    def request_parsed(self) -> None:
        if self.is_news("request", "ok", "request_parsed"):
            self.add(
                component="request", status="ok", type="request_parsed", message="Request parsed"
            )

    def request_refused(self, type: str, details: dict[str, Any]) -> None:
        """A request was refused.

        :param type: Why, in a word: ``invalid_inbound_fields``.
        :param details: What was wrong.
        """
        self.add(
            component="request",
            status="down",
            type=type,
            message=type.replace("_", " ").capitalize(),
            details=details,
        )

    # The response side

    def answered(self, seconds: float, degraded: float, down: float) -> None:
        """A request was answered.

        :param seconds: How long it has waited.
        :param degraded: From how many seconds on that is late.
        :param down: From how many seconds on that is very late.
        """
        if seconds > down:
            self.response_slow(seconds, down, very=True)
        elif seconds > degraded:
            self.response_slow(seconds, degraded, very=False)
        else:
            self.response_sent(seconds)

    def response_sent(self, seconds: float) -> None:
        if self.is_news("response", "ok", "response_sent"):
            self.add(
                component="response",
                status="ok",
                type="response_sent",
                message="Response sent",
                details={"response_time": seconds},
            )

    def response_slow(self, seconds: float, limit: float, very: bool) -> None:
        """An answer went out late.

        :param seconds: How long it took.
        :param limit: What it should have taken at most, in seconds.
        :param very: It was too late to be of use.
        """
        self.add(
            component="response",
            status="down" if very else "degraded",
            type="very_slow_response" if very else "slow_response",
            message="Very slow response" if very else "Slow response",
            reasons=[f"Response took longer than {limit:f}s"],
            details={"response_time": seconds},
        )

    def response_timeout(self, seconds: float, limit: float) -> None:
        """No answer came."""
        self.add(
            component="response",
            status="down",
            type="timeout",
            message="Response timed out",
            reasons=[f"Response took longer than {limit:f}s"],
            details={"response_time": seconds},
        )
