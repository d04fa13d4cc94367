"""Faults of the simulated network, as a scenario's steps ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.errors import LabError
from bodydouble_sim.network.faults import Match
from bodydouble_sim.network.troubles import Flap, Latency, Loss, LostAnnouncements, Partition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble_labs.scenario.steps import FaultStep
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.faults import Fault
    from bodydouble_sim.world import World


class SimFaults:
    """`bodydouble_labs.providers.base.NetworkFaults` in a simulated world.

    Args:
        world: where.
        machines: the scenario's hosts by key.
    """

    def __init__(self, world: World, machines: Mapping[str, Machine]) -> None:
        self._world = world
        self._machines = machines
        self._active: dict[str, Fault] = {}

    def begin(self, step: FaultStep) -> None:
        """Let the fault begin that a step describes.

        Raises:
            LabError: one of its kind lasts already, or it is none of the network.
        """
        if step.fault in self._active:
            raise LabError(f"the fault {step.fault} lasts already")
        fault = self._active[step.fault] = self._made(step)
        fault.start()

    def heal(self, fault: str) -> int:
        """Let a fault end; how many frames it touched.

        Raises:
            LabError: it does not last.
        """
        if fault not in self._active:
            raise LabError(f"the fault {fault} does not last")
        ended = self._active.pop(fault)
        ended.heal()
        return ended.touched

    def unhealed(self) -> Mapping[str, int]:
        """The faults that last, with how many frames each has touched."""
        return {name: fault.touched for name, fault in self._active.items()}

    def _made(self, step: FaultStep) -> Fault:
        world = self._world
        if step.between is not None:
            return self._between(step, *(self._machines[name].name for name in step.between))
        machine = self._machines[step.on]
        if step.fault == "link-flap":
            return Flap(world, machine.nics[0], down=step.down or 0.0, up=step.up or 0.0)
        if step.fault == "lost-announcements":
            return LostAnnouncements(world, sender=machine.name)
        raise LabError(f"{step.fault} is no fault of the network")

    def _between(self, step: FaultStep, first: str, second: str) -> Fault:
        world = self._world
        if step.fault == "partition":
            return Partition(world, [first], [second], one_way=step.one_way)
        there, back = Match(sender=first, receiver=second), Match(sender=second, receiver=first)
        matches = [there] if step.one_way else [there, back]
        if step.fault == "loss":
            return Loss(world, step.probability or 0.0, *matches)
        if step.fault == "latency":
            return Latency(world, step.delay or 0.0, *matches)
        raise LabError(f"{step.fault} is no fault between two hosts")
