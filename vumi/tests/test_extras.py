"""Tests of the door by which libraries of extras are imported."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from typing import Any

import pytest

from vumi.checking import load_from_here
from vumi.errors import ConfigError
from vumi.extras import MissingExtra, how_to_install, needs_extra


class Installed:
    """As :func:`importlib.metadata.distribution` finds vumi."""

    requires = ('treq>=24.9; extra == "http"', "Twisted>=25", 'redis>=6; extra == "redis"')

    def __init__(self, origin: dict[str, Any] | None) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (
            {"url": "file:///src/vumi", "dir_info": {"editable": True}},
            "pip install -e '/src/vumi[http]'",
        ),
        (
            {"url": "file:///tmp/vumi-1.whl", "archive_info": {}},
            "pip install 'vumi[http] @ file:///tmp/vumi-1.whl'",
        ),
        (
            {"url": "https://h.example/v.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'vumi[http] @ git+https://h.example/v.git@abc'",
        ),
        (None, "pip install 'treq>=24.9'"),
    ],
)
def test_the_command_fits_how_vumi_was_installed(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None, words: str
) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(origin))
    assert how_to_install("http", "treq").endswith(words)


def test_a_library_that_is_not_installed_names_the_extra() -> None:
    with (
        pytest.raises(MissingExtra, match=r"no_such_library .* extra 'http'"),
        needs_extra("http"),
    ):
        import no_such_library.part  # type: ignore[import-not-found]  # noqa: F401


def test_a_module_of_vumi_that_is_missing_is_another_error() -> None:
    with pytest.raises(ModuleNotFoundError), needs_extra("http"):
        import vumi.no_such_module  # type: ignore[import-not-found]  # noqa: F401


def test_a_worker_whose_library_is_missing_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [
        name
        for name in sys.modules
        if name.startswith(("vumi.web.client", "vumi.transports.external"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "treq", None)
    monkeypatch.setitem(sys.modules, "treq.client", None)
    with pytest.raises(ConfigError) as caught:
        load_from_here("vumi.transports.external.ExternalTransport", "Worker class ")
    assert "treq is not installed. It comes with vumi's extra 'http'" in str(caught.value)
    assert ".py, line" not in str(caught.value)
