"""The blocks of code in a page of documentation, and how each is tried.

Knows reStructuredText just as far as code blocks go. Knows no page.

* A block of Python with a file name (its caption, or a first line like ``# greeter.py``) becomes
  that file, next to those of the same page, and is imported; the test cases in it are run. One
  without a name continues what the blocks before it have begun.
* A block of YAML with the dotted path of a worker class in its first lines
  (``# vumi.demos.words.EchoWorker``) is checked as that worker's configuration.
* In a block of shell commands each ``vumi``, ``twistd``, ``make`` and so on must be one that
  exists, with options that exist and files that are there.
* Text and parts of other programs' configurations are only shown.
"""

from __future__ import annotations

import doctest
import importlib
import json
import re
import shlex
import shutil
import sys
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # no __all__

from vumi.checking import check_worker, load_worker_class
from vumi.cli.command import vumi
from vumi.servicemaker import StartWorkerOptions, check_options
from vumi.yamlconfig import read_yaml_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Block", "Page", "code_blocks"]

ROOT = Path(__file__).parents[2]

_DIRECTIVE = re.compile(r"( *)\.\. (?:code-block|code|sourcecode):: *(\S*)$")
_OPTION = re.compile(r" *:([\w-]+): *(.*)$")
_FILE_NAME = re.compile(r"# ([\w./-]+\.\w+)$")
_CLASS_PATH = re.compile(r"# ((?:[a-z_]\w*\.)+[A-Z]\w*)$")

#: Programs whose arguments are not ours to know.
FOREIGN_PROGRAMS = {
    "curl",
    "apt-get",
    "cd",
    "export",
    "git",
    "mkdir",
    "npm",
    "pip",
    "python",
    "rabbitmqadmin",
    "rabbitmqctl",
    "source",
    "supervisorctl",
    "supervisord",
    "telnet",
}


@dataclass(frozen=True)
class Block:
    """A piece of code.

    :param line: Where in the page it begins, counted from 1.
    """

    language: str
    text: str
    line: int
    caption: str = ""

    @property
    def file_name(self) -> str:
        """The file that it is shown as, or ``""``."""
        if re.fullmatch(r"[\w./-]+\.\w+", self.caption):
            return self.caption
        return self._in_first_lines(_FILE_NAME)

    @property
    def module_name(self) -> str:
        """What a Python block with a file name is imported as: ``pigeon/loft.py`` is pigeon.loft.

        Empty for other blocks.
        """
        is_module = self.language == "python" and self.file_name.endswith(".py")
        return self.file_name.removesuffix(".py").replace("/", ".") if is_module else ""

    @property
    def worker_class(self) -> str:
        """The worker that a block of YAML configures, or ``""``."""
        return self._in_first_lines(_CLASS_PATH)

    def _in_first_lines(self, pattern: re.Pattern[str]) -> str:
        for line in self.text.split("\n")[:2]:
            if match := pattern.match(line):
                return match[1]
        return ""


def code_blocks(source: str) -> Iterator[Block]:
    """Find the blocks of code in a page."""
    lines = source.split("\n")
    number = 0
    while number < len(lines):
        match = _DIRECTIVE.match(lines[number])
        if match:
            number, block = _read_block(lines, number + 1, len(match[1]), match[2])
            yield block
        elif lines[number].lstrip().startswith(">>> "):
            start = number
            while number < len(lines) and lines[number].strip():
                number += 1
            yield Block("python", _dedented(lines[start:number]), start + 1)
        else:
            number += 1


def _read_block(
    lines: Sequence[str], number: int, indent: int, language: str
) -> tuple[int, Block]:
    caption = ""
    while number < len(lines) and (option := _OPTION.match(lines[number])):
        if option[1] == "caption":
            caption = option[2]
        number += 1
    start = number
    while number < len(lines) and (
        not lines[number].strip() or len(lines[number]) - len(lines[number].lstrip()) > indent
    ):
        number += 1
    content = list(lines[start:number])
    while content and not content[0].strip():
        del content[0]
        start += 1
    return number, Block(language, _dedented(content), start + 1, caption)


def _dedented(lines: Sequence[str]) -> str:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines).rstrip() + "\n"


# Trying them


class Page:
    """A page whose code is tried in a folder of its own.

    :param path: The page.
    :param folder: Where its files go; empty, and first in ``sys.path``.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.blocks = list(code_blocks(path.read_text("utf-8")))
        self.names: dict[str, Any] = {"__name__": "page"}
        self.problems: list[str] = []
        self.tests_run = 0

    def try_all(self) -> None:
        """Try every block; what is wrong with the configurations and commands is collected."""
        # What the commands name is where a reader has it: the project's own files, and the page's.
        shutil.copytree(ROOT / "config", self.folder / "config")
        shutil.copy(ROOT / "supervisord.conf", self.folder)
        for block in self.blocks:
            if block.file_name:
                path = self.folder / block.file_name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, "utf-8")
        importlib.invalidate_caches()
        for block in self.blocks:
            if block.language == "python":
                self._run_python(block)
            elif block.language == "json":
                json.loads(block.text)
            elif block.language == "yaml":
                self._check_yaml(block)
            elif block.language == "console":
                for command in _commands(block):
                    self._check_command(block, command)
            elif block.language not in ("text", "ini"):
                self._problem(block, f"nobody tries a block of {block.language!r}")

    def _problem(self, block: Block, words: str) -> None:
        self.problems.append(f"{self.path}, line {block.line}: {words}")

    def _run_python(self, block: Block) -> None:
        if block.file_name:
            module = importlib.import_module(block.module_name)
            self._run_tests(block, module)
            self.names.update(vars(module), __name__="page")
        elif block.text.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(
                block.text, self.names, str(self.path), str(self.path), block.line - 1
            )
            # It would empty the names for those that come after it.
            doctest.DebugRunner().run(test, clear_globs=False)
        else:
            # With the lines before it, so that a traceback has the page's line numbers.
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, str(self.path), "exec"), self.names)  # noqa: S102 (our own pages)

    def _run_tests(self, block: Block, module: Any) -> None:
        for found in list(vars(module).values()):
            if not (isinstance(found, type) and issubclass(found, unittest.TestCase)):
                continue
            if found.__module__ != module.__name__:
                continue
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(found).run(result)
            self.tests_run += result.testsRun
            for _, traceback in result.errors + result.failures:
                self._problem(block, traceback)

    def _check_yaml(self, block: Block) -> None:
        path = self.folder / (block.file_name or f"line{block.line}.yaml")
        path.write_text(block.text, "utf-8")
        config = read_yaml_config(path)
        if block.worker_class:
            found = check_worker(load_worker_class(block.worker_class), config)
            for problem in found.problems:
                self._problem(block, problem)

    def _check_command(self, block: Block, command: list[str]) -> None:
        program, *arguments = command[1:] if command[0] == "sudo" else command
        program = Path(program).name
        try:
            if program == "vumi":
                _check_click(vumi, program, arguments)
            elif program == "twistd":
                _check_twistd(arguments)
            elif program == "make":
                _check_make(arguments)
            elif program in FOREIGN_PROGRAMS:
                _check_files(arguments)
            else:
                self._problem(block, f"nobody knows the program {program!r}")
        except (click.ClickException, UsageError, _WrongCommand) as error:
            self._problem(block, f"{shlex.join(command)}: {error}")
        except SystemExit as end:
            # That is how --check-config and a mistake in an option end.
            if end.code:
                self._problem(block, f"{shlex.join(command)}: exit status {end.code}")

    def forget_modules(self) -> None:
        """Let other pages have modules of the same names."""
        for block in self.blocks:
            package, _, _ = block.module_name.partition(".")
            for name in [package, block.module_name]:
                sys.modules.pop(name, None)


class _WrongCommand(Exception):
    """A command in a page that can't work."""


def _commands(block: Block) -> Iterator[list[str]]:
    """The commands in a block: lines that begin with a prompt, without what they print."""
    text = block.text.replace("\\\n", " ")
    for line in text.split("\n"):
        if line.startswith("$ "):
            words = shlex.split(line[2:], comments=True)
            if words:
                yield words


def _check_click(command: click.Command, name: str, arguments: list[str]) -> None:
    """Parse a command line as the command would, and call nothing."""
    parent: click.Context | None = None
    while True:
        context = command.make_context(name, arguments, parent=parent)
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        found, below, arguments = command.resolve_command(context, rest)
        if below is None:
            raise _WrongCommand(f"no such command: {found}")
        name, command, parent = found or "", below, context


def _check_twistd(arguments: list[str]) -> None:
    """Parse a command line of twistd, and check the worker's configuration."""
    options = ServerOptions()
    options.parseOptions(arguments)
    worker_options = options.subOptions
    if isinstance(worker_options, StartWorkerOptions):
        problems = check_options(worker_options).problems
        if problems:
            raise _WrongCommand("; ".join(problems))


def _check_make(arguments: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for argument in arguments:
        if "=" not in argument and argument not in targets:
            raise _WrongCommand(f"no such target: {argument}")


def _check_files(arguments: list[str]) -> None:
    for argument in arguments:
        if re.fullmatch(r"[\w./-]+\.(?:conf|py|yaml)", argument) and not Path(argument).exists():
            raise _WrongCommand(f"no such file: {argument}")
