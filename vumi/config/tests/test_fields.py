"""What each type of option accepts, gives and refuses."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from typing import Any
from urllib.parse import urlparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from zope.interface import Interface, implementer

from vumi import errors
from vumi.config import (
    ConfigBool,
    ConfigClassName,
    ConfigClientEndpoint,
    ConfigDict,
    ConfigError,
    ConfigField,
    ConfigFloat,
    ConfigInt,
    ConfigList,
    ConfigRegex,
    ConfigRiak,
    ConfigServerEndpoint,
    ConfigText,
    ConfigUrl,
)


class IGreeter(Interface):
    """Something that greets."""


@implementer(IGreeter)
class Greeter:
    """Greets."""


class Mute:
    """Doesn't."""


not_a_class = 17

HERE = __name__


def named(field: ConfigField[Any]) -> ConfigField[Any]:
    field.setup("opt")
    return field


ACCEPTED: list[tuple[type[ConfigField[Any]], Any, Any]] = [
    (ConfigText, "", ""),
    (ConfigText, "naïve ☃", "naïve ☃"),
    (ConfigInt, 5, 5),
    (ConfigInt, "5", 5),
    (ConfigInt, " -7 ", -7),
    (ConfigInt, 0, 0),
    (ConfigFloat, 5, 5.0),
    (ConfigFloat, "2.5", 2.5),
    (ConfigFloat, True, 1.0),
    (ConfigFloat, "inf", float("inf")),
    (ConfigBool, True, True),
    (ConfigBool, False, False),
    (ConfigBool, "false", False),
    (ConfigBool, " FALSE ", False),
    (ConfigBool, "0", False),
    (ConfigBool, "", False),
    (ConfigBool, "  ", False),
    (ConfigBool, "true", True),
    (ConfigBool, "no", True),
    (ConfigBool, 0, False),
    (ConfigBool, 2, True),
    (ConfigBool, [], False),
    (ConfigBool, {"a": 1}, True),
    (ConfigList, [], []),
    (ConfigList, [1, [2]], [1, [2]]),
    (ConfigList, (1, 2), [1, 2]),
    (ConfigDict, {}, {}),
    (ConfigDict, {"a": {"b": [1]}}, {"a": {"b": [1]}}),
    (ConfigRiak, {"bucket_prefix": "x", "port": 1}, {"bucket_prefix": "x", "port": 1}),
    (ConfigUrl, "http://example.com:80/a?b=c#d", urlparse("http://example.com:80/a?b=c#d")),
    (ConfigUrl, "", urlparse("")),
    (ConfigRegex, r"^\+27\d+$", re.compile(r"^\+27\d+$")),
    (ConfigClassName, f"{HERE}.Greeter", Greeter),
    (ConfigClassName, Greeter, Greeter),
]

REFUSED: list[tuple[type[ConfigField[Any]], str, list[Any]]] = [
    (ConfigText, "is not unicode.", [1, b"x", [], {}, True, 1.5]),
    (
        ConfigInt,
        "could not be converted to int.",
        [5.0, "5.0", True, False, "", "x", [], {}, b"5", "9" * 5000, 10**5000],
    ),
    (
        ConfigFloat,
        "could not be converted to float.",
        ["", "x", [], {}, 10**400, "1,5"],
    ),
    (ConfigList, "is not a list.", ["ab", {}, {1}, 3]),
    (ConfigDict, "is not a dict.", ["ab", [], [("a", 1)], 3]),
    (ConfigRiak, "is not a dict.", [[], "x"]),
    (ConfigRiak, "does not contain the `bucket_prefix` key.", [{}, {"prefix": "x"}]),
    (ConfigUrl, "is not a URL string.", [1, b"http://x", [], "http://[::1"]),
    (ConfigRegex, "is not unicode.", [1, b"x", []]),
    (
        ConfigRegex,
        "is not a valid regular expression: missing ), unterminated subpattern at position 1.",
        ["a(b"],
    ),
    (
        ConfigRegex,
        "is not a valid regular expression: the repetition number is too large.",
        ["a{99999999999999999999}"],
    ),
    (ConfigClassName, "Empty module name", ["Greeter", ""]),
    (ConfigClassName, "No module named 'no_such_module'", ["no_such_module.Greeter"]),
    (ConfigClassName, f"names what module '{HERE}' does not have: 'Nobody'.", [f"{HERE}.Nobody"]),
    (ConfigClassName, "is not a full dotted path.", [".fields.Greeter", "..a.B"]),
    (ConfigClassName, "is not the dotted path of a class.", [5, [], b"a.B"]),
    (
        ConfigServerEndpoint,
        "is not a valid server endpoint",
        ["", "foo", "tcp", "foo:bar", "tcp:port=None", "tcp:x", 8080, b"tcp:80", []],
    ),
    (
        ConfigClientEndpoint,
        "is not a valid client endpoint",
        ["", "foo", "tcp", "foo:bar", "tcp:host=a:port=x", 8080, b"tcp:a:80", []],
    ),
]


@pytest.mark.parametrize(("field_class", "value", "expected"), ACCEPTED)
def test_a_good_value_is_cleaned(
    field_class: type[ConfigField[Any]], value: Any, expected: Any
) -> None:
    cleaned = named(field_class("Doc.")).clean(value)
    assert cleaned == expected
    assert type(cleaned) is type(expected)


@pytest.mark.parametrize(
    ("field_class", "words", "value"),
    [(field_class, words, value) for field_class, words, bad in REFUSED for value in bad],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_bad_value_is_refused_in_these_words(
    field_class: type[ConfigField[Any]], words: str, value: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        named(field_class("Doc.")).clean(value)
    assert str(caught.value) == f"Field 'opt' {words}"


def test_conversion_errors_do_not_carry_the_value_along() -> None:
    for field in (ConfigInt("Doc."), ConfigFloat("Doc.")):
        with pytest.raises(ConfigError) as caught:
            named(field).clean("hunter22")
        assert caught.value.__context__ is None


def test_lists_and_dicts_are_deep_copies() -> None:
    original = {"a": [{"b": 1}], "t": ({"c": 2},), "s": {1}}
    cleaned = named(ConfigDict("Doc.")).clean(original)
    cleaned["a"][0]["b"] = 9
    cleaned["t"][0]["c"] = 9
    cleaned["s"].add(9)
    assert original == {"a": [{"b": 1}], "t": ({"c": 2},), "s": {1}}
    items = [[1]]
    named(ConfigList("Doc.")).clean(items)[0].append(2)
    assert items == [[1]]


def test_an_object_in_a_dict_is_shared_so_that_fakes_keep_their_state() -> None:
    fake = Mute()
    assert named(ConfigDict("Doc.")).clean({"FAKE_REDIS": fake})["FAKE_REDIS"] is fake


def test_an_object_that_knows_how_it_is_copied_is_asked() -> None:
    class Disabled(dict[str, Any]):
        def __deepcopy__(self, memo: Any) -> Disabled:
            return self

    disabled = Disabled(bucket_prefix="x")
    assert named(ConfigRiak("Doc.")).clean(disabled) is disabled


def test_data_that_holds_itself_is_copied() -> None:
    knot: dict[str, Any] = {"a": []}
    knot["a"].append(knot)
    copied = named(ConfigDict("Doc.")).clean(knot)
    assert copied["a"][0] is copied
    assert copied is not knot


def test_class_name_checks_the_interface() -> None:
    field = named(ConfigClassName("Doc.", implements=IGreeter))
    assert field.clean(f"{HERE}.Greeter") is Greeter
    for path in (f"{HERE}.Mute", f"{HERE}.not_a_class", f"{HERE}.warnings"):
        with pytest.raises(ConfigError) as caught:
            field.clean(path)
        assert str(caught.value) == f"Field 'opt' does not implement {HERE}.IGreeter."


def test_class_name_tells_of_a_module_that_fails_to_import(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_that_is_broken.py").write_text("undefined_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        named(ConfigClassName("Doc.")).clean("module_that_is_broken.Worker")
    assert str(caught.value) == (
        "Field 'opt' could not be imported: NameError: name 'undefined_name' is not defined"
    )
    assert isinstance(caught.value.__context__, NameError)


def test_class_name_takes_its_options_in_the_old_order() -> None:
    field = ConfigClassName("Doc.", True, "a.B", True, IGreeter)
    assert (field.required, field.default, field.static) == (True, "a.B", True)
    assert field.interface is IGreeter
    assert field.fallbacks == ()


@pytest.mark.parametrize(
    "value", ["tcp:8080", "tcp:port=0:interface=127.0.0.1", r"tcp:port=80:interface=\:\:1"]
)
def test_server_endpoints(value: str) -> None:
    field = ConfigServerEndpoint("Doc.")
    field.setup("opt")
    endpoint = field.clean(value)
    assert IStreamServerEndpoint.providedBy(endpoint)
    assert field.clean(endpoint) is endpoint


@pytest.mark.parametrize("value", ["tcp:localhost:80", r"tcp:host=\:\:1:port=80", "unix:/tmp/s"])
def test_client_endpoints(value: str) -> None:
    field = ConfigClientEndpoint("Doc.")
    field.setup("opt")
    endpoint = field.clean(value)
    assert IStreamClientEndpoint.providedBy(endpoint)
    assert field.clean(endpoint) is endpoint


def test_importing_the_package_loads_no_twisted() -> None:
    code = (
        "import sys, vumi.config;"
        "sys.exit(', '.join(name for name in sys.modules if name.startswith('twisted')) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_config_error_is_one_class_everywhere() -> None:
    assert ConfigError is errors.ConfigError


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda children: (
        st.lists(children)
        | st.dictionaries(st.text() | st.integers(), children)
        | st.tuples(children, children)
    ),
    max_leaves=8,
)

texts = st.builds(
    "{}{}".format,
    st.sampled_from(["", "tcp:", "tcp:port=", "tcp:host=a:port=", "ssl:", "unix:", "http://["]),
    st.text(alphabet="ab0:=\\[]().*+?{},/", max_size=12),
)

field_classes = st.sampled_from(
    [
        ConfigBool,
        ConfigClassName,
        ConfigClientEndpoint,
        ConfigDict,
        ConfigFloat,
        ConfigInt,
        ConfigList,
        ConfigRegex,
        ConfigRiak,
        ConfigServerEndpoint,
        ConfigText,
        ConfigUrl,
    ]
)


@settings(deadline=None)
@given(field_classes, json_like | texts)
def test_any_value_is_cleaned_or_refused_by_config_error(
    field_class: type[ConfigField[Any]], value: Any
) -> None:
    with warnings.catch_warnings():
        # A regular expression that will mean something else one day is none of our business.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            named(field_class("Doc.")).clean(value)
        except ConfigError as error:
            assert str(error).startswith("Field 'opt' ")
