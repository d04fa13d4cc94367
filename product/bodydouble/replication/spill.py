"""Spill: writes what does not fit into a source queue's memory to a journal, and reads it back in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, FileSystemError, StateError
from bodydouble.replication.elements import decode_item, item_pieces
from bodydouble.replication.protocol import Item
from bodydouble.replication.tasks import to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.ports import FileSystem
    from bodydouble.replication.journal.journal import Journal, JournalReader
    from bodydouble.replication.queue import SourceQueue

_WRITE_BYTES = 4 * 1024 * 1024
_READ_ITEMS = 4096


class QueueExhaustedError(BodydoubleError):
    """The queue is full: what applications do from here on cannot be queued."""


class Spill:
    """The disk half of one stream's queue.

    Args:
        queue: what is where.
        journal: on disk.
        file_system: tells the free space.
        floor: bytes that are left free on the volume.
        on_available: called when there is something to send again.
    """

    def __init__(
        self,
        queue: SourceQueue,
        journal: Journal,
        file_system: FileSystem,
        floor: int,
        on_available: Callable[[], None],
    ) -> None:
        self.room = 0
        self._queue = queue
        self._journal = journal
        self._file_system = file_system
        self._floor = floor
        self._on_available = on_available
        self._wake = asyncio.Event()
        self._reader: JournalReader | None = None

    def wake(self) -> None:
        """Something was staged, or memory became free."""
        self._wake.set()

    async def clear(self) -> None:
        """Remove what an earlier stream left.

        Raises:
            QueueExhaustedError: the volume fails.
        """
        try:
            await self._journal.begin(self._journal.identity)
            await self.measure()
        except FileSystemError as error:
            raise QueueExhaustedError(f"the disk queue fails: {error}") from error

    async def measure(self) -> int:
        """Bytes that the disk queue can hold at most, as the volume and the limit are now.

        Raises:
            FileSystemError: the volume does not answer.
        """
        limit = self._queue.disk_capacity
        if limit == 0:
            self.room = 0
            return 0
        free = await self._file_system.free_space(self._journal.directory)
        self.room = self._journal.size + max(0, free - self._floor)
        if limit is not None:
            self.room = min(self.room, limit)
        return self.room

    async def run(self) -> None:
        """Write and read as the queue asks for it, until cancelled.

        Raises:
            QueueExhaustedError: the volume is full up to the floor, or fails.
        """
        while True:
            try:
                if self._queue.admit():
                    self._on_available()
                busy = await self._read_back()
                busy = await self._write() or busy
            except (FileSystemError, StateError) as error:
                raise QueueExhaustedError(f"the disk queue fails: {error}") from error
            if not busy:
                self._wake.clear()
                await self._wake.wait()

    async def _write(self) -> bool:
        items = self._queue.staged(_WRITE_BYTES)
        if not items:
            return False
        if await self.measure() - self._journal.size < sum(item.weight for item in items):
            raise QueueExhaustedError(f"the volume is full but for the {self._floor} bytes that stay free")
        await to_the_end(self._append([Item(item.sequence, item.body) for item in items]))
        self._queue.written(items)
        return True

    async def _append(self, items: list[Item]) -> None:
        if not self._queue.on_disk:
            # What was there before has been read back; numbers go on from what memory holds.
            await self._journal.begin(self._journal.identity, items[0].sequence - 1)
            self._reader = None
        await self._journal.append([item_pieces(item) for item in items])

    async def _read_back(self) -> bool:
        wanted = self._queue.wanted
        if not wanted:
            return False
        if self._reader is None:
            self._reader = self._journal.reader(self._journal.last - self._queue.on_disk)
        items = [decode_item(payload) for payload in await self._reader.read(wanted, _READ_ITEMS)]
        self._queue.read_back([(item.sequence, item.body) for item in items])
        await self._journal.forget(self._queue.acknowledged)
        self._on_available()
        return True
