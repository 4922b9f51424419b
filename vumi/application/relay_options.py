"""What applications that relay to a web service have in common: options, and what is sent.

Knows options and :mod:`vumi.web.outgoing`; knows no particular service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import ParseResult

from vumi.application.base import ApplicationConfig
from vumi.config import ConfigFloat, ConfigInt, ConfigText, ConfigUrl
from vumi.utils import basic_auth_string
from vumi.web.outgoing import (
    DEFAULT_RESPONSE_LIMIT,
    DEFAULT_TIMEOUT,
    SIGNATURE_HEADER,
    HttpSender,
    OutgoingRequest,
    Retries,
    signature,
)

if TYPE_CHECKING:
    from vumi.application.base import ApplicationWorker

__all__ = ["ConfigHttpMethod", "ConfigHttpUrl", "RelayConfig", "make_request", "make_sender"]

FROM_0_UP = "must be a number from 0 up."

JSON = "application/json; charset=utf-8"


class ConfigHttpUrl(ConfigUrl):
    """A URL of a web service; without user name and password."""

    def clean(self, value: Any) -> ParseResult:
        """The URL's parts."""
        # A fallback gives what another option was cleaned to.
        url = value if isinstance(value, ParseResult) else super().clean(value)
        try:
            usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            usable = False
        if not usable or any(ord(character) <= ord(" ") for character in url.geturl()):
            self.raise_config_error("is not a URL such as http://host:port/path.")
        if "@" in url.netloc:
            self.raise_config_error("has a user name in it: there are options for that.")
        return url


class ConfigHttpMethod(ConfigText):
    """The method of requests that have a body."""

    def clean(self, value: Any) -> str:
        """It, in upper case."""
        method = super().clean(value).upper()
        if not (method.isascii() and method.isalpha()):
            self.raise_config_error("is not an HTTP method such as POST.")
        return method


class RelayConfig(ApplicationConfig):
    """Options of an application that relays to a web service."""

    timeout = ConfigFloat(
        "How long the service may take to answer a request, in seconds, connecting included.",
        default=DEFAULT_TIMEOUT,
        static=True,
        above=0,
        nullable=False,
    )
    retries = ConfigInt(
        "How often a request is sent again if the service can't be reached, does not answer in "
        "time, answers what can't be understood, or says that it can't now (a status from 500, "
        "408, 425 or 429). After that the message becomes a dead letter. Any other status but "
        "200 to 299 makes it one at once.",
        default=3,
        static=True,
        lowest=0,
        wording=FROM_0_UP,
        nullable=False,
    )
    retry_delay = ConfigFloat(
        "How long to wait before a request is sent again for the first time, in seconds. Each "
        "further wait is twice as long, and up to as much again, at random, is added.",
        default=1.0,
        static=True,
        lowest=0,
        wording=FROM_0_UP,
        nullable=False,
    )
    retry_max_delay = ConfigFloat(
        "What these waits don't grow over, in seconds, nor what the service asks for by a header "
        "Retry-After.",
        default=60.0,
        static=True,
        above=0,
        nullable=False,
    )
    response_limit = ConfigInt(
        "How big an answer may be, in bytes.",
        default=DEFAULT_RESPONSE_LIMIT,
        static=True,
        lowest=1,
        wording="must be a number from 1 up.",
        nullable=False,
    )
    signing_key = ConfigText(
        "If given, requests are signed: the header X-Vumi-Signature has 'sha256=' and the "
        "HMAC-SHA256 of the body with this key, in hexadecimal.",
        secret=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        # Not by the attribute: it isn't static, but looked at when the worker starts all the same.
        if RelayConfig.signing_key.get_value(self) == "":
            self.raise_config_error("Field 'signing_key' must not be empty.")

    @property
    def retry_rule(self) -> Retries:
        """How often and when to try again."""
        return Retries(self.retries, self.retry_delay, self.retry_max_delay)


def make_sender(worker: ApplicationWorker) -> HttpSender:
    """What a relay sends its requests by."""
    return HttpSender(
        worker.clock,
        connections=worker.worker_concurrency,
        response_limit=worker.get_static_config().response_limit,
        scrub=worker.scrub,
    )


def make_request(
    config: RelayConfig,
    method: str,
    url: ParseResult,
    body: bytes,
    login: tuple[str, str] | None,
    about: str,
) -> OutgoingRequest:
    """The request for a message.

    :param config: The options for this message.
    :param body: The message as JSON.
    :param login: User name and password; ``None``: none.
    :param about: What it is about, for the log.
    """
    headers = {"Content-Type": JSON}
    if login is not None:
        headers["Authorization"] = basic_auth_string(*login)
    if config.signing_key:
        headers[SIGNATURE_HEADER] = signature(config.signing_key, body)
    return OutgoingRequest(method, url.geturl(), body, headers, config.timeout, about)
