"""``vumi_redis_tools``, as an operator types it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner

from vumi.persist.fake_redis import FakeRedis
from vumi.persist.redis_manager import RedisManager
from vumi.scripts import vumi_redis_tools
from vumi.scripts.vumi_redis_tools import Progress, TaskError, read_task
from vumi.tests.servers import shared_redis

if TYPE_CHECKING:
    from pathlib import Path

PATH = "redis.yaml"


class Operator:
    """Somebody at a terminal, and the store that the configuration names."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.redis = RedisManager.from_config(config)

    def types(self, *arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(vumi_redis_tools.main, arguments)
        return result.exit_code, result.stdout, result.stderr

    def sees(self, *arguments: str) -> list[str]:
        code, output, errors = self.types(*arguments)
        assert (code, errors) == (0, "")
        return output.splitlines()

    def is_told(self, *arguments: str) -> str:
        code, output, errors = self.types(*arguments)
        assert (code, output) == (1, "")
        assert errors.startswith("vumi_redis_tools: ")
        return errors


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> Operator:
    config = {"FAKE_REDIS": FakeRedis(), "key_prefix": "test"}
    # A store in the process can't be named in a file.
    read = {"redis_manager": config}
    monkeypatch.setattr(vumi_redis_tools, "read_yaml_config", lambda path, optional: read)
    operator = Operator(config)
    for key in ("session:1", "session:2", "session:27", "other"):
        operator.redis.set(key, "x")
    return operator


def test_counting(operator: Operator) -> None:
    assert operator.sees(PATH, "session:*", "-t", "count") == ["Found 3 matching keys."]
    assert operator.sees(PATH, "*", "-t", "count") == ["Found 4 matching keys."]
    assert operator.sees(PATH, "nothing", "-t", "count") == ["Found 0 matching keys."]


def test_keys_are_shown_without_the_prefix(operator: Operator) -> None:
    assert sorted(operator.sees(PATH, "session:2*", "-t", "list")) == ["session:2", "session:27"]


def test_expiring_and_persisting(operator: Operator) -> None:
    assert operator.sees(PATH, "session:2*", "-t", "expire:seconds=100") == []
    assert 95 <= operator.redis.ttl("session:27") <= 100
    assert operator.redis.ttl("session:1") is None
    assert operator.sees(PATH, "session:27", "--task", "persist") == []
    assert operator.redis.ttl("session:27") is None
    assert operator.redis.ttl("session:2") is not None


def test_skipping_leaves_a_key_to_the_tasks_before_only(operator: Operator) -> None:
    lines = operator.sees(
        PATH, "session:*", "-t", "count", "-t", "skip:pattern=session:2{1,3}", "-t", "list",
        "-t", "expire:seconds=5", "-t", "count",
    )  # fmt: skip
    assert lines == ["session:1", "Found 3 matching keys.", "Found 1 matching keys."]
    assert operator.redis.ttl("session:2") is None


def test_a_pattern_to_skip_must_fit_from_the_start(operator: Operator) -> None:
    lines = operator.sees(PATH, "session:*", "-t", "skip:pattern=2", "-t", "count")
    assert lines == ["Found 3 matching keys."]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "CONFIG_FILE"),
        ([PATH], "MATCH_PATTERN"),
        ([PATH, "*"], "--task"),
        ([PATH, "*", "more", "-t", "count"], "more"),
        ([PATH, "*", "-t", "paint"], "Unknown task 'paint'. There are count, expire, list"),
        ([PATH, "*", "-t", "count:seconds=5"], "Write it so: count. Not: count:seconds=5."),
        ([PATH, "*", "-t", "expire"], "Write it so: expire:seconds=.... Not: expire."),
        ([PATH, "*", "-t", "expire:secs=5"], "Write it so: expire:seconds=..."),
        ([PATH, "*", "-t", "expire:seconds=soon"], "seconds must be a whole number"),
        ([PATH, "*", "-t", "expire:seconds=0"], "seconds must be a whole number"),
        ([PATH, "*", "-t", "expire:seconds=-1"], "seconds must be a whole number"),
        ([PATH, "*", "-t", "skip:pattern=("], "not a regular expression"),
    ],
)
def test_a_mistake_is_told_and_nothing_done(
    operator: Operator, arguments: list[str], words: str
) -> None:
    assert words in operator.is_told(*arguments)
    assert operator.redis.ttl("other") is None


def test_a_wrong_usage_comes_with_a_hint(operator: Operator) -> None:
    assert operator.is_told(PATH, "*").endswith(
        "vumi_redis_tools: Try --help for usage details.\n"
    )


def test_help_tells_every_task(operator: Operator) -> None:
    text = "\n".join(operator.sees("--help"))
    for name in vumi_redis_tools.TASKS:
        assert name in text


def test_a_task_that_there_is_not_is_a_task_error() -> None:
    with pytest.raises(TaskError):
        read_task("paint", RedisManager(FakeRedis()), print)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "line 1"),
        ("{}", "redis_manager"),
        ("redis_manager: {port: 0, db: -1}", "Field 'port'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / PATH
    path.write_text(content, encoding="utf-8")
    result = CliRunner().invoke(vumi_redis_tools.main, [str(path), "*", "-t", "count"])
    assert result.exit_code == 1
    assert words in result.stderr
    missing = CliRunner().invoke(vumi_redis_tools.main, [str(tmp_path / "no"), "*", "-t", "count"])
    assert missing.exit_code == 1
    assert str(tmp_path / "no") in missing.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_told_on_a_terminal_once_in_a_while() -> None:
    times = [0.0]
    terminal = Terminal()
    progress = Progress(terminal, lambda: times[0])
    for number in range(1, 97):
        times[0] += 0.125
        progress.reached(number)
    shown = terminal.getvalue()
    assert shown.count("keys seen") == 12, shown
    assert shown.endswith("\r96 keys seen")
    progress.clear()
    progress.clear()
    assert terminal.getvalue().removeprefix(shown) == "\r" + " " * len("96 keys seen") + "\r"


def test_progress_is_told_to_nobody_else() -> None:
    times = [0.0]
    file = io.StringIO()
    progress = Progress(file, lambda: times[0])
    times[0] = 1000
    progress.reached(1)
    progress.clear()
    assert file.getvalue() == ""


@pytest.mark.integration
def test_on_a_real_redis_with_more_keys_than_one_scan_gives(tmp_path: Path) -> None:
    config = {"url": shared_redis().url(), "key_prefix": f"tools-{uuid4().hex}"}
    path = tmp_path / PATH
    path.write_text(yaml.safe_dump({"redis_manager": config}), encoding="utf-8")
    operator = Operator(config)
    try:
        for number in range(3000):
            operator.redis.set(f"key{number}", number)
        lines = operator.sees(str(path), "key1*", "-t", "expire:seconds=60", "-t", "count")
        assert lines == ["Found 1111 matching keys."]
        assert operator.redis.ttl("key1") is not None
        assert operator.redis.ttl("key2") is None
    finally:
        operator.redis._purge_all()
        operator.redis.close_manager()
