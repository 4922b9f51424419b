"""The options of sandbox workers.

Knows what may be configured and what goes with what; what the options do is
:mod:`vumi.application.sandbox.worker`'s.
"""

from __future__ import annotations

from vumi.application.base import ApplicationConfig
from vumi.application.sandbox.limits import merged_rlimits
from vumi.application.sandbox.rlimiter import NETWORK_CHOICES
from vumi.config import (
    ConfigBool,
    ConfigChoice,
    ConfigDict,
    ConfigFloat,
    ConfigInt,
    ConfigList,
    ConfigText,
)

__all__ = [
    "JsFileSandboxConfig",
    "JsSandboxConfig",
    "NodeSandboxConfig",
    "SandboxConfig",
    "StandaloneJsFileSandboxConfig",
]

ISOLATIONS = ("process", "context")


class SandboxConfig(ApplicationConfig):
    """Options that every sandbox worker has."""

    sandbox = ConfigDict(
        "What sandboxed programs may ask for: resource name -> 'cls', the dotted path of its "
        "class, and that class's options.",
        default={},
        static=True,
    )
    executable = ConfigText("The program to run, by its whole path.")
    args = ConfigList("The program's arguments.", default=[])
    path = ConfigText("The folder that programs run in; the worker's if it is null.")
    env = ConfigDict(
        "The whole environment of programs; the worker's own is not theirs.", default={}
    )
    timeout = ConfigFloat(
        "How long a program may take for one message, in seconds from when it is handed the "
        "message. It is then ended.",
        default=60,
        above=0,
        nullable=False,
    )
    recv_limit = ConfigInt(
        "How much a program may write to stdout and stderr for one message, in bytes. It is then "
        "ended.",
        default=1024 * 1024,
        above=0,
        nullable=False,
    )
    rlimits = ConfigDict(
        "Limits that the kernel keeps: name (RLIMIT_AS) or number -> [soft, hard], -1 for no "
        "limit. What is left out has its default.",
        default={},
    )
    logging_resource = ConfigText(
        "The resource whose log gets what is to be said about a program. Null is the worker's log."
    )
    sandbox_id = ConfigText(
        "Whose program it is: keys, limits and log lines are kept by it. Where messages carry a "
        "sandbox_id of their own, that one counts."
    )
    network = ConfigChoice(
        "Whether programs see the network: none (or they don't start), auto (none where the "
        "kernel lets us take it away), host (as the worker does). http requests are made by the "
        "worker, and work in any case.",
        default="auto",
        choices=NETWORK_CHOICES,
        nullable=False,
    )
    uid = ConfigInt("The number of the user that programs run as; needs a worker that is root.")
    gid = ConfigInt("The number of the group that programs run as; needs a worker that is root.")
    cgroup = ConfigText(
        "The folder of a control group (version 2) that programs enter, such as "
        "/sys/fs/cgroup/vumi-sandbox. Its limits are yours to set."
    )
    error_reply = ConfigText(
        "What a user is told, and his session closed with, if the program breaks and has not "
        "answered him. Nothing if it is null."
    )
    metrics_prefix = ConfigText(
        "What the names of the worker's own figures begin with. Each program that breaks adds 1 "
        "to the sum ``<metrics_prefix>.<transport_name>.<ending>``, where the ending is crashed, "
        "timeout, output, unread, killed, not-started, or error-logged for one that ended well "
        "and logged an error. Null: there are none.",
        default="vumi.sandbox",
        static=True,
    )
    dead_letter_failures = ConfigBool(
        "Whether a message whose program broke becomes a dead letter, to be looked at and "
        "retried. It is logged and counted in any case.",
        default=True,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if self._static:
            return
        for name in ("args", "env"):
            value = getattr(self, name)
            texts = value if isinstance(value, list) else [*value, *value.values()]
            if not all(isinstance(text, str) for text in texts):
                self.raise_config_error(f"Field '{name}' may only hold texts.")
        self._check_rlimits()

    def _check_rlimits(self) -> None:
        merged_rlimits(self.rlimits)


class NodeSandboxConfig(SandboxConfig):
    """Options of workers that run JavaScript."""

    args = ConfigList(
        "Node.js's arguments: its flags and the path of a runner script. If they are left out it "
        "is the runner that comes with vumi, with the flags that take Node.js's powers from it.",
        default=[],
    )
    app_context = ConfigText(
        "A JavaScript expression for an object whose entries become the script's globals, such "
        "as \"{require: function (name) { if (name === 'lodash') return require(name); }}\". It "
        "is trusted: its require loads any package."
    )
    modules = ConfigList(
        "The packages that a script may require(), from the folders of NODE_PATH (in env) and, "
        "for scripts in a file, the node_modules beside it. If it is left out, there is no "
        "require() but what app_context gives."
    )
    heap_limit = ConfigInt(
        "How big a script's heap may become, in MiB.",
        default=128,
        lowest=16,
        wording="must be at least 16 (MiB).",
        nullable=False,
    )
    isolation = ConfigChoice(
        "What is between two messages: process (each has a process of its own) or context (a "
        "process for many messages one after the other, each in a fresh JavaScript context: many "
        "times faster and weaker).",
        default="process",
        static=True,
        choices=ISOLATIONS,
        nullable=False,
    )
    pool_size = ConfigInt(
        "With isolation by process: how many processes are started ahead and wait for messages. "
        "With isolation by context: how many processes there are.",
        default=2,
        static=True,
        lowest=0,
        nullable=False,
    )
    max_children = ConfigInt(
        "With isolation by context: how many processes there may be while some hang.",
        default=20,
        static=True,
        lowest=1,
        nullable=False,
    )
    messages_per_child = ConfigInt(
        "With isolation by context: after how many messages a process is replaced.",
        default=1000,
        static=True,
        lowest=1,
        nullable=False,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if self.isolation == "context" and self.pool_size < 1:
            self.raise_config_error("Field 'pool_size' must be at least 1.")
        if self._static:
            return
        if self.modules is not None and not all(isinstance(name, str) for name in self.modules):
            self.raise_config_error("Field 'modules' may only hold texts.")
        if self.isolation == "context" and self.args:
            self.raise_config_error(
                "Field 'args' can't be used with isolation by context: that needs the runner "
                "that comes with vumi."
            )


class JsSandboxConfig(NodeSandboxConfig):
    """Options of the worker whose script is in its configuration."""

    javascript = ConfigText("The script.", required=True)
    logging_resource = ConfigText(
        "The resource whose log gets what is to be said about a script. Null is the worker's log.",
        default="log",
    )


class JsFileSandboxConfig(NodeSandboxConfig):
    """Options of the worker whose script is in a file."""

    javascript_file = ConfigText(
        "The file with the script. It is read anew for each message.", required=True
    )
    logging_resource = ConfigText(
        "The resource whose log gets what is to be said about a script. Null is the worker's log.",
        default="log",
    )


class StandaloneJsFileSandboxConfig(JsFileSandboxConfig):
    """Options of the worker whose script is in a file and serves one sandbox."""

    sandbox_id = ConfigText(
        "Whose program it is: keys, limits and log lines are kept by it.", required=True
    )
