"""``db_backup``, as an operator types it, on stores in the process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from vumi.persist.fake_redis import FakeRedis
from vumi.persist.redis_manager import RedisManager
from vumi.scripts import db_backup

if TYPE_CHECKING:
    from pathlib import Path

VALUES: dict[str, Any] = {
    "text": "snow \N{SNOWMAN}",
    "empty": "",
    "bytes": "\udcff\udc80",
}


class Store:
    """A store, and an operator who types commands."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake = FakeRedis()
        self.config = {"FAKE_REDIS": self.fake, "key_prefix": "test", "password": "s3cret"}
        self.redis: Any = RedisManager.from_config(self.config)
        self.file = folder / "backup.json"
        self.rules: Any = {}

        def read(path: str, optional: bool) -> Any:
            return self.rules if path == "rules.yaml" else {"redis_manager": self.config}

        monkeypatch.setattr(db_backup, "read_yaml_config", read)

    def fill(self) -> None:
        for key, value in VALUES.items():
            self.redis.set(key, value)
        self.redis.setex("sessions:1", 1000, "x")
        for item in ("a", "b", "a"):
            self.redis.rpush("queue", item)
        self.redis.sadd("set", "b", "a")
        self.redis.zadd("zset", {"a": 1, "b": 2.5})
        self.redis.hmset("hash", {"k": "v"})

    def types(self, *arguments: str) -> Any:
        return CliRunner().invoke(db_backup.main, [str(argument) for argument in arguments])

    def done(self, *arguments: str) -> str:
        result = self.types(*arguments)
        assert result.exit_code == 0, result.stderr
        text: str = result.stdout + result.stderr
        return text

    def contents(self) -> dict[str, Any]:
        records = (db_backup._record(self.redis, key) for key in sorted(self.redis.keys()))
        return {record["key"]: record["value"] for record in records if record is not None}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(tmp_path, monkeypatch)
    store.fill()
    return store


@pytest.mark.parametrize("options", [(), ("--not-sorted",)])
def test_all_kinds_of_keys_come_back(store: Store, options: tuple[str, ...]) -> None:
    before = store.contents()
    assert "8 keys backed up" in store.done("backup", "redis.yaml", str(store.file), *options)
    store.redis._purge_all()
    store.redis.set("other", "stays")
    assert "8 keys restored" in store.done("restore", "redis.yaml", str(store.file))
    assert store.contents() == {**before, "other": "stays"}
    store.done("restore", "redis.yaml", str(store.file), "--purge")
    assert store.contents() == before


def test_restoring_twice_appends_nothing_to_lists(store: Store) -> None:
    store.done("backup", "redis.yaml", str(store.file))
    store.done("restore", "redis.yaml", str(store.file))
    assert store.redis.lrange("queue", 0, -1) == ["a", "b", "a"]


def test_the_header_has_no_password(store: Store) -> None:
    store.done("backup", "redis.yaml", str(store.file))
    header = json.loads(store.file.read_text().splitlines()[0])
    assert "s3cret" not in store.file.read_text()
    assert (header["format"], header["backup_type"], header["sorted"]) == (
        "LF separated JSON",
        "redis",
        True,
    )
    assert header["redis_config"]["key_prefix"] == "test"


def test_time_to_live_goes_on_unless_it_is_frozen(store: Store) -> None:
    store.done("backup", "redis.yaml", str(store.file))
    header, *records = store.file.read_text().splitlines()
    old = json.dumps({**json.loads(header), "timestamp": "2020-01-01T00:00:00"})
    store.file.write_text("\n".join([old, *records]))
    store.redis._purge_all()
    assert "1 left out" in store.done("restore", "redis.yaml", str(store.file))
    assert not store.redis.exists("sessions:1")
    store.done("restore", "redis.yaml", str(store.file), "--frozen-ttls")
    assert 0 < store.redis.ttl("sessions:1") <= 1000
    assert store.redis.ttl("text") is None


def test_lines_that_cannot_be_read_are_told_and_left_out(store: Store) -> None:
    store.done("backup", "redis.yaml", str(store.file))
    with store.file.open("a") as file:
        file.write('{"key": 1}\nnonsense\n{"key": "a", "type": "stream", "value": 1}\n')
    told = store.done("restore", "redis.yaml", str(store.file))
    assert told.count("left out, as it can't be read") == 3
    assert "8 keys restored" in told


def test_keys_are_renamed_and_dropped_by_the_first_rule_that_fits(
    store: Store, tmp_path: Path
) -> None:
    store.rules = {
        "rules": [
            {"type": "rename", "from": r"sess(ions):", "to": r"new-\1#"},
            {"type": "drop", "key": "s"},
        ]
    }
    store.done("backup", "redis.yaml", str(store.file))
    target = tmp_path / "new.json"
    assert "7 keys kept, 1 dropped" in store.done(
        "migrate", "rules.yaml", str(store.file), str(target)
    )
    keys = [json.loads(line)["key"] for line in target.read_text().splitlines()[1:]]
    assert "new-ions#1" in keys
    assert "set" not in keys


def test_keys_that_begin_alike_are_counted(store: Store) -> None:
    store.redis.set("sessions:2#x", "y")
    store.done("backup", "redis.yaml", str(store.file))
    lines = store.done("analyze", str(store.file)).splitlines()
    assert "sessions (2)" in lines
    assert "text (1)" in lines
    assert "sessions:2#x (1)" in store.done("analyze", str(store.file), "-s", "!").splitlines()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({}, "a list named rules"),
        ({"rules": [{"type": "keep"}]}, "Rule 1 has no type"),
        ({"rules": ["drop"]}, "Rule 1 has no type"),
        ({"rules": [{"type": "drop"}]}, "must have the text 'key'"),
        ({"rules": [{"type": "rename", "from": "(", "to": "x"}]}, "Rule 1: "),
    ],
)
def test_rules_that_are_wrong_are_told(store: Store, rules: Any, words: str) -> None:
    store.done("backup", "redis.yaml", str(store.file))
    store.rules = rules
    result = store.types("migrate", "rules.yaml", str(store.file), "-")
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.startswith("db_backup: ")


def test_what_is_no_backup_is_refused(store: Store) -> None:
    store.file.write_text("hello\n")
    for command in (("restore", "redis.yaml"), ("analyze",)):
        result = store.types(*command, str(store.file))
        assert result.exit_code == 1
        assert "is not a backup" in result.stderr
