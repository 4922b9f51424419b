"""The public test kit: where its parts are, and the small ones."""

from __future__ import annotations

import copy
import importlib
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import FailTest, SynchronousTestCase

import vumi.tests.helpers
import vumi.tests.utils
from vumi.tests import case, deferreds, stubbed_worker
from vumi.tests.helpers import (
    DEFAULT,
    PersistenceHelper,
    PersistenceHelperError,
    RiakDisabledForTest,
    VumiTestCase,
    generate_proxies,
    get_stack_trace,
    maybe_async,
    maybe_async_return,
    proxyable,
    success_result_of,
)


class Broken(Exception):
    """What anything may raise."""


def test_everything_is_offered_from_one_place_and_is_the_same_thing_everywhere() -> None:
    homes = ("case", "deferreds", "message_helper", "persistence_helper", "proxies")
    for home in (*homes, "worker_helper"):
        module = importlib.import_module(f"vumi.tests.{home}")
        for name in module.__all__:
            assert getattr(vumi.tests.helpers, name) is getattr(module, name), name
            assert name in vumi.tests.helpers.__all__


def test_the_older_names_in_utils_are_the_same_things() -> None:
    utils = vumi.tests.utils
    assert utils.import_filter is case.import_filter
    assert utils.import_skip is case.import_skip
    assert utils.maybe_async is deferreds.maybe_async
    for name in stubbed_worker.__all__:
        assert getattr(utils, name) is getattr(stubbed_worker, name)


class ProxyTests(SynchronousTestCase):
    class Source:
        @proxyable
        def passed_on(self) -> str:
            return "passed on"

        def kept(self) -> str:
            return "kept"

    class Target:
        passed_on: Any

    def test_marked_methods_are_passed_on(self) -> None:
        target = self.Target()
        generate_proxies(target, self.Source())
        self.assertEqual(target.passed_on(), "passed on")
        self.assertFalse(hasattr(target, "kept"))

    def test_a_name_that_is_taken_is_refused(self) -> None:
        target = self.Target()
        generate_proxies(target, self.Source())
        error = self.assertRaises(AttributeError, generate_proxies, target, self.Source())
        self.assertEqual(str(error), "Attribute already exists: passed_on")

    def test_default(self) -> None:
        self.assertEqual(repr(DEFAULT), "DEFAULT")


class DeferredToolTests(SynchronousTestCase):
    def test_success_result_of(self) -> None:
        self.assertEqual(success_result_of(succeed(3)), 3)
        pending: Deferred[None] = Deferred()
        self.assertRaises(FailTest, success_result_of, pending)
        self.assertRaises(FailTest, success_result_of, fail(Broken()))

    def test_maybe_async_return(self) -> None:
        self.assertEqual(maybe_async_return(3, "no deferred"), 3)
        result: Any = maybe_async_return(3, succeed("anything"))
        self.assertEqual(self.successResultOf(result), 3)

    def test_get_stack_trace(self) -> None:
        def inner() -> list[str]:
            return get_stack_trace(1)

        self.assertIn("in test_get_stack_trace", get_stack_trace()[-1])
        trace = inner()
        self.assertIn("in test_get_stack_trace", trace[-1])
        self.assertNotIn("in inner", "".join(trace))


class Store:
    """Works with both a blocking and an asynchronous database."""

    def __init__(self, is_sync: bool) -> None:
        self.is_sync = self.blocks = is_sync

    def fetch(self) -> Any:
        return 3 if self.is_sync else succeed(3)

    @maybe_async
    def double(self, factor: int = 2) -> Any:
        """Two times."""
        value = yield self.fetch()
        return value * factor

    @maybe_async("blocks")
    def triple(self) -> Any:
        value = yield self.fetch()
        return value * 3

    @maybe_async
    def broken(self) -> Any:
        yield self.fetch()
        raise Broken


class MaybeAsyncTests(SynchronousTestCase):
    def test_blocking(self) -> None:
        store = Store(is_sync=True)
        self.assertEqual((store.double(), store.double(factor=5), store.triple()), (6, 15, 9))
        self.assertRaises(Broken, store.broken)

    def test_asynchronous(self) -> None:
        store = Store(is_sync=False)
        double: Any = store.double()
        triple: Any = store.triple()
        broken: Any = store.broken()
        self.assertEqual(self.successResultOf(double), 6)
        self.assertEqual(self.successResultOf(triple), 9)
        self.failureResultOf(broken, Broken)

    def test_the_method_keeps_its_name(self) -> None:
        self.assertEqual(Store.double.__name__, "double")
        self.assertEqual(Store.double.__doc__, "Two times.")


# Databases


class PersistenceHelperTests(VumiTestCase):
    def test_a_config_says_where_the_databases_are(self) -> None:
        helper = self.add_helper(PersistenceHelper(use_riak=True))
        config = {"transport_name": "line"}
        self.assertEqual(
            helper.mk_config(config),
            {
                "transport_name": "line",
                "redis_manager": {"FAKE_REDIS": "yes", "key_prefix": "vumitest"},
                "riak_manager": {"bucket_prefix": "vumitest", "url": "sqlite://"},
            },
        )
        self.assertEqual(config, {"transport_name": "line"})

    def test_what_the_config_says_already_stays(self) -> None:
        helper = self.add_helper(PersistenceHelper(use_riak=True))
        config = {"redis_manager": {"FAKE_REDIS": "mine"}, "riak_manager": {"bucket_prefix": "b"}}
        self.assertEqual(helper.mk_config(config), config)

    def test_configs_share_nothing(self) -> None:
        helper = self.add_helper(PersistenceHelper(use_riak=True))
        helper.mk_config({})["redis_manager"]["key_prefix"] = "other"
        self.assertEqual(helper.mk_config({})["redis_manager"]["key_prefix"], "vumitest")

    def test_riak_has_to_be_asked_for(self) -> None:
        helper = self.add_helper(PersistenceHelper())
        disabled = helper.mk_config({})["riak_manager"]
        self.assertIsInstance(disabled, RiakDisabledForTest)
        for touch in (lambda: disabled.get("bucket_prefix"), lambda: disabled.bucket):
            error = self.assertRaises(RuntimeError, touch)
            self.assertIn("use_riak", str(error))
        self.assertIs(copy.deepcopy(disabled), disabled)
        self.assertIn("RiakDisabledForTest", repr(disabled))

    def test_everything_needs_the_helper_to_be_set_up(self) -> None:
        helper = PersistenceHelper()
        calls: list[tuple[Any, tuple[Any, ...]]] = [
            (helper.mk_config, ({},)),
            (helper.get_redis_manager, ()),
            (helper.get_riak_manager, ()),
            (helper.record_load_and_store, (None, [], [])),
        ]
        for method, args in calls:
            error = self.assertRaises(PersistenceHelperError, method, *args)
            self.assertIn("setup()", str(error))
        helper.setup()
        helper.cleanup()
        self.assertRaises(PersistenceHelperError, helper.mk_config, {})
