"""PDUs of every kind for tests: what hypothesis makes up, and what the wire should show."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from vumi.transports.smpp import pdu as pdus
from vumi.transports.smpp.pdu import Pdu
from vumi.transports.smpp.pdu_base import Octets, Text

__all__ = ["PDU_CLASSES", "any_pdu", "pdus_of"]

PDU_CLASSES: list[type[Pdu]] = [
    cls
    for name in pdus.__all__
    if isinstance(cls := getattr(pdus, name), type)
    and issubclass(cls, Pdu)
    and cls not in (Pdu, pdus.UnknownPdu)
]

octet = st.integers(0, 0xFF)
number = st.integers(0, 0xFFFFFFFF)
tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=3).map(tuple)


def text(room: int | None) -> st.SearchStrategy[str]:
    characters = st.characters(min_codepoint=1, max_codepoint=0xFF)
    return st.text(characters, max_size=30 if room is None else room - 1)


destination = st.one_of(
    st.builds(
        pdus.SmeAddress, dest_addr_ton=octet, dest_addr_npi=octet, destination_addr=text(21)
    ),
    st.builds(pdus.DistributionList, dl_name=text(21)),
)
unsuccess = st.builds(
    pdus.Unsuccess,
    dest_addr_ton=octet,
    dest_addr_npi=octet,
    destination_addr=text(21),
    error_status_code=number,
)
LISTS: dict[str, st.SearchStrategy[Any]] = {
    "dest_addresses": st.lists(destination, max_size=5).map(tuple),
    "unsuccess_smes": st.lists(unsuccess, max_size=5).map(tuple),
}


def pdus_of(cls: type[Pdu]) -> st.SearchStrategy[Any]:
    """PDUs of a class, with any values that SMPP has room for."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for part in cls.LAYOUT:
        if part.name in LISTS:
            fields[part.name] = LISTS[part.name]
        elif isinstance(part, Text):
            fields[part.name] = text(part.room)
        elif isinstance(part, Octets):
            fields[part.name] = st.binary(max_size=pdus.MAX_SHORT_MESSAGE)
        else:
            fields[part.name] = octet
    return st.builds(cls, sequence_number=number, command_status=number, tlvs=tlvs, **fields)


#: Any PDU, of a command that nobody knows, too.
any_pdu: st.SearchStrategy[Any] = st.one_of(
    *map(pdus_of, PDU_CLASSES),
    st.builds(
        pdus.UnknownPdu,
        sequence_number=number,
        command_status=number,
        unknown_command_id=st.sampled_from([0x00010200, 0x80010200, 0x0000000A, 0]),
        body=st.binary(max_size=40),
    ),
)
