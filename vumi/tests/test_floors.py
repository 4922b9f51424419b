"""The floors of the house: a module imports only from its own floor or from one below.

The table is :data:`FLOORS`. A new module or folder directly in ``vumi/`` needs a floor here; the
test names it. Imports within functions count: they are imports all the same. Imports under
``TYPE_CHECKING`` don't: nothing of them is there when the program runs.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vumi

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(vumi.__file__).parent

#: Floor -> its rooms: the modules and folders directly in ``vumi/``.
FLOORS = {
    "0 values": """
        codecs config damaged_text errors extras linear_regex loading log message msisdn
        named_locks payload printable process_reactor resources sms_text steady_clock tasks
        text_matching
        token_bucket utils yamlconfig
        """,
    "1 machinery": "broker endpoints persist reconnecting_client rpc sentry tls web",
    "2 workers": """
        blinkenlights checking components connectors consumers dead_letter_writer deadletters
        delivery lanes middleware publishers service worker
        """,
    "3 what users write and run": "application demos dispatchers handset transports",
    "4 doors": "cli hangup multiworker scripts servicemaker topology",
}

#: The rooms of floor 3 don't know each other. Those that build on another are named here.
BUILDS_ON = {
    "demos": {"application"},
    "handset": {"application", "transports"},
}

#: The only module that imports the global reactor, for all the others: its timers are steady.
REACTOR_DOOR = "vumi.process_reactor"


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py")) if "tests" not in path.parts}


def at_run_time(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All import statements that can run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from at_run_time(ast.Module([other], []))
        elif not isinstance(child, ast.expr):
            # Expressions hold no statements.
            yield from at_run_time(child)


def imported_by(path: Path) -> set[str]:
    """The dotted names of the modules that a module imports, of Vumi's or not."""
    found: set[str] = set()
    for statement in at_run_time(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        else:
            assert statement.level == 0 and statement.module, f"{path}: a relative import"
            for alias in statement.names:
                module = f"{statement.module}.{alias.name}"
                of_a_module = (
                    module in MODULES or (ROOT.parent / module.replace(".", "/")).is_dir()
                )
                found.add(module if of_a_module else statement.module)
                if module == "twisted.internet.reactor":
                    found.add(module)
    return found


FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS.values()) for room in rooms.split()}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Module -> what it imports. Read when a test asks: collecting tests must be quick."""
    return {name: imported_by(path) for name, path in MODULES.items()}


def room_of(module: str) -> str:
    """The room that a module of Vumi is in. ``vumi`` itself and others' modules are in none."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "vumi" else ""


def test_every_module_has_a_floor_and_every_floor_only_what_there_is() -> None:
    rooms = {room_of(name) for name in MODULES} - {""} | {"resources"}
    assert rooms == set(FLOOR_OF)


def test_nothing_is_imported_from_a_floor_above(imports: dict[str, set[str]]) -> None:
    upwards = [
        f"{name} imports {other}"
        for name, others in imports.items()
        for other in sorted(others)
        if room_of(name) and room_of(other) not in {"", "tests"}
        if FLOOR_OF[room_of(other)] > FLOOR_OF[room_of(name)]
    ]
    assert upwards == []


def test_what_users_write_does_not_know_its_neighbours(imports: dict[str, set[str]]) -> None:
    neighbours = [
        f"{name} imports {other}"
        for name, others in imports.items()
        for other in sorted(others)
        if FLOOR_OF.get(room_of(name)) == FLOOR_OF.get(room_of(other)) == 3
        if room_of(other) not in {room_of(name), *BUILDS_ON.get(room_of(name), ())}
    ]
    assert neighbours == []


def test_the_product_does_not_import_the_test_kit(imports: dict[str, set[str]]) -> None:
    guilty = [
        f"{name} imports {other}"
        for name, others in imports.items()
        for other in sorted(others)
        if other.startswith("vumi.") and "tests" in other.split(".")
    ]
    assert guilty == []


def test_no_circles(imports: dict[str, set[str]]) -> None:
    graph = {
        name: {other for other in others if other in MODULES and other != name}
        for name, others in imports.items()
    }
    # A package that re-exports names of its own modules makes no circle: they are its inside.
    for name in graph:
        graph[name] = {other for other in graph[name] if not name.startswith(f"{other}.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("modules import each other: " + " <- ".join(error.args[1]))


def test_the_global_reactor_is_imported_only_in_one_place(
    imports: dict[str, set[str]],
) -> None:
    others = [
        name
        for name, imported in imports.items()
        if "twisted.internet.reactor" in imported and name != REACTOR_DOOR
    ]
    assert others == []


def test_importing_a_module_does_not_choose_the_reactor() -> None:
    outside_of_functions = [
        name
        for name, path in MODULES.items()
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.ImportFrom) and statement.module == "twisted.internet"
        if any(alias.name == "reactor" for alias in statement.names)
    ]
    assert outside_of_functions == []
