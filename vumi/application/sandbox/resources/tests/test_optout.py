from __future__ import annotations

import pytest

from vumi.application.sandbox.resources.optout import OptoutResource
from vumi.application.sandbox.resources.tests.stored import StoredResourceTestCase
from vumi.components.tests.stores import OnRedis

OK = {"success": True}
PHONE = {"address_type": "msisdn", "address_value": "+27831234567"}
IN = {**OK, "opted_out": False, "created_at": None, "message_id": None}


class TestOptoutResource(StoredResourceTestCase):
    resource_cls = OptoutResource

    async def test_out_and_in_again(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("status", **PHONE), IN)
        reply = await self.ask("optout", **PHONE, message_id="m1")
        self.assertEqual((reply["opted_out"], reply["message_id"]), (True, "m1"))
        self.assertEqual(await self.ask("status", **PHONE), reply)
        self.assertEqual(await self.ask("count"), {**OK, "count": 1})
        without_plus = {**PHONE, "address_value": "27831234567"}
        self.assertEqual(await self.ask("status", **without_plus), reply)
        self.assertEqual(await self.ask("cancel_optout", **PHONE), IN)
        self.assertEqual(await self.ask("cancel_optout", **PHONE), IN)
        self.assertEqual(await self.ask("count"), {**OK, "count": 0})

    async def test_an_address_is_one_of_its_kind(self) -> None:
        await self.make()
        await self.ask("optout", address_type="a", address_value="b:c", message_id="m")
        other = {"address_type": "twitter_handle", "address_value": "b:c"}
        self.assertEqual(await self.ask("status", **other), IN)

    async def test_what_is_missing_is_told(self) -> None:
        await self.make()
        for fields, name in (
            ({}, "address_type"),
            ({"address_type": "msisdn"}, "address_value"),
        ):
            for cmd in ("status", "optout", "cancel_optout"):
                reply = await self.ask(cmd, **fields)
                self.assertEqual(reply["reason"], f"Missing key: {name}")
        self.assertEqual((await self.ask("optout", **PHONE))["reason"], "Missing key: message_id")

    async def test_an_account_that_may_only_ask(self) -> None:
        await self.make(can_manage_optouts=False)
        self.assertEqual(await self.ask("status", **PHONE), IN)
        self.assertEqual(await self.ask("count"), {**OK, "count": 0})
        for cmd in ("optout", "cancel_optout"):
            reply = await self.ask(cmd, **PHONE, message_id="m")
            self.assertEqual(reply["reason"], "Account not allowed to manage optouts.")

    async def test_only_so_many(self) -> None:
        await self.make(optouts_limit=1)
        await self.ask("optout", **PHONE, message_id="m1")
        self.assertIs((await self.ask("optout", **PHONE, message_id="m2"))["success"], True)
        reply = await self.ask("optout", **{**PHONE, "address_value": "+1"}, message_id="m3")
        self.assertEqual(reply["reason"], "Too many optouts")

    async def test_they_are_an_accounts_own(self) -> None:
        await self.make()
        await self.ask("optout", **PHONE, message_id="m1")
        self.api.sandbox_id = "other"
        self.assertEqual(await self.ask("status", **PHONE), IN)


@pytest.mark.integration
class TestOptoutOnRedis(OnRedis, TestOptoutResource):
    pass
