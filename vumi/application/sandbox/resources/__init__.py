"""What sandboxed programs can ask for, one module for each resource. Only re-exports."""

from vumi.application.sandbox.command import SandboxCommand
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

__all__ = [
    "ConfigResource",
    "ContactsResource",
    "FileConfigResource",
    "GroupsResource",
    "HttpClientResource",
    "JsSandboxResource",
    "LoggingResource",
    "MessageStoreResource",
    "MetricsResource",
    "OptoutResource",
    "OutboundResource",
    "RedisResource",
    "SandboxCommand",
    "SandboxResource",
    "SandboxResources",
]
