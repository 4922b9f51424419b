"""Tests of the door by which libraries of extras are imported."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

from vumi.extras import MissingExtra, how_to_install, needs_extra


class Installed:
    """As :func:`importlib.metadata.distribution` finds vumi."""

    requires = ('treq>=24.9; extra == "http"', "Twisted>=25", 'redis>=6; extra == "redis"')

    def __init__(self, origin: dict[str, Any] | None) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)

    def locate_file(self, path: str) -> str:
        return f"/no/such/site-packages/{path}"


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


@pytest.mark.integration
def test_a_worker_whose_library_is_missing_is_told_in_one_sentence() -> None:
    # In a process of its own: in this one the library may be imported already.
    code = (
        "import sys; sys.modules['treq'] = None\n"
        "from vumi.checking import load_from_here\n"
        "load_from_here('vumi.transports.external.ExternalTransport', 'Worker class ')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("vumi.errors.ConfigError: "), done.stderr
    assert "treq is not installed. It comes with vumi's extra 'http'" in last
    assert ".py, line" not in last
