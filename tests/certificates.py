"""A test authority whose certificates have a constant length: Ed25519 keys and serial numbers of eight bytes.

They are valid from 1970 to 9999, since OpenSSL compares them with the host's clock and the calendar of a simulated
world says something else (RFC 5280, 4.1.2.5: 99991231235959Z says that there is no well-defined end).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SERIAL = 1 << 62


@dataclass(frozen=True)
class Identity:
    key: Ed25519PrivateKey
    certificate: x509.Certificate


class Authority:
    """Signs certificates; files of them are in ``directory``."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        self._directory = directory
        self._serial = _SERIAL
        self._own = self._signed(name, [], None)
        self._file = directory / f"{name}.pem"
        self._file.write_bytes(self._own.certificate.public_bytes(Encoding.PEM))

    def _signed(self, name: str, hosts: list[str], signer: Identity | None) -> Identity:
        self._serial += 1
        key = Ed25519PrivateKey.generate()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if signer is None else signer.certificate.subject
        names: list[x509.GeneralName] = [
            x509.IPAddress(IPv4Address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts
        ]
        builder = x509.CertificateBuilder(issuer, subject, key.public_key(), self._serial, _BEGIN, _END)
        builder = builder.add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signing = key if signer is None else signer.key
        return Identity(key, builder.sign(signing, algorithm=None))

    def file(self, name: str, *hosts: str) -> Path:
        """Key and certificate of a host, in one PEM file."""
        made = self._signed(name, list(hosts), self._own)
        path = self._directory / f"{name}.pem"
        key = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(key + made.certificate.public_bytes(Encoding.PEM))
        return path

    def server(self, *hosts: str, mutual: bool = False) -> ssl.SSLContext:
        """TLS 1.3 for a server; without session tickets, whose length is not constant."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.load_cert_chain(self.file("server", *hosts))
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._file)
        return context

    def client(self, *, certificate: bool = False) -> ssl.SSLContext:
        """TLS 1.3 for a client that trusts this authority only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self._file)
        if certificate:
            context.load_cert_chain(self.file("client"))
        return context
