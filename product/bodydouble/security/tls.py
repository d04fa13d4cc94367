"""TLS contexts: version 1.3 only, one certificate each way, nothing that is negotiable left to chance.

A peer is trusted if its certificate is one of those given, byte for byte; there is no authority, no name in a
certificate is looked at, and its dates never end. Session tickets are off: a resumed session would outlive the removal
of a peer, and a ticket's length varies. TLS 1.3 has neither renegotiation nor compression.
"""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bodydouble.security.certificate import Credential

PAIRING_PROTOCOL = "bodydouble-pairing/1"
HTTP_PROTOCOL = "http/1.1"


def server_context(
    credential: Credential, protocols: Sequence[str], peers: Sequence[bytes], *, anonymous: bool
) -> ssl.SSLContext:
    """How a listening port answers.

    Args:
        credential: this machine's.
        protocols: ALPN names, the preferred one first.
        peers: certificates in DER; whoever shows one must show one of these.
        anonymous: whether a peer may show none.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, protocols)
    context.num_tickets = 0
    _show(context, credential)
    context.verify_mode = ssl.CERT_OPTIONAL if anonymous else ssl.CERT_REQUIRED
    _trust(context, peers)
    return context


def client_context(credential: Credential | None, protocols: Sequence[str], peers: Sequence[bytes]) -> ssl.SSLContext:
    """How a connection is made to a machine that must show one of ``peers``.

    Args:
        credential: this machine's; None: show nothing.
        protocols: ALPN names.
        peers: certificates in DER; None of them means that any certificate is taken, and the caller judges it.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, protocols)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if peers else ssl.CERT_NONE
    _trust(context, peers)
    if credential is not None:
        _show(context, credential)
    return context


def http_server_context(credential: Credential) -> ssl.SSLContext:
    """How the control API answers: it shows its certificate and asks for none."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, [HTTP_PROTOCOL])
    context.num_tickets = 0
    _show(context, credential)
    return context


def http_client_context(certificate: bytes) -> ssl.SSLContext:
    """How a console connects to the control API of the one daemon that has ``certificate``."""
    return client_context(None, [HTTP_PROTOCOL], [certificate])


def _context(protocol: int, names: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(names)
    return context


def _trust(context: ssl.SSLContext, peers: Sequence[bytes]) -> None:
    if peers:
        context.load_verify_locations(cadata=b"".join(peers))


def _show(context: ssl.SSLContext, credential: Credential) -> None:
    """Load the key without its ever lying in a file: OpenSSL reads it from a pipe."""
    certificate, key = credential.pem()
    with _readable(certificate) as public, _readable(key) as private:
        context.load_cert_chain(public, private)


@contextmanager
def _readable(content: bytes) -> Iterator[str]:
    """A path from which ``content`` can be read once; short enough for a pipe's buffer."""
    read, write = os.pipe()
    try:
        with open(write, "wb") as pipe:  # noqa: PTH123 - a descriptor, not a path
            pipe.write(content)
        yield f"/dev/fd/{read}"
    finally:
        os.close(read)


def certificate_of(connection: object) -> bytes | None:
    """The certificate that the other side of a TLS connection has shown and proved, in DER.

    Args:
        connection: what the transport calls ``ssl_object``.
    """
    assert isinstance(connection, ssl.SSLObject | ssl.SSLSocket)
    return connection.getpeercert(binary_form=True)
