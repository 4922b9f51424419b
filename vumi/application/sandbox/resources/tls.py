"""TLS of requests that sandboxed programs make: what is trusted, and the names of old.

Knows certificates and OpenSSL's names. Which requests there are is
:mod:`vumi.application.sandbox.resources.http`'s.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.filepath import FilePath
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from twisted.protocols.tls import TLSMemoryBIOProtocol

__all__ = [
    "SSL_METHODS",
    "VERIFY_OPTIONS",
    "HttpClientContextFactory",
    "HttpClientPolicyForHTTPS",
    "make_context_factory",
]

#: What programs may say about how certificates are checked: OpenSSL's numbers.
VERIFY_OPTIONS = {
    "VERIFY_NONE": SSL.VERIFY_NONE,
    "VERIFY_PEER": SSL.VERIFY_PEER,
    "VERIFY_CLIENT_ONCE": SSL.VERIFY_CLIENT_ONCE,
    "VERIFY_FAIL_IF_NO_PEER_CERT": SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
#: What programs may say about the version; all of them mean the newest that both sides know.
SSL_METHODS = ("SSLv23", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@implementer(IPolicyForHTTPS)
class HttpClientPolicyForHTTPS:
    """Checks certificates.

    :param ssl_method: Without effect.
    :param ca_certs: The file with the authorities to trust; ``None``: the system's.
    :raises ConfigError: The file can't be read.
    """

    def __init__(self, ssl_method: Any = None, ca_certs: str | None = None) -> None:
        self.ssl_method = ssl_method
        self._trust_root: Any = None
        if ca_certs is not None:
            try:
                bundle = load_pem_x509_certificates(FilePath(ca_certs).getContent())
            except (OSError, ValueError) as error:
                raise ConfigError(f"{ca_certs} has no certificates: {error}") from None
            self._trust_root = trustRootFromCertificates(
                [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in bundle]
            )

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """What makes the TLS of connections to a server."""
        return optionsForClientTLS(hostname.decode("ascii"), trustRoot=self._trust_root)


@implementer(IPolicyForHTTPS)
class HttpClientContextFactory:
    """Does not check certificates.

    :param verify_options: Without effect, and so is
    :param ssl_method: this.
    """

    def __init__(self, verify_options: Any = None, ssl_method: Any = None) -> None:
        self.verify_options = verify_options
        self.ssl_method = ssl_method
        self._options: Any = CertificateOptions()

    def getContext(self, hostname: Any = None, port: Any = None) -> SSL.Context:
        """OpenSSL's context."""
        context: SSL.Context = self._options.getContext()
        return context

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """What makes the TLS of connections to a server."""
        return _UncheckedConnection(hostname, self.getContext())


@implementer(IOpenSSLClientConnectionCreator)
class _UncheckedConnection:
    def __init__(self, hostname: bytes, context: SSL.Context) -> None:
        self._hostname = hostname
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        try:
            ip_address(self._hostname.decode("latin-1"))
        except ValueError:
            # Servers with several names choose their certificate by it.
            connection.set_tlsext_host_name(self._hostname)
        return connection


def make_context_factory(
    ssl_method: Any = None, verify_options: Any = None, ca_certs: str | None = None
) -> Any:
    """What requests trust.

    :param ssl_method: Without effect.
    :param verify_options: OpenSSL's number; 0 (``VERIFY_NONE``) checks nothing.
    :param ca_certs: The file with the authorities to trust; ``None``: the system's.
    """
    if verify_options == SSL.VERIFY_NONE and verify_options is not None:
        return HttpClientContextFactory(verify_options, ssl_method)
    return HttpClientPolicyForHTTPS(ssl_method, ca_certs)
