"""Test cases for resources that keep something in the key-value store."""

from __future__ import annotations

from typing import Any

from vumi.application.sandbox.resources.tests.utils import ResourceTestCaseBase
from vumi.components.tests.stores import InProcess

__all__ = ["StoredResourceTestCase"]


class StoredResourceTestCase(ResourceTestCaseBase, InProcess):
    """Makes a resource with a store, in the process if no subclass says otherwise."""

    def setUp(self) -> None:
        InProcess.setUp(self)
        ResourceTestCaseBase.setUp(self)

    async def make(self, **config: Any) -> Any:
        """Make the resource on this test's store."""
        return await self.create_resource({"redis_manager": self.redis_config(), **config})

    async def ask(self, cmd: str, **fields: Any) -> Any:
        """Hand the resource a command, and give the reply's own fields."""
        reply = await self.dispatch_command(cmd, **fields)
        return {
            name: value
            for name, value in reply.payload.items()
            if name not in ("cmd", "cmd_id", "reply")
        }
