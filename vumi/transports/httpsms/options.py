"""The options of HTTP SMS transports. Knows no request."""

from __future__ import annotations

from vumi.config import ConfigFloat, ConfigInt
from vumi.transports.httprpc.options import HttpRpcTransportConfig
from vumi.web.outgoing import DEFAULT_RESPONSE_LIMIT, DEFAULT_TIMEOUT, Outcome, Retries

__all__ = ["HttpSmsTransportConfig"]

#: After the others the network may have taken the message: a second try could send it twice.
RETRIED = frozenset([Outcome.UNAVAILABLE])


class HttpSmsTransportConfig(HttpRpcTransportConfig):
    """Options of a transport that sends messages by an HTTP API."""

    send_timeout = ConfigFloat(
        "How long the network's API may take to answer, in seconds, connecting included.",
        default=DEFAULT_TIMEOUT,
        static=True,
        above=0,
        nullable=False,
    )
    send_retries = ConfigInt(
        "How often sending a message is tried again if the API can't be reached or says that it "
        "can't now (a status from 500, 408, 425 or 429). It is not tried again when no answer "
        "came in time: the message may have been sent.",
        default=3,
        static=True,
        lowest=0,
        nullable=False,
    )
    send_retry_delay = ConfigFloat(
        "How long to wait before the first of these, in seconds. Each further wait is twice as "
        "long, and up to as much again, at random, is added.",
        default=1.0,
        static=True,
        lowest=0,
        nullable=False,
    )
    send_retry_max_delay = ConfigFloat(
        "What these waits don't grow over, in seconds, nor what the API asks for by a header "
        "Retry-After.",
        default=60.0,
        static=True,
        above=0,
        nullable=False,
    )
    send_connections = ConfigInt(
        "How many connections to the API are kept open.",
        default=10,
        static=True,
        lowest=1,
        nullable=False,
    )
    send_response_limit = ConfigInt(
        "How big an answer of the API may be, in bytes.",
        default=DEFAULT_RESPONSE_LIMIT,
        static=True,
        lowest=1,
        nullable=False,
    )
    mt_tps = ConfigFloat(
        "How many messages may be sent in a second, by each process. 0 is any number.",
        default=0.0,
        static=True,
        lowest=0,
        nullable=False,
    )
    mt_burst = ConfigInt(
        "How many messages may be sent at once after a time without any, if mt_tps is given.",
        default=1,
        static=True,
        lowest=1,
        nullable=False,
    )

    @property
    def retry_rule(self) -> Retries:
        """How often and when to try again."""
        return Retries(
            self.send_retries, self.send_retry_delay, self.send_retry_max_delay, RETRIED
        )
