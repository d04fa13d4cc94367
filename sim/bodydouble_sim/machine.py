"""Machines: power, incarnations, adapters, and the tasks that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.handles import Incarnation
from bodydouble_sim.network import nbns
from bodydouble_sim.network.configuration import Plan, check_adapter
from bodydouble_sim.network.dns import DnsClient
from bodydouble_sim.network.netbios import NameTable
from bodydouble_sim.network.nic import Nic
from bodydouble_sim.network.resolver import DEFAULT_ORDER
from bodydouble_sim.network.stack import IpStack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Sequence

    from bodydouble_sim.network.segment import Segment
    from bodydouble_sim.world import World

T = TypeVar("T")


class Machine:
    """A computer with a power button.

    Attributes:
        routes: its static routes (``route add``), network (``10.1.0.0/16``) to gateway.
        hosts: its hosts file, name (upper case) to address; survives power cycles.
        name_order: the ways in which it finds the address for a name, in their order (`network.resolver`).
        power_loss_hooks: called in order when the power goes, after its code has been fenced off.
        address_conflict_hooks: called with adapter name, address and the other's MAC when a claim of ours is answered
            or somebody claims what is ours (Windows logs Tcpip 4198 and 4199 then).
    """

    def __init__(self, world: World, name: str) -> None:
        if name in world.machines:
            raise MachineStateError(f"there is a machine {name} already")
        self.world = world
        self.name = name
        self.nics: list[Nic] = []
        self.hosts: dict[str, str] = {}
        self.routes: dict[str, str] = {}
        self.power_loss_hooks: list[Callable[[], None]] = []
        self.address_conflict_hooks: list[Callable[[str, str, str], None]] = []
        self.incarnation: Incarnation | None = None
        self._lives = 0
        self.stack = IpStack(self)
        self.netbios = NameTable(self)
        self.dns = DnsClient(self)
        self.name_order = DEFAULT_ORDER
        world.machines[name] = self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def powered(self) -> bool:
        """Whether the power is on."""
        return self.incarnation is not None

    @property
    def lives(self) -> int:
        """How many times the power was switched on."""
        return self._lives

    def plug(
        self,
        segment: Segment | str,
        address: str | Sequence[str],
        mac: str | None = None,
        *,
        name: str | None = None,
        gateway: str | None = None,
        duplicate: bool = False,
    ) -> Nic:
        """Put an adapter with static addresses (``10.0.0.10/24``) into the machine and its cable into a segment.

        Adapters are named as Windows 2000 does: "Local Area Connection", "Local Area Connection 2", ...

        Args:
            segment: the segment, or its name.
            address: one address, or several of which the first is the adapter's own.
            mac: the adapter's MAC; one that nobody has when omitted.
            name: the adapter's name.
            gateway: its default gateway.
            duplicate: whether an address may be another machine's as well, for a site whose administrator erred.

        Raises:
            ConfigurationError: no such segment, an address or gateway outside its subnet, or an address, MAC or
                adapter name that is given already; the message names both places.
            MachineStateError: the machine is on.
        """
        if self.powered:
            raise MachineStateError(f"{self.name} must be off while an adapter is put in")
        number = len(self.nics) + 1
        name = name or "Local Area Connection" + (f" {number}" if number > 1 else "")
        place = f"{self.name}/{name}"
        wire = self.world.network.named(segment, place) if isinstance(segment, str) else segment
        static = [address] if isinstance(address, str) else list(address)
        network = self.world.network
        check_adapter(network.subnets(), network.adapters(), Plan(place, wire.name, static, mac, gateway, duplicate))
        nic = Nic(self, name, mac or self.world.network.next_mac(), wire, static, gateway=gateway)
        self.nics.append(nic)
        return nic

    def nic(self, name: str) -> Nic:
        """The adapter of that name.

        Raises:
            MachineStateError: there is none.
        """
        for nic in self.nics:
            if nic.name == name:
                return nic
        raise MachineStateError(f"{self.name} has no adapter {name!r}; it has {[nic.name for nic in self.nics]}")

    def power_on(self) -> None:
        """Begin a new life: the stack comes up and claims its static addresses, then `boot` runs as a task.

        Code of this life that uses the network before the claims are decided (about a second) waits for them.
        """
        if self.powered:
            raise MachineStateError(f"{self.name} is on already")
        self._lives += 1
        loop = self.world.loop
        self.incarnation = Incarnation(self, self._lives, loop.now)
        self.world.incarnations.append(self.incarnation)
        self.world.trace.record("power", self.name, "on", self._lives)
        self.netbios.reset()
        self.dns.reset()
        self.stack.start()
        self.stack.udp.handlers[nbns.PORT] = self.netbios.receive
        self.spawn(self._boot(), name=f"{self.name}/boot")

    async def _boot(self) -> None:
        await self.stack.ready()
        await self.boot()

    async def boot(self) -> None:
        """What the machine does when its stack is up. Here: register its own name. Systems override it."""
        if self.stack.addresses():
            await self.netbios.register(self.name)

    def power_off(self) -> None:
        """Cut the power: nothing of this life runs again, its frames are dropped, its peers learn nothing."""
        if self.incarnation is None:
            raise MachineStateError(f"{self.name} is off already")
        self.world.trace.record("power", self.name, "off", self._lives)
        self.vanish()
        for hook in self.power_loss_hooks:
            hook()

    def vanish(self) -> None:
        """Fence the present life off without telling anybody; for `power_off` and the end of the world."""
        life, self.incarnation = self.incarnation, None
        if life is None:
            return
        for process in life.processes:
            self.fence(process)
        self.fence(life)
        life.parked.append(self.stack.stop())
        self.netbios.reset()

    def fence(self, life: Incarnation) -> None:
        """Let nothing of a life, or of a process's, run again."""
        if not life.dead:
            life.seal()
            life.parked += self.world.loop.generators_of(life)

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start a task that belongs to the present life.

        Raises:
            MachineStateError: the power is off.
        """
        if self.incarnation is None:
            coro.close()
            raise MachineStateError(f"{self.name} is off; it cannot run {name}")
        context = self.incarnation.context.copy()
        return self.world.loop.create_task(coro, name=name, context=context)
