from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble_labs.report import wording


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00.0"), (59.96, "1:00.0"), (300.4, "5:00.4"), (3600.0, "1:00:00.0"), (7325.25, "2:02:05.2")],
)
def test_instants_read_as_clock_times(seconds: float, text: str) -> None:
    assert wording.clock(seconds) == text


@given(st.floats(1.0, 5e6), st.integers(2, 20))
def test_an_axis_never_has_more_ticks_than_asked_for(end: float, most: int) -> None:
    ticks = wording.ticks(end, most)
    assert ticks[0] == 0.0
    assert len(ticks) <= most + 1
    assert ticks[-1] <= end


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (1023, "1023 B"), (2200, "2.1 KiB"), (5 * 2**20, "5.0 MiB"), (3 * 2**30, "3.0 GiB")],
)
def test_sizes_read_in_binary_units(amount: float, text: str) -> None:
    assert wording.size(amount) == text


def test_a_duration_that_was_not_measured_is_no_zero() -> None:
    assert wording.seconds(None) == "none"
    assert wording.seconds(0.0) == "0.00 s"
