from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bodydouble_labs.report.pills import Pill, pack


def packed(places: list[float], rows: int = 3) -> list[Pill]:
    return pack(places, lambda text: 7.0 * len(text) + 4, near=6, rows=rows, right=1000, gap=2, before=8)


def test_near_places_share_a_pill_and_far_ones_do_not() -> None:
    assert [pill.text for pill in packed([0, 1, 6, 7, 500])] == ["1-3", "4", "5"]


def test_a_pill_that_finds_no_row_joins_its_predecessor() -> None:
    assert [(pill.text, pill.row) for pill in packed([100, 107, 114, 300])] == [("1", 0), ("2", 1), ("3", 0), ("4", 0)]
    assert [(pill.text, pill.row) for pill in packed([100, 107, 114, 300], rows=1)] == [("1-3", 0), ("4", 0)]


def test_at_the_right_edge_a_pill_moves_to_the_left() -> None:
    pill = packed([999, 999.5])[0]
    assert pill.left + pill.width == 1000


def test_no_steps_need_no_pills() -> None:
    assert packed([]) == []


@given(st.lists(st.floats(min_value=8, max_value=1000), max_size=60), st.integers(1, 3))
def test_every_number_is_in_one_pill_and_pills_never_overlap(places: list[float], rows: int) -> None:
    pills = packed(sorted(places), rows)
    assert [number for pill in pills for number in range(pill.first, pill.last + 1)] == list(range(1, len(places) + 1))
    for row in range(rows):
        edges = [edge for pill in pills if pill.row == row for edge in (pill.left, pill.left + pill.width)]
        assert edges == sorted(edges)
    assert all(0 <= pill.row < rows for pill in pills)
