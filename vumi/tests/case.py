"""The test case that knows helpers, and how tests are skipped.

Part of the public test kit, which :mod:`vumi.tests.helpers` offers whole. Knows trial; knows
nothing of workers or messages.
"""

from __future__ import annotations

import os
import re
from functools import wraps
from inspect import isgenerator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface import Interface, implementer

from vumi.tasks import as_deferred, is_pending, settle

if TYPE_CHECKING:
    from collections.abc import Callable
    from unittest import TestResult

__all__ = [
    "IHelper",
    "IHelperEnabledTestCase",
    "VumiTestCase",
    "get_timeout",
    "import_filter",
    "import_skip",
    "skiptest",
]

DEFAULT_TIMEOUT = 5.0

_log = Logger()

Skippable = TypeVar("Skippable")


def get_timeout() -> float:
    """How many seconds a test may take: ``VUMI_TEST_TIMEOUT`` of the environment, or five."""
    return float(os.environ.get("VUMI_TEST_TIMEOUT") or DEFAULT_TIMEOUT)


# Skipping


def skiptest(reason: str) -> Callable[[Skippable], Skippable]:
    """Decorate a test, or a class of tests, so that it is skipped.

    :param reason: Why; shown in the report.
    """

    def decorator(test: Skippable) -> Skippable:
        test.skip = reason  # type: ignore[attr-defined]  # trial looks for this attribute
        return test

    return decorator


def import_filter(exc: ImportError, *expected: str) -> str:
    """Find out which module could not be imported.

    :param exc: The error.
    :param expected: The modules that may be missing; any, if none is given.
    :returns: The missing module's name.
    :raises ImportError: The error itself, if it is about another module.
    """
    module = exc.name or _last_word(str(exc))
    if expected and module not in expected:
        raise exc
    return module


def _last_word(text: str) -> str:
    words = re.findall(r"[\w.]+", text)
    return words[-1].strip(".") if words else ""


def import_skip(exc: ImportError, *expected: str) -> NoReturn:
    """Skip the test because a module is missing. Takes what :func:`import_filter` takes.

    :raises SkipTest: The module is one of those expected.
    :raises ImportError: The error itself, if it is about another module.
    """
    raise SkipTest(f"Failed to import {import_filter(exc, *expected)!r}.")


# The test case


class IHelper(Interface):
    """Something that a test needs and that has to be cleaned up after it."""

    def setup(*args: Any, **kw: Any) -> Any:
        """Get ready; gets what :meth:`VumiTestCase.add_helper` got. May return a Deferred."""

    def cleanup() -> Any:
        """Leave nothing behind, also if :meth:`setup` failed. May return a Deferred."""


class IHelperEnabledTestCase(Interface):
    """A test case that takes helpers."""

    def add_helper(helper: IHelper, *args: Any, **kw: Any) -> Any:
        """Set a helper up, and have it cleaned up after the test."""


@implementer(IHelperEnabledTestCase)
class VumiTestCase(TestCase):
    """The base of test cases that use helpers.

    A test may be a plain method, one under ``inlineCallbacks``, or ``async def``.
    """

    #: Seconds that a test may take.
    timeout = get_timeout()

    #: How often, and how many times, to look whether connections have closed after a test.
    reactor_check_interval = 0.01
    reactor_check_iterations = 100

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        self._cleanups_to_run: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]
        self._cleanups_to_run = []

    def add_helper(self, helper: Any, *args: Any, **kw: Any) -> Any:
        """Set a helper up, and have it cleaned up after the test.

        :param helper: Provides :class:`IHelper`.
        :param args: For its ``setup()``.
        :returns: The helper, or a Deferred of it if its ``setup()`` returns one.
        :raises ValueError: It is no helper.
        """
        if not IHelper.providedBy(helper):
            raise ValueError(f"Helper object does not provide the IHelper interface: {helper!r}")
        # First, so that also a helper that could set up only half of itself is cleaned up.
        self.add_cleanup(helper.cleanup)
        ready = helper.setup(*args, **kw)
        if is_pending(ready):
            return as_deferred(lambda: ready).addCallback(lambda _: helper)
        return helper

    def add_cleanup(self, func: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """Have a function called after the test, the last one added first.

        Unlike what trial's ``addCleanup`` runs, all of these together must be done within the
        test's timeout.

        :param func: May return a Deferred or be ``async``.
        """
        self._cleanups_to_run.append((func, args, kw))

    def run(self, result: TestResult | None = None) -> None:
        """Run the test."""
        method = getattr(self, self._testMethodName)

        @wraps(method)
        def checked(*args: Any, **kw: Any) -> Any:
            outcome = method(*args, **kw)
            if isgenerator(outcome):
                raise TypeError("Test method is a generator. Missing @inlineCallbacks?")
            return outcome

        # On the object, where trial looks the method up. pytest puts one there too.
        own = vars(self)
        before = dict(own)
        own[self._testMethodName] = checked
        try:
            super().run(result)
        finally:
            del own[self._testMethodName]
            if self._testMethodName in before:
                own[self._testMethodName] = before[self._testMethodName]

    # Any: unittest says that these return None, trial waits for what they return.

    def setUp(self) -> Any:
        """Prepare a test. To be overridden; may return a Deferred or be ``async``."""

    def tearDown(self) -> Any:
        """Run what :meth:`add_cleanup` got, and wait for connections to close.

        A class that overrides this must call it, and return or wait for what it returns.
        """
        return Deferred.fromCoroutine(self._clean_up())

    async def _clean_up(self) -> None:
        failures: list[Failure] = []
        while self._cleanups_to_run:
            func, args, kw = self._cleanups_to_run.pop()
            try:
                await settle(func(*args, **kw))
            except Exception:  # noqa: BLE001 (the others must run all the same)
                failures.append(Failure())
        await self._wait_for_connections_to_close()
        if failures:
            # Only one can be raised; those that are logged fail the test too.
            for failure in failures[1:]:
                _log.failure("A further cleanup failed", failure=failure)
            failures[0].raiseException()

    async def _wait_for_connections_to_close(self) -> None:
        """Closing takes a turn or two of the reactor; what stays open trial complains about."""
        from twisted.internet import reactor

        own: set[Any] = getattr(reactor, "_internalReaders", set())
        for _ in range(self.reactor_check_iterations):
            open_ones = {*_called(reactor, "getReaders"), *_called(reactor, "getWriters")}
            if not open_ones - own:
                return
            await deferLater(reactor, self.reactor_check_interval, lambda: None)


def _called(reactor: object, method: str) -> list[Any]:
    """What a reactor's method returns; nothing for a reactor that doesn't have it."""
    found: list[Any] = getattr(reactor, method, list)()
    return found
