"""The workers that have messages handled by sandboxed programs.

Knows which message goes to which program, and what happens if that breaks. How a message passes
through a program is :mod:`vumi.application.sandbox.protocol`'s.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorProcess
from twisted.python.failure import Failure

from vumi.application.base import ApplicationWorker
from vumi.application.sandbox.api import SandboxApi
from vumi.application.sandbox.children import Launch
from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.figures import MetricsPublisher, SandboxCounters, metric_message
from vumi.application.sandbox.limits import merged_rlimits
from vumi.application.sandbox.options import SandboxConfig
from vumi.application.sandbox.pool import ChildPool, ChildPools, PoolOptions
from vumi.application.sandbox.protocol import Ending, Outcome, SandboxProtocol
from vumi.application.sandbox.resources.base import SandboxResources, section_warnings
from vumi.application.sandbox.rlimiter import SandboxRlimiter
from vumi.errors import ConfigError, LeaveUnacknowledged
from vumi.log import err
from vumi.process_reactor import process_reactor
from vumi.steady_clock import wall_seconds
from vumi.tasks import deferred, on_outcome, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["Sandbox"]

#: How many sandboxes' configs are remembered.
MAX_CONFIGS = 100


class Sandbox(ApplicationWorker):
    """Has each message, and each event, handled by a sandboxed program.

    A message is done when its program has ended and all its requests are answered. If the program
    breaks, that is logged with its last words, counted and told as a figure; the user gets
    ``error_reply`` if he was not answered yet; and the message becomes a dead letter.
    """

    CONFIG_CLASS: ClassVar[Any] = SandboxConfig

    #: For subclasses: what is made of the config.
    resources: SandboxResources

    # Config

    def get_config(self, msg: Any, ctxt: Any = None) -> Deferred[Any]:
        """The config for a message, with the ``sandbox_id`` that it is handled for."""
        sandbox_id = self.sandbox_id_for_message(msg)
        config = self._configs.get(sandbox_id)
        if config is None:
            if len(self._configs) >= MAX_CONFIGS:
                self._configs.clear()
            config = self.CONFIG_CLASS({**self.config, "sandbox_id": sandbox_id})
            self._configs[sandbox_id] = config
        return succeed(config)

    def sandbox_id_for_message(self, msg_or_event: Any) -> str:
        """The sandbox that a message or event is for. To be overridden.

        By default its ``sandbox_id``, which a middleware or dispatcher may have given it, or the
        config's.

        :raises SandboxError: Neither says.
        """
        sandbox_id = msg_or_event.get("sandbox_id") or self.config.get("sandbox_id")
        if not sandbox_id:
            raise SandboxError(
                "Nobody says which sandbox this message is for: set 'sandbox_id' in the worker's "
                "config, or have a middleware set it in messages."
            )
        return str(sandbox_id)

    def validate_config(self) -> None:
        self.resources = self.create_sandbox_resources(self.get_static_config().sandbox)
        problems: list[str] = []
        try:
            self.resources.validate_config()
        except ConfigError as error:
            problems.extend(error.problems)
        try:
            # All options now, not only those that are the same for all messages: an unknown limit
            # shall not wait for its first message.
            config = self._whole_config()
        except ConfigError as error:
            problems.extend(error.problems)
        else:
            problems.extend(self.config_problems(config) if config is not None else ())
        if problems:
            raise ConfigError(problems=problems)

    def config_problems(self, config: Any) -> list[str]:
        """What is wrong with the program that a configuration names. To be extended.

        Called before the worker starts, and by ``vumi check``.

        :param config: All options.
        :returns: One sentence for each problem.
        """
        executable = config.executable
        if executable is None or os.access(executable, os.X_OK):
            return []
        return [f"Field 'executable': {executable!r} is no program."]

    @classmethod
    def config_warnings(cls, config: Mapping[str, Any]) -> list[str]:
        """Sentences about unknown options, also of the resources."""
        return [*super().config_warnings(config), *section_warnings(config.get("sandbox"))]

    def _whole_config(self) -> Any:
        """All options, if no subclass has them depend on the message; else ``None``."""
        if type(self).get_config is not Sandbox.get_config:
            return None
        return self.CONFIG_CLASS(self.config)

    # Hooks of old

    def create_sandbox_resources(self, config: dict[str, Any]) -> SandboxResources:
        """Make the resources.

        :param config: The config's section ``sandbox``.
        """
        return SandboxResources(self, config)

    def create_sandbox_api(self, resources: SandboxResources, config: Any) -> SandboxApi:
        """Make the API object for a message."""
        return SandboxApi(resources, config)

    def create_sandbox_protocol(self, api: SandboxApi) -> SandboxProtocol:
        """Make what has one message handled."""
        config = api.config
        return SandboxProtocol(
            api,
            self._pool(self._launch_for(config)),
            self._reactor,
            timeout=config.timeout,
            recv_limit=config.recv_limit,
        )

    def sandbox_protocol_for_message(self, msg_or_event: Any, config: Any) -> SandboxProtocol:
        """Make what has a message handled, and its API object."""
        return self.create_sandbox_protocol(self.create_sandbox_api(self.resources, config))

    def get_executable_and_args(self, config: Any) -> tuple[str, list[str]]:
        """The program, and its arguments with itself as the first of them.

        Subclasses may leave the program out of the arguments.

        :raises ConfigError: There is none.
        """
        if config.executable is None:
            raise ConfigError("Field 'executable' must be given: the program to run.")
        return config.executable, [config.executable, *config.args]

    def get_rlimits(self, config: Any) -> dict[str, tuple[int, int]]:
        """The program's limits: name or number -> soft and hard limit."""
        return merged_rlimits(config.rlimits)

    def get_launch(self, config: Any) -> Launch:
        """How the program for a message is started."""
        return self._launch(config, messages=1, warm=False, prepares=False)

    def _launch_for(self, config: Any) -> Launch:
        """The same as :meth:`get_launch`, remembered for the config's sandbox."""
        launch = self._known_launch(config)
        if launch is None:
            if len(self._launches) >= MAX_CONFIGS:
                self._launches.clear()
            launch = self.get_launch(config)
            self._launches[config.sandbox_id] = (config, launch)
        return launch

    def _known_launch(self, config: Any) -> Launch | None:
        known = self._launches.get(config.sandbox_id)
        return known[1] if known is not None and known[0] is config else None

    def _launch(
        self,
        config: Any,
        *,
        messages: int,
        warm: bool,
        prepares: bool,
        stays: bool = False,
        owner: str = "",
    ) -> Launch:
        executable, args = self.get_executable_and_args(config)
        if args and args[0] == executable:
            args = args[1:]
        command = SandboxRlimiter.command_line(
            [executable, *args],
            self.get_rlimits(config),
            path=config.path,
            network=config.network,
            uid=config.uid,
            gid=config.gid,
            cgroup=config.cgroup,
        )
        env = tuple(sorted(config.env.items()))
        return Launch(tuple(command), env, messages, warm, prepares, stays, owner)

    # Life

    def __init__(self, options: Any, config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self.sandbox_counters = SandboxCounters()
        self._configs: dict[str, Any] = {}
        self._launches: dict[str | None, tuple[Any, Launch]] = {}
        self._pools = ChildPools()
        self._unanswered: set[str] = set()
        self._broken: dict[str, SandboxError] = {}
        self._reactor: Any = None
        self._figures: Any = None
        self._stopping = False

    @deferred
    async def setup_application(self) -> None:
        self._reactor = self._find_reactor()
        if self.get_static_config().metrics_prefix:
            self._figures = await self.start_publisher(MetricsPublisher)
        await settle(self.resources.setup_resources())
        await self._warm_up()

    def _find_reactor(self) -> Any:
        if IReactorProcess.providedBy(self.clock):
            return self.clock
        # A clock of a test's cannot start processes.
        return process_reactor()

    async def _warm_up(self) -> None:
        """Get ready what can be before the first message."""

    @deferred
    async def teardown_application(self) -> None:
        self._stopping = True
        await self._pools.close()
        await settle(self.resources.teardown_resources())

    def _pool(self, launch: Launch) -> ChildPool:
        return self._pools.pool(launch, self._pool_options(), self._reactor)

    def _pool_options(self) -> PoolOptions:
        return PoolOptions(size=0, most=max(self.worker_concurrency, 1) * 2)

    # Messages and events

    @deferred
    async def process_message_in_sandbox(self, msg: TransportUserMessage) -> int | None:
        """Have a message handled by its program.

        :returns: Fires with the program's exit status; with ``None`` if it did not end as it
            should, which was then logged.
        """
        config = await settle(self.get_config(msg))
        if config is None:
            return None
        message_id = msg["message_id"]
        self._unanswered.add(message_id)
        try:
            api, outcome = await self._handle(
                msg, config, lambda api: api.sandbox_inbound_message(msg)
            )
            status = self._judge(api, outcome, "message", message_id)
            if status is None or outcome.errors_logged:
                await self._apologise(msg, config)
        finally:
            self._unanswered.discard(message_id)
        return status

    @deferred
    async def process_event_in_sandbox(self, event: TransportEvent) -> int | None:
        """Have an event handled by its program. See :meth:`process_message_in_sandbox`."""
        config = await settle(self.get_config(event))
        if config is None:
            return None
        api, outcome = await self._handle(
            event, config, lambda api: api.sandbox_inbound_event(event)
        )
        return self._judge(api, outcome, "event", event["event_id"])

    async def _handle(
        self, msg_or_event: Any, config: Any, deliver: Callable[[SandboxApi], Any]
    ) -> tuple[SandboxApi, Outcome]:
        api: SandboxApi | None = None
        try:
            protocol = await self._protocol(msg_or_event, config)
            api = protocol.api
            return api, await self._run(protocol, lambda: deliver(protocol.api))
        except SandboxError as error:
            # No script, no Node.js: nobody has to read a traceback to know why.
            outcome = Outcome(Ending.NOT_STARTED, reason=str(error), failure=Failure())
            return api or self.create_sandbox_api(self.resources, config), outcome

    async def _run(self, protocol: SandboxProtocol, deliver: Callable[[], Any]) -> Outcome:
        outcome = await protocol.run(deliver)
        if self._stopping and not outcome.good:
            # We have ended the program.
            raise LeaveUnacknowledged("The worker has stopped.")
        return outcome

    async def _protocol(self, msg_or_event: Any, config: Any) -> SandboxProtocol:
        protocol: SandboxProtocol = await settle(
            self.sandbox_protocol_for_message(msg_or_event, config)
        )
        return protocol

    def _judge(self, api: SandboxApi, outcome: Outcome, kind: str, name: str) -> int | None:
        """Log and count how a program ended.

        :returns: Its exit status if it ended as it should.
        """
        counters = self.sandbox_counters
        counters.by_ending[outcome.ending.value] += 1
        if outcome.good:
            if outcome.stderr:
                _ = api.log(outcome.stderr, logging.ERROR)
            if outcome.errors_logged:
                counters.errors_logged += 1
                self._count_failure("error-logged")
            return outcome.status
        story = f"{outcome.reason} It was handling {kind} {name}."
        if outcome.stderr:
            story += f"\n{outcome.stderr}"
        _ = api.log(story, logging.ERROR)
        self._count_failure(outcome.ending.value)
        error = SandboxError(story, outcome.ending)
        if self.get_static_config().dead_letter_failures:
            # It is raised, and by that logged, when the message comes to its end.
            self._broken[name] = error
        else:
            err(outcome.failure or error, story)
        return None

    def _count_failure(self, ending: str) -> None:
        if self._figures is None:
            return
        prefix = self.get_static_config().metrics_prefix
        name = f"{prefix}.{self.transport_name}.{ending}"
        figure = metric_message(name, "sum", 1, wall_seconds(self.clock))
        on_outcome(
            self._figures.publish_message(figure),
            lambda _: None,
            lambda failure: err(failure, f"The figure {name} could not be published"),
        )

    async def _apologise(self, msg: TransportUserMessage, config: Any) -> None:
        if msg["message_id"] not in self._unanswered or not config.error_reply:
            return
        if msg["session_event"] == msg.SESSION_CLOSE:
            return
        self.sandbox_counters.error_replies += 1
        await self.reply_to(msg, config.error_reply, continue_session=False)

    def _publish_message(
        self, message: TransportUserMessage, endpoint_name: str | None = None
    ) -> Deferred[Any]:
        # Whoever sends it: a program whose user has his answer is not apologised for.
        self._unanswered.discard(message.payload.get("in_reply_to") or "")
        return super()._publish_message(message, endpoint_name)

    async def _to_the_end(self, processing: Any, name: str) -> int | None:
        try:
            status: int | None = await settle(processing)
        finally:
            broken = self._broken.pop(name, None)
        if broken is not None:
            raise broken
        return status

    def consume_user_message(self, message: TransportUserMessage) -> Deferred[int | None]:
        """Have a message handled; one whose program breaks becomes a dead letter."""
        processing = self.process_message_in_sandbox(message)
        return Deferred.fromCoroutine(self._to_the_end(processing, message["message_id"]))

    def close_session(self, message: TransportUserMessage) -> Deferred[int | None]:
        """The end of a session is for the program as any message is."""
        return self.consume_user_message(message)

    def consume_ack(self, event: TransportEvent) -> Deferred[int | None]:
        """Have an event handled by the program."""
        processing = self.process_event_in_sandbox(event)
        return Deferred.fromCoroutine(self._to_the_end(processing, event["event_id"]))

    consume_nack = consume_delivery_report = consume_unknown_event = consume_ack
