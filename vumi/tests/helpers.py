"""The public test kit: what a test of an application, a transport or a dispatcher needs.

Everything is importable from here, as it always was; it lives in the modules next to this one.
Helpers for one kind of worker are :class:`vumi.application.tests.helpers.ApplicationHelper`,
:class:`vumi.transports.tests.helpers.TransportHelper` and
:class:`vumi.dispatchers.tests.helpers.DispatcherHelper`.

.. code-block:: python

    class GreetingTests(VumiTestCase):
        @inlineCallbacks
        def test_greets(self):
            helper = self.add_helper(ApplicationHelper(GreetApp))
            yield helper.get_application({"greeting": "molo"})
            yield helper.make_dispatch_inbound("hi")
            [reply] = helper.get_dispatched_outbound()
            self.assertEqual(reply["content"], "molo")
"""

from vumi.tests.case import (
    IHelper,
    IHelperEnabledTestCase,
    VumiTestCase,
    get_timeout,
    import_filter,
    import_skip,
    skiptest,
)
from vumi.tests.deferreds import (
    get_stack_trace,
    maybe_async,
    maybe_async_return,
    success_result_of,
)
from vumi.tests.message_helper import MessageDispatchHelper, MessageHelper
from vumi.tests.persistence_helper import (
    PersistenceHelper,
    PersistenceHelperError,
    RiakDisabledForTest,
)
from vumi.tests.proxies import DEFAULT, generate_proxies, proxyable
from vumi.tests.worker_helper import WorkerHelper

__all__ = [
    "DEFAULT",
    "IHelper",
    "IHelperEnabledTestCase",
    "MessageDispatchHelper",
    "MessageHelper",
    "PersistenceHelper",
    "PersistenceHelperError",
    "RiakDisabledForTest",
    "VumiTestCase",
    "WorkerHelper",
    "generate_proxies",
    "get_stack_trace",
    "get_timeout",
    "import_filter",
    "import_skip",
    "maybe_async",
    "maybe_async_return",
    "proxyable",
    "skiptest",
    "success_result_of",
]
