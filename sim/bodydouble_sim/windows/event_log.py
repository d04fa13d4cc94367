"""The event logs: what the system and its services say to an administrator afterwards.

Source: Microsoft, "EventLog Service Entries" and "Retention" (Windows 2000 registry reference): three logs of 512 KiB,
events kept for 7 days before they may be overwritten; a log that is full of younger ones takes no more events.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import InputError
from bodydouble_sim.windows.registry import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.registry import Registry

Level = Literal["information", "warning", "error", "success audit", "failure audit"]
LogName = Literal["System", "Application", "Security"]
LOGS: tuple[LogName, ...] = ("System", "Application", "Security")

KEY = rf"{SERVICES}\Eventlog"
DEFAULT_SIZE = 512 * 1024
LEAST_SIZE = 64 * 1024
WEEK = 604_800
NEVER = 0xFFFFFFFF
_SECOND = 1_000_000_000
_HEADER = 56
_LOG_CLEARED = 517


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event: when (ns since 1970 UTC), who logged it, its number, how bad it is and what it says."""

    time_ns: int
    source: str
    number: int
    level: Level
    text: str
    log: LogName = "System"
    record: int = 0

    @property
    def size(self) -> int:
        """Bytes that it takes in its log: the record's header and its strings in UTF-16."""
        return _HEADER + 2 * (len(self.source) + len(self.text) + 2)


class _Log:
    """One log: its entries, oldest first, and their size."""

    def __init__(self) -> None:
        self.entries: deque[LogEntry] = deque()
        self.used = 0
        self.full = False

    def drop_oldest(self) -> None:
        self.used -= self.entries.popleft().size


class EventLog:
    """The System, Application and Security logs. They survive power cycles.

    Args:
        clock: nanoseconds since 1970 UTC.
        registry: has the logs' sizes and retention; the defaults hold without one.

    Attributes:
        listener: called with each new entry.
        lost: how many events found their log full.
    """

    def __init__(self, clock: Callable[[], int], registry: Registry | None = None) -> None:
        self._clock = clock
        self._registry = registry
        self._logs = {name: _Log() for name in LOGS}
        self._records = 0
        self.lost = 0
        self.listener: Callable[[LogEntry], None] | None = None

    @property
    def entries(self) -> list[LogEntry]:
        """The events of all logs in the order in which they were logged."""
        return list(merge(*(log.entries for log in self._logs.values()), key=lambda entry: entry.record))

    def of(self, log: LogName) -> list[LogEntry]:
        """The events of one log, oldest first."""
        return list(self._logs[log].entries)

    def record(self, source: str, number: int, level: Level, text: str, *, log: LogName = "System") -> LogEntry:
        """Log an event; it is lost when the log is full of events that must not be overwritten yet."""
        self._records += 1
        entry = LogEntry(self._clock(), source, number, level, text, log, self._records)
        place = self._logs[log]
        place.full = not self._make_room(place, entry)
        if place.full:
            self.lost += 1
            return entry
        place.entries.append(entry)
        place.used += entry.size
        if self.listener is not None:
            self.listener(entry)
        return entry

    def _make_room(self, place: _Log, entry: LogEntry) -> bool:
        size = self.limit(entry.log)
        if place.used + entry.size <= size:
            return True
        keep = self.retention(entry.log)
        if keep == NEVER:
            return False
        oldest_kept = entry.time_ns - keep * _SECOND
        while place.used + entry.size > size:
            if not place.entries or (keep and place.entries[0].time_ns > oldest_kept):
                return False
            place.drop_oldest()
        return True

    def full(self, log: LogName) -> bool:
        """Whether the log refused the latest event; the system shows "The ... log is full" then."""
        return self._logs[log].full

    def limit(self, log: LogName) -> int:
        """The greatest size of a log in bytes."""
        return (
            DEFAULT_SIZE if self._registry is None else self._registry.number(rf"{KEY}\{log}", "MaxSize", DEFAULT_SIZE)
        )

    def retention(self, log: LogName) -> int:
        """Seconds for which an event is kept: 0 overwrites as needed, `NEVER` never overwrites."""
        return WEEK if self._registry is None else self._registry.number(rf"{KEY}\{log}", "Retention", WEEK)

    def configure(self, log: LogName, *, size: int | None = None, retention: int | None = None) -> None:
        """Change a log's greatest size or its retention.

        Raises:
            InputError: a size that is no multiple of 64 KiB, or the log has no registry.
        """
        if self._registry is None or (size is not None and (size < LEAST_SIZE or size % LEAST_SIZE)):
            raise InputError(f"{log}: the size of a log is a multiple of {LEAST_SIZE} bytes")
        if size is not None:
            self._registry.set(rf"{KEY}\{log}", "MaxSize", size)
        if retention is not None:
            self._registry.set(rf"{KEY}\{log}", "Retention", retention)

    def clear(self, log: LogName, by: str = "SYSTEM") -> None:
        """Empty a log; that the Security log was cleared is its first event then (517)."""
        place = self._logs[log]
        place.entries.clear()
        place.used, place.full = 0, False
        if log == "Security":
            self.record("Security", _LOG_CLEARED, "success audit", f"The audit log was cleared by {by}.", log=log)

    def register_source(self, log: LogName, source: str) -> None:
        """Enter a source of events in the registry, as set-up of a program does."""
        if self._registry is not None:
            self._registry.create(rf"{KEY}\{log}\{source}")
