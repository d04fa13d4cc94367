"""The disk under a volume: how much it holds, and what a lab has broken about it.

Every fault is a switch that stays until it is thrown back, and counts in `Disk.touched` what it did, so that a lab
knows whether a fault that it planned was ever met:

- `Disk.failing`: the whole disk is gone, every call ends in ``io`` (``refused``).
- `Disk.break_sector`: reads or writes of a sector end in ``io`` (``bad_reads``, ``bad_writes``; NTFS: ``remapped``).
- `Disk.slowness`: the product's calls take so many times as long (``slowed``).
- `Disk.fill`: something else takes the free space (``full``).
- `Disk.lying`: a flush is acknowledged and not done (``lied``).
- `Disk.flip`, `Disk.corrupt`: a bit turns over on the platter, seen when the cache is dropped (``flipped``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from bodydouble_sim.storage.content import FileContent

CLUSTER = 4096
SECTOR = 512
DEFAULT_CAPACITY = 8 * 1024**3
_STRIDE = 1 << 32
"""Sectors between two files' places: no file grows into the next one's."""


class Disk:
    """A disk as a volume sees it: bytes to allocate, sectors, and faults.

    Sectors have numbers, but files are not laid out within the capacity: each has a range of its own for ever, so that
    a sector that was broken belongs to one file.

    Args:
        capacity: size in bytes.

    Attributes:
        capacity: size in bytes.
        used: bytes in allocated clusters.
        failing: while True every read and write ends in an I/O error.
        slowness: factor on the latency of the product's calls.
        lying: while True flushes are acknowledged and not done.
        bad: broken sectors: whether reads and whether writes fail.
        touched: how often each fault was met.
        contents: what lies on it, by place.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.capacity = capacity
        self.used = 0
        self.failing = False
        self.slowness = 1.0
        self.lying = False
        self.bad: dict[int, tuple[bool, bool]] = {}
        self.touched = dict.fromkeys(
            ("refused", "bad_reads", "bad_writes", "remapped", "slowed", "full", "lied", "flipped"), 0
        )
        self.contents: dict[int, FileContent] = {}
        self._ballast = 0
        self._places = 0

    @property
    def free(self) -> int:
        """Bytes in clusters that nobody uses."""
        return max(0, self.capacity - self.used)

    def take(self, change: int) -> bool:
        """Allocate (or free, when negative) so many bytes; False when the disk is too full."""
        if change > self.free:
            self.touched["full"] += 1
            return False
        self.used += change
        return True

    def place(self, content: FileContent) -> None:
        """A file begins to lie on this disk, or does again."""
        if not content.place:
            self._places += _STRIDE
            content.place = self._places
        self.contents[content.place] = content
        self.used += content.allocated

    def vacate(self, content: FileContent) -> None:
        """A file was removed."""
        if self.contents.pop(content.place, None) is not None:
            self.used -= content.allocated

    # --- faults -----------------------------------------------------------------------------------------------------

    def fill(self, leave: int = 0) -> None:
        """Something else takes all space but ``leave`` bytes."""
        self.unfill()
        self._ballast = max(0, self.free - leave)
        self.used += self._ballast

    def unfill(self) -> None:
        """What `fill` took is free again."""
        self.used -= self._ballast
        self._ballast = 0

    def break_sector(self, sector: int, *, reads: bool = True, writes: bool = True) -> None:
        """Reads, writes or both of a sector fail from now on."""
        self.bad[sector] = (reads, writes)

    def mend_sector(self, sector: int) -> None:
        """The sector works again. Idempotent."""
        self.bad.pop(sector, None)

    def broken(self, content: FileContent, begin: int, end: int, *, write: bool) -> list[int]:
        """Broken sectors beneath some bytes of a file."""
        first, last = content.place + begin // SECTOR, content.place + (max(begin, end - 1)) // SECTOR
        return [sector for sector in sorted(self.bad) if first <= sector <= last and self.bad[sector][write]]

    def flip(self, sector: int, byte: int, bit: int) -> bool:
        """Turn a bit over on the platter; False when no file's bytes are there."""
        content = self.contents.get(sector // _STRIDE * _STRIDE)
        at = sector % _STRIDE * SECTOR + byte
        if content is None or at >= len(content.data):
            return False
        content.flips[at] = content.flips.get(at, 0) ^ (1 << bit)
        return True

    def corrupt(self, stream: random.Random) -> int | None:
        """Turn a drawn bit of a drawn file over on the platter.

        Returns:
            The sector; None when no file has bytes.
        """
        filled = [content for content in self.contents.values() if content.data]
        if not filled:
            return None
        content = stream.choice(filled)
        at = stream.randrange(len(content.data))
        self.flip(content.place + at // SECTOR, at % SECTOR, stream.randrange(8))
        return content.place + at // SECTOR

    def drop_cache(self) -> None:
        """The system forgot what it had read: silent corruption shows at the next read."""
        for content in self.contents.values():
            if content.flips:
                self.touched["flipped"] += content.drop_cache()
