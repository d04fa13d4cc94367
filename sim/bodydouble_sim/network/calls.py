"""The network calls of the simulated loop: each acts on the machine that the running code belongs to."""

from __future__ import annotations

import contextvars
import errno
import socket
from functools import partial
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.handles import current_machine
from bodydouble_sim.network.frames import NO_ADDRESS
from bodydouble_sim.network.lookups import LookupCalls, address_of
from bodydouble_sim.network.options import SocketOptions
from bodydouble_sim.network.server import SimServer
from bodydouble_sim.network.socket_calls import SocketCalls, simulated, stream_of
from bodydouble_sim.network.socket_datagram import DatagramEnd
from bodydouble_sim.network.tls import Tls, terms
from bodydouble_sim.network.transport import TcpTransport
from bodydouble_sim.network.udp import UdpTransport

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.ports import Key

_SOCKET_OPTIONS = frozenset(("family", "proto", "flags", "happy_eyeballs_delay", "interleave", "all_errors"))
_SERVER_OPTIONS = frozenset(("family", "flags", "backlog", "reuse_address", "reuse_port"))
_ENDPOINT_OPTIONS = frozenset(("family", "proto", "flags", "reuse_address", "reuse_port"))


class NetworkCalls(LookupCalls, SocketCalls):
    """The part of the loop that talks to the simulated network."""

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Open a TCP connection from this machine, or take over a connected socket; with ``ssl``, do TLS over it.

        Raises:
            ConnectionRefusedError: the port is closed.
            TimeoutError: nobody answers (21 s: the SYN and its two repetitions).
            OSError: no route, address not ours, the socket is not connected.
            ssl.SSLError: the peers do not agree, or a certificate is not accepted.
            ValueError: no destination or two of them, or TLS arguments that do not fit.
            socket.gaierror: the name is unknown.
        """
        hostname = _checked_name(ssl, server_hostname, host)
        tls = terms(ssl, options, server_side=False, hostname=hostname)
        _refuse_unknown("create_connection", options, _SOCKET_OPTIONS)
        if (host is not None or port is not None) and sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        if sock is not None:
            return await self._take_over("create_connection", sock, protocol_factory, tls)
        if host is None and port is None:
            raise ValueError("host and port was not specified and no sock specified")
        secured = self.create_future() if tls else None
        factory = tls.over(protocol_factory, secured) if tls else protocol_factory
        transport = await self._dial(factory, host, port or 0, local_addr)
        return await _secured(transport, secured)

    async def _dial(
        self, factory: Callable[[], Any], host: str | None, port: int, local_addr: tuple[str, int] | None
    ) -> TcpTransport:
        machine = current_machine()
        await machine.stack.ready()
        remote = await address_of(machine, host, passive=False)
        nic, local = machine.stack.route(remote)
        wanted = 0
        if local_addr is not None:
            named = await address_of(machine, local_addr[0], passive=True)
            local, wanted = (local if named == NO_ADDRESS else named), local_addr[1]
            _refuse_foreign(machine, local)
        ports = machine.stack.tcp
        key = (local, wanted or ports.ephemeral(local, remote, port), remote, port)
        if key in ports.connections:
            raise OSError(errno.EADDRINUSE, f"{machine.name}: {local}:{key[1]} is connected to that peer already")
        opened = self.create_future()
        context = contextvars.copy_context()
        transport = TcpTransport(ports, nic, key, context, factory, opened=opened)
        ports.connections[key] = transport
        transport.open()
        try:
            await opened
        except BaseException:
            transport.abort()
            raise
        return transport

    async def connect_accepted_socket(
        self, protocol_factory: Callable[[], Any], sock: Any, *, ssl: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        """Give a connection that a socket accepted to a protocol; with ``ssl``, as the server of TLS.

        Raises:
            OSError: the socket is not connected.
            ssl.SSLError, TypeError, ValueError: as `create_connection`.
        """
        tls = terms(ssl, options, server_side=True)
        _refuse_unknown("connect_accepted_socket", options, frozenset())
        return await self._take_over("connect_accepted_socket", sock, protocol_factory, tls)

    async def _take_over(self, call: str, sock: Any, factory: Callable[[], Any], tls: Tls | None) -> tuple[Any, Any]:
        connection = stream_of(call, sock).give_connection()
        sock.setblocking(False)
        sock.given_away()
        secured = self.create_future() if tls else None
        wrapped = tls.over(factory, secured) if tls else factory
        connection.hand_over(wrapped, contextvars.copy_context())
        return await _secured(connection, secured)

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        **options: Any,
    ) -> Any:
        """Do TLS from here on; returns the transport that ``protocol`` must use from now on.

        Raises:
            TypeError: no context, or a transport that is not one of TCP or TLS.
            ssl.SSLError: the peers do not agree, or a certificate is not accepted.
        """
        if not isinstance(sslcontext, SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        tls = terms(sslcontext, options, server_side=server_side, hostname=server_hostname)
        _refuse_unknown("start_tls", options, frozenset())
        assert tls is not None
        secured = self.create_future()
        wrapped = tls.wrap(protocol, secured, made=True)
        transport.pause_reading()  # before the protocol that would get it has its transport
        transport.set_protocol(wrapped)
        begun = self.call_soon(wrapped.connection_made, transport)
        resumed = self.call_soon(transport.resume_reading)
        try:
            await secured
        except BaseException:
            transport.close()
            begun.cancel()
            resumed.cancel()
            raise
        return wrapped.transport

    async def create_server(  # type: ignore[override]  # one signature for asyncio's overloads
        self,
        protocol_factory: Callable[[], Any],
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        start_serving: bool = True,
        **options: Any,
    ) -> SimServer:
        """Listen on one or more addresses of this machine (None: all of them), or on a socket's; ``ssl``: with TLS.

        Raises:
            OSError: the port is in use, or an address is not this machine's.
            TypeError, ValueError: TLS arguments that do not fit, an address and a socket.
        """
        tls = terms(ssl, options, server_side=True)
        _refuse_unknown("create_server", options, _SERVER_OPTIONS)
        machine = current_machine()
        await machine.stack.ready()
        if sock is None:
            addresses = await _own_addresses(machine, host)
        elif host is not None or port is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        else:
            address, port = _port_of(sock)
            addresses = [address]
        ports = machine.stack.tcp
        context = contextvars.copy_context()
        factory = tls.over(protocol_factory) if tls else protocol_factory

        def connect(nic: Nic | None, key: Key, gone: Callable[[], None]) -> TcpTransport:
            return TcpTransport(ports, nic, key, context.copy(), factory, gone=gone)

        server = SimServer(ports, addresses, port or 0, connect)
        if sock is not None:
            sock.end.pass_on(lambda connection: connection.hand_over(factory, context.copy(), server.attach()))
        if start_serving:
            server.begin()
        return server

    async def create_datagram_endpoint(  # type: ignore[override]  # asyncio's generic protocol
        self,
        protocol_factory: Callable[[], Any],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        *,
        allow_broadcast: bool | None = None,
        sock: Any = None,
        **options: Any,
    ) -> tuple[UdpTransport, Any]:
        """Open a UDP port on this machine, or take over a socket's.

        Raises:
            OSError: the port is in use, the address is not this machine's, or no route to the peer.
            ValueError: a socket, and what only a new one can be given.
        """
        _refuse_unknown("create_datagram_endpoint", options, _ENDPOINT_OPTIONS)
        machine = current_machine()
        await machine.stack.ready()
        if sock is not None:
            named = {
                "local_addr": local_addr,
                "remote_addr": remote_addr,
                "allow_broadcast": allow_broadcast,
                **options,
            }
            return await self._take_over_port(sock, protocol_factory, named)
        address, port = (NO_ADDRESS, 0) if local_addr is None else local_addr
        local = await address_of(machine, address, passive=True)
        _refuse_foreign(machine, local)
        remote = None
        if remote_addr is not None:
            remote = (await address_of(machine, remote_addr[0], passive=False), remote_addr[1])
        wanted = SocketOptions()
        wanted.set(socket.SOL_SOCKET, socket.SO_BROADCAST, bool(allow_broadcast))
        transport = UdpTransport(machine.stack.udp, (local, port), remote, contextvars.copy_context(), wanted)
        protocol = protocol_factory()
        transport.set_protocol(protocol)
        await self._begin(protocol, transport)
        return transport, protocol

    async def _take_over_port(
        self, sock: Any, factory: Callable[[], Any], named: dict[str, Any]
    ) -> tuple[UdpTransport, Any]:
        end = simulated("create_datagram_endpoint", sock).end
        if not isinstance(end, DatagramEnd):
            raise ValueError(f"A UDP Socket was expected, got {sock!r}")  # noqa: TRY004 - asyncio's error
        wrong = ", ".join(f"{name}={value}" for name, value in named.items() if value)
        if wrong:
            raise ValueError(f"socket modifier keyword arguments can not be used when sock is specified. ({wrong})")
        transport = end.give_port()
        sock.setblocking(False)
        sock.given_away()
        protocol = factory()
        await self._begin(protocol, transport)
        end.hand_over(protocol)
        return transport, protocol

    async def _begin(self, protocol: Any, transport: UdpTransport) -> None:
        made = self.create_future()
        self.call_soon(protocol.connection_made, transport)
        self.call_soon(made.set_result, None)
        await made


async def _secured(transport: TcpTransport, secured: asyncio.Future[Any] | None) -> tuple[Any, Any]:
    """Wait for TLS, if there is any; the transport and the protocol that the caller gets."""
    if secured is None:
        return transport, transport.get_protocol()
    wrapped: Any = transport.get_protocol()
    upper, protocol = wrapped.transport, wrapped.protocol
    try:
        await secured
    except BaseException:
        upper.close()
        raise
    return upper, protocol


def _checked_name(ssl: Any, name: str | None, host: str | None) -> str | None:
    """The name that the peer's certificate is checked against, as asyncio finds it."""
    if name is not None and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    if name is None and ssl:
        if not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        return host
    return name


def _port_of(sock: Any) -> tuple[str, int]:
    end = stream_of("create_server", sock)
    sock.setblocking(False)
    sock.given_away()
    return end.give_port()


async def _own_addresses(machine: Machine, host: str | Sequence[str] | None) -> list[str]:
    hosts = [host] if host is None or isinstance(host, str) else list(host)
    addresses = [await address_of(machine, one, passive=True) for one in hosts]
    for address in addresses:
        _refuse_foreign(machine, address)
    return addresses


def _refuse_foreign(machine: Machine, address: str) -> None:
    if address != NO_ADDRESS and not address.startswith("127.") and not machine.stack.owns(address):
        raise OSError(errno.EADDRNOTAVAIL, f"{address} is not an address of {machine.name}")


def _refuse_unknown(call: str, options: dict[str, Any], known: frozenset[str]) -> None:
    """An option that asyncio has and the simulated network does not need is taken; any other is a mistake."""
    for name in options:
        if name not in known:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")


def _refuse(name: str, reason: str, *_: Any, **__: Any) -> Any:
    raise RefusedError(f"{name}: {reason}")


_NO_DESCRIPTORS = (
    "a simulated machine has no file descriptors; use streams, create_connection, create_server or "
    "create_datagram_endpoint"
)
_NO_PROCESSES = "a simulated machine starts no real process; use its Scripts port"
_NO_SIGNALS = "signals come from outside the simulation; cancel the task instead"
_REFUSED = {
    **dict.fromkeys(("add_reader", "remove_reader", "add_writer", "remove_writer"), _NO_DESCRIPTORS),
    **dict.fromkeys(("connect_read_pipe", "connect_write_pipe"), _NO_DESCRIPTORS),
    **dict.fromkeys(
        ("create_unix_connection", "create_unix_server"),
        "the simulated network has no Unix sockets; use create_connection or create_server on 127.0.0.1",
    ),
    **dict.fromkeys(("subprocess_exec", "subprocess_shell"), _NO_PROCESSES),
    **dict.fromkeys(("add_signal_handler", "remove_signal_handler"), _NO_SIGNALS),
}

for _name, _reason in _REFUSED.items():
    setattr(NetworkCalls, _name, staticmethod(partial(_refuse, _name, _reason)))
