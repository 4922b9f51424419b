"""Tests of vumi new."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import vumi as package
from vumi.cli.command import vumi
from vumi.cli.new import APPLICATION_FILES, project_files
from vumi.cli.new.writing import TEMPLATES

ROOT = Path(package.__file__).parents[1]
TIMEOUT = 120


def call(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(vumi, ["new", "application", *args])
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_is_written_and_what_comes_next_is_told(folder: Path) -> None:
    status, output = call("my_clinic")
    assert status == 0
    assert "    cd my_clinic\n    vumi chat my_clinic.MyClinic\n" in output
    written = {path.name for path in (folder / "my_clinic").iterdir()}
    assert written == {name.format(name="my_clinic") for name in APPLICATION_FILES}


def test_it_is_written_where_one_likes(folder: Path) -> None:
    assert call("greeter", "--directory", "deep/down")[0] == 0
    assert (folder / "deep/down/greeter.py").exists()


def test_nothing_is_overwritten(folder: Path) -> None:
    (folder / "greeter").mkdir()
    mine = folder / "greeter" / "run.yaml"
    mine.write_text("mine")
    status, output = call("greeter")
    assert status == 1
    assert output == (
        "Error: greeter has run.yaml already; nothing was written. Choose another --directory.\n"
    )
    assert [path.name for path in (folder / "greeter").iterdir()] == ["run.yaml"]
    assert mine.read_text() == "mine"
    # A folder with something else in it is no obstacle.
    mine.rename(folder / "greeter" / "notes.txt")
    assert call("greeter")[0] == 0
    assert call("greeter")[0] == 1


def test_what_can_not_be_written_is_told(folder: Path) -> None:
    (folder / "file").write_text("")
    status, output = call("greeter", "--directory", "file/below")
    assert status == 1
    assert output == "Error: file/below can't be written: Not a directory.\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Clinic", "Maybe 'clinic'?"),
        ("my-clinic", "Maybe 'my_clinic'?"),
        ("1st clinic!", "Maybe 'st_clinic'?"),
        ("", "a letter first, 40 at most.\n"),
        ("a" * 41, "a letter first, 40 at most.\n"),
        ("../escape", "Maybe 'escape'?"),
        ("zürich", "Maybe 'z_rich'?"),
        ("class", "a word of Python"),
        ("match", "a word of Python"),
        ("json", "a module of that name"),
        ("vumi", "a module of that name"),
        ("twisted", "a module of that name"),
        ("line", "a file or option of the project has it"),
        ("vumi_test_case", "a file or option of the project has it"),
    ],
)
def test_a_name_that_can_not_be_is_refused(folder: Path, name: str, words: str) -> None:
    status, output = call(name)
    assert status == 1
    [line] = output.splitlines()
    assert line.startswith(f"Error: {name!r} can't be the name: ")
    assert words in output
    assert not list(folder.iterdir())


def test_every_template_is_used_and_filled_in() -> None:
    templates = {path.name for path in (TEMPLATES / "application").iterdir()}
    assert templates == set(APPLICATION_FILES.values())
    for content in project_files("greeter").values():
        assert "$" not in content
        assert "\N{REPLACEMENT CHARACTER}" not in content


def test_the_supervisor_waits_for_workers_as_that_of_the_project_itself() -> None:
    generated = project_files("greeter")["supervisord.conf"].splitlines()
    own = (ROOT / "supervisord.conf").read_text("utf-8").splitlines()
    for option in ("stopwaitsecs", "stopsignal", "autorestart"):
        [value] = {line for line in generated if line.startswith(f"{option}=")}
        assert value in own


def test_the_broker_is_the_one_that_broker_setup_makes_ready() -> None:
    from vumi.cli.dead import DEFAULT_URL

    assert yaml.safe_load(project_files("greeter")["broker.yaml"]) == {"broker": DEFAULT_URL}


@pytest.mark.integration
@pytest.mark.parametrize("name", ["greeter", "my_2nd_clinic"])
def test_a_project_works_as_it_was_written(folder: Path, name: str) -> None:
    assert call(name)[0] == 0
    class_name = {"greeter": "Greeter", "my_2nd_clinic": "My2ndClinic"}[name]
    cli = [sys.executable, "-m", "vumi.cli"]
    for command in (
        [sys.executable, "-m", "twisted.trial", f"test_{name}"],
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py"],
        [*cli, "check", f"{name}.yaml", "--worker-class", f"{name}.{class_name}"],
        [*cli, "check", "run.yaml"],
        [
            *(*cli, "check", "line.yaml", "--worker-class"),
            "vumi.transports.telnet.TelnetServerTransport",
        ],
        [
            *(*cli, "chat", f"{name}.{class_name}", "--config", f"{name}.yaml"),
            *("--script", f"{name}.chat"),
        ],
        [*cli, "chat", f"{name}.{class_name}", "--config", "run.yaml", "--script", f"{name}.chat"],
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
