"""Numbered labels on a time axis: what would overlap becomes one label with a range of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Pill:
    """The things numbered ``first`` to ``last`` (from 1) at ``left`` in a row (from 0)."""

    first: int
    last: int
    left: float
    width: float
    row: int

    @property
    def text(self) -> str:
        """``7`` or ``1-18``."""
        return numbers(self.first, self.last)


def numbers(first: int, last: int) -> str:
    """How a range of numbers reads."""
    return str(first) if first == last else f"{first}-{last}"


def pack(
    places: Sequence[float],
    measure: Callable[[str], float],
    *,
    near: float,
    rows: int,
    right: float,
    gap: float,
    before: float = 0.0,
) -> list[Pill]:
    """Put a label at each place, so that none overlaps another and no more than ``rows`` rows are needed.

    Args:
        places: in ascending order.
        measure: width of a label with this text.
        rows: how many rows there may be, at least one.
        near: places that are at most this far apart share one label in any case.
        right: where the drawing ends; labels are moved to the left of it.
        gap: room between two labels in a row.
        before: how far to the left of its place a label begins.
    """
    groups: list[tuple[int, int]] = []
    for number, place in enumerate(places, start=1):
        if groups and place - places[groups[-1][0] - 1] <= near:
            groups[-1] = (groups[-1][0], number)
        else:
            groups.append((number, number))
    while True:
        pills: list[Pill] = []
        for first, last in groups:
            width = measure(numbers(first, last))
            left = min(places[first - 1] - before, right - width)
            row = _free(pills, left - gap, rows)
            if row is None:
                break
            pills.append(Pill(first, last, left, width, row))
        if len(pills) == len(groups):
            return pills
        crowded = len(pills)
        groups[crowded - 1 : crowded + 1] = [(groups[crowded - 1][0], groups[crowded][1])]


def _free(pills: Sequence[Pill], left: float, rows: int) -> int | None:
    """The lowest row in which nothing reaches beyond ``left``."""
    taken = {pill.row for pill in pills if pill.left + pill.width > left}
    return next((row for row in range(rows) if row not in taken), None)
