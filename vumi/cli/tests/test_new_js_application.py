"""Tests of vumi new js-application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import vumi as package
from vumi.application.sandbox.tests.helpers import require_node
from vumi.application.sandbox.tests.packages import MOCHA, TOOLKIT, require_packages
from vumi.cli.command import vumi
from vumi.cli.new.js_application import JS_APPLICATION_FILES, WORKER_CLASS, project_files
from vumi.cli.new.writing import TEMPLATES

ROOT = Path(package.__file__).parents[1]
TIMEOUT = 120


def call(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(vumi, ["new", "js-application", *args])
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_is_written_and_what_comes_next_is_told(folder: Path) -> None:
    status, output = call("my_clinic")
    assert status == 0
    assert "    cd my_clinic\n    npm install\n    vumi chat vumi.application." in output
    written = {
        str(path.relative_to(folder / "my_clinic"))
        for path in (folder / "my_clinic").rglob("*")
        if path.is_file()
    }
    assert written == {name.format(name="my_clinic") for name in JS_APPLICATION_FILES}


def test_nothing_is_overwritten(folder: Path) -> None:
    assert call("greeter", "--directory", "deep/down")[0] == 0
    mine = folder / "deep/down/greeter.js"
    mine.write_text("mine")
    assert call("greeter", "--directory", "deep/down")[0] == 1
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["Clinic", "my-clinic", "", "../escape", "line", "test", "app"])
def test_a_name_that_can_not_be_is_refused(folder: Path, name: str) -> None:
    status, output = call(name)
    assert status == 1
    assert output.startswith(f"Error: {name!r} can't be the name: ")
    assert not list(folder.iterdir())


def test_every_template_is_used_and_filled_in() -> None:
    templates = {
        f"js-application/{path.name}" for path in (TEMPLATES / "js-application").iterdir()
    }
    used = {path for path in JS_APPLICATION_FILES.values() if path.startswith("js-application/")}
    assert templates == used
    for path, content in project_files("greeter").items():
        assert "$" not in content.replace("self.$;", ""), path


def test_the_packages_are_those_that_are_tested() -> None:
    manifest = json.loads(project_files("greeter")["package.json"])
    assert manifest["dependencies"] == TOOLKIT
    assert manifest["devDependencies"] == MOCHA


@pytest.mark.integration
@pytest.mark.parametrize("name", ["greeter", "my_2nd_clinic"])
def test_a_project_works_as_it_was_written(folder: Path, name: str) -> None:
    require_node()
    packages = require_packages({**TOOLKIT, **MOCHA})
    assert call(name)[0] == 0
    (folder / name / "node_modules").symlink_to(packages)
    cli = [sys.executable, "-m", "vumi.cli"]
    chat = [*cli, "chat", WORKER_CLASS, "--script", f"{name}.chat", "--timeout", "30"]
    for command in (
        ["npm", "test"],
        [*cli, "check", f"{name}.yaml", "--worker-class", WORKER_CLASS],
        [*cli, "check", "run.yaml"],
        [*chat, "--config", f"{name}.yaml"],
        [*chat, "--config", "run.yaml"],
    ):
        done = subprocess.run(
            command,
            cwd=folder / name,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if command[0] == "npm":
            assert "4 passing" in done.stdout
