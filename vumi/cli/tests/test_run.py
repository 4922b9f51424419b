"""Tests of vumi run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from twisted.logger import LogEvent, LogLevel

import vumi as package
from vumi.cli.command import vumi
from vumi.cli.run import readable_line
from vumi.cli.tests import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(package.__file__).parents[1]
SAMPLES = samples.__name__
TIMEOUT = 60


@contextmanager
def running(folder: Path, content: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run the workers of a file, in a process of its own; its output has both streams."""
    (folder / "x.yaml").write_text(content)
    process = subprocess.Popen(
        [sys.executable, "-m", "vumi.cli", "run", "x.yaml", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    seen = ""
    while words not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    return seen


# What is refused


@pytest.mark.parametrize(
    ("content", "args", "words"),
    [
        ("a: 1", [], ["does not list workers"]),
        ("", [], ["does not list workers"]),
        ("workers: {}", [], ["does not list workers"]),
        ("workers: [a]", [], ["Field 'workers' is not a dict."]),
        ("workers: {a: no.such.Class}", [], ["a: Worker class 'no.such.Class' can't be loaded"]),
        (
            f"workers: {{a: {SAMPLES}.QuietApplication, b: {SAMPLES}.PortTransport}}",
            [],
            ["a: Missing", "b: Missing", "b: Missing"],
        ),
        ("a: b: c", [], ["line 1, column 5"]),
        (f"workers: {{a: {SAMPLES}.QuietWorker}}", ["--broker=h"], ["is not a broker URL"]),
    ],
)
def test_a_mistake_is_a_line_before_anything_starts(
    tmp_path: Path, content: str, args: list[str], words: list[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(content)
    result = CliRunner().invoke(vumi, ["run", str(path), *args])
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert line.startswith("Error: ")
        assert word in line


# Lines for people


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"log_level": LogLevel.info, "log_system": "line"}, "[line] Hello."),
        ({"log_level": LogLevel.info, "log_namespace": "vumi.x"}, "[vumi.x] Hello."),
        ({"log_level": LogLevel.warn, "log_system": "line"}, "WARN [line] Hello."),
        ({"log_level": LogLevel.critical, "log_system": "line"}, "CRITICAL [line] Hello."),
        ({"log_system": "line"}, "[line] Hello."),
        ({"log_level": LogLevel.debug, "log_system": "line"}, None),
    ],
)
def test_a_line_has_the_time_whose_it_is_and_the_text(event: LogEvent, line: str | None) -> None:
    given = {"log_format": "{word}.", "word": "Hello", "log_time": 0.0, **event}
    formatted = readable_line(given)
    if line is None:
        assert formatted is None
    else:
        assert formatted is not None
        time, _, rest = formatted.partition(" ")
        assert len(time) == len("00:00:00")
        assert rest == f"{line}\n"


# In a process of its own


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_run_until_a_signal_lets_them_finish(tmp_path: Path, number: int) -> None:
    content = f"workers: {{one: {SAMPLES}.QuietWorker, two: {SAMPLES}.QuietWorker}}"
    with running(tmp_path, content) as process:
        seen = read_until(process, "All workers run: one, two.")
        assert seen.count("Here I am.") == 2
        process.send_signal(number)
        rest, _ = process.communicate(timeout=TIMEOUT)
    assert rest.startswith("Stopping. Again to stop at once.\n")
    assert rest.count("I have finished.") == 2
    assert process.returncode == 0
    assert "Traceback" not in seen + rest


@pytest.mark.integration
@pytest.mark.usefixtures("hangup_ends_processes")
def test_a_terminal_that_goes_away_lets_workers_finish(tmp_path: Path) -> None:
    content = f"workers: {{one: {SAMPLES}.QuietWorker, two: {SAMPLES}.QuietWorker}}"
    with running(tmp_path, content) as process:
        read_until(process, "All workers run: one, two.")
        process.send_signal(signal.SIGHUP)
        rest, _ = process.communicate(timeout=TIMEOUT)
    assert rest.count("I have finished.") == 2
    assert process.returncode == 0


@pytest.mark.integration
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    content = f"workers: {{one: {SAMPLES}.EndlessWorker}}"
    with running(tmp_path, content) as process:
        read_until(process, "All workers run")
        process.send_signal(signal.SIGINT)
        read_until(process, "Stopping.")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert "Traceback" not in rest


@pytest.mark.integration
def test_a_worker_that_cannot_start_ends_all_with_status_1(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 (where the worker listens)
        port = taken.getsockname()[1]
        content = (
            f"workers: {{quiet: {SAMPLES}.QuietWorker, line: {SAMPLES}.PortTransport}}\n"
            f"line: {{transport_name: t, port: {port}}}\n"
        )
        with running(tmp_path, content) as process:
            output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert "line could not start: Couldn't listen on" in output
    assert "I have finished." in output
    assert "All workers run" not in output
    assert "Traceback" not in output


@pytest.mark.integration
def test_the_demo_echoes_over_telnet(tmp_path: Path) -> None:
    demo = ROOT / "config" / "demo.yaml"
    if not demo.exists():
        pytest.skip("the sample files are in the source tree only")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    content = demo.read_text().replace("port=9010", f"port={port}")
    with running(tmp_path, content) as process:
        read_until(process, "All workers run: telnet, echo.")
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            client.sendall(b"hello\r\n")
            seen = b""
            while b"hello\r\n" not in seen:
                received = client.recv(1024)
                assert received, seen
                seen += received
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
