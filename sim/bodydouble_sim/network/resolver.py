"""Name to address, in the order of the reference: hosts file, own names, then a NetBIOS broadcast with its cache."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from bodydouble_sim.network.nbns import NAME_LENGTH

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine

_LOOPBACK = "127.0.0.1"


async def resolve(machine: Machine, name: str) -> str:
    """The address for a host name.

    Raises:
        socket.gaierror: nobody on the segment answers for it.
    """
    plain = name.rstrip(".").upper()
    if plain == "LOCALHOST":
        return _LOOPBACK
    for known, address in machine.hosts.items():
        if known.upper() == plain:
            return address
    if len(plain) > NAME_LENGTH or "." in plain or ":" in plain:  # no NetBIOS name, and there is no DNS or IPv6
        raise socket.gaierror(socket.EAI_NONAME, f"{machine.name} cannot resolve {name}")
    await machine.stack.ready()
    if plain in machine.netbios.names() or plain == machine.name.upper():
        return machine.stack.first_address() or _LOOPBACK
    found = await machine.netbios.query(plain)
    if found is None:
        raise socket.gaierror(socket.EAI_NONAME, f"{machine.name} cannot resolve {name}")
    return found
