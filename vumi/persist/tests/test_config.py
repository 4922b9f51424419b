"""The options of a key-value store, and its URLs."""

from __future__ import annotations

import importlib.util
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vumi.config import Config, unknown_keys
from vumi.errors import ConfigError
from vumi.persist.address import Login, RedisAddress, TLSOptions
from vumi.persist.config import TEST_DB_VARIABLE, ConfigRedis, RedisConfig, check_installed
from vumi.persist.fake_redis import FakeRedis
from vumi.persist.redis_manager import RedisManager
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tests.utils import LogCatcher


@pytest.fixture(autouse=True)
def _no_test_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEST_DB_VARIABLE, raising=False)


# URLs

LOCAL = (("127.0.0.1", 6379),)

URLS = [
    ("memory:", RedisAddress()),
    ("memory:/", RedisAddress()),
    ("redis://127.0.0.1", RedisAddress(LOCAL)),
    ("redis:///3", RedisAddress(LOCAL, db=3)),
    ("redis://db.example:7000/", RedisAddress((("db.example", 7000),))),
    ("redis://db.example:7000/2", RedisAddress((("db.example", 7000),), db=2)),
    ("redis://db.example?db=2", RedisAddress((("db.example", 6379),), db=2)),
    ("redis://[::1]:7000", RedisAddress((("::1", 7000),))),
    ("redis://:p%40ss@127.0.0.1", RedisAddress(LOCAL, login=Login(None, "p@ss"))),
    ("redis://me:p:a@ss@127.0.0.1", RedisAddress(LOCAL, login=Login("me", "p:a@ss"))),
    ("redis://me@127.0.0.1", RedisAddress(LOCAL, login=Login("me", None))),
    ("rediss://127.0.0.1", RedisAddress(LOCAL, tls=TLSOptions())),
    (
        "rediss://127.0.0.1/1?ca_certs=/a&certfile=/b&keyfile=/c&server_name=d",
        RedisAddress(LOCAL, db=1, tls=TLSOptions("/a", "/b", "/c", "d")),
    ),
    (
        "redis+sentinel://one,two:26380/main/4",
        RedisAddress((("one", 26379), ("two", 26380)), db=4, service="main"),
    ),
    (
        "rediss+sentinel://:pw@one/main?sentinel_username=s&sentinel_password=t&ca_certs=/a",
        RedisAddress(
            (("one", 26379),),
            login=Login(None, "pw"),
            tls=TLSOptions("/a"),
            service="main",
            sentinel_login=Login("s", "t"),
        ),
    ),
]


@pytest.mark.parametrize(("url", "address"), URLS)
def test_urls(url: str, address: RedisAddress) -> None:
    assert RedisAddress.from_url(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a Redis URL"),
        ("127.0.0.1:6379", "not a Redis URL"),
        ("http://127.0.0.1", "not a Redis URL"),
        ("redis:", "not a Redis URL"),
        ("redis://127.0.0.1:port", "a port that is none: 'port'"),
        ("redis://127.0.0.1:0", "a port that is none"),
        ("redis://127.0.0.1:65536", "a port that is none"),
        ("redis://127.0.0.1/first", "no number: 'first'"),
        ("redis://127.0.0.1/-1", "no number: '-1'"),
        ("redis://one,two/0", "several hosts"),
        ("redis://127.0.0.1?ca_certs=/a", "unknown option 'ca_certs': known here are db"),
        ("rediss://127.0.0.1?color=red", "unknown option 'color': known here are db, ca_certs"),
        ("redis+sentinel://one", "names no service"),
        ("redis+sentinel://one//0", "names no service"),
    ],
)
def test_urls_that_are_none(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisAddress.from_url(url)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("memory:", "memory:"),
        ("redis://me:s3cret@db.example/2", "db.example:6379"),
        ("redis://:s3cret@[::1]", "[::1]:6379"),
        (
            "redis+sentinel://:s3cret@one,two/main/4?sentinel_password=s3cret",
            "one:26379,two:26379 (Sentinel, service main)",
        ),
    ],
)
def test_an_address_shows_no_password(url: str, text: str) -> None:
    address = RedisAddress.from_url(url)
    assert str(address) == text
    assert "s3cret" not in repr(address)


@given(st.text(), st.sampled_from(["", "redis://", "rediss://", "redis+sentinel://", "memory:"]))
def test_any_text_is_an_address_or_a_config_error(text: str, scheme: str) -> None:
    try:
        address = RedisAddress.from_url(scheme + text)
    except ConfigError:
        return
    assert address.in_process or all(0 < port < 65536 for _, port in address.hosts)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_every_password_can_be_written_in_a_url(password: str) -> None:
    for url in (
        f"redis://me:{quote(password, safe='')}@127.0.0.1/1",
        f"redis+sentinel://me:{quote(password, safe='')}@127.0.0.1:6379/main/1",
    ):
        address = RedisAddress.from_url(url)
        assert address.login == Login("me", password)
        assert address.hosts == LOCAL
        assert address.db == 1


# Options

OPTIONS: list[tuple[dict[str, Any], RedisAddress]] = [
    ({}, RedisAddress(LOCAL)),
    ({"host": "db.example", "port": 7000, "db": 2}, RedisAddress((("db.example", 7000),), db=2)),
    ({"port": "7000"}, RedisAddress((("127.0.0.1", 7000),))),
    ({"password": "pw"}, RedisAddress(LOCAL, login=Login(None, "pw"))),
    ({"password": 1234, "username": "me"}, RedisAddress(LOCAL, login=Login("me", "1234"))),
    ({"FAKE_REDIS": "yes"}, RedisAddress()),
    ({"FAKE_REDIS": True, "host": "db.example"}, RedisAddress()),
    ({"FAKE_REDIS": False}, RedisAddress(LOCAL)),
    ({"FAKE_REDIS": None}, RedisAddress(LOCAL)),
    ({"url": "memory:", "key_prefix": "x"}, RedisAddress()),
    ({"url": "redis://me:a@127.0.0.1/3"}, RedisAddress(LOCAL, db=3, login=Login("me", "a"))),
    (
        {"url": "redis://me:a@127.0.0.1/3", "password": "b", "db": 4},
        RedisAddress(LOCAL, db=4, login=Login("me", "b")),
    ),
]


@pytest.mark.parametrize(("options", "address"), OPTIONS)
def test_options(options: dict[str, Any], address: RedisAddress) -> None:
    assert RedisConfig(options).address == address


def test_defaults() -> None:
    config = RedisConfig({})
    assert config.key_prefix is None
    assert config.key_separator == ":"
    assert (config.timeout, config.connect_timeout) == (10, 30)


def test_a_prefix_may_be_all_digits() -> None:
    assert RedisConfig({"key_prefix": 2026}).key_prefix == "2026"


def test_all_that_is_wrong_is_told_at_once_without_secrets() -> None:
    with pytest.raises(ConfigError) as caught:
        RedisConfig(
            {
                "url": "redis://me:s3cret@127.0.0.1/first",
                "port": 0,
                "db": -1,
                "password": ["s3cret"],
                "timeout": 0,
                "connect_timeout": "soon",
            }
        )
    fields = ("url", "port", "db", "password", "timeout", "connect_timeout")
    problems = caught.value.problems
    assert [problem.split("'")[1] for problem in problems] == list(fields)
    assert all(problem.startswith("redis_manager: ") for problem in problems)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("options", [{"host": "x"}, {"port": 1}, {"host": "x", "port": 1}])
def test_where_it_is_must_not_be_said_twice(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisConfig({"url": "redis://127.0.0.1", **options})
    for name in options:
        assert name in str(caught.value)


@pytest.mark.parametrize("options", [None, "redis://127.0.0.1", ["x"]])
def test_options_that_are_no_mapping(options: Any) -> None:
    with pytest.raises(ConfigError):
        RedisConfig(options)


def test_neither_secret_is_shown() -> None:
    config = RedisConfig({"url": "redis://:s3cret@127.0.0.1", "password": "s3cret"})
    assert "s3cret" not in repr(config)


class WorkerConfig(Config):
    """Options of something that has a key-value store."""

    redis_manager = ConfigRedis("The key-value store.", default={}, static=True)


def test_a_workers_option_is_checked_with_all_others() -> None:
    assert WorkerConfig({}).redis_manager == {}
    assert WorkerConfig({"redis_manager": {"port": 1}}).redis_manager == {"port": 1}
    with pytest.raises(ConfigError) as caught:
        WorkerConfig({"redis_manager": {"port": 0, "db": -1}})
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].startswith("redis_manager: Field 'port' ")
    with pytest.raises(ConfigError):
        WorkerConfig({"redis_manager": "redis://127.0.0.1"})


def test_an_object_in_a_workers_option_stays_the_same_object() -> None:
    marker = object()
    config = WorkerConfig({"redis_manager": {"FAKE_REDIS": marker}})
    assert config.redis_manager["FAKE_REDIS"] is marker


def test_unknown_options_have_a_suggestion() -> None:
    [unknown] = unknown_keys(RedisConfig, {"keyprefix": "x"})
    assert unknown.suggestion == "key_prefix"


# The environment of tests


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"FAKE_REDIS": "yes"}, RedisAddress(LOCAL, db=5)),
        ({"url": "memory:"}, RedisAddress(LOCAL, db=5)),
        ({"FAKE_REDIS": "yes", "port": 7000, "db": 1}, RedisAddress((("127.0.0.1", 7000),), db=5)),
        ({"FAKE_REDIS": "yes", "url": "redis://x/1"}, RedisAddress((("x", 6379),), db=5)),
    ],
)
def test_all_tests_can_be_made_to_use_a_real_redis(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], address: RedisAddress
) -> None:
    monkeypatch.setenv(TEST_DB_VARIABLE, "5")
    assert RedisConfig(options).address == address


def test_a_store_in_the_process_that_a_test_shares_is_what_it_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TEST_DB_VARIABLE, "5")
    fake = FakeRedis()
    for shared in (fake, RedisManager.from_config({"FAKE_REDIS": fake})):
        assert RedisConfig({"FAKE_REDIS": shared}).address == RedisAddress()
    real = RedisManager.from_config({})
    assert RedisConfig({"FAKE_REDIS": real}).address == RedisAddress(LOCAL, db=5)


def test_the_variable_must_be_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TEST_DB_VARIABLE, "five")
    with pytest.raises(ConfigError, match=TEST_DB_VARIABLE):
        _ = RedisConfig({}).address


# What managers make of it


class FromConfigTests(SynchronousTestCase):
    """Making managers."""

    def test_a_wrong_option_is_told_before_anything_is_connected(self) -> None:
        self.failureResultOf(TxRedisManager.from_config({"port": 0}), ConfigError)
        self.assertRaises(ConfigError, RedisManager.from_config, {"port": 0})

    def test_an_unknown_option_is_a_warning(self) -> None:
        config = {"FAKE_REDIS": True, "charset": "utf-8", "keyprefix": "x"}
        given = dict(config)
        with LogCatcher(message="redis_manager: ") as catcher:
            RedisManager.from_config(config)
        self.assertEqual(
            catcher.messages(),
            [
                "redis_manager: Unknown option 'charset'.",
                "redis_manager: Unknown option 'keyprefix'. Did you mean 'key_prefix'?",
            ],
        )
        self.assertEqual(config, given)

    def test_a_certificate_that_is_none_is_told_at_once(self) -> None:
        for file in ("/no/such/file.pem", __file__):
            config = {"url": f"rediss://127.0.0.1:1?ca_certs={file}"}
            connecting = TxRedisManager.from_config(config)
            failure = self.failureResultOf(connecting, ConfigError)
            assert file in str(failure.value)

    def test_a_missing_library_is_told_with_what_to_install(self) -> None:
        self.patch(importlib.util, "find_spec", lambda name: None)
        for config, library in (({}, "txredisapi"), ({"FAKE_REDIS": True}, "fakeredis")):
            failure = self.failureResultOf(TxRedisManager.from_config(config), ConfigError)
            assert f"{library} is not installed." in str(failure.value)
            assert "[redis]" in str(failure.value)
        self.assertRaises(ConfigError, check_installed, "redis")
