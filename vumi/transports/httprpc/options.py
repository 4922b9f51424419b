"""The options of transports that are an HTTP server. Knows no request."""

from __future__ import annotations

from vumi.config import (
    ConfigBool,
    ConfigChoice,
    ConfigFloat,
    ConfigInt,
    ConfigPort,
    ConfigServerEndpoint,
    ConfigText,
)
from vumi.transports.base import TransportConfig
from vumi.web.server import DEFAULT_MAX_HEADERS

__all__ = ["PERMISSIVE", "STRICT", "HttpRpcTransportConfig"]

STRICT, PERMISSIVE = "strict", "permissive"

DEFAULT_BODY_BYTES = 256 * 1024
DEFAULT_MAX_HELD = 5_000


class HttpRpcTransportConfig(TransportConfig):
    """Options of a transport that is an HTTP server."""

    web_path = ConfigText(
        "The path that the network sends its requests to.", required=True, static=True
    )
    web_port = ConfigPort(
        "The TCP port to listen on, on all interfaces; 0 is any free one.",
        default=0,
        static=True,
        any_free=True,
    )
    twisted_endpoint = ConfigServerEndpoint(
        "Where to listen instead of web_port: a Twisted server endpoint such as "
        "tcp:port=8080:interface=127.0.0.1, or ssl:port=8443:privateKey=key.pem:certKey=cert.pem "
        "for HTTPS.",
        static=True,
    )
    public_url = ConfigText(
        "How the provider reaches this server, such as https://vumi.example.org: it goes into the "
        "URLs that are logged at the start, to be registered with the provider.",
        static=True,
    )
    web_username = ConfigText(
        "The user name that requests must have (HTTP Basic). Needs web_password.", static=True
    )
    web_password = ConfigText("The password to web_username.", static=True, secret=True)
    web_auth_domain = ConfigText(
        "What clients are told that the user name is for (the realm).",
        default="Vumi HTTP RPC transport",
        static=True,
    )
    health_path = ConfigText(
        "The path that tells whoever asks, without a password, how many requests are waiting for "
        "their answer.",
        default="health",
        static=True,
    )
    request_cleanup_interval = ConfigInt(
        "How often to look for requests that have waited too long, in seconds. 0 is never.",
        default=5,
        static=True,
        lowest=0,
        nullable=False,
    )
    request_timeout = ConfigInt(
        "How long a request may wait for its answer, in seconds.",
        default=240,
        static=True,
        lowest=0,
        nullable=False,
    )
    request_timeout_status_code = ConfigInt(
        "The HTTP status of the answer to a request that has waited too long.",
        default=504,
        static=True,
        lowest=200,
        highest=599,
        nullable=False,
    )
    request_timeout_body = ConfigText(
        "The text of the answer to a request that has waited too long.", default="", static=True
    )
    noisy = ConfigBool(
        "Whether every outbound message and every answer is logged.", default=False, static=True
    )
    access_log = ConfigBool(
        "Whether every request is logged: its client, method, path and status, never the query "
        "string.",
        default=False,
        static=True,
    )
    validation_mode = ConfigChoice(
        "What happens with parameters that the network is not known to send: with 'strict' the "
        "request is answered 400, with 'permissive' they are dropped, and each name is logged "
        "once.",
        choices=(STRICT, PERMISSIVE),
        default=STRICT,
        nullable=False,
        static=True,
    )
    response_time_down = ConfigFloat(
        "An answer that takes longer than this, in seconds, has the response component count as "
        "down.",
        default=10.0,
        static=True,
        lowest=0,
        nullable=False,
    )
    response_time_degraded = ConfigFloat(
        "An answer that takes longer than this, in seconds, has the response component count as "
        "degraded.",
        default=1.0,
        static=True,
        lowest=0,
        nullable=False,
    )
    max_body_bytes = ConfigInt(
        "How big a request's body may be, in bytes. A bigger one is answered 413.",
        default=DEFAULT_BODY_BYTES,
        static=True,
        lowest=1,
        nullable=False,
    )
    max_headers = ConfigInt(
        "How many headers a request may have. One with more is answered 431.",
        default=DEFAULT_MAX_HEADERS,
        static=True,
        lowest=1,
        nullable=False,
    )
    max_held_requests = ConfigInt(
        "How many requests may wait for their answer at a time. Further ones are answered 503, "
        "with the wish to try again later.",
        default=DEFAULT_MAX_HELD,
        static=True,
        lowest=1,
        nullable=False,
    )
    hand_on_replies = ConfigBool(
        "Whether several processes may run under this transport's name: a reply that reaches a "
        "process which does not hold its request is handed on to the one that does.",
        default=True,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if (self.web_username is None) != (self.web_password is None):
            self.raise_config_error(
                "If either web_username or web_password is specified, both must be specified"
            )
