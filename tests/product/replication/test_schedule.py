"""When a connection transmits: the pure course, and its windows and moments over clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.replication.schedule import Course, Facts, _Calendar, check_schedule
from bodydouble.vocabulary.transmission import Moment, TransmissionSchedule, Window

MONDAY = datetime(2002, 12, 2, tzinfo=UTC)
"""At 00:00."""


class Clocks:
    """A loop's clock and a calendar that may be set."""

    def __init__(self, wall: datetime = MONDAY) -> None:
        self.loop = 0.0
        self.wall = wall

    def go(self, **span: float) -> None:
        seconds = timedelta(**span).total_seconds()
        self.loop += seconds
        self.wall += timedelta(seconds=seconds)

    def jump(self, **span: float) -> None:
        self.wall += timedelta(**span)

    def facts(self, **facts: Any) -> Facts:
        return Facts(self.loop, self.wall, **facts)


def course(clocks: Clocks, **schedule: Any) -> Course:
    return Course(TransmissionSchedule(**schedule), "started", clocks.facts())


def sends(made: Course, clocks: Clocks, **facts: Any) -> bool:
    return made.step(clocks.facts(**facts)).transmit


# --- conditions -----------------------------------------------------------------------------------------------------


def test_without_a_schedule_everything_is_sent_always() -> None:
    clocks = Clocks()
    decision = Course(None, "started", clocks.facts()).step(clocks.facts())
    assert (decision.transmit, decision.state, decision.look, decision.next) == (True, "started", None, None)


@pytest.mark.parametrize("facts", [{"queue_bytes": 1000}, {"queue_operations": 10}, {"queue_percent": 50}])
def test_a_queue_that_reaches_its_size_starts_and_an_empty_one_stops(facts: dict[str, int]) -> None:
    clocks = Clocks()
    made = course(clocks, start_bytes=1000, start_percent=50, start_operations=10, stop_empty=True)
    assert not sends(made, clocks, queue_bytes=999, queue_operations=9, queue_percent=49)
    assert made.step(clocks.facts()).state == "scheduled"
    assert sends(made, clocks, **{"queue_operations": 1, **facts})
    assert sends(made, clocks, queue_bytes=1, queue_operations=1)
    assert not sends(made, clocks)
    assert not sends(made, clocks, queue_bytes=1, queue_operations=1)


def test_an_interval_starts_by_the_loops_clock_whatever_the_calendar_does() -> None:
    clocks = Clocks()
    made = course(clocks, start_every=600, stop_after=60)
    for _ in range(3):
        clocks.go(seconds=599)
        clocks.jump(days=-3)
        assert not sends(made, clocks)
        assert made.step(clocks.facts()).look == pytest.approx(1.0)
        clocks.go(seconds=1)
        assert sends(made, clocks)
        clocks.jump(days=300)
        clocks.go(seconds=59)
        assert sends(made, clocks)
        clocks.go(seconds=1)
        assert not sends(made, clocks)
        clocks.loop -= 60.0  # measured from the beginning of the transmission


def test_a_byte_limit_stops_and_the_next_start_counts_anew() -> None:
    clocks = Clocks()
    made = course(clocks, start_operations=5, stop_bytes=1000)
    assert sends(made, clocks, queue_operations=5, sent_bytes=70)
    assert sends(made, clocks, queue_operations=4, sent_bytes=1069)
    assert not sends(made, clocks, queue_operations=4, sent_bytes=1070)
    assert sends(made, clocks, queue_operations=5, sent_bytes=1070)
    assert sends(made, clocks, queue_operations=5, sent_bytes=2069)


def test_a_moment_starts_on_its_days_only() -> None:
    clocks = Clocks()
    made = course(clocks, start_at=[Moment(at="22:00", days=["tue"])], stop_empty=True)
    clocks.go(hours=23)
    assert not sends(made, clocks, queue_operations=1)
    clocks.go(hours=23, minutes=1)
    assert sends(made, clocks, queue_operations=1)
    assert made.step(clocks.facts(queue_operations=1)).next == MONDAY + timedelta(days=8, hours=22)


def test_a_mirror_is_a_condition_to_start_and_no_window_opens_for_it() -> None:
    clocks = Clocks()
    made = course(clocks, start_bytes=1000, windows=[Window(begin="06:00", end="07:00")])
    assert not sends(made, clocks, pressing=True)
    clocks.go(hours=6)
    assert sends(made, clocks, pressing=True)
    assert not sends(made, clocks)


def test_a_stop_without_a_start_is_refused() -> None:
    with pytest.raises(InputError, match="needs one to start"):
        check_schedule(TransmissionSchedule(stop_empty=True))
    check_schedule(TransmissionSchedule(stop_empty=True, start_every=60))


@pytest.mark.parametrize(
    "schedule",
    [
        {"start_at": [{"at": "24:00"}]},
        {"start_at": [{"at": "7:00"}]},
        {"windows": [{"begin": "07:00", "end": "08:00", "days": ["someday"]}]},
        {"windows": [{"begin": "07:00", "end": "08:00", "bandwidth": 10}]},
        {"start_bytes": 0},
        {"start_soon": True},
        {"windows": [{"begin": "07:00", "end": "08:00"}] * 101},
    ],
)
def test_what_is_no_schedule_is_refused(schedule: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(schedule, TransmissionSchedule)


# --- windows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "opened"),
    [
        (Window(begin="18:00", end="06:00"), [0, 5.99, 18, 29.99, 167.99]),
        (Window(begin="18:00", end="06:00", days=["sun"]), [162, 167.99, 0, 5.99]),
        (Window(begin="08:00", end="17:00", days=["mon", "fri"]), [8, 16.99, 104, 112.99]),
        (Window(begin="00:00", end="00:00", days=["wed"]), [48, 71.99]),
        (Window(begin="12:00", end="12:00"), [0, 12, 100]),
    ],
)
def test_windows_open_and_close_in_utc_and_over_midnight(window: Window, opened: list[float]) -> None:
    for hours in opened:
        clocks = Clocks(MONDAY + timedelta(hours=hours))
        assert sends(course(clocks, windows=[window]), clocks), hours


@pytest.mark.parametrize(
    ("window", "shut"),
    [
        (Window(begin="18:00", end="06:00"), [6, 17.99, 30]),
        (Window(begin="18:00", end="06:00", days=["sun"]), [6, 161.99, 20, 24]),
        (Window(begin="08:00", end="17:00", days=["mon", "fri"]), [7.99, 17, 32]),
        (Window(begin="00:00", end="00:00", days=["wed"]), [47.99, 72]),
    ],
)
def test_and_are_shut_at_all_other_times(window: Window, shut: list[float]) -> None:
    for hours in shut:
        clocks = Clocks(MONDAY + timedelta(hours=hours))
        decision = course(clocks, windows=[window]).step(clocks.facts())
        assert (decision.transmit, decision.state) == (False, "scheduled"), hours
        assert decision.next is not None
        assert decision.next > clocks.wall


def test_a_window_starts_nothing_by_itself_and_what_it_interrupts_goes_on_in_the_next() -> None:
    clocks = Clocks(MONDAY + timedelta(hours=17))
    made = course(clocks, start_bytes=1000, stop_after=3600, windows=[Window(begin="18:00", end="18:30")])
    clocks.go(hours=1)
    assert not sends(made, clocks, queue_bytes=10)
    assert sends(made, clocks, queue_bytes=1000)
    clocks.go(minutes=30)
    assert not sends(made, clocks, queue_bytes=1000)
    clocks.go(hours=23, minutes=30)
    assert sends(made, clocks, queue_bytes=10)
    clocks.go(minutes=29)
    assert sends(made, clocks, queue_bytes=10)
    clocks.go(minutes=31)
    assert not sends(made, clocks, queue_bytes=10)


def test_each_window_has_its_own_limit() -> None:
    clocks = Clocks(MONDAY + timedelta(hours=9))
    made = course(
        clocks,
        windows=[Window(begin="08:00", end="18:00", bandwidth=50_000), Window(begin="18:00", end="08:00")],
    )
    assert made.step(clocks.facts()).bandwidth == 50_000
    clocks.go(hours=10)
    assert made.step(clocks.facts()).bandwidth is None


def test_whoever_waits_for_the_calendar_looks_often_enough_to_notice_a_jump() -> None:
    clocks = Clocks()
    made = course(clocks, windows=[Window(begin="18:00", end="06:00")])
    look = made.step(clocks.facts()).look
    assert look is not None
    assert look <= 30.0


# --- orders ---------------------------------------------------------------------------------------------------------


def test_a_stop_lasts_until_a_start_and_a_pause_keeps_the_place() -> None:
    clocks = Clocks()
    made = course(clocks, start_every=60, stop_after=30)
    clocks.go(seconds=60)
    assert sends(made, clocks)
    made.order("pause", clocks.facts())
    clocks.go(seconds=3600)
    assert made.step(clocks.facts()).state == "paused"
    made.order("resume", clocks.facts())
    assert sends(made, clocks)
    made.order("stop", clocks.facts())
    clocks.go(seconds=3600)
    assert made.step(clocks.facts()).state == "stopped"
    made.order("start", clocks.facts())
    assert sends(made, clocks)


def test_a_start_by_hand_needs_no_condition_but_an_open_window() -> None:
    clocks = Clocks(MONDAY + timedelta(hours=12))
    made = course(clocks, start_bytes=10**9, windows=[Window(begin="13:00", end="14:00")])
    made.order("start", clocks.facts())
    assert not sends(made, clocks, queue_bytes=1)
    clocks.go(hours=1)
    assert sends(made, clocks, queue_bytes=1)


@pytest.mark.parametrize(
    ("first", "then"), [("stop", "pause"), ("stop", "resume"), ("start", "resume"), ("pause", "pause")]
)
def test_orders_that_do_not_fit_are_refused(first: Any, then: Any) -> None:
    clocks = Clocks()
    made = Course(None, "started", clocks.facts())
    made.order(first, clocks.facts())
    with pytest.raises(ConnectionStateError):
        made.order(then, clocks.facts())


# --- clocks that jump -----------------------------------------------------------------------------------------------


def starts(clocks: Clocks, calendar: _Calendar, steps: list[tuple[float, float]]) -> list[datetime]:
    """When the calendar says that a moment was reached; each step is (seconds that pass, seconds that it jumps)."""
    found = []
    for passing, jumping in steps:
        clocks.go(seconds=passing)
        clocks.jump(seconds=jumping)
        if calendar.reached(clocks.wall):
            found.append(clocks.wall)
    return found


DAILY = TransmissionSchedule(start_at=[Moment(at="02:00"), Moment(at="14:30")])


@given(st.lists(st.floats(1, 7200), min_size=1, max_size=60))
def test_without_jumps_every_moment_starts_once_and_at_the_first_look(passing: list[float]) -> None:
    clocks = Clocks(MONDAY + timedelta(hours=1))
    began = clocks.wall
    found = starts(clocks, _Calendar(DAILY, clocks.wall), [(each, 0.0) for each in passing])
    moments = [
        MONDAY + timedelta(days=day, hours=hours, minutes=minutes)
        for day in range(6)
        for hours, minutes in ((2, 0), (14, 30))
        if began < MONDAY + timedelta(days=day, hours=hours, minutes=minutes) <= clocks.wall
    ]
    assert len(found) == len(moments)
    assert all(timedelta() <= at - moment <= timedelta(seconds=7200) for at, moment in zip(found, moments, strict=True))


@given(
    st.lists(st.tuples(st.floats(1, 3000), st.sampled_from([0.0, 0.0, 0.0, -3600.0, 3600.0, -86_400.0])), max_size=80)
)
def test_a_clock_set_to_and_fro_repeats_no_moment(steps: list[tuple[float, float]]) -> None:
    clocks = Clocks(MONDAY + timedelta(hours=1))
    calendar = _Calendar(DAILY, clocks.wall)
    seen: list[datetime] = []
    for passing, jumping in steps:
        before = set(calendar._happened)
        clocks.go(seconds=passing)
        clocks.jump(seconds=jumping)
        calendar.reached(clocks.wall)
        seen += [at for at in calendar._happened if at not in before]
    assert len(seen) == len(set(seen))


@given(st.lists(st.tuples(st.floats(1, 3000), st.floats(-7200, 7200)), max_size=80))
def test_every_moment_that_the_clock_passes_is_started_for_however_it_jumps(steps: list[tuple[float, float]]) -> None:
    clocks = Clocks(MONDAY + timedelta(hours=1))
    calendar = _Calendar(DAILY, clocks.wall)
    highest = clocks.wall
    for passing, jumping in steps:
        before = clocks.wall
        clocks.go(seconds=passing)
        clocks.jump(seconds=jumping)
        calendar.reached(clocks.wall)
        highest = max(highest, clocks.wall)
        for day in range(5):
            for hours, minutes in ((2, 0), (14, 30)):
                moment = MONDAY + timedelta(days=day, hours=hours, minutes=minutes)
                if before < moment <= clocks.wall:
                    assert moment in calendar._happened


def test_a_calendar_that_was_years_ahead_loses_nothing_once_it_is_right() -> None:
    clocks = Clocks(MONDAY + timedelta(hours=1))
    calendar = _Calendar(DAILY, clocks.wall)
    clocks.jump(days=2000)
    assert calendar.reached(clocks.wall)
    clocks.jump(days=-2000)
    assert not calendar.reached(clocks.wall)
    clocks.go(hours=1)
    assert calendar.reached(clocks.wall)


def test_a_moment_that_happened_just_before_the_clock_was_set_back_does_not_happen_again() -> None:
    clocks = Clocks(MONDAY + timedelta(hours=1, minutes=59))
    calendar = _Calendar(DAILY, clocks.wall)
    clocks.go(minutes=2)
    assert calendar.reached(clocks.wall)
    clocks.jump(hours=-1)
    assert not calendar.reached(clocks.wall)
    clocks.go(hours=2)
    assert not calendar.reached(clocks.wall)


def test_a_moment_that_was_jumped_over_happens_late() -> None:
    clocks = Clocks(MONDAY + timedelta(hours=1, minutes=59))
    calendar = _Calendar(DAILY, clocks.wall)
    clocks.jump(hours=3)
    assert calendar.reached(clocks.wall)


@given(st.integers(0, 10_079), st.integers(0, 1439), st.integers(0, 1439))
def test_the_next_edge_is_where_the_window_changes(now: int, begin: int, end: int) -> None:
    assume(begin != end)
    window = Window(begin=f"{begin // 60:02}:{begin % 60:02}", end=f"{end // 60:02}:{end % 60:02}")
    clocks = Clocks(MONDAY + timedelta(minutes=now))
    calendar = _Calendar(TransmissionSchedule(windows=[window]), clocks.wall)
    following = calendar.next(clocks.wall)
    assert following is not None
    is_open = calendar.window(clocks.wall) is not None
    just_before, at = following - timedelta(seconds=1), following
    assert (calendar.window(just_before) is not None) == is_open
    assert (calendar.window(at) is not None) != is_open
