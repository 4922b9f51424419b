"""The numbers of SMPP and their names."""

from __future__ import annotations

import pytest

from vumi.transports.smpp.constants import (
    CommandId,
    CommandStatus,
    command_name,
    parse_status,
    status_name,
)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0, "ESME_ROK"),
        (0x0B, "ESME_RINVDSTADR"),
        (0x14, "ESME_RMSGQFUL"),
        (0x58, "ESME_RTHROTTLED"),
        (0xFE, "ESME_RDELIVERYFAILURE"),
        # The old Vumi called these "Unspecified".
        (0x400, "0x00000400"),
        (0xFFFFFFFF, "0xFFFFFFFF"),
        (0x09, "0x00000009"),
    ],
)
def test_a_vendors_status_is_shown_by_its_number_rather_than_as_unspecified(
    status: int, name: str
) -> None:
    assert status_name(status) == name
    assert parse_status(name) == status


def test_every_status_and_command_has_its_name() -> None:
    for status in CommandStatus:
        assert status_name(status) == status.name
    for command in CommandId:
        assert command_name(command) == command.name
    assert command_name(0x00010200) == "0x00010200"


@pytest.mark.parametrize("text", ["esme_rthrottled", " ESME_RTHROTTLED ", "0x58", "88", 88])
def test_a_status_is_read_however_it_is_written(text: str | int) -> None:
    assert parse_status(text) == 0x58


@pytest.mark.parametrize("text", ["ESME_RNOSUCH", "", "0x100000000", -1, 1 << 32])
def test_what_is_no_status_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="no SMPP command status"):
        parse_status(text)
