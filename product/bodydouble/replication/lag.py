"""LagMarks: how old the oldest operation is that the target does not have safe yet. Pure.

One time for each operation would double the memory of small ones, so times are marked at most once in an interval, and
the operations behind a mark count as made then. When there are many marks the interval doubles, so that a queue of days
costs no more than one of minutes, and its age is told in proportion.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

INTERVAL = 0.01
MAX_MARKS = 4096


class LagMarks:
    """Times of operations that are not acknowledged.

    Args:
        interval: seconds between two marks, while there are few.
        limit: how many marks are kept.
    """

    def __init__(self, interval: float = INTERVAL, limit: int = MAX_MARKS) -> None:
        self.due = 0.0
        """When the next mark is to be set; until then `note` need not be called."""
        self._marks: deque[tuple[int, float]] = deque()
        self._first = interval
        self._interval = interval
        self._limit = limit

    def note(self, sequence: int, now: float) -> None:
        """The operation ``sequence`` was made ``now``."""
        if now < self.due:
            return
        if len(self._marks) >= self._limit:
            self._marks = deque(islice(self._marks, 0, None, 2))
            self._interval *= 2
        self._marks.append((sequence, now))
        self.due = now + self._interval

    def age(self, acknowledged: int, generated: int, now: float) -> float:
        """Seconds since the oldest operation that is not acknowledged was made; never less than that."""
        if acknowledged >= generated:
            self._marks.clear()
            self._interval, self.due = self._first, 0.0
            return 0.0
        while len(self._marks) > 1 and self._marks[1][0] <= acknowledged + 1:
            self._marks.popleft()
        return max(0.0, now - self._marks[0][1]) if self._marks else 0.0
