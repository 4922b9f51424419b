"""Resources whose commands and options are declared: what is checked is what is documented.

Knows how a command's arguments are told and checked, and how a resource's options are read. Knows
no command and no option by itself.

A handler is declared so::

    @answers(
        Argument("key", TEXT, "Under which key."),
        value="What is there; null if nothing is.",
    )
    async def handle_get(self, api, command, key):
        \"""Give a value.\"""

It is called with its arguments checked and by name. A program that gives others gets a failed
reply that says which one is wrong; the handler is then not called. It gives a reply, or the fields
of a successful one as a dict; ``CommandRefused`` makes a failed one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.base import SandboxResource
from vumi.config import Config
from vumi.tasks import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vumi.application.sandbox.command import SandboxCommand

__all__ = [
    "ANYTHING",
    "BOOLEAN",
    "LIST",
    "NUMBER",
    "OBJECT",
    "TEXT",
    "TEXTS",
    "TEXT_OR_NULL",
    "WHOLE_NUMBER",
    "Argument",
    "CommandDeclaration",
    "DeclaredResource",
    "Kind",
    "answers",
    "declared_commands",
]


@dataclass(frozen=True)
class Kind:
    """What an argument may be.

    :param words: What it must be, as the end of a sentence: ``a text``.
    :param fits: Whether a value is one.
    """

    words: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    # JavaScript has one kind of numbers: 5.0 is as whole as 5.
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


ANYTHING = Kind("anything that JSON can say", lambda value: True)
BOOLEAN = Kind("either true or false", lambda value: isinstance(value, bool))
LIST = Kind("a list", lambda value: isinstance(value, list))
NUMBER = Kind("a number", _is_number)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXT = Kind("a text", lambda value: isinstance(value, str))
TEXTS = Kind("a list of texts", _are_texts)
TEXT_OR_NULL = Kind("a text or null", lambda value: value is None or isinstance(value, str))
WHOLE_NUMBER = Kind("a whole number", _is_whole)


@dataclass(frozen=True)
class Argument:
    """One argument of a command.

    :param doc: What it is, as a sentence.
    :param optional: Whether it may be left out.
    :param default: What it is then, and if it is null.
    :param missing: The reason that a program is told if it is left out and must not be.
    :param wrong: The reason if it is of another kind.
    """

    name: str
    kind: Kind
    doc: str
    optional: bool = False
    default: Any = None
    missing: str = ""
    wrong: str = ""

    def problem(self, fields: Mapping[str, Any]) -> str | None:
        """What is wrong with it in a command, if anything is."""
        if self.name not in fields:
            return None if self.optional else self.missing or f"'{self.name}' must be given."
        value = fields[self.name]
        if self.kind.fits(value) or (value is None and self.optional):
            return None
        return self.wrong or f"'{self.name}' must be {self.kind.words}."

    def value(self, fields: Mapping[str, Any]) -> Any:
        """Its value in a command that is right."""
        value = fields.get(self.name)
        if value is None:
            return self.default
        return int(value) if self.kind is WHOLE_NUMBER else value


@dataclass(frozen=True)
class CommandDeclaration:
    """What is to be known of a command.

    :param doc: What it does, as its handler's docstring says.
    :param reply: The fields of a successful reply besides ``success``: name -> what it is.
    """

    name: str
    doc: str
    arguments: tuple[Argument, ...] = ()
    reply: tuple[tuple[str, str], ...] = ()


def answers(*arguments: Argument, **reply: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a handler.

    :param arguments: What the command takes; other fields are left alone.
    :param reply: The fields of a successful reply besides ``success``: name -> what it is.
    """

    def declare(handler: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handler)
        async def checked(self: SandboxResource, api: Any, command: SandboxCommand) -> Any:
            fields = command.payload
            for argument in arguments:
                problem = argument.problem(fields)
                if problem is not None:
                    return self.reply_error(command, problem)
            values = {argument.name: argument.value(fields) for argument in arguments}
            try:
                answer = await settle(handler(self, api, command, **values))
            except CommandRefused as error:
                return self.reply_error(command, str(error))
            return self.reply(command, success=True, **answer) if type(answer) is dict else answer

        found: Any = checked
        found.declared_arguments = arguments
        found.declared_reply = tuple(reply.items())
        return checked

    return declare


def declared_commands(resource_class: type[SandboxResource]) -> Iterator[CommandDeclaration]:
    """The commands of a class of resources, by name; those that are not declared, too."""
    for attribute in sorted(dir(resource_class)):
        if attribute.startswith("handle_"):
            handler = getattr(resource_class, attribute)
            yield CommandDeclaration(
                attribute.removeprefix("handle_"),
                handler.__doc__ or "",
                getattr(handler, "declared_arguments", ()),
                getattr(handler, "declared_reply", ()),
            )


class DeclaredResource(SandboxResource):
    """A resource with declared options.

    :ivar options: The options, of the class :attr:`CONFIG_CLASS`.
    :raises ConfigError: One of them is wrong.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = Config

    def __init__(self, name: str, app_worker: Any, config: Mapping[str, Any]) -> None:
        super().__init__(name, app_worker, config)
        self.options: Any = self.CONFIG_CLASS(dict(config))
