"""Methods that others call over a network: what they take and give is declared and checked.

Knows types of parameters and results. Knows no network: :mod:`vumi.web.jsonrpc` serves such
methods.

.. code-block:: python

    class Greeter:
        @signature(name=Unicode("Whom to greet."), returns=Unicode("The greeting."))
        def greet(self, name):
            \"\"\"Greets somebody.\"\"\"
            return f"Hello {name}"
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from twisted.internet.defer import Deferred

from vumi.errors import VumiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Method = TypeVar("Method", bound="Callable[..., Any]")

__all__ = [
    "Dict",
    "Int",
    "List",
    "Null",
    "RpcCheckError",
    "RpcResultError",
    "RpcType",
    "Signature",
    "Tag",
    "Unicode",
    "signature",
]


class RpcCheckError(VumiError):
    """A parameter or a result is not what was declared."""


class RpcResultError(RpcCheckError):
    """A result is not what was declared: it is not the caller's fault."""


# Types


class RpcType:
    """What a parameter or a result may be. To be subclassed.

    :param help: What it means.
    :param null: Whether it may be ``None``.
    """

    jsonrpc_type: ClassVar[str] = "object"

    def __init__(self, help: str | None = None, null: bool = False) -> None:
        self._help = help
        self._null = null

    @property
    def help(self) -> str:
        """What it means; empty if nobody said."""
        return self._help or ""

    def check(self, name: str, value: Any) -> None:
        """Check a value.

        :param name: What it is called in the error.
        :raises RpcCheckError: It may not have this value.
        """
        if value is not None:
            self.nonnull_check(name, value)
        elif not self._null:
            raise RpcCheckError(f"{name} may not be None (got None)")

    def nonnull_check(self, name: str, value: Any) -> None:
        """Check a value that is not ``None``. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override nonnull_check().")


class Null(RpcType):
    """Nothing but ``None``."""

    jsonrpc_type = "null"

    def __init__(self, help: str | None = None, null: bool = True) -> None:
        super().__init__(help, null)

    def nonnull_check(self, name: str, value: Any) -> None:
        raise RpcCheckError(f"None expected for {name} (got {value!r})")


class Unicode(RpcType):
    """A text."""

    jsonrpc_type = "string"

    def nonnull_check(self, name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise RpcCheckError(f"Unicode value expected for {name} (got {value!r})")


class Int(RpcType):
    """A whole number."""

    jsonrpc_type = "int"

    def nonnull_check(self, name: str, value: Any) -> None:
        if not isinstance(value, int):
            raise RpcCheckError(f"Int value expected for {name} (got {value!r})")


class List(RpcType):
    """A list.

    :param item_type: What its items may be; anything if left out.
    :param length: How many there must be; any number if left out.
    """

    jsonrpc_type = "array"

    def __init__(
        self,
        help: str | None = None,
        null: bool = False,
        item_type: RpcType | None = None,
        length: int | None = None,
    ) -> None:
        super().__init__(help, null)
        self._item_type = item_type
        self._length = length

    def nonnull_check(self, name: str, value: Any) -> None:
        if not isinstance(value, list):
            raise RpcCheckError(f"List value expected for {name} (got {value!r})")
        if self._length is not None and len(value) != self._length:
            raise RpcCheckError(
                f"List value for {name} expected to have length {self._length} (got {value!r})"
            )
        if self._item_type is not None:
            for index, item in enumerate(value):
                self._item_type.check(f"item {index} of {name}", item)


class Dict(RpcType):
    """A mapping of texts.

    :param item_type: What values of keys may be that are not listed; anything if left out.
    :param required_fields: Keys that must be there, and what their values may be.
    :param optional_fields: Keys that may be there, and what their values may be.
    :param closed: Whether there may be no other keys.
    """

    jsonrpc_type = "struct"

    def __init__(
        self,
        help: str | None = None,
        null: bool = False,
        item_type: RpcType | None = None,
        required_fields: Mapping[str, RpcType] | None = None,
        optional_fields: Mapping[str, RpcType] | None = None,
        closed: bool = False,
    ) -> None:
        super().__init__(help, null)
        self._item_type = item_type
        self._required = dict(required_fields or {})
        self._fields = {**(optional_fields or {}), **self._required}
        self._closed = closed

    def nonnull_check(self, name: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise RpcCheckError(f"Dict value expected for {name} (got {value!r})")
        for key in self._required:
            if key not in value:
                raise RpcCheckError(f"Dict {name} must contain key {key} (got {value!r})")
        for key, item in value.items():
            self._check_item(name, key, item)

    def _check_item(self, name: str, key: Any, item: Any) -> None:
        field = self._fields.get(key)
        if field is None and self._closed:
            raise RpcCheckError(f"Dict {name} may not contain key {key!r}")
        expected = field or self._item_type
        if expected is not None:
            expected.check(f"item {key!r} of {name}", item)


class Tag(RpcType):
    """A tag: pool and name."""

    jsonrpc_type = "array"

    def nonnull_check(self, name: str, value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise RpcCheckError(f"Tag value expected for {name} (got {value!r})")
        if len(value) != 2 or not all(isinstance(part, str) for part in value):
            raise RpcCheckError(f"Tag value for {name} must be two texts (got {value!r})")


# Signatures


class Signature:
    """What a function takes and gives.

    :param f: The function.
    :param returns: What it gives; ``None`` if left out.
    :param requires_self: Whether its first parameter is the object that it is a method of.
    :param param_types: Parameter -> what it may be, for all parameters.
    :raises ValueError: A parameter is missing, or is not one of the function's.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        returns: RpcType | None = None,
        requires_self: bool = True,
        **param_types: RpcType,
    ) -> None:
        self.returns = Null() if returns is None else returns
        self.requires_self = requires_self
        self.param_types = param_types
        parameters = list(inspect.signature(f).parameters.values())
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in parameters):
            raise ValueError(f"{f.__name__} may have only positional parameters.")
        if requires_self:
            parameters = parameters[1:]
        self.args = [parameter.name for parameter in parameters]
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        if set(self.args) != set(param_types):
            raise ValueError(
                f"{f.__name__} has the parameters {', '.join(self.args) or 'none'}, but its "
                f"signature has {', '.join(param_types) or 'none'}."
            )

    def check_params(self, args: tuple[Any, ...], kw: Mapping[str, Any]) -> None:
        """Check what the function is called with.

        :param args: With the object in front, if there is one.
        :raises RpcCheckError: It can't be called so.
        """
        if kw:
            raise RpcCheckError("Keyword parameters not yet supported.")
        given = args[1:] if self.requires_self else args
        if len(given) > len(self.args):
            raise RpcCheckError(
                f"Too many positional arguments: {len(self.args)} at most (got {len(given)})."
            )
        for name, value in zip(self.args, given, strict=False):
            self.param_types[name].check(name, value)
        for name in self.args[len(given) :]:
            if name not in self.defaults:
                raise RpcCheckError(f"Missing positional argument {name}.")

    def check_result(self, result: Any) -> Any:
        """Check what the function gives, and give it.

        :raises RpcResultError: It isn't what was declared.
        """
        try:
            self.returns.check("Return value", result)
        except RpcCheckError as error:
            raise RpcResultError(str(error)) from None
        return result

    def param_doc(self) -> list[str]:
        """Lines for the docstring: parameters and result."""
        lines = []
        for name in self.args:
            param_type = self.param_types[name]
            lines.append(f":param {type(param_type).__name__} {name}:")
            lines += [f"    {param_type.help}"] if param_type.help else []
        lines += [f":rtype {type(self.returns).__name__}:"]
        lines += [f"    {self.returns.help}"] if self.returns.help else []
        return lines

    def jsonrpc_signature(self) -> list[list[str]]:
        """As JSON-RPC's introspection tells it: the result's type, then the parameters'."""
        types = [self.returns, *(self.param_types[name] for name in self.args)]
        return [[rpc_type.jsonrpc_type for rpc_type in types]]


def signature(**kw: Any) -> Callable[[Method], Method]:
    """Declare what a method takes and gives; both are then checked at every call.

    :param kw: What :class:`Signature` takes.

    The method's result may be a Deferred; then what it fires with is checked. The method gets
    two attributes: ``signature`` (for JSON-RPC) and ``signature_object``.
    """

    def decorator(f: Method) -> Method:
        declared = Signature(f, **kw)

        @wraps(f)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            declared.check_params(args, kwargs)
            result = f(*args)
            if isinstance(result, Deferred):
                return result.addCallback(declared.check_result)
            return declared.check_result(result)

        doc = inspect.getdoc(f)
        wrapper.__doc__ = "\n".join([*([doc, ""] if doc else []), *declared.param_doc()])
        vars(wrapper).update(signature=declared.jsonrpc_signature(), signature_object=declared)
        return wrapper  # type: ignore[return-value]  # it is called as the method is

    return decorator
