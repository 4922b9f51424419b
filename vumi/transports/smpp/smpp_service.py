"""The binds under the old Vumi's path; they live in :mod:`vumi.transports.smpp.service`."""

from vumi.transports.smpp.service import SmppService

__all__ = ["SmppService"]
