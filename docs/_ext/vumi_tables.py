"""Directives that become tables, and the tables' reStructuredText. Knows docutils and Sphinx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

from vumi.errors import VumiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes

__all__ = ["Tabled", "list_table"]


class Tabled(SphinxDirective):
    """A directive that becomes tables."""

    def run(self) -> list[nodes.Node]:
        try:
            rst = "\n".join(self.lines())
        except (VumiError, ImportError, LookupError) as error:
            raise self.error(str(error)) from error
        return self.parse_text_to_nodes(rst)

    def lines(self) -> Iterator[str]:
        """The reStructuredText."""
        raise NotImplementedError


def list_table(rows: list[Any], widths: tuple[int, ...]) -> Iterator[str]:
    """A table's lines.

    :param rows: The heading and the rows: cells, whose lines may be several.
    """
    yield from ("", ".. list-table::", "   :header-rows: 1")
    yield from (f"   :widths: {' '.join(map(str, widths))}", "")
    for row in rows:
        for number, cell in enumerate(row):
            first, *rest = cell.split("\n")
            yield f"   {'* -' if number == 0 else '  -'} {first}"
            yield from (f"       {line}" for line in rest)
    yield ""
