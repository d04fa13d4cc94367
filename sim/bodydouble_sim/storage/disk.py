"""The disk under a volume: how much it holds, and whether it still works."""

from __future__ import annotations

from dataclasses import dataclass

CLUSTER = 4096
SECTOR = 512


@dataclass(slots=True)
class Disk:
    """A disk as a volume sees it: clusters to allocate, and faults that a lab can switch on.

    Attributes:
        capacity: size in bytes.
        used: bytes in allocated clusters.
        failing: while True every read and write ends in an I/O error.
    """

    capacity: int = 8 * 1024**3
    used: int = 0
    failing: bool = False

    @property
    def free(self) -> int:
        """Bytes in clusters that nobody uses."""
        return max(0, self.capacity - self.used)

    def resize(self, old: int, new: int) -> bool:
        """Account for a file whose length goes from ``old`` to ``new`` bytes; False when the disk is too full."""
        change = (-(-new // CLUSTER) - -(-old // CLUSTER)) * CLUSTER
        if change > self.free:
            return False
        self.used += change
        return True
