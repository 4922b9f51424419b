"""What to say when Redis is not there, does not answer or refuses us.

Words only, the same for those who wait by Deferreds and those who block. Each says where Redis is
and what to do; none has a password in it. Knows no connection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import OpenSSL.SSL
from service_identity import VerificationError

from vumi.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from vumi.persist.address import RedisAddress

__all__ = [
    "RECONNECT_CODES",
    "WAIT_CODES",
    "Refused",
    "closed",
    "in_words",
    "lost",
    "no_master",
    "not_for_now",
    "not_now_code",
    "refused",
    "unanswered",
    "unreachable",
]

#: With these codes Redis says that it has not executed a command, and that another connection may
#: find one that does: it loads its data, or it is a replica since a fail-over.
RECONNECT_CODES = frozenset(["LOADING", "READONLY", "MASTERDOWN"])
#: With these it says the same, and the connection is as good as another: it has no memory left, it
#: can't write its data to disk, it lacks replicas, a part of a cluster is away, or it is busy with
#: a script.
WAIT_CODES = frozenset(
    ["OOM", "MISCONF", "NOREPLICAS", "NOQUORUM", "CLUSTERDOWN", "TRYAGAIN", "BUSY"]
)

#: What a script's error says before Redis 7: its own words, then those of the command.
_IN_SCRIPT = re.compile(r"ERR Error running script \(.*?: -?(?P<code>[A-Z]+) ", re.DOTALL)
_TOO_MANY_CLIENTS = "ERR max number of clients reached"

#: Of all that Redis says upon a login that it does not take, each has one of these.
_ABOUT_LOGIN = ("wrongpass", "noperm", "auth", "password")


class Refused(StoreError):
    """Redis is there but does not let us in. Trying again will not help by itself."""


def in_words(reason: Any) -> str:
    """An error as the middle of a sentence."""
    reason = getattr(reason, "value", reason)
    if isinstance(reason, VerificationError):
        return "its certificate is for another name than the one that was connected to"
    if isinstance(reason, OpenSSL.SSL.Error) and reason.args and isinstance(reason.args[0], list):
        return "TLS: " + ", ".join(entry[-1] for entry in reason.args[0])
    words = str(reason).strip().rstrip(".")
    return words or type(reason).__name__


def not_now_code(text: str) -> str | None:
    """The code of an error that says "not now", one of the two sets above; ``None`` of others.

    :param text: What Redis said.
    """
    found = _IN_SCRIPT.match(text)
    code = found["code"] if found else text.partition(" ")[0]
    if code in RECONNECT_CODES or code in WAIT_CODES:
        return code
    # Said instead of the reply to the first command.
    return "BUSY" if text.startswith(_TOO_MANY_CLIENTS) else None


def not_for_now(where: str, command: str, text: str) -> StoreUnavailable:
    """Redis is there, and does not execute a command for now.

    :param where: Redis's address, without a password.
    :param text: What it said.
    """
    return StoreUnavailable(
        f"Redis at {where} does not execute {command} for now: {in_words(text)}."
    )


def unreachable(address: RedisAddress, what: str, reason: str, seconds: float) -> StoreUnavailable:
    """There was no connection.

    :param what: What was to be done: a command, or "Connecting".
    :param seconds: How long it was tried.
    """
    return StoreUnavailable(
        f"Redis at {address} can't be reached: {reason}. {what} was given up after {seconds:g} s. "
        "Is Redis running, and are host and port (or url) of redis_manager right?"
    )


def unanswered(
    address: RedisAddress, command: str, seconds: float, repeatable: bool
) -> StoreUnavailable:
    """There is a connection, but no reply came."""
    return StoreUnavailable(
        f"Redis at {address} did not answer {command} within {seconds:g} s"
        f"{'' if repeatable else '; it may have been executed or not'}. Is Redis overloaded, or "
        "busy with one long command (SLOWLOG GET tells)? The bound is redis_manager's timeout.",
        maybe_executed=not repeatable,
    )


def lost(address: RedisAddress, command: str, reason: str) -> StoreUnavailable:
    """The connection was lost while a command was under way that must not be sent again."""
    return StoreUnavailable(
        f"The connection to Redis at {address} was lost ({reason}) before it had answered "
        f"{command}, which may have been executed or not. It was not sent again, as executing it "
        "twice would be wrong.",
        maybe_executed=True,
    )


def closed(address: RedisAddress, command: str) -> StoreError:
    """Somebody uses a connection that we have closed ourselves."""
    return StoreError(f"{command}: the connection to Redis at {address} was closed here.")


def refused(address: RedisAddress, text: str) -> Refused:
    """Redis did not take the login, or the database.

    :param text: What it said.
    """
    if any(word in text.lower() for word in _ABOUT_LOGIN):
        advice = "Look at username and password of redis_manager"
        if address.service is not None:
            advice += " (for a Sentinel: sentinel_password in the url)"
    else:
        advice = "Look at db of redis_manager"
    return Refused(f"Redis at {address} refused us: {in_words(text)}. {advice}.")


def no_master(address: RedisAddress, problems: list[str]) -> StoreUnavailable:
    """No Sentinel told where the master is."""
    return StoreUnavailable(
        f"no Sentinel told where the master of {address.service!r} is: {'; '.join(problems)}"
    )
