"""A web service for tests of relays, as a process of its own that can be killed and frozen.

It answers each message with its text in capitals, as a relay expects it, and notes the ids.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from vumi.tests.local_server import LOOPBACK, LocalServer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WebService"]

ROOT = Path(__file__).parents[3]


class WebService(LocalServer):
    """The service, seen from a test."""

    title: ClassVar[str] = "The web service"
    debian_package: ClassVar[str] = ""

    @classmethod
    def missing(cls) -> str:
        """Nothing: it is here."""
        return ""

    @property
    def url(self) -> str:
        """Where it takes messages."""
        return f"http://{LOOPBACK}:{self.port}/"

    def seen(self) -> list[str]:
        """The ids of all messages that it has had, once for each time."""
        path = self.directory / "seen"
        return path.read_text("utf-8").split() if path.exists() else []

    def _port_names(self) -> Sequence[str]:
        return ["http"]

    def _command(self) -> Sequence[Path | str]:
        return [sys.executable, "-m", __name__, str(self.port), self.directory / "seen"]

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "PYTHONPATH": str(ROOT)}

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5):  # noqa: S310 (our own, http)
                return True
        except (urllib.error.URLError, OSError):
            return False


class _Capitals(Resource):
    isLeaf = True

    def __init__(self, seen: Path) -> None:
        super().__init__()
        self._seen = seen

    def render_GET(self, request: Request) -> bytes:
        return b"OK"

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        message: dict[str, Any] = json.loads(request.content.read())
        with self._seen.open("a", encoding="utf-8") as seen:
            seen.write(f"{message['message_id']}\n")
        request.setHeader("X-Vumi-HTTPRelay-Reply", "true")
        return str(message["content"]).upper().encode("utf-8")


def main(port: int, seen: Path) -> None:
    """Serve until killed."""
    from twisted.internet import reactor

    any_reactor: Any = reactor
    any_reactor.listenTCP(port, Site(_Capitals(seen)), interface=LOOPBACK)
    any_reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
