from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.failover.countdown import RED, RED_AND_GREEN, Countdown, counter_words, indicators

if TYPE_CHECKING:
    from bodydouble.vocabulary.standing_in import Trigger

intervals = st.floats(0.05, 600)
misses = st.integers(1, 50)
steps = st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["a", "b"]), st.booleans()), max_size=30)


def played(interval: float, missed: int, history: list[tuple[float, str, bool]]) -> tuple[Countdown, float, float]:
    countdown = Countdown(interval, missed, ["a", "b"], 100.0)
    now = last = 100.0
    for elapsed, address, answer in history:
        now += elapsed
        if answer:
            countdown.answered(address, now)
            last = now
        else:
            countdown.unanswered(address)
    return countdown, now, last


@given(intervals, misses, steps, st.floats(0, 10_000))
def test_time_to_fail_is_the_timeout_less_the_silence_since_the_last_answer(
    interval: float, missed: int, history: list[tuple[float, str, bool]], later: float
) -> None:
    countdown, now, last = played(interval, missed, history)
    expected = max(0.0, interval * missed - (now + later - last))
    assert countdown.time_to_fail(now + later) == pytest.approx(expected, abs=1e-5)
    assert countdown.expired(now + later) == (countdown.time_to_fail(now + later) == 0)


@given(intervals, misses, steps, st.floats(0, 100), st.floats(0, 100))
def test_time_to_fail_never_rises_without_an_answer(
    interval: float, missed: int, history: list[tuple[float, str, bool]], first: float, second: float
) -> None:
    countdown, now, _ = played(interval, missed, history)
    assert countdown.time_to_fail(now + first + second) <= countdown.time_to_fail(now + first)


@given(intervals, misses, st.floats(0, 1.5))
def test_the_bullet_is_green_then_yellow_from_a_quarter_on_then_red_at_zero(
    interval: float, missed: int, fraction: float
) -> None:
    countdown = Countdown(interval, missed, ["a"], 0.0)
    bullet = countdown.bullet(countdown.timeout * fraction)
    if fraction < 0.2499:
        assert bullet == "green"
    elif 0.2501 < fraction < 0.999:
        assert bullet == "yellow"
    elif fraction > 1:
        assert bullet == "red"


def test_the_bullet_turns_yellow_exactly_at_a_quarter_and_red_exactly_at_the_timeout() -> None:
    countdown = Countdown(5, 5, ["a"], 0.0)
    assert [countdown.bullet(at) for at in (6.24, 6.25, 24.99, 25.0)] == ["green", "yellow", "yellow", "red"]


def test_an_answer_turns_a_yellow_bullet_green() -> None:
    countdown = Countdown(5, 5, ["a"], 0.0)
    assert countdown.bullet(10.0) == "yellow"
    countdown.answered("a", 10.0)
    assert countdown.bullet(10.0) == "green"


def test_one_answering_address_is_enough() -> None:
    countdown = Countdown(5, 5, ["a", "b"], 0.0)
    countdown.answered("b", 20.0)
    countdown.unanswered("a")
    assert not countdown.expired(25.0)
    assert countdown.answering() == ["b"]


def test_less_than_a_microsecond_is_nothing_so_that_no_timer_spins() -> None:
    countdown = Countdown(0.1, 3, ["a"], 0.1)
    assert countdown.expired(0.1 + 0.3 - 5e-7)


@given(st.lists(st.booleans(), min_size=1))
def test_loss_and_return_are_reported_once_each_and_in_turn(answers: list[bool]) -> None:
    countdown = Countdown(5, 5, ["a"], 0.0)
    told = []
    for at, answer in enumerate(answers):
        if answer and countdown.answered("a", at):
            told.append("returned")
        if not answer and countdown.unanswered("a"):
            told.append("lost")
    assert told == (["lost", "returned"] * len(answers))[: len(told)]


def test_a_process_that_stood_still_is_told_from_a_silent_source() -> None:
    countdown = Countdown(5, 5, ["a"], 0.0)
    assert not countdown.stalled(25.01)
    assert countdown.stalled(31.0)
    countdown.restart(31.0)
    assert countdown.time_to_fail(31.0) == 25.0


def test_indicators_while_the_source_is_online_follow_the_note() -> None:
    shown = indicators("monitoring", "WEB1", Countdown(5, 5, ["a"], 0.0), 3.0)
    assert (shown.time_to_fail, shown.counter, shown.bullet) == (22.0, "22", "green")
    assert shown.status_line == "Monitoring WEB1"
    assert shown.tray == RED_AND_GREEN


def test_indicators_while_failover_is_initiated_follow_the_note() -> None:
    shown = indicators("failing-over", "WEB1", None, 3.0, assuming="10.0.0.10/24")
    assert (shown.time_to_fail, shown.counter, shown.bullet) == (0.0, "0", "red")
    assert shown.status_line == "Assuming 10.0.0.10/24 of WEB1"
    assert shown.tray == RED_AND_GREEN


def test_indicators_once_failover_is_complete_follow_the_note() -> None:
    shown = indicators("failed-over", "WEB1", None, 3.0)
    assert (shown.time_to_fail, shown.counter, shown.bullet) == (None, "Failed Over", "red")
    assert "Monitoring has continued" in shown.status_line
    assert shown.tray == RED


def test_every_state_has_words_for_the_counter() -> None:
    assert counter_words("stopped", None) == "Stopped"
    assert counter_words("failing-back", None) == "Failing Back"
    assert counter_words("failed-back", None) == "Failed Back"
    assert counter_words("monitoring", None) == "-"


@given(intervals, misses, steps, st.floats(0, 1000))
def test_with_any_as_the_trigger_time_to_fail_counts_from_the_longest_silence(
    interval: float, missed: int, history: list[tuple[float, str, bool]], later: float
) -> None:
    countdown = Countdown(interval, missed, ["a", "b"], 100.0, "any")
    now, last = 100.0, {"a": 100.0, "b": 100.0}
    for elapsed, address, answer in history:
        now += elapsed
        if answer:
            countdown.answered(address, now)
            last[address] = now
        else:
            countdown.unanswered(address)
    left = max(0.0, interval * missed - (now + later - min(last.values())))
    assert countdown.time_to_fail(now + later) == pytest.approx(left, abs=1e-5)


@pytest.mark.parametrize(("trigger", "alive"), [("all", True), ("any", False)])
def test_one_silent_address_of_two_is_a_failure_only_for_any(trigger: Trigger, alive: bool) -> None:
    countdown = Countdown(5, 5, ["a", "b"], 0.0, trigger)
    countdown.answered("a", 1.0)
    countdown.unanswered("b")
    assert countdown.alive() == alive
