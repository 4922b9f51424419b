"""The databases of a test: where its workers keep their state.

Part of the public test kit, which :mod:`vumi.tests.helpers` offers whole. Knows the config options
by which a worker is told of its databases. The databases themselves are not there yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from zope.interface import implementer

from vumi.tests.case import IHelper
from vumi.tests.proxies import proxyable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PersistenceHelper", "PersistenceHelperError", "RiakDisabledForTest"]

PREFIX = "vumitest"


class PersistenceHelperError(Exception):
    """A :class:`PersistenceHelper` was asked for what it can't do."""


class RiakDisabledForTest:
    """Stands in a config for Riak in tests that don't use it; whoever touches it is told so."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            # What copying, printing and comparing look for.
            raise AttributeError(name)
        raise RuntimeError(
            "This test does not use Riak. If it should, pass use_riak=True to the helper."
        )

    def __deepcopy__(self, memo: object) -> RiakDisabledForTest:
        return self


@implementer(IHelper)
class PersistenceHelper:
    """Gives workers databases of their own, and empties them after the test.

    :param use_riak: Whether the test uses Riak.
    :param is_sync: Whether the managers given by this helper block, or return Deferreds.
    :param assert_closed: Whether leaving a Riak manager open is an error.
    """

    def __init__(
        self, use_riak: bool = False, is_sync: bool = False, assert_closed: bool = False
    ) -> None:
        self.use_riak = use_riak
        self.is_sync = is_sync
        self.assert_closed = assert_closed
        self._is_set_up = False

    def setup(self) -> None:
        """Get ready."""
        self._is_set_up = True

    def cleanup(self) -> None:
        """Leave nothing behind."""
        self._is_set_up = False

    def _check_set_up(self) -> None:
        if not self._is_set_up:
            raise PersistenceHelperError(
                "The PersistenceHelper is not set up: call setup() first, or pass it to "
                "add_helper(), which does."
            )

    @proxyable
    def mk_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a worker's config, with the options that say where its databases are."""
        self._check_set_up()
        return {
            "redis_manager": {"FAKE_REDIS": "yes", "key_prefix": PREFIX},
            "riak_manager": {"bucket_prefix": PREFIX} if self.use_riak else RiakDisabledForTest(),
            **config,
        }

    @proxyable
    def get_redis_manager(self, config: Mapping[str, Any] | None = None) -> Any:
        """A connection to the key-value store.

        :raises PersistenceHelperError: Always, for now.
        """
        self._check_set_up()
        raise PersistenceHelperError("The key-value store (Redis) is not there yet.")

    @proxyable
    def get_riak_manager(self, config: Mapping[str, Any] | None = None) -> Any:
        """A connection to Riak.

        :raises PersistenceHelperError: Always, for now.
        """
        self._check_set_up()
        raise PersistenceHelperError("The message store (Riak) is not there yet.")

    @proxyable
    def record_load_and_store(
        self, riak_manager: Any, loads: list[str], stores: list[str]
    ) -> None:
        """Note the keys that are loaded from and stored in Riak.

        :raises PersistenceHelperError: Always, for now.
        """
        self._check_set_up()
        raise PersistenceHelperError("The message store (Riak) is not there yet.")
