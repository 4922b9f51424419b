"""Loading objects by dotted path."""

from __future__ import annotations

import collections.abc
from typing import Any

import pytest

from vumi.loading import import_module, load_class, load_class_by_string


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("collections.abc.Mapping", collections.abc.Mapping),
        ("collections.OrderedDict", collections.OrderedDict),
        ("vumi.loading.load_class", load_class),
    ],
)
def test_what_a_path_names_is_loaded(path: str, expected: Any) -> None:
    assert load_class_by_string(path) is expected
    module_name, _, name = path.rpartition(".")
    assert load_class(module_name, name) is expected
    assert getattr(import_module(module_name), name) is expected


@pytest.mark.parametrize("path", ["", "EchoWorker", ".", "..", ".foo", "foo.", "..foo.Bar", "a b"])
def test_what_is_no_dotted_path_is_a_value_error_that_names_it(path: str) -> None:
    with pytest.raises(ValueError, match="no dotted path") as caught:
        load_class_by_string(path)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("vumi.nosuchmodule.Worker", "vumi.nosuchmodule"),
        ("nosuchpackage.module.Worker", "nosuchpackage"),
        ("vumi.loading.load_class.Worker", "vumi.loading.load_class"),
    ],
)
def test_a_missing_module_is_an_import_error_that_names_it(path: str, missing: str) -> None:
    with pytest.raises(ImportError, match=missing):
        load_class_by_string(path)
    with pytest.raises(ImportError, match=missing):
        import_module(path.rpartition(".")[0])


def test_a_missing_name_is_an_attribute_error_that_names_the_path() -> None:
    with pytest.raises(AttributeError, match=r"'vumi\.loading\.NoSuch'.*has no 'NoSuch'"):
        load_class_by_string("vumi.loading.NoSuch")
