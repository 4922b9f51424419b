"""Where messages are stored, as configurations say it now and as the old Vumi's said it."""

from __future__ import annotations

from typing import Any

import pytest

import vumi.components.message_store
import vumi.components.message_store_cache
from vumi.components.message_store import MessageStore, MessageStoreCache
from vumi.components.message_store.config import (
    ConfigMessageStore,
    MessageStoreConfig,
    MessageStoreOptions,
    riak_url,
)
from vumi.components.message_store.sql import SqlArchive
from vumi.config import Config
from vumi.errors import ConfigError
from vumi.tests.helpers import VumiTestCase

SQLITE = {"url": "sqlite://"}


class Holder(Config):
    message_store = ConfigMessageStore("Where.", static=True, secret=True)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "message_store: Missing required config field 'url'"),
        ({"url": "messages.db"}, "message_store: Field 'url' is not the URL"),
        ({"url": "mysql://host/db"}, "message_store: Field 'url' is not the URL"),
        ({**SQLITE, "keep_for": 0}, "message_store: Field 'keep_for' must be at least 1."),
        ({**SQLITE, "patience": -1}, "'patience' must be from 0 to 3600."),
        ({**SQLITE, "keep_for": "90 days"}, "keep_for' could not be converted to int."),
        ({**SQLITE, "redis_manager": {"port": 0}}, "redis_manager: Field 'port'"),
    ],
)
def test_what_is_wrong_is_told_by_name(config: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Holder({"message_store": config}, static=True)
    assert problem in str(raised.value)


def test_a_password_in_the_url_is_shown_by_no_error_and_no_repr() -> None:
    url = "postgresql://vumi:s3cret@host/db"
    config = Holder({"message_store": url}, static=True)
    assert "s3cret" not in repr(config)
    with pytest.raises(ConfigError) as raised:
        Holder({"message_store": {"url": url.replace("postgresql", "mysql")}}, static=True)
    assert "s3cret" not in str(raised.value)


def test_a_url_alone_is_enough() -> None:
    assert Holder({"message_store": "sqlite://"}, static=True).message_store == SQLITE


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"message_store": "sqlite://"}, {**SQLITE, "store_prefix": "message_store"}),
        (
            {"message_store": SQLITE, "redis_manager": {"db": 3}, "store_prefix": "p"},
            {**SQLITE, "redis_manager": {"db": 3}, "store_prefix": "p"},
        ),
        (
            {"message_store": {**SQLITE, "redis_manager": {"db": 1}}, "redis_manager": {"db": 3}},
            {**SQLITE, "redis_manager": {"db": 1}, "store_prefix": "message_store"},
        ),
        (
            {"riak_manager": {"bucket_prefix": "vumi."}},
            {
                "url": "riak://127.0.0.1:8098/?bucket_prefix=vumi.",
                "redis_manager": {},
                "store_prefix": "message_store",
            },
        ),
    ],
)
def test_old_and_new_options_say_which_store(given: Any, wanted: Any) -> None:
    assert MessageStoreOptions(given, static=True).store_options() == wanted


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "It is not said where messages are kept"),
        ({"message_store": "sqlite://", "riak_manager": {"bucket_prefix": "x"}}, "Only one of"),
        ({"riak_manager": {"bucket_prefix": ""}}, "'bucket_prefix' must be a text"),
        ({"riak_manager": {"host": "x"}}, "bucket_prefix"),
    ],
)
def test_options_that_say_no_store_or_two_are_refused(given: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        MessageStoreOptions(given, static=True)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("riak_manager", "url"),
    [
        (
            {"bucket_prefix": "a&b ", "host": "riak", "port": 8087, "transport_type": "pbc"},
            "riak://riak:8098/?bucket_prefix=a%26b%20",
        ),
        (
            {"bucket_prefix": "x", "host": "::1", "port": 8198, "client_id": "me"},
            "riak://[::1]:8198/?bucket_prefix=x",
        ),
    ],
)
def test_an_old_riak_manager_is_a_riak_url(riak_manager: Any, url: str) -> None:
    assert riak_url(riak_manager) == url


def test_old_paths_are_the_same_objects() -> None:
    assert vumi.components.message_store_cache.MessageStoreCache is MessageStoreCache
    for name in vumi.components.message_store.__all__:
        assert hasattr(vumi.components.message_store, name)


class OpeningTests(VumiTestCase):
    async def test_a_store_is_opened_with_its_figures_under_their_prefix(self) -> None:
        store = await MessageStore.from_config(
            {**SQLITE, "redis_manager": {"FAKE_REDIS": "yes", "key_prefix": "k"}}
        )
        self.assertIsInstance(store.manager, SqlArchive)
        self.assertEqual(store.cache.redis.get_key_prefix(), "k:message_store")
        batch_id = await store.batch_start()
        self.assertEqual(await store.cache.get_batch_ids(), {batch_id})
        await store.close()
        await store.close()

    async def test_the_archive_is_as_patient_as_is_said(self) -> None:
        archive = MessageStoreConfig({**SQLITE, "patience": 2.5}).archive()
        self.assertEqual(archive._patience, 2.5)

    async def test_a_store_without_redis_has_no_cache(self) -> None:
        store = await MessageStore.from_config("sqlite://")
        self.assertIsNone(store.cache)
        await store.close()

    async def test_an_archive_is_closed_if_redis_cannot_be_had(self) -> None:
        closed: list[Any] = []
        close = SqlArchive.close

        def closing(archive: SqlArchive) -> Any:
            closed.append(archive)
            return close(archive)

        self.patch(SqlArchive, "close", closing)
        self.patch(MessageStoreConfig, "redis", _refused)
        with self.assertRaises(ConfigError):
            await MessageStore.from_config({**SQLITE, "redis_manager": {}})
        self.assertEqual(len(closed), 1)


async def _refused(config: Any) -> Any:
    raise ConfigError("no")
