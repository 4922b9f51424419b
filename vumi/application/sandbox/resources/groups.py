"""The resource by which a sandboxed program keeps groups of contacts: ``groups.get`` and its like.

Knows what a group is. Its members are the contacts that have its key, or, if it has a query, those
that the query finds; contacts are those of the contacts resource beside it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.contacts import ContactsResource
from vumi.application.sandbox.resources.declared import (
    TEXT,
    TEXT_OR_NULL,
    Argument,
    DeclaredResource,
    answers,
)
from vumi.application.sandbox.resources.queries import parse_query
from vumi.application.sandbox.resources.records import Records
from vumi.config import Config, ConfigInt, ConfigText
from vumi.errors import ConfigError
from vumi.message import format_vumi_date
from vumi.steady_clock import wall_seconds

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand
    from vumi.application.sandbox.resources.records import Record

__all__ = ["GroupsResource", "GroupsResourceConfig"]

NOT_FOUND, SEVERAL = "Group not found", "Multiple groups found"


class GroupsResourceConfig(Config):
    """Options of the groups resource."""

    contacts = ConfigText(
        "The name of the contacts resource. Groups are kept where its contacts are, and are of "
        "the same account.",
        default="contacts",
        static=True,
    )
    groups_limit = ConfigInt("How many groups an account may have.", default=1000, static=True)


def indexes_of(group: Record) -> list[str]:
    """The indexes that a group is in."""
    return [f"name#{group['name']}"]


def told(group: Record) -> Record:
    """A group as programs are told of it."""
    return {"$VERSION": 1, **group}


def _found(group: Record | None, **fields: Any) -> Record:
    if group is None:
        raise CommandRefused(NOT_FOUND)
    return {"group": told(group), **fields}


KEY = Argument("key", TEXT, "The group's key.")
NAME = Argument("name", TEXT, "The group's name.")
QUERY = Argument("query", TEXT, "What to search for, such as ``name:friends``.")
TOLD = "The group: its key, name, query (null if it has none), user_account and created_at."


class GroupsResource(DeclaredResource):
    """Keeps groups of contacts."""

    CONFIG_CLASS: ClassVar[type[Config]] = GroupsResourceConfig

    def setup(self) -> None:
        """Find the contacts.

        :raises ConfigError: There is no such resource.
        """
        found = self.app_worker.resources.resources.get(self.options.contacts)
        if not isinstance(found, ContactsResource):
            raise ConfigError(
                f"sandbox.{self.name}: there is no contacts resource {self.options.contacts!r}."
            )
        self._contacts = found
        self._known: Records | None = None

    @property
    def records(self) -> Records:
        """The groups. Made when they are needed: the contacts may be set up after them."""
        if self._known is None:
            self._known = Records(
                self._contacts.redis,
                "groups",
                indexes_of,
                self.options.groups_limit,
                lambda: int(wall_seconds(self.app_worker.clock) * 1000),
            )
        return self._known

    def _account(self, api: SandboxApi) -> str:
        return self._contacts.account(api)

    # Finding

    @answers(KEY, group=TOLD)
    async def handle_get(self, api: SandboxApi, command: SandboxCommand, key: str) -> Record:
        """Find a group by its key."""
        return _found(await self.records.get(self._account(api), key))

    @answers(NAME, group=TOLD)
    async def handle_get_by_name(
        self, api: SandboxApi, command: SandboxCommand, name: str
    ) -> Record:
        """Find a group by its name."""
        found = await self.records.find(self._account(api), f"name#{name}")
        if len(found) > 1:
            raise CommandRefused(SEVERAL)
        return _found(found[0] if found else None)

    @answers(NAME, group=TOLD, created="Whether it is new.")
    async def handle_get_or_create_by_name(
        self, api: SandboxApi, command: SandboxCommand, name: str
    ) -> Record:
        """Find a group by its name, or make one."""
        account, index = self._account(api), f"name#{name}"
        while True:
            found = await self.records.find(account, index)
            if len(found) > 1:
                raise CommandRefused(SEVERAL)
            if found:
                return _found(found[0], created=False)
            group = {
                "key": uuid4().hex,
                "user_account": account,
                "name": name,
                "query": None,
                "created_at": format_vumi_date(datetime.now(UTC).replace(tzinfo=None)),
            }
            if await self.records.create(account, group, unless=index):
                return _found(group, created=True)

    @answers(groups="All groups, those made first first.")
    async def handle_list(self, api: SandboxApi, command: SandboxCommand) -> Record:
        """Tell all groups."""
        groups = [told(group) async for group in self.records.all(self._account(api))]
        return {"groups": groups}

    @answers(QUERY, groups="The groups that were found, those made first first.")
    async def handle_search(self, api: SandboxApi, command: SandboxCommand, query: str) -> Record:
        """Search groups."""
        parsed = parse_query(query)
        groups = [
            told(group)
            async for group in self.records.all(self._account(api))
            if parsed.matches(group)
        ]
        return {"groups": groups}

    # Members and changes

    @answers(KEY, group=TOLD, count="How many contacts it has.")
    async def handle_count_members(
        self, api: SandboxApi, command: SandboxCommand, key: str
    ) -> Record:
        """Count a group's members."""
        account = self._account(api)
        group = await self.records.get(account, key)
        if group is None:
            return _found(None)
        count = await self._contacts.count(account, group["query"], key)
        return _found(group, count=count)

    @answers(
        KEY,
        NAME,
        Argument(
            "query",
            TEXT_OR_NULL,
            "What finds the contacts that are its members. Without one they are those that have "
            "its key.",
            optional=True,
        ),
        group=TOLD,
    )
    async def handle_update(
        self, api: SandboxApi, command: SandboxCommand, key: str, name: str, query: str | None
    ) -> Record:
        """Give a group another name, and a query or none."""
        if query is not None:
            parse_query(query)

        def change(before: Record) -> Record:
            return {**before, "name": name, "query": query}

        return _found(await self.records.change(self._account(api), key, change))
