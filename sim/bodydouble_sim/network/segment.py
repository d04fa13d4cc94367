"""Segments: a switch with a latency, and the network that names them."""

from __future__ import annotations

from collections import deque
from heapq import heappush
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import ConfigurationError
from bodydouble_sim.network.configuration import Plan, check_segment, unknown_segment
from bodydouble_sim.network.faults import FaultTable
from bodydouble_sim.network.frames import BROADCAST_MAC, Frame
from bodydouble_sim.trace import BATCH

if TYPE_CHECKING:
    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.link import Links
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.world import World

ETHERNET_MTU = 1500
LEAST_MTU = 68  # RFC 791: every internet module must forward 68 bytes
UDP_HEADERS = 28  # of IP and UDP; ICMP's are as long
_CAPTURED = 1 << 16
_AGEING = 300_000_000_000  # nanoseconds
DEFAULT_SUBNET = "10.0.0.0/24"
_LOCAL_MAC = 0x02_50_56_00_00_00  # locally administered


class Network:
    """The segments of a world.

    Attributes:
        faults: what is wrong with the network at present.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._macs = 0
        self.segments: dict[str, Segment] = {}
        self.faults = FaultTable(world)

    def segment(
        self,
        name: str,
        subnet: str | None = None,
        latency: float = 0.0002,
        links: Links | None = None,
        *,
        mtu: int = ETHERNET_MTU,
    ) -> Segment:
        """The segment of that name; made at the first call.

        Args:
            name: what to call it.
            subnet: the addresses on it; 10.0.0.0/24 when omitted.
            latency: seconds from adapter to adapter.
            links: bandwidth, jitter and queues of its cables; without, they carry everything at once.
            mtu: bytes of the longest IP packet on it.

        Raises:
            ConfigurationError: the MTU is out of range, or the subnet is none, overlaps another segment's, or differs
                from the segment's.
        """
        segment = self.segments.get(name)
        if segment is None or subnet is not None:
            check_segment(self.subnets(), name, subnet or DEFAULT_SUBNET)
        if segment is None:
            segment = self.segments[name] = Segment(self._world, name, subnet or DEFAULT_SUBNET, latency, links)
            segment.limit(mtu)
            segment.faults = self.faults if self.faults.active else None
        return segment

    def subnets(self) -> dict[str, str]:
        """The subnets by their segments' names."""
        return {name: segment.subnet for name, segment in self.segments.items()}

    def adapters(self) -> list[Plan]:
        """Every adapter that is plugged into a segment, as it was planned."""
        return [
            Plan(f"{nic.machine.name}/{nic.name}", name, nic.static, nic.mac, nic.gateway)
            for name, segment in self.segments.items()
            for nic in segment.nics
        ]

    def named(self, name: str, place: str) -> Segment:
        """The segment that ``place`` refers to.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.segments:
            raise unknown_segment(self.segments, name, place)
        return self.segments[name]

    def next_mac(self) -> str:
        """A MAC address that no adapter of this world was given yet."""
        self._macs += 1
        return ":".join(f"{byte:02x}" for byte in (_LOCAL_MAC + self._macs).to_bytes(6, "big"))


class Segment:
    """An Ethernet segment with one switch (IEEE 802.1D) that learns which MAC is behind which port.

    A frame for a MAC that it learned goes out of one port, any other out of all. What it learned goes with the link,
    moves when the MAC speaks elsewhere, and ages: an adapter that was silent for 300 s (802.1D's recommended ageing
    time) gets its next frame by flooding.

    Attributes:
        flooded: frames for one adapter that went out of every port, its MAC being unknown.
        capture: the latest frames put on the wire, ``(virtual nanoseconds, frame)``; empty when the world captures
            nothing. `bodydouble_sim.network.capture.write_pcapng` renders them.
        remarks: what faults did to captured frames, ``(virtual nanoseconds, frame, what)``.
        mtu: bytes of the longest IP packet on the segment.
        longest_payload: bytes of the longest UDP or ICMP payload that needs no fragments.
        faults: decides about every delivery while the network has a fault; None costs one test a frame.
    """

    def __init__(self, world: World, name: str, subnet: str, latency: float, links: Links | None) -> None:
        self.name = name
        self.subnet = subnet
        self.latency = latency
        self.nics: list[Nic] = []
        self.capture: deque[tuple[int, Frame]] = deque(maxlen=_CAPTURED if world.capture else 0)
        self._captures = world.capture
        self.remarks: deque[tuple[int, Frame, str]] = deque(maxlen=self.capture.maxlen)
        self.faults: FaultTable | None = None
        self.flooded = 0
        self.limit(ETHERNET_MTU)
        self._table: dict[str, Nic] = {}
        self._links = links
        self._latency = round(latency * 1_000_000_000)
        self.half_latency = self._latency // 2
        self._loop = world.loop
        self._trace = world.trace
        self._heap = world.loop.heap
        self._events = world.trace.buffer

    def __repr__(self) -> str:
        return f"<Segment {self.name}>"

    def limit(self, mtu: int) -> None:
        """Set the MTU, while no machine on the segment runs.

        Raises:
            ConfigurationError: it is too small (RFC 791) or too large for Ethernet.
        """
        if not LEAST_MTU <= mtu <= ETHERNET_MTU:
            raise ConfigurationError(
                f"segment {self.name}: expected an MTU of {LEAST_MTU} to {ETHERNET_MTU}, got {mtu}"
            )
        self.mtu = mtu
        self.longest_payload = mtu - UDP_HEADERS

    def attach(self, nic: Nic) -> None:
        """Run a cable to an adapter."""
        self.nics.append(nic)

    def learned(self) -> dict[str, str]:
        """The switch's table: MAC to the machine behind the port."""
        oldest = self._loop.now - _AGEING
        return {mac: nic.machine.name for mac, nic in sorted(self._table.items()) if nic.heard >= oldest}

    def link_down(self, nic: Nic) -> None:
        """A port lost its link: the switch forgets what it learned there."""
        for mac in [mac for mac, port in self._table.items() if port is nic]:
            del self._table[mac]

    def transmit(self, sender: Nic, life: Incarnation, frame: Frame) -> None:
        """Put a frame on the wire: the one place where a frame's verdict is decided (now always: pass)."""
        loop = self._loop
        sender.heard = now = loop.now
        seen = now, frame
        if self._captures:
            self.capture.append(seen)
        events = self._events
        events.append(seen)
        if len(events) >= BATCH:
            self._trace.flush()
        if self._links is None:  # as `loop.schedule` would, which is a call more for every frame
            heappush(self._heap, (now + self._latency, loop.next_entry(), self._deliver, (frame, sender, life, now)))
        else:
            self._links.up(self, (frame, sender, life, now))

    def _deliver(self, flight: tuple[Frame, Nic, Incarnation, int]) -> None:
        """Hand a frame over, unless the life that sent it ended or its cable was pulled meanwhile."""
        frame, sender, life, sent = flight
        if life.dead or not sender.up:
            return
        table = self._table
        if table.get(frame[1]) is not sender:
            table[frame[1]] = sender
        target = table.get(frame[2])
        if target is not None and sent - target.heard > _AGEING:
            del table[frame[2]]
            target = None
        if target is not None and self.faults is None and self._links is None:
            if target.up and target.mac == frame[2]:
                target.receive(frame, sent)
            return
        for nic in self._recipients(frame, sender, target):
            if self._links is not None:
                self._links.down(self, nic, flight)
            else:
                self.hand_over(nic, flight)

    def _recipients(self, frame: Frame, sender: Nic, target: Nic | None) -> list[Nic]:
        """The adapters that take a frame from their ports, whether a cable is in or not."""
        mac = frame[2]
        if mac == BROADCAST_MAC:
            return [nic for nic in self.nics if nic is not sender]
        if target is not None:
            return [target] if target.mac == mac else []
        self.flooded += 1
        return [nic for nic in self.nics if nic is not sender and nic.mac == mac]

    def after(self, delay: int, flight: tuple[Frame, Nic, Incarnation, int], nic: Nic | None = None) -> None:
        """A cable carries a frame, in ``delay`` nanoseconds, to the switch or from it to an adapter."""
        if nic is None:
            self._loop.schedule(delay, self._deliver, flight)
        else:
            self._loop.schedule(delay, self._arrive, (nic, flight))

    def _arrive(self, arrival: tuple[Nic, tuple[Frame, Nic, Incarnation, int]]) -> None:
        self.hand_over(*arrival)

    def now(self) -> int:
        """Virtual nanoseconds."""
        return self._loop.now

    def note_drop(self, way: str, nic: Nic, frame: Frame) -> None:
        """A full queue dropped a frame."""
        self._trace.record("queue", self.name, way, nic.machine.name, nic.name, "full", frame[0])

    def hand_over(self, nic: Nic, flight: tuple[Frame, Nic, Incarnation, int]) -> None:
        """Each adapter's copy of a frame has a fate of its own while the network has a fault."""
        frame, sender, _, sent = flight
        if self.faults is not None:
            self.faults.deliver(sender, nic, frame, sent)
        elif nic.up:
            nic.receive(frame, sent)

    def frames(self) -> list[tuple[int, Any]]:
        """The captured frames, oldest first."""
        return list(self.capture)
