"""Node.js: where it is, which version, and the flags that take from it what a script could abuse.

Knows Node's command line. Knows no worker and starts nothing but ``node --version``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from twisted.internet.utils import getProcessOutputAndValue

from vumi.application.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "FIRST_WITH_PERMISSIONS",
    "NODE_PATHS",
    "NodeVersion",
    "find_nodejs",
    "node_flags",
    "node_version",
    "node_version_now",
]

#: Where Node.js is looked for, before the folders of PATH.
NODE_PATHS = (
    "/usr/local/bin/node",
    "/usr/local/bin/nodejs",
    "/usr/bin/node",
    "/usr/bin/nodejs",
)

NodeVersion = tuple[int, int, int]

MINIMUM: NodeVersion = (18, 0, 0)
#: From which version on there is a permission model, and by which flag.
FIRST_WITH_PERMISSIONS: NodeVersion = (20, 0, 0)


def find_nodejs(paths: Sequence[str] = NODE_PATHS) -> str | None:
    """The path of a Node.js, or ``None`` if there is none.

    :param paths: Where it may be; then the folders of PATH are looked through.
    """
    for path in paths:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return shutil.which("node") or shutil.which("nodejs")


async def node_version(executable: str, reactor: object) -> NodeVersion:
    """Ask a Node.js for its version.

    :param executable: Its path.
    :raises SandboxError: It is none, or too old for the runner.
    """
    try:
        answer = await getProcessOutputAndValue(executable, ["--version"], env={}, reactor=reactor)
    except OSError as error:
        raise SandboxError(f"{executable} could not be started: {error}") from error
    return _version_told(executable, *answer)


def node_version_now(executable: str) -> NodeVersion:
    """The same as :func:`node_version`, for start-up: it waits for the answer."""
    try:
        answer = subprocess.run(  # noqa: S603 (the command that the config names)
            [executable, "--version"], env={}, capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"{executable} could not be started: {error}") from error
    return _version_told(executable, answer.stdout, answer.stderr, answer.returncode)


def _version_told(executable: str, out: bytes, err: bytes, code: int) -> NodeVersion:
    found = re.fullmatch(rb"v(\d+)\.(\d+)\.(\d+)\S*\s*", out)
    if code != 0 or found is None:
        said = (err or out).decode("utf-8", "replace")[:200].strip()
        raise SandboxError(
            f"{executable} is no Node.js: --version gave code {code} and said {said!r}."
        )
    major, minor, patch = (int(number) for number in found.groups())
    if (major, minor, patch) < MINIMUM:
        raise SandboxError(
            f"{executable} is Node.js {major}.{minor}.{patch}; the runner needs {MINIMUM[0]} or "
            "newer."
        )
    return major, minor, patch


def node_flags(version: NodeVersion, heap_limit: int, readable: Iterable[str]) -> list[str]:
    """The flags that a script's Node.js is started with.

    :param version: Its version.
    :param heap_limit: How much a script may keep in memory, in MiB.
    :param readable: The files, and folders with a slash at their end, that may be read. All else
        of the file system, child processes, worker threads, native code and, from Node.js 25 on,
        the network are forbidden where this Node.js has permissions (from 20 on).
    """
    flags = [
        f"--max-old-space-size={heap_limit}",
        # The runner's own realm makes no code of texts; the script's context may.
        "--disallow-code-generation-from-strings",
        "--no-addons",
        # Warnings are for Node's users, and would be taken for the script's errors.
        "--no-warnings",
    ]
    if version >= FIRST_WITH_PERMISSIONS:
        stable = version >= (23, 5, 0) or (22, 13, 0) <= version < (23, 0, 0)
        flags.append("--permission" if stable else "--experimental-permission")
        flags.extend(f"--allow-fs-read={path}" for path in readable)
    return flags
