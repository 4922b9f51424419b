"""``vumi_tagpools``, as an operator types it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner

from vumi.components.tagpool import TagpoolManager
from vumi.persist.fake_redis import FakeRedis
from vumi.persist.redis_manager import RedisManager
from vumi.scripts import vumi_tagpools
from vumi.tests.servers import shared_redis

if TYPE_CHECKING:
    from pathlib import Path

POOLS: dict[str, Any] = {
    "shortcode": {"tags": [8864, "9292"], "metadata": {"transport_type": "sms"}},
    "longcode": {"tags": ["long[101-105]"]},
}


class Operator:
    """Somebody at a terminal, and the store that the configuration names."""

    def __init__(self, folder: Path, redis_manager: dict[str, Any]) -> None:
        self.path = folder / "tagpools.yaml"
        self.manager = RedisManager.from_config(redis_manager)
        self.tagpool = TagpoolManager(self.manager.sub_manager("vumi"))

    def types(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(vumi_tagpools.main, ["-c", str(self.path), *arguments])
        return result.exit_code, result.output

    def succeeds(self, *arguments: str) -> str:
        code, output = self.types(*arguments)
        assert code == 0, output
        return output

    def fails(self, *arguments: str) -> str:
        code, output = self.types(*arguments)
        assert code == 1, output
        return output


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    redis_manager = {"FAKE_REDIS": FakeRedis(), "key_prefix": "test"}
    operator = Operator(tmp_path, redis_manager)
    config = {"redis_manager": redis_manager, "pools": POOLS}
    # A store in the process can't be named in a file.
    monkeypatch.setattr(vumi_tagpools, "read_yaml_config", lambda path: config)
    return operator


def test_a_pool_is_created_and_may_be_created_again(operator: Operator) -> None:
    for _ in range(2):
        assert "2 tags declared" in operator.succeeds("create-pool", "shortcode")
    tagpool = operator.tagpool
    assert sorted(tagpool.free_tags("shortcode")) == [("shortcode", "8864"), ("shortcode", "9292")]
    assert tagpool.get_metadata("shortcode") == {"transport_type": "sms"}
    operator.succeeds("create-pool", "longcode")
    assert tagpool.get_metadata("longcode") == {}
    assert len(tagpool.free_tags("longcode")) == 5


def test_metadata_is_updated_in_one_pool_or_in_all_that_exist(operator: Operator) -> None:
    operator.tagpool.set_metadata("shortcode", {"old": 1})
    operator.succeeds("update-pool-metadata", "shortcode")
    assert operator.tagpool.get_metadata("shortcode") == {"transport_type": "sms"}
    operator.tagpool.set_metadata("shortcode", {"old": 1})
    output = operator.succeeds("update-all-metadata")
    assert "shortcode" in output
    assert "longcode" not in output
    assert operator.tagpool.get_metadata("shortcode") == {"transport_type": "sms"}
    assert operator.tagpool.list_pools() == {"shortcode"}


def test_a_pool_is_purged_unless_it_is_in_use(operator: Operator) -> None:
    operator.succeeds("create-pool", "shortcode")
    tag = operator.tagpool.acquire_tag("shortcode")
    assert operator.fails("purge-pool", "shortcode") == (
        "Error: 1 tags of pool shortcode still in use.\n"
    )
    operator.tagpool.release_tag(tag)
    operator.succeeds("purge-pool", "shortcode")
    assert operator.tagpool.list_pools() == set()


def test_tags_are_listed_in_few_words(operator: Operator) -> None:
    operator.succeeds("create-pool", "longcode")
    for number in (102, 103, 105):
        operator.tagpool.acquire_specific_tag(("longcode", f"long{number}"))
    assert operator.succeeds("list-keys", "longcode") == (
        "Free tags of pool longcode:\n"
        "   long101\n"
        "   long104\n"
        "Tags in use of pool longcode:\n"
        "   long[102-103]\n"
        "   long105\n"
    )
    assert "-- None --" in operator.succeeds("list-keys", "no such pool")


def test_pools_are_listed_by_where_they_are(operator: Operator) -> None:
    operator.succeeds("create-pool", "shortcode")
    operator.tagpool.set_metadata("other", {})
    assert operator.succeeds("list-pools") == (
        "Pools in the configuration and in the store:\n"
        "   shortcode\n"
        "Pools only in the configuration:\n"
        "   longcode\n"
        "Pools only in the store:\n"
        "   other\n"
    )


def test_a_tag_is_released(operator: Operator) -> None:
    operator.succeeds("create-pool", "shortcode")
    operator.tagpool.acquire_specific_tag(("shortcode", "8864"))
    assert "Released" in operator.succeeds("release-tag", "shortcode", "8864")
    assert operator.tagpool.inuse_tags("shortcode") == []
    assert "not in use" in operator.succeeds("release-tag", "shortcode", "8864")
    assert "Unknown tag" in operator.fails("release-tag", "shortcode", "1")


def test_a_pool_that_is_not_configured_can_not_be_created(operator: Operator) -> None:
    for command in ("create-pool", "update-pool-metadata"):
        assert operator.fails(command, "other") == (
            "Error: The configuration has no pool 'other'.\n"
        )
    assert operator.tagpool.list_pools() == set()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pools: [a]", "Field 'pools' is not a dict."),
        ("pools: {a: [b]}", "Pool 'a' must be a mapping"),
        ("pools: {a: {metadata: [b]}}", "Pool 'a': metadata must be a mapping"),
        ("pools: {a: {tags: '[x for x in y]'}}", "Pool 'a': '[x for x in y]' is neither"),
        ("redis_manager: {port: 0}", "port"),
        ("pools: [", "line 2, column 1"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(text: str, words: str, tmp_path: Path) -> None:
    operator = Operator(tmp_path, {"FAKE_REDIS": FakeRedis()})
    operator.path.write_text(text + "\n", "utf-8")
    assert words in operator.fails("create-pool", "a")


def test_help_needs_no_file(tmp_path: Path) -> None:
    operator = Operator(tmp_path, {"FAKE_REDIS": FakeRedis()})
    assert "tagpools.yaml" in operator.succeeds("--help")
    assert "POOL" in operator.succeeds("purge-pool", "--help")
    assert "can't be read" in operator.fails("list-pools")


@pytest.mark.integration
def test_on_a_real_redis(tmp_path: Path) -> None:
    redis_manager = {"url": shared_redis().url(), "key_prefix": f"test-{uuid4().hex}"}
    operator = Operator(tmp_path, redis_manager)
    config = {"redis_manager": redis_manager, "pools": POOLS, "tagpool_prefix": "vumi"}
    operator.path.write_text(yaml.safe_dump(config), "utf-8")
    try:
        operator.succeeds("create-pool", "shortcode")
        assert operator.tagpool.list_pools() == {"shortcode"}
        operator.succeeds("purge-pool", "shortcode")
        assert operator.manager.keys() == []
    finally:
        operator.manager._purge_all()
        operator.manager.close_manager()
