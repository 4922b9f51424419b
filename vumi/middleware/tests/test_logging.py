"""The logging middleware: one line per message, at the level the operator wants."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.config import ConfigError
from vumi.middleware import LoggingMiddleware
from vumi.tests.helpers import MessageHelper, VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.transports.failures import FailureMessage


def make_middleware(**config: Any) -> LoggingMiddleware:
    middleware = LoggingMiddleware("log_all", config, None)
    middleware.setup_middleware()
    return middleware


class LoggingTests(SynchronousTestCase):
    def setUp(self) -> None:
        helper = MessageHelper()
        self.inbound = helper.make_inbound("hi")
        self.messages: dict[str, Any] = {
            "inbound": self.inbound,
            "outbound": helper.make_outbound("hi"),
            "event": helper.make_ack(),
            "status": helper.make_status(
                component="smsc", status="ok", type="bound", message="Bound"
            ),
        }

    def test_each_kind_of_message_in_both_directions(self) -> None:
        middleware = make_middleware()
        for kind, message in self.messages.items():
            for direction in ("consume", "publish"):
                with LogCatcher() as catcher:
                    hook = getattr(middleware, f"handle_{direction}_{kind}")
                    self.assertIs(hook(message, "line"), message)
                [event] = catcher.logs
                self.assertEqual(
                    catcher.messages(), [f"Processed {kind} message for line: {message.to_json()}"]
                )
                self.assertEqual(event["logLevel"], logging.INFO)

    def test_failures_are_logged_as_errors(self) -> None:
        failure = FailureMessage(
            message=self.inbound.payload, failure_code="permanent", reason="barred"
        )
        with LogCatcher() as catcher:
            make_middleware().handle_publish_failure(failure, "line")
        [event] = catcher.errors
        self.assertEqual(event["logLevel"], logging.ERROR)
        self.assertIn("Processed failure message for line: ", str(event["message"]))
        self.flushLoggedErrors()

    def test_the_levels_can_be_chosen(self) -> None:
        middleware = make_middleware(log_level="debug", failure_log_level="warning")
        failure = FailureMessage(message={}, failure_code=None, reason="barred")
        with LogCatcher() as catcher:
            middleware.handle_inbound(self.inbound, "line")
            middleware.handle_failure(failure, "line")
        levels = [event["logLevel"] for event in catcher.logs]
        self.assertEqual(levels, [logging.DEBUG, logging.WARNING])


@pytest.mark.parametrize("option", ["log_level", "failure_log_level"])
def test_a_level_that_does_not_exist_is_refused_by_name(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        LoggingMiddleware("log_all", {option: "loud"}, None)


class WorkerTests(VumiTestCase):
    @inlineCallbacks
    def test_in_a_worker(self) -> Any:
        helper = self.add_helper(ApplicationHelper(ApplicationWorker))
        yield helper.get_application(
            {"middleware": [{"log_all": "vumi.middleware.logging.LoggingMiddleware"}]}
        )
        with LogCatcher(message="Processed inbound message for sphex") as catcher:
            msg = yield helper.make_dispatch_inbound("hi")
        [line] = catcher.messages()
        self.assertIn(msg["message_id"], line)
