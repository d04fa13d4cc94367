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
from bodydouble_sim.network.ports import Listener
from bodydouble_sim.network.resolver import resolve
from bodydouble_sim.network.transport import SimServer, TcpTransport
from bodydouble_sim.network.udp import UdpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble_sim.machine import Machine

_WILDCARDS = ("", NO_ADDRESS, "*")
_PORTS = 65536


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
            socket.gaierror: nobody knows the name, or only IPv6 was asked for.
        """
        if family not in (socket.AF_UNSPEC, socket.AF_INET):
            raise socket.gaierror(socket.EAI_FAMILY, "the simulated network is IPv4 only")
        machine = current_machine()
        passive = bool(flags & socket.AI_PASSIVE)
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
        **_: Any,
    ) -> tuple[TcpTransport, Any]:
        """Open a TCP connection from this machine.

        Raises:
            ConnectionRefusedError: the port is closed.
            TimeoutError: nobody answers (45 s: the SYN and its three repetitions).
            OSError: no route, address not ours.
            socket.gaierror: the name is unknown.
        """
        _refuse_extras(ssl, sock)
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
        **_: Any,
    ) -> SimServer:
        """Listen on one or more addresses of this machine (None: all of them).

        Raises:
            OSError: the port is in use, or an address is not this machine's.
        """
        _refuse_extras(ssl, sock)
        machine = current_machine()
        await machine.stack.ready()
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        addresses = [await _address_of(machine, one, passive=True) for one in hosts]
        for address in addresses:
            _refuse_foreign(machine, address)
        ports = machine.stack.tcp
        context = contextvars.copy_context()

        def connect(nic: Any, key: Any) -> TcpTransport:
            return TcpTransport(ports, nic, key, context.copy(), protocol_factory)

        server = SimServer(ports, [Listener(address, port or 0, connect) for address in addresses])
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
        **_: Any,
    ) -> tuple[UdpTransport, Any]:
        """Open a UDP port on this machine.

        Raises:
            OSError: the port is in use, or the address is not this machine's.
        """
        _refuse_extras(None, sock)
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
        self.call_soon(protocol.connection_made, transport)
        await asyncio.sleep(0)
        return transport, protocol


async def _address_of(machine: Machine, host: bytes | str | None, *, passive: bool) -> str:
    if host is None:
        return NO_ADDRESS if passive else "127.0.0.1"
    name = host.decode() if isinstance(host, bytes) else host
    if passive and name in _WILDCARDS:
        return NO_ADDRESS
    return name if is_address(name) else await resolve(machine, name)


def _port_number(port: bytes | str | int | None) -> int:
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


def _refuse(name: str, reason: str, *_: Any, **__: Any) -> Any:
    raise RefusedError(f"{name}: {reason}")


_NO_DESCRIPTORS = "a simulated machine has no file descriptors"
_NO_PROCESSES = "a simulated machine starts no real process; use its Scripts port"
_NO_SIGNALS = "signals come from outside the simulation"
_REFUSED = {
    **dict.fromkeys(("add_reader", "remove_reader", "add_writer", "remove_writer"), _NO_DESCRIPTORS),
    **dict.fromkeys(("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into"), _NO_DESCRIPTORS),
    **dict.fromkeys(("sock_sendall", "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile"), _NO_DESCRIPTORS),
    **dict.fromkeys(("connect_accepted_socket", "sendfile"), _NO_DESCRIPTORS),
    **dict.fromkeys(("connect_read_pipe", "connect_write_pipe"), _NO_DESCRIPTORS),
    **dict.fromkeys(("create_unix_connection", "create_unix_server"), "the simulated network has no Unix sockets"),
    **dict.fromkeys(("subprocess_exec", "subprocess_shell"), _NO_PROCESSES),
    **dict.fromkeys(("add_signal_handler", "remove_signal_handler"), _NO_SIGNALS),
    "start_tls": "a simulated run speaks plain TCP",
}

for _name, _reason in _REFUSED.items():
    setattr(NetworkCalls, _name, staticmethod(partial(_refuse, _name, _reason)))
