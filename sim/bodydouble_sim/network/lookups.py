"""Names and services: what the loop's ``getaddrinfo`` asks the network, and what ``socket``'s finds without asking."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, TypeAlias

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.handles import current_machine
from bodydouble_sim.network.frames import NO_ADDRESS, is_address
from bodydouble_sim.network.resolver import known_here, resolve

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine

Row: TypeAlias = tuple[int, int, int, str, tuple[str, int]]

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
_NAMES = {number: name for name, number in _SERVICES.items()}
_KINDS = ((socket.SOCK_STREAM, socket.IPPROTO_TCP), (socket.SOCK_DGRAM, socket.IPPROTO_UDP))


class LookupCalls(asyncio.AbstractEventLoop):
    """The part of the loop that looks names up."""

    async def getaddrinfo(  # type: ignore[override]  # IPv4 rows only
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Row]:
        """Resolve a name as the machine does, in the order of `network.resolver`.

        Raises:
            socket.gaierror: nobody knows the name or the service, or only IPv6 was asked for.
        """
        _check(host, port, family, flags)
        address = await address_of(current_machine(), host, passive=bool(flags & socket.AI_PASSIVE))
        return _rows(address, port, type, proto)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """The name that the hosts file has for an address, and the service's; numbers where there is none.

        Raises:
            socket.gaierror: there is no name, and NI_NAMEREQD asks for one.
        """
        address, port = sockaddr[:2]
        host = None if flags & socket.NI_NUMERICHOST else _name_of(current_machine(), address)
        if host is None and flags & socket.NI_NAMEREQD:
            raise socket.gaierror(socket.EAI_NONAME, f"{address} has no name")
        service = None if flags & socket.NI_NUMERICSERV else _NAMES.get(port)
        return host or str(address), service or str(port)


def _name_of(machine: Machine, address: str) -> str | None:
    if address == "127.0.0.1":
        return "localhost"
    return next((name for name, known in machine.hosts.items() if known == address), None)


def blocking_getaddrinfo(  # noqa: PLR0917 - socket's signature
    host: bytes | str | None,
    port: bytes | str | int | None,
    family: int = 0,
    type: int = 0,  # noqa: A002 - socket's name
    proto: int = 0,
    flags: int = 0,
) -> list[Row]:
    """``socket.getaddrinfo`` of a simulated machine: what needs no question on the wire.

    Raises:
        socket.gaierror: as the loop's.
        RefusedError: the name has to be asked for, which only the loop can do without stopping the world.
    """
    _check(host, port, family, flags)
    machine = current_machine()
    name = None if host is None else _text(host)
    address = _without_asking(name, passive=bool(flags & socket.AI_PASSIVE)) or known_here(machine, name or "")
    if address is None:
        raise RefusedError(
            f"{name}: looking the name up on the network would stop the whole simulated world; await loop.getaddrinfo"
        )
    return _rows(address, port, type, proto)


def blocking_gethostbyname(hostname: str) -> str:
    """``socket.gethostbyname`` of a simulated machine; raises as `blocking_getaddrinfo`."""
    return blocking_getaddrinfo(hostname, None)[0][4][0]


def _check(host: Any, port: Any, family: int, flags: int) -> None:
    if family not in (socket.AF_UNSPEC, socket.AF_INET):
        raise socket.gaierror(socket.EAI_FAMILY, "the simulated network is IPv4 only")
    if host is None and port is None:
        raise socket.gaierror(socket.EAI_NONAME, "neither a name nor a port was given")
    if flags & socket.AI_NUMERICHOST and host is not None and not is_address(_text(host)):
        raise socket.gaierror(socket.EAI_NONAME, f"{_text(host)} is no address")


def _rows(address: str, port: bytes | str | int | None, kind: int, proto: int) -> list[Row]:
    number = _port_number(port)
    return [
        (socket.AF_INET, one, protocol, "", (address, number))
        for one, protocol in _KINDS
        if kind in (0, one) and proto in (0, protocol)
    ]


async def address_of(machine: Machine, host: bytes | str | None, *, passive: bool) -> str:
    """The address for a host of a call; ``passive``: to bind to.

    Raises:
        socket.gaierror: nobody knows the name.
    """
    name = None if host is None else _text(host)
    return _without_asking(name, passive=passive) or await resolve(machine, name or "")


def _without_asking(name: str | None, *, passive: bool) -> str | None:
    if name is None:
        return NO_ADDRESS if passive else "127.0.0.1"
    if passive and name in _WILDCARDS:
        return NO_ADDRESS
    return name if is_address(name) else None


def _text(host: bytes | str) -> str:
    return host.decode() if isinstance(host, bytes) else host


def _port_number(port: bytes | str | int | None) -> int:
    if isinstance(port, (bytes, str)) and port and not _text(port).isdigit():
        if _text(port) not in _SERVICES:
            raise socket.gaierror(socket.EAI_SERVICE, f"no service is called {_text(port)}")
        return _SERVICES[_text(port)]
    number = int(port or 0)
    if not 0 <= number < _PORTS:
        raise socket.gaierror(socket.EAI_SERVICE, f"port {number} does not exist")
    return number
