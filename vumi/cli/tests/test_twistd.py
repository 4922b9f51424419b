"""Tests of the twistd command: every mistake ends in lines, every failure in a status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from twisted.application.service import IServiceMaker
from twisted.internet.error import ReactorNotRunning
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

import vumi
from vumi.cli import twistd
from vumi.cli.tests import samples
from vumi.servicemaker import VumiWorkerServiceMaker

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(vumi.__file__).parents[1]
SAMPLES = samples.__name__
QUIET = f"--worker-class={SAMPLES}.QuietWorker"
APPLICATION = f"--worker-class={SAMPLES}.QuietApplication"
TIMEOUT = 60

# What is called "python -m twisted" (twist), and twistd as its script calls it.
TWIST = ["-m", "twisted", "--log-format=text"]
TWISTD = ["-c", "from twisted.scripts.twistd import run; run()", "--pidfile="]
TWISTD_N = [*TWISTD, "-n"]

# case -> arguments, and a part of each line that is printed. {folder} has the files below.
MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "no class": ([], ["please specify --worker-class"]),
    "no such module": (["--worker-class=no.such.Class"], ["No module named 'no'"]),
    "no such class": ([f"--worker-class={SAMPLES}.Nobody"], ["has no 'Nobody'"]),
    "no dotted path": (["--worker-class=Nobody"], ["is no dotted path"]),
    "no worker": ([f"--worker-class={SAMPLES}.NoWorker"], ["is not a worker class"]),
    "a module with a mistake": (["--worker-class=module_with_a_mistake.A"], ["SyntaxError"]),
    "an unknown flag": ([QUIET, "--bogus=1"], ["--bogus"]),
    "a flag without its value": ([QUIET, "--config"], ["--config requires argument"]),
    "an argument": ([QUIET, "more"], ["Unexpected argument 'more'"]),
    "a missing file": ([QUIET, "--config={folder}/gone.yaml"], ["gone.yaml can't be read"]),
    "a folder": ([QUIET, "--config={folder}"], ["Is a directory"]),
    "bad YAML": ([QUIET, "--config={folder}/bad.yaml"], ["bad.yaml, line 2, column 5"]),
    "not a mapping": ([QUIET, "--config={folder}/list.yaml"], ["not a list"]),
    "a circle": ([QUIET, "--config={folder}/circle.yaml"], ["in a circle"]),
    "a missing option": ([APPLICATION], ["Missing required config field 'transport_name'"]),
    "several mistyped options": (
        [APPLICATION, "--set-option=worker_concurrency:x", "--set-option=drain_timeout:x"],
        ["'worker_concurrency' could not", "'drain_timeout' could not", "'transport_name'"],
    ),
    "a bad middleware": (
        [APPLICATION, "--set-option=transport_name:t", "--set-option=middleware:=[m: no.Such]"],
        ["Middleware 'm' can't be loaded"],
    ),
    "a bad value": ([QUIET, "--set-option=a:=[1"], ["--set-option a, line 1"]),
    "a bad broker URL": ([QUIET, "--broker=http://u:sekrit@h/"], ["is not a broker URL"]),
    "a bad port": ([QUIET, "--port=x"], ["--port must be a whole number"]),
    "too high a port": ([QUIET, "--port=70000"], ["70000 is not a TCP port"]),
    "two brokers": ([QUIET, "--broker=memory:", "--vhost=/x"], ["--broker or --vhost"]),
    "a bad vumi-config": ([QUIET, "--vumi-config={folder}/bad.yaml"], ["bad.yaml, line 2"]),
    "a bad number of threads": ([QUIET, "--maxthreads=many"], ["--maxthreads must be"]),
    "a multiworker's child": (
        ["--worker-class=vumi.multiworker.MultiWorker", "--config={folder}/multi.yaml"],
        ["a: Missing required config field 'transport_name'", "b: Worker class 'no.Such'"],
    ),
    "a check of an unknown option": (
        [APPLICATION, "--check-config", "--set-option=transport_nam:t"],
        ["Missing required", "Did you mean 'transport_name'?"],
    ),
}

FILES = {
    "bad.yaml": "a: 1\nb: c: d",
    "list.yaml": "- a",
    "circle.yaml": "a: !include circle.yaml",
    "multi.yaml": f"workers: {{a: {SAMPLES}.QuietApplication, b: no.Such}}",
    "module_with_a_mistake.py": "def x(:",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def command(runner: list[str], *args: str) -> list[str]:
    return [sys.executable, *runner, "vumi_worker", *args]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}


def completed(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@contextmanager
def running(folder: Path, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def check_lines(stderr: str, words: list[str]) -> None:
    lines = stderr.splitlines()
    assert len(lines) == len(words), stderr
    for word in words:
        assert any(word in line for line in lines), stderr
    for line in lines:
        assert line.startswith("Error: ")
        assert "sekrit" not in line


# In this process: what is printed


@pytest.mark.parametrize("case", MISTAKES)
def test_every_mistake_is_one_line_and_the_end(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args, words = MISTAKES[case]
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(SystemExit) as ended, mock.patch("atexit.register"):
        options = twistd.Options()
        options.parseOptions([arg.format(folder=folder) for arg in args])
        twistd.makeService(options)
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    check_lines(captured.err, words)


def test_what_is_no_mistake_of_the_user_keeps_its_traceback() -> None:
    options = twistd.Options()
    options.parseOptions([QUIET])
    with (
        mock.patch.object(VumiWorkerServiceMaker, "makeService", side_effect=KeyError),
        pytest.raises(KeyError),
    ):
        twistd.makeService(options)


# In this process: how a failure ends the process


class FakeReactor:
    """Runs later what it is told to run; may be stopped once."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.stopped = False

    def callWhenRunning(self, call: Any) -> None:
        self.waiting.append(call)

    def run(self) -> None:
        for call in self.waiting:
            call()

    def stop(self) -> None:
        if self.stopped:
            raise ReactorNotRunning
        self.stopped = True


def test_a_failure_stops_the_reactor_and_then_sets_the_status() -> None:
    reactor = FakeReactor()
    worker = samples.QuietWorker({}, {})
    with mock.patch("atexit.register") as register:
        twistd.end_process_on_failure(worker, reactor)
    [(end_process,)] = [call.args for call in register.call_args_list]
    with mock.patch("os._exit") as end:
        end_process()
        end.assert_not_called()
        for listener in worker._failure_listeners:
            listener(mock.sentinel.failure)
            # Of several failures each is told.
            listener(mock.sentinel.failure)
        assert not reactor.stopped
        reactor.run()
        assert reactor.stopped
        end_process()
        end.assert_called_once_with(1)


# The plugins


@pytest.mark.parametrize("name", ["vumi_worker", "start_worker"])
def test_there_is_a_plugin_under_both_names(name: str) -> None:
    plugins: Any = pytest.importorskip("twisted.plugins.vumi_worker_starter")
    plugin = getattr(plugins, name)
    verifyObject(IPlugin, plugin)
    verifyObject(IServiceMaker, plugin)
    assert plugin.tapname == name
    assert plugin.options is twistd.Options
    assert plugin.makeService is twistd.makeService
    assert ("deprecated" in plugin.description.lower()) is (name == "start_worker")


@pytest.mark.integration
def test_other_commands_of_twistd_do_not_import_us(tmp_path: Path) -> None:
    code = (
        "import sys; from twisted.plugin import getPlugins; "
        "from twisted.application.service import IServiceMaker; "
        "names = [plugin.tapname for plugin in getPlugins(IServiceMaker)]; "
        "print('vumi_worker' in names, [name for name in sys.modules if 'vumi' in name])"
    )
    done = completed(tmp_path, [sys.executable, "-c", code])
    assert done.stdout == "True ['twisted.plugins.vumi_worker_starter']\n", done.stderr


# In processes of their own


@pytest.mark.integration
@pytest.mark.parametrize("case", MISTAKES)
def test_twistd_prints_one_line_for_each_mistake_and_nothing_else(case: str, folder: Path) -> None:
    args, words = MISTAKES[case]
    done = completed(folder, command(TWISTD_N, *[arg.format(folder=folder) for arg in args]))
    assert done.returncode == 1
    assert done.stdout == ""
    check_lines(done.stderr, words)


@pytest.mark.integration
@pytest.mark.parametrize("case", ["no class", "an unknown flag", "bad YAML", "a missing option"])
@pytest.mark.parametrize("runner", [TWIST, TWISTD], ids=["twist", "daemon"])
def test_so_do_twist_and_a_daemon_to_be(runner: list[str], case: str, folder: Path) -> None:
    args, words = MISTAKES[case]
    files = set(folder.iterdir())
    done = completed(folder, command(runner, *[arg.format(folder=folder) for arg in args]))
    assert done.returncode == 1
    assert done.stdout == ""
    check_lines(done.stderr, words)
    # It has not become a daemon: no log, no file with its process id.
    assert set(folder.iterdir()) == files


@pytest.mark.integration
@pytest.mark.parametrize("name", ["vumi_worker", "start_worker"])
def test_help_and_checks_end_well(name: str, tmp_path: Path) -> None:
    for args, words in (
        (["--help"], "--set-option="),
        (["--worker-help", APPLICATION], "transport_name: str, required"),
        (["--check-config", APPLICATION, "--set-option=transport_name:t"], "OK"),
    ):
        done = completed(tmp_path, [sys.executable, *TWISTD_N, name, *args])
        assert done.returncode == 0
        assert done.stderr == ""
        assert words in done.stdout


@pytest.mark.integration
@pytest.mark.parametrize("runner", [TWIST, TWISTD_N], ids=["twist", "twistd"])
@pytest.mark.parametrize("multi", [False, True], ids=["alone", "in a multiworker"])
def test_a_port_in_use_ends_the_process_with_status_1(
    runner: list[str], multi: bool, tmp_path: Path
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 (where the worker listens)
        port = taken.getsockname()[1]
        (tmp_path / "multi.yaml").write_text(
            f"workers: {{quiet: {SAMPLES}.QuietWorker, line: {SAMPLES}.PortTransport}}\n"
            f"line: {{transport_name: t, port: {port}}}\n"
        )
        args = (
            ["--worker-class=vumi.multiworker.MultiWorker", "--config=multi.yaml"]
            if multi
            else [
                f"--worker-class={SAMPLES}.PortTransport",
                "--set-option=worker_name:line",
                "--set-option=transport_name:t",
                f"--set-option=port:{port}",
            ]
        )
        done = completed(tmp_path, command(runner, "--broker=memory:", *args))
    assert done.returncode == 1
    assert "line could not start: Couldn't listen on" in done.stdout, done.stdout
    # The others were not just dropped.
    assert ("I have finished." in done.stdout) is multi
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.integration
def test_a_bug_in_a_workers_start_is_logged_and_ends_the_process(tmp_path: Path) -> None:
    args = ["--broker=memory:", f"--worker-class={SAMPLES}.LateFailure"]
    done = completed(tmp_path, command([*TWISTD_N, "--logfile=log"], *args))
    assert done.returncode == 1
    log = (tmp_path / "log").read_text()
    assert "LateFailure could not start" in log
    assert "ZeroDivisionError: one by none" in log
    assert "Server Shut Down." in log


@pytest.mark.integration
@pytest.mark.usefixtures("hangup_ends_processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_worker_finish_and_ends_the_process_as_twistd_does(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, command(TWISTD_N, "--broker=memory:", QUIET)) as process:
        assert process.stdout is not None
        while "Here I am." not in (line := process.stdout.readline()):
            assert line, "it ended"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=TIMEOUT)
    assert "I have finished." in rest
    assert "Server Shut Down." in rest
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.integration
def test_a_password_is_in_no_line(tmp_path: Path) -> None:
    args = [f"--worker-class={SAMPLES}.LateFailure", "--broker=memory:"]
    (tmp_path / "vumi.yaml").write_text("password: sekrit\nusername: u")
    done = completed(tmp_path, command(TWISTD_N, "--vumi-config=vumi.yaml", *args))
    assert done.returncode == 1
    assert "sekrit" not in done.stdout + done.stderr
    args = [QUIET, "--password=sekrit", "--hostname=127.0.0.1", "--port=1"]
    with running(tmp_path, command(TWISTD_N, *args)) as process:
        assert process.stdout is not None
        seen = ""
        while "127.0.0.1" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
    assert "sekrit" not in seen
