"""Errors and warnings of a worker's log, sent to Sentry.

Knows Twisted's log events and the package ``sentry-sdk``, which is needed only by who uses this.
Knows no worker. What is sent is what the log says: no local variables, no request data.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.application.service import Service
from twisted.python import log

from vumi.errors import ConfigError
from vumi.extras import needs_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

__all__ = ["SentryClient", "SentryLogObserver", "SentryLoggerService", "vumi_raven_client"]

#: A log event with this key was made while another one was being sent: sending it too would
#: never end.
DEFAULT_CONTEXT_SENTINEL = "_SENTRY_CONTEXT_"

CLOSE_TIMEOUT = 2.0


def vumi_raven_client(dsn: str, log_context_sentinel: str | None = None) -> SentryClient:
    """Make a client. (It was once made by the library raven.)

    :param dsn: Sentry's address for this project, a URL.
    :param log_context_sentinel: Taken for compatibility; the observer has it.
    :raises ConfigError: ``sentry-sdk`` is not installed, or the DSN is none.
    """
    return SentryClient(dsn)


class SentryClient:
    """Sends events to one Sentry project, from a thread of its own.

    :param dsn: Sentry's address for this project, a URL.
    :raises ConfigError: ``sentry-sdk`` is not installed, or the DSN is none.
    """

    def __init__(self, dsn: str) -> None:
        with needs_extra("sentry"):
            sentry_sdk = import_module("sentry_sdk")
            utils = import_module("sentry_sdk.utils")
        self._event_from_exception = utils.event_from_exception
        try:
            # Not sentry_sdk.init(): that would hook into the whole process.
            self._client: Any = sentry_sdk.Client(
                dsn=dsn,
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                send_default_pii=False,
            )
        except utils.BadDsn:
            # The DSN holds a key: it is not quoted, and neither is what the library says of it.
            raise ConfigError(
                "What was given as Sentry's DSN is none: one is like https://KEY@HOST/NUMBER."
            ) from None

    def captureMessage(
        self, message: str, *, data: Mapping[str, Any], tags: Mapping[str, str]
    ) -> None:
        """Send a text.

        :param data: The event's ``logger`` and ``level`` (a number of :mod:`logging`).
        :param tags: The event's tags.
        """
        self._send({"message": message}, None, data, tags)

    def captureException(
        self, exc_info: Any, *, data: Mapping[str, Any], tags: Mapping[str, str]
    ) -> None:
        """Send an exception.

        :param exc_info: As :func:`sys.exc_info` gives it.
        :param data: See :meth:`captureMessage`; ``message``, if given, is shown with it.
        :param tags: The event's tags.
        """
        event, hint = self._event_from_exception(exc_info, client_options=self._client.options)
        if data.get("message"):
            event["message"] = data["message"]
        self._send(event, hint, data, tags)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Send what is left, and stop. Blocks.

        :param timeout: For how long, in seconds.
        """
        self._client.close(timeout=timeout)

    def _send(
        self, event: dict[str, Any], hint: Any, data: Mapping[str, Any], tags: Mapping[str, str]
    ) -> None:
        event.update(logger=data["logger"], level=_level_name(data["level"]), tags=dict(tags))
        self._client.capture_event(event, hint=hint)


def _level_name(level: int) -> str:
    for least, name in (
        (logging.CRITICAL, "fatal"),
        (logging.ERROR, "error"),
        (logging.WARNING, "warning"),
        (logging.INFO, "info"),
    ):
        if level >= least:
            return name
    return "debug"


class SentryLogObserver:
    """A log observer (as :mod:`twisted.python.log` has them) that sends what is bad enough.

    :param client: Has ``captureMessage`` and ``captureException`` as :class:`SentryClient` has.
    :param logger_name: What the events' loggers begin with.
    :param worker_id: The value of the tag ``worker-id``.
    :param log_context_sentinel: The key that marks events made while one was being sent.
    """

    DEFAULT_ERROR_LEVEL: ClassVar[int] = logging.ERROR
    DEFAULT_LOG_LEVEL: ClassVar[int] = logging.INFO
    LOG_LEVEL_THRESHOLD: ClassVar[int] = logging.WARNING

    def __init__(
        self,
        client: Any,
        logger_name: str,
        worker_id: str,
        log_context_sentinel: str | None = None,
    ) -> None:
        self.client = client
        self.logger_name = logger_name
        self.worker_id = worker_id
        self.log_context_sentinel = log_context_sentinel or DEFAULT_CONTEXT_SENTINEL

    def __call__(self, event: dict[str, Any]) -> None:
        level = self.level_for_event(event)
        if level < self.LOG_LEVEL_THRESHOLD or event.get(self.log_context_sentinel):
            return
        log.callWithContext({self.log_context_sentinel: True}, self._send, event, level)

    def level_for_event(self, event: Mapping[str, Any]) -> int:
        """The event's level, a number of :mod:`logging`."""
        level = event.get("logLevel")
        if isinstance(level, int):
            return level
        # Events of the old kind have been given a log_level too, which says no more than isError.
        if "log_level" in event and event.get("log_namespace") != "log_legacy":
            name = event["log_level"].name.upper()
            return logging.getLevelNamesMapping()[name]
        return self.DEFAULT_ERROR_LEVEL if event.get("isError") else self.DEFAULT_LOG_LEVEL

    def logger_for_event(self, event: Mapping[str, Any]) -> str:
        """What Sentry calls the event's logger: our name, then the event's ``system``."""
        system = event.get("system") or "-"
        parts = [] if system == "-" else str(system).split(",")
        return ".".join([self.logger_name, *parts]).lower()

    def _send(self, event: dict[str, Any], level: int) -> None:
        data = {"logger": self.logger_for_event(event), "level": level}
        tags = {"worker-id": self.worker_id}
        failure = event.get("failure")
        if failure is None:
            self.client.captureMessage(log.textFromEventDict(event) or "", data=data, tags=tags)
            return
        if event.get("why"):
            data["message"] = event["why"]
        exc_info = (failure.type, failure.value, failure.getTracebackObject())
        self.client.captureException(exc_info, data=data, tags=tags)


class SentryLoggerService(Service):
    """Sends a process's log to Sentry while it runs.

    :param dsn: Sentry's address for this project, a URL.
    :param logger_name: The worker's name.
    :param worker_id: The worker's name among those of all systems.
    :param logger: What is observed; the whole process's log if left out.
    :raises ConfigError: ``sentry-sdk`` is not installed, or the DSN is none.
    """

    def __init__(self, dsn: str, logger_name: str, worker_id: str, logger: Any = None) -> None:
        self.setName("Sentry Logger")
        self.logger = log.theLogPublisher if logger is None else logger
        self.client = vumi_raven_client(dsn)
        self.sentry_log_observer = SentryLogObserver(self.client, logger_name, worker_id)
        self._registered = False

    def startService(self) -> None:
        """Begin to send."""
        super().startService()
        self.logger.addObserver(self.sentry_log_observer)
        self._registered = True

    def stopService(self) -> Deferred[None] | None:
        """Stop; fires when what was logged before is sent, or :data:`CLOSE_TIMEOUT` is over."""
        super().stopService()
        if not self._registered:
            return None
        self.logger.removeObserver(self.sentry_log_observer)
        self._registered = False
        # The first import of the reactor chooses it, so not at import time.
        from twisted.internet.threads import deferToThread

        return deferToThread(self.client.close)

    def registered(self) -> bool:
        """Whether the log is being sent."""
        return self._registered
