"""The test case of the public test kit, and how tests are skipped."""

from __future__ import annotations

import importlib
import unittest
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vumi.tests.helpers import (
    IHelper,
    IHelperEnabledTestCase,
    VumiTestCase,
    get_timeout,
    import_filter,
    import_skip,
    skiptest,
)


def a_turn() -> Deferred[None]:
    return deferLater(reactor, 0, lambda: None)


class Broken(Exception):
    """What anything may raise."""


def run_case(test_case: VumiTestCase) -> unittest.TestResult:
    """Run a test inside a test of the synchronous kind."""
    result = unittest.TestResult()
    test_case.run(result)
    return result


@implementer(IHelper)
class NotingHelper:
    """Writes down what is called."""

    def __init__(self, notes: list[Any], ready: Any = None) -> None:
        self.notes = notes
        self.ready = ready

    def setup(self, *args: Any, **kw: Any) -> Any:
        self.notes.append(("setup", args, kw))
        return self.ready

    def cleanup(self) -> Any:
        self.notes.append("cleanup")


class VumiTestCaseTests(VumiTestCase):
    """The test case, in a test case of its own kind."""

    def test_it_provides_its_interface(self) -> None:
        verifyObject(IHelperEnabledTestCase, self)
        self.assertEqual(VumiTestCase.timeout, get_timeout())

    def test_a_helper_is_set_up_with_the_arguments_given(self) -> None:
        notes: list[Any] = []
        helper = NotingHelper(notes)
        self.assertIs(self.add_helper(helper, 1, two=2), helper)
        self.assertEqual(notes, [("setup", (1,), {"two": 2})])

    @inlineCallbacks
    def test_a_helper_that_takes_time_is_waited_for(self) -> Any:
        async def coroutine() -> None:
            await a_turn()

        for ready in (a_turn(), coroutine()):
            helper = NotingHelper([], ready)
            added = self.add_helper(helper)
            self.assertNoResult(added)
            self.assertIs((yield added), helper)

    def test_what_is_no_helper_is_refused(self) -> None:
        self.assertRaises(ValueError, self.add_helper, object())


class RunningTests(SynchronousTestCase):
    """What becomes of a whole test."""

    def assert_one(self, problems: list[Any], words: str) -> None:
        [(_, text)] = problems
        self.assertIn(words, str(text))

    def test_tests_in_all_styles_are_waited_for(self) -> None:
        notes: list[str] = []

        class SomeCase(VumiTestCase):
            def test_plain(self) -> None:
                notes.append("plain")

            @inlineCallbacks
            def test_generator(self) -> Any:
                yield a_turn()
                notes.append("generator")

            async def test_coroutine(self) -> None:
                await a_turn()
                notes.append("coroutine")

        for name in ("plain", "generator", "coroutine"):
            self.assertTrue(run_case(SomeCase(f"test_{name}")).wasSuccessful())
        self.assertEqual(notes, ["plain", "generator", "coroutine"])

    def test_a_test_that_fails_fails(self) -> None:
        class SomeCase(VumiTestCase):
            @inlineCallbacks
            def test_it(self) -> Any:
                yield a_turn()
                self.assertEqual("one", "other")

        self.assert_one(run_case(SomeCase("test_it")).failures, "other")

    def test_cleanups_run_in_reverse_order_and_are_waited_for(self) -> None:
        notes: list[Any] = []

        class SomeCase(VumiTestCase):
            def note(self, *args: Any, **kw: Any) -> None:
                notes.append((args, kw))

            @inlineCallbacks
            def note_later(self, what: str) -> Any:
                yield a_turn()
                notes.append(what)

            async def note_async(self, what: str) -> None:
                await a_turn()
                notes.append(what)

            def test_it(self) -> None:
                self.add_cleanup(self.note, 1, two=2)
                self.add_cleanup(self.note_later, "later")
                self.add_cleanup(self.note_async, "async")
                self.add_helper(NotingHelper(notes))
                notes.append("test")

        result = run_case(SomeCase("test_it"))
        self.assertTrue(result.wasSuccessful(), result.errors)
        self.assertEqual(
            notes, [("setup", (), {}), "test", "cleanup", "async", "later", ((1,), {"two": 2})]
        )

    def test_a_helper_that_can_not_be_set_up_is_cleaned_up(self) -> None:
        notes: list[Any] = []

        class SomeCase(VumiTestCase):
            def test_it(self) -> Any:
                return self.add_helper(NotingHelper(notes, fail(Broken("no set-up"))))

        result = run_case(SomeCase("test_it"))
        self.assert_one(result.errors, "no set-up")
        self.assertEqual(notes[-1], "cleanup")

    def test_a_cleanup_that_fails_keeps_no_other_from_running(self) -> None:
        notes: list[str] = []

        class SomeCase(VumiTestCase):
            def broken(self) -> None:
                raise Broken("a cleanup")

            def test_it(self) -> None:
                self.add_cleanup(notes.append, "first")
                self.add_cleanup(self.broken)
                self.add_cleanup(notes.append, "last")

        result = run_case(SomeCase("test_it"))
        self.assert_one(result.errors, "a cleanup")
        self.assertEqual(notes, ["last", "first"])

    def test_every_cleanup_that_fails_is_told_of(self) -> None:
        class SomeCase(VumiTestCase):
            def broken(self, words: str) -> None:
                raise Broken(words)

            def test_it(self) -> None:
                self.add_cleanup(self.broken, "one cleanup")
                self.add_cleanup(self.broken, "another cleanup")

        result = run_case(SomeCase("test_it"))
        words = "".join(text for _, text in result.errors)
        self.assertIn("one cleanup", words)
        self.assertIn("another cleanup", words)

    def test_a_cleanup_that_takes_too_long_is_an_error(self) -> None:
        class SomeCase(VumiTestCase):
            timeout = 0.05

            def test_it(self) -> None:
                self.add_cleanup(Deferred)

        self.assert_one(run_case(SomeCase("test_it")).errors, "still running at 0.05 secs")

    def test_a_test_that_takes_too_long_is_an_error(self) -> None:
        class SomeCase(VumiTestCase):
            timeout = 0.05

            def test_it(self) -> Any:
                return Deferred()

        self.assert_one(run_case(SomeCase("test_it")).errors, "still running at 0.05 secs")

    def test_a_test_that_is_a_bare_generator_is_an_error(self) -> None:
        class SomeCase(VumiTestCase):
            def test_it(self) -> Any:
                yield succeed(None)

        result = run_case(SomeCase("test_it"))
        self.assert_one(result.errors, "Test method is a generator. Missing @inlineCallbacks?")

    def test_also_if_a_decorator_hides_the_generator(self) -> None:
        def decorated(method: Any) -> Any:
            return lambda self: method(self)

        class SomeCase(VumiTestCase):
            @decorated
            def test_it(self) -> Any:
                yield succeed(None)

        result = run_case(SomeCase("test_it"))
        self.assert_one(result.errors, "Test method is a generator. Missing @inlineCallbacks?")

    def test_a_connection_that_is_closing_is_waited_for(self) -> None:
        class SomeCase(VumiTestCase):
            @inlineCallbacks
            def test_it(self) -> Any:
                from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

                server = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
                port = yield server.listen(Factory.forProtocol(Protocol))
                client = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
                connected = yield client.connect(Factory.forProtocol(Protocol))
                yield port.stopListening()
                # And nobody waits until it is closed, on either side.
                connected.transport.loseConnection()

        result = run_case(SomeCase("test_it"))
        self.assertTrue(result.wasSuccessful(), result.errors)

    def test_the_object_is_left_as_it_was(self) -> None:
        class SomeCase(VumiTestCase):
            def test_it(self) -> None:
                raise AssertionError("the wrong one")

        some_case = SomeCase("test_it")
        seen: list[str] = []
        # As pytest does.
        vars(some_case)["test_it"] = lambda: seen.append("run")
        self.assertTrue(run_case(some_case).wasSuccessful())
        self.assertEqual(seen, ["run"])
        some_case.test_it()
        self.assertEqual(seen, ["run", "run"])


# Skipping, time limits


class SkipTests(SynchronousTestCase):
    def missing(self, module: str) -> ImportError:
        try:
            importlib.import_module(module)
        except ImportError as error:
            return error
        raise AssertionError(f"{module} is there")

    def test_skiptest(self) -> None:
        class SomeCase(VumiTestCase):
            @skiptest("not today")
            def test_it(self) -> None:
                raise AssertionError("was run")

        result = run_case(SomeCase("test_it"))
        self.assertEqual([reason for _, reason in result.skipped], ["not today"])

    def test_import_filter(self) -> None:
        error = self.missing("no_such_package.module")
        self.assertEqual(import_filter(error), "no_such_package")
        self.assertEqual(import_filter(error, "other", "no_such_package"), "no_such_package")
        self.assertIs(self.assertRaises(ImportError, import_filter, error, "other"), error)

    def test_import_filter_knows_an_error_by_its_words_alone(self) -> None:
        error = ImportError("No module named 'riak.client'")
        self.assertEqual(import_filter(error, "riak.client"), "riak.client")
        self.assertEqual(import_filter(ImportError()), "")

    def test_import_skip(self) -> None:
        error = self.missing("no_such_package")
        skip = self.assertRaises(SkipTest, import_skip, error, "no_such_package")
        self.assertEqual(str(skip), "Failed to import 'no_such_package'.")
        self.assertRaises(ImportError, import_skip, error, "other")


@pytest.mark.parametrize(("value", "seconds"), [(None, 5.0), ("", 5.0), ("12.5", 12.5)])
def test_the_timeout_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: float
) -> None:
    if value is None:
        monkeypatch.delenv("VUMI_TEST_TIMEOUT", raising=False)
    else:
        monkeypatch.setenv("VUMI_TEST_TIMEOUT", value)
    assert get_timeout() == seconds
