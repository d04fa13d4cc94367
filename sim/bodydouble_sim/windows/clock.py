"""A machine's clock: it runs evenly and an administrator may set it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS = 1000


class SystemClock:
    """Nanoseconds since 1970 UTC when called. A setting survives power cycles, as the battery-backed clock does.

    Args:
        source: the same, from a clock that nobody sets.

    Attributes:
        steady: that clock; what counts durations (the registry's lazy flush) follows it.
        offset: how far the clock has been set forward, in nanoseconds.
    """

    def __init__(self, source: Callable[[], int]) -> None:
        self.steady = source
        self.offset = 0

    def __call__(self) -> int:
        """The clock's time."""
        return self.steady() + self.offset

    def now(self) -> datetime:
        """The clock's time, aware, UTC, in microseconds."""
        return instant(self())

    def set(self, moment: datetime) -> None:
        """Set the clock to an aware time."""
        self.offset = (moment - _EPOCH) // _MICROSECOND * _NANOSECONDS - self.steady()


def instant(nanoseconds: int) -> datetime:
    """Nanoseconds since 1970 UTC as an aware time."""
    return _EPOCH + timedelta(microseconds=nanoseconds // _NANOSECONDS)
