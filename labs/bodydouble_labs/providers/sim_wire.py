"""A witness on the wire: counts the frames that an adapter puts on its segment while it should be silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.frames import Frame
    from bodydouble_sim.network.nic import Nic

_SOURCE_MAC = 1
"""Index of the sender's MAC in a frame."""


class WireWitness:
    """Stands between the adapters of a segment and its switch, from `begin` to `end`."""

    def __init__(self, nic: Nic) -> None:
        self._mac = nic.mac
        self._segment = nic.segment
        self._frames: int | None = None

    def begin(self) -> None:
        """Count from now on."""
        self._frames = 0
        transmit = self._segment.transmit

        def counted(sender: Nic, life: Incarnation, frame: Frame) -> None:
            if self._frames is not None and frame[_SOURCE_MAC] == self._mac:
                self._frames += 1
            transmit(sender, life, frame)

        setattr(self._segment, "transmit", counted)  # noqa: B010 - a tap on this one segment

    def end(self) -> int:
        """Stop counting; returns how many frames there were (0 when nobody counted)."""
        frames, self._frames = self._frames or 0, None
        return frames
