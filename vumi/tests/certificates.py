"""Throw-away certificates for tests that speak TLS to a server on this machine.

Knows X.509 only; which server uses the files is up to the caller. The keys are written unencrypted
and are worth nothing: every call makes a new authority that nobody else trusts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TLSFiles", "make_test_certificates"]

# A test machine's clock may be a little off, or the machine may sleep over night.
_VALID_BEFORE = timedelta(days=1)
_VALID_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Where one authority, one server's and one client's certificate and key are (PEM files).

    The server's certificate is for ``localhost``, ``127.0.0.1`` and ``::1``.
    """

    ca_certificate: Path
    server_certificate: Path
    server_key: Path
    client_certificate: Path
    client_key: Path


@dataclass(frozen=True, slots=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_test_certificates(directory: Path | str, client_name: str = "vumi") -> TLSFiles:
    """Make an authority and the certificates that it signed.

    :param directory: where the five files are written; made if it isn't there.
    :param client_name: the common name in the client's certificate.
    :return: the files' paths.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    authority = _issue_authority()
    server = _issue(
        authority,
        "localhost",
        ExtendedKeyUsageOID.SERVER_AUTH,
        [
            x509.DNSName("localhost"),
            x509.IPAddress(IPv4Address("127.0.0.1")),
            x509.IPAddress(IPv6Address("::1")),
        ],
    )
    client = _issue(
        authority, client_name, ExtendedKeyUsageOID.CLIENT_AUTH, [x509.DNSName(client_name)]
    )
    files = TLSFiles(
        ca_certificate=folder / "ca.pem",
        server_certificate=folder / "server.pem",
        server_key=folder / "server.key",
        client_certificate=folder / "client.pem",
        client_key=folder / "client.key",
    )
    files.ca_certificate.write_bytes(_certificate_pem(authority))
    files.server_certificate.write_bytes(_certificate_pem(server))
    files.client_certificate.write_bytes(_certificate_pem(client))
    _write_key(files.server_key, server)
    _write_key(files.client_key, client)
    return files


def _issue_authority() -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("vumi test authority")
    builder = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return _Issued(builder.sign(key, hashes.SHA256()), key)


def _issue(
    authority: _Issued,
    common_name: str,
    usage: x509.ObjectIdentifier,
    alternative_names: Sequence[x509.GeneralName],
) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    builder = (
        _builder(_name(common_name), issuer, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        # Python 3.13 checks strictly: without the authority's key id it refuses the chain.
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    return _Issued(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID_BEFORE)
        .not_valid_after(now + _VALID_AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate_pem(issued: _Issued) -> bytes:
    return issued.certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, issued: _Issued) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        issued.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
