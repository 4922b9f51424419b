"""How many dispatchers a message has passed, so that none goes round for ever.

Knows ``routing_metadata``, where the count is kept as ``hops``. Knows no dispatcher.
"""

from __future__ import annotations

from typing import Any

from vumi.errors import RoutingLoop

__all__ = ["MAX_HOPS", "count_hop"]

#: How many dispatchers a message may pass.
MAX_HOPS = 50


def count_hop(message: Any) -> None:
    """Count one dispatcher more on a message's way.

    :raises RoutingLoop: It has passed too many.
    """
    metadata = message.payload["routing_metadata"]
    hops = metadata.get("hops")
    # Other programs may have written anything there.
    if type(hops) is not int or hops < 0:
        hops = 0
    if hops >= MAX_HOPS:
        raise RoutingLoop(
            f"The message has passed {hops} dispatchers: two of them seem to route it to each "
            "other. Check their routes, then retry the dead letter."
        )
    metadata["hops"] = hops + 1
