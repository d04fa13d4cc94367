"""FileSending: one file at a time into the stream, in blocks, while applications go on writing to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.replication.comparison import digest_bytes
from bodydouble.replication.holes import Holes
from bodydouble.replication.protocol import BLOCK_BYTES
from bodydouble.replication.touches import FileWatch
from bodydouble.vocabulary.operations import CreateFile, Entry, PunchHole, Truncate, Write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.ports import FileSystem
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.questions import Outlet
    from bodydouble.replication.tally import Tally
    from bodydouble.replication.touches import Touches


class FileSending:
    """Sends the bytes of files. At any time it holds one block of one file.

    Args:
        outlet: the connection.
        file_system: where to read.
        touches: kept up to date by the connection.
        tally: counts what is sent.
        room: waits until more may be queued.
        key: the form in which the file system compares paths.
    """

    def __init__(
        self,
        outlet: Outlet,
        file_system: FileSystem,
        touches: Touches,
        *,
        tally: Tally,
        room: Callable[[], Awaitable[None]],
        key: Callable[[str], str],
    ) -> None:
        self._outlet = outlet
        self._file_system = file_system
        self._touches = touches
        self._tally = tally
        self._room = room
        self._key = key
        self._watch: FileWatch | None = None

    def note(self, body: Body) -> None:
        """An application's operation was queued, between any two awaits of `send`."""
        if self._watch is not None:
            self._watch.note(body)

    async def send(self, listed: Entry, digests: list[bytes], mark: int, *, empty: bool) -> None:
        """Queue a file as it is now.

        Args:
            listed: as the source showed it at the moment ``mark`` of the touches.
            digests: of the replica's blocks; what is equal is not sent.
            mark: see there.
            empty: the replica does not have the file, so that it is empty once it is created.

        Raises:
            FileSystemError: it cannot be read.
        """
        self._watch = watch = FileWatch(listed.path, self._key)
        try:
            begun = await self._begin_file(listed, watch, mark, empty=empty)
            if begun is not None:
                await self._send_bytes(begun, watch, digests)
        finally:
            self._watch = None

    async def _begin_file(self, listed: Entry, watch: FileWatch, mark: int, *, empty: bool) -> Entry | None:
        """Queue the file with its length; as what, or None when it is gone."""
        entry: Entry | None = listed
        if self._touches.since(listed.path, mark):
            watch.again = True
            while watch.again:
                watch.begin()
                entry = await self._file_system.stat(listed.path)
        if entry is None or entry.kind != "file" or watch.lost:
            return None
        mtime = entry.mtime_ns if watch.mtime_ns is None else watch.mtime_ns
        size = watch.length(entry.size)
        self._outlet.put(CreateFile(entry.path, entry.metadata, mtime, entry.created_ns))
        if not empty or not entry.size or entry.sparse or self._touches.since(entry.path, mark):
            # Equal lengths from here on: whatever applications do to the length, the stream does to both.
            self._outlet.put(Truncate(entry.path, size, mtime))
        return msgspec.structs.replace(entry, size=size, mtime_ns=mtime)

    async def _send_bytes(self, begun: Entry, watch: FileWatch, digests: list[bytes]) -> None:
        path, mtime, offset = begun.path, begun.mtime_ns, 0
        holes = Holes(self._file_system, path, begun.size, sparse=begun.sparse)
        while True:
            await self._room()
            watch.begin()
            hole_end, stop = await holes.after(offset)
            data = b"" if hole_end > offset else await self._file_system.read(path, offset, stop - offset)
            if watch.lost:
                return
            if watch.again:
                continue
            mtime = mtime if watch.mtime_ns is None else watch.mtime_ns
            if hole_end > offset:
                offset += self._punch(path, offset, watch.hole(offset, hole_end), mtime) or holes.fill(offset)
                continue
            data = watch.patch(data, offset, stop - offset)
            if data and _block_digest(digests, offset) != digest_bytes(data):
                self._outlet.put(Write(path, offset, data, mtime))
                self._tally.sent(len(data))
            else:
                self._tally.skipped(len(data))
            offset += len(data)
            if offset < stop:
                return

    def _punch(self, path: str, begin: int, end: int, mtime: int) -> int:
        """Queue a hole; its length."""
        if end > begin:
            self._outlet.put(PunchHole(path, begin, end - begin, mtime))
            self._tally.skipped(end - begin)
        return end - begin


def _block_digest(digests: list[bytes], offset: int) -> bytes:
    """The digest of the replica's block that begins at ``offset``."""
    block, inside = divmod(offset, BLOCK_BYTES)
    return digests[block] if block < len(digests) and not inside else b""
