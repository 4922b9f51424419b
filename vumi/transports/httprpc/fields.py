"""Which parameters a request must have, may have, and must not have: tables, no I/O.

Knows names and bytes. Knows no request object and no transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from vumi.damaged_text import decode_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["Fields", "UnexpectedNames", "parameter_errors", "read_parameters"]

#: How many names an error names, and how long each may be.
MAX_NAMES, MAX_NAME = 50, 100
#: How many unexpected names are logged.
MAX_TOLD_NAMES = 200


class Fields:
    """The parameters of one kind of request.

    :param required: Names of those that must be there. Empty is there.
    :param optional: Names of those that may be there.
    :param ignored: Names of those that may be there and are of no use.

    .. code-block:: python

        FIELDS = Fields("from", "to", "text", optional=["network"], ignored=["date"])
    """

    __slots__ = ("ignored", "optional", "others", "required")

    def __init__(
        self, *required: str, optional: Iterable[str] = (), ignored: Iterable[str] = ()
    ) -> None:
        self.required = required
        self.optional = frozenset(optional)
        self.ignored = frozenset(ignored)
        #: Names that may be there
        self.others = self.optional | self.ignored

    def __repr__(self) -> str:
        return (
            f"Fields({', '.join(map(repr, self.required))}, optional={sorted(self.optional)}, "
            f"ignored={sorted(self.ignored)})"
        )


def read_parameters(
    parameters: Mapping[bytes, Sequence[bytes]],
    required: Collection[str],
    others: Collection[str] = (),
    encoding: str = "utf-8",
) -> tuple[dict[str, str], list[str], list[str]]:
    """Read a request's parameters.

    :param parameters: Name to its values, of which the first counts.
    :param required: The names that must be there.
    :param others: Further names that are known.
    :param encoding: What texts are encoded in. Octets that mean nothing in it become U+FFFD.
    :returns: Name to text of all that are known; the names that are unexpected; and the names that
        are missing, in the order of `required`.
    """
    values: dict[str, str] = {}
    unexpected: list[str] = []
    for raw_name, raw_values in parameters.items():
        name = raw_name.decode(encoding, "backslashreplace")
        if name not in required and name not in others:
            if len(unexpected) < MAX_NAMES:
                unexpected.append(name[:MAX_NAME])
            continue
        values[name] = decode_text(raw_values[0], encoding)
    missing = [name for name in required if name not in values]
    return values, unexpected, missing


def parameter_errors(unexpected: list[str], missing: list[str]) -> dict[str, list[str]]:
    """What is wrong with parameters, as a refusal says it; empty if nothing is."""
    errors = {"unexpected_parameter": unexpected, "missing_parameter": missing}
    return {error: names for error, names in errors.items() if names}


class UnexpectedNames:
    """Logs the names of parameters that are not known and dropped, each once.

    :param transport_name: Whose they are.
    """

    log = Logger()

    def __init__(self, transport_name: str) -> None:
        self._transport_name = transport_name
        self._told: set[str] = set()

    def tell(self, names: Iterable[str]) -> None:
        """Log the names that were not logged before."""
        for name in names:
            if name not in self._told and len(self._told) < MAX_TOLD_NAMES:
                self._told.add(name)
                self.log.warn(
                    "{transport_name}: requests have a parameter that is not known and dropped "
                    "(told once): {name!r}",
                    event="http-unexpected-parameter",
                    transport_name=self._transport_name,
                    name=name,
                )
