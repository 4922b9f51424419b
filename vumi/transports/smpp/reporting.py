"""Delivery reports on their way: from the SMSC to the application.

Knows which message a report is about, and what of several reports for the parts of one message is
told. How a report looks is :mod:`vumi.transports.smpp.receipts`'s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.errors import VumiError
from vumi.tasks import in_background, on_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.transports.smpp.config import SmppTransportConfig
    from vumi.transports.smpp.correlation import SmppMessageDataStash

    Publish = Callable[[str, str, str], Deferred[Any]]

__all__ = ["ReportFinder", "UnknownReport"]


class UnknownReport(VumiError):
    """A delivery report is about a message that is not known, and is refused."""


class ReportFinder:
    """Finds out which message a report is about, and has it published.

    :param stash: Knows the SMSC's ids.
    :param publish: Publishes a report: our id, the delivery status and the SMSC's word for it.
    :param remote_id_form: Makes of an id in a report the one that was recorded.
    :param config: The transport's options.
    """

    log = Logger()

    def __init__(
        self,
        stash: SmppMessageDataStash,
        publish: Publish,
        remote_id_form: Callable[[str], str],
        config: SmppTransportConfig,
    ) -> None:
        self._stash = stash
        self._publish = publish
        self._form = remote_id_form
        self._unknown = config.delivery_report_unknown
        self._aggregate = config.aggregate_delivery_reports

    def take(self, remote_id: str, status: str, raw_status: str) -> Deferred[Any]:
        """Take a report.

        :param remote_id: What the SMSC calls the message.
        :param status: ``pending``, ``failed`` or ``delivered``.
        :param raw_status: The SMSC's word.
        :returns: Fires when it is safe: published, or kept, or of no use.
        :raises UnknownReport: It is refused.
        """
        remote_id = self._form(remote_id)
        safe: Deferred[Any] = Deferred()

        def found(message_id: str | None) -> None:
            if message_id is None:
                self._not_found(remote_id, safe)
                return
            on_outcome(
                self._tell(message_id, remote_id, status, raw_status), safe.callback, safe.errback
            )

        text = json.dumps([remote_id, status, raw_status])
        final = status != "pending"
        self._stash.resolve(
            remote_id, text, final, found, safe.errback, keep=self._unknown == "keep"
        )
        return safe

    def take_early(self, message_id: str, report: str) -> None:
        """Take a report that was kept until its message was known."""
        try:
            remote_id, status, raw_status = json.loads(report)
        except (ValueError, TypeError):
            self.log.failure("A delivery report that was kept can't be read", Failure())
            return
        telling = self._tell(message_id, remote_id, status, raw_status)
        in_background(telling, self.log, f"The early report of message {message_id}")

    def _not_found(self, remote_id: str, safe: Deferred[Any]) -> None:
        self.log.info(
            "A delivery report is about an unknown message: {remote_id!r} ({what})",
            event="smpp-report-unknown",
            remote_id=remote_id,
            what=self._unknown,
        )
        if self._unknown == "refuse":
            safe.errback(UnknownReport(f"No message is known as {remote_id!r}."))
        else:
            safe.callback(None)

    def _tell(
        self, message_id: str, remote_id: str, status: str, raw_status: str
    ) -> Deferred[Any]:
        if not self._aggregate:
            return self._publish(message_id, status, raw_status)
        return Deferred.fromCoroutine(self._tell_of_all(message_id, remote_id, status, raw_status))

    async def _tell_of_all(
        self, message_id: str, remote_id: str, status: str, raw_status: str
    ) -> None:
        """Publish a report of a part only if it was the last one, and then of the whole."""
        parts, *statuses = await self._stash.part_report(message_id, remote_id, status)
        if parts > 1:
            final = [status for status in statuses if status != "pending"]
            if len(final) < parts:
                return
            status = "failed" if "failed" in final else "delivered"
        await self._publish(message_id, status, raw_status)
