"""Opening a connection to a paired machine: over TLS, and only to the machine that is meant."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from bodydouble.errors import PairingError
from bodydouble.replication.protocol import PROTOCOL, Ping, Purpose, Wire
from bodydouble.security.tls import certificate_of

if TYPE_CHECKING:
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import AnyMessage
    from bodydouble.vocabulary.records import ConnectRequest, Peer, Role

_LOOPBACK = ("localhost", "127.0.0.1")
"""Under these, its name and its addresses a machine meets itself: one alone keeps a replica on another drive."""


async def dial(context: Context, request: ConnectRequest, purpose: Purpose, known: str) -> Wire:
    """Connect, and see who answers.

    Args:
        context: the daemon's surroundings.
        request: where to.
        purpose: what for; it says which role the other machine has to have.
        known: fingerprint of the machine that has to answer; empty when any with the role may.

    Raises:
        PairingError: this machine is paired with none, or what answers is not paired, or another machine than meant.
        OSError: nobody answers.
    """
    role: Role = "source" if purpose == "restore" else "target"
    settings, route = context.settings, request.route or request.target
    itself = await _leads_here(context, route)
    try:
        async with asyncio.timeout(settings.connect_timeout):
            reader, writer = await asyncio.open_connection(
                route, request.port, ssl=context.trust.towards(role, PROTOCOL, itself=itself), server_hostname=""
            )
    except ssl.SSLCertVerificationError as error:
        context.trust.towards(role, PROTOCOL)  # says so, when this machine is paired with none but itself
        where = f"{route}:{request.port}"
        raise PairingError(f"what answers at {where} is not paired with this machine as a {role} of it") from error
    except TimeoutError as error:
        raise ConnectionAbortedError(f"no connection within {settings.connect_timeout:g} s") from error
    except UnicodeError as error:  # what getaddrinfo makes of names such as "a..b"
        raise ConnectionAbortedError(f"{route!r} is not a host name: {error}") from error
    try:
        return Wire(reader, writer, settings.peer_timeout, _recognised(context, writer, role, known))
    except PairingError:
        writer.transport.abort()
        raise


async def _leads_here(context: Context, route: str) -> bool:
    identity = await context.host.identity.query()
    addresses = [each.address.partition("/")[0] for each in identity.addresses]
    return route.casefold() in (*_LOOPBACK, context.source_name.casefold(), *addresses)


def _recognised(context: Context, writer: asyncio.StreamWriter, role: Role, known: str) -> Peer:
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    peer = context.trust.find(certificate_of(connection))
    if peer is None or role not in peer.roles:
        raise PairingError("what answers was paired with this machine, and is no more")
    if known not in ("", peer.fingerprint):
        raise PairingError(f"{peer.name} answers, another machine than before; connect again if that is meant")
    if connection.selected_alpn_protocol() != PROTOCOL:
        raise PairingError(f"{peer.name} does not speak {PROTOCOL}: install the same version on both machines")
    return peer


async def answer_of(wire: Wire) -> AnyMessage:
    """What the other machine says first.

    Raises:
        ConnectionError: it ended the connection, or is silent.
        ProtocolError: it sent something else.
    """
    try:
        while isinstance(answer := await wire.receive(), Ping):
            continue
    except ConnectionError as error:
        # TLS 1.3: a target that does not accept this machine's certificate ends the connection only now.
        raise ConnectionResetError(
            f"{wire.peer.name} gave no answer ({error}); if this lasts, see whether this machine is paired there"
        ) from error
    return answer
