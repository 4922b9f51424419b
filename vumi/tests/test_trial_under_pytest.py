"""pytest runs Twisted's test cases as trial does: what trial calls a failure fails here too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

#: A test module whose tests' names say how each must end.
CASES = """
import unittest
import warnings

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase, TestCase

log = Logger()


def later(function):
    return deferLater(reactor, 0, function)


def log_error():
    try:
        raise ValueError("logged")
    except ValueError:
        log.failure("something happened")


async def never_awaited():
    pass


class Asynchronous(TestCase):
    def test_deferred_passed(self):
        return later(lambda: None)

    def test_deferred_failed(self):
        return later(lambda: self.fail("late"))

    async def test_coroutine_passed(self):
        await later(lambda: None)

    async def test_coroutine_failed(self):
        await later(lambda: None)
        self.fail("late")

    @inlineCallbacks
    def test_inline_callbacks_passed(self):
        yield later(lambda: None)

    @inlineCallbacks
    def test_inline_callbacks_failed(self):
        yield later(lambda: None)
        self.fail("late")

    def test_generator_failed(self):
        yield None

    def test_timeout_failed(self):
        return Deferred()

    test_timeout_failed.timeout = 0.01

    def test_call_left_in_the_reactor_failed(self):
        reactor.callLater(1000, lambda: None)

    def test_clean_up_failed(self):
        self.addCleanup(later, lambda: self.fail("late"))

    async def test_forgotten_await_failed(self):
        never_awaited()

    def test_skip_skipped(self):
        raise unittest.SkipTest("why")


class AsynchronousSetUp(TestCase):
    async def setUp(self):
        await later(lambda: None)
        raise unittest.SkipTest("why")

    def test_set_up_skipped(self):
        pass


class BrokenSetUp(TestCase):
    async def setUp(self):
        await later(lambda: self.fail("late"))

    def test_set_up_failed(self):
        pass


class Synchronous(SynchronousTestCase):
    def test_logged_error_failed(self):
        log_error()

    def test_logged_error_that_was_flushed_passed(self):
        log_error()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_dropped_deferred_failed(self):
        fail(ValueError("dropped"))

    def test_warning_failed(self):
        warnings.warn("old", DeprecationWarning)

    def test_temporary_name_passed(self):
        with open(self.mktemp(), "w"):
            pass
"""


@pytest.mark.skipif(not (ROOT / "conftest.py").exists(), reason="not in a source tree")
def test_twisted_test_cases_end_as_under_trial(tmp_path: Path) -> None:
    module = tmp_path / "test_cases.py"
    module.write_text(CASES)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-p", "conftest"),
            *("-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, module),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = set(re.findall(r"test_(\w+)_(passed|failed|skipped)\(", CASES))
    found = {
        (name, outcome.lower())
        for outcome, name in re.findall(
            r"^(PASSED|FAILED) \S+::test_(\w+)_[a-z]+", done.stdout, re.MULTILINE
        )
    }
    skipped = {case for case in expected if case[1] == "skipped"}
    assert found == expected - skipped, done.stdout
    assert re.search(rf"\b{len(skipped)} skipped", done.stdout), done.stdout
    # The traceback of a logged error leads to its place.
    assert re.search(r'^>\s+raise ValueError\("logged"\)', done.stdout, re.MULTILINE), done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [module.name]
