"""What a router is: it decides which connectors of its dispatcher a message leaves by.

Knows the hooks that a dispatcher calls and what a router may publish by. Knows no way of deciding:
see :mod:`vumi.dispatchers.routers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from vumi.config import Config
from vumi.connectors import IgnoreMessage
from vumi.errors import ConfigError
from vumi.tasks import as_deferred, hook_result, to_wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from vumi.dispatchers.routes import Route
    from vumi.message import Message, TransportEvent, TransportUserMessage

__all__ = ["BaseDispatchRouter", "RouterConfig", "issued", "publish_to_each"]


class RouterConfig(Config):
    """Options of a router: part of its dispatcher's. Every field must be static."""


class BaseDispatchRouter:
    """Decides where a dispatcher sends messages; override the three ``dispatch_`` hooks.

    A hook may be a plain method, one under ``inlineCallbacks``, or ``async def``. What it returns
    is waited for, and a message is acknowledged once all that was published is confirmed. Publish
    by the dispatcher's ``publish_inbound_message()``, ``publish_inbound_event()`` and
    ``publish_outbound_message()``.

    If there is no route, raise :class:`~vumi.errors.DispatcherError`: an outbound message is then
    nacked with its words as the reason, an inbound one or an event goes to the dispatcher's
    ``default_exposed_name`` or becomes a dead letter.

    Do not override the constructor. It reads no network and no file.

    :param dispatcher: The :class:`~vumi.dispatchers.worker.BaseDispatchWorker`.
    :param config: The dispatcher's configuration, the router's options included.
    :raises ConfigError: The router's options have problems; all of them are told at once.

    :ivar options: The checked options; ``None`` if the class declares none.
    """

    #: The router's own options, which stand in the dispatcher's configuration. ``None``: they are
    #: not declared, so nothing is checked; the hooks look into :attr:`config`.
    CONFIG_CLASS: ClassVar[type[Config] | None] = None

    log = Logger()

    def __init__(self, dispatcher: Any, config: Mapping[str, Any]) -> None:
        self.dispatcher = dispatcher
        self.config = config
        self.transport_names: tuple[str, ...] = tuple(dispatcher.transport_names)
        self.exposed_names: tuple[str, ...] = tuple(dispatcher.exposed_names)
        self.foreign_names: tuple[str, ...] = tuple(
            getattr(dispatcher, "foreign_transport_names", ())
        )
        self.options: Any = None
        if self.CONFIG_CLASS is not None:
            self.options = self.CONFIG_CLASS(config, static=True)
            self.read_options(self.options)
        problems = tuple(self.find_problems())
        if problems:
            raise ConfigError(problems=problems)

    # Options and what they say

    def read_options(self, options: Any) -> None:
        """Take from the options what the hooks need. Called once, by the constructor.

        Reading an option checks and copies it each time: too slow for every message.
        """

    def find_problems(self) -> Iterable[str]:
        """What is wrong with the options, in sentences: the dispatcher won't start."""
        return ()

    def find_warnings(self) -> Iterable[str]:
        """What is probably not meant, in sentences; the dispatcher starts all the same."""
        return ()

    def list_routes(self) -> Iterable[Route] | None:
        """All ways that messages can go; ``None`` if only the code knows."""
        return None

    def list_notes(self) -> Iterable[str]:
        """What :meth:`list_routes` doesn't show, in sentences."""
        return ()

    def unknown_transports(self, option: str, names: Iterable[str]) -> Iterator[str]:
        """A problem for each name in an option that is no transport's."""
        return _unknown(option, names, self.transport_names, "'transport_names'")

    def unknown_exposed(self, option: str, names: Iterable[str]) -> Iterator[str]:
        """A problem for each name in an option that is no exposed name."""
        return _unknown(option, names, self.exposed_names, "'exposed_names'")

    def unknown_sources(
        self, option: str, names: Iterable[str], more: Collection[str] = ()
    ) -> Iterator[str]:
        """A problem for each name that no message will carry as its ``transport_name``.

        :param more: Further names that messages may carry.
        """
        allowed = (*self.transport_names, *self.foreign_names, *more)
        where = "'transport_names' (nor of 'foreign_transport_names')"
        return _unknown(option, names, allowed, where)

    @property
    def has_default(self) -> bool:
        """Whether inbound messages and events without a route go to some exposed name."""
        return getattr(self.dispatcher, "default_exposed_name", None) is not None

    # Life

    def setup_routing(self) -> Any:
        """Called before the first message; may return a Deferred or be ``async``."""

    def teardown_routing(self) -> Any:
        """Called after the last message; may return a Deferred or be ``async``."""

    # Messages

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        """A message from a user has come from a transport."""
        raise NotImplementedError(
            f"{type(self).__name__} must override dispatch_inbound_message()."
        )

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        """An event has come from a transport. It has a ``transport_name``."""
        raise NotImplementedError(f"{type(self).__name__} must override dispatch_inbound_event().")

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        """A message to a user has come from an application."""
        raise NotImplementedError(
            f"{type(self).__name__} must override dispatch_outbound_message()."
        )

    def dispatch_outbound_from(self, exposed_name: str, msg: TransportUserMessage) -> Any:
        """The same, with the exposed name it has come by.

        This is what the dispatcher calls. Override it if the way depends on the name.
        """
        return self.dispatch_outbound_message(msg)


def _unknown(
    option: str, names: Iterable[str], allowed: Collection[str], where: str
) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if name not in allowed:
            yield f"Field '{option}' names {name!r}, which is none of {where}."


def publish_to_each(
    publish: Callable[[str, Any], Any], names: Sequence[str], message: Message
) -> Deferred[Any]:
    """Publish a message by several connectors: each gets a copy, and none depends on another.

    :param publish: Takes a name and a message; one of a dispatcher's ``publish_`` methods.
    :param names: The connectors; with none, nothing is published.
    :returns: A Deferred of what has to be waited for. That everything is confirmed, the consumer
        waits for anyhow.
    """
    if len(names) == 1:
        published: Deferred[Any] = publish(names[0], message)
        return published
    outcomes = [as_deferred(publish, name, message.copy()) for name in names]
    unsettled = [outcome for outcome in outcomes if to_wait_for(outcome) is not None]
    if not unsettled:
        return outcomes[-1] if outcomes else succeed(None)
    return Deferred.fromCoroutine(_settle_each(unsettled))


async def _settle_each(outcomes: Iterable[Deferred[Any]]) -> None:
    failures: list[Exception] = []
    for outcome in outcomes:
        try:
            await outcome
        except IgnoreMessage:
            # A middleware doesn't want this copy to leave. The others may.
            continue
        except Exception as failure:  # noqa: BLE001 (the first is raised, the others go with it)
            failures.append(failure)
    if failures:
        for further in failures[1:]:
            failures[0].add_note(f"Another copy failed too: {further!r}")
        raise failures[0]


async def issued(outcome: Any) -> None:
    """Wait for what a publish gave, but not for the broker's confirmation.

    The consumer waits for that, and meanwhile the next message of the conversation may be handled.
    """
    await hook_result(outcome)
