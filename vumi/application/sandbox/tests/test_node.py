from __future__ import annotations

import os
import stat
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.node import find_nodejs, node_flags, node_version

FLAGS = [
    ((18, 20, 8), None),
    ((20, 20, 2), "--experimental-permission"),
    ((22, 12, 0), "--experimental-permission"),
    ((22, 13, 0), "--permission"),
    ((23, 4, 0), "--experimental-permission"),
    ((23, 5, 0), "--permission"),
    ((26, 10, 0), "--permission"),
]


@pytest.mark.parametrize(("version", "flag"), FLAGS)
def test_permissions_are_taken_by_the_flag_that_this_version_has(
    version: tuple[int, int, int], flag: str | None
) -> None:
    flags = node_flags(version, 64, ["/a/runner.js", "/b/"])
    permissions = [one for one in flags if "permission" in one]
    assert permissions == ([flag] if flag else [])
    readable = [one for one in flags if one.startswith("--allow")]
    assert readable == (["--allow-fs-read=/a/runner.js", "--allow-fs-read=/b/"] if flag else [])
    assert "--max-old-space-size=64" in flags


def test_the_first_of_the_usual_places_is_taken(tmp_path: Any) -> None:
    for name in ("plain", "node", "nodejs"):
        (tmp_path / name).write_text("")
    for name in ("node", "nodejs"):
        (tmp_path / name).chmod(stat.S_IRWXU)
    places = [str(tmp_path / name) for name in ("missing", "plain", "node", "nodejs")]
    assert find_nodejs(places) == str(tmp_path / "node")


class TestNodeVersion(TestCase):
    def program(self, script: str) -> str:
        path: str = self.mktemp()
        with open(path, "w") as program:
            program.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, stat.S_IRWXU)
        return os.path.abspath(path)

    def ask(self, script: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(node_version(self.program(script), reactor))

    async def test_it_is_asked(self) -> None:
        self.assertEqual(await self.ask("echo v20.20.2"), (20, 20, 2))
        self.assertEqual(await self.ask("echo v27.0.0-nightly2026"), (27, 0, 0))

    async def test_what_is_no_node_is_told(self) -> None:
        for script in ("echo Python 3.11", "echo v20.1.2; exit 1", "true", "echo broken >&2"):
            with self.assertRaises(SandboxError) as caught:
                await self.ask(script)
            self.assertIn("is no Node.js", str(caught.exception))

    async def test_one_that_is_too_old_is_told(self) -> None:
        with self.assertRaises(SandboxError) as caught:
            await self.ask("echo v0.10.48")
        self.assertIn("is Node.js 0.10.48; the runner needs 18", str(caught.exception))
