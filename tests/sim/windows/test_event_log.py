"""The event logs: size, retention, sources."""

from __future__ import annotations

import pytest

from bodydouble.errors import InputError
from bodydouble_sim.windows.event_log import DEFAULT_SIZE, LEAST_SIZE, NEVER, WEEK, EventLog
from bodydouble_sim.windows.registry import SERVICES, Registry

SECOND = 1_000_000_000


class Clock:
    """Turned by tests."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> EventLog:
    return EventLog(clock, Registry())


def fill(log: EventLog, count: int = 200) -> None:
    for number in range(count):
        log.record("Test", number, "information", "x" * 1000)


@pytest.mark.behaviour('Microsoft, "EventLog Service Entries": System, Application and Security')
def test_three_logs_keep_their_events_apart(log: EventLog) -> None:
    log.record("A", 1, "error", "one")
    log.record("B", 2, "information", "two", log="Application")
    log.record("C", 3, "failure audit", "three", log="Security")
    assert [[e.number for e in log.of(name)] for name in ("System", "Application", "Security")] == [[1], [2], [3]]
    assert [entry.number for entry in log.entries] == [1, 2, 3]


@pytest.mark.behaviour('Microsoft, "EventLog Service Entries": MaxSize 512 KB, Retention 7 days')
def test_the_defaults_are_512_kilobytes_and_a_week(log: EventLog) -> None:
    assert (log.limit("System"), log.retention("System")) == (DEFAULT_SIZE, WEEK)


@pytest.mark.behaviour('Microsoft, "Log File Registry Entries": events are discarded while none is old enough')
def test_a_log_that_is_full_of_young_events_takes_no_more(log: EventLog, clock: Clock) -> None:
    log.configure("System", size=LEAST_SIZE)
    fill(log)
    kept = len(log.of("System"))
    assert log.full("System")
    assert log.lost == 200 - kept > 0
    assert log.of("System")[0].number == 0
    clock.now = WEEK * SECOND
    log.record("Test", 999, "information", "x")
    assert not log.full("System")
    assert log.of("System")[-1].number == 999


@pytest.mark.behaviour('Microsoft, "Retention": 0 overwrites as needed')
def test_a_log_that_overwrites_as_needed_keeps_the_latest(log: EventLog) -> None:
    log.configure("System", size=LEAST_SIZE, retention=0)
    fill(log)
    assert log.lost == 0
    assert log.of("System")[-1].number == 199
    assert sum(entry.size for entry in log.of("System")) <= LEAST_SIZE


@pytest.mark.behaviour('Microsoft, "Retention": 0xFFFFFFFF never overwrites')
def test_a_log_that_never_overwrites_has_to_be_cleared(log: EventLog, clock: Clock) -> None:
    log.configure("System", size=LEAST_SIZE, retention=NEVER)
    fill(log)
    clock.now = 100 * WEEK * SECOND
    log.record("Test", 999, "information", "x" * 1000)
    assert log.full("System")
    log.clear("System")
    log.record("Test", 1000, "information", "x")
    assert [entry.number for entry in log.of("System")] == [1000]


@pytest.mark.behaviour("Microsoft, event 517: the audit log was cleared")
def test_clearing_the_security_log_is_its_first_event(log: EventLog) -> None:
    log.record("Security", 528, "success audit", "logon", log="Security")
    log.clear("Security", "Administrator")
    assert [(e.number, e.text) for e in log.of("Security")] == [(517, "The audit log was cleared by Administrator.")]


@pytest.mark.behaviour('Microsoft, "Log File Registry Entries": 64 KB steps')
def test_a_log_grows_in_steps_of_64_kilobytes(log: EventLog) -> None:
    for size in (LEAST_SIZE - 1, LEAST_SIZE + 1, 0):
        with pytest.raises(InputError, match="multiple"):
            log.configure("System", size=size)


def test_a_source_is_entered_in_the_registry() -> None:
    registry = Registry()
    EventLog(Clock(), registry).register_source("Application", "DoubleTake")
    assert registry.subkeys(rf"{SERVICES}\Eventlog\Application") == ["DoubleTake"]


def test_a_log_without_a_registry_has_the_defaults_and_cannot_be_configured() -> None:
    log = EventLog(Clock())
    assert log.limit("Security") == DEFAULT_SIZE
    with pytest.raises(InputError):
        log.configure("System", retention=0)
