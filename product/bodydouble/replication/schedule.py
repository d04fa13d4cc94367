"""When a connection transmits: schedule, windows and an operator's orders, stepped by `Course`. Pure.

Durations are measured by the event loop's clock and times of day by the calendar, which an operator or a time service
may set at any moment. A window asks only what the calendar shows now. A moment to start at is an event: it happens when
the calendar first shows it or has jumped over it, several jumped over at once count as one start, and one that happened
does not happen again when the calendar is set back to before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import ConnectionStateError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bodydouble.vocabulary.transmission import (
        TransmissionMode,
        TransmissionSchedule,
        TransmissionState,
        Window,
    )

Order = Literal["start", "stop", "pause", "resume"]

LOOK_SECONDS = 30.0
"""The calendar may jump and tells nobody: who waits for it looks at least so often."""
DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK = timedelta(days=7)
_REMEMBERED = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a step goes by.

    Attributes:
        loop: seconds on the event loop's clock.
        wall: the calendar, UTC.
        queue_bytes: queued and not acknowledged.
        queue_operations: the same, counted.
        queue_percent: the same bytes, of the queue's memory.
        sent_bytes: sent by the connection since it began.
        pressing: a mirror or a verification runs.
    """

    loop: float
    wall: datetime
    queue_bytes: int = 0
    queue_operations: int = 0
    queue_percent: float = 0.0
    sent_bytes: int = 0
    pressing: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows.

    Attributes:
        transmit: whether to send what is queued.
        state: what an operator sees.
        bandwidth: the open window's own limit, None when it has none.
        look: seconds after which to look again at the latest, None when only a change of the queue matters.
        next: the moment on the calendar that matters next.
    """

    transmit: bool
    state: TransmissionState
    bandwidth: int | None = None
    look: float | None = None
    next: datetime | None = None


def check_schedule(schedule: TransmissionSchedule) -> None:
    """Refuse a schedule that contradicts itself.

    Raises:
        InputError: it stops and never starts again.
    """
    stops = schedule.stop_empty or schedule.stop_after is not None or schedule.stop_bytes is not None
    if stops and not has_start(schedule):
        raise InputError(
            "schedule: a condition to stop needs one to start, or nothing would be sent after the first stop"
        )


def has_start(schedule: TransmissionSchedule) -> bool:
    """Whether transmission waits for a condition to start."""
    conditions = (schedule.start_bytes, schedule.start_percent, schedule.start_operations, schedule.start_every)
    return bool(schedule.start_at) or any(each is not None for each in conditions)


class Course:
    """The course of one connection's transmission.

    Args:
        schedule: None: always.
        mode: what an operator ordered last.
        facts: of this moment.
    """

    def __init__(self, schedule: TransmissionSchedule | None, mode: TransmissionMode, facts: Facts) -> None:
        self.mode: TransmissionMode = mode
        self.schedule = schedule
        self._running = False
        self._active_seconds = 0.0
        self._begun_sent = 0
        self._transmitted_at: float | None = None
        self._calendar = _Calendar(schedule, facts.wall)
        self._due = facts.loop + (schedule.start_every or 0.0) if schedule is not None else 0.0

    def order(self, order: Order, facts: Facts) -> None:
        """An operator's order: ``stop`` lasts until ``start``, whatever the schedule says; ``pause`` holds everything.

        Raises:
            ConnectionStateError: it does not fit what was ordered before.
        """
        if order == "start":
            self.mode = "started"
            self._begin(facts)
        elif order == "stop":
            self.mode, self._running = "stopped", False
        elif order == "pause" and self.mode == "started":
            self.mode = "paused"
        elif order == "resume" and self.mode == "paused":
            self.mode = "started"
        else:
            raise ConnectionStateError(f"transmission is {self.mode}: {order} is not possible")

    def step(self, facts: Facts) -> Decision:
        """What to do from now on."""
        self._count(facts)
        reached = self._calendar.reached(facts.wall)
        self._start_or_stop(facts, reached)
        window = self._calendar.window(facts.wall)
        wanted = self.mode == "started" and (self._running or facts.pressing or not self._waits)
        transmit = wanted and window is not None
        self._transmitted_at = facts.loop if transmit else None
        state: TransmissionState = "scheduled" if self.mode == "started" and not transmit else self.mode
        following = self._calendar.next(facts.wall)
        limit = window.bandwidth if window is not None and window is not _ALWAYS else None
        return Decision(transmit, state, limit, self._look(facts, following), following)

    @property
    def _waits(self) -> bool:
        return self.schedule is not None and has_start(self.schedule)

    def _count(self, facts: Facts) -> None:
        if self._transmitted_at is not None:
            self._active_seconds += max(0.0, facts.loop - self._transmitted_at)

    def _start_or_stop(self, facts: Facts, reached: bool) -> None:
        schedule = self.schedule
        if schedule is None or self.mode == "stopped":
            return
        if self._running and self._is_over(schedule, facts):
            self._running = False
        if not self._running and self._is_due(schedule, facts, reached):
            self._begin(facts)

    @staticmethod
    def _is_empty(facts: Facts) -> bool:
        return not facts.queue_operations

    def _is_over(self, schedule: TransmissionSchedule, facts: Facts) -> bool:
        if schedule.stop_empty and self._is_empty(facts):
            return True
        if schedule.stop_after is not None and self._active_seconds >= schedule.stop_after:
            return True
        return schedule.stop_bytes is not None and facts.sent_bytes - self._begun_sent >= schedule.stop_bytes

    def _is_due(self, schedule: TransmissionSchedule, facts: Facts, reached: bool) -> bool:
        if schedule.start_bytes is not None and facts.queue_bytes >= schedule.start_bytes:
            return True
        if schedule.start_percent is not None and facts.queue_percent >= schedule.start_percent:
            return True
        if schedule.start_operations is not None and facts.queue_operations >= schedule.start_operations:
            return True
        return reached or (schedule.start_every is not None and facts.loop >= self._due)

    def _begin(self, facts: Facts) -> None:
        self._running = True
        self._active_seconds, self._begun_sent = 0.0, facts.sent_bytes
        if self.schedule is not None and self.schedule.start_every is not None:
            self._due = facts.loop + self.schedule.start_every

    def _look(self, facts: Facts, following: datetime | None) -> float | None:
        schedule, waits = self.schedule, []
        if schedule is None:
            return None
        if schedule.start_every is not None and not self._running:
            waits.append(max(0.0, self._due - facts.loop))
        if schedule.stop_after is not None and self._running and self._transmitted_at is not None:
            waits.append(max(0.0, schedule.stop_after - self._active_seconds))
        if following is not None:
            waits += [LOOK_SECONDS, (following - facts.wall).total_seconds()]
        return min(waits) if waits else None


@dataclass(frozen=True, slots=True)
class _Always:
    bandwidth: None = None


_ALWAYS = _Always()


class _Calendar:
    """What times of day have to do with a schedule."""

    def __init__(self, schedule: TransmissionSchedule | None, wall: datetime) -> None:
        self._windows = [] if schedule is None else [(each, list(_spans(each))) for each in schedule.windows]
        self._moments = [] if schedule is None else [m for at in schedule.start_at for m in _minutes(at.at, at.days)]
        self._seen = wall
        self._happened: dict[datetime, None] = {}

    def window(self, wall: datetime) -> Window | _Always | None:
        """The first window that is open; one without any limit when there are none at all."""
        if not self._windows:
            return _ALWAYS
        minute = _minute_of(wall)
        return next((window for window, spans in self._windows if any(_within(minute, span) for span in spans)), None)

    def reached(self, wall: datetime) -> bool:
        """Whether a moment to start at happened since the last look."""
        before, self._seen = self._seen, wall
        passed = [at for at in (_latest(wall, minute) for minute in self._moments) if before < at <= wall]
        fresh = [at for at in passed if at not in self._happened]
        self._happened.update(dict.fromkeys(passed))
        if fresh:
            near = {at: None for at in self._happened if abs(at - wall) <= _REMEMBERED}
            self._happened = near
        return bool(fresh)

    def next(self, wall: datetime) -> datetime | None:
        """The next moment at which something begins or ends."""
        edges = {edge for _, spans in self._windows for span in spans for edge in span}
        coming = [_latest(wall, minute % WEEK_MINUTES) + _WEEK for minute in sorted({*edges, *self._moments})]
        return min(coming, default=None)


def _spans(window: Window) -> Iterator[tuple[int, int]]:
    """Begin and end in minutes of the week; the end may lie in the following week."""
    length = (_minute(window.end) - _minute(window.begin)) % DAY_MINUTES or DAY_MINUTES
    for begin in _minutes(window.begin, window.days):
        yield begin, begin + length


def _minutes(at: str, days: Sequence[str]) -> list[int]:
    return [number * DAY_MINUTES + _minute(at) for number, day in enumerate(_DAYS) if not days or day in days]


def _minute(at: str) -> int:
    hours, _, minutes = at.partition(":")
    return int(hours) * 60 + int(minutes)


def _minute_of(wall: datetime) -> float:
    return wall.weekday() * DAY_MINUTES + wall.hour * 60 + wall.minute + wall.second / 60


def _within(minute: float, span: tuple[int, int]) -> bool:
    begin, end = span
    return begin <= minute < end or begin <= minute + WEEK_MINUTES < end


def _latest(wall: datetime, minute: int) -> datetime:
    """The latest time, not after ``wall``, at which the week was so many minutes old."""
    monday = wall.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=wall.weekday())
    at = monday + timedelta(minutes=minute)
    return at if at <= wall else at - _WEEK
