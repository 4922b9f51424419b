"""The resource by which a sandboxed program notes who wants no more messages: ``optout.status``.

Knows where that is noted. Whether messages are sent all the same is for programs, and for whoever
reads the notes.

``optouts#<account>`` is a hash: ``<address type>:<address>`` -> JSON with ``created_at`` and
``message``, the id of the message by which it was asked for.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.contact import normal_address
from vumi.application.sandbox.resources.contacts import AccountConfig
from vumi.application.sandbox.resources.declared import TEXT, Argument, answers
from vumi.application.sandbox.resources.stored import StoredResource, safe_id
from vumi.config import Config, ConfigBool, ConfigInt
from vumi.message import format_vumi_date

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["OptoutResource", "OptoutResourceConfig"]

# Key: the hash. Arguments: field, value, how many there may be. Gives the value that is there
# then, or nothing if there are too many.
NOTE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0
        and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
    return false
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]
"""


class OptoutResourceConfig(AccountConfig):
    """Options of the optout resource."""

    can_manage_optouts = ConfigBool(
        "Whether programs may opt users out and in again, or only ask.",
        default=True,
        static=True,
    )
    optouts_limit = ConfigInt(
        "How many addresses of an account may be opted out.", default=1_000_000, static=True
    )


def _key(name: str, doc: str) -> Argument:
    return Argument(name, TEXT, doc, missing=f"Missing key: {name}")


ADDRESS = (
    _key("address_type", "What kind of address it is, such as ``msisdn``."),
    _key("address_value", "The address."),
)
TOLD = {
    "opted_out": "Whether the address is opted out.",
    "created_at": "Since when, as a Vumi date; null if it is not.",
    "message_id": "The id of the message by which it was asked for; null if there is none.",
}


class OptoutResource(StoredResource):
    """Notes which addresses want no more messages."""

    CONFIG_CLASS: ClassVar[type[Config]] = OptoutResourceConfig

    def use(self, redis: Any) -> None:
        self._note = redis.script(NOTE)

    def _place(self, api: SandboxApi, kind: str = "", value: str = "") -> tuple[str, str]:
        account = self.options.account or api.sandbox_id
        address = normal_address(kind, value)
        return f"optouts#{safe_id(account)}", f"{kind}:{address}"

    def _told(self, text: str | None) -> dict[str, Any]:
        noted = {} if text is None else json.loads(text)
        return {
            "opted_out": text is not None,
            "created_at": noted.get("created_at"),
            "message_id": noted.get("message"),
        }

    def _must_manage(self) -> None:
        if not self.options.can_manage_optouts:
            raise CommandRefused("Account not allowed to manage optouts.")

    @answers(*ADDRESS, **TOLD)
    async def handle_status(
        self, api: SandboxApi, command: SandboxCommand, address_type: str, address_value: str
    ) -> dict[str, Any]:
        """Tell whether an address is opted out."""
        text = await self.redis.hget(*self._place(api, address_type, address_value))
        return self._told(text)

    @answers(count="How many.")
    async def handle_count(self, api: SandboxApi, command: SandboxCommand) -> dict[str, Any]:
        """Count the addresses that are opted out."""
        count = await self.redis.hlen(self._place(api)[0])
        return {"count": count}

    @answers(
        *ADDRESS, _key("message_id", "The id of the message by which it was asked for."), **TOLD
    )
    async def handle_optout(
        self,
        api: SandboxApi,
        command: SandboxCommand,
        address_type: str,
        address_value: str,
        message_id: str,
    ) -> dict[str, Any]:
        """Opt an address out."""
        self._must_manage()
        now = format_vumi_date(datetime.now(UTC).replace(tzinfo=None))
        value = json.dumps({"created_at": now, "message": message_id})
        place, field = self._place(api, address_type, address_value)
        noted = await self._note([place], [field, value, self.options.optouts_limit])
        if noted is None:
            raise CommandRefused("Too many optouts")
        return self._told(noted)

    @answers(*ADDRESS, **TOLD)
    async def handle_cancel_optout(
        self, api: SandboxApi, command: SandboxCommand, address_type: str, address_value: str
    ) -> dict[str, Any]:
        """Opt an address in again."""
        self._must_manage()
        await self.redis.hdel(*self._place(api, address_type, address_value))
        return self._told(None)
