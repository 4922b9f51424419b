"""vumi.log, as old observers and new ones see it."""

from __future__ import annotations

import logging
from typing import Any

from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from vumi import log
from vumi.log import WrappingLogger
from vumi.tests.utils import LogCatcher

MESSAGE_LEVELS = [
    ("debug", logging.DEBUG),
    ("info", logging.INFO),
    ("msg", logging.INFO),
    ("warning", logging.WARNING),
    ("warn", logging.WARNING),
]
ERROR_LEVELS = [
    ("error", logging.ERROR),
    ("err", logging.ERROR),
    ("critical", logging.CRITICAL),
]


class LogTests(SynchronousTestCase):
    """The functions of vumi.log."""

    logger: Any = log
    context: dict[str, Any] = {}  # noqa: RUF012 (never changed)

    def test_messages_have_their_level(self) -> None:
        for name, level in MESSAGE_LEVELS:
            with LogCatcher() as catcher:
                getattr(self.logger, name)("Hello", "world", extra=1)
            [event] = catcher.logs
            self.assertEqual(catcher.messages(), ["Hello world"])
            self.assertEqual(event["logLevel"], level)
            self.assertEqual(event["extra"], 1)
            self.assertEqual(event["message"], ("Hello", "world"))
            self.assertFalse(event["isError"])
            self.assertEqual({**event, **self.context}, event)

    def test_failures_have_their_level_and_traceback(self) -> None:
        for name, level in ERROR_LEVELS:
            for stuff in (Failure(ValueError("foo")), ValueError("foo")):
                with LogCatcher() as catcher:
                    getattr(self.logger, name)(stuff, "While testing", extra=1)
                [event] = catcher.errors
                self.assertEqual(event["logLevel"], level)
                self.assertEqual(event["extra"], 1)
                self.assertEqual(event["why"], "While testing")
                self.assertEqual({**event, **self.context}, event)
                [failure] = self.flushLoggedErrors(ValueError)
                self.assertEqual(failure.getErrorMessage(), "foo")

    def test_the_exception_at_hand_is_logged(self) -> None:
        for name, _level in ERROR_LEVELS:
            try:
                raise ValueError("foo")
            except ValueError:
                getattr(self.logger, name)()
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_text_is_logged_as_an_error(self) -> None:
        for name, level in ERROR_LEVELS:
            with LogCatcher(message="it broke") as catcher:
                getattr(self.logger, name)("it broke")
            [event] = catcher.errors
            self.assertEqual(event["logLevel"], level)

    def test_new_observers_see_the_level_too(self) -> None:
        levels: list[Any] = []

        @provider(ILogObserver)
        def observe(event: Any) -> None:
            levels.append(event["log_level"])

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for name, _level in MESSAGE_LEVELS:
            getattr(self.logger, name)("foo")
        self.logger.error("foo")
        self.logger.critical("foo")
        self.assertEqual(
            levels,
            [
                LogLevel.debug,
                LogLevel.info,
                LogLevel.info,
                LogLevel.warn,
                LogLevel.warn,
                LogLevel.error,
                LogLevel.critical,
            ],
        )

    def test_a_level_given_wins(self) -> None:
        with LogCatcher(log_level=logging.CRITICAL) as catcher:
            self.logger.info("foo", logLevel=logging.CRITICAL)
        self.assertEqual(catcher.messages(), ["foo"])


class WrappingLoggerTests(LogTests):
    """WrappingLogger is the same with a context."""

    context = {"system": "worker_1", "worker": 7}  # noqa: RUF012 (never changed)
    logger = WrappingLogger(**context)

    def test_a_field_given_wins_over_the_context(self) -> None:
        for name, _level in MESSAGE_LEVELS + ERROR_LEVELS:
            with LogCatcher() as catcher:
                getattr(self.logger, name)("foo", worker=8)
            [event] = catcher.logs
            self.assertEqual((event["system"], event["worker"]), ("worker_1", 8))
        self.assertEqual(self.logger.context, self.context)

    def test_aliases_do_what_an_override_does(self) -> None:
        calls: list[object] = []

        class Quiet(WrappingLogger):
            """A program's own."""

            def info(self, *message: object, **context: Any) -> None:
                calls.extend(message)

        Quiet().msg("foo")
        self.assertEqual(calls, ["foo"])
