"""Holes: where a file has no bytes, as a mirror passes over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.replication.protocol import BLOCK_BYTES
from bodydouble.vocabulary.operations import HOLE_BYTES

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem
    from bodydouble.vocabulary.operations import Entry


async def has_holes(file_system: FileSystem, entry: Entry) -> bool:
    """Whether a file is sparse and has a hole of at least `HOLE_BYTES`, so that a replica of it should have one.

    Raises:
        FileSystemError: as the port's `find_data`.
    """
    offset = 0
    while entry.sparse and offset + HOLE_BYTES <= entry.size:
        begin, end = await file_system.find_data(entry.path, offset) or (entry.size, entry.size)
        if begin - offset >= HOLE_BYTES:
            return True
        offset = end
    return False


class Holes:
    """The holes of one file, asked for run by run; of a file that has none, nothing is asked.

    Args:
        file_system: the source's.
        path: the file.
        size: its length.
        sparse: whether it has holes.
    """

    def __init__(self, file_system: FileSystem, path: str, size: int, *, sparse: bool) -> None:
        self._file_system = file_system
        self._path = path
        self._size = size
        self._sparse = sparse
        self._data_end = 0

    async def after(self, offset: int) -> tuple[int, int]:
        """Where a hole that begins at ``offset`` ends (there, if none begins), and where to stop reading then.

        Raises:
            FileSystemError: as the port's `find_data`.
        """
        block_end = (offset // BLOCK_BYTES + 1) * BLOCK_BYTES
        if not self._sparse:
            return offset, block_end
        if offset >= self._data_end:
            found = await self._file_system.find_data(self._path, offset)
            if found is None and offset >= self._size:
                return offset, block_end  # reading shows the end
            begin, self._data_end = found or (self._size, self._size)
            if begin > offset:
                return begin, begin
        return offset, min(self._data_end, block_end)

    def fill(self, offset: int) -> int:
        """Something was written at ``offset`` while the hole was looked for: it is to be read; 0 bytes are passed."""
        self._data_end = max(self._data_end, (offset // BLOCK_BYTES + 1) * BLOCK_BYTES)
        return 0
