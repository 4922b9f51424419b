"""Whether the packages that scripts may require can be loaded: asked of Node.js itself.

Knows how the runner is asked and answers. Waits for the answer, so it is for start-up and
``vumi check`` only.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from vumi.application.sandbox.command import SandboxCommand
from vumi.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["module_problems"]

#: Seconds that all packages together may take to load.
PATIENCE = 30.0
#: How much of an error's text is told, in characters.
MAX_TOLD = 500


def module_problems(
    command: Sequence[str], env: Mapping[str, str], modules: Sequence[str]
) -> list[str]:
    """Load packages as for a script, in a process of their own.

    :param command: The runner's command line.
    :param env: Its whole environment.
    :param modules: The packages' names.
    :returns: What is wrong, one sentence for each package that can't be loaded.
    """
    asked = SandboxCommand(cmd="check", modules=list(modules)).to_line()
    named = ", ".join(modules)
    try:
        answer = subprocess.run(  # noqa: S603 (the command line of the worker's own config)
            list(command),
            input=asked,
            env=dict(env),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except OSError as error:
        return [f"Field 'modules': {named} could not be tried: {error}"]
    except subprocess.TimeoutExpired:
        return [f"Field 'modules': loading {named} takes more than {PATIENCE:g} seconds."]
    for line in answer.stdout.splitlines():
        try:
            told = SandboxCommand.from_json(line)
        except InvalidMessage:
            continue
        if told["cmd"] == "sandbox.checked":
            return [
                f"Field 'modules': {name!r} can't be loaded: {_in_short(text)}"
                for name, text in json.loads(told["problems"])
            ]
    said = answer.stderr.decode("utf-8", "replace")
    return [f"Field 'modules': {named} can't be loaded: {_in_short(said)}"]


def _in_short(text: str) -> str:
    """An error's text without the calls that led to it."""
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("at "))[:MAX_TOLD]
