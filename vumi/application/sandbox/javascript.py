"""The workers that run JavaScript.

Knows where Node.js and the script are, and what a script may use of both. How messages go through
it is :mod:`vumi.application.sandbox.worker`'s.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.limits import merged_rlimits
from vumi.application.sandbox.module_check import module_problems
from vumi.application.sandbox.node import (
    FIRST_WITH_PERMISSIONS,
    NODE_PATHS,
    find_nodejs,
    node_flags,
    node_version,
    node_version_now,
)
from vumi.application.sandbox.options import (
    JsFileSandboxConfig,
    JsSandboxConfig,
    NodeSandboxConfig,
    StandaloneJsFileSandboxConfig,
)
from vumi.application.sandbox.pool import ChildPool, PoolOptions
from vumi.application.sandbox.resources.js import JsSandboxResource
from vumi.application.sandbox.resources.log import LoggingResource
from vumi.application.sandbox.worker import Sandbox
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.children import Launch
    from vumi.application.sandbox.node import NodeVersion
    from vumi.application.sandbox.protocol import SandboxProtocol
    from vumi.application.sandbox.resources.base import SandboxResources

__all__ = ["JsFileSandbox", "JsSandbox", "NodeSandbox", "StandaloneJsFileSandbox"]

HERE = os.path.dirname(os.path.abspath(__file__))


class NodeSandbox(Sandbox):
    """What the workers have in common that run JavaScript; the script is a subclass's to find."""

    CONFIG_CLASS: ClassVar[Any] = NodeSandboxConfig

    POSSIBLE_NODEJS_EXECUTABLES: ClassVar[tuple[str, ...]] = NODE_PATHS

    def __init__(self, options: Any, config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self._node_versions: dict[str, NodeVersion] = {}
        self._prepared: WeakKeyDictionary[ChildPool, dict[str, Any]] = WeakKeyDictionary()

    # What the resource js asks

    def javascript_for_api(self, api: SandboxApi) -> str:
        """The script for a message. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override javascript_for_api().")

    def app_context_for_api(self, api: SandboxApi) -> str | None:
        """The expression that gives the script's globals."""
        app_context: str | None = api.config.app_context
        return app_context

    def filename_for_api(self, api: SandboxApi) -> str:
        """What the script is called where its errors are told."""
        return "javascript"

    def modules_for_api(self, api: SandboxApi) -> list[str] | None:
        """The packages that the script may require; ``None``: there is no such thing."""
        modules: list[str] | None = api.config.modules
        return modules

    # Config

    def config_problems(self, config: Any) -> list[str]:
        """What is wrong with the program, and with the packages that scripts may require."""
        problems = super().config_problems(config)
        if problems or not config.modules or config.args:
            return problems
        try:
            executable = self._executable(config)
            self._node_versions[executable] = node_version_now(executable)
            _program, command = self.get_executable_and_args(config)
        except SandboxError as error:
            return [str(error)]
        except ConfigError as error:
            return list(error.problems)
        return module_problems(command, config.env, config.modules)

    # Resources

    def get_js_resource(self) -> Any:
        """The resource that hands the script over."""
        return JsSandboxResource("js", self, {})

    def get_log_resource(self) -> Any:
        """The resource that logs, where the config names none."""
        return LoggingResource("log", self, {})

    def create_sandbox_resources(self, config: dict[str, Any]) -> SandboxResources:
        """Make the resources, with ``js`` and ``log`` among them."""
        resources = super().create_sandbox_resources(config)
        if "js" not in config:
            resources.add_resource("js", self.get_js_resource())
        if "log" not in config:
            resources.add_resource("log", self.get_log_resource())
        return resources

    # Starting

    @classmethod
    def find_nodejs(cls) -> str | None:
        """The path of a Node.js, or ``None``."""
        return find_nodejs(cls.POSSIBLE_NODEJS_EXECUTABLES)

    @classmethod
    def find_sandbox_js(cls) -> str:
        """The path of the runner that comes with vumi."""
        return os.path.join(HERE, "runner.js")

    def module_folders(self, config: Any) -> list[str]:
        """The folders that packages are looked for in."""
        paths = config.env.get("NODE_PATH", "").split(os.pathsep)
        return [os.path.abspath(path) for path in paths if path]

    def get_executable_and_args(self, config: Any) -> tuple[str, list[str]]:
        """Node.js, and the arguments that make it run a script in a sandbox."""
        executable = self._executable(config)
        if config.args:
            return executable, [executable, *config.args]
        folders = self.module_folders(config)
        readable = [
            self.find_sandbox_js(),
            *(os.path.join(HERE, name) for name in ("context.js", "library.js")),
            *(os.path.join(folder, "") for folder in folders),
        ]
        # Asked for before the first message; a Node.js that a message brings up is asked then.
        version = self._node_versions.get(executable)
        if version is None:
            raise SandboxError(f"The version of {executable} is not known yet.")
        flags = node_flags(version, config.heap_limit, readable)
        runner_options = json.dumps({"isolation": config.isolation, "folders": folders})
        return executable, [executable, *flags, self.find_sandbox_js(), runner_options]

    def _executable(self, config: Any) -> str:
        executable: str | None = config.executable or self.find_nodejs()
        if executable is None:
            raise ConfigError(
                "No Node.js was found. Install it, or say where it is: 'executable'."
            )
        return executable

    def get_rlimits(self, config: Any) -> dict[str, tuple[int, int]]:
        """The limits of Node.js with the configured heap."""
        many = config.isolation == "context"
        return merged_rlimits(config.rlimits, config.heap_limit, for_many_messages=many)

    def get_launch(self, config: Any) -> Launch:
        stays = config.isolation == "context"
        # No child knows of two sandboxes. Where messages say which one theirs is, children for one
        # message may wait for any of them, if they are told nothing before it comes.
        owner = config.sandbox_id if stays or self.config.get("sandbox_id") else ""
        return self._launch(
            config,
            messages=config.messages_per_child if stays else 1,
            warm=True,
            # A runner of somebody else's is not known to survive what it doesn't know.
            prepares=bool(owner) and not config.args,
            stays=stays,
            owner=owner,
        )

    def _pool_options(self) -> PoolOptions:
        config = self.get_static_config()
        if config.isolation == "context":
            return PoolOptions(config.pool_size, max(config.max_children, config.pool_size))
        return PoolOptions(config.pool_size)

    async def _know_node(self, config: Any) -> None:
        if self._known_launch(config) is not None or config.args:
            return
        executable = self._executable(config)
        if executable in self._node_versions:
            return
        version = await node_version(executable, self._reactor)
        self._node_versions[executable] = version
        if version < FIRST_WITH_PERMISSIONS:
            advice = f"use {FIRST_WITH_PERMISSIONS[0]} or newer for scripts that you don't trust."
            self.log.warning(executable, "has no permissions to take away:", advice)

    async def _protocol(self, msg_or_event: Any, config: Any) -> SandboxProtocol:
        await self._know_node(config)
        protocol = await super()._protocol(msg_or_event, config)
        self._prepare(protocol.api)
        return protocol

    async def _warm_up(self) -> None:
        config = self._whole_config()
        if config is None:
            return
        await self._know_node(config)
        if config.sandbox_id:
            self._prepare(self.create_sandbox_api(self.resources, config))
        elif config.isolation == "context":
            # Nobody knows yet whose processes are needed.
            return
        self._pool(self._launch_for(config)).fill()

    def _prepare(self, api: SandboxApi) -> None:
        """Have children that wait for a message compile the script that it will be for."""
        pool = self._pool(self._launch_for(api.config))
        if not pool.launch.prepares:
            return
        fields: dict[str, Any] = {
            "javascript": self.javascript_for_api(api),
            "app_context": self.app_context_for_api(api),
            "filename": self.filename_for_api(api),
            "modules": self.modules_for_api(api),
        }
        if self._prepared.get(pool) != fields:
            self._prepared[pool] = fields
            pool.prepare(SandboxCommand(cmd="prepare", cmd_id="prepare", **fields).to_line())


class JsSandbox(NodeSandbox):
    """Runs a script that is in its configuration."""

    CONFIG_CLASS: ClassVar[Any] = JsSandboxConfig

    def javascript_for_api(self, api: SandboxApi) -> str:
        """The script of the config."""
        javascript: str = api.config.javascript
        return javascript


class JsFileSandbox(NodeSandbox):
    """Runs a script that is in a file, which is read anew for each message."""

    CONFIG_CLASS: ClassVar[Any] = JsFileSandboxConfig

    def __init__(self, options: Any, config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self._scripts: dict[str, tuple[tuple[int, int, int], str]] = {}

    def javascript_for_api(self, api: SandboxApi) -> str:
        """What is in the file now."""
        return self._script(api.config.javascript_file)

    def _script(self, path: str) -> str:
        """What is in a file now.

        :raises SandboxError: It can't be read; the words say why.
        """
        try:
            found = os.stat(path)
            version = (found.st_mtime_ns, found.st_size, found.st_ino)
            known = self._scripts.get(path)
            if known is None or known[0] != version:
                with open(path, encoding="utf-8") as script:
                    known = self._scripts[path] = (version, script.read())
        except FileNotFoundError:
            raise SandboxError(f"There is no script {path!r}.") from None
        except (OSError, ValueError) as error:
            # ValueError: also a path that can't be one.
            why = f"it is not UTF-8: {error}" if isinstance(error, UnicodeError) else str(error)
            raise SandboxError(f"The script {path!r} can't be read: {why}") from error
        return known[1]

    def config_problems(self, config: Any) -> list[str]:
        """What is wrong; also with the script's file, which may be another one later."""
        problems = super().config_problems(config)
        try:
            self._script(config.javascript_file)
        except SandboxError as error:
            problems.append(f"Field 'javascript_file': {error}")
        return problems

    def filename_for_api(self, api: SandboxApi) -> str:
        """The file's name."""
        name: str = os.path.basename(api.config.javascript_file)
        return name

    def module_folders(self, config: Any) -> list[str]:
        """The folders of NODE_PATH, and the ``node_modules`` beside the script."""
        folders = super().module_folders(config)
        beside = os.path.join(
            os.path.dirname(os.path.abspath(config.javascript_file)), "node_modules"
        )
        return [*folders, beside] if os.path.isdir(beside) else folders


class StandaloneJsFileSandbox(JsFileSandbox):
    """Runs a script that is in a file, for the sandbox that its configuration names."""

    CONFIG_CLASS: ClassVar[Any] = StandaloneJsFileSandboxConfig

    def sandbox_id_for_message(self, msg_or_event: Any) -> str:
        """The config's ``sandbox_id``, whatever messages say."""
        sandbox_id: str = self.config["sandbox_id"]
        return sandbox_id
