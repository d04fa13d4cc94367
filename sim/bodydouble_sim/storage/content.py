"""The bytes of one file, and which of them the platter does not have yet.

Fault model (reference/windows-iis.md, "File systems": un-flushed user data may be lost and read as zeros): a write
lands in the cache, page by page. Until a flush, or until the lazy writer reached the page, a power loss may keep the
page, leave what the platter had before (zeros where the file had no bytes yet), or tear it. How soon the lazy writer
comes is a choice of this model: `LAZY_WRITE_NS` after the first un-written change of a page.

The length belongs to the file system's metadata: its journal says what a power loss leaves of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bodydouble_sim.storage.disk import SECTOR

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

PAGE = 4096
LAZY_WRITE_NS = 8_000_000_000

Dirty = dict[int, tuple[bytes, int]]
"""Pages that wait in the cache: what the platter has of them, and since when it is behind (ns)."""


class Cut(NamedTuple):
    """What a truncation took away: the bytes, and the pages of them that were only in the cache."""

    tail: bytes
    dirty: Dirty


class FileContent:
    """A file's bytes with an undo record for every page that is only in the cache.

    Attributes:
        data: what readers see.
        allocated: bytes of clusters that it occupies.
        place: where on its disk it lies: the number of its first sector.
        flips: silent corruption of the platter that the cache still hides: bits to turn over, by byte.
    """

    __slots__ = ("_dirty", "allocated", "data", "flips", "place")

    def __init__(self) -> None:
        self.data = bytearray()
        self.allocated = 0
        self.place = 0
        self.flips: dict[int, int] = {}
        self._dirty: Dirty = {}

    @property
    def dirty(self) -> bool:
        """Whether any page waits for a flush or for the lazy writer."""
        return bool(self._dirty)

    def waits(self, page: int) -> bool:
        """Whether a page is in the cache and not on the platter."""
        return page in self._dirty

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
                if self.flips and known is not None:
                    self._heal(page)

    def resize(self, size: int) -> Cut | None:
        """Set the length, adding zeros or dropping the tail.

        Returns:
            What was dropped, for `restore`; None when it grew.
        """
        old = len(self.data)
        if size >= old:
            self.data.extend(bytes(size - old))
            return None
        tail = bytes(self.data[size:])
        del self.data[size:]
        keep, part = divmod(size, PAGE)
        dropped = {page: self._dirty.pop(page) for page in sorted(self._dirty) if page >= keep}
        if part and keep in dropped:
            kept, since = dropped[keep]
            self._dirty[keep] = (kept[:part], since)
        return Cut(tail, dropped)

    def restore(self, cut: Cut) -> None:
        """Undo a truncation; whatever came after it has been undone."""
        size = len(self.data)
        keep, part = divmod(size, PAGE)
        changed = self._dirty.get(keep)
        self.data.extend(cut.tail)
        if changed is not None and part and keep not in cut.dirty:
            self._dirty[keep] = (changed[0][:part].ljust(part, b"\0") + cut.tail[: PAGE - part], changed[1])
        self._dirty.update(cut.dirty)

    def flush(self) -> None:
        """Everything is on the platter now."""
        if self.flips:
            for page in self._dirty:
                self._heal(page)
        self._dirty.clear()

    def pending(self, now: int) -> Iterable[tuple[int, int]]:
        """Pages that a power loss at ``now`` may take, and since when they wait; the others are written."""
        late = [page for page, (_, since) in self._dirty.items() if now - since > LAZY_WRITE_NS]
        for page in late:
            self._heal(page)
            del self._dirty[page]
        return [(page, self._dirty[page][1]) for page in sorted(self._dirty)]

    def keep(self, page: int) -> int:
        """A power loss found the page on the platter already; returns 0 lost sectors."""
        self._heal(page)
        self._dirty.pop(page, None)
        return 0

    def lose(self, page: int, stream: random.Random | None = None, *, torn: bool = False) -> int:
        """A power loss found the page's old bytes on the platter.

        Args:
            page: which.
            stream: draws which of its sectors are nevertheless new; all are old when omitted.
            torn: the drive stopped inside a sector: those before it are new, itself begins new and ends old.

        Returns:
            The number of sectors whose new bytes did not survive whole.
        """
        old, _ = self._dirty.pop(page)
        start, end = page * PAGE, min((page + 1) * PAGE, len(self.data))
        platter = old[: max(0, end - start)].ljust(end - start, b"\0")
        if torn and stream is not None:
            return self._tear(start, end, platter, stream)
        lost = 0
        for at in range(start, end, SECTOR):
            if stream is None or stream.random() < 0.5:  # noqa: PLR2004 - either is as likely
                stop = min(at + SECTOR, end)
                self.data[at:stop] = platter[at - start : stop - start]
                lost += 1
        return lost

    def _tear(self, start: int, end: int, platter: bytes, stream: random.Random) -> int:
        at = start + stream.randrange(end - start) if end > start else start
        self.data[at:end] = platter[at - start :]
        return -(-(end - at) // SECTOR)

    def drop_cache(self) -> int:
        """Read the platter again: silent corruption shows.

        Returns:
            The number of bytes that it changed.
        """
        seen = 0
        for at in sorted(self.flips):
            if at < len(self.data) and at // PAGE not in self._dirty:
                self.data[at] ^= self.flips.pop(at)
                seen += 1
        return seen

    def _heal(self, page: int) -> None:
        """The page was written over: what was wrong with it is gone."""
        for at in [at for at in self.flips if at // PAGE == page]:
            del self.flips[at]
