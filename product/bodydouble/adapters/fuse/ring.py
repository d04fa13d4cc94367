"""The ring: shared memory into which the filter program writes records, read here. See ``product/filter/ring.c``."""

from __future__ import annotations

import mmap
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from bodydouble.adapters.fuse.records import PAD, RecordError, decode, measure
from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.vocabulary.operations import AnyOperation

PAGE = 4096
MAGIC = int.from_bytes(b"BDRING01", "little")
_MAGIC, _SIZE, _HEAD, _BEGUN, _ENDED, _DROPPED, _TAIL, _WAITING = 0, 1, 8, 9, 10, 11, 16, 17
"""Where the numbers are in the first page, in steps of eight bytes."""
_TOLD, _GAP = 24, 25
"""The rest of the page is the daemon's: what of `dropped` it has told of, and where the last gap was."""
_MOST_RECORD = (1 << 20) + (1 << 16)
"""More than any record is long."""


class Ring:
    """The reading end. Positions count bytes since the program's start.

    Args:
        memory: descriptor of the shared memory; not closed here.
        size: bytes for records.
        roots: the protected directories, in the program's order.

    Raises:
        FilterError: the memory is no ring of that size.
    """

    def __init__(self, memory: int, size: int, roots: Sequence[str]) -> None:
        try:
            self._map = mmap.mmap(memory, PAGE + size)
        except (OSError, ValueError) as error:
            raise FilterError(f"the filter's ring of {size} bytes cannot be mapped: {error}") from error
        self._view = memoryview(self._map)
        self._numbers = self._view[:PAGE].cast("Q")
        self._records = self._view[PAGE:]
        self._size = size
        self._roots = roots
        self._barrier = threading.Lock()
        if (self._numbers[_MAGIC], self._numbers[_SIZE]) != (MAGIC, size):
            self.close()
            raise FilterError(f"the filter's memory is no ring of {size} bytes")

    @property
    def head(self) -> int:
        """Where the records end."""
        return self._numbers[_HEAD]

    @property
    def tail(self) -> int:
        """How far they were read."""
        return self._numbers[_TAIL]

    @property
    def begun(self) -> int:
        """Changes that the program has begun."""
        return self._numbers[_BEGUN]

    @property
    def ended(self) -> int:
        """Changes of which it has recorded everything."""
        return self._numbers[_ENDED]

    @property
    def dropped(self) -> int:
        """Records that found no room, since the program's start."""
        return self._numbers[_DROPPED]

    @property
    def told(self) -> int:
        """How many of those the daemon, or an earlier one, knows of."""
        return self._numbers[_TOLD]

    def mark_gap(self) -> None:
        """What was dropped is known; what came before cannot be continued from."""
        self._numbers[_GAP] = self.head
        self._numbers[_TOLD] = self.dropped

    def missing(self, position: int) -> str:
        """Why the records from ``position`` on cannot be read; asked afterwards, why they could not be. Else empty."""
        with self._barrier:  # what was read before was read before the program's next steps are looked at
            head, numbers = self.head, self._numbers
        if numbers[_TOLD] != self.dropped or position < numbers[_GAP]:
            return "changes came faster than they could be recorded"
        # The program may be writing a record behind the end, and fill what is left of the ring before it.
        over = head + 2 * _MOST_RECORD - self._size - position
        if position < head and over > 0:
            return f"the filter's ring of {self._size} bytes was written over; {over} bytes more would have been needed"
        return ""

    def take(
        self, most_records: int, most_bytes: int, position: int | None = None
    ) -> tuple[list[tuple[AnyOperation, int]], int]:
        """The next operations, each with the position behind it, and the position behind all that was taken.

        At least one when there is any. From ``position`` on, not from the tail, only up to the tail.

        Raises:
            RecordError: a record is damaged; nothing is taken.
        """
        head, position = (self.head, self.tail) if position is None else (self.tail, position)
        if not position <= head <= position + self._size:
            raise RecordError(f"records from {position} to {head} in a ring of {self._size} bytes")
        until = min(head, position + most_bytes)
        found: list[tuple[AnyOperation, int]] = []
        while position < head and len(found) < most_records and (position < until or not found):
            at = position % self._size
            length, kind = measure(self._records[at : min(self._size, at + head - position)])
            position += length
            if kind != PAD:
                operation = decode(self._records[at : at + length], self._roots)
                assert operation is not None
                found.append((operation, position))
        return found, position

    def release(self, position: int) -> None:
        """Everything before ``position`` may be written over."""
        self._numbers[_TAIL] = position

    def ask_for_bell(self) -> None:
        """The bell is to ring with the next change. Whoever asks looks at `head` once more afterwards."""
        self._numbers[_WAITING] = 1
        with self._barrier:  # an interlocked instruction: the processor may not look before it has asked
            pass

    def close(self) -> None:
        """Let go of the memory."""
        self._records.release()
        self._numbers.release()
        self._view.release()
        with suppress(BufferError):  # a traceback holds a piece of it: then the collector closes it
            self._map.close()
