"""What a middleware is, and the stack that messages pass.

Knows messages by their kind (inbound, outbound, event, failure, status) and direction (consume,
publish). Knows nothing of brokers or of any one worker.

The first one listed in a worker's config is the closest to the queue: it sees a consumed message
first and a published one last. A priority moves one outwards: lower numbers come first.

A message passes only those hooks that somebody has overridden: which these are is found out once,
when the stack is made. A chain of hooks that all return plain messages costs no Deferred.

:meth:`BaseMiddleware.message_handled` is in no chain: it is told what became of a message that was
received. Nothing is counted or waited for unless somebody overrides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.config import Config, ConfigError, config_hints
from vumi.errors import VumiError
from vumi.loading import load_class_by_string
from vumi.tasks import as_deferred, deferred, is_pending, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Hook = Callable[[Any, str], Any]

__all__ = [
    "ApplicationMiddleware",
    "BaseMiddleware",
    "BaseMiddlewareConfig",
    "MiddlewareError",
    "MiddlewareStack",
    "TransportMiddleware",
    "create_middlewares_from_config",
    "middleware_hints",
    "setup_middlewares_from_config",
]

MESSAGE_KINDS = ("inbound", "outbound", "event", "failure", "status")


class MiddlewareError(VumiError):
    """A middleware broke the rules: it returned no message."""


class BaseMiddlewareConfig(Config):
    """Configuration of a middleware. Every field must be static."""


class BaseMiddleware:
    """A middleware that leaves every message as it is; override what you need.

    A hook takes the message and the name of the connector it passes through, and returns the
    message, another one, or a Deferred or coroutine of it. Returning ``None`` is an error. To drop
    a message raise :class:`vumi.connectors.IgnoreMessage`; an outbound one is then nacked.

    :param name: The name that the worker's config gives to this middleware.
    :param config: The config section of that name.
    :param worker: The worker it belongs to.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = BaseMiddlewareConfig

    def __init__(self, name: str, config: Mapping[str, Any], worker: Any) -> None:
        self.name = name
        self.config: Any = self.CONFIG_CLASS(config, static=True)
        self.consume_priority: int | None = config.get("consume_priority")
        self.publish_priority: int | None = config.get("publish_priority")
        self.worker = worker

    def setup_middleware(self) -> Any:
        """Called once, before any message; may return a Deferred or a coroutine."""

    def teardown_middleware(self) -> Any:
        """Called once, after the last message; may return a Deferred or a coroutine."""

    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        """A message from a user that this worker has received."""
        return self.handle_inbound(message, connector_name)

    def handle_publish_inbound(self, message: Any, connector_name: str) -> Any:
        """A message from a user that this worker sends on."""
        return self.handle_inbound(message, connector_name)

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        """A message from a user, in either direction."""
        return message

    def handle_consume_outbound(self, message: Any, connector_name: str) -> Any:
        """A message to a user that this worker has received."""
        return self.handle_outbound(message, connector_name)

    def handle_publish_outbound(self, message: Any, connector_name: str) -> Any:
        """A message to a user that this worker sends on."""
        return self.handle_outbound(message, connector_name)

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        """A message to a user, in either direction."""
        return message

    def handle_consume_event(self, event: Any, connector_name: str) -> Any:
        """An event that this worker has received."""
        return self.handle_event(event, connector_name)

    def handle_publish_event(self, event: Any, connector_name: str) -> Any:
        """An event that this worker sends on."""
        return self.handle_event(event, connector_name)

    def handle_event(self, event: Any, connector_name: str) -> Any:
        """An event, in either direction."""
        return event

    def handle_consume_failure(self, failure: Any, connector_name: str) -> Any:
        """A failure message that this worker has received."""
        return self.handle_failure(failure, connector_name)

    def handle_publish_failure(self, failure: Any, connector_name: str) -> Any:
        """A failure message that this worker publishes."""
        return self.handle_failure(failure, connector_name)

    def handle_failure(self, failure: Any, connector_name: str) -> Any:
        """A failure message, in either direction."""
        return failure

    def handle_consume_status(self, status: Any, connector_name: str) -> Any:
        """A status that this worker has received."""
        return self.handle_status(status, connector_name)

    def handle_publish_status(self, status: Any, connector_name: str) -> Any:
        """A status that this worker publishes."""
        return self.handle_status(status, connector_name)

    def handle_status(self, status: Any, connector_name: str) -> Any:
        """A status, in either direction."""
        return status

    def message_handled(
        self, kind: str, message: Any, connector_name: str, error: BaseException | None
    ) -> Any:
        """What became of a message that this worker has received.

        Called once its handler is done and the broker has all that was published until then, or
        once the handler has failed. Never called when the worker ends before that: the broker then
        delivers the message again. May return a Deferred or a coroutine; a worker that stops waits
        for it, nobody else does.

        :param kind: inbound, outbound, event or status.
        :param message: The message as it was received, before any middleware replaced it.
        :param connector_name: The name of the connector it came through.
        :param error: What the handler or a middleware raised, so that the message becomes a dead
            letter, or by :class:`~vumi.errors.HandleLater` is handled again later; ``None`` if it
            was handled, or ignored on purpose.
        """


class TransportMiddleware(BaseMiddleware):
    """A middleware for transports."""


class ApplicationMiddleware(BaseMiddleware):
    """A middleware for applications."""


class Chain:
    """The hooks that one kind of message passes in one direction.

    :param hooks: Pairs of a middleware and the name of its hook, in order.
    """

    __slots__ = ("_hooks",)

    def __init__(self, hooks: Iterable[tuple[BaseMiddleware, str]]) -> None:
        self._hooks: tuple[tuple[Hook, str], ...] = tuple(
            (getattr(middleware, name), f"{type(middleware).__name__}.{name}")
            for middleware, name in hooks
        )

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def __call__(self, message: Any, connector_name: str) -> Any:
        """Pass a message through.

        :returns: The message, or a coroutine of it if a hook has to be waited for.
        """
        for index, (hook, name) in enumerate(self._hooks):
            result = hook(message, connector_name)
            if isinstance(result, Deferred) or iscoroutine(result):
                return self._finish(index, result, connector_name)
            if result is None:
                raise _returned_none(name)
            message = result
        return message

    async def _finish(self, index: int, pending: Any, connector_name: str) -> Any:
        message = await pending
        if message is None:
            raise _returned_none(self._hooks[index][1])
        for hook, name in self._hooks[index + 1 :]:
            result = hook(message, connector_name)
            message = (await result) if is_pending(result) else result
            if message is None:
                raise _returned_none(name)
        return message


def _returned_none(name: str) -> MiddlewareError:
    return MiddlewareError(f"Returned value of {name} should never be None")


def _overridden(middleware: BaseMiddleware, direction: str, kind: str) -> str | None:
    """The name of the hook to call, or ``None`` if nobody has overridden it."""
    specific, general = f"handle_{direction}_{kind}", f"handle_{kind}"
    if _has_own(middleware, specific) or _has_own(middleware, general):
        return specific
    return None


def _has_own(middleware: BaseMiddleware, name: str) -> bool:
    own = getattr(type(middleware), name, None)
    return own is not getattr(BaseMiddleware, name) or name in vars(middleware)


class MiddlewareStack:
    """The middlewares of a worker, in the order that messages pass them.

    :param middlewares: In the order of the config, the closest to the queue first.
    """

    def __init__(self, middlewares: Sequence[BaseMiddleware]) -> None:
        self.middlewares = list(middlewares)
        self.consume_middlewares = sorted(
            self.middlewares, key=lambda middleware: middleware.consume_priority or 0
        )
        outwards = self.middlewares[::-1]
        self.publish_middlewares = sorted(
            outwards, key=lambda middleware: middleware.publish_priority or 0
        )
        self._torn_down = False

    def chain(self, direction: str, kind: str) -> Chain:
        """The compiled way of a kind of message.

        :param direction: ``consume`` or ``publish``.
        :param kind: One of inbound, outbound, event, failure, status.
        """
        ordered = self.consume_middlewares if direction == "consume" else self.publish_middlewares
        names = [(middleware, _overridden(middleware, direction, kind)) for middleware in ordered]
        return Chain((middleware, name) for middleware, name in names if name is not None)

    def handled_hooks(self) -> list[Callable[[str, Any, str, BaseException | None], Any]]:
        """Who is told what became of received messages, the farthest from the queue first."""
        return [
            middleware.message_handled
            for middleware in reversed(self.consume_middlewares)
            if _has_own(middleware, "message_handled")
        ]

    def apply_consume(self, kind: str, message: Any, connector_name: str) -> Deferred[Any]:
        """Pass a received message through; fires with the message."""
        return as_deferred(self.chain("consume", kind), message, connector_name)

    def apply_publish(self, kind: str, message: Any, connector_name: str) -> Deferred[Any]:
        """Pass a message that is to be published through; fires with the message."""
        return as_deferred(self.chain("publish", kind), message, connector_name)

    @deferred
    async def teardown(self) -> None:
        """Tear down every middleware, once, in the order of publishing."""
        if self._torn_down:
            return
        self._torn_down = True
        for middleware in self.publish_middlewares:
            await settle(middleware.teardown_middleware())


def _read_entry(entry: Any) -> tuple[str, str, dict[str, Any]]:
    """Read one entry of the config's list: name, class path, priorities."""
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ConfigError(
            "Each item of 'middleware' must be a mapping with a single key, the middleware's name"
            f" (got {entry!r})"
        )
    ((name, value),) = entry.items()
    if isinstance(value, str):
        return name, value, {}
    if not isinstance(value, Mapping) or not isinstance(value.get("class"), str):
        raise ConfigError(
            f"Middleware {name!r} must be a class path, or a mapping with the key 'class' (got "
            f"{value!r})"
        )
    priorities = {}
    for key in ("consume_priority", "publish_priority"):
        priority = value.get(key, 0)
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise ConfigError(f"Middleware {name!r}: {key} must be an integer (got {priority!r})")
        priorities[key] = priority
    return name, value["class"], priorities


def create_middlewares_from_config(worker: Any, config: Mapping[str, Any]) -> list[BaseMiddleware]:
    """Make the middlewares that a worker's config lists.

    :raises ConfigError: The list, a class path or a middleware's own section is wrong.
    """
    middlewares = []
    listed = config.get("middleware") or []
    if not isinstance(listed, list):
        raise ConfigError(f"'middleware' must be a list (got {listed!r})")
    for entry in listed:
        name, class_path, priorities = _read_entry(entry)
        try:
            cls = load_class_by_string(class_path)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"Middleware {name!r} can't be loaded: {error}") from error
        section = config.get(name)
        if section is not None and not isinstance(section, Mapping):
            raise ConfigError(f"The section {name!r} of a middleware must be a mapping")
        # Priorities not given are 0, so that a section can't set them by accident.
        middleware_config = {
            **(section or {}),
            "consume_priority": 0,
            "publish_priority": 0,
            **priorities,
        }
        try:
            middlewares.append(cls(name, middleware_config, worker))
        except ConfigError as error:
            raise ConfigError(
                problems=[f"{name}: {problem}" for problem in error.problems]
            ) from error
    return middlewares


def middleware_hints(config: Mapping[str, Any]) -> list[str]:
    """Sentences about what is probably a mistake in the sections of middlewares.

    What is an error is left to :func:`create_middlewares_from_config`.
    """
    hints: list[str] = []
    found: list[tuple[str, Any, Any]] = []
    listed = config.get("middleware")
    for entry in listed if isinstance(listed, list) else ():
        with suppress(Exception):
            # Importing runs code, which may raise anything.
            name, class_path, _ = _read_entry(entry)
            found.append((name, config.get(name), load_class_by_string(class_path).CONFIG_CLASS))
    for name, section, options in found:
        # One that declares nothing reads its section by itself.
        if isinstance(section, Mapping) and options._fields:
            told = config_hints(options, section, ("consume_priority", "publish_priority"))
            hints += [f"{name}: {hint}" for hint in told]
    return hints


def setup_middlewares_from_config(
    worker: Any, config: Mapping[str, Any]
) -> Deferred[list[BaseMiddleware]]:
    """Make the middlewares that a worker's config lists and set them up, one after another.

    If one fails, those before it are torn down again.
    """

    async def setup() -> list[BaseMiddleware]:
        middlewares = create_middlewares_from_config(worker, config)
        ready: list[BaseMiddleware] = []
        try:
            for middleware in middlewares:
                await settle(middleware.setup_middleware())
                ready.append(middleware)
        except Exception:
            await MiddlewareStack(ready).teardown()
            raise
        return middlewares

    return Deferred.fromCoroutine(setup())
