"""The Pinger port over simulated ICMP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.machine import Machine


class SimPinger:
    """`bodydouble.ports.Pinger` for a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def ping(self, address: str, timeout: float) -> Coroutine[Any, Any, float | None]:
        """Seconds until the echo reply came, or None when none came within ``timeout`` seconds."""
        return self._machine.stack.ping(address, timeout)
