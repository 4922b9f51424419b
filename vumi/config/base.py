"""What an option is, and what a configuration made of options is.

Knows how a value is found (data, fallbacks, default), when it is checked and what may be read
from a static configuration. Knows no type of value (:mod:`vumi.config.fields`), no file and no
worker.

How it works: a :class:`Config` subclass declares its options as class attributes. Each is a
descriptor that keeps nothing of the data: reading it looks the value up and cleans it. Values of
static options that can't be changed are kept by the configuration and cleaned once. All others
are made anew at each reading, so changing what was read doesn't change the configuration. Making
a configuration reads every option once and reports all that is wrong together.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, NoReturn, Self, TypeVar, overload

from zope.interface import Interface, classImplements

from vumi.config.docs import class_doc, param_doc
from vumi.config.redact import given_options, redacted, scrub, secret_texts
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vumi.config.fallbacks import FieldFallback

__all__ = ["Config", "ConfigContext", "ConfigField", "IConfigData"]

T = TypeVar("T")

_creation_counter = count()

#: The types of values that can be read many times: they can't be changed.
_UNCHANGEABLE = frozenset([bool, bytes, float, int, re.Pattern, str, type, type(None)])


class IConfigData(Interface):
    """Where a configuration's values come from. A dict will do."""

    def get(field_name: str, default: Any) -> Any:
        """The value of an option, or the default if it isn't there."""

    def __contains__(field_name: str) -> bool:
        """Whether an option is there; one that is null is there."""


classImplements(dict, IConfigData)  # type: ignore[misc] # mypy-zope knows no built-ins


# One option


class ConfigField(Generic[T]):
    """One option of a configuration; read as an attribute, it gives a value of type `T`.

    For an own type of option, subclass, set :attr:`field_type` and override :meth:`clean`.

    :param doc: What the option is for; with the unit, if it is a quantity.
    :param required: Whether its absence is an error. An explicit null is not absent.
    :param default: What it is when neither it nor a fallback is given. Cleaned as any value.
    :param static: Whether it is the same for every message, and so may be read at any time.
    :param fallbacks: Where its value comes from when it isn't given itself; the first that
        has all it needs is taken.
    :param secret: Whether its value must never be shown.
    :param nullable: Whether null is a value that it may have.
    """

    #: What the documentation calls the type.
    field_type: str | None = None

    #: The option's name in the data; known once a :class:`Config` class has it.
    name: str = ""

    secret: bool = False

    #: Under which name a class has it; :meth:`setup` may choose another one for the data.
    _attribute: str | None = None

    def __init__(
        self,
        doc: str,
        required: bool = False,
        default: Any = None,
        static: bool = False,
        fallbacks: Iterable[FieldFallback] = (),
        *,
        secret: bool = False,
        nullable: bool = True,
    ) -> None:
        self.creation_order = next(_creation_counter)
        self.doc = doc
        self.required = required
        self.default = default
        self.static = static
        self.fallbacks = tuple(fallbacks)
        self.secret = secret
        self.nullable = nullable

    def setup(self, name: str) -> None:
        """Take the option's name. Called once, when the first class that has it is made."""
        self.name = name

    def get_doc(self) -> str:
        """The option's part of its class's docstring."""
        return param_doc(self)

    def present(self, config: Config, check_fallbacks: bool = True) -> bool:
        """Whether the option was given; a default doesn't count, an explicit null does.

        :param check_fallbacks: Whether a fallback that has all it needs counts.
        """
        if self.name in config._config_data:
            return True
        return check_fallbacks and any(fallback.present(config) for fallback in self.fallbacks)

    def find_value(self, config: Config) -> Any:
        """The option's value as it was given, fell back or defaulted; not yet cleaned."""
        if self.present(config, check_fallbacks=False):
            return config._config_data.get(self.name, self.default)
        for fallback in self.fallbacks:
            if fallback.present(config):
                return fallback.build_value(config)
        return self.default

    def clean(self, value: Any) -> T:
        """Check a value and make of it what programs work with.

        :param value: What was found; never ``None``.
        :returns: The cleaned value. Nothing in it may be shared, as it may be changed.
        :raises ConfigError: By :meth:`raise_config_error`; don't quote the value.
        """
        cleaned: T = value
        return cleaned

    def get_value(self, config: Config) -> T | None:
        """The option's cleaned value; ``None`` if that is what was found.

        :raises ConfigError: The value is not one that the option may have.
        """
        value = self.find_value(config)
        if value is not None:
            return self.clean(value)
        if not self.nullable:
            self.refuse_null()
        return None

    def validate(self, config: Config) -> None:
        """Check that the option is there, if it must be, and that its value is good.

        :raises ConfigError: It isn't.
        """
        if self.required and not self.present(config):
            raise ConfigError(f"Missing required config field '{self.name}'")
        self.get_value(config)

    def refuse_null(self) -> NoReturn:
        """Report that the value must not be null."""
        self.raise_config_error("must not be null.")

    def hints(self, value: Any) -> Iterable[str]:
        """What is probably a mistake in a value, though it may be taken: sentences.

        :param value: What was given; never ``None``.
        """
        return ()

    def value_rule(self) -> str:
        """What values there may be, for the documentation; ``""`` if the type says it all."""
        return ""

    def raise_config_error(self, message_suffix: str) -> NoReturn:
        """Report what is wrong with the value.

        :param message_suffix: The sentence after "Field 'name' ".
        :raises ConfigError: Always.
        """
        raise ConfigError(f"Field '{self.name}' {message_suffix}")

    @overload
    def __get__(self, obj: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, obj: object, owner: type | None = None) -> T: ...

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        if obj._static and not self.static:
            self.raise_config_error("is not marked as static.")
        kept = obj._kept
        if self.name in kept:
            return kept[self.name]
        value = self.get_value(obj)
        if self.static and type(value) in _UNCHANGEABLE:
            kept[self.name] = value
        return value

    def __set__(self, obj: object, value: Never) -> None:
        raise AttributeError(f"Config field '{self.name}' is read-only.")


# All options together


class Config:
    """A checked configuration: its options are its attributes.

    Everything wrong is reported at once: the error's ``problems`` has a sentence for each option.

    :param config_data: The values by name: a dict, or anything that is :class:`IConfigData`.
    :param static: Check only the static options and forbid reading the others.
    :param path: Where in a larger configuration this one is (``middleware.logger``); told
        before each problem.
    :raises ConfigError: Something is missing or wrong.
    """

    #: The options by name, inherited ones included, in the order they were made.
    _fields: ClassVar[dict[str, ConfigField[Any]]] = {}
    _field_names: ClassVar[tuple[str, ...]] = ()

    #: The class's own docstring; ``__doc__`` also has all the options.
    _description: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found: dict[str, ConfigField[Any]] = {}
        for base in reversed(cls.__mro__):
            for name, value in vars(base).items():
                if isinstance(value, ConfigField):
                    found[name] = value
                else:
                    found.pop(name, None)
        for name, field in found.items():
            _name_field(cls, name, field)
        cls._fields = dict(sorted(found.items(), key=lambda item: item[1].creation_order))
        cls._field_names = tuple(cls._fields)
        cls._description = cls.__dict__.get("__doc__")
        cls.__doc__ = class_doc(cls)

    def __init__(
        self,
        config_data: Mapping[str, Any] | IConfigData,
        static: bool = False,
        *,
        path: str = "",
    ) -> None:
        self._config_data: Any = config_data
        self._static = static
        self._path = path
        #: Values of static options that were read.
        self._kept: dict[str, Any] = {}
        if not (hasattr(config_data, "get") and hasattr(config_data, "__contains__")):
            self.raise_config_error(
                f"A configuration is a mapping of options, not {type(config_data).__name__}."
            )
        self._validate_fields()
        try:
            self.post_validate()
        except ConfigError as error:
            problems = self._located([error])
            if problems == error.problems:
                raise
            raise ConfigError(problems=problems) from error.__cause__

    @property
    def static(self) -> bool:
        """Whether only static options may be read."""
        return self._static

    def post_validate(self) -> None:
        """Hook: check what concerns several options. Called only if each is good by itself.

        :meth:`raise_config_error` reports what is wrong. A static configuration calls it too:
        read static options only there, or look at :attr:`static`.
        """

    def raise_config_error(self, message: str) -> NoReturn:
        """Report what is wrong with the configuration.

        :raises ConfigError: Always; the message with the path before it.
        """
        raise ConfigError(self._at_path(message))

    def scrub(self, text: str) -> str:
        """Make a text fit for a log: what is secret in this configuration becomes ``****``.

        Secret are the values (4 characters or more) of options declared so, those under keys
        that look like credentials, and the passwords in URLs. A declared default is no secret.
        """
        return scrub(text, secret_texts(self))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {redacted(self, given_options(self))!r}>"

    def _validate_fields(self) -> None:
        errors: list[ConfigError] = []
        for field in self._fields.values():
            if self._static and not field.static:
                continue
            try:
                field.validate(self)
            except ConfigError as error:
                errors.append(self._without_value(field, error) if field.secret else error)
        if not errors:
            return
        problems = self._located(errors)
        if len(errors) == 1 and problems == errors[0].problems:
            raise errors[0]
        causes = (error.__cause__ or error.__context__ for error in errors)
        raise ConfigError(problems=problems) from next(filter(None, causes), None)

    def _without_value(self, field: ConfigField[Any], error: ConfigError) -> ConfigError:
        # What other people's fields say may quote the value, and so may the errors behind it.
        head = f"Field '{field.name}' "
        return ConfigError(
            problems=[
                head + self.scrub(problem.removeprefix(head))
                if problem.startswith(head)
                else problem
                for problem in error.problems
            ]
        )

    def _located(self, errors: Iterable[ConfigError]) -> tuple[str, ...]:
        # Each problem once: a field reports its fallbacks' problems again.
        problems = (problem for error in errors for problem in error.problems)
        return tuple(dict.fromkeys(self._at_path(problem) for problem in problems))

    def _at_path(self, problem: str) -> str:
        # One within a section of this one may have the path already.
        if not self._path or problem.startswith((f"{self._path}: ", f"{self._path}.")):
            return problem
        return f"{self._path}: {problem}"


def _name_field(cls: type[Config], name: str, field: ConfigField[Any]) -> None:
    if field._attribute is None:
        field._attribute = name
        field.setup(name)
    elif field._attribute != name:
        raise TypeError(
            f"{cls.__name__}.{name} is the field '{field._attribute}':"
            " an option can't have two names."
        )


class ConfigContext:
    """What a per-message configuration may depend on, besides the message.

    :param kw: Anything; each becomes an attribute.
    """

    def __init__(self, /, **kw: Any) -> None:
        vars(self).update(kw)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
