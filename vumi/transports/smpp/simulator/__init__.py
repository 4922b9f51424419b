"""An SMSC for trying out: it lets ESMEs bind, takes their messages, reports on them, sends others.

Made for authors of applications and for tests, so that no operator is needed. It can misbehave in
all the ways that real ones do, as a script tells it. ``vumi smsc`` runs it;
:class:`~vumi.transports.smpp.simulator.worker.SmscWorker` runs beside other workers.
"""

from vumi.transports.smpp.simulator.script import SmscScript
from vumi.transports.smpp.simulator.smsc import SimulatorError, Smsc
from vumi.transports.smpp.simulator.worker import SmscWorker

__all__ = ["SimulatorError", "Smsc", "SmscScript", "SmscWorker"]
