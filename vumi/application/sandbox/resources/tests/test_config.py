from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vumi.application.sandbox.resources.config import ConfigResource, FileConfigResource
from vumi.application.sandbox.resources.tests.utils import ResourceTestCaseBase
from vumi.errors import ConfigError


class TestFileConfigResource(ResourceTestCaseBase):
    resource_cls: Any = FileConfigResource

    def file(self, content: bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return str(path)

    async def test_a_value_is_what_is_in_the_file_now(self) -> None:
        path = self.file(b'{"name": "demo"}')
        await self.create_resource({"keys": {"config": path}})
        reply = await self.dispatch_command("get", key="config")
        self.check_reply(reply, value='{"name": "demo"}')
        Path(path).write_text("\N{SNOWMAN}", "utf-8")
        self.check_reply(await self.dispatch_command("get", key="config"), value="\N{SNOWMAN}")

    async def test_what_can_not_be_given_is_told(self) -> None:
        binary = self.file(b"\xff\xfe")
        await self.create_resource({"keys": {"gone": "/no/such/file", "binary": binary}})
        self.check_reply_error(
            await self.dispatch_command("get", key="other"), "Configuration key 'other' not found"
        )
        self.check_reply_error(
            await self.dispatch_command("get", key="gone"), "Cannot read file '/no/such/file'"
        )
        self.check_reply_error(
            await self.dispatch_command("get", key="binary"), f"Cannot read file '{binary}'"
        )
        # The operator is told, too.
        self.assertEqual(len(self.flushLoggedErrors(OSError, UnicodeDecodeError)), 2)

    async def test_a_key_must_be_given(self) -> None:
        await self.create_resource({})
        self.check_reply_error(await self.dispatch_command("get"), "Missing key.")
        reply = await self.dispatch_command("get", key=5)
        self.check_reply_error(reply, "'key' must be a text.")

    async def test_bad_options_are_refused(self) -> None:
        with self.assertRaises(ConfigError):
            self.resource_cls("config", None, {"keys": {"config": 5}})


class TestConfigResource(TestFileConfigResource):
    resource_cls = ConfigResource

    async def get(self, key: str) -> Any:
        reply = await self.dispatch_command("get", key=key)
        self.check_reply(reply)
        return None if reply["value"] is None else json.loads(reply["value"])

    async def test_what_can_not_be_given_is_told(self) -> None:
        await self.create_resource({"keys": {"gone": "/no/such/file"}})
        self.check_reply_error(
            await self.dispatch_command("get", key="gone"), "Cannot read file '/no/such/file'"
        )
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    async def test_values_are_given_as_json(self) -> None:
        values: dict[str, Any] = {"config": {"name": "demo", "ttl": None}, "n": 5, "t": "text"}
        await self.create_resource({"values": values})
        for key, value in values.items():
            self.assertEqual(await self.get(key), value)

    async def test_a_key_that_is_not_there_is_null_and_no_error(self) -> None:
        await self.create_resource({})
        self.assertIs(await self.get("translation.sw"), None)

    async def test_a_sandbox_may_have_its_own_values(self) -> None:
        await self.create_resource(
            {
                "values": {"config": {"name": "all"}, "other": 1},
                "sandboxes": {"mine": {"config": {"name": "mine"}}, "hers": {"config": {}}},
            }
        )
        self.assertEqual(await self.get("config"), {"name": "all"})
        self.api.sandbox_id = "mine"
        self.assertEqual(await self.get("config"), {"name": "mine"})
        self.assertEqual(await self.get("other"), 1)

    async def test_values_that_are_no_json_are_refused(self) -> None:
        for config in ({"values": {"x": {1, 2}}}, {"sandboxes": {"a": {"x": float("nan")}}}):
            with self.assertRaises(ConfigError):
                self.resource_cls("config", None, config)
        with self.assertRaises(ConfigError):
            self.resource_cls("config", None, {"sandboxes": {"a": "text"}})
