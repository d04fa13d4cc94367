"""Notes in the filter program's memory, behind its ring: they last as long as the ring's records, and no longer.

The program knows nothing of them. It holds the memory, which outlives the daemon that way, and is gone with the program
or the system. One page of each place says whose it is; the rest is the owner's.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bodydouble.adapters.fuse.ring import PAGE

if TYPE_CHECKING:
    from collections.abc import Collection

_PLACES = 64
_MOST_BYTES = 16 << 20
_MOST_NAME = PAGE - 8


class NotesMemory:
    """The places for notes of one program.

    Args:
        memory: descriptor of the ring; not closed here.
        ring_bytes: bytes for records in it.

    Raises:
        OSError: the memory cannot be had.
    """

    def __init__(self, memory: int, ring_bytes: int) -> None:
        self._begin = PAGE + ring_bytes
        self._size = PAGE + min(ring_bytes // 16 // PAGE * PAGE, _MOST_BYTES)
        whole = self._begin + _PLACES * self._size
        if os.fstat(memory).st_size < whole:
            os.ftruncate(memory, whole)
        # What nobody has written to takes no memory.
        self._map = mmap.mmap(memory, whole)
        self._view = memoryview(self._map)

    def notes(self, name: str) -> memoryview | None:
        """The place of that name, a new one if there is none; None when all are taken."""
        free = -1
        for place in range(_PLACES):
            owner = self._owner(place)
            if owner == name:
                return self._words(place)
            if not owner and free < 0:
                free = place
        if free < 0:
            return None
        self._take(free, name)
        return self._words(free)

    def keep(self, names: Collection[str]) -> None:
        """Free the places of all other names."""
        for place in range(_PLACES):
            if self._owner(place) not in ("", *names):
                self._size_of_name(place)[0] = 0

    def close(self) -> None:
        """Let go of the memory; whoever has notes keeps them until the end."""
        self._view.release()
        with suppress(BufferError):
            self._map.close()

    def _page(self, place: int) -> memoryview:
        at = self._begin + place * self._size
        return self._view[at : at + PAGE]

    def _words(self, place: int) -> memoryview:
        at = self._begin + place * self._size
        return self._view[at + PAGE : at + self._size].cast("Q")

    def _size_of_name(self, place: int) -> memoryview:
        return self._page(place)[:8].cast("Q")

    def _owner(self, place: int) -> str:
        size = self._size_of_name(place)[0]
        return str(self._page(place)[8 : 8 + size], "utf-8") if 0 < size <= _MOST_NAME else ""

    def _take(self, place: int, name: str) -> None:
        encoded = name.encode()[:_MOST_NAME]
        if self._page(place)[8]:  # somebody had it before
            words = self._words(place)
            words[:] = memoryview(bytes(8 * len(words))).cast("Q")
        self._page(place)[8 : 8 + len(encoded)] = encoded
        self._size_of_name(place)[0] = len(encoded)
