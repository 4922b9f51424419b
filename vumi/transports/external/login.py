"""A token that is asked for before messages can be sent, and asked for again when it is over.

Knows the request for a token (OAuth's client credentials and what is like it) and when to make it.
Knows no message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock

from vumi.tasks import settle
from vumi.transports.external.answers import document_of
from vumi.transports.external.calls import Call
from vumi.transports.external.reading import Source, Unreadable
from vumi.web.outgoing import Outcome, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.transports.external.sections import Section
    from vumi.web.client import HttpResponse
    from vumi.web.outgoing import OutgoingRequest

__all__ = ["Login", "LoginRule"]

DEFAULT_LIFETIME = 3600
#: Seconds before its end from which a token isn't used: requests take time.
MARGIN = 30


@dataclass(frozen=True)
class LoginRule:
    """How a token is asked for.

    :param read: Where the answer has it.
    :param expires_in: Where the answer has for how many seconds it is good.
    :param lifetime: For how many, if the answer doesn't say.
    """

    call: Call
    read: Source
    expires_in: Source | None
    lifetime: int

    @classmethod
    def of(cls, section: Section, secrets: Mapping[str, str]) -> LoginRule | None:
        """Read the options of ``login``; ``None`` if some are wrong."""
        call = Call.of(section, {f"secrets.{name}" for name in secrets})
        read = section.source("read", required=True)
        expires_in = section.source("expires_in")
        lifetime = section.number("lifetime", DEFAULT_LIFETIME, 1)
        section.close()
        if call is None or read is None:
            return None
        return cls(call, read, expires_in, lifetime)

    def token_in(self, response: HttpResponse) -> tuple[str, float]:
        """The token in an answer, and for how many seconds it is good.

        :raises RequestFailed: There is none.
        """
        document = document_of(response)
        try:
            token = self.read.find(document)
            told = None if self.expires_in is None else self.expires_in.find(document)
        except Unreadable:
            token = told = None
        if not token:
            raise RequestFailed(Outcome.UNAVAILABLE, "gave no token")
        is_number = told is not None and told.isascii() and told.isdigit() and len(told) < 10
        return token, float(told or 0) if is_number else float(self.lifetime)


class Login:
    """Has a token when one is needed. Many may ask at once; the network is asked by one.

    :param rule: How it is asked for.
    :param secrets: Values of the rule's placeholders.
    :param ask: Makes a request, with retries; takes the request and what reads its answer.
    :param clock: What time passes on.
    """

    def __init__(
        self,
        rule: LoginRule,
        secrets: Mapping[str, str],
        ask: Callable[[OutgoingRequest, Callable[[HttpResponse], Any]], Deferred[Any]],
        clock: Any,
    ) -> None:
        self._rule = rule
        self._values = {f"secrets.{name}": value for name, value in secrets.items()}
        self._ask = ask
        self._clock = clock
        self._lock = DeferredLock()
        self._token = ""
        self._ends = 0.0
        #: The last tokens, which must be shown nowhere.
        self.known: tuple[str, ...] = ()

    async def token(self) -> str:
        """A token that is good.

        :raises RequestFailed: There is none to be had.
        """
        if not self._is_good():
            await self._lock.run(lambda: Deferred.fromCoroutine(self._fetch()))
        return self._token

    def forget(self, token: str) -> None:
        """A token was refused: don't use it again."""
        if self._token == token:
            self._ends = 0.0

    def _is_good(self) -> bool:
        return bool(self._clock.seconds() < self._ends)

    async def _fetch(self) -> None:
        if self._is_good():
            # Somebody else was faster.
            return
        request = replace(self._rule.call.make(self._values), about="the token")
        token, lifetime = await settle(self._ask(request, self._rule.token_in))
        self._token = token
        self._ends = self._clock.seconds() + max(lifetime - MARGIN, lifetime / 2)
        self.known = (*self.known[-1:], token)
