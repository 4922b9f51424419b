"""Log lines with a level, by functions.

A thin layer on :mod:`twisted.python.log`: an event carries ``logLevel`` with the number that the
standard library's :mod:`logging` has for the level, so observers written for the old Vumi (and
tests that look for ``logLevel``) see what they always saw. New code in vumi itself uses
:class:`twisted.logger.Logger`; both end in the same log.
"""

from __future__ import annotations

import logging
from typing import Any

from twisted.python import log

__all__ = [
    "WrappingLogger",
    "critical",
    "debug",
    "err",
    "error",
    "info",
    "msg",
    "warn",
    "warning",
]


def debug(*message: object, **context: Any) -> None:
    """Log at level debug.

    :param message: Texts; they are joined by spaces.
    :param context: Further fields of the event. ``system`` shows in the line's head.
    """
    log.msg(*message, **{"logLevel": logging.DEBUG, **context})


def info(*message: object, **context: Any) -> None:
    """Log at level info. Takes what :func:`debug` takes."""
    log.msg(*message, **{"logLevel": logging.INFO, **context})


def warning(*message: object, **context: Any) -> None:
    """Log at level warning. Takes what :func:`debug` takes."""
    log.msg(*message, **{"logLevel": logging.WARNING, **context})


def error(_stuff: object = None, _why: str | None = None, **context: Any) -> None:
    """Log an error, with its traceback if it has one.

    :param _stuff: An exception or a :class:`~twisted.python.failure.Failure`; ``None`` means the
        exception being handled right now. Anything else, such as a text, is logged as it shows.
    :param _why: What was being done; shown above the traceback.
    :param context: Further fields of the event.
    """
    log.err(_stuff, _why, **{"logLevel": logging.ERROR, **context})


def critical(_stuff: object = None, _why: str | None = None, **context: Any) -> None:
    """Log an error at level critical. Takes what :func:`error` takes."""
    log.err(_stuff, _why, **{"logLevel": logging.CRITICAL, **context})


msg = info
warn = warning
err = error


class WrappingLogger:
    """The same functions as methods that add fields to each event.

    :param context: The fields, such as ``system``. Those given with a call win.
    """

    def __init__(self, **context: Any) -> None:
        self.context = context

    def debug(self, *message: object, **context: Any) -> None:
        """See :func:`debug`."""
        debug(*message, **{**self.context, **context})

    def info(self, *message: object, **context: Any) -> None:
        """See :func:`info`."""
        info(*message, **{**self.context, **context})

    def warning(self, *message: object, **context: Any) -> None:
        """See :func:`warning`."""
        warning(*message, **{**self.context, **context})

    def error(self, _stuff: object = None, _why: str | None = None, **context: Any) -> None:
        """See :func:`error`."""
        error(_stuff, _why, **{**self.context, **context})

    def critical(self, _stuff: object = None, _why: str | None = None, **context: Any) -> None:
        """See :func:`critical`."""
        critical(_stuff, _why, **{**self.context, **context})

    # Methods, not class attributes set to the functions: a subclass that overrides info() also
    # changes what msg() does.

    def msg(self, *message: object, **context: Any) -> None:
        """The same as :meth:`info`."""
        self.info(*message, **context)

    def warn(self, *message: object, **context: Any) -> None:
        """The same as :meth:`warning`."""
        self.warning(*message, **context)

    def err(self, _stuff: object = None, _why: str | None = None, **context: Any) -> None:
        """The same as :meth:`error`."""
        self.error(_stuff, _why, **context)
