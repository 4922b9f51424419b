"""vumi.utils: what lives there, and the old names of what lives elsewhere."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer

import vumi
from vumi import loading, msisdn, utils
from vumi.errors import VumiError
from vumi.utils import (
    PkgResources,
    StatusEdgeDetector,
    basic_auth_string,
    filter_options_on_prefix,
    flatten_generator,
    generate_worker_id,
    get_first_word,
    safe_routing_key,
    to_kwargs,
    vumi_resource_path,
)
from vumi.web import site

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType


# Names


@pytest.mark.parametrize("home", [loading, msisdn, site], ids=lambda home: home.__name__)
def test_names_that_live_elsewhere_are_the_same_objects(home: ModuleType) -> None:
    for name in home.__all__:
        assert getattr(utils, name) is getattr(home, name)
        assert name in utils.__all__


def test_everything_that_is_exported_is_there() -> None:
    assert all(hasattr(utils, name) for name in utils.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'vumi\.utils' has no attribute 'nonsense'"):
        _ = utils.nonsense  # type: ignore[attr-defined]  # it isn't there: that is the point
    with pytest.raises(ImportError):
        exec("from vumi.utils import nonsense")  # noqa: S102 (a name mypy doesn't look for)


def test_importing_vumi_utils_pulls_in_neither_web_server_nor_reactor() -> None:
    program = (
        "import sys, vumi.utils, vumi.message, vumi.codecs, vumi.log\n"
        "print([name for name in ('twisted.web', 'twisted.web.server', 'vumi.web.site',"
        " 'twisted.internet.reactor') if name in sys.modules])"
    )
    folder = os.path.dirname(os.path.dirname(os.path.abspath(vumi.__file__)))
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True
    )
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["HttpError", "HttpDataLimitError", "HttpTimeoutError"])
def test_http_errors_are_vumi_errors_and_siblings(name: str) -> None:
    assert getattr(utils, name).__bases__ == (VumiError,)


# Texts


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("KEYWORD rest of the message",), "KEYWORD"),
        (("KEYWORD",), "KEYWORD"),
        ((" KEYWORD",), ""),
        (("",), ""),
        ((None,), ""),
        (("a:b c", ":"), "a"),
        ((None, ":"), ""),
    ],
)
def test_the_first_word_of_a_text(args: tuple[Any, ...], expected: str) -> None:
    assert get_first_word(*args) == expected


@given(st.text(), st.text())
def test_credentials_of_any_length_are_one_line(username: str, password: str) -> None:
    scheme, _, encoded = basic_auth_string(username, password).partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded, validate=True).decode("utf-8") == f"{username}:{password}"


def test_long_credentials_do_not_break_the_header() -> None:
    assert basic_auth_string("user", "pass") == "Basic dXNlcjpwYXNz"
    assert "\n" not in basic_auth_string("u" * 100, "p" * 100)


def test_names_made_of_names() -> None:
    assert safe_routing_key("*.foo.#") == "s.foo.h"
    assert safe_routing_key("foo.inbound") == "foo.inbound"
    assert generate_worker_id("prod", "sms_app") == "prod:sms_app"


# Dicts


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("riak",), {"host": 1, "port-number": 2}),
        (("riak-",), {"host": 1, "port-number": 2}),
        (("redis",), {}),
        (("riak", "_"), {"x": 4}),
        (("",), {"host": 1, "port-number": 2}),
    ],
)
def test_options_are_filtered_by_prefix(args: tuple[Any, ...], expected: dict[str, Any]) -> None:
    options = {"riak-host": 1, "riak-port-number": 2, "riak": 3, "riak_x": 4, "other": 5}
    assert filter_options_on_prefix(options, *args) == expected


def test_to_kwargs_keeps_a_dict_as_it_is() -> None:
    assert to_kwargs({"a": 1, "b": None}) == {"a": 1, "b": None}


# Generators


def test_a_flattened_generator_runs_through_at_once() -> None:
    seen = []

    @flatten_generator
    def add(a: int, b: int = 0) -> Generator[int, int, int]:
        """Add two numbers."""
        first = yield a
        second = yield b
        seen.append((first, second))
        return first + second

    assert add(1, b=2) == 3
    assert seen == [(1, 2)]
    assert add.__name__ == "add"
    assert add.__doc__ == "Add two numbers."


def test_a_flattened_generator_without_a_result_gives_none() -> None:
    @flatten_generator
    def nothing() -> Generator[int, int, None]:
        yield 1

    assert nothing() is None


@pytest.mark.skipif(not hasattr(defer, "returnValue"), reason="this Twisted has no returnValue")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_flattened_generator_may_use_return_value() -> None:
    @flatten_generator
    def old_style() -> Generator[int, int, None]:
        value = yield 1
        defer.returnValue(value + 1)

    assert old_style() == 2


def test_an_error_in_a_flattened_generator_comes_out() -> None:
    @flatten_generator
    def broken() -> Generator[int, int, None]:
        yield 1
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError):
        broken()


def test_a_function_that_is_no_generator_is_left_as_it_is() -> None:
    assert flatten_generator(lambda x: [x])(1) == [1]


# Files of a package


def test_a_file_of_a_package_is_found_and_an_absolute_path_kept() -> None:
    package = os.path.dirname(os.path.abspath(vumi.__file__))
    assert PkgResources("vumi").path("x.txt") == os.path.join(package, "x.txt")
    assert PkgResources("vumi.utils").path("x.txt") == os.path.join(package, "x.txt")
    assert PkgResources("vumi").path("/etc/x.txt") == "/etc/x.txt"


def test_a_file_of_a_package_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(ModuleNotFoundError, match="vumi_no_such_package"):
        PkgResources("vumi_no_such_package").path("x.txt")


def test_vumis_resources_are_installed() -> None:
    assert os.path.isfile(vumi_resource_path("README.txt"))
    assert vumi_resource_path("/some/amqp-spec.xml") == "/some/amqp-spec.xml"


# Statuses


def test_only_news_passes_the_edge_detector() -> None:
    detector = StatusEdgeDetector()
    for component, status, type_, is_news in [
        ("smpp", "ok", "bound", True),
        ("smpp", "ok", "bound", False),
        ("smpp", "ok", "sent", True),
        ("smpp", "ok", "bound", False),
        ("request", "ok", "bound", True),  # another component
        ("smpp", "down", "bound", True),
        ("smpp", "down", "bound", False),
        ("smpp", "ok", "sent", True),  # types are forgotten when the status changes
        ("smpp", "ok", "bound", True),
        ("request", "ok", "bound", False),
    ]:
        fields = {"component": component, "status": status, "type": type_, "message": "m"}
        assert detector.check_status(**fields) == (fields if is_news else None)
