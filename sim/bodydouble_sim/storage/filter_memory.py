"""What the filter driver of a simulated machine keeps in the kernel's memory: its latest records, and notes about them.

It outlives whoever attaches to the filter, and is gone with the power, or when the system is taken down.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import payload_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bodydouble.vocabulary.operations import AnyOperation

CAPACITY = 8 << 20
_RECORD = 128
_NOTES_WORDS = 1 << 15


class FilterMemory:
    """The records, oldest first, and the notes.

    Args:
        capacity: bytes of records; the oldest make room.

    Attributes:
        position: end of the last record.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.position = _RECORD
        self._records: deque[tuple[AnyOperation, int]] = deque()
        self._begin = self.position
        self._notes: dict[str, memoryview] = {}

    def append(self, operation: AnyOperation) -> None:
        """Keep one more."""
        self.position += (_RECORD + payload_size(operation) + 7) // 8 * 8
        self._records.append((operation, self.position))
        while self._records and self.position - self._begin > self.capacity:
            self._begin = self._records.popleft()[1]

    def missing(self, position: int) -> int:
        """How many bytes of records after ``position`` are kept no more."""
        return max(0, self._begin - position)

    def after(self, position: int) -> Iterator[tuple[AnyOperation, int]]:
        """What is kept of the records after ``position``, each with its end."""
        return (each for each in tuple(self._records) if each[1] > position)

    def notes(self, name: str) -> memoryview:
        """Numbers of 64 bits."""
        if name not in self._notes:
            self._notes[name] = memoryview(bytearray(8 * _NOTES_WORDS)).cast("Q")
        return self._notes[name]

    def keep_notes(self, names: Collection[str]) -> None:
        """Free those of all other names."""
        for name in [name for name in self._notes if name not in names]:
            del self._notes[name]
