"""What a test of an application needs. Part of the public test kit."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SkipTest

from vumi.tests.combined_helper import CombinedHelper
from vumi.tests.helpers import MessageHelper, WorkerHelper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

__all__ = ["ApplicationHelper", "find_nodejs_or_skip_test"]

NODE_PATH_VARIABLE = "VUMI_TEST_NODE_PATH"


class ApplicationHelper(CombinedHelper):
    """Starts an application, hands it messages and shows what it sends.

    All ``make_*``, ``dispatch_*``, ``make_dispatch_*``, ``get_dispatched_*``,
    ``wait_for_dispatched_*`` and ``clear_*`` methods of the helpers that it is made of are its own
    too, and so are :meth:`~vumi.tests.helpers.WorkerHelper.get_worker`,
    :meth:`~vumi.tests.helpers.WorkerHelper.kick_delivery` and
    :meth:`~vumi.tests.helpers.PersistenceHelper.mk_config`.

    :param application_class: The application.
    :param use_riak: Whether it uses Riak.
    :param msg_helper_args: For the :class:`~vumi.tests.helpers.MessageHelper`.
    """

    def __init__(
        self, application_class: type[Any], use_riak: bool = False, **msg_helper_args: Any
    ) -> None:
        msg_helper = MessageHelper(**msg_helper_args)
        super().__init__(msg_helper, WorkerHelper(msg_helper.transport_name), use_riak)
        self.application_class = application_class

    def get_application(
        self, config: Mapping[str, Any], cls: type[Any] | None = None, start: bool = True
    ) -> Deferred[Any]:
        """Make an application, which is stopped after the test.

        :param config: Its config; ``transport_name`` need not be given.
        :param cls: Its class; the helper's if left out.
        :param start: Whether to start it.
        :returns: Fires with the application.
        """
        return self._get_worker(
            cls or self.application_class, config, start, transport_name=self.transport_name
        )


def find_nodejs_or_skip_test(worker_class: Any) -> str:
    """The path of a Node.js, for the tests of sandboxed applications.

    It is taken from ``VUMI_TEST_NODE_PATH`` of the environment, or looked for.

    :param worker_class: The sandbox; where it has a ``find_nodejs()`` that one looks.
    :raises RuntimeError: The environment names a file that is not there.
    :raises SkipTest: There is none.
    """
    path = os.environ.get(NODE_PATH_VARIABLE)
    if path is not None:
        if os.path.isfile(path):
            return path
        raise RuntimeError(f"{NODE_PATH_VARIABLE} is {path!r}, but there is no such file.")
    find = getattr(worker_class, "find_nodejs", None)
    found: str | None = find() if find is not None else _find_nodejs()
    if found is None:
        raise SkipTest(f"No Node.js was found. Set {NODE_PATH_VARIABLE} to the path of one.")
    return found


def _find_nodejs() -> str | None:
    return shutil.which("node") or shutil.which("nodejs")
