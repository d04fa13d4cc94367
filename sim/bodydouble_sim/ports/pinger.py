"""The Pinger port over simulated ICMP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine


class SimPinger:
    """`bodydouble.ports.Pinger` for a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        """Seconds until the echo reply came, or None when none came within ``timeout`` seconds."""
        return await self._machine.stack.ping(address, timeout)
