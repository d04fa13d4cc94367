"""What a Windows system gets from the simulated machine that it runs on: its power switch and its NetBIOS names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_sim.errors import DuplicateName, MachineStateError

if TYPE_CHECKING:
    from bodydouble_sim.windows.machine import WindowsMachine


class MachinePower:
    """`bodydouble_sim.windows.power.Power` of a simulated machine.

    The delay passes on the machine and dies with its power. What then happens to the machine is not the machine's own
    code any more: the lab's side of the world shuts it down and switches it on again.
    """

    def __init__(self, machine: WindowsMachine) -> None:
        self._machine = machine
        self._waiting: asyncio.Task[None] | None = None
        self._carried_out: asyncio.Task[None] | None = None

    def request(self, *, restart: bool, delay: float) -> None:
        """See `Power.request`."""
        self.abort()
        self._waiting = self._machine.spawn(
            self._wait(delay, restart=restart), name=f"{self._machine.name}/shutdown in {delay} s"
        )

    def abort(self) -> bool:
        """See `Power.abort`."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return False
        return waiting.cancel()

    async def _wait(self, delay: float, *, restart: bool) -> None:
        await asyncio.sleep(delay)
        self._waiting = None  # from now on it cannot be taken back
        loop = self._machine.world.loop
        self._carried_out = loop.create_task(
            self._carry_out(restart=restart), name=f"{self._machine.name}/shutdown", context=loop.lab.context.copy()
        )

    def restart_after(self, seconds: float) -> None:
        """Switch a machine whose system has crashed on again, unless somebody has meanwhile."""
        loop = self._machine.world.loop
        self._carried_out = loop.create_task(
            self._switch_on(seconds), name=f"{self._machine.name}/restart", context=loop.lab.context.copy()
        )

    async def _switch_on(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self._machine.powered:
            self._machine.power_on()

    async def _carry_out(self, *, restart: bool) -> None:
        try:
            await self._machine.shut_down()
            if restart:
                self._machine.power_on()
        except MachineStateError:
            return  # its power went first


class MachineNames:
    """`bodydouble_sim.windows.names.NameService` of a simulated machine."""

    def __init__(self, machine: WindowsMachine) -> None:
        self._machine = machine

    def names(self) -> list[str]:
        """See `NameService.names`."""
        return self._machine.netbios.names()

    async def claim(self, name: str) -> bool:
        """See `NameService.claim`; a machine without an address hears no objection."""
        if not self._machine.stack.addresses():
            return True
        try:
            await self._machine.netbios.register(name)
        except (DuplicateName, MachineStateError):
            return False
        return True

    async def release(self, name: str) -> None:
        """See `NameService.release`."""
        await self._machine.netbios.release(name)

    async def find(self, name: str) -> str | None:
        """See `NameService.find`; the cache of names is not asked: it may know a machine that is gone."""
        table = self._machine.netbios
        return await table.ask_server(name) or await table.ask_everybody(name)
