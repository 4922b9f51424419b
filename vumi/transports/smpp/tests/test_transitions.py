"""The session's table in the documentation."""

from __future__ import annotations

from pathlib import Path

from vumi.transports.smpp.transitions import TRANSITIONS, State, transitions_as_rst

PAGE = Path(__file__).parents[4] / "docs/transports/smpp-session.rst"


def test_the_table_in_the_documentation_is_the_one_that_runs() -> None:
    text = PAGE.read_text("utf-8")
    _, shown, _ = text.replace(".. the table ends", ".. the table begins").split(
        ".. the table begins\n"
    )
    assert shown.strip() == transitions_as_rst().strip()


def test_the_diagram_shows_every_change_of_state_once() -> None:
    diagram = transitions_as_rst().split(".. list-table::")[0]
    changes = [row for row in TRANSITIONS if row.state is not row.next_state]
    assert diagram.count("▶") == len(changes)
    for row in changes:
        assert f"─ {row.event.value} ─" in diagram
    for state in State:
        assert f"\n   {state.name}\n" in diagram
