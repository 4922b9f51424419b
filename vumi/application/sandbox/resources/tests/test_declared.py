"""Declarations: what is checked by them, and that everything is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vumi.application.sandbox import Sandbox, StandaloneJsFileSandbox, resources
from vumi.application.sandbox.resources.declared import (
    ANYTHING,
    BOOLEAN,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    WHOLE_NUMBER,
    Argument,
    DeclaredResource,
    answers,
    declared_commands,
)
from vumi.application.sandbox.resources.tests.utils import ResourceTestCaseBase
from vumi.checking import Findings, check_worker
from vumi.config import Config, ConfigInt

EXAMPLE = Path(__file__).parents[5] / "config" / "examples" / "js"
ALL = [
    found
    for found in vars(resources).values()
    if isinstance(found, type) and issubclass(found, DeclaredResource)
]

VALUES: list[Any] = ["x", 5, 5.0, 5.5, True, None, [], ["x"], [5], {}]
FITS = [
    (ANYTHING, VALUES),
    (BOOLEAN, [True]),
    (LIST, [[], ["x"], [5]]),
    (NUMBER, [5, 5.0, 5.5]),
    (OBJECT, [{}]),
    (TEXT, ["x"]),
    (TEXTS, [[], ["x"]]),
    (TEXT_OR_NULL, ["x", None]),
    (WHOLE_NUMBER, [5, 5.0]),
]


@pytest.mark.parametrize(("kind", "fitting"), FITS)
def test_what_an_argument_may_be(kind: Any, fitting: list[Any]) -> None:
    assert [repr(value) for value in VALUES if kind.fits(value)] == list(map(repr, fitting))


@pytest.mark.parametrize("resource_class", ALL)
def test_every_command_and_argument_is_told_of(resource_class: Any) -> None:
    commands = list(declared_commands(resource_class))
    assert commands
    for command in commands:
        texts = [command.doc, *(argument.doc for argument in command.arguments)]
        texts += [meaning for _name, meaning in command.reply]
        assert all(text.rstrip().endswith(".") for text in texts), command
        handler = getattr(resource_class, f"handle_{command.name}")
        assert hasattr(handler, "declared_arguments"), command.name


def test_there_are_resources() -> None:
    assert len(ALL) == 10


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the example is in the source tree only")
def test_the_example_is_configured_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLE)
    config = yaml.safe_load((EXAMPLE / "market.yaml").read_text("utf-8"))
    # The toolkit comes from npm.
    del config["modules"]
    assert check_worker(StandaloneJsFileSandbox, config).problems == ()


class CountConfig(Config):
    """Options of the resource below."""

    start = ConfigInt("Where to begin.", default=1, static=True)


class Counting(DeclaredResource):
    """Counts."""

    CONFIG_CLASS = CountConfig

    @answers(
        Argument("by", WHOLE_NUMBER, "How much.", optional=True, default=1),
        Argument("name", TEXT, "Whose.", missing="Whose?", wrong="Whose is that?"),
        sum="The sum.",
    )
    def handle_up(self, api: Any, command: Any, by: int, name: str) -> Any:
        """Count up."""
        return self.reply(command, success=True, sum=[name, self.options.start + by])


class TestDeclaredResource(ResourceTestCaseBase):
    resource_cls = Counting

    async def test_arguments_arrive_by_name(self) -> None:
        await self.create_resource({})
        reply = await self.dispatch_command("up", name="a", by=5.0, other=[1])
        self.check_reply(reply, sum=["a", 6])
        for fields in ({}, {"by": None}):
            reply = await self.dispatch_command("up", name="a", **fields)
            self.check_reply(reply, sum=["a", 2])

    async def test_what_is_wrong_is_told_and_the_handler_not_called(self) -> None:
        await self.create_resource({})
        self.check_reply_error(await self.dispatch_command("up"), "Whose?")
        self.check_reply_error(await self.dispatch_command("up", name=5), "Whose is that?")
        reply = await self.dispatch_command("up", name="a", by="1")
        self.check_reply_error(reply, "'by' must be a whole number.")

    def check(self, **sandbox: Any) -> Findings:
        config = {"transport_name": "sms", "sandbox_id": "box", "sandbox": sandbox}
        return check_worker(Sandbox, config)

    def test_options_of_sections_that_are_not_known_are_told_by_vumi_check(self) -> None:
        found = self.check(count={"cls": f"{__name__}.Counting", "strat": 5, "start": 1})
        self.assertEqual(
            found.problems,
            ("sandbox.count: Unknown option 'strat'. Did you mean 'start'?",),
        )
        self.assertEqual(found.errors, ())

    def test_sections_that_are_wrong_are_all_told_by_vumi_check(self) -> None:
        good = f"{__name__}.Counting"
        found = self.check(
            typed={"cls": good, "start": "many"},
            missing={"cls": f"{__name__}.Countin"},
            module={"cls": "nowhere.Counting"},
            classless={"start": 1},
            text="Counting",
            function={"cls": f"{__name__}.ALL"},
            fine={"cls": good},
        )
        names = [problem.partition(":")[0] for problem in found.errors]
        wrong = ("typed", "missing", "module", "classless", "text", "function")
        self.assertEqual(names, [f"sandbox.{name}" for name in wrong])
        self.assertIn(f"Did you mean '{good}'?", found.errors[1])

    def test_what_is_wrong_with_the_program_is_told_with_it(self) -> None:
        config = {
            "transport_name": "sms",
            "sandbox": {"count": {"cls": f"{__name__}.Countin"}},
            "executable": "/nowhere/program",
        }
        told = "\n".join(check_worker(Sandbox, config).errors)
        self.assertIn("Countin", told)
        self.assertIn("/nowhere/program", told)
