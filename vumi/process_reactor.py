"""The reactor of the process, for code that gets none from its caller.

Constructors take their reactor. Some cannot: old signatures (a worker's, ``http_request``'s, a
configuration field's) have no place for one. They ask here, when they need it, and nobody else
below the doors imports the global reactor.
"""

from __future__ import annotations

from typing import Any

__all__ = ["process_reactor"]


def process_reactor() -> Any:
    """Twisted's global reactor.

    Its first import chooses which reactor the process has. Call this when the reactor is needed,
    never while a module is imported.
    """
    from twisted.internet import reactor

    return reactor
