"""Small helpers, and the old names of some that live elsewhere now.

Numbers are :mod:`vumi.msisdn`'s, dotted paths :mod:`vumi.loading`'s. The web helpers' homes are
:mod:`vumi.web.site` and :mod:`vumi.web.client`; they stand on Twisted's web server and on treq,
which this module must not pull into whoever only wants to split a text. Their old names here are
therefore looked up when somebody asks for them (:func:`__getattr__`), not imported with this
module.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import os
from collections.abc import Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from twisted.internet import defer

from vumi.errors import VumiError
from vumi.loading import import_module, load_class, load_class_by_string
from vumi.msisdn import (
    cleanup_msisdn,
    get_operator_name,
    get_operator_number,
    is_international_number,
    normalize_msisdn,
    restore_plus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.web.client import http_request, http_request_full, old_http_request_full
    from vumi.web.site import LogFilterSite, StringProducer, build_web_site, mkheaders

__all__ = [
    "HttpDataLimitError",
    "HttpError",
    "HttpTimeoutError",
    "LogFilterSite",
    "PkgResources",
    "StatusEdgeDetector",
    "StringProducer",
    "basic_auth_string",
    "build_web_site",
    "cleanup_msisdn",
    "filter_options_on_prefix",
    "flatten_generator",
    "generate_worker_id",
    "get_first_word",
    "get_operator_name",
    "get_operator_number",
    "http_request",
    "http_request_full",
    "import_module",
    "is_international_number",
    "load_class",
    "load_class_by_string",
    "mkheaders",
    "normalize_msisdn",
    "old_http_request_full",
    "restore_plus",
    "safe_routing_key",
    "to_kwargs",
    "vumi_resource_path",
]

P = ParamSpec("P")

# What Twisted's deprecated returnValue() raises; nothing to catch once Twisted has dropped it.
_RETURN_VALUE: Any = getattr(defer, "_DefGen_Return", ())

# name -> the module of a higher floor that it lives in
_HOMES = {
    "LogFilterSite": "vumi.web.site",
    "StringProducer": "vumi.web.site",
    "build_web_site": "vumi.web.site",
    "http_request": "vumi.web.client",
    "http_request_full": "vumi.web.client",
    "mkheaders": "vumi.web.site",
    "old_http_request_full": "vumi.web.client",
}

# Not seen by mypy: it knows the names from the imports above, and would take every other too.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home), name)


# Errors of outgoing HTTP


class HttpError(VumiError):
    """An outgoing HTTP request went wrong."""


class HttpDataLimitError(VumiError):
    """A response is bigger than the caller wants to take."""


class HttpTimeoutError(VumiError):
    """A response didn't come in time."""


# Texts


def get_first_word(content: str | None, delimiter: str = " ") -> str:
    """The text before the first delimiter; ``""`` for ``None``.

    :param content: What somebody wrote.
    :param delimiter: What ends a word.
    """
    return (content or "").partition(delimiter)[0]


def basic_auth_string(username: str, password: str) -> str:
    """The value of an ``Authorization`` header for HTTP basic authentication (RFC 7617)."""
    credentials = f"{username}:{password}".encode()
    return f"Basic {base64.b64encode(credentials).decode('ascii')}"


def safe_routing_key(routing_key: str) -> str:
    """A routing key without AMQP's wildcards, for use in a queue's name."""
    return routing_key.replace("*", "s").replace("#", "h")


def generate_worker_id(system_id: str, worker_id: str) -> str:
    """A worker's name among those of all systems: ``<system id>:<worker id>``."""
    return f"{system_id}:{worker_id}"


# Dicts


def filter_options_on_prefix(
    options: Mapping[str, Any], prefix: str, delimiter: str = "-"
) -> dict[str, Any]:
    """The options whose name starts with a prefix, named by what follows the first delimiter.

    ``{"riak-host": "db", "port": 1}`` with the prefix ``riak`` gives ``{"host": "db"}``.
    """
    return {
        key.split(delimiter, 1)[1]: value
        for key, value in options.items()
        if key.startswith(prefix) and delimiter in key
    }


def to_kwargs(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A dict to be passed as keyword arguments. Kept for programs written for Python 2."""
    return dict(kwargs)


# Generators


def flatten_generator(generator_func: Callable[P, Any]) -> Callable[P, Any]:
    """Make a generator written for ``inlineCallbacks`` a plain function.

    Every value that is yielded is sent back in at once; the function's result is the generator's.
    For code that is written once and used with both blocking and Deferred-returning parts.
    """

    @wraps(generator_func)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        generator = generator_func(*args, **kwargs)
        if not isinstance(generator, Generator):
            return generator
        value = None
        while True:
            try:
                value = generator.send(value)
            except StopIteration as stop:
                return stop.value
            except _RETURN_VALUE as stop:
                return stop.value

    return wrapper


# Files of a package


class PkgResources:
    """Finds files that are installed with a package.

    :param modname: The package's dotted name.
    """

    def __init__(self, modname: str) -> None:
        self.modname = modname

    def path(self, path: str) -> str:
        """The full path of a file of the package. An absolute path stays as it is.

        :raises ModuleNotFoundError: There is no such package.
        """
        if os.path.isabs(path):
            return path
        return os.path.join(self._folder(), path)

    def _folder(self) -> str:
        spec = importlib.util.find_spec(self.modname)
        if spec is not None and spec.submodule_search_locations:
            return next(iter(spec.submodule_search_locations))
        if spec is not None and spec.origin is not None:
            return os.path.dirname(spec.origin)
        raise ModuleNotFoundError(f"no package named {self.modname!r}", name=self.modname)


def vumi_resource_path(path: str) -> str:
    """The full path of a file in vumi's own resources folder. An absolute path stays as it is."""
    return PkgResources("vumi.resources").path(path)


# Statuses


class StatusEdgeDetector:
    """Tells a status that is news from one that merely repeats."""

    def __init__(self) -> None:
        #: component -> its last status
        self.statuses: dict[str, str] = {}
        #: component -> the types seen since its status last changed
        self.types: dict[str, set[str]] = {}

    def check_status(self, **status: Any) -> dict[str, Any] | None:
        """Look at a status.

        :param status: The fields of a status message; ``component``, ``status`` and ``type`` are
            needed.
        :returns: The fields, if the component's status has changed or this type has not been seen
            since it did; otherwise ``None``.
        """
        component = status["component"]
        if self.statuses.get(component) != status["status"]:
            self.statuses[component] = status["status"]
            self.types[component] = {status["type"]}
            return status
        if status["type"] not in self.types[component]:
            self.types[component].add(status["type"])
            return status
        return None
