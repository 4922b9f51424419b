"""What :mod:`vumi.middleware` offers: all middlewares, and no Redis client for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vumi.middleware
from vumi.loading import load_class_by_string


def test_every_name_is_the_one_of_its_module() -> None:
    for name in vumi.middleware.__all__:
        found = getattr(vumi.middleware, name)
        assert getattr(sys.modules[found.__module__], name) is found
    assert load_class_by_string("vumi.middleware.OptOutMiddleware").__name__ == "OptOutMiddleware"


def test_what_is_not_there_is_told_as_usual() -> None:
    with pytest.raises(AttributeError, match="NoSuchMiddleware"):
        _ = vumi.middleware.NoSuchMiddleware  # type: ignore[attr-defined]  # that is the point
    assert "pytest" not in vars(vumi.middleware)


def test_importing_it_needs_no_redis_client() -> None:
    code = (
        "import sys, vumi.middleware, vumi.connectors; "
        "found = {'redis', 'fakeredis', 'txredisapi', 'vumi.persist'} & set(sys.modules); "
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
