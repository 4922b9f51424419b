"""What a sandboxed program may ask for: the base of resources, and the set that a worker has.

A resource answers commands: a program's ``kv.get`` is answered by the resource named ``kv``, by
its method ``handle_get``. Knows commands and the API object that it is handed; knows no process.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from vumi.config import config_hints
from vumi.errors import ConfigError
from vumi.loading import load_class_by_string
from vumi.log import WrappingLogger
from vumi.tasks import as_deferred, deferred, settle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["SandboxResource", "SandboxResources", "section_warnings"]

#: How much of a command's text goes into a log line.
MAX_LOGGED = 500


class SandboxResource:
    """Answers commands that sandboxed programs send.

    For a command ``do_this`` write ``handle_do_this(self, api, command)``. It may be a plain
    method, one that returns a Deferred, or ``async def``; it gives a reply, made by
    :meth:`reply` or :meth:`reply_error`, or ``None`` if the program gets none. What it raises
    is logged, and becomes a failed reply with the error's text.

    Requests of one program run at the same time, and those of many programs do: a resource keeps
    nothing of a program in itself.

    :param name: The name that the worker's config gives it: what is before the dot in commands.
    :param app_worker: The worker, by which messages are sent.
    :param config: Its section of the worker's config, without ``cls``.
    """

    #: For what concerns the worker's operator; what concerns a program goes to its `api.log`.
    log: Any = WrappingLogger()

    def __init__(self, name: str, app_worker: Any, config: Mapping[str, Any]) -> None:
        self.name = name
        self.app_worker = app_worker
        self.config = config

    def setup(self) -> Any:
        """Called when the worker starts; may return a Deferred or be ``async``."""

    def teardown(self) -> Any:
        """Called when the worker stops; may return a Deferred or be ``async``."""

    def sandbox_init(self, api: SandboxApi) -> Any:
        """Called for each message, before it is sent to the program."""

    def reply(self, command: SandboxCommand, **fields: Any) -> SandboxCommand:
        """A reply to a command.

        :param fields: Its fields; ``success`` is one, and must be given.
        """
        return command.reply(**fields)

    def reply_error(self, command: SandboxCommand, reason: str) -> SandboxCommand:
        """A reply that says that a command failed.

        :param reason: Why, in words that the program's author understands.
        """
        return command.reply(success=False, reason=reason)

    def dispatch_request(self, api: SandboxApi, command: SandboxCommand) -> Deferred[Any]:
        """Have a command answered.

        :param api: What the resource may know of the program, and do for it.
        :param command: The command, its ``cmd`` without the resource's name.
        :returns: Fires with the reply, or with ``None``.
        """
        return as_deferred(self._handler(command["cmd"]), api, command)

    def _handler(self, name: str) -> Any:
        attribute = f"handle_{name}"
        # The name comes from the program: it must not make a property run.
        if isinstance(getattr(type(self), attribute, None), property):
            return self.unknown_request
        return getattr(self, attribute, self.unknown_request)

    def unknown_request(self, api: SandboxApi, command: SandboxCommand) -> Any:
        """Answer a command that has no handler: it is logged, and refused.

        :returns: The refusal; ``None`` if it was a reply, which nobody waits for an answer to.
        """
        shown = command.to_json()[:MAX_LOGGED]
        _ = api.log(
            f"Resource {self.name} received unknown command {command['cmd']!r} from sandbox "
            f"{api.sandbox_id!r}. [Full command: {shown}]",
            logging.ERROR,
        )
        if command["reply"]:
            return None
        return self.reply_error(command, f"Unknown command {command['cmd']!r}.")


def _load(path: str) -> Any:
    """The class of a resource.

    :raises ConfigError: There is none.
    """
    try:
        found = load_class_by_string(path)
    except Exception as error:
        # Importing runs code, which may raise anything.
        raise ConfigError(f"Class {path!r} can't be loaded: {error}") from error
    if not callable(found):
        raise ConfigError(f"{path!r} is no class.")
    return found


def section_warnings(sections: Any) -> list[str]:
    """Sentences about options of resources that are unknown, or null though required.

    :param sections: Resource name -> its section of the worker's config. What is an error is left
        to :meth:`SandboxResources.validate_config`.
    """
    found: list[str] = []
    for name, section in sections.items() if isinstance(sections, dict) else ():
        try:
            options = getattr(_load(section["cls"]), "CONFIG_CLASS", None)
        except (ConfigError, LookupError, TypeError):
            continue
        if options is not None:
            rest = {key: value for key, value in section.items() if key != "cls"}
            found += [f"sandbox.{name}: {hint}" for hint in config_hints(options, rest)]
    return found


class SandboxResources:
    """The resources of a worker, by name.

    :param app_worker: The worker.
    :param config: Resource name -> its section: ``cls`` and whatever that class takes.
    """

    def __init__(self, app_worker: Any, config: Mapping[str, Mapping[str, Any]]) -> None:
        self.app_worker = app_worker
        self.config = config
        self.resources: dict[str, Any] = {}
        self._set_up: list[Any] = []

    def add_resource(self, resource_name: str, resource: Any) -> None:
        """Add a resource that is no part of the config."""
        self.resources[resource_name] = resource

    def validate_config(self) -> None:
        """Make the resources that the config lists.

        :raises ConfigError: What is wrong, all of it.
        """
        problems: list[str] = []
        for name, section in self.config.items():
            try:
                self.resources[name] = self._make(name, section)
            except ConfigError as error:
                problems.extend(f"sandbox.{name}: {problem}" for problem in error.problems)
        if problems:
            raise ConfigError(problems=problems)

    def _make(self, name: str, section: Any) -> Any:
        if not isinstance(section, dict) or not isinstance(section.get("cls"), str):
            raise ConfigError("It must be a mapping with 'cls', the dotted path of its class.")
        config = dict(section)
        resource_class = _load(config.pop("cls"))
        return resource_class(name, self.app_worker, config)

    @deferred
    async def setup_resources(self) -> None:
        """Set all up, one after the other."""
        for resource in self.resources.values():
            # Also torn down when it came up only in part.
            self._set_up.append(resource)
            await settle(resource.setup())

    @deferred
    async def teardown_resources(self) -> None:
        """Tear down what was set up, in the opposite order, whatever fails on the way."""
        failure: BaseException | None = None
        while self._set_up:
            resource = self._set_up.pop()
            try:
                await settle(resource.teardown())
            except Exception as error:  # noqa: BLE001 (the rest must be torn down all the same)
                failure = failure or error
        if failure is not None:
            raise failure
