"""Applications in JavaScript, or any language, each message handled in a sandbox.

Only re-exports. The workers are in :mod:`~vumi.application.sandbox.worker` and
:mod:`~vumi.application.sandbox.javascript`, what programs may ask
for is in :mod:`~vumi.application.sandbox.resources`.
"""

from vumi.application.sandbox.api import SandboxApi
from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.javascript import (
    JsFileSandbox,
    JsSandbox,
    StandaloneJsFileSandbox,
)
from vumi.application.sandbox.multi_deferred import MultiDeferred
from vumi.application.sandbox.options import (
    JsFileSandboxConfig,
    JsSandboxConfig,
    SandboxConfig,
    StandaloneJsFileSandboxConfig,
)
from vumi.application.sandbox.protocol import SandboxProtocol
from vumi.application.sandbox.resources.base import SandboxResource, SandboxResources
from vumi.application.sandbox.resources.config import ConfigResource, FileConfigResource
from vumi.application.sandbox.resources.contacts import ContactsResource
from vumi.application.sandbox.resources.groups import GroupsResource
from vumi.application.sandbox.resources.http import HttpClientResource
from vumi.application.sandbox.resources.js import JsSandboxResource
from vumi.application.sandbox.resources.kv import RedisResource
from vumi.application.sandbox.resources.log import LoggingResource
from vumi.application.sandbox.resources.messagestore import MessageStoreResource
from vumi.application.sandbox.resources.metrics import MetricsResource
from vumi.application.sandbox.resources.optout import OptoutResource
from vumi.application.sandbox.resources.outbound import OutboundResource
from vumi.application.sandbox.resources.tls import (
    HttpClientContextFactory,
    HttpClientPolicyForHTTPS,
    make_context_factory,
)
from vumi.application.sandbox.rlimiter import SandboxRlimiter
from vumi.application.sandbox.worker import Sandbox

__all__ = [
    "ConfigResource",
    "ContactsResource",
    "FileConfigResource",
    "GroupsResource",
    "HttpClientContextFactory",
    "HttpClientPolicyForHTTPS",
    "HttpClientResource",
    "JsFileSandbox",
    "JsFileSandboxConfig",
    "JsSandbox",
    "JsSandboxConfig",
    "JsSandboxResource",
    "LoggingResource",
    "MessageStoreResource",
    "MetricsResource",
    "MultiDeferred",
    "OptoutResource",
    "OutboundResource",
    "RedisResource",
    "Sandbox",
    "SandboxApi",
    "SandboxCommand",
    "SandboxConfig",
    "SandboxError",
    "SandboxProtocol",
    "SandboxResource",
    "SandboxResources",
    "SandboxRlimiter",
    "StandaloneJsFileSandbox",
    "StandaloneJsFileSandboxConfig",
    "make_context_factory",
]
