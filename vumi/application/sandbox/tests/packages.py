"""Packages of npm for tests: installed once, kept for the tests of other days.

Knows npm's command line. Which packages there are is said here, with their versions, and by nobody
else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

__all__ = ["MOCHA", "TOOLKIT", "require_packages"]

TOOLKIT = {"vumigo_v02": "0.3.2"}
MOCHA = {"mocha": "12.0.3"}
TIMEOUT = 300


def require_packages(packages: dict[str, str]) -> Path:
    """A ``node_modules`` with packages, and what they need.

    :param packages: Name -> version.
    :raises unittest.SkipTest: There is no npm, or it can't install them.
    :raises AssertionError: The same, and this is CI, where a skipped test proves nothing.
    """
    npm = shutil.which("npm")
    if npm is None:
        _give_up("There is no npm.")
    key = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "vumi-tests" / f"npm-{key}"
    if not folder.is_dir():
        _install(str(npm), packages, folder)
    return folder / "node_modules"


def _install(npm: str, packages: dict[str, str], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
    manifest = {"name": "vumi-tests", "private": True, "dependencies": packages}
    (new / "package.json").write_text(json.dumps(manifest), "utf-8")
    try:
        done = subprocess.run(
            [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=new,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        if done.returncode != 0:
            _give_up(f"npm could not install {packages}: {done.stderr[-1000:]}")
        try:
            # Whole or not at all, whoever else does the same at this moment.
            new.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except subprocess.TimeoutExpired:
        _give_up(f"npm took longer than {TIMEOUT} seconds to install {packages}.")
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _give_up(reason: str) -> None:
    if os.environ.get("CI") or os.environ.get("VUMI_TEST_REQUIRE_SERVERS"):
        raise AssertionError(reason)
    raise unittest.SkipTest(reason)
