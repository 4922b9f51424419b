"""Tests of the command vumi: what all of its parts share, and those that only tell something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

import vumi as package
from vumi.cli.command import vumi
from vumi.cli.error_lines import error_lines
from vumi.cli.groups import CommandGroup
from vumi.cli.tests import samples
from vumi.errors import BrokerError, ConfigError, VumiError

if TYPE_CHECKING:
    from click.testing import Result

ROOT = Path(package.__file__).parents[1]
SAMPLES = samples.__name__
APPLICATION = f"{SAMPLES}.QuietApplication"


def call(*args: str) -> Result:
    return CliRunner().invoke(vumi, list(args))


def all_commands() -> list[list[str]]:
    found: list[list[str]] = [[]]
    for name, command in vumi.commands.items():
        found.append([name])
        if isinstance(command, click.Group):
            found += [[name, inner] for inner in command.commands]
    return found


# What all share


@pytest.mark.parametrize("args", all_commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(args: list[str]) -> None:
    for flag in ("-h", "--help"):
        result = call(*args, flag)
        assert result.exit_code == 0
        if args[-1:] != ["broker"]:
            assert "Example: " in result.output


def test_the_version_is_told() -> None:
    assert call("--version").output == f"vumi {package.__version__}\n"


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (VumiError("Oh no."), ["Error: Oh no."]),
        (BrokerError("in two\n  lines"), ["Error: in two lines"]),
        (ConfigError("One."), ["Error: One."]),
        (ConfigError(problems=["One.", "Two."]), ["Error: One.", "Error: Two."]),
        (ConfigError(), ["Error: "]),
    ],
)
def test_our_errors_end_in_a_line_for_each_problem(error: VumiError, lines: list[str]) -> None:
    @click.group(cls=CommandGroup)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [line.rstrip() for line in lines] or lines == ["Error: "]
    assert error_lines(error) == lines


def test_other_errors_keep_their_traceback() -> None:
    @click.group(cls=CommandGroup)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise KeyError("x")

    assert isinstance(CliRunner().invoke(group, ["fail"]).exception, KeyError)


@pytest.mark.parametrize(
    "args", [["bogus"], ["check"], ["run"], ["describe"], ["workers", "--kind", "bogus"]]
)
def test_wrong_usage_has_a_status_of_its_own(args: list[str]) -> None:
    result = call(*args)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


@pytest.mark.integration
def test_help_needs_neither_twisted_nor_a_broker() -> None:
    code = (
        "import sys; from vumi.cli.command import vumi; "
        "print([name for name in ('twisted', 'pika', 'yaml', 'orjson') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.integration
def test_the_command_can_be_run_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vumi.cli", "check", "/no/such/file", "--worker-class", "a.B"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Error: /no/such/file can't be read: No such file or directory.\n"


# describe


@pytest.mark.parametrize(
    ("class_path", "words"),
    [
        (APPLICATION, "An application that says nothing.\n"),
        (APPLICATION, "transport_name: str, required"),
        (f"{SAMPLES}.PortTransport", "The TCP port to listen on."),
        (f"{SAMPLES}.PortConfig", "port: int, required"),
        (f"{SAMPLES}.QuietWorker", "Runs and does nothing. Says so.\n"),
        ("vumi.middleware.LoggingMiddleware", "log_level"),
        ("vumi.multiworker.MultiWorker", "defaults: dict"),
    ],
)
def test_classes_are_described(class_path: str, words: str) -> None:
    result = call("describe", class_path)
    assert result.exit_code == 0
    assert words in result.stdout


@pytest.mark.parametrize(
    ("class_path", "words"),
    [
        ("no.such.Class", "No module named 'no'"),
        ("Class", "is no dotted path"),
        (f"{SAMPLES}.Nobody", "has no 'Nobody'"),
        ("vumi.__version__", "is not a class"),
    ],
)
def test_what_is_no_class_is_told(class_path: str, words: str) -> None:
    result = call("describe", class_path)
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line


# check


CHECKS: dict[str, tuple[str, list[str], list[str]]] = {
    "good": ("transport_name: t", ["--worker-class", APPLICATION], []),
    "bad and unknown options": (
        "transport_nam: t\nworker_concurrency: x",
        ["--worker-class", APPLICATION],
        ["Missing required", "worker_concurrency", "Did you mean 'transport_name'?"],
    ),
    "unknown class": ("a: 1", ["--worker-class", "no.such.Class"], ["No module named 'no'"]),
    "no class": ("a: 1", [], ["does not say which worker it is for"]),
    "empty": ("", [], ["does not say which worker it is for"]),
    "bad yaml": ("a: b: c", ["--worker-class", APPLICATION], ["line 1, column 5"]),
    "good multiworker": (
        f"workers: {{a: {APPLICATION}}}\ndefaults: {{transport_name: t}}",
        [],
        [],
    ),
    "bad multiworker": (
        f"workers: {{a: {APPLICATION}, b: no.such.Class}}\na: {{colour: red}}\nd: {{}}",
        [],
        ["a: Missing required", "b: Worker class", "Unknown option 'd'", "a: Unknown option"],
    ),
    "multiworker without workers": ("workers: {}", [], ["No workers are listed"]),
    "a file with that key for another worker": (
        "workers: {}\ntransport_name: t",
        ["--worker-class", APPLICATION],
        ["Unknown option 'workers'"],
    ),
}


@pytest.mark.parametrize("case", CHECKS)
def test_a_check_tells_everything_or_ok(case: str, tmp_path: Path) -> None:
    content, args, problems = CHECKS[case]
    path = tmp_path / "x.yaml"
    path.write_text(content)
    result = call("check", str(path), *args)
    lines = result.stderr.splitlines()
    assert len(lines) == len(problems), result.output
    for problem in problems:
        assert any(problem in line and line.startswith("Error: ") for line in lines), lines
    assert result.stdout == ("" if problems else "OK\n")
    assert result.exit_code == (1 if problems else 0)


# The sample files

SAMPLE_FILES: dict[str, list[str]] = {
    "demo.yaml": [],
    "echo.yaml": ["--worker-class", "vumi.demos.words.EchoWorker"],
    "telnet.yaml": ["--worker-class", "vumi.transports.telnet.TelnetServerTransport"],
}


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_a_sample_file_is_good_and_says_how_to_use_it(name: str) -> None:
    path = ROOT / "config" / name
    if not path.exists():
        pytest.skip("the sample files are in the source tree only")
    args: list[Any] = SAMPLE_FILES[name]
    result = call("check", str(path), *args)
    assert result.output == "OK\n"
    text = path.read_text()
    assert f"config/{name}" in text
    for word in args[1:]:
        assert word in text


@pytest.mark.parametrize("command", [["check"], ["run", "--help"]])
def test_a_file_may_name_its_worker_itself(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "echo.yaml"
    path.write_text("worker_class: vumi.demos.words.EchoWorker\ntransport_name: t\n")
    result = CliRunner().invoke(vumi, [*command, str(path)])
    assert result.exit_code == 0
    assert "OK" in result.output or "worker_class" in result.output


def test_a_class_in_the_current_folder_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_worker.py").write_text(
        "from vumi.demos.words import EchoWorker\nclass Mine(EchoWorker):\n    '''Is mine.'''\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sys.path", [entry for entry in sys.path if entry not in ("", str(tmp_path))]
    )
    result = CliRunner().invoke(vumi, ["describe", "my_own_worker.Mine"])
    assert result.exit_code == 0
    assert result.output.startswith("Is mine.")


@pytest.mark.parametrize("group", [[], ["messages"], ["dead"], ["new"], ["broker"]])
def test_summaries_of_commands_are_not_cut(group: list[str]) -> None:
    result = CliRunner().invoke(vumi, [*group, "--help"])
    assert result.exit_code == 0
    assert "..." not in result.output.partition("Commands:")[2].partition("Example:")[0]
