from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock

from vumi.application.sandbox.resources.base import SandboxResources
from vumi.application.sandbox.resources.contact import new_contact
from vumi.application.sandbox.resources.contacts import ContactsResource
from vumi.application.sandbox.resources.groups import GroupsResource
from vumi.application.sandbox.resources.tests.stored import StoredResourceTestCase
from vumi.application.sandbox.resources.tests.utils import DummyAppWorker
from vumi.components.tests.stores import OnRedis
from vumi.errors import ConfigError, StoreError

OK = {"success": True}
NO_CONTACT = {"success": False, "reason": "Contact not found"}
NO_GROUP = {"success": False, "reason": "Group not found"}
PHONE = "+27831234567"


class ClockedWorker(DummyAppWorker):
    def __init__(self) -> None:
        self.clock = Clock()
        self.resources = SandboxResources(self, {})


class ContactsTestCase(StoredResourceTestCase):
    app_worker_cls = ClockedWorker
    resource_cls: Any = ContactsResource

    async def new(self, **fields: Any) -> Any:
        self.app_worker.clock.advance(1)
        reply = await self.ask("new", contact=fields)
        self.assertIs(reply["success"], True, reply)
        return reply["contact"]

    async def found(self, query: str, **fields: Any) -> Any:
        reply = await self.ask("search", query=query, **fields)
        self.assertIs(reply["success"], True, reply)
        return reply["keys"]


class TestContactsResource(ContactsTestCase):
    async def test_a_contact_is_made_once_and_then_found(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("get", addr=PHONE), NO_CONTACT)
        reply = await self.ask("get_or_create", addr=PHONE, delivery_class="sms")
        self.assertIs(reply["created"], True)
        contact = reply["contact"]
        self.assertEqual(contact["msisdn"], PHONE)
        self.assertEqual((contact["name"], contact["groups"]), (None, []))
        self.assertEqual(contact["user_account"], self.sandbox_id)
        for cmd, fields in (("get", {"addr": PHONE}), ("get_by_key", {"key": contact["key"]})):
            self.assertEqual(await self.ask(cmd, **fields), {**OK, "contact": contact})
        again = await self.ask("get_or_create", addr=PHONE)
        self.assertEqual(again, {**OK, "contact": contact, "created": False})

    async def test_many_at_once_make_one_contact(self) -> None:
        await self.make()
        replies = await gatherResults(
            [self.dispatch_command("get_or_create", addr=PHONE) for _ in range(10)]
        )
        self.assertEqual(sum(reply["created"] for reply in replies), 1)
        self.assertEqual(len({reply["contact"]["key"] for reply in replies}), 1)

    async def test_addresses_of_all_networks(self) -> None:
        await self.make()
        for delivery_class, field, address in (
            ("sms", "msisdn", PHONE),
            ("ussd", "msisdn", PHONE),
            ("voice", "msisdn", PHONE),
            ("twitter", "twitter_handle", "@me"),
            ("gtalk", "gtalk_id", "me@example.org"),
            ("facebook", "facebook_id", "me"),
            ("mxit", "mxit_id", "me"),
            ("wechat", "wechat_id", "me"),
        ):
            fields = {"addr": address, "delivery_class": delivery_class}
            contact = (await self.ask("get_or_create", **fields))["contact"]
            self.assertEqual(contact[field], address)
            self.assertEqual((await self.ask("get", **fields))["contact"], contact)
            # The toolkit wants a text here, whatever else is known.
            self.assertIsInstance(contact["msisdn"], str)

    async def test_an_address_is_found_however_it_is_written(self) -> None:
        await self.make()
        phone = (await self.ask("get_or_create", addr="27831234567"))["contact"]
        self.assertEqual((await self.ask("get", addr=PHONE))["contact"], phone)
        fields = {"delivery_class": "gtalk"}
        made = await self.ask("get_or_create", addr="me@example.org/home", **fields)
        again = await self.ask("get", addr="me@example.org/work", **fields)
        self.assertEqual(again["contact"], made["contact"])

    async def test_people_without_an_address_are_not_taken_for_each_other(self) -> None:
        await self.make()
        await self.new(name="A")
        await self.new(name="B", msisdn=None)
        for address in ("unknown", ""):
            self.assertEqual(await self.ask("get", addr=address), NO_CONTACT)
        reply = await self.ask("get_or_create", addr="", delivery_class="twitter")
        self.assertEqual(reply["reason"], "'' is no address.")

    async def test_a_network_that_is_not_known(self) -> None:
        await self.make(delivery_class="twitter")
        await self.new(twitter_handle="@me")
        self.assertIs((await self.ask("get", addr="@me"))["success"], True)
        for cmd in ("get", "get_or_create"):
            reply = await self.ask(cmd, addr="x", delivery_class="pigeon")
            self.assertEqual(
                reply["reason"], "Unsupported delivery class (got: pigeon with address x)"
            )

    async def test_of_several_with_an_address_the_first_is_found(self) -> None:
        await self.make()
        first = await self.new(msisdn=PHONE, name="first")
        await self.new(msisdn=PHONE, name="second")
        self.assertEqual((await self.ask("get", addr=PHONE))["contact"], first)

    async def test_all_fields_are_kept(self) -> None:
        await self.make()
        made = await self.new(
            **{
                "name": "Thandi",
                "msisdn": PHONE,
                "dob": "1990-05-31",
                "groups": ["g1", "g1"],
                "extra": {"town": "Cape Town"},
                "extras-size": "5",
                "subscription": {"news": "yes"},
                "key": "not mine to say",
            }
        )
        self.assertEqual(made["extras-town"], "Cape Town")
        self.assertEqual(made["extras-size"], "5")
        self.assertEqual(made["subscription-news"], "yes")
        self.assertEqual(made["groups"], ["g1"])
        self.assertNotEqual(made["key"], "not mine to say")
        self.assertNotIn("extra", made)

    async def test_a_contact_comes_back_as_the_toolkit_sends_it(self) -> None:
        await self.make()
        made = await self.new(name="A", surname="B", extra={"town": "X"})
        sent = {name: value for name, value in made.items() if not name.startswith("extras-")}
        del sent["surname"]
        sent.update(name="C", extra={"size": "5"}, subscription={}, groups=["g"])
        saved = (await self.ask("save", contact=sent))["contact"]
        self.assertEqual((saved["name"], saved["surname"], saved["groups"]), ("C", None, ["g"]))
        self.assertEqual(saved["extras-size"], "5")
        self.assertNotIn("extras-town", saved)
        self.assertEqual(saved["created_at"], made["created_at"])

    async def test_updates_change_what_they_name(self) -> None:
        await self.make()
        key = (await self.new(name="A", surname="B", extra={"a": "1", "b": "2"}))["key"]
        reply = await self.ask("update", key=key, fields={"name": "C", "extras-c": "3"})
        self.assertEqual((reply["contact"]["name"], reply["contact"]["surname"]), ("C", "B"))
        reply = await self.ask("update_extras", key=key, fields={"b": "4"})
        extras = {k: v for k, v in reply["contact"].items() if k.startswith("extras-")}
        self.assertEqual(extras, {"extras-a": "1", "extras-b": "4", "extras-c": "3"})
        reply = await self.ask("update_subscriptions", key=key, fields={"news": "no"})
        self.assertEqual(reply["contact"]["subscription-news"], "no")

    async def test_updates_at_once_do_not_undo_each_other(self) -> None:
        await self.make()
        key = (await self.new(name="A"))["key"]
        await gatherResults(
            [
                self.dispatch_command("update_extras", key=key, fields={f"x{n}": str(n)})
                for n in range(10)
            ]
        )
        contact = (await self.ask("get_by_key", key=key))["contact"]
        self.assertEqual(sum(name.startswith("extras-") for name in contact), 10)

    async def test_a_contact_is_found_by_its_new_address_only(self) -> None:
        await self.make()
        made = await self.new(msisdn=PHONE)
        await self.ask("update", key=made["key"], fields={"msisdn": "+1"})
        self.assertEqual(await self.ask("get", addr=PHONE), NO_CONTACT)
        self.assertEqual((await self.ask("get", addr="+1"))["contact"]["key"], made["key"])

    async def test_what_a_contact_can_not_be_is_told(self) -> None:
        await self.make()
        key = (await self.new())["key"]
        cases: list[tuple[dict[str, Any], str]] = [
            ({"shoe": "5"}, "A contact has no field 'shoe'."),
            ({"name": 5}, "The contact's field 'name' must be a text or null."),
            ({"groups": "g"}, "The contact's field 'groups' must be a list of keys."),
            ({"groups": [5]}, "The contact's field 'groups' must be a list of keys."),
            ({"extra": []}, "The contact's field 'extra' must be an object."),
            ({"extra": {"a": 5}}, "The contact's extra 'a' must be a text."),
            ({"extras-a": None}, "The contact's extra 'a' must be a text."),
            ({"subscription": {"a": True}}, "The contact's subscription 'a' must be a text."),
        ]
        for fields, reason in cases:
            for reply in (
                await self.ask("new", contact=fields),
                await self.ask("save", contact={"key": key, **fields}),
                await self.ask("update", key=key, fields=fields),
            ):
                self.assertEqual(reply, {"success": False, "reason": reason})
        reply = await self.ask("update_extras", key=key, fields={"a": 5})
        self.assertEqual(reply["reason"], "The contact's extra 'a' must be a text.")
        reply = await self.ask("save", contact={"name": "x"})
        self.assertEqual(reply["reason"], "The contact must have its 'key'.")
        self.assertEqual(await self.found("*:*"), [key])

    async def test_contacts_that_are_not_there(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("get_by_key", key="x"), NO_CONTACT)
        self.assertEqual(await self.ask("save", contact={"key": "x"}), NO_CONTACT)
        for cmd in ("update", "update_extras", "update_subscriptions"):
            self.assertEqual(await self.ask(cmd, key="x", fields={}), NO_CONTACT)

    async def test_searching(self) -> None:
        await self.make(max_keys=3)
        keys = [
            (
                await self.new(
                    name=f"Name{n}", msisdn=f"+{n}", groups=["Even"] if n % 2 == 0 else []
                )
            )["key"]
            for n in range(5)
        ]
        self.assertEqual(await self.found("name:name1 OR name:name3"), [keys[1], keys[3]])
        self.assertEqual(await self.found('msisdn:"+4"'), [keys[4]])
        self.assertEqual(await self.found("msisdn:+9"), [])
        self.assertEqual(await self.found("groups:Even"), [keys[0], keys[2], keys[4]])
        self.assertEqual(await self.found("name:name*"), keys[:3])
        self.assertEqual(await self.found("name:name*", max_keys=2), keys[:2])
        self.assertEqual(await self.found("name:name*", max_keys=0), [])
        reply = await self.ask("search", query="name:(")
        self.assertIs(reply["success"], False)

    async def test_more_than_a_page_of_contacts(self) -> None:
        await self.make()
        keys = [(await self.new(name="x"))["key"] for _ in range(450)]
        self.assertEqual(await self.found("name:x"), keys)
        self.assertEqual(await self.resource.count(self.sandbox_id, "name:x", "g"), 450)
        self.assertEqual(await self.resource.count(self.sandbox_id, "*:*", "g"), 450)

    async def test_only_so_many_contacts(self) -> None:
        await self.make(contacts_limit=1)
        await self.ask("get_or_create", addr=PHONE)
        for cmd, fields in (("get_or_create", {"addr": "+1"}), ("new", {"contact": {}})):
            reply = await self.ask(cmd, **fields)
            self.assertEqual(reply, {"success": False, "reason": "Too many contacts"})
        self.assertIs((await self.ask("get_or_create", addr=PHONE))["success"], True)

    async def test_contacts_are_an_accounts_own(self) -> None:
        await self.make()
        key = (await self.new(msisdn=PHONE))["key"]
        self.api.sandbox_id = "other"
        self.assertEqual(await self.ask("get", addr=PHONE), NO_CONTACT)
        self.assertEqual(await self.ask("get_by_key", key=key), NO_CONTACT)
        self.assertEqual(await self.found("*:*"), [])

    async def test_contacts_that_sandboxes_share(self) -> None:
        await self.make(account="both")
        made = await self.new(msisdn=PHONE)
        self.assertEqual(made["user_account"], "both")
        self.api.sandbox_id = "other"
        self.assertEqual((await self.ask("get", addr=PHONE))["contact"], made)

    async def test_a_key_is_never_given_twice(self) -> None:
        await self.make()
        made = new_contact("a")
        await self.resource.records.create("a", made)
        with self.assertRaises(StoreError):
            await self.resource.records.create("a", made)

    def test_bad_options_are_refused(self) -> None:
        with self.assertRaises(ConfigError):
            ContactsResource("contacts", None, {"delivery_class": "pigeon"})


@pytest.mark.integration
class TestContactsOnRedis(OnRedis, TestContactsResource):
    pass


class TestGroupsResource(ContactsTestCase):
    """Commands are for the groups; :meth:`new` and :meth:`found` are for the contacts."""

    async def make(self, **config: Any) -> Any:
        self.contacts = await super().make()
        resources = self.app_worker.resources
        resources.add_resource("contacts", self.contacts)
        self.resource = GroupsResource("groups", self.app_worker, config)
        self.resource.setup()

    async def contact(self, **fields: Any) -> None:
        groups, self.resource = self.resource, self.contacts
        await self.new(**fields)
        self.resource = groups

    async def group(self, name: str) -> Any:
        self.app_worker.clock.advance(1)
        return (await self.ask("get_or_create_by_name", name=name))["group"]

    async def test_a_group_is_made_once_and_then_found(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("get_by_name", name="friends"), NO_GROUP)
        reply = await self.ask("get_or_create_by_name", name="friends")
        group = reply["group"]
        self.assertIs(reply["created"], True)
        self.assertEqual((group["name"], group["query"]), ("friends", None))
        for cmd, fields in (("get", {"key": group["key"]}), ("get_by_name", {"name": "friends"})):
            self.assertEqual(await self.ask(cmd, **fields), {**OK, "group": group})
        again = await self.ask("get_or_create_by_name", name="friends")
        self.assertEqual(again, {**OK, "group": group, "created": False})

    async def test_lists_and_searches(self) -> None:
        await self.make()
        groups = [await self.group(name) for name in ("Old friends", "foes", "new friends")]
        self.assertEqual(await self.ask("list"), {**OK, "groups": groups})
        reply = await self.ask("search", query="name:friends")
        self.assertEqual(reply, {**OK, "groups": [groups[0], groups[2]]})
        self.assertIs((await self.ask("search", query="friends"))["success"], False)

    async def test_members_are_those_that_say_so(self) -> None:
        await self.make()
        group = await self.group("friends")
        for groups in ([group["key"]], [], ["other", group["key"]]):
            await self.contact(groups=groups)
        reply = await self.ask("count_members", key=group["key"])
        self.assertEqual(reply, {**OK, "group": group, "count": 2})

    async def test_or_those_that_a_query_finds(self) -> None:
        await self.make()
        key = (await self.group("adults"))["key"]
        for born in ("1980", "1990", "2010"):
            await self.contact(dob=born)
        reply = await self.ask("update", key=key, name="adults", query="dob:[* TO 2000]")
        self.assertEqual(reply["group"]["query"], "dob:[* TO 2000]")
        self.assertEqual((await self.ask("count_members", key=key))["count"], 2)
        reply = await self.ask("update", key=key, name="adults", query="dob:(")
        self.assertIs(reply["success"], False)
        self.assertEqual((await self.ask("get", key=key))["group"]["query"], "dob:[* TO 2000]")

    async def test_a_group_may_get_another_name(self) -> None:
        await self.make()
        key = (await self.group("a"))["key"]
        await self.group("b")
        self.assertEqual((await self.ask("update", key=key, name="b"))["group"]["name"], "b")
        self.assertEqual(await self.ask("get_by_name", name="a"), NO_GROUP)
        for cmd in ("get_by_name", "get_or_create_by_name"):
            reply = await self.ask(cmd, name="b")
            self.assertEqual(reply, {"success": False, "reason": "Multiple groups found"})

    async def test_groups_that_are_not_there(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("get", key="x"), NO_GROUP)
        self.assertEqual(await self.ask("update", key="x", name="y"), NO_GROUP)
        self.assertEqual(await self.ask("count_members", key="x"), NO_GROUP)

    async def test_only_so_many_groups(self) -> None:
        await self.make(groups_limit=1)
        await self.group("a")
        reply = await self.ask("get_or_create_by_name", name="b")
        self.assertEqual(reply, {"success": False, "reason": "Too many groups"})

    def test_groups_need_contacts(self) -> None:
        with self.assertRaises(ConfigError):
            GroupsResource("groups", self.app_worker, {}).setup()
