"""The resource by which a sandboxed program keeps contacts: ``contacts.get`` and its like.

Knows the commands. What a contact is, :mod:`vumi.application.sandbox.resources.contact` knows; how
it is kept, :mod:`vumi.application.sandbox.resources.records`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.contact import (
    ADDRESS_FIELDS,
    FIXED,
    INDEXED,
    TEXT_FIELDS,
    changed,
    checked_texts,
    indexes_of,
    new_contact,
    normal_address,
    told,
)
from vumi.application.sandbox.resources.declared import (
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    WHOLE_NUMBER,
    Argument,
    answers,
)
from vumi.application.sandbox.resources.queries import Everything, Term, parse_query
from vumi.application.sandbox.resources.records import Records
from vumi.application.sandbox.resources.stored import StoredConfig, StoredResource
from vumi.config import (
    Config,
    ConfigChoice,
    ConfigInt,
    ConfigText,
)
from vumi.steady_clock import wall_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand
    from vumi.application.sandbox.resources.queries import Query
    from vumi.application.sandbox.resources.records import Record

__all__ = ["ContactsResource", "ContactsResourceConfig"]

NOT_FOUND = "Contact not found"


class AccountConfig(StoredConfig):
    """Options of what several sandboxes may share."""

    account = ConfigText(
        "Whose contacts and groups these are. Sandboxes with the same account share them; if it "
        "is left out each has its own.",
        static=True,
    )


class ContactsResourceConfig(AccountConfig):
    """Options of the contacts resource."""

    delivery_class = ConfigChoice(
        "The kind of network whose addresses programs mean if they don't say. One of "
        f"{', '.join(ADDRESS_FIELDS)}.",
        default="ussd",
        static=True,
        choices=tuple(ADDRESS_FIELDS),
        nullable=False,
    )
    contacts_limit = ConfigInt(
        "How many contacts an account may have.", default=100_000, static=True
    )
    max_keys = ConfigInt(
        "How many contacts a search finds at most, if a program doesn't want fewer.",
        default=1000,
        static=True,
    )


def _index_for(query: Query) -> str | None:
    """The index that has just the contacts that a query finds; ``None``: there is none."""
    if not isinstance(query, Term) or not query.is_exact:
        return None
    if query.field == "groups":
        return f"groups#{query.raw}"
    # In an index letters' cases do count.
    if query.field in INDEXED and query.raw.upper() == query.raw.lower():
        return f"{query.field}#{normal_address(query.field, query.raw)}"
    return None


def _found(contact: Record | None, **fields: Any) -> Record:
    if contact is None:
        raise CommandRefused(NOT_FOUND)
    return {"contact": told(contact), **fields}


# The resource

KEY = Argument("key", TEXT, "The contact's key.")
ADDRESS = (
    Argument("addr", TEXT, "The contact's address."),
    Argument(
        "delivery_class",
        TEXT_OR_NULL,
        f"The kind of network that it is an address of: {', '.join(ADDRESS_FIELDS)}.",
        optional=True,
    ),
)
CONTACT = Argument(
    "contact",
    OBJECT,
    f"Its fields: {', '.join(TEXT_FIELDS)} (texts), groups (a list of keys), extra and "
    "subscription (objects of texts).",
)
TOLD = "The contact: its fields, of extra as ``extras-<name>``, of subscription as "
TOLD += "``subscription-<name>``."


class ContactsResource(StoredResource):
    """Keeps contacts: people with their addresses, and what programs know about them."""

    CONFIG_CLASS: ClassVar[type[Config]] = ContactsResourceConfig

    def use(self, redis: Any) -> None:
        self.records = Records(
            redis,
            "contacts",
            indexes_of,
            self.options.contacts_limit,
            lambda: int(wall_seconds(self.app_worker.clock) * 1000),
        )

    def account(self, api: SandboxApi) -> str:
        """Whose contacts a program works with."""
        return self.options.account or api.sandbox_id

    async def matching(self, account: str, query: Query) -> AsyncIterator[Record]:
        """The contacts that a query finds, those made first first."""
        index = _index_for(query)
        if index is not None:
            for contact in await self.records.find(account, index):
                yield contact
            return
        async for contact in self.records.all(account):
            if query.matches(contact):
                yield contact

    # Finding

    def _field_of(self, addr: str, delivery_class: str | None) -> str:
        field = ADDRESS_FIELDS.get(delivery_class or self.options.delivery_class)
        if field is None:
            raise CommandRefused(
                f"Unsupported delivery class (got: {delivery_class} with address {addr})"
            )
        return field

    @answers(*ADDRESS, contact=TOLD)
    async def handle_get(
        self, api: SandboxApi, command: SandboxCommand, addr: str, delivery_class: str | None
    ) -> Record:
        """Find a contact by an address; of several that have it, the one that was made first."""
        field = self._field_of(addr, delivery_class)
        index = f"{field}#{normal_address(field, addr)}"
        found = await self.records.find(self.account(api), index)
        return _found(found[0] if found else None)

    @answers(*ADDRESS, contact=TOLD, created="Whether it is new.")
    async def handle_get_or_create(
        self, api: SandboxApi, command: SandboxCommand, addr: str, delivery_class: str | None
    ) -> Record:
        """Find a contact by an address, or make one."""
        field, account = self._field_of(addr, delivery_class), self.account(api)
        address = normal_address(field, addr)
        index = f"{field}#{address}"
        while True:
            found = await self.records.find(account, index)
            if found:
                return _found(found[0], created=False)
            contact = {**new_contact(account), field: address}
            if not indexes_of(contact):
                raise CommandRefused(f"'{addr}' is no address.")
            if await self.records.create(account, contact, unless=index):
                return _found(contact, created=True)

    @answers(KEY, contact=TOLD)
    async def handle_get_by_key(
        self, api: SandboxApi, command: SandboxCommand, key: str
    ) -> Record:
        """Find a contact by its key."""
        return _found(await self.records.get(self.account(api), key))

    @answers(
        Argument("query", TEXT, "What to search for, such as ``name:tha* AND groups:abc``."),
        Argument("max_keys", WHOLE_NUMBER, "How many to find at most.", optional=True),
        keys="The keys of those that were found, those made first first.",
    )
    async def handle_search(
        self, api: SandboxApi, command: SandboxCommand, query: str, max_keys: int | None
    ) -> Record:
        """Search contacts. Other searches than for one address look at all contacts."""
        parsed = parse_query(query)
        most = self.options.max_keys if max_keys is None else min(max_keys, self.options.max_keys)
        keys: list[str] = []
        if most > 0:
            async for contact in self.matching(self.account(api), parsed):
                keys.append(contact["key"])
                if len(keys) >= most:
                    break
        return {"keys": keys}

    async def count(self, account: str, query: str | None, group: str) -> int:
        """How many members a group has.

        :param query: What finds them; ``None``: they are those that say so themselves.
        """
        if query is None:
            return await self.records.count(account, f"groups#{group}")
        parsed = parse_query(query)
        if isinstance(parsed, Everything):
            return await self.records.number(account)
        number = 0
        async for _ in self.matching(account, parsed):
            number += 1
        return number

    # Changing

    @answers(CONTACT, contact=TOLD)
    async def handle_new(
        self, api: SandboxApi, command: SandboxCommand, contact: Record
    ) -> Record:
        """Make a contact."""
        account = self.account(api)
        made = changed(new_contact(account), contact)
        await self.records.create(account, made)
        return _found(made)

    async def _change(
        self, api: SandboxApi, key: str, change: Callable[[Record], Record]
    ) -> Record:
        return _found(await self.records.change(self.account(api), key, change))

    @answers(CONTACT, contact=TOLD)
    async def handle_save(
        self, api: SandboxApi, command: SandboxCommand, contact: Record
    ) -> Record:
        """Keep a contact as it is told, with its key; what is left out it no longer has."""
        key = contact.get("key")
        if not isinstance(key, str):
            raise CommandRefused("The contact must have its 'key'.")

        def replace(before: Record) -> Record:
            empty = {**new_contact(before["user_account"]), **{f: before[f] for f in FIXED[1:]}}
            return changed(empty, contact)

        return await self._change(api, key, replace)

    @answers(KEY, Argument("fields", OBJECT, "Field -> its new value. Others stay."), contact=TOLD)
    async def handle_update(
        self, api: SandboxApi, command: SandboxCommand, key: str, fields: Record
    ) -> Record:
        """Change some fields of a contact."""
        return await self._change(api, key, lambda before: changed(before, fields))

    @answers(KEY, Argument("fields", OBJECT, "Name -> text. Others stay."), contact=TOLD)
    async def handle_update_extras(
        self, api: SandboxApi, command: SandboxCommand, key: str, fields: Record
    ) -> Record:
        """Change what a program knows about a contact besides."""
        return await self._update_in(api, key, "extra", fields)

    @answers(KEY, Argument("fields", OBJECT, "Name -> text. Others stay."), contact=TOLD)
    async def handle_update_subscriptions(
        self, api: SandboxApi, command: SandboxCommand, key: str, fields: Record
    ) -> Record:
        """Change what a contact has subscribed to."""
        return await self._update_in(api, key, "subscription", fields)

    async def _update_in(self, api: SandboxApi, key: str, holder: str, fields: Record) -> Record:
        def update(before: Record) -> Record:
            return {**before, holder: {**before[holder], **checked_texts(holder, fields)}}

        return await self._change(api, key, update)
