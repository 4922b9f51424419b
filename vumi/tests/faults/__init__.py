"""The fault suite: real processes, a real RabbitMQ, and each thing that breaks in production.

A network that acknowledges (:mod:`~vumi.tests.faults.network`), a transport, a relay and an
application (:mod:`~vumi.tests.faults.workers`) stand in a row, each in a process of its own
(:mod:`~vumi.tests.faults.chain`). Numbered messages go round while one thing is broken and mended;
afterwards every number must have been answered, in order within its conversation.
"""
