"""A scenario built in the simulator: its machines, and the client's view of their network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.paths import normalise
from bodydouble_labs.errors import FaultError
from bodydouble_labs.history import History
from bodydouble_labs.owners import OwnerLog
from bodydouble_labs.providers.sim_faults import SimFaults
from bodydouble_labs.providers.sim_hearing import listen
from bodydouble_labs.providers.sim_host import SimHost
from bodydouble_labs.providers.sim_network import build_routers, build_segments, plug_in
from bodydouble_labs.providers.sim_order import OrderWatch, SourceStates, VolumeWitness
from bodydouble_labs.scenario.systems import system_of
from bodydouble_sim.machine import Machine
from bodydouble_sim.network.resolver import resolve
from bodydouble_sim.storage.drive import Drive
from bodydouble_sim.windows.machine import WindowsMachine

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_sim.world import World

PING_TIMEOUT = 1.0


class SimStage:
    """`bodydouble_labs.providers.base.Stage` in a simulated world."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self.history = History()
        self.segments = build_segments(world, scenario.network)
        self.hosts: dict[str, SimHost] = {}
        for name, spec in scenario.servers.items():
            drives = {letter: Drive(file_system=name) for letter, name in spec.drives.items()}
            version, service_pack = system_of(spec)
            machine = WindowsMachine(world, spec.computer_name, drives, version=version, service_pack=service_pack)
            plug_in(machine, spec, scenario.network)
            self.hosts[name] = SimHost(name, spec, machine)
        self.client = Machine(world, scenario.client.computer_name)
        plug_in(self.client, scenario.client, scenario.network)
        self._routers = build_routers(world, scenario.network)
        machines = {name: host.machine for name, host in self.hosts.items()}
        (client,) = scenario.hosts.keys() - machines.keys()
        everyone = {**machines, client: self.client, **self._routers}
        self.network_faults = SimFaults(world, everyone, scenario.timeline)
        self._began = world.loop.time()
        self._owners = OwnerLog(self.history, self.elapsed)
        self._named = {machine: name for name, machine in everyone.items() if name in scenario.hosts}
        self._states: dict[str, SourceStates] = {}
        self._protections = scenario.protections
        self._watches: dict[str, Callable[[], None]] = {}
        self._remember_states()
        for name, host in self.hosts.items():
            for letter, witness in host.witnesses.items():
                self._follow(name, f"{name} {letter}:", witness)

    def _follow(self, host: str, place: str, witness: VolumeWitness) -> None:
        """Every operation of a volume, and what it made of it, is an event that runs have to agree on."""

        def changed(operation: AnyOperation) -> None:
            self._world.trace.record("volume", place, type(operation).__name__, operation.path, witness.shadow.digest)

        def read_anew() -> None:
            self._world.trace.record("volume", place, "started", witness.shadow.digest)

        def stop_watching() -> None:
            # What comes after a restart is a mirror or a restoration, and no prefix of anything until it is complete.
            for name, protection in self._protections.items():
                if host in protection.hosts:
                    self.stop_watching_order(name)

        witness.listeners.append(changed)
        witness.restarted += [read_anew, stop_watching]

    def _remember_states(self) -> None:
        """A source's states are remembered from the beginning: its replica may lag behind when the watch begins."""
        for name, protection in self._protections.items():
            root = normalise(protection.protected_root)
            witness = self.hosts[protection.connection.source].witnesses[root[0]]
            self._states[name] = SourceStates(witness, root)

    async def power_on(self) -> None:
        """Switch everything on and wait until it is up."""
        for router in self._routers.values():
            router.power_on()
        self.client.power_on()
        for host in self.hosts.values():
            host.machine.power_on()
        for host in self.hosts.values():
            await host.machine.wait_booted()
        self._began = self._world.loop.time()
        for segment in self.segments.values():
            listen(segment, self._named, self._owners)

    # --- the client's view ------------------------------------------------------------------------------------------

    def elapsed(self) -> float:
        """Virtual seconds since the run began."""
        return self._world.loop.time() - self._began

    def wall_clock(self) -> datetime:
        """The virtual calendar."""
        return self._world.now()

    def marks(self) -> list[tuple[int, str]]:
        """The history's faults, repairs and product events as comments of a capture: virtual nanoseconds and text."""
        return [
            (round((self._began + mark.at) * 1_000_000_000), " ".join(filter(None, [mark.kind, mark.host, mark.text])))
            for mark in self.history.marks
            if mark.kind in ("fault", "heal", "event")
        ]

    async def resolve(self, name: str) -> str:
        """Ask as the client machine does."""
        return await resolve(self.client, name)

    async def ping(self, address: str) -> bool:
        """Whether an echo comes back to the client."""
        return await self.client.stack.ping(address, PING_TIMEOUT) is not None

    # --- the order of operations ------------------------------------------------------------------------------------

    def watch_order(self, protection: str) -> None:
        """Begin to compare; a source that was restarted begins a new history."""
        self.stop_watching_order(protection)
        source, target = self._protections[protection].hosts
        states, host = self._states[protection], self.hosts[target]
        history = self.history.of(protection)
        watch = OrderWatch(states, host.witnesses[states.root[0]], history, self.elapsed, self._silent(source))
        history.order_watched = True
        detach = host.volume_of(states.root).add_filter(states.root, watch.application_wrote)

        def stop() -> None:
            watch.stop()
            detach()

        self._watches[protection] = stop

    def _silent(self, source: str) -> Callable[[], bool]:
        host = self.hosts[source]
        return lambda: not (host.machine.powered and host.connected)

    def stop_watching_order(self, protection: str | None = None) -> None:
        """Stop comparing. Idempotent."""
        for name in list(self._watches) if protection is None else [protection]:
            self._watches.pop(name, lambda: None)()

    def close(self) -> None:
        """At the end: stop watching, write down what was heard last.

        A machine that is still without power and was not silent is an error of the lab.
        """
        self.stop_watching_order()
        self._owners.close()
        for host in self.hosts.values():
            try:
                host.check_silence()
            except FaultError as error:
                self.history.lab_errors.append(str(error))
