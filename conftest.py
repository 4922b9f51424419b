"""What every test run needs: pytest's side of Twisted's test cases, and an end to the servers.

``twisted.trial`` test cases run under pytest as they are: Deferreds and coroutines are waited for,
and errors that were logged or dropped fail the test (``vumi/tests/test_trial_under_pytest.py``
makes sure). Don't import ``twisted.trial.unittest`` at the top of this file: pytest then registers
as one of trial's reporters, and tracebacks of logged errors are lost (pytest 9.2).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from twisted.logger import STDLibLogObserver, globalLogBeginner

from vumi.tests.servers import stop_shared_servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.trial.unittest import SynchronousTestCase

# No deadline: a busy machine is no failure. In CI the examples are the same in every run.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_configure() -> None:
    """Give Twisted's log to pytest, which shows it with the test that failed."""
    globalLogBeginner.beginLoggingTo([STDLibLogObserver()], redirectStandardIO=False)


def pytest_sessionfinish() -> None:
    """Stop the servers that tests have shared."""
    stop_shared_servers()


@pytest.fixture(scope="session", autouse=True)
def _trial_files_outside_the_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make ``mktemp()`` of trial's test cases use pytest's folder, not the current one."""
    from twisted.trial.unittest import SynchronousTestCase

    def mktemp(case: SynchronousTestCase) -> str:
        return str(tmp_path_factory.mktemp(type(case).__name__) / "temp")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SynchronousTestCase, "mktemp", mktemp)
        yield
