"""Cables with a speed: serialisation delay, jitter and queues that overflow.

Every adapter has a cable to its switch, full duplex. A frame waits until the cable has carried those before it, at the
adapter on the way up and at the switch's port on the way down; one that finds the queue full is dropped (tail drop)
and counted in `Nic.dropped`. Frames of one direction of one cable never overtake each other, jitter or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from bodydouble_sim.errors import ConfigurationError
from bodydouble_sim.network.faults import wire_length

if TYPE_CHECKING:
    from random import Random

    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.frames import Frame
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.segment import Segment

    Flight: TypeAlias = tuple[Frame, Nic, Incarnation, int]

_SECOND = 1_000_000_000
_BITS = 8
_OVERHEAD = 24  # preamble, frame check sequence and gap between frames (IEEE 802.3)


@dataclass
class _Direction:
    """One direction of one cable."""

    idle_at: int = 0
    latest: int = 0


@dataclass
class Links:
    """How the cables of one segment are.

    Attributes:
        bandwidth: bits per second; 0: without limit.
        jitter: at most so many seconds are added to the latency of each direction, drawn uniformly.
        queue: bytes that wait in front of a cable at most.
        dice: where jitter is drawn from (`World.random`); needed with jitter.
    """

    bandwidth: float = 100_000_000
    jitter: float = 0.0
    queue: int = 128 * 1024
    dice: Random | None = None
    _ways: dict[tuple[str, Nic], _Direction] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.bandwidth < 0 or self.jitter < 0 or self.queue <= 0:
            raise ConfigurationError(f"{self}: bandwidth and jitter are not negative, a queue holds something")
        if self.jitter and self.dice is None:
            raise ConfigurationError(f"{self}: jitter is drawn from a stream: give dice=world.random(...)")

    def up(self, segment: Segment, flight: Flight) -> None:
        """From an adapter to the switch."""
        sender = flight[1]
        delay = self._delay(segment, "up", sender, flight[0])
        if delay is not None:
            segment.after(delay, flight)

    def down(self, segment: Segment, nic: Nic, flight: Flight) -> None:
        """From the switch to an adapter."""
        delay = self._delay(segment, "down", nic, flight[0])
        if delay is not None:
            segment.after(delay, flight, nic)

    def _delay(self, segment: Segment, way: str, nic: Nic, frame: Frame) -> int | None:
        """Nanoseconds until a frame has arrived at the other end; None: the queue is full."""
        now = segment.now()
        cable = self._ways.setdefault((way, nic), _Direction())
        begins = max(now, cable.idle_at)
        size = wire_length(frame) + _OVERHEAD
        if self.bandwidth:
            if (begins - now) * self.bandwidth / (_BITS * _SECOND) + size > self.queue:
                nic.dropped += 1
                segment.note_drop(way, nic, frame)
                return None
            cable.idle_at = begins + round(size * _BITS * _SECOND / self.bandwidth)
            begins = cable.idle_at
        arrives = begins + segment.half_latency
        if self.dice is not None and self.jitter:
            arrives += round(self.dice.random() * self.jitter * _SECOND)
        cable.latest = arrives = max(arrives, cable.latest)
        return arrives - now
