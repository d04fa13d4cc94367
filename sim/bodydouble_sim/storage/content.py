"""The bytes of one file, and which of them the platter does not have yet.

Fault model (reference/windows-iis.md, "File systems": NTFS journals metadata, un-flushed user data may be lost and read
as zeros): a write lands in the cache, page by page. Until a flush, or until the lazy writer reached the page, a power
loss may keep the page, leave what the platter had before (zeros where the file had no bytes yet), or tear the page
between sectors. The file's *length* is metadata and survives. How soon the lazy writer comes is a choice of this model:
`LAZY_WRITE_NS` after the first un-written change of a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.storage.disk import SECTOR

if TYPE_CHECKING:
    import random

PAGE = 4096
LAZY_WRITE_NS = 8_000_000_000


class FileContent:
    """A file's bytes with an undo record for every page that is only in the cache.

    Attributes:
        data: what readers see.
    """

    __slots__ = ("_dirty", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._dirty: dict[int, tuple[bytes, int]] = {}

    @property
    def dirty(self) -> bool:
        """Whether any page waits for a flush or for the lazy writer."""
        return bool(self._dirty)

    def write(self, offset: int, data: bytes, now: int) -> None:
        """Write into the cache at ``now`` (ns); a gap before ``offset`` reads as zeros."""
        if not data:
            return
        end = offset + len(data)
        self._remember(offset, end, now)
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset:end] = data

    def _remember(self, offset: int, end: int, now: int) -> None:
        dirty = self._dirty
        for page in range(offset // PAGE, (end - 1) // PAGE + 1):
            known = dirty.get(page)
            if known is None or now - known[1] > LAZY_WRITE_NS:
                dirty[page] = (bytes(self.data[page * PAGE : (page + 1) * PAGE]), now)

    def truncate(self, size: int) -> None:
        """Set the length: journaled metadata, so the dropped bytes never come back."""
        if size >= len(self.data):
            self.data.extend(bytes(size - len(self.data)))
            return
        del self.data[size:]
        keep, part = divmod(size, PAGE)
        for page in [page for page in self._dirty if page >= keep]:
            old, since = self._dirty.pop(page)
            if page == keep and part:
                self._dirty[page] = (old[:part], since)

    def flush(self) -> None:
        """Everything is on the platter now."""
        self._dirty.clear()

    def lose(self, stream: random.Random, now: int) -> int:
        """Power loss at ``now``: keep a legal subset of what was not flushed.

        Returns:
            The number of sectors whose new bytes did not survive.
        """
        lost = 0
        for page in sorted(self._dirty):
            old, since = self._dirty[page]
            if now - since <= LAZY_WRITE_NS:
                lost += self._lose_page(page, old, stream)
        self._dirty.clear()
        return lost

    def _lose_page(self, page: int, old: bytes, stream: random.Random) -> int:
        fate = stream.choice(("kept", "lost", "torn"))
        if fate == "kept":
            return 0
        start, end = page * PAGE, min((page + 1) * PAGE, len(self.data))
        platter = old.ljust(end - start, b"\0")
        lost = 0
        for at in range(start, end, SECTOR):
            if fate == "lost" or stream.random() < 0.5:  # noqa: PLR2004 - either is as likely
                stop = min(at + SECTOR, end)
                self.data[at:stop] = platter[at - start : stop - start]
                lost += 1
        return lost
