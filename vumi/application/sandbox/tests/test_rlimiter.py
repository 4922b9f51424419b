"""The door that programs are started through, with Python as the program."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from typing import Any

import pytest

from vumi.application import sandbox_rlimiter
from vumi.application.sandbox.rlimiter import SandboxRlimiter, limit_number

pytestmark = pytest.mark.integration

REPORT = """
import json, os, resource, signal, sys
print(json.dumps({
    'env': sorted(os.environ), 'cwd': os.getcwd(), 'nice': os.nice(0),
    'session': os.getsid(0) == os.getpid(), 'group': os.getpgid(0) == os.getpid(),
    'fds': sorted(int(n) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n)),
    'nofile': resource.getrlimit(resource.RLIMIT_NOFILE),
    'core': resource.getrlimit(resource.RLIMIT_CORE),
    'sigpipe': signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
    'status': open('/proc/self/status').read(), 'uid': os.getuid(), 'args': sys.argv[1:],
    'net': open('/proc/self/net/dev').read().count(':'),
}))
"""  # noqa: E501 (a program's line)


def run(
    *args: str, limits: dict[Any, tuple[int, int]] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-IS", "-c", REPORT, *args]
    command = SandboxRlimiter.command_line(program, limits or {}, **options)
    return subprocess.run(
        command, env={"LC_ALL": "C"}, capture_output=True, text=True, timeout=30, check=False
    )


def report(*args: str, **options: Any) -> Any:
    ended = run(*args, **options)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_the_program_gets_its_arguments_and_nothing_of_the_workers_environment() -> None:
    found = report("a b", "--", "--limits=x", network="host")
    assert found["args"] == ["a b", "--", "--limits=x"]
    assert set(found["env"]) <= {"LC_ALL", "LC_CTYPE"}


def test_it_leads_a_session_and_a_process_group_of_its_own() -> None:
    found = report(network="host")
    assert found["session"]
    assert found["group"]


def test_it_can_gain_no_rights() -> None:
    assert "NoNewPrivs:\t1" in report(network="host")["status"]


def test_limits_are_set_and_capped_at_those_there_are() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = report(limits={"RLIMIT_NOFILE": (40, 50), "RLIMIT_CORE": (0, 0)}, network="host")
    assert (found["nofile"], found["core"]) == ([40, 50], [0, 0])
    found = report(limits={"RLIMIT_NOFILE": (-1, -1)}, network="host")
    assert found["nofile"][1] == hard


def test_files_over_the_limit_on_their_number_stayed_open() -> None:
    with tempfile.TemporaryFile() as kept:
        os.set_inheritable(kept.fileno(), True)
        number = os.dup2(kept.fileno(), 700)
        try:
            program = [sys.executable, "-IS", "-c", REPORT]
            command = SandboxRlimiter.command_line(
                program, {"RLIMIT_NOFILE": (20, 20)}, network="host"
            )
            ended = subprocess.run(
                command, close_fds=False, env={}, capture_output=True, text=True, check=True
            )
        finally:
            os.close(number)
    assert max(json.loads(ended.stdout)["fds"]) < 10


def test_it_runs_in_its_folder_at_a_lower_priority(tmp_path: Any) -> None:
    found = report(path=str(tmp_path), nice=3, network="host")
    assert found["cwd"] == str(tmp_path)
    assert found["nice"] == os.nice(0) + 3


def test_it_has_no_network() -> None:
    ended = run(network="none")
    if ended.returncode:
        # Where the kernel does not let us, that is said, and it does not start.
        assert "does not let us take the network away" in ended.stderr
        pytest.skip("this kernel does not let us take the network away")
    assert json.loads(ended.stdout)["net"] <= 1


def test_it_can_be_another_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can do this")
    program = ["/bin/sh", "-c", "id -u; id -g; id -G"]
    command = SandboxRlimiter.command_line(program, {}, uid=65534, gid=65534)
    ended = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["65534"] * 3


@pytest.mark.parametrize(
    ("program", "options", "code", "words"),
    [
        ("/no/such/program", {}, 127, "/no/such/program could not be started"),
        ("/bin/true", {"path": "/no/such/folder"}, 126, "could not be prepared"),
        ("/bin/true", {"cgroup": "/no/such/group"}, 126, "could not be prepared"),
    ],
)
def test_what_fails_is_told(program: str, options: Any, code: int, words: str) -> None:
    command = SandboxRlimiter.command_line([program], {}, **options)
    ended = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_limits_have_names_and_numbers() -> None:
    assert limit_number("RLIMIT_AS") == resource.RLIMIT_AS
    assert limit_number(resource.RLIMIT_AS) == resource.RLIMIT_AS
    assert limit_number(str(resource.RLIMIT_AS)) == resource.RLIMIT_AS
    with pytest.raises(ValueError, match="Unknown resource limit key"):
        limit_number("RLIMIT_X")


def test_the_old_place() -> None:
    assert sandbox_rlimiter.SandboxRlimiter is SandboxRlimiter
