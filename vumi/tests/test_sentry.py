"""Tests for vumi.sentry. The library sentry-sdk is not needed: a fake stands in for it."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import log as twisted_log
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from vumi import log
from vumi.errors import ConfigError
from vumi.sentry import (
    SentryClient,
    SentryLoggerService,
    SentryLogObserver,
    vumi_raven_client,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DSN = "https://sekrit@sentry.example/3"


class FakeClient:
    """Keeps what it is told to send."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.exceptions: list[tuple[Any, dict[str, Any], dict[str, str]]] = []
        self.closed = 0
        self.on_send: Callable[[], None] = lambda: None

    def captureMessage(self, message: str, *, data: Any, tags: Any) -> None:
        self.on_send()
        self.messages.append((message, data, tags))

    def captureException(self, exc_info: Any, *, data: Any, tags: Any) -> None:
        self.exceptions.append((exc_info, data, tags))

    def close(self) -> None:
        self.closed += 1


class FakeBadDsn(ValueError):
    pass


class FakeSdkClient:
    """What sentry_sdk.Client is to us."""

    def __init__(self, dsn: str, **options: Any) -> None:
        if "://" not in dsn:
            raise FakeBadDsn(f"Unsupported scheme in {dsn}")
        self.options = {"dsn": dsn, **options}
        self.events: list[tuple[dict[str, Any], Any]] = []
        self.close_timeout: float | None = None

    def capture_event(self, event: dict[str, Any], hint: Any = None) -> None:
        self.events.append((event, hint))

    def close(self, timeout: float) -> None:
        self.close_timeout = timeout


def fake_sdk() -> dict[str, ModuleType]:
    """The modules of sentry-sdk that are used, for sys.modules."""
    package: Any = ModuleType("sentry_sdk")
    utils: Any = ModuleType("sentry_sdk.utils")
    package.Client = FakeSdkClient
    package.utils = utils
    utils.BadDsn = FakeBadDsn
    utils.event_from_exception = lambda exc_info, client_options: (
        {"exception": str(exc_info[1])},
        {"exc_info": exc_info},
    )
    return {"sentry_sdk": package, "sentry_sdk.utils": utils}


class ObserverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = FakeClient()
        self.observer = SentryLogObserver(self.client, "Echo", "global:echo")
        twisted_log.addObserver(self.observer)
        self.addCleanup(twisted_log.removeObserver, self.observer)

    def levels(self) -> list[int]:
        return [data["level"] for _, data, _ in self.client.messages]

    def test_warnings_and_worse_are_sent_with_their_levels(self) -> None:
        log.debug("a")
        log.info("b")
        log.warning("c", "d")
        log.error("e")
        log.critical("f")
        new = Logger()
        new.info("g")
        new.warn("h {number}", number=1)
        new.critical("i")
        texts = [message for message, _, _ in self.client.messages]
        self.assertEqual(texts, ["c d", "'e'", "'f'", "h 1", "i"])
        self.assertEqual(
            self.levels(),
            [logging.WARNING, logging.ERROR, logging.CRITICAL, logging.WARNING, logging.CRITICAL],
        )

    def test_an_event_without_level_is_an_error_if_it_says_so(self) -> None:
        twisted_log.msg("fine")
        twisted_log.msg("bad", isError=1)
        self.assertEqual(self.levels(), [logging.ERROR])

    def test_a_failure_is_sent_as_an_exception(self) -> None:
        error = ZeroDivisionError("by zero")
        log.error(Failure(error), "Dividing")
        [(exc_info, data, tags)] = self.client.exceptions
        self.assertEqual(exc_info[:2], (ZeroDivisionError, error))
        self.assertEqual(data, {"logger": "echo", "level": logging.ERROR, "message": "Dividing"})
        self.assertEqual(tags, {"worker-id": "global:echo"})
        self.assertEqual(self.client.messages, [])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_logger_is_named_for_the_worker_and_the_part_that_speaks(self) -> None:
        cases = {"-": "echo", "": "echo", "A,1,B": "echo.a.1.b", "smpp": "echo.smpp"}
        for system, logger in cases.items():
            with self.subTest(system=system):
                self.assertEqual(self.observer.logger_for_event({"system": system}), logger)
        self.assertEqual(self.observer.logger_for_event({}), "echo")

    def test_what_is_logged_while_sending_is_not_sent(self) -> None:
        self.client.on_send = lambda: log.warning("could not reach Sentry")
        log.warning("first")
        self.assertEqual([message for message, _, _ in self.client.messages], ["first"])


class ServiceTests(TestCase):
    def setUp(self) -> None:
        self.client = FakeClient()
        self.patch(sys.modules["vumi.sentry"], "vumi_raven_client", lambda dsn: self.client)

    async def test_the_log_is_sent_between_start_and_stop(self) -> None:
        service = SentryLoggerService(DSN, "echo", "global:echo")
        self.assertEqual(service.name, "Sentry Logger")
        log.warning("before")
        self.assertFalse(service.registered())
        service.startService()
        self.assertTrue(service.registered())
        log.warning("while")
        stopped = service.stopService()
        log.warning("after")
        self.assertFalse(service.registered())
        assert isinstance(stopped, Deferred)
        await stopped
        self.assertEqual([message for message, _, _ in self.client.messages], ["while"])
        self.assertEqual(self.client.closed, 1)

    def test_another_log_can_be_observed(self) -> None:
        publisher = twisted_log.LogPublisher()
        service = SentryLoggerService(DSN, "echo", "global:echo", logger=publisher)
        service.startService()
        publisher.msg("here", logLevel=logging.WARNING)
        log.warning("elsewhere")
        self.assertEqual([message for message, _, _ in self.client.messages], ["here"])
        self.assertEqual(service.sentry_log_observer.worker_id, "global:echo")

    def test_a_service_that_never_ran_stops_at_once(self) -> None:
        self.assertIsNone(SentryLoggerService(DSN, "echo", "global:echo").stopService())


class ClientTests(SynchronousTestCase):
    def client(self, dsn: str = DSN) -> SentryClient:
        with mock.patch.dict(sys.modules, fake_sdk()):
            return vumi_raven_client(dsn)

    def events(self, client: SentryClient) -> list[tuple[dict[str, Any], Any]]:
        events: list[tuple[dict[str, Any], Any]] = client._client.events
        return events

    def test_no_variables_and_no_personal_data_are_sent(self) -> None:
        options = self.client()._client.options
        self.assertIs(options["include_local_variables"], False)
        self.assertIs(options["send_default_pii"], False)
        self.assertIs(options["default_integrations"], False)

    def test_a_message_becomes_an_event(self) -> None:
        client = self.client()
        levels = {5: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
        for level, name in levels.items():
            with self.subTest(level=level):
                client.captureMessage(
                    "Oh.", data={"logger": "echo", "level": level}, tags={"worker-id": "x"}
                )
                event, hint = self.events(client)[-1]
                self.assertEqual(
                    event,
                    {
                        "message": "Oh.",
                        "logger": "echo",
                        "level": name,
                        "tags": {"worker-id": "x"},
                    },
                )
                self.assertIsNone(hint)

    def test_an_exception_becomes_an_event_with_its_message(self) -> None:
        client = self.client()
        exc_info = (ValueError, ValueError("bad"), None)
        data = {"logger": "echo", "level": 40, "message": "Reading"}
        client.captureException(exc_info, data=data, tags={})
        [(event, hint)] = self.events(client)
        self.assertEqual(event["exception"], "bad")
        self.assertEqual(event["message"], "Reading")
        self.assertEqual(hint, {"exc_info": exc_info})

    def test_closing_waits_only_for_some_time(self) -> None:
        client = self.client()
        client.close()
        self.assertEqual(client._client.close_timeout, 2.0)

    def test_a_bad_dsn_is_told_without_quoting_it(self) -> None:
        error = self.assertRaises(ConfigError, self.client, "sekrit")
        self.assertIn("DSN", str(error))
        self.assertNotIn("sekrit", Failure(error).getTraceback())

    def test_without_the_library_the_error_says_what_to_install(self) -> None:
        missing: dict[str, Any] = {"sentry_sdk": None}
        with mock.patch.dict(sys.modules, missing):
            error = self.assertRaises(ConfigError, vumi_raven_client, DSN)
        self.assertIn("sentry_sdk is not installed", str(error))
        self.assertIn("pip install -e", str(error))
        self.assertIn("[sentry]", str(error))
