"""Tells twistd how to start a Vumi worker.

twistd imports every plugin there is: what starts a worker is imported only when one is started.
"""

from twisted.application.service import ServiceMaker

vumi_worker = ServiceMaker(
    "Vumi worker",
    "vumi.cli.twistd",
    "A Vumi worker",
    "vumi_worker",
)

start_worker = ServiceMaker(
    "Vumi worker, old name",
    "vumi.cli.twistd",
    "Deprecated: use vumi_worker",
    "start_worker",
)
