"""From many small observations to few spans: what keeps a report small however long the run was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_SPANS = 400
"""Spans in one lane beyond which they are joined column by column."""
COLUMNS = 600


@dataclass(frozen=True, slots=True)
class Span:
    """A state that held from ``begins`` to ``ends`` (seconds); ``number`` observations say so."""

    begins: float
    ends: float
    state: str
    number: int = 1
    title: str = ""


def join(observations: Iterable[Span]) -> list[Span]:
    """Join neighbours in the same state; a span lasts until the next one in another state begins.

    Observations come in order of time.
    """
    joined: list[Span] = []
    for seen in observations:
        last = joined[-1] if joined else None
        if last and last.state == seen.state:
            joined[-1] = replace(last, ends=max(last.ends, seen.ends), number=last.number + seen.number)
        else:
            if last:
                joined[-1] = replace(last, ends=max(last.begins, seen.begins))
            joined.append(seen)
    return joined


def bounded(spans: Sequence[Span], end: float, severity: Sequence[str]) -> list[Span]:
    """At most about `COLUMNS` spans: too many are redrawn as columns, each in the worst state that touches it.

    Args:
        spans: not overlapping, in order of time.
        end: where the time axis ends.
        severity: states from the mildest to the worst.
    """
    if len(spans) <= MAX_SPANS:
        return list(spans)
    width = end / COLUMNS
    worst: dict[int, Span] = {}
    for span in spans:
        for column in range(int(span.begins / width), min(COLUMNS - 1, int(span.ends / width)) + 1):
            other = worst.get(column)
            if other is None or severity.index(span.state) > severity.index(other.state):
                worst[column] = Span(column * width, (column + 1) * width, span.state, span.number)
    return join(worst[column] for column in sorted(worst))


def clip(spans: Iterable[Span], windows: Sequence[tuple[float, float]]) -> list[Span]:
    """The parts of the spans inside any of the windows."""
    return [
        replace(span, begins=max(span.begins, begins), ends=min(span.ends, ends))
        for span in spans
        for begins, ends in windows
        if span.begins < ends and begins < span.ends
    ]


def thin(
    points: Sequence[tuple[float, float]], end: float, choose: Callable[[Iterable[float]], float]
) -> list[tuple[float, float]]:
    """At most `COLUMNS` points: each column of the time axis keeps the value that ``choose`` (min, max) picks."""
    if len(points) <= COLUMNS:
        return list(points)
    columns: dict[int, list[tuple[float, float]]] = {}
    for at, value in points:
        columns.setdefault(int(at / end * (COLUMNS - 1)), []).append((at, value))
    return [(group[0][0], choose(value for _, value in group)) for _, group in sorted(columns.items())]


def segments(points: Iterable[tuple[float, float | None]], gap: float) -> list[list[tuple[float, float]]]:
    """Split a curve where it has no value, and where nothing was seen for longer than ``gap`` seconds."""
    parts: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None or (parts[-1] and at - parts[-1][-1][0] > gap):
            parts.append([])
        if value is not None:
            parts[-1].append((at, value))
    return [part for part in parts if part]
