"""The system event log: what the system and its services say to an administrator afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Level = Literal["information", "warning", "error"]
KEPT = 10_000


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event: when (ns since 1970 UTC), who logged it, its number, how bad it is and what it says."""

    time_ns: int
    source: str
    number: int
    level: Level
    text: str


class EventLog:
    """The last `KEPT` entries, oldest first. Survives power cycles.

    Args:
        clock: nanoseconds since 1970 UTC.

    Attributes:
        listener: called with each new entry.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.entries: list[LogEntry] = []
        self.listener: Callable[[LogEntry], None] | None = None

    def record(self, source: str, number: int, level: Level, text: str) -> LogEntry:
        """Add an entry."""
        entry = LogEntry(self._clock(), source, number, level, text)
        self.entries.append(entry)
        if self.listener is not None:
            self.listener(entry)
        if len(self.entries) > KEPT:
            del self.entries[: KEPT // 10]
        return entry
