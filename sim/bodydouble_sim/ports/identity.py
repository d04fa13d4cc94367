"""`bodydouble.ports.Identity` over a simulated Windows machine: NetBIOS names, addresses of its adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import IdentityError
from bodydouble.vocabulary.records import HostIdentity
from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.network import nbns
from bodydouble_sim.process import carry_out
from bodydouble_sim.windows.names import checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_sim.windows.machine import WindowsMachine


class SimIdentity:
    """Names and addresses of a machine."""

    def __init__(self, machine: WindowsMachine) -> None:
        self._machine = machine

    async def query(self) -> HostIdentity:
        """See `bodydouble.ports.Identity.query`."""
        names = self._machine.system.names
        held = [name for name in self._machine.netbios.names() if nbns.split(name)[0] == name]  # a domain's are typed
        return HostIdentity(
            primary_name=names.active,
            permanent_name=names.permanent,
            added_names=[name for name in held if name.upper() != names.permanent.upper()],
            addresses=self._machine.stack.addresses(),
            boot=f"{self._machine.name} {self._machine.lives}",
        )

    async def add_name(self, name: str, addresses: Sequence[str] = ()) -> None:
        """See `bodydouble.ports.Identity.add_name`: registers it on the wire, a clash is refused there.

        NetBT binds every name to the adapter and answers with its first address, whatever ``addresses`` says.
        """
        del addresses
        name = checked(name)
        if name not in self._machine.netbios.names():
            await carry_out(self._machine, self._machine.netbios.register(name), name=f"register {name}")

    async def name_in_use(self, name: str) -> bool:
        """See `bodydouble.ports.Identity.name_in_use`: a broadcast query; Windows claims as slowly after it."""
        return await self._machine.netbios.ask_everybody(checked(name)) is not None

    async def remove_name(self, name: str) -> None:
        """See `bodydouble.ports.Identity.remove_name`."""
        if name.upper() in self._machine.netbios.names():
            await self._machine.netbios.release(name)

    async def add_address(self, interface: str, address: str) -> None:
        """See `bodydouble.ports.Identity.add_address`."""
        try:
            self._machine.stack.add_address(interface, address)
        except (MachineStateError, ValueError) as error:
            raise IdentityError(f"{address} cannot be added to {interface}: {error}") from error

    async def remove_address(self, interface: str, address: str) -> None:
        """See `bodydouble.ports.Identity.remove_address`."""
        try:
            self._machine.stack.remove_address(interface, address)
        except (MachineStateError, ValueError) as error:
            raise IdentityError(f"{address} cannot be removed from {interface}: {error}") from error

    async def announce(self, interface: str, address: str) -> None:
        """See `bodydouble.ports.Identity.announce`."""
        try:
            self._machine.stack.announce(interface, address)
        except (MachineStateError, ValueError) as error:
            raise IdentityError(f"{address} cannot be announced on {interface}: {error}") from error

    async def in_use(self, interface: str, address: str) -> bool:
        """See `bodydouble.ports.Identity.in_use`."""
        try:
            return await self._machine.stack.in_use(interface, address)
        except (MachineStateError, ValueError) as error:
            raise IdentityError(f"{address} cannot be asked for on {interface}: {error}") from error
