"""The network as programs on a Windows system see it: adapters, ping, names. Simulated here; live in `live.network`."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bodydouble_sim.network.resolver import resolve

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine


@dataclass(frozen=True, slots=True)
class Adapter:
    """A network adapter.

    Attributes:
        name: as the connections folder shows it.
        mac: its hardware address, ``00-11-22-33-44-55``.
        addresses: in use, with prefix length (``10.0.0.10/24``).
        gateway: default gateway, None: none.
        dns: DNS servers in their order.
        wins: WINS servers in their order.
        connected: whether its cable is in.
    """

    name: str
    mac: str
    addresses: tuple[str, ...]
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    wins: tuple[str, ...] = ()
    connected: bool = True


class NetworkView(Protocol):
    """Adapters, ICMP echo and name resolution of one machine."""

    def adapters(self) -> list[Adapter]:
        """The adapters in the order of their installation, without the loopback."""

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        """Seconds until the echo reply came; None: none came within ``timeout`` seconds."""

    async def resolve(self, name: str) -> str | None:
        """The address for a name, an address itself; None: nobody answers for it."""


class SimulatedNetwork:
    """`NetworkView` of a machine in a simulated world."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def adapters(self) -> list[Adapter]:
        """See `NetworkView.adapters`."""
        held = self._machine.stack.addresses()
        dns = tuple(self._machine.dns.servers)
        wins = () if self._machine.netbios.wins is None else (self._machine.netbios.wins,)
        return [
            Adapter(
                nic.name,
                nic.mac.upper().replace(":", "-"),
                tuple(item.address for item in held if item.interface == nic.name),
                nic.gateway,
                dns,
                wins,
                nic.up,
            )
            for nic in self._machine.nics
        ]

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        """See `NetworkView.ping`."""
        return await self._machine.stack.ping(address, timeout)

    async def resolve(self, name: str) -> str | None:
        """See `NetworkView.resolve`."""
        if _is_address(name):
            return name
        try:
            return await resolve(self._machine, name)
        except socket.gaierror:
            return None


class NoNetwork:
    """For a system on no network: no adapters, nobody answers."""

    def adapters(self) -> list[Adapter]:
        """See `NetworkView.adapters`."""
        return []

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ARG002, ASYNC109 - the port's signature
        """See `NetworkView.ping`; only the machine itself answers."""
        return 0.0 if address.startswith("127.") else None

    async def resolve(self, name: str) -> str | None:
        """See `NetworkView.resolve`."""
        return name if _is_address(name) else ("127.0.0.1" if name.lower() == "localhost" else None)


def _is_address(name: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, name)
    except OSError:
        return False
    return True
