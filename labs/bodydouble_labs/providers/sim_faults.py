"""Faults of the simulated network, as a scenario's steps ask for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable  # noqa: TC003 - in the annotation of a constant
from typing import TYPE_CHECKING

from bodydouble_labs.errors import LabError
from bodydouble_labs.scenario.steps import FaultStep
from bodydouble_sim.network.bpf import FrameFilter
from bodydouble_sim.network.faults import Match
from bodydouble_sim.network.frames import ARP, Frame
from bodydouble_sim.network.troubles import (
    BlackHole,
    Corruption,
    Cut,
    DuplicatedAddress,
    Duplication,
    Flap,
    InjectedReset,
    Latency,
    Loss,
    LostAnnouncements,
    Reordering,
    SpoofedArp,
    Squeeze,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bodydouble_labs.scenario.steps import AnyStep
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.faults import Fault
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.world import World

DEFAULT_QUEUE = 65_536
"""Bytes that wait in front of a squeezed line when the step does not say."""
DEFAULT_HOLD = 0.005
"""Seconds that a reordered frame, or a frame's duplicate, is late at most when the step does not say."""


class SimFaults:
    """`bodydouble_labs.providers.base.NetworkFaults` in a simulated world.

    Args:
        world: where.
        machines: the scenario's hosts and routers by key.
        steps: the timeline: the filter expressions of its faults are compiled before the run begins.
    """

    def __init__(self, world: World, machines: Mapping[str, Machine], steps: Iterable[AnyStep]) -> None:
        self._world = world
        texts = {step.match for step in steps if isinstance(step, FaultStep) and step.match is not None}
        self._filters = {text: FrameFilter(text) for text in sorted(texts)}
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
        if step.between is not None:
            return _BETWEEN[step.fault](self._world, step, self._matches(step, *step.between))
        if step.fault == "duplicate-address":
            address, beside = self._place(step.address or "")
            return DuplicatedAddress(self._world, beside[0], address, announced=step.announced, name=step.fault)
        return self._on(step, self._machines[step.on])

    def _on(self, step: FaultStep, machine: Machine) -> Fault:
        if step.fault == "link-flap":
            return Flap(self._world, machine.nics[0], down=step.down or 0.0, up=step.up or 0.0)
        if step.fault == "lost-announcements":
            return LostAnnouncements(self._world, step.address, sender=machine.name)
        if step.fault == "spoofed-arp":
            address, nics = self._place(step.address or "")
            victim = next(nic for nic in nics if nic.machine is machine)
            return SpoofedArp(self._world, victim, address, interval=step.interval or 1.0, name=step.fault)
        raise LabError(f"{step.fault} is no fault of the network")

    def _place(self, address: str) -> tuple[str, list[Nic]]:
        """An address with its segment's prefix, and the adapters there."""
        parsed = ipaddress.IPv4Address(address)
        for segment in self._world.network.segments.values():
            subnet = ipaddress.IPv4Network(segment.subnet)
            if parsed in subnet:
                return f"{address}/{subnet.prefixlen}", segment.nics
        raise LabError(f"{address} is on no segment")

    def _matches(self, step: FaultStep, first: str, second: str) -> list[Match]:
        """What a fault between two machines is about, in one direction or both."""
        accepts = None if step.match is None else self._filters[step.match]
        ways = [(first, second)] if step.one_way else [(first, second), (second, first)]
        return [_match(step, self._machines[one], self._machines[other], accepts) for one, other in ways]


def _match(step: FaultStep, sender: Machine, receiver: Machine, accepts: FrameFilter | None) -> Match:
    """Frames from one machine to another: neighbours by their adapters, others by the address that they are for.

    Those are struck on their first hop only, where the sender puts them on the wire.
    """
    neighbours = any(nic.segment is other.segment for nic in sender.nics for other in receiver.nics)

    def concerned(frame: Frame) -> bool:
        return (neighbours or (frame[0] != ARP and receiver.stack.owns(frame[4]))) and (
            accepts is None or accepts(frame)
        )

    plain = neighbours and accepts is None
    return Match(
        sender=sender.name,
        receiver=receiver.name if neighbours else None,
        protocol=step.protocol,
        port=step.port,
        when=None if plain else concerned,
    )


def _loss(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    return Loss(world, step.probability or 0.0, *matches)


def _latency(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    return Latency(world, step.delay or 0.0, *matches, jitter=step.jitter or 0.0)


def _squeeze(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    queue = DEFAULT_QUEUE if step.queue is None else step.queue
    return Squeeze(world, step.bits_per_second or 0.0, *matches, queue=queue, name=step.fault)


def _duplicate(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    within = DEFAULT_HOLD if step.hold is None else step.hold
    return Duplication(world, step.probability or 0.0, *matches, within=within, name=step.fault)


def _reorder(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    hold = DEFAULT_HOLD if step.hold is None else step.hold
    return Reordering(world, step.probability or 0.0, *matches, hold=hold, name=step.fault)


def _corrupt(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    return Corruption(world, step.probability or 0.0, *matches, checksum_valid=step.checksum_valid, name=step.fault)


def _black_hole(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    return BlackHole(world, step.mtu or 0, *matches, name=step.fault)


def _reset(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    return InjectedReset(world, *matches, every=step.every or 1, name=step.fault)


def _partition(world: World, step: FaultStep, matches: list[Match]) -> Fault:
    return Cut(world, *matches, name=step.fault)


_BETWEEN: dict[str, Callable[[World, FaultStep, list[Match]], Fault]] = {
    "partition": _partition,
    "loss": _loss,
    "latency": _latency,
    "squeeze": _squeeze,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "corrupt": _corrupt,
    "black-hole": _black_hole,
    "reset": _reset,
}
"""What makes each fault between two machines."""
