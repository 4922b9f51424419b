"""A network that isn't there: it takes messages, reports on them and now and then answers.

For load tests and dry runs.
"""

from vumi.transports.devnull.devnull import DevNullConfig, DevNullTransport

__all__ = ["DevNullConfig", "DevNullTransport"]
