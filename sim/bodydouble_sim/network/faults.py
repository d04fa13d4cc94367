"""Network faults: rules that decide, one delivery at a time, what becomes of a frame.

A frame on its way to one adapter has a *verdict*: pass, delay, drop, duplicate, reorder or corrupt (and, for an
injected reset, one frame more). A broadcast has one verdict for each adapter that it is for, so a partition can cut it
for some.
While a network has no fault, a delivery costs one attribute test; the rules run only while there is one.

Every fault counts the deliveries that it changed in `Fault.touched`: its witness. One that touched nothing did not
happen. Each change is also an event of the trace and, in a captured segment, a remark on its frame.

Hosts are those at the two ends of a segment's hop; across a router select by address with `Match.when`. The kinds of
faults that real networks have are in `bodydouble_sim.network.troubles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.network.frames import ARP, TCP, UDP, Frame, carries, ip_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.segment import Segment
    from bodydouble_sim.world import World

Deliveries = list[tuple[int, Frame]]
"""What becomes of a frame: nanoseconds of delay and the frame, none or more of them."""

_ETHERNET = 14
_ARP = 42
_SHORTEST = 60


def wire_length(frame: Frame) -> int:
    """Bytes of a frame on the wire, Ethernet header and padding included, preamble and checksum not."""
    return max(_SHORTEST, _ARP if frame[0] is ARP else _ETHERNET + ip_length(frame))


@dataclass(frozen=True, slots=True)
class Match:
    """Which deliveries a fault is about; what is not given matches everything.

    Attributes:
        sender: machine that puts the frame on the segment.
        receiver: machine that the frame (or this copy of a broadcast) is for.
        protocol: ``arp``, ``icmp``, ``udp`` or ``tcp``; fragments count as what they are pieces of.
        port: source or destination port of a TCP or UDP frame; fragments have none.
        when: any other condition on the frame (layout: `bodydouble_sim.network.frames`).
        packet: a condition on the frame as scapy dissects it (an ``Ether`` packet). Slow: some 2,000 frames a second,
            against a million for the others. It is asked last.
    """

    sender: str | None = None
    receiver: str | None = None
    protocol: str | None = None
    port: int | None = None
    when: Callable[[Frame], bool] | None = None
    packet: Callable[..., bool] | None = None

    def __post_init__(self) -> None:
        if self.packet is not None:  # scapy's import asks the host for its interfaces: too late once a world runs
            import scapy.layers.inet  # noqa: F401, PLC0415 - optional, and half a second to import

    def __call__(self, sender: Nic, receiver: Nic, frame: Frame) -> bool:
        """Whether the fault is about this delivery."""
        return (
            (self.sender is None or sender.machine.name == self.sender)
            and (self.receiver is None or receiver.machine.name == self.receiver)
            and (self.protocol is None or carries(frame) == self.protocol)
            and (self.port is None or (frame[0] in (TCP, UDP) and self.port in frame[5:7]))
            and (self.when is None or self.when(frame))
            and (self.packet is None or self.packet(_dissected(frame)))
        )


def _dissected(frame: Frame) -> object:
    from scapy.layers.l2 import Ether  # noqa: PLC0415 - see `Match`

    from bodydouble_sim.network.capture import render  # noqa: PLC0415 - as above

    packet: object = Ether(render(frame))
    return packet


class Fault:
    """One thing wrong with a network, from `start` to `heal`.

    Attributes:
        name: what traces, captures and messages call it.
        touched: deliveries that it changed so far; the witness that it happened.
    """

    def __init__(self, world: World, name: str, *matches: Match) -> None:
        self.world = world
        self.name = name
        self.matches = matches or (Match(),)
        self.touched = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: touched {self.touched}>"

    @property
    def active(self) -> bool:
        """Whether it has started and not healed."""
        return self in self.world.network.faults.active

    def start(self) -> None:
        """Let it begin.

        Raises:
            MachineStateError: it has begun already.
        """
        if self.active:
            raise MachineStateError(f"the fault {self.name} has begun already")
        self.world.trace.record("fault", self.name, "start")
        self.world.network.faults.add(self)

    def heal(self) -> None:
        """Let it end; frames that it delayed still arrive when they were going to.

        Raises:
            MachineStateError: it is not active.
        """
        if not self.active:
            raise MachineStateError(f"the fault {self.name} is not active")
        self.world.trace.record("fault", self.name, "heal", self.touched)
        self.world.network.faults.remove(self)

    def concerns(self, sender: Nic, receiver: Nic, frame: Frame) -> bool:
        """Whether it is about this delivery."""
        return any(match(sender, receiver, frame) for match in self.matches)

    def decide(self, frame: Frame) -> tuple[str, Deliveries]:
        """The verdict on a frame that it concerns, in a word (empty: pass), and what is delivered. Here: pass."""
        return "", [(0, frame)]


class FaultTable:
    """The active faults of a network, in the order in which they began."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.active: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """From now on ask ``fault``."""
        self.active.append(fault)
        self._hook()

    def remove(self, fault: Fault) -> None:
        """Ask it no more."""
        self.active.remove(fault)
        self._hook()

    def _hook(self) -> None:
        for segment in self._world.network.segments.values():
            segment.faults = self if self.active else None

    def deliver(self, sender: Nic, receiver: Nic, frame: Frame, sent: int) -> None:
        """Hand over, later or not at all, what the active faults make of a frame for one adapter."""
        deliveries: Deliveries = [(0, frame)]
        for fault in self.active:
            if deliveries and fault.concerns(sender, receiver, frame):
                deliveries = self._judged(fault, deliveries, (sender, receiver, sent))
        for delay, made in deliveries:
            if delay:
                self._world.loop.schedule(delay, _hand_over, (receiver, made, sent))
            else:
                _hand_over((receiver, made, sent))

    def _judged(self, fault: Fault, before: Deliveries, hop: tuple[Nic, Nic, int]) -> Deliveries:
        after: Deliveries = []
        for delay, frame in before:
            verdict, made = fault.decide(frame)
            after += [(delay + more, copy) for more, copy in made]
            if verdict:
                fault.touched += 1
                self._remark(fault, verdict, frame, hop)
            for _, added in made[1:]:
                if added is not frame:
                    self._forged(fault, added, hop[0].segment)
        return after

    def _remark(self, fault: Fault, verdict: str, frame: Frame, hop: tuple[Nic, Nic, int]) -> None:
        sender, receiver, sent = hop
        names = sender.machine.name, receiver.machine.name
        self._world.trace.record("fault", fault.name, verdict, frame[0], *names)
        sender.segment.remarks.append((sent, frame, f"{fault.name}: {verdict} on the way to {names[1]}"))

    def _forged(self, fault: Fault, frame: Frame, segment: Segment) -> None:
        now = self._world.loop.now
        segment.capture.append((now, frame))
        segment.remarks.append((now, frame, f"{fault.name}: forged"))


def _hand_over(delivery: tuple[Nic, Frame, int]) -> None:
    receiver, frame, sent = delivery
    if receiver.up:
        receiver.receive(frame, sent)
    else:
        receiver.lost += 1
