"""Transports: what speaks to a network of phones on one side and to the broker on the other."""

from vumi.transports.base import Transport, TransportConfig

__all__ = ["Transport", "TransportConfig"]
