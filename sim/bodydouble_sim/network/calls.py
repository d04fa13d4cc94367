"""The network calls of the simulated loop: each acts on the machine that the running code belongs to."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.handles import current_machine
from bodydouble_sim.network.frames import NO_ADDRESS, is_address
from bodydouble_sim.network.resolver import resolve
from bodydouble_sim.network.transport import SimServer, TcpTransport
from bodydouble_sim.network.udp import UdpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.ports import Key

_WILDCARDS = ("", NO_ADDRESS, "*")
_PORTS = 65536
_SERVICES = {  # of %SystemRoot%\\System32\\drivers\\etc\\services: what the modelled machines speak
    "ftp-data": 20,
    "ftp": 21,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "http": 80,
    "pop3": 110,
    "nntp": 119,
    "https": 443,
}
_SOCKET_OPTIONS = frozenset(("family", "proto", "flags", "happy_eyeballs_delay", "interleave", "all_errors"))
_SERVER_OPTIONS = frozenset(("family", "flags", "backlog", "reuse_address", "reuse_port"))
_ENDPOINT_OPTIONS = frozenset(("family", "proto", "flags", "reuse_address", "reuse_port"))
_TLS_OPTIONS = frozenset(("ssl_handshake_timeout", "ssl_shutdown_timeout"))


class NetworkCalls(asyncio.AbstractEventLoop):
    """The part of the loop that talks to the simulated network."""

    async def getaddrinfo(  # type: ignore[override]  # IPv4 rows only
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        """Resolve a name as the machine does: literal, hosts file, own names, NetBIOS (cached 10 minutes).

        Raises:
            socket.gaierror: nobody knows the name or the service, or only IPv6 was asked for.
        """
        if family not in (socket.AF_UNSPEC, socket.AF_INET):
            raise socket.gaierror(socket.EAI_FAMILY, "the simulated network is IPv4 only")
        if host is None and port is None:
            raise socket.gaierror(socket.EAI_NONAME, "neither a name nor a port was given")
        machine = current_machine()
        passive = bool(flags & socket.AI_PASSIVE)
        if flags & socket.AI_NUMERICHOST and host is not None and not is_address(_text(host)):
            raise socket.gaierror(socket.EAI_NONAME, f"{_text(host)} is no address")
        address = await _address_of(machine, host, passive=passive)
        number = _port_number(port)
        kinds = [(socket.SOCK_STREAM, socket.IPPROTO_TCP), (socket.SOCK_DGRAM, socket.IPPROTO_UDP)]
        return [
            (socket.AF_INET, kind, protocol, "", (address, number))
            for kind, protocol in kinds
            if type in (0, kind) and proto in (0, protocol)
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Numeric only: there is no reverse name service on the segment."""
        del flags
        return str(sockaddr[0]), str(sockaddr[1])

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
    ) -> tuple[TcpTransport, Any]:
        """Open a TCP connection from this machine.

        Raises:
            ConnectionRefusedError: the port is closed.
            TimeoutError: nobody answers (45 s: the SYN and its three repetitions).
            OSError: no route, address not ours.
            ValueError: no destination, or a TLS name without TLS.
            socket.gaierror: the name is unknown.
        """
        _refuse_extras(ssl, sock)
        _refuse_unknown("create_connection", options, _SOCKET_OPTIONS | _TLS_OPTIONS)
        if server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        if host is None and port is None:
            raise ValueError("host and port was not specified and no sock specified")
        machine = current_machine()
        await machine.stack.ready()
        remote = await _address_of(machine, host, passive=False)
        nic, local = machine.stack.route(remote)
        wanted = 0
        if local_addr is not None:
            named = await _address_of(machine, local_addr[0], passive=True)
            local, wanted = (local if named == NO_ADDRESS else named), local_addr[1]
            _refuse_foreign(machine, local)
        ports = machine.stack.tcp
        key = (local, wanted or ports.ephemeral(local, remote, port or 0), remote, port or 0)
        if key in ports.connections:
            raise OSError(errno.EADDRINUSE, f"{machine.name}: {local}:{key[1]} is connected to that peer already")
        opened = self.create_future()
        context = contextvars.copy_context()
        transport = TcpTransport(ports, nic, key, context, protocol_factory, opened=opened)
        ports.connections[key] = transport
        transport.open()
        try:
            await opened
        except BaseException:
            transport.abort()
            raise
        return transport, transport.get_protocol()

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
        """Listen on one or more addresses of this machine (None: all of them).

        Raises:
            OSError: the port is in use, or an address is not this machine's.
        """
        _refuse_extras(ssl, sock)
        _refuse_unknown("create_server", options, _SERVER_OPTIONS | _TLS_OPTIONS)
        machine = current_machine()
        await machine.stack.ready()
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        addresses = [await _address_of(machine, one, passive=True) for one in hosts]
        for address in addresses:
            _refuse_foreign(machine, address)
        ports = machine.stack.tcp
        context = contextvars.copy_context()

        def connect(nic: Nic | None, key: Key, gone: Callable[[], None]) -> TcpTransport:
            return TcpTransport(ports, nic, key, context.copy(), protocol_factory, gone=gone)

        server = SimServer(ports, addresses, port or 0, connect)
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
        """Open a UDP port on this machine.

        Raises:
            OSError: the port is in use, or the address is not this machine's.
        """
        _refuse_extras(None, sock)
        _refuse_unknown("create_datagram_endpoint", options, _ENDPOINT_OPTIONS)
        machine = current_machine()
        await machine.stack.ready()
        address, port = (NO_ADDRESS, 0) if local_addr is None else local_addr
        local = await _address_of(machine, address, passive=True)
        _refuse_foreign(machine, local)
        remote = None
        if remote_addr is not None:
            remote = (await _address_of(machine, remote_addr[0], passive=False), remote_addr[1])
        context = contextvars.copy_context()
        ports = machine.stack.udp
        transport = UdpTransport(ports, (local, port), remote, context, broadcast=bool(allow_broadcast))
        protocol = protocol_factory()
        transport.set_protocol(protocol)
        made = self.create_future()
        self.call_soon(protocol.connection_made, transport)
        self.call_soon(made.set_result, None)
        await made
        return transport, protocol


def _text(host: bytes | str) -> str:
    return host.decode() if isinstance(host, bytes) else host


async def _address_of(machine: Machine, host: bytes | str | None, *, passive: bool) -> str:
    if host is None:
        return NO_ADDRESS if passive else "127.0.0.1"
    name = _text(host)
    if passive and name in _WILDCARDS:
        return NO_ADDRESS
    return name if is_address(name) else await resolve(machine, name)


def _port_number(port: bytes | str | int | None) -> int:
    if isinstance(port, (bytes, str)) and port and not _text(port).isdigit():
        if _text(port) not in _SERVICES:
            raise socket.gaierror(socket.EAI_SERVICE, f"no service is called {_text(port)}")
        return _SERVICES[_text(port)]
    number = int(port or 0)
    if not 0 <= number < _PORTS:
        raise socket.gaierror(socket.EAI_SERVICE, f"port {number} does not exist")
    return number


def _refuse_foreign(machine: Machine, address: str) -> None:
    if address != NO_ADDRESS and not address.startswith("127.") and not machine.stack.owns(address):
        raise OSError(errno.EADDRNOTAVAIL, f"{address} is not an address of {machine.name}")


def _refuse_extras(ssl: Any, sock: Any) -> None:
    if ssl:
        raise RefusedError("TLS draws entropy and reads the real clock; a simulated run speaks plain TCP")
    if sock is not None:
        raise RefusedError("a simulated machine has no real sockets; pass host and port")


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
_SOCKET_CALLS = (
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
    "sock_sendfile",
    "connect_accepted_socket",
    "sendfile",
)
_REFUSED = {
    **dict.fromkeys(("add_reader", "remove_reader", "add_writer", "remove_writer"), _NO_DESCRIPTORS),
    **dict.fromkeys(_SOCKET_CALLS, _NO_DESCRIPTORS),
    **dict.fromkeys(("connect_read_pipe", "connect_write_pipe"), _NO_DESCRIPTORS),
    **dict.fromkeys(
        ("create_unix_connection", "create_unix_server"),
        "the simulated network has no Unix sockets; use create_connection or create_server on 127.0.0.1",
    ),
    **dict.fromkeys(("subprocess_exec", "subprocess_shell"), _NO_PROCESSES),
    **dict.fromkeys(("add_signal_handler", "remove_signal_handler"), _NO_SIGNALS),
    "start_tls": "a simulated run speaks plain TCP; leave TLS out of its configuration",
}

for _name, _reason in _REFUSED.items():
    setattr(NetworkCalls, _name, staticmethod(partial(_refuse, _name, _reason)))
