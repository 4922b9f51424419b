"""``python -m vumi.cli``: the command ``vumi`` where it isn't installed."""

from __future__ import annotations

from vumi.cli import main

main()
