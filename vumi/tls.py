"""What a TLS connection needs to know, as plain values. Knows no certificates and no sockets."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TLSOptions"]


@dataclass(frozen=True)
class TLSOptions:
    """What TLS needs to know.

    :param ca_certs: The file with the authorities to trust; ``None``: the system's.
    :param certfile: The file with our certificate, if we have one.
    :param keyfile: The file with its key; ``None``: it is in the certificate's.
    :param server_name: The name that the server's certificate must have; ``None``: the host's.
    """

    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    server_name: str | None = None
