"""The catalogue: every transport keeps the rules, and the rules find who doesn't."""

from __future__ import annotations

import importlib
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from vumi.cli.new.transport import transport_files
from vumi.cli.new.writing import write_files
from vumi.errors import ConfigError
from vumi.tests.cases.nodes import CaseError
from vumi.tests.catalogue import FAMILIES, Entry, Facts, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Transport and rule -> why it may break that rule. Entries may go, none may come.
EXEMPTIONS: dict[tuple[str, str], str] = {}
#: To be lowered when an entry goes.
MOST_EXEMPTIONS = 0

ENTRIES = walk()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_transport_keeps_the_rules(entry: Entry) -> None:
    problems = [p for p in entry.problems() if (p.transport, p.rule) not in EXEMPTIONS]
    assert not problems, "\n".join(map(str, problems))


def test_what_is_exempt_still_needs_to_be() -> None:
    broken = {(p.transport, p.rule) for entry in ENTRIES for p in entry.problems()}
    assert set(EXEMPTIONS) <= broken
    assert all(EXEMPTIONS.values())
    assert len(EXEMPTIONS) <= MOST_EXEMPTIONS


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_a_transport_can_do_is_known(entry: Entry) -> None:
    facts = entry.facts
    assert facts.protocol
    assert facts.directions in ("in", "out", "in and out")


def test_what_some_can_do() -> None:
    facts = {entry.name: entry.facts for entry in ENTRIES if entry.name in ("dmark", "devnull")}
    assert facts["dmark"] == Facts(
        "HTTP", receives=True, sends=True, sessions=True, receipts=False, redis=True
    )
    assert facts["devnull"].receipts
    assert not facts["devnull"].redis


def test_families_and_what_is_no_folder_are_no_transports() -> None:
    names = [entry.name for entry in ENTRIES]
    assert names == sorted(names)
    assert not {*FAMILIES, "tests", "base", "__pycache__"} & set(names)
    assert "telnet" in names


def test_what_is_no_package_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no package"):
        walk("vumi.transports.base")


# Each rule


def _changed(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / path
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    return change


def _removed(path: str) -> Callable[[Path], None]:
    return lambda root: (root / path).unlink()


def _moved(root: Path) -> None:
    (root / CODE).rename(root / "pigeon/dove.py")
    _changed("pigeon/__init__.py", "pigeon.pigeon", "pigeon.dove")(root)


def _without_tables(root: Path) -> None:
    shutil.rmtree(root / "pigeon/cases")


CODE, TABLE = "pigeon/pigeon.py", "pigeon/cases/pigeon.yaml"
SAMPLE, PAGE = "config/transports/pigeon.yaml", "docs/transports/pigeon.rst"
A_KEY = '    api_key = ConfigText("The key to the API.", required=True, static=True, secret=True)'

#: What is done to a transport that is good -> the rule that finds it, and its words.
BROKEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no sample": (_removed(SAMPLE), "names", "there is no config/transports/pigeon.yaml"),
    "no page": (_removed(PAGE), "names", "there is no docs/transports/pigeon.rst"),
    "no test": (
        _removed("pigeon/tests/test_pigeon.py"),
        "names",
        "there is no pigeon/tests/test_pigeon.py",
    ),
    "no module of its name": (_moved, "names", "there is no pigeon/pigeon.py"),
    "its options are not exported": (
        _changed("pigeon/__init__.py", ", PigeonSmsTransportConfig", ""),
        "names",
        "__all__ does not name PigeonSmsTransportConfig",
    ),
    "nothing is exported": (
        _changed("pigeon/__init__.py", "__all__", "_all"),
        "names",
        "__all__ names no transport of its own",
    ),
    "it can't be imported": (
        _changed(CODE, "import json", "import no_such_module"),
        "import",
        "it can't be imported: ModuleNotFoundError",
    ),
    "no docstring": (
        _changed(CODE, '"""SMS through Pigeon."""', ""),
        "docstring",
        "PigeonSmsTransport has no docstring that ends in a full stop",
    ),
    "no options": (
        _changed(
            CODE,
            "    CONFIG_CLASS: ClassVar[Any] = PigeonSmsTransportConfig",
            "    from vumi.transports.base import TransportConfig as CONFIG_CLASS",
        ),
        "options",
        "PigeonSmsTransport declares no options",
    ),
    "an option without words": (
        _changed(CODE, '"The key to the API."', '""'),
        "options",
        "PigeonSmsTransportConfig.api_key: what it is for is not told in a sentence",
    ),
    "an option without its unit": (
        _changed(
            CODE,
            A_KEY,
            f"{A_KEY}\n    from vumi.config import ConfigInt\n"
            '    poll_delay = ConfigInt("How long to wait.", default=1, static=True)',
        ),
        "options",
        "PigeonSmsTransportConfig.poll_delay: it is not told that it is in seconds",
    ),
    "a secret that is not declared": (
        _changed(CODE, ", secret=True", ""),
        "secrets",
        "PigeonSmsTransportConfig.api_key: it is not declared secret=True",
    ),
    "a sample that is wrong": (
        _changed(SAMPLE, "api_key:", "api_kex:"),
        "sample",
        "the sample: Missing required config field 'api_key'",
    ),
    "a sample with an unknown option": (
        _changed(SAMPLE, "publish_status: true", "publish_states: true"),
        "sample",
        "the sample: Unknown option 'publish_states'. Did you mean 'publish_status'?",
    ),
    "a sample that is no YAML": (
        _changed(SAMPLE, "publish_status: true", "publish_status: ["),
        "sample",
        "the sample can't be read",
    ),
    "a sample that nobody knows how to start": (
        _changed(SAMPLE, "--worker-class pigeon.", "--worker-class dove."),
        "sample",
        "the sample does not say how to start it",
    ),
    "a page with another heading": (
        _changed(PAGE, "Errors\n------", "Faults\n------"),
        "page",
        "the page's headings are Overview, Configuration, Messages, Faults, Sample",
    ),
    "a page without the options": (
        _changed(PAGE, ".. vumi-config::", ".. config::"),
        "page",
        "the page has no '.. vumi-config:: pigeon.PigeonSmsTransportConfig'",
    ),
    "a page without the cases": (
        _changed(PAGE, ".. vumi-cases:: pigeon", ""),
        "page",
        "the page has no '.. vumi-cases:: pigeon'",
    ),
    "a page without the sample": (
        _changed(PAGE, ".. literalinclude::", ".. include::"),
        "page",
        "the page has no '.. literalinclude::",
    ),
    "no bad case": (
        _changed(TABLE, "event: {nack", "event: {ack"),
        "cases",
        "the tables have no case of a message that is nacked",
    ),
    "no tables": (_without_tables, "cases", "it has no tables of cases, as all of the vumi."),
    "a table that can't be read": (
        _changed(TABLE, "inbound:", "inbond:"),
        "cases",
        "pigeon/cases/pigeon.yaml, line",
    ),
    "a test that plays nothing": (
        _changed("pigeon/tests/test_pigeon.py", "TransportCases", "TestCase"),
        "cases",
        "test_pigeon.py does not play the cases",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a transport that is good."""
    write_files(tmp_path, transport_files("pigeon", "httpsms", "pigeon"))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "pigeon"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_is_found(name: str, folder: Path) -> None:
    spoil, rule, words = BROKEN[name]
    spoil(folder)
    found = [p for p in Entry("pigeon", "pigeon", folder).problems() if p.rule == rule]
    assert any(words in str(problem) for problem in found), found
    assert all(str(problem).startswith("pigeon: ") for problem in found)


def test_what_breaks_no_rule_has_no_problems(folder: Path) -> None:
    assert list(Entry("pigeon", "pigeon", folder).problems()) == []


def test_every_rule_is_tried() -> None:
    rules = {name[1:-9] for name in dir(Entry) if name.endswith("_problems")} | {"import"}
    assert {rule for _, rule, _ in BROKEN.values()} == rules


def test_a_transport_of_no_family_says_itself_what_it_can_do(folder: Path) -> None:
    _without_tables(folder)
    (folder / CODE).write_text(
        "from vumi.transports import Transport, TransportConfig\n\n"
        "class PigeonSmsTransportConfig(TransportConfig):\n    pass\n\n"
        "class PigeonSmsTransport(Transport):\n    CONFIG_CLASS = PigeonSmsTransportConfig\n"
    )
    entry = Entry("pigeon", "pigeon", folder)
    assert "neither tables of cases nor catalogue_facts [cases]" in "".join(
        map(str, entry.problems())
    )
    with pytest.raises(LookupError):
        _ = entry.facts
    facts = {"protocol": "smoke", "receives": False, "sends": True}
    entry.classes[0].catalogue_facts = {**facts, "sessions": False, "receipts": False}  # type: ignore[attr-defined]  # it is a new one
    assert entry.facts.directions == "out"
    assert not entry.facts.redis


def test_tables_in_folders_below_count(folder: Path) -> None:
    below = folder / "pigeon/cases/old"
    below.mkdir()
    (below / "old.yaml").write_text("outbound: {old: {send: x, event: ack}}")
    entry = Entry("pigeon", "pigeon", folder)
    assert entry.tables.cases[-1].place.file == "pigeon/cases/old/old.yaml"
    (below / "old.yaml").write_text("outbound: {old: {}}")
    with pytest.raises(CaseError, match=r"pigeon/cases/old/old.yaml, line 1, case 'old'"):
        _ = Entry("pigeon", "pigeon", folder).tables
