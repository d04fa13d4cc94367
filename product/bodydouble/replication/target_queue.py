"""TargetQueue: what a target has received and not yet applied: durable on disk, the next of it in memory."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError, ProtocolError, StateError
from bodydouble.replication.elements import decode_item, item_pieces
from bodydouble.replication.protocol import VERSION, Item
from bodydouble.replication.queue import weigh

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.groups import Window
    from bodydouble.replication.journal.journal import Journal, JournalReader, Opened

MAX_PART_BYTES = 4 * 1024 * 1024
MAX_PART_ITEMS = 1024


class TargetQueue:
    """One replica's queue, in order. One task puts, another one takes.

    Args:
        journal: its disk half.
        memory_bytes: how much of it is kept in memory as well.
        key: the form in which the file system compares paths.
    """

    def __init__(self, journal: Journal, memory_bytes: int, key: Callable[[str], str]) -> None:
        self.applied = 0
        self.pending_bytes = 0
        self._puts: deque[tuple[int, int]] = deque()
        self._journal = journal
        self._memory_bytes = memory_bytes
        self._key = key
        self._window: deque[Item] = deque()
        self._window_bytes = 0
        self._window_end = 0
        self._reader: JournalReader | None = None

    @property
    def received(self) -> int:
        """The last number that survives power loss."""
        return self._journal.last

    @property
    def pending(self) -> int:
        """How many elements wait to be applied."""
        return self.received - self.applied

    async def begin(self, stream: str) -> None:
        """A new stream follows, from its first element; what is queued is dropped.

        Raises:
            FileSystemError: the volume refused.
        """
        await self._journal.begin(_identity(stream))
        self._at(0)

    async def open(self, stream: str, applied: int) -> Opened:
        """Take in what an earlier run received of ``stream`` after ``applied``.

        Raises:
            FileSystemError: the volume refused.
        """
        opened = await self._journal.open(_identity(stream), applied)
        self._at(applied)
        self._count(self._journal.size if opened.records else 0)
        return opened

    def _count(self, size: int) -> None:
        """What was put last weighs so much until all of it is applied."""
        self._puts.append((self.received, size))
        self.pending_bytes += size

    def _at(self, applied: int) -> None:
        self.applied = self._window_end = applied
        self._window.clear()
        self._window_bytes = self.pending_bytes = 0
        self._puts.clear()
        self._reader = None

    async def remove(self) -> None:
        """Remove it from the disk.

        Raises:
            FileSystemError: the volume refused.
        """
        await self._journal.remove()
        self._at(0)

    def excess(self, limit: int | None, *, full: bool) -> str:
        """Why nothing more should be put now; empty when it may.

        Args:
            limit: bytes that may wait.
            full: it was full a moment ago: then it is until half of that is free again.
        """
        if limit is None or not self.pending or self.pending_bytes < (limit // 2 if full else limit):
            return ""
        return f"{self.pending_bytes} bytes wait to be applied, {limit} are allowed"

    async def put(self, items: list[Item]) -> None:
        """Take in the next elements; they survive power loss once this returns.

        Raises:
            FileSystemError: the volume refused; none was taken in.
            ProtocolError: they are not the next ones.
        """
        if [item.sequence for item in items] != list(range(self.received + 1, self.received + 1 + len(items))):
            raise ProtocolError(f"elements out of order behind {self.received}")
        payloads = [item_pieces(item) for item in items]
        await self._journal.append(payloads)
        self._count(sum(sum(map(len, payload)) for payload in payloads))
        for item in items:
            weight = weigh(item.body)
            if self._window_end + 1 != item.sequence or self._window_bytes + weight > self._memory_bytes:
                return  # it is read from disk when its turn comes
            self._window.append(item)
            self._window_bytes += weight
            self._window_end = item.sequence

    async def following(self, window: Window) -> list[Item]:
        """The next elements to apply, as far as they fit into what is not settled; they stay queued until `done`.

        Raises:
            FileSystemError: the volume refused.
            StateError: what is on disk was damaged there.
        """
        if not self._window:
            await self._load()
        items: list[Item] = []
        size = 0
        for item in self._window:
            if len(items) >= MAX_PART_ITEMS or size >= MAX_PART_BYTES or not window.take(item.body):
                break
            size += weigh(item.body)
            items.append(item)
        return items

    async def _load(self) -> None:
        if self._window_end == self.received:
            return
        if self._reader is None or self._reader.position != self._window_end:
            self._reader = self._journal.reader(self._window_end)
        for payload in await self._reader.read(MAX_PART_BYTES, MAX_PART_ITEMS):
            item = decode_item(payload)
            if item.sequence != self._window_end + 1:
                raise StateError(f"element {item.sequence} in the place of {self._window_end + 1}")
            self._window.append(item)
            self._window_bytes += weigh(item.body)
            self._window_end = item.sequence

    def done(self, items: list[Item]) -> None:
        """These are applied; they are kept on disk until `forget`."""
        for item in items:
            self._window.popleft()
            self._window_bytes -= weigh(item.body)
        self.applied = items[-1].sequence
        while self._puts and self._puts[0][0] <= self.applied:
            self.pending_bytes -= self._puts.popleft()[1]

    def pass_over(self) -> None:
        """What is queued is not to be applied any more."""
        self._at(self.received)

    async def forget(self, upto: int) -> None:
        """What lies up to there is settled: it is needed no more."""
        with suppress(FileSystemError):  # its space is freed another time
            await self._journal.forget(upto)

    def go_back(self, applied: int) -> None:
        """What lies behind ``applied`` is to be applied once more."""
        self._at(applied)
        self._count(self._journal.size if self.pending else 0)


def _identity(stream: str) -> str:
    """Another version's elements may mean something else: its journal is not this one's."""
    return f"{VERSION}/{stream}"
