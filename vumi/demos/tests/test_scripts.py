"""Every demonstration holds the conversation that ``config/demos`` has a script of.

A script's first line is the command that plays it, to be typed in a copy of the project.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from vumi.cli.workers import find_workers

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted((ROOT / "config" / "demos").glob("*.chat"))
TIMEOUT = 60


def command_of(script: Path) -> list[str]:
    first = script.read_text("utf-8").partition("\n")[0]
    assert first.startswith("# vumi chat "), first
    return shlex.split(first.removeprefix("# vumi "))


@pytest.mark.integration
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_demonstration_says_what_its_script_says(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vumi.cli", *command_of(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"OK: {script.relative_to(ROOT)}, ")


@pytest.mark.skipif(not SCRIPTS, reason="the scripts are in the source tree only")
def test_every_demonstration_has_a_script() -> None:
    demos = {
        entry.class_path
        for entry in find_workers("application", [])
        if entry.class_path.startswith("vumi.demos.")
    }
    assert demos == {command_of(script)[1] for script in SCRIPTS}
