"""Tables about transports, which Sphinx makes from their folders.

* ``.. vumi-transports::``: the matrix of all transports and what each can do.
* ``.. vumi-cases:: dotted.path.of.the.package``: a transport's cases, in short.

Knows the catalogue. Decides nothing about what transports can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi_cases import CasesDirective
from vumi_tables import Tabled, list_table

from vumi.tests.catalogue import Entry, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sphinx.application import Sphinx


class MatrixDirective(Tabled):
    """Shows what each transport can do."""

    def lines(self) -> Iterator[str]:
        entries = walk()
        for entry in entries:
            self.env.note_dependency(str(entry.folder / "__init__.py"))
        rows = [list(_matrix_row(entry, self.env.found_docs)) for entry in entries]
        heading = ("Transport", "Protocol", "Direction", "Sessions", "Delivery reports", "Redis")
        yield from list_table([heading, *rows], (30, 14, 14, 14, 14, 14))


def _matrix_row(entry: Entry, pages: Iterable[str]) -> Iterator[str]:
    page = f"transports/{entry.name}"
    yield f":doc:`/{page}`" if page in pages else f"``{entry.name}``"
    try:
        facts = entry.facts
    except LookupError:
        # A test complains of that.
        yield from ("not told",) * 5
        return
    yield facts.protocol
    yield facts.directions
    for is_so in (facts.sessions, facts.receipts, facts.redis):
        yield "yes" if is_so else "no"


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx about the directives."""
    app.add_directive("vumi-transports", MatrixDirective)
    app.add_directive("vumi-cases", CasesDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
