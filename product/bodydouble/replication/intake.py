"""Intake: what a session receives, put together, checked, and kept until it is written down."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from bodydouble.errors import ProtocolError
from bodydouble.replication.packing import Unpacker
from bodydouble.replication.protocol import FRAGMENT_BYTES, MAX_OPERATION_BYTES, Batch, Fragment, Item, Task
from bodydouble.replication.queue import SequenceCheck, weigh
from bodydouble.vocabulary.operations import Write

if TYPE_CHECKING:
    from bodydouble.replication.replica import Replica

MAX_COMMIT_BYTES = 4 * 1024 * 1024
MAX_COMMIT_ITEMS = 4096
_MUCH, _GATHER_BYTES, _GATHER_SECONDS = 256 * 1024, 1024 * 1024, 0.004
"""Behind so many bytes the next ones wait for company: each commit is a flush, and costs as much as many bytes."""
MAX_FRAGMENTS = 2 * MAX_OPERATION_BYTES // FRAGMENT_BYTES


class Intake:
    """Elements in order, from the session's receiving task to its committing one.

    Args:
        replica: says what a source may send.
        position: the last number that was received before.
        limit: bytes that may wait to be written down.
    """

    def __init__(self, replica: Replica, position: int, limit: int) -> None:
        self.pending_bytes = 0
        self._replica = replica
        self._check = SequenceCheck(position)
        self._limit = limit
        self._unpacker = Unpacker()
        self._fragments: list[bytes] = []
        self._fragment_bytes = 0
        self._pending: deque[Item] = deque()
        self._much = False
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    async def take(self, message: Batch | Fragment) -> None:
        """Take a message in, and read no further while much is waiting: TCP then holds the source back.

        Raises:
            ProtocolError: no source may send that.
        """
        if isinstance(message, Fragment):
            self._collect(self._unpacker.data(message))
            return
        for item in self._unpacker.items(message):
            self._check.accept(item.sequence)
            self._accept(self._assembled(item))
        while self.pending_bytes > self._limit:
            self._taken.clear()
            await self._taken.wait()

    def _collect(self, data: bytes) -> None:
        self._fragment_bytes += len(data)
        if self._fragment_bytes > MAX_OPERATION_BYTES or len(self._fragments) == MAX_FRAGMENTS:
            raise ProtocolError(f"a write of more than {MAX_OPERATION_BYTES} bytes or {MAX_FRAGMENTS} parts")
        self._fragments.append(data)

    def _assembled(self, item: Item) -> Item:
        if not self._fragments:
            return item
        body = item.body
        if not isinstance(body, Write):
            raise ProtocolError("fragments before something else than a write")
        data = b"".join([*self._fragments, body.data])
        self._fragments, self._fragment_bytes = [], 0
        return Item(item.sequence, Write(body.path, body.offset, data, body.mtime_ns))

    def _accept(self, item: Item) -> None:
        self._replica.check(item)
        self._pending.append(item)
        self.pending_bytes += weigh(item.body)
        self._arrived.set()

    async def next(self) -> list[Item]:
        """What is to be made durable together: everything that has arrived, within bounds. Waits for the first.

        A task that runs when it is received is the first of what it comes with.
        """
        while not self._pending:
            self._arrived.clear()
            await self._arrived.wait()
        if self._much and self.pending_bytes < _GATHER_BYTES:
            await asyncio.sleep(_GATHER_SECONDS)
        batch: list[Item] = []
        size = 0
        while self._pending and len(batch) < MAX_COMMIT_ITEMS and size < MAX_COMMIT_BYTES:
            if batch and _runs_now(self._pending[0]):
                break
            item = self._pending.popleft()
            size += weigh(item.body)
            batch.append(item)
        self.pending_bytes -= size
        self._much = size >= _MUCH
        self._taken.set()
        return batch


def _runs_now(item: Item) -> bool:
    return isinstance(item.body, Task) and item.body.on == "receive"
