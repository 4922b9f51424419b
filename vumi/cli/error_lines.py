"""What a user who made a mistake is told."""

from __future__ import annotations

from vumi.errors import ConfigError
from vumi.printable import printable

__all__ = ["error_lines"]


def error_lines(error: Exception) -> list[str]:
    """The lines to show for an error: one for each problem.

    :param error: What was raised because of what the user did.
    """
    problems = error.problems if isinstance(error, ConfigError) else ()
    return [f"Error: {_one_line(problem)}" for problem in problems or (str(error),)]


def _one_line(text: str) -> str:
    # It may quote a configuration, a message or what a server has said.
    return printable(" ".join(text.split()))
