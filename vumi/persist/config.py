"""The options that say where the key-value store is: what a worker's ``redis_manager`` may have.

Knows what is asked for; connects to nothing.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from vumi.config import (
    Config,
    ConfigDict,
    ConfigField,
    ConfigFloat,
    ConfigInt,
    ConfigPort,
    ConfigText,
    config_hints,
    unknown_keys,
)
from vumi.errors import ConfigError
from vumi.extras import MissingExtra
from vumi.persist.address import REDIS_PORT, Login, RedisAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.config import IConfigData

__all__ = ["ConfigRedis", "RedisConfig", "check_installed", "warn_of_unknown"]

_log = Logger()

#: If the environment has it: a real Redis and this database, wherever one in the process is
#: asked for.
TEST_DB_VARIABLE = "VUMITEST_REDIS_DB"


class _Text(ConfigText):
    """A text; a number is taken for its digits, as a password or a prefix may be all digits."""

    def clean(self, value: Any) -> str:
        return str(value) if type(value) is int else super().clean(value)


class _RedisUrl(ConfigField[RedisAddress]):
    field_type = "URL"

    def clean(self, value: Any) -> RedisAddress:
        if not isinstance(value, str):
            self.raise_config_error("is not a URL string.")
        try:
            return RedisAddress.from_url(value)
        except ConfigError as error:
            self.raise_config_error(f"{error}.")


class RedisConfig(Config):
    """The options of a key-value store."""

    url = _RedisUrl(
        "Where Redis is: ``redis://user:password@host:port/db``, ``rediss://…`` with TLS, "
        "``redis+sentinel://host,host2/service/db``, or ``memory:`` for a store in the process. "
        "Instead of ``host`` and ``port``. A login or database given by the options below is "
        "taken rather than the URL's.",
        static=True,
        secret=True,
    )
    host = ConfigText("The host that Redis runs on.", default="127.0.0.1", static=True)
    port = ConfigPort("Its TCP port.", default=REDIS_PORT, static=True)
    db = ConfigInt("The number of the database.", default=0, static=True, lowest=0)
    username = _Text(
        "The user, if Redis has users (ACL). Without one, ``password`` is the default user's.",
        static=True,
    )
    password = _Text("The password.", static=True, secret=True)
    key_prefix = _Text(
        "What every key begins with. Workers that share a Redis and are not to see each other's "
        "keys need different ones.",
        static=True,
    )
    key_separator = _Text("What stands between prefix and key.", default=":", static=True)
    timeout = ConfigFloat(
        "How long a command may take, in seconds, waiting for a lost connection included. It then "
        "fails.",
        default=10,
        static=True,
        above=0,
    )
    connect_timeout = ConfigFloat(
        "How long a worker that starts tries to reach Redis, in seconds. It then fails.",
        default=30,
        static=True,
        above=0,
    )
    FAKE_REDIS = ConfigField[Any](
        "If true, a store in the process, which is empty at the start and gone at the end. For "
        "tests also an object: a manager or a FakeRedis, whose data is shared.",
        static=True,
    )

    def __init__(
        self, config_data: Mapping[str, Any] | IConfigData, *, path: str = "redis_manager"
    ) -> None:
        # A copy, as the options are read when they are needed.
        copied = dict(config_data) if isinstance(config_data, Mapping) else config_data
        super().__init__(copied, static=True, path=path)

    def post_validate(self) -> None:
        super().post_validate()
        if self.url is not None:
            both = [name for name in ("host", "port") if name in self._config_data]
            if both:
                self.raise_config_error(
                    f"Field 'url' says where Redis is, so {' and '.join(both)} must not be given."
                )

    @property
    def address(self) -> RedisAddress:
        """Where the store is. ``FAKE_REDIS`` and the tests' environment are considered."""
        test_db = None if _is_in_process(self.FAKE_REDIS) else _test_db()
        url: RedisAddress | None = self.url
        if test_db is None and (self.FAKE_REDIS or (url is not None and url.in_process)):
            return RedisAddress()
        address = url
        if address is None or address.in_process:
            address = RedisAddress(((self.host, self.port),))
        if self.password is not None or self.username is not None:
            login = Login(
                self.username if self.username is not None else address.login.username,
                self.password if self.password is not None else address.login.password,
            )
            address = replace(address, login=login)
        if "db" in self._config_data:
            address = replace(address, db=self.db)
        return address if test_db is None else replace(address, db=test_db)


class ConfigRedis(ConfigDict):
    """An option that holds a key-value store's options, checked with all others."""

    field_type = "redis"

    def clean(self, value: Any) -> dict[str, Any]:
        """A deep copy.

        :raises ConfigError: With a problem for each option that is wrong.
        """
        cleaned = super().clean(value)
        RedisConfig(cleaned, path=self.name)
        return cleaned

    def hints(self, value: Any) -> Iterator[str]:
        """What is probably a mistake in the options."""
        for hint in config_hints(RedisConfig, value):
            yield f"{self.name}: {hint}"


def warn_of_unknown(config: Mapping[str, Any]) -> None:
    """Say in the log which options are not known; old files may have such."""
    for unknown in unknown_keys(RedisConfig, config):
        _log.warn("redis_manager: {sentence}", event="unknown-option", sentence=unknown.sentence())


def check_installed(module: str) -> None:
    """Make sure that a library is there, which the extra ``redis`` installs.

    :raises ConfigError: It isn't.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtra("redis", module)


def _is_in_process(given: Any) -> bool:
    """Whether it is an object with a store in this process: that a test shares, and means."""
    store = getattr(given, "_store", given)
    return getattr(store, "address", None) == str(RedisAddress())


def _test_db() -> int | None:
    value = os.environ.get(TEST_DB_VARIABLE)
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise ConfigError(
            f"{TEST_DB_VARIABLE} is the number of a database, not {value!r}."
        ) from None
