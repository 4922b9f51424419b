"""Where a TCP or TLS connection to a server of ours goes to, and when the system gives it up.

Knows Twisted's endpoints, certificates in files and socket options. Knows nothing of what is
spoken: the broker and the key-value store both connect by this.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import OpenSSL.crypto
import OpenSSL.SSL
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.filepath import FilePath

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IStreamClientEndpoint

    from vumi.tls import TLSOptions

__all__ = ["client_endpoint", "detect_dead_peer"]

#: An idle connection is asked after so many seconds whether it is still there, and then again
#: and again, three times in all.
IDLE_SECONDS, PROBE_SECONDS, PROBES = 30, 10, 3


def client_endpoint(
    host: str, port: int, tls: TLSOptions | None, reactor: Any, seconds: float, what: str
) -> IStreamClientEndpoint:
    """Where to connect to.

    :param tls: ``None`` is a plain connection.
    :param seconds: How long connecting may take.
    :param what: What is connected to, for error texts: ``"Redis"``.
    :raises ConfigError: A certificate or key can't be used.
    """
    plain = HostnameEndpoint(reactor, host, port, timeout=seconds)
    if tls is None:
        return plain
    try:
        trust_root = client_certificate = None
        if tls.ca_certs:
            bundle = load_pem_x509_certificates(FilePath(tls.ca_certs).getContent())
            trust_root = trustRootFromCertificates(
                [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in bundle]
            )
        if tls.certfile:
            pem = FilePath(tls.certfile).getContent()
            if tls.keyfile:
                pem += b"\n" + FilePath(tls.keyfile).getContent()
            client_certificate = PrivateCertificate.loadPEM(pem)
        options = optionsForClientTLS(
            tls.server_name or host, trustRoot=trust_root, clientCertificate=client_certificate
        )
    except OSError as error:
        raise ConfigError(f"TLS to {what}: {error.strerror}: {error.filename}") from None
    except (ValueError, OpenSSL.crypto.Error, OpenSSL.SSL.Error) as error:
        files = " and ".join(filter(None, (tls.ca_certs, tls.certfile, tls.keyfile)))
        raise ConfigError(
            f"TLS to {what}: {files} are not certificates and keys in PEM form that fit together "
            f"({error})"
        ) from None
    return wrapClientTLS(options, plain)


def detect_dead_peer(transport: Any, seconds: float) -> None:
    """Have the system send at once what is written, and notice that nobody is there any more.

    :param transport: A TCP transport, or TLS on one; of others nothing is asked.
    :param seconds: How long what was sent may stay unacknowledged, where the system can do that
        (Linux). A peer that is there but busy does acknowledge.
    """
    while hasattr(transport, "wrappedProtocol"):
        transport = transport.transport
    if not hasattr(transport, "setTcpKeepAlive"):
        return
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)
    handle = transport.getHandle()
    for name, value in (
        ("TCP_KEEPIDLE", IDLE_SECONDS),
        ("TCP_KEEPINTVL", PROBE_SECONDS),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", max(1, round(seconds * 1000))),
    ):
        if hasattr(socket, name):
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
