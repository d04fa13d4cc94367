from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bodydouble_labs.report.spans import COLUMNS, MAX_SPANS, Span, bounded, clip, join, segments, thin

STATES = ("good", "failed")


def test_neighbours_in_one_state_become_one_span_that_lasts_until_the_next() -> None:
    seen = [Span(0, 0.5, "good"), Span(1, 1.5, "good"), Span(2, 4, "failed"), Span(5, 5.5, "good")]
    assert join(seen) == [Span(0, 2, "good", 2), Span(2, 5, "failed"), Span(5, 5.5, "good")]


@given(st.lists(st.sampled_from(STATES), max_size=40))
def test_joined_spans_alternate_and_count_every_observation(states: list[str]) -> None:
    joined = join(Span(float(at), at + 0.5, state) for at, state in enumerate(states))
    assert all(one.state != other.state and one.ends == other.begins for one, other in pairwise(joined))
    assert sum(span.number for span in joined) == len(states)


def test_few_spans_are_left_alone() -> None:
    spans = [Span(0, 1, "good"), Span(1, 2, "failed")]
    assert bounded(spans, 2.0, STATES) == spans


def test_thousands_of_changes_become_columns_that_show_the_worst() -> None:
    end = 100_000.0
    spans = [Span(float(at), at + 1.0, STATES[at % 2 if at < 50_000 else 0]) for at in range(100_000)]
    drawn = bounded(spans, end, STATES)
    assert len(drawn) <= COLUMNS
    assert drawn[0].state == "failed"
    assert drawn[-1].state == "good"


def test_a_single_failure_among_thousands_of_changes_is_still_drawn() -> None:
    spans = [Span(float(at), at + 1.0, "ab"[at % 2]) for at in range(MAX_SPANS * 3)]
    spans[777] = Span(777.0, 778.0, "failed")
    drawn = bounded(spans, float(len(spans)), ("a", "b", "failed"))
    assert [span for span in drawn if span.state == "failed"]


def test_clipping_keeps_what_is_inside_the_windows() -> None:
    assert clip([Span(0, 10, "running")], [(1, 3), (9, 12)]) == [Span(1, 3, "running"), Span(9, 10, "running")]


def test_thinning_keeps_the_chosen_extreme_of_each_column() -> None:
    points = [(float(at), 0.0 if at == 5_001 else 25.0) for at in range(10_000)]
    thinned = thin(points, 10_000.0, min)
    assert len(thinned) <= COLUMNS
    assert min(value for _, value in thinned) == 0.0


def test_a_curve_is_interrupted_where_nothing_was_seen() -> None:
    points = [(0.0, 1.0), (1.0, None), (2.0, 2.0), (3.0, 3.0), (60.0, 4.0)]
    assert segments(points, 15.0) == [[(0.0, 1.0)], [(2.0, 2.0), (3.0, 3.0)], [(60.0, 4.0)]]
