"""Cases: what a transport does, told in tables, and a runner that needs nothing else.

Part of the public test kit. A test of a transport is a few lines::

    class DmarkTests(TransportCases):
        transport_class = DmarkUssdTransport
        config = {"web_path": "/ussd"}

and every case in the YAML files of the transport's folder ``cases`` becomes a test. How a table is
written is told in ``docs/transports/add-a-transport.rst``.

Requests go through the transport's real ``twisted.web`` site and through Twisted's real HTTP
client; there are no sockets, and time is pretended. From bottom to top: :mod:`.nodes` (YAML with
line numbers), :mod:`.model`, :mod:`.rows` and :mod:`.tables` (what a table may say),
:mod:`.matching`, :mod:`.bodies` and :mod:`.comparing` (what is expected against what there is),
:mod:`.pretend`, :mod:`.canned` and :mod:`.client` (the network that isn't there), :mod:`.stage` (a
transport with all it needs), :mod:`.player` (plays a case), :mod:`.checks` and :mod:`.fuzz` (what
is checked of every transport), :mod:`.testcase`.
"""

from vumi.tests.cases.model import Tables
from vumi.tests.cases.nodes import CaseError
from vumi.tests.cases.tables import load_tables
from vumi.tests.cases.testcase import TransportCases

__all__ = ["CaseError", "Tables", "TransportCases", "load_tables"]
