"""Reading records out of a segment, in pieces of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.replication.journal.framing import (
    RECORD_OVERHEAD,
    Frame,
    Header,
    decode_header,
    decode_record,
    header_bytes,
    record_bytes,
)

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem

_READ_BYTES = 1024 * 1024


class SegmentReader:
    """The records of one segment file, one after another.

    Args:
        file_system: the host's volumes.
        path: the segment.
    """

    def __init__(self, file_system: FileSystem, path: str) -> None:
        self.path = path
        self.offset = 0
        self.crc = 0
        self._file_system = file_system
        self._window = bytearray()
        self._window_at = 0

    async def header(self) -> Header | None:
        """Read the header; None when there is no valid one. To be called first.

        Raises:
            FileSystemError: the volume refused.
        """
        found = decode_header(await self._file_system.read(self.path, 0, header_bytes()))
        if found is not None:
            self.offset, self.crc = found.size, found.crc
            self._window.clear()
            self._window_at = self.offset
        return found

    async def next(self) -> bytes | None:
        """The next record's payload; None where the valid ones end (more may be appended there later).

        Raises:
            FileSystemError: the volume refused.
        """
        frame = self._parse()
        if frame is None:
            await self._fill()
            frame = self._parse()
        if frame is None:
            self._window.clear()  # what was read before the file went on may have become something else
            await self._fill()
            frame = self._parse()
        if frame is None:
            return None
        self.offset, self.crc = self._window_at + frame.end, frame.crc
        return frame.payload

    def _parse(self) -> Frame | None:
        return decode_record(self._window, self.offset - self._window_at, self.crc)

    async def _fill(self) -> None:
        """Have the whole record at the offset in the window, as far as the file goes."""
        del self._window[: self.offset - self._window_at]
        self._window_at = self.offset
        wanted = record_bytes(self._window, 0) or RECORD_OVERHEAD
        while len(self._window) < wanted:
            at = self.offset + len(self._window)
            size = max(_READ_BYTES, wanted - len(self._window))
            piece = await self._file_system.read(self.path, at, size)
            self._window += piece
            if len(piece) < size:
                return
            wanted = record_bytes(self._window, 0) or 0
