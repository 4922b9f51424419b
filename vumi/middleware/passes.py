"""For middlewares that must treat a message once, though it may pass them twice.

In a dispatcher each message passes each middleware when it is received, and again when it is
published.
"""

from __future__ import annotations

from typing import Any

__all__ = ["first_pass"]


def first_pass(name: str, message: Any) -> bool:
    """Whether a middleware sees a message for the first time in this process.

    It is noted in the message's scratch cache, which doesn't travel.

    :param name: The middleware's name.
    """
    passed: dict[str, bool] = message.cache.setdefault("passed", {})
    if name in passed:
        return False
    passed[name] = True
    return True
