"""The test case whose tests are the cases of a transport's tables.

Knows trial, and how cases, stages and checks are put together to tests.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.errors import ConfigError
from vumi.tests.cases.checks import (
    after_problems,
    balance_problems,
    missing_option_problems,
    outgoing_case,
    restart_problems,
    script_problems,
    trouble_problems,
)
from vumi.tests.cases.model import INBOUND, Tables
from vumi.tests.cases.nodes import CaseError, Place
from vumi.tests.cases.player import CasePlayer
from vumi.tests.cases.stage import Stage
from vumi.tests.cases.tables import load_tables
from vumi.tests.helpers import VumiTestCase, import_skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vumi.tests.cases.client import RawRequest
    from vumi.tests.cases.model import Case

__all__ = ["TransportCases", "tables_folder"]


def tables_folder(transport_class: type[Any]) -> Path:
    """Where a transport's tables are: ``cases``, beside its module."""
    module = sys.modules[transport_class.__module__]
    return Path(module.__file__ or "").parent / "cases"


class TransportCases(VumiTestCase):
    """Tests of a transport. A subclass says which one, and has a test for each case.

    Its tests are made when the class is: one for each case in the tables, named by its label, and
    those that every transport has. One that the subclass has itself is left alone.
    """

    #: The transport.
    transport_class: ClassVar[type[Any] | None] = None

    #: Its options. Secrets must be texts that stand nowhere else.
    config: ClassVar[Mapping[str, Any]] = {}

    #: The folder of its tables; ``None``: ``cases`` beside the transport's module.
    tables: ClassVar[Path | None] = None

    #: How many requests the fuzzing test makes; 0 for none.
    fuzz_examples: ClassVar[int] = 30

    #: Seconds that a test may take. There is no waiting in them, but fuzzing tests are many.
    timeout = 120

    _tables: ClassVar[Tables] = Tables()

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        if cls.transport_class is None or "transport_class" not in vars(cls):
            return
        folder = cls.tables or tables_folder(cls.transport_class)
        try:
            cls._tables = load_tables(folder, f"{folder.parent.name}/{folder.name}")
        except CaseError as error:
            cls._add_test("tables_can_be_read", _failing(str(error)))
            return
        for case in cls._tables.cases:
            cls._add_test(f"{case.table}_{case.slug.replace('-', '_')}", _playing(case))
        for name, method in cls._own_checks():
            cls._add_test(name, method)

    @classmethod
    def _own_checks(cls) -> Iterable[tuple[str, Callable[[Any], Any]]]:
        yield "there_are_good_and_bad_cases_each_way", cls._check_balance
        yield "each_required_option_is_missed_by_its_name", cls._check_options
        yield "it_can_be_stopped_and_started_again", cls._check_restart
        if outgoing_case(cls._tables) is not None:
            yield "one_answer_to_each_message_whatever_the_network_does", cls._check_troubles
            yield "one_answer_to_a_text_in_any_script", cls._check_scripts
        if cls.fuzz_examples and any(step.request for step in cls._tables.steps):
            yield "any_request_is_answered", cls._check_any_request

    @classmethod
    def _add_test(cls, name: str, method: Callable[[Any], Any]) -> None:
        name = f"test_{name}"
        if name not in vars(cls):

            def test(self: Any) -> Any:
                return method(self)

            test.__name__ = name
            test.__qualname__ = f"{cls.__qualname__}.{name}"
            test.__module__ = cls.__module__
            setattr(cls, name, test)

    # To be overridden

    def sign(self, request: RawRequest) -> None:
        """Sign a request that is about to be made, as the network does.

        :param request: Its ``headers`` may be changed. What a table says stands there already.
        """

    # What tests do

    def make_stage(self, label: str, case: Case | None = None) -> Stage:
        """Where a case can be played; with the transport not started."""
        assert self.transport_class is not None
        config = {**self.config, **(case.config if case else self._first_config())}
        if case is None:
            return Stage(self.transport_class, config, label)
        return Stage(self.transport_class, config, label, case.now)

    def _first_config(self) -> dict[str, Any]:
        # Some options may be in the tables only; not those that only some cases have.
        first, *others = [case.config for case in self._tables.cases] or [{}]
        return {
            name: value
            for name, value in first.items()
            if all(name in config and config[name] == value for config in others)
        }

    def make_player(self, case: Case) -> tuple[Stage, CasePlayer]:
        """The same, with what plays the case."""
        stage = self.make_stage(case.label, case)
        transport_type = getattr(self.transport_class, "transport_type", None)
        kind = stage.config.get("transport_type") or transport_type or "sms"
        return stage, CasePlayer(stage, case, _path_of(stage), kind, self.sign)

    async def play(self, case: Case) -> None:
        """Play a case; fails with all that is not as the case has it."""
        try:
            stage, player = self.make_player(case)
        except ConfigError as error:
            self.fail(f"{case.place}: {error}")
        with stage.installed():
            await stage.start()
            try:
                await player.play()
            finally:
                await stage.stop()
        problems = [*player.problems, *(f"{case.place}: {p}" for p in after_problems(stage))]
        self._conclude(problems)

    def _conclude(self, problems: Iterable[str]) -> None:
        self._forget()
        told = list(dict.fromkeys(problems))
        if told:
            self.fail("\n" + "\n".join(told))

    def _forget(self) -> None:
        """Keep trial from telling what was told, or is nobody's fault here."""
        # Those that matter are among the problems.
        self.flushLoggedErrors()
        for warning in self.flushWarnings():
            # Twisted answers an unknown method by what it has deprecated itself (26.10).
            if "_UnsafeErrorPage" not in str(warning["message"]):
                where = str(warning["filename"]), int(str(warning["lineno"]))
                warnings.warn_explicit(str(warning["message"]), warning["category"], *where)

    def _check_balance(self) -> None:
        receives = bool(self._tables.of(INBOUND))
        sends = any(step.sends or step.replies for step in self._tables.steps)
        self._conclude(balance_problems(self._tables, receives, sends))

    def _check_options(self) -> None:
        assert self.transport_class is not None
        config = self.make_stage("options").config
        self._conclude(missing_option_problems(self.transport_class, config))

    async def _check_restart(self) -> None:
        self._conclude(await restart_problems(lambda: self.make_stage("restart")))

    async def _check_troubles(self) -> None:
        case = outgoing_case(self._tables)
        assert case is not None
        self._conclude(await trouble_problems(case, self.make_player))

    async def _check_scripts(self) -> None:
        case = outgoing_case(self._tables)
        assert case is not None
        self._conclude(await script_problems(case, self.make_player))

    async def _check_any_request(self) -> None:
        # Only here, so that all else can be done where there is no hypothesis.
        try:
            from vumi.tests.cases.fuzz import fuzz, requests_like
        except ImportError as error:
            import_skip(error, "hypothesis")
        path = _path_of(self.make_stage("fuzz"))
        place = Place(f"{type(self).__name__}, any request")
        try:
            await fuzz(
                lambda: self.make_stage("fuzz"),
                requests_like(self._tables, path),
                place,
                self.fuzz_examples,
                self.sign,
            )
        finally:
            self._forget()


def _path_of(stage: Stage) -> str:
    config = stage.transport_class.CONFIG_CLASS(stage.config, static=True)
    path: str = getattr(config, "web_path", None) or ""
    return "/" + path.lstrip("/")


def _playing(case: Case) -> Callable[[Any], Any]:
    return lambda self: self.play(case)


def _failing(words: str) -> Callable[[Any], Any]:
    return lambda self: self.fail(words)
