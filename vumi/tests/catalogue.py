"""All transports there are, what each can do, and the rules that their folders keep.

Knows the shape of a transport's folder; no list of transports. It is for the documentation, the
tests and ``vumi new transport``; no worker needs it, and it reads the tables of cases, which are
part of the test kit.

What a transport can do is not declared but read off its tables of cases, so a matrix made of it
says what a test shows: a message that is expected means that it receives, an ack that it sends, a
session event that there are sessions, a delivery report that there are some. One that derives from
no family (:data:`FAMILIES`) has no tables and says it itself, by a class attribute::

    catalogue_facts = {
        "protocol": "telnet",
        "receives": True,
        "sends": True,
        "sessions": True,
        "receipts": False,
    }

The rules are told in ``docs/transports/add-a-transport.rst``.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vumi.checking import check_worker
from vumi.config import ConfigFloat, ConfigInt
from vumi.config.redact import is_credential
from vumi.errors import ConfigError, VumiError
from vumi.tests.cases.checks import balance_problems
from vumi.tests.cases.model import INBOUND, Case, Tables
from vumi.tests.cases.nodes import CaseError
from vumi.tests.cases.tables import load_tables
from vumi.transports.base import Transport, TransportConfig
from vumi.yamlconfig import read_yaml_config

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FAMILIES", "HEADINGS", "Entry", "Facts", "Family", "Problem", "walk"]

#: What every page has, in this order.
HEADINGS = ("Overview", "Configuration", "Messages", "Errors", "Sample")

# "timeout", "retry_delay", "response_time_down"; not "time_zone" or "timestamp_format".
_OF_TIME = re.compile(
    r"(?:^|_)(?:timeout|interval|delay|period|lifetime|life_time|ttl|expiry|response_time)(?:_|$)"
)
_WORKER_CLASS = re.compile(r"--worker-class\s+([\w.]+)")


@dataclass(frozen=True)
class Family:
    """What transports of one kind derive from.

    :param class_path: The dotted path of the base.
    :param protocol: What its members speak.
    """

    class_path: str
    protocol: str

    @property
    def base(self) -> type[Transport]:
        """The base."""
        module_name, _, name = self.class_path.rpartition(".")
        found: type[Transport] = getattr(import_module(module_name), name)
        return found


#: Folder of the family -> the family. The nearest one counts: they derive from each other.
FAMILIES = {
    "httprpc": Family("vumi.transports.httprpc.HttpRpcTransport", "HTTP"),
    "httpsms": Family("vumi.transports.httpsms.HttpSmsTransport", "HTTP"),
    "xmlrpc": Family("vumi.transports.xmlrpc.XmlRpcTransport", "XML-RPC"),
}


@dataclass(frozen=True)
class Facts:
    """What a transport can do: a row of the matrix.

    :param protocol: What it speaks, in a word or two.
    :param receives: Whether it gets messages from its network.
    :param sends: Whether it sends messages, replies included.
    :param sessions: Whether its messages say where in a session they are.
    :param receipts: Whether it gives delivery reports.
    :param redis: Whether it needs a key-value store.
    """

    protocol: str
    receives: bool
    sends: bool
    sessions: bool
    receipts: bool
    redis: bool

    @property
    def directions(self) -> str:
        """``in``, ``out`` or ``in and out``."""
        both = [word for word, is_so in (("in", self.receives), ("out", self.sends)) if is_so]
        return " and ".join(both) or "none"


@dataclass(frozen=True)
class Problem:
    """A rule that a transport breaks.

    :param transport: Its name.
    :param rule: The rule's name.
    :param words: What is wrong.
    """

    transport: str
    rule: str
    words: str

    def __str__(self) -> str:
        return f"{self.transport}: {self.words} [{self.rule}]"


@dataclass(frozen=True)
class Entry:
    """One transport's folder.

    :param name: Its name, which is that of everything that belongs to it.
    :param package: The dotted path of the folder.
    :param root: The folder that has ``config`` and ``docs``.
    """

    name: str
    package: str
    root: Path

    @cached_property
    def module(self) -> Any:
        """The package.

        :raises ImportError: It can't be imported.
        """
        return import_module(self.package)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return Path(self.module.__file__).parent

    @property
    def classes(self) -> list[type[Transport]]:
        """The transports in it, in the order in which it names them."""
        named = (getattr(self.module, name, None) for name in getattr(self.module, "__all__", ()))
        return [
            found
            for found in named
            if inspect.isclass(found)
            and issubclass(found, Transport)
            and found.__module__.startswith(f"{self.package}.")
        ]

    @property
    def family(self) -> Family | None:
        """The family that it belongs to."""
        found = [
            (len(family.base.__mro__), family)
            for family in FAMILIES.values()
            if any(issubclass(cls, family.base) for cls in self.classes)
        ]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    @property
    def has_tables(self) -> bool:
        """Whether there are tables of cases."""
        return (self.folder / "cases").is_dir()

    @cached_property
    def tables(self) -> Tables:
        """All tables, also those in folders in the folder of tables.

        :raises CaseError: They can't be read.
        """
        base = self.folder / "cases"
        cases: list[Case] = []
        for folder in sorted({path.parent for path in base.rglob("*.yaml")}):
            cases += load_tables(folder, str(folder.relative_to(self.folder.parent))).cases
        return Tables(tuple(cases))

    @property
    def facts(self) -> Facts:
        """What it can do.

        :raises CaseError: Its tables can't be read.
        :raises LookupError: It has neither tables nor says so itself.
        """
        redis = any("redis_manager" in cls.CONFIG_CLASS._fields for cls in self.classes)
        declared: dict[str, Any] = {}
        for cls in reversed(self.classes):
            declared.update(getattr(cls, "catalogue_facts", {}))
        if self.has_tables:
            protocol = self.family.protocol if self.family else "HTTP"
            known: dict[str, Any] = {"protocol": protocol, "redis": redis, **_shown(self.tables)}
            return Facts(**{**known, **declared})
        if not declared:
            raise LookupError("it has neither tables of cases nor catalogue_facts")
        return Facts(**{"redis": redis, **declared})

    @property
    def sample(self) -> Path:
        """Its sample configuration."""
        return self.root / "config" / "transports" / f"{self.name}.yaml"

    @property
    def page(self) -> Path:
        """Its page in the documentation."""
        return self.root / "docs" / "transports" / f"{self.name}.rst"

    # Rules

    def problems(self) -> Iterator[Problem]:
        """What it breaks of the rules."""
        try:
            classes = self.classes
        except Exception as error:  # noqa: BLE001 (importing runs code, which may raise anything)
            yield Problem(self.name, "import", f"it can't be imported: {error!r}")
            return
        if not classes:
            yield Problem(self.name, "names", "__all__ names no transport of its own")
            return
        for rule in ("names", "docstring", "options", "secrets", "sample", "page", "cases"):
            for words in getattr(self, f"_{rule}_problems")():
                yield Problem(self.name, rule, words)

    def _names_problems(self) -> Iterator[str]:
        for path in (
            self.folder / f"{self.name}.py",
            self.folder / "tests" / f"test_{self.name}.py",
            self.sample,
            self.page,
        ):
            if not path.is_file():
                yield f"there is no {_shown_path(path, self.root)}"
        for cls in self.classes:
            config_class = cls.CONFIG_CLASS
            if not hasattr(self.module, config_class.__name__):
                yield f"__all__ does not name {config_class.__name__}"

    def _docstring_problems(self) -> Iterator[str]:
        for what, thing in [
            ("the package", self.module),
            *((c.__name__, c) for c in self.classes),
        ]:
            own = vars(thing).get("__doc__") or ""
            if not own.strip().endswith((".", "::")):
                yield f"{what} has no docstring that ends in a full stop"

    def _own_fields(self) -> Iterator[tuple[type[Transport], Any]]:
        """Its options, but for those that all transports have."""
        shared = TransportConfig._fields
        for cls in self.classes:
            for name, field in cls.CONFIG_CLASS._fields.items():
                if shared.get(name) is not field:
                    yield cls, field

    def _options_problems(self) -> Iterator[str]:
        for cls in self.classes:
            if cls.CONFIG_CLASS is TransportConfig:
                yield f"{cls.__name__} declares no options"
        for cls, field in self._own_fields():
            where = f"{cls.CONFIG_CLASS.__name__}.{field.name}"
            doc = " ".join(field.doc.split())
            if not doc.endswith("."):
                yield f"{where}: what it is for is not told in a sentence"
            is_quantity = isinstance(field, ConfigInt | ConfigFloat)
            is_quantity = is_quantity and not field.name.endswith("_code")
            if is_quantity and _OF_TIME.search(field.name) and "second" not in doc:
                yield f"{where}: it is not told that it is in seconds"

    def _secrets_problems(self) -> Iterator[str]:
        for cls, field in self._own_fields():
            is_number = field.field_type in ("bool", "int", "float")
            if is_credential(field.name) and not field.secret and not is_number:
                yield f"{cls.CONFIG_CLASS.__name__}.{field.name}: it is not declared secret=True"

    def _sample_problems(self) -> Iterator[str]:
        if not self.sample.is_file():
            return
        text = self.sample.read_text("utf-8")
        match = _WORKER_CLASS.search(text)
        named = {f"{self.package}.{cls.__name__}": cls for cls in self.classes}
        if match is None or match[1] not in named:
            yield "the sample does not say how to start it: --worker-class and one of its classes"
            return
        try:
            config = read_yaml_config(self.sample)
        except (VumiError, OSError) as error:
            yield f"the sample can't be read: {error}"
            return
        for problem in check_worker(named[match[1]], config).problems:
            yield f"the sample: {problem}"

    def _page_problems(self) -> Iterator[str]:
        if not self.page.is_file():
            return
        text = self.page.read_text("utf-8")
        found = re.findall(r"^(\S.*)\n(-+)$", text, re.MULTILINE)
        headings = tuple(title for title, line in found if len(title) == len(line))
        if headings != HEADINGS:
            yield f"the page's headings are {', '.join(headings)}, not {', '.join(HEADINGS)}"
        wanted = [
            f".. literalinclude:: ../../config/transports/{self.name}.yaml",
            *(f".. vumi-config:: {self.package}.{c}" for c in self._config_names()),
        ]
        if self.has_tables:
            wanted.append(f".. vumi-cases:: {self.package}")
        for line in wanted:
            if line not in text:
                yield f"the page has no '{line}'"

    def _config_names(self) -> list[str]:
        return sorted({cls.CONFIG_CLASS.__name__ for cls in self.classes})

    def _cases_problems(self) -> Iterator[str]:
        if not self.has_tables:
            if self.family is not None:
                yield f"it has no tables of cases, as all of the {self.family.class_path} have"
                return
            try:
                _ = self.facts
            except LookupError as error:
                yield str(error)
            return
        try:
            tables = self.tables
        except CaseError as error:
            yield str(error)
            return
        receives = bool(tables.of(INBOUND))
        sends = any(step.sends or step.replies for step in tables.steps)
        yield from balance_problems(tables, receives, sends)
        test = self.folder / "tests" / f"test_{self.name}.py"
        if test.is_file() and "TransportCases" not in test.read_text("utf-8"):
            yield f"{test.name} does not play the cases"


def _shown(tables: Tables) -> dict[str, bool]:
    """What cases show."""
    messages = [message for step in tables.steps for message in step.messages]
    return {
        "receives": bool(messages),
        "sends": any(step.is_acked for step in tables.steps),
        "sessions": any(message.fields.get("session_event") for message in messages),
        "receipts": any(step.reports for step in tables.steps),
    }


def _shown_path(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def walk(package: str = "vumi.transports", root: Path | None = None) -> list[Entry]:
    """All transports in the folders of a package, by their names.

    :param package: The package; families are left out.
    :param root: The folder that has ``config`` and ``docs``; by default where the package is.
    :raises ConfigError: It is no package.
    """
    found = import_module(package)
    folders = [Path(path) for path in getattr(found, "__path__", ())]
    if not folders:
        raise ConfigError(f"{package} is no package.")
    if root is None:
        root = folders[0].parents[package.count(".")]
    names = sorted(
        path.name
        for folder in folders
        for path in folder.iterdir()
        if (path / "__init__.py").is_file() and path.name not in FAMILIES and path.name != "tests"
    )
    return [Entry(name, f"{package}.{name}", root) for name in names]
