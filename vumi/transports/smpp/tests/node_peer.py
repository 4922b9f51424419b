"""SMPP by somebody else: the npm package ``smpp``, as a codec, as an SMSC and as an ESME.

Needs Node.js and npm; the package and what it needs are installed into a directory of our own, at
the versions that ``node/package-lock.json`` names, and removed when Python ends. Where that is not
possible tests are skipped, or fail in CI (:func:`vumi.tests.servers.require`).
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.tests.local_server import LocalServer, ask, find_program
from vumi.transports.smpp.pdu import EnquireLink, EnquireLinkResp

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NodeCodec", "NodeSmsc", "node_esme_command"]

SOURCES = Path(__file__).parent / "node"
INSTALL_SECONDS = 180
RUN_SECONDS = 60


@cache
def installed() -> Path | str:
    """The directory with our scripts and the package; or why there is none, in words."""
    programs = [find_program(name) for name in ("node", "npm")]
    if None in programs:
        return (
            "Node.js with npm is not installed: on Debian or Ubuntu get it with "
            "'apt-get install nodejs npm'"
        )
    directory = Path(tempfile.mkdtemp(prefix="vumi-smpp-node-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    shutil.copytree(
        SOURCES, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules")
    )
    command = [str(programs[1]), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"'npm ci' for the package smpp took more than {INSTALL_SECONDS} seconds"
    if done.returncode:
        return f"'npm ci' for the package smpp failed: {done.stderr.strip()[-500:]}"
    return directory


def _script(name: str) -> Path:
    directory = installed()
    assert isinstance(directory, Path), directory
    return directory / name


class NodeSmsc(LocalServer):
    """An SMSC; what it does is said in ``node/smsc.js``."""

    title: ClassVar[str] = "The npm package smpp"
    debian_package: ClassVar[str] = "nodejs"

    @classmethod
    def missing(cls) -> str:
        """What this machine lacks to run it, in words; empty if nothing."""
        directory = installed()
        return directory if isinstance(directory, str) else ""

    def _port_names(self) -> Sequence[str]:
        return ["smpp"]

    def _command(self) -> Sequence[Path | str]:
        node = find_program("node")
        assert node is not None
        return [node, _script("smsc.js"), str(self.port)]

    def _answers(self) -> bool:
        answer = EnquireLinkResp(sequence_number=1).encode()
        return ask(self.port, EnquireLink(sequence_number=1).encode(), answer) == answer


class NodeCodec:
    """Reads and writes PDUs; a context manager."""

    def __enter__(self) -> NodeCodec:
        self._process = subprocess.Popen(
            ["node", _script("codec.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_NO_WARNINGS": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        # Its end of file ends it.
        self._process.communicate(timeout=RUN_SECONDS)

    def decode(self, data: bytes) -> dict[str, Any]:
        """The fields of a PDU."""
        return self._ask({"decode": {"hex": data.hex()}})

    def encode(self, command: str, fields: dict[str, Any]) -> bytes:
        """A PDU of fields."""
        return bytes.fromhex(self._ask({"encode": [command, fields]})["hex"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in answer, (question, answer)
        return answer


def node_esme_command(port: int, password: str) -> list[str]:
    """The command that runs ``node/esme.js``."""
    return ["node", str(_script("esme.js")), str(port), password]
