"""Transmission: when, how fast and how packed what is queued goes to a target.

Source: Double-Take's guides, "Transmission": started at once, at a time, at an interval or at a queue size; stopped at
a limit; a window overrides all and starts nothing by itself; bandwidth limit; compression off by default. Times of day
are UTC: `bodydouble.ports.WallClock` knows no other, and no day in UTC has an hour twice or lacks one.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Seconds = Annotated[float, msgspec.Meta(ge=1)]
Amount = Annotated[int, msgspec.Meta(ge=1)]
Rate = Annotated[int, msgspec.Meta(ge=1024)]
"""Bytes a second."""
Level = Annotated[int, msgspec.Meta(ge=0, le=9)]
"""Of zstd; 0: nothing is compressed. Higher levels than 9 would hold up whoever writes to the protected files."""

MAX_TIMES = 100

TransmissionMode = Literal["started", "stopped", "paused"]
"""What an operator ordered last; *started* leaves the rest to the schedule."""

TransmissionState = Literal["started", "stopped", "paused", "scheduled", "error"]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Moment(_Strict, frozen=True):
    """A time of day, on some weekdays; with none named, on every day."""

    at: TimeOfDay
    days: list[Weekday] = []


class Window(_Strict, frozen=True):
    """A time in which transmission is allowed.

    Attributes:
        begin: when it opens.
        end: when it closes; not after ``begin`` means on the following day, so that 00:00 to 00:00 is a whole day.
        days: on which it opens; with none named, on every day.
        bandwidth: limit while it is open, instead of the connection's; None: the connection's.
    """

    begin: TimeOfDay
    end: TimeOfDay
    days: list[Weekday] = []
    bandwidth: Rate | None = None


class TransmissionSchedule(_Strict, frozen=True):
    """When transmission starts and stops by itself.

    Without a condition to start, it is on whenever a window is open, or always. A mirror or a verification that runs
    counts as a condition to start, because what it asks the target travels in the same queue.

    Attributes:
        start_bytes: start when so much is queued.
        start_percent: start when the queue fills so much of its memory (``queue_bytes`` under ``[replication]``).
        start_operations: start when so many operations are queued.
        start_every: start every so many seconds.
        start_at: start at times of day.
        stop_empty: stop when nothing is queued any more.
        stop_after: stop after so many seconds of transmission.
        stop_bytes: stop when so much was sent.
        windows: when transmission is allowed at all; they start nothing. What one interrupts goes on in the next.
    """

    start_bytes: Amount | None = None
    start_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    start_operations: Amount | None = None
    start_every: Seconds | None = None
    start_at: Annotated[list[Moment], msgspec.Meta(max_length=MAX_TIMES)] = []
    stop_empty: bool = False
    stop_after: Seconds | None = None
    stop_bytes: Amount | None = None
    windows: Annotated[list[Window], msgspec.Meta(max_length=MAX_TIMES)] = []


class TransmissionOptions(_Strict, frozen=True):
    """How a connection transmits.

    Attributes:
        bandwidth: bytes a second at most, of everything this side sends; None: no limit.
        compression: zstd's level, shared by all connections to one route.
        schedule: when; None: always.
    """

    bandwidth: Rate | None = None
    compression: Level = 0
    schedule: TransmissionSchedule | None = None


class RouteChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reach a connection's target by another of its addresses."""

    route: str
