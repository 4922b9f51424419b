"""Workers to be started by the tests of the commands."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from vumi.application import ApplicationWorker
from vumi.config import ConfigInt
from vumi.service import Worker
from vumi.transports import Transport, TransportConfig


class QuietWorker(Worker):
    """Runs and does nothing. Says so."""

    def startWorker(self) -> Deferred[None]:
        # Not before the reactor runs: by then it has its signal handlers.
        return deferLater(self.clock, 0, self.log.info, "Here I am.")

    def stopWorker(self) -> Deferred[None]:
        # Takes a while, to see that it is waited for.
        return deferLater(self.clock, 0.1, self.log.info, "I have finished.")


class QuietApplication(ApplicationWorker):
    """An application that says nothing."""


class PortConfig(TransportConfig):
    """Options of the transport that needs a port."""

    port = ConfigInt("The TCP port to listen on.", required=True, static=True)


class PortTransport(Transport):
    """A transport that needs a port."""

    CONFIG_CLASS: ClassVar[Any] = PortConfig

    def setup_transport(self) -> None:
        from twisted.web.resource import Resource

        port = self.get_static_config().port
        self.start_web_resources([(Resource(), "/")], port)

    def handle_outbound_message(self, message: Any) -> None:
        """Not reached."""


class LateFailure(Worker):
    """Fails after the reactor has started."""

    def startWorker(self) -> Deferred[None]:
        return deferLater(self.clock, 0.05, self.fail)

    def fail(self) -> None:
        raise ZeroDivisionError("one by none")


class NoWorker:
    """Not a worker at all."""


class EndlessWorker(Worker):
    """Never finishes."""

    def startWorker(self) -> None:
        """Nothing to do."""

    def stopWorker(self) -> Deferred[None]:
        return Deferred()


class SlowToStart(ApplicationWorker):
    """Takes longer to start than its input takes to be read; echoes."""

    def setup_application(self) -> Deferred[None]:
        return deferLater(self.clock, 0.5, lambda: None)

    def consume_user_message(self, message: Any) -> Any:
        return self.reply_to(message, f"You said {message['content']}")
