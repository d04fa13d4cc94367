"""Network adapters: a MAC, a cable, and the way into the machine's stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.network.arp import ArpTable

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.frames import Frame
    from bodydouble_sim.network.segment import Segment


class Nic:
    """An adapter.

    Attributes:
        static: addresses configured for every boot, with prefix length; a system may edit the list.
        up: whether the cable is in.
        lost: frames that a missing cable lost; those to the adapter only while the network has a fault.
        dropped: frames that found the adapter's queue full, or its port's at the switch.
        heard: when the segment last took a frame from it, virtual nanoseconds.
        gateway: the default gateway configured for the adapter, None: only its own networks are reached.
        arp: the adapter's ARP table; empty after every boot.
    """

    def __init__(
        self, machine: Machine, name: str, mac: str, segment: Segment, static: list[str], *, gateway: str | None = None
    ) -> None:
        self.machine = machine
        self.name = name
        self.mac = mac
        self.segment = segment
        self.static = static
        self.up = True
        self.lost = 0
        self.dropped = 0
        self.heard = 0
        self.gateway = gateway
        self.arp = ArpTable(self, machine.world.loop)
        segment.attach(self)

    def __repr__(self) -> str:
        return f"<Nic {self.machine.name}/{self.name}>"

    def disconnect(self) -> None:
        """Pull the cable: frames in flight are lost, and the machine is not told. Idempotent."""
        if self.up:
            self.up = False
            self.segment.link_down(self)
            self.machine.world.trace.record("cable", self.machine.name, self.name, "out")

    def connect(self) -> None:
        """Plug the cable in. Idempotent.

        A running machine notices (Windows 2000 media sense) and claims its addresses again; one that another machine
        answers for meanwhile is given up.
        """
        if not self.up:
            self.up = True
            self.machine.world.trace.record("cable", self.machine.name, self.name, "in")
            if self.machine.powered:
                self.machine.stack.media_connected(self)

    def send(self, frame: Frame) -> None:
        """Put a complete frame on the wire; it is lost when the cable is out or the machine is off."""
        life = self.machine.incarnation
        if life is not None and self.up:
            self.segment.transmit(self, life, frame)
        elif not self.up:
            self.lost += 1

    def receive(self, frame: Frame, sent: int) -> None:
        """Take a frame from the wire, unless it was sent to an earlier life of this machine."""
        life = self.machine.incarnation
        if life is not None and life.born <= sent:
            self.machine.stack.receive(self, frame)
