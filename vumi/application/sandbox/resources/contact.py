"""A contact: its fields, what may be in them, and by which of them it is found.

Knows no store and no command.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from vumi.application.sandbox.errors import CommandRefused
from vumi.message import format_vumi_date

if TYPE_CHECKING:
    from vumi.application.sandbox.resources.records import Record

__all__ = [
    "ADDRESS_FIELDS",
    "FIXED",
    "INDEXED",
    "TEXT_FIELDS",
    "ContactRefused",
    "changed",
    "checked_texts",
    "indexes_of",
    "new_contact",
    "normal_address",
    "told",
]

UNKNOWN_MSISDN = "unknown"

#: Kind of network -> the field with the address that a contact has there.
ADDRESS_FIELDS = {
    "sms": "msisdn",
    "ussd": "msisdn",
    "voice": "msisdn",
    "twitter": "twitter_handle",
    "gtalk": "gtalk_id",
    "xmpp": "gtalk_id",
    "facebook": "facebook_id",
    "mxit": "mxit_id",
    "wechat": "wechat_id",
}
INDEXED = (*dict.fromkeys(ADDRESS_FIELDS.values()), "bbm_pin")
TEXT_FIELDS = ("name", "surname", "email_address", "dob", *INDEXED)
#: Field -> what its entries' names begin with where they are told one by one.
MAPPINGS = {"extra": "extras-", "subscription": "subscription-"}
#: Fields that a program may send back and not change.
FIXED = ("$VERSION", "key", "user_account", "created_at")


class ContactRefused(CommandRefused):
    """A contact can't be as a program says; the words say why."""


def normal_address(field: str, address: str) -> str:
    """An address as contacts are found by it."""
    if field == "msisdn":
        return f"+{address.lstrip('+')}"
    if field == "gtalk_id":
        # What follows tells which of a user's programs it is.
        return address.partition("/")[0]
    return address


def indexes_of(contact: Record) -> list[str]:
    """The indexes that a contact is in."""
    found = [f"groups#{key}" for key in contact["groups"]]
    for field in INDEXED:
        address = contact[field]
        if address and not (field == "msisdn" and address == UNKNOWN_MSISDN):
            found.append(f"{field}#{normal_address(field, address)}")
    return found


def new_contact(account: str) -> Record:
    """A contact of which nothing is known."""
    return {
        "key": uuid4().hex,
        "user_account": account,
        "created_at": format_vumi_date(datetime.now(UTC).replace(tzinfo=None)),
        **dict.fromkeys(TEXT_FIELDS),
        "msisdn": UNKNOWN_MSISDN,
        "groups": [],
        **{field: {} for field in MAPPINGS},
    }


def told(contact: Record) -> Record:
    """A contact as programs are told of it."""
    shown = {"$VERSION": 2, **contact}
    for field, prefix in MAPPINGS.items():
        for name, value in shown.pop(field).items():
            shown[f"{prefix}{name}"] = value
    return shown


def changed(contact: Record, fields: Record) -> Record:
    """A contact with other values in some fields.

    :raises ContactRefused: A field is not one of a contact's, or not what it must be.
    """
    result = deepcopy(contact)
    for field, value in fields.items():
        for holder, prefix in MAPPINGS.items():
            if field.startswith(prefix):
                result[holder].update(checked_texts(holder, {field.removeprefix(prefix): value}))
                break
        else:
            _set_field(result, field, value)
    if not result["msisdn"]:
        result["msisdn"] = UNKNOWN_MSISDN
    return result


def _set_field(contact: Record, field: str, value: Any) -> None:
    if field in FIXED:
        return
    if field in MAPPINGS:
        contact[field] = checked_texts(field, {} if value is None else value)
    elif field == "groups":
        if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
            raise ContactRefused("The contact's field 'groups' must be a list of keys.")
        contact[field] = list(dict.fromkeys(value))
    elif field in TEXT_FIELDS:
        if value is not None and not isinstance(value, str):
            raise ContactRefused(f"The contact's field '{field}' must be a text or null.")
        contact[field] = value
    else:
        raise ContactRefused(f"A contact has no field '{field}'.")


def checked_texts(field: str, values: Any) -> dict[str, str]:
    """What is to be in a field that holds texts by their names.

    :raises ContactRefused: It is none of that.
    """
    if not isinstance(values, dict):
        raise ContactRefused(f"The contact's field '{field}' must be an object.")
    for name, value in values.items():
        if not isinstance(value, str):
            raise ContactRefused(f"The contact's {field} '{name}' must be a text.")
    return dict(values)
