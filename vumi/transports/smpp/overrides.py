"""What a message says of its own PDUs, in ``transport_metadata.smpp``.

Knows the fields and parameters of a submit_sm that may be chosen so. Pure: a mapping in, fields
and parameters out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vumi.errors import VumiError
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.pdu import tlv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.transports.smpp.pdu import Tlv

__all__ = ["InvalidOverride", "Overrides", "parse_overrides", "relative_time"]

_OCTETS = frozenset(
    (
        "source_addr_ton",
        "source_addr_npi",
        "dest_addr_ton",
        "dest_addr_npi",
        "esm_class",
        "protocol_id",
        "priority_flag",
        "registered_delivery",
        "replace_if_present_flag",
        "data_coding",
        "sm_default_msg_id",
    )
)
_TIMES = frozenset(("schedule_delivery_time", "validity_period"))
_TEXTS = frozenset(("service_type",))

_DAY, _MONTH_DAYS = 86400, 30
#: What the form of a relative time can say: 99 years of 12 months of 30 days.
_MAX_SECONDS = 99 * 12 * _MONTH_DAYS * _DAY


class InvalidOverride(VumiError):
    """``transport_metadata.smpp`` has what can't be sent."""


@dataclass(frozen=True)
class Overrides:
    """What a message says of its own PDUs.

    :ivar fields: Fields of the submit_sm, by the specification's names.
    :ivar tlvs: Optional parameters.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    tlvs: tuple[Tlv, ...] = ()


def relative_time(seconds: float) -> str:
    """A time from now, in SMPP's form (section 7.1.1.2).

    Months are taken for 30 days, of which they are made when there are more than those.

    :param seconds: How long from now.
    :raises InvalidOverride: It is negative, or too long for the form.
    """
    if not 0 <= seconds <= _MAX_SECONDS:
        raise InvalidOverride(f"No time is {seconds!r} seconds from now.")
    days, rest = divmod(int(seconds), _DAY)
    months, days = divmod(days, _MONTH_DAYS)
    years, months = divmod(months, 12)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{years:02}{months:02}{days:02}{hours:02}{minutes:02}{rest:02}000R"


def parse_overrides(options: Any) -> Overrides:
    """Read what a message says.

    :param options: A mapping of the names of fields and of optional parameters (those that the
        specification names); further parameters by name or number in ``tlvs``. Of a parameter a
        number takes as many octets as it has, a text is Latin-1, ``{"hex": "0a0b"}`` are octets.
        Times are texts in SMPP's form, or numbers of seconds from now.
    :raises InvalidOverride: It has what is not known or can't be.
    """
    if not isinstance(options, dict):
        raise InvalidOverride("transport_metadata.smpp is not an object.")
    fields: dict[str, Any] = {}
    tlvs: list[Tlv] = []
    for name, value in options.items():
        if name in _OCTETS:
            fields[name] = _octet(name, value)
        elif name in _TIMES:
            fields[name] = _time(name, value)
        elif name in _TEXTS:
            fields[name] = _text(name, value)
        elif name == "tlvs":
            if not isinstance(value, dict):
                raise InvalidOverride("transport_metadata.smpp: tlvs is not an object.")
            tlvs += [_tlv(key, content) for key, content in value.items()]
        elif name in Tag.__members__:
            tlvs.append(_tlv(name, value))
        else:
            raise InvalidOverride(f"transport_metadata.smpp has what is not known: {name!r}.")
    return Overrides(fields, tuple(tlvs))


def _octet(name: str, value: Any) -> int:
    # True and False are the numbers 1 and 0, as registered_delivery is often said.
    if not isinstance(value, int) or not 0 <= value <= 255:
        raise InvalidOverride(f"transport_metadata.smpp: {name} is no number from 0 to 255.")
    return int(value)


def _time(name: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return relative_time(value)
    return _text(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise InvalidOverride(f"transport_metadata.smpp: {name} is no text of ASCII.")
    return value


def _tlv(name: Any, value: Any) -> Tlv:
    tag = Tag.__members__.get(name)
    if tag is None:
        try:
            number = int(str(name), 0)
        except ValueError:
            raise InvalidOverride(
                f"transport_metadata.smpp: no optional parameter is called {name!r}."
            ) from None
    else:
        number = int(tag)
    if isinstance(value, dict) and value.keys() == {"hex"}:
        try:
            value = bytes.fromhex(value["hex"])
        except (TypeError, ValueError):
            raise InvalidOverride(
                f"transport_metadata.smpp: {name} has what are no hexadecimal digits."
            ) from None
    elif isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidOverride(
            f"transport_metadata.smpp: {name} is no number, text or {{'hex': digits}}."
        )
    if isinstance(value, int) and value < 0:
        raise InvalidOverride(f"transport_metadata.smpp: {name} is negative.")
    return tlv(number, value)
