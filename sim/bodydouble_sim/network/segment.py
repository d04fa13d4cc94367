"""Segments: a switch with a latency, and the network that names them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from zlib import crc32

from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.network.faults import FaultTable
from bodydouble_sim.network.frames import ARP, BROADCAST_MAC, TCP, Frame

if TYPE_CHECKING:
    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.world import World

_CAPTURED = 1 << 16
_TRACE_BATCH = 2048
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

    def segment(self, name: str, subnet: str = "10.0.0.0/24", latency: float = 0.0002) -> Segment:
        """The segment of that name; made at the first call. ``latency`` is seconds from adapter to adapter."""
        segment = self.segments.get(name)
        if segment is None:
            segment = self.segments[name] = Segment(self._world, name, subnet, latency)
        return segment

    def next_mac(self) -> str:
        """A MAC address that no adapter of this world was given yet."""
        self._macs += 1
        return ":".join(f"{byte:02x}" for byte in (_LOCAL_MAC + self._macs).to_bytes(6, "big"))


class Segment:
    """An Ethernet segment with one switch: a frame reaches the adapter that it is addressed to, or all of them.

    Attributes:
        capture: the latest frames put on the wire, ``(virtual nanoseconds, frame)``; empty when the world captures
            nothing. `bodydouble_sim.network.capture.write_pcapng` renders them.
        remarks: what faults did to captured frames, ``(virtual nanoseconds, frame, what)``.
        faults: decides about every delivery while the network has a fault; None costs one test a frame.
    """

    def __init__(self, world: World, name: str, subnet: str, latency: float) -> None:
        self.name = name
        self.subnet = subnet
        self.latency = latency
        self.nics: list[Nic] = []
        self.capture: deque[tuple[int, Frame]] = deque(maxlen=_CAPTURED if world.capture else 0)
        self.remarks: deque[tuple[int, Frame, str]] = deque(maxlen=self.capture.maxlen)
        self.faults: FaultTable | None = None
        self._by_mac: dict[str, Nic] = {}
        self._latency = round(latency * 1_000_000_000)
        self._loop = world.loop
        self._trace = world.trace

    def __repr__(self) -> str:
        return f"<Segment {self.name}>"

    def attach(self, nic: Nic) -> None:
        """Run a cable to an adapter.

        Raises:
            MachineStateError: another adapter on the segment has the same MAC.
        """
        if nic.mac in self._by_mac:
            raise MachineStateError(f"{nic.mac} is on segment {self.name} already")
        self._by_mac[nic.mac] = nic
        self.nics.append(nic)

    def transmit(self, sender: Nic, life: Incarnation, frame: Frame) -> None:
        """Put a frame on the wire: the one place where a frame's verdict is decided (now always: pass)."""
        loop = self._loop
        now = loop.now
        self.capture.append((now, frame))
        events = self._trace.buffer
        if frame[0] is TCP:
            events.append((now, TCP, *frame[3:11], len(frame[11]), crc32(frame[11])))
        elif frame[0] is ARP:
            events.append((now, *frame))
        else:
            events.append((now, frame[0], *frame[3:-1], len(frame[-1]), crc32(frame[-1])))
        if len(events) >= _TRACE_BATCH:
            self._trace.flush()
        loop.schedule(self._latency, self._deliver, (frame, sender, life, now))

    def _deliver(self, flight: tuple[Frame, Nic, Incarnation, int]) -> None:
        """Hand a frame over, unless the life that sent it ended or its cable was pulled meanwhile."""
        frame, sender, life, sent = flight
        if life.dead or not sender.up:
            return
        target = self._by_mac.get(frame[2])
        if self.faults is not None:
            self._deliver_with_faults(self.faults, frame, sender, sent)
        elif target is not None:
            if target.up:
                target.receive(frame, sent)
        elif frame[2] == BROADCAST_MAC:
            for nic in self.nics:
                if nic is not sender and nic.up:
                    nic.receive(frame, sent)

    def _deliver_with_faults(self, faults: FaultTable, frame: Frame, sender: Nic, sent: int) -> None:
        """Each adapter's copy of a frame has a fate of its own."""
        target = self._by_mac.get(frame[2])
        if target is not None:
            faults.deliver(sender, target, frame, sent)
        elif frame[2] == BROADCAST_MAC:
            for nic in self.nics:
                if nic is not sender:
                    faults.deliver(sender, nic, frame, sent)

    def frames(self) -> list[tuple[int, Any]]:
        """The captured frames, oldest first."""
        return list(self.capture)
