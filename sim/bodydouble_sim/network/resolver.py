"""Name to address, in the order of Windows 2000 (KB 172218).

That is: own names, hosts file, DNS, NetBIOS cache, WINS, broadcast. A machine's `name_order` says which ways it uses,
and in which order. DNS is asked once `Machine.dns` has a server, WINS once `Machine.netbios.wins` is one; names that
are no NetBIOS name are left to the hosts file and DNS.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from bodydouble_sim.errors import ConfigurationError
from bodydouble_sim.network.nbns import NAME_LENGTH

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine

DEFAULT_ORDER: tuple[str, ...] = ("own", "hosts", "dns", "cache", "wins", "broadcast")
_LOOPBACK = "127.0.0.1"
_LOCALHOST = "LOCALHOST"
_NETBIOS_ONLY = ("own", "cache", "wins", "broadcast")


async def resolve(machine: Machine, name: str) -> str:
    """The address for a host name.

    Raises:
        socket.gaierror: nobody answers for it.
        ConfigurationError: the machine's order has a way that there is not.
    """
    plain = name.rstrip(".").upper()
    if plain == _LOCALHOST:
        return _LOOPBACK
    unknown = [way for way in machine.name_order if way not in DEFAULT_ORDER]
    if unknown:
        raise ConfigurationError(f"{machine.name}: no way {unknown[0]!r} to find a name; ways: {DEFAULT_ORDER}")
    netbios = len(plain) <= NAME_LENGTH and "." not in plain and ":" not in plain
    for way in machine.name_order:
        if netbios or way not in _NETBIOS_ONLY:
            found = await _by(way, machine, plain)
            if found is not None:
                return found
    raise socket.gaierror(socket.EAI_NONAME, f"{machine.name} cannot resolve {name}")


async def _by(way: str, machine: Machine, name: str) -> str | None:
    if way == "hosts":
        return _in_hosts_file(machine, name)
    await machine.stack.ready()
    if way == "own":
        return _own(machine, name)
    if way == "dns":
        return await machine.dns.query(name)
    if way == "cache":
        return machine.netbios.cached(name)
    return await (machine.netbios.ask_server(name) if way == "wins" else machine.netbios.ask_everybody(name))


def known_here(machine: Machine, name: str) -> str | None:
    """The address for a host name that the machine knows without asking anybody: its own, or its hosts file's."""
    plain = name.rstrip(".").upper()
    if plain == _LOCALHOST:
        return _LOOPBACK
    return _own(machine, plain) or _in_hosts_file(machine, plain)


def _own(machine: Machine, name: str) -> str | None:
    own = name in machine.netbios.names() or name == machine.name.upper()
    return (machine.stack.first_address() or _LOOPBACK) if own else None


def _in_hosts_file(machine: Machine, name: str) -> str | None:
    return next((address for known, address in machine.hosts.items() if known.upper() == name), None)
