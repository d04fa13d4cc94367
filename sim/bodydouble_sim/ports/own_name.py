"""`bodydouble.ports.OwnName` over a simulated Windows machine.

Source: reference/double-take.md, "Monitoring and failover": on Windows NT 4.0 a replaced identity restarts Computer
Browser, Net Logon and Server; Windows 2000 needs a reboot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.standing_in import NameChange
from bodydouble_sim.process import carry_out
from bodydouble_sim.windows.service import ServiceControlError

if TYPE_CHECKING:
    from bodydouble_sim.windows.machine import WindowsMachine

SERVICES = ("LanmanServer", "Netlogon", "Browser")


class SimOwnName:
    """The machine's own NetBIOS name and, on Windows NT 4.0, its active computer name."""

    def __init__(self, machine: WindowsMachine) -> None:
        self._machine = machine

    async def give_up(self, name: str) -> NameChange:
        """See `bodydouble.ports.OwnName.give_up`."""
        system = self._machine.system
        await self._machine.netbios.release(system.names.permanent)
        if not system.version.is_nt4:
            return NameChange(
                reboot=f"Windows 2000 runs as {name} only after it is renamed and booted; until then its programs see "
                f"{system.names.active}"
            )
        system.names.set_active(name)
        return NameChange(self._services())

    async def take_back(self) -> NameChange:
        """See `bodydouble.ports.OwnName.take_back`."""
        system = self._machine.system
        own = system.names.permanent
        await carry_out(self._machine, self._machine.netbios.register(own), name=f"register {own}")
        if not system.version.is_nt4:
            return NameChange()
        system.names.restore()
        return NameChange(self._services())

    def _services(self) -> tuple[str, ...]:
        return tuple(name for name in SERVICES if self._has(name))

    def _has(self, name: str) -> bool:
        try:
            return self._machine.system.scm.find(name).config.startup == "automatic"
        except ServiceControlError:
            return False
