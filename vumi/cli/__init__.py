"""The commands: ``vumi``, and what ``twistd vumi_worker`` runs.

Every mistake of a user ends in one line for each problem, and in an exit status that isn't 0.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command ``vumi``."""
    # Not with this module: twistd imports it too, and needs nothing of that.
    from vumi.cli.command import vumi

    vumi()
