"""Outages: what clients could not get, and when.

A client is *out* from the start of the first request that failed to the end of the first one that was answered well
again. An answer about a record that was lost (status, ``missing record``; or the record cut short by a power loss, see
`is_torn_record`) neither begins nor ends an outage: the server was there, and whether the record may be lost is the
loss checker's question.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from bodydouble_labs.checkers import story

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bodydouble_labs.history import History, Request
    from bodydouble_labs.scenario.model import Scenario

_T = TypeVar("_T", "Request", "Outage")

MISSING_RECORD = "missing record"
"""Detail of a ``status`` outcome: the server answered that it does not have a record that it had acknowledged."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One client's outage.

    Attributes:
        reader: True for a client that reads pages, False for one that uploads.
        started: start of the first failed request.
        noticed: end of the first failed request: something was wrong by then.
        ended: end of the first good request after it, None when there was none.
        failed: how many requests failed.
        reason: outcome of the first failed request.
    """

    client: str
    via: str
    reader: bool
    started: float
    noticed: float
    ended: float | None
    failed: int
    reason: str

    @property
    def duration(self) -> float:
        """Seconds from first failed to first good request; infinite when no good one came."""
        return float("inf") if self.ended is None else self.ended - self.started


@dataclass(frozen=True, slots=True)
class Outages:
    """All outages of a run by what explains them.

    Attributes:
        failover: the first outage of each client after each power loss.
        planned: outages between a failback and the start of the services on the source.
        unexplained: all others.
    """

    failover: list[Outage]
    planned: list[Outage]
    unexplained: list[Outage]

    @property
    def rto_s(self) -> float | None:
        """Longest failover outage of a reader in seconds (infinite: never recovered), None without one."""
        return max((outage.duration for outage in self.failover if outage.reader), default=None)

    @property
    def planned_s(self) -> float | None:
        """Longest time that a reader was out around a failback, first failure to last recovery; None without one."""
        spans = (_span(outages) for _, outages in _by_client(o for o in self.planned if o.reader))
        return max(spans, default=None)


def outages(history: History, scenario: Scenario) -> Outages:
    """Find every client's outages and what explains each.

    A client's first outage whose first failure ended at or after a power loss and began before the next heal is the
    failover outage. One whose first failure ended at or after a failback's start and began before the services ran on
    the source is planned. A client is not expected to be out twice for one power loss.
    """
    result = Outages([], [], [])
    cuts = story.cut_windows(history, scenario)
    planned = story.planned_windows(history, scenario)
    at_risk = story.at_risk(history, scenario)
    for _, requests in _by_client(history.requests):
        unspent = list(cuts)
        for outage in of_client(requests, at_risk):
            window = next((window for window in unspent if touches(outage, window)), None)
            if window is not None:
                unspent.remove(window)
                result.failover.append(outage)
            elif any(touches(outage, window) for window in planned):
                result.planned.append(outage)
            else:
                result.unexplained.append(outage)
    return result


def of_client(requests: Iterable[Request], at_risk: Mapping[str, float]) -> list[Outage]:
    """The outages of one client, whose requests may come in any order; ``at_risk`` as `story.at_risk` finds it."""
    found: list[Outage] = []
    failing: list[Request] = []
    for request in sorted(requests, key=attrgetter("started", "ended")):
        if request.outcome == "ok":
            if failing:
                found.append(_outage(failing, request.ended))
            failing = []
        elif not (is_missing_record(request) or is_torn_record(request, at_risk)):
            failing.append(request)
    if failing:
        found.append(_outage(failing, None))
    return found


def is_missing_record(request: Request) -> bool:
    """Whether the server answered that an acknowledged record is not there."""
    return request.outcome == "status" and request.detail.startswith(MISSING_RECORD)


def is_torn_record(request: Request, at_risk: Mapping[str, float]) -> bool:
    """Whether the answer is a record that a power loss caught before it was whole on the stand-in."""
    cut = at_risk.get(request.record)
    return request.outcome == "wrong-content" and cut is not None and request.started >= cut


def _outage(failing: Sequence[Request], ended: float | None) -> Outage:
    first = failing[0]
    return Outage(
        client=first.client,
        via=first.via,
        reader=first.kind == "http-get",
        started=first.started,
        noticed=first.ended,
        ended=ended,
        failed=len(failing),
        reason=f"{first.outcome} ({first.detail})" if first.detail else first.outcome,
    )


def touches(outage: Outage, window: story.Window) -> bool:
    """Whether the outage's first failure ended in the window or later, and began before the window's end."""
    return outage.noticed >= window.begins and outage.started < window.ends


def _span(of_one_client: Iterable[Outage]) -> float:
    listed = list(of_one_client)
    ends = [float("inf") if outage.ended is None else outage.ended for outage in listed]
    return max(ends) - min(outage.started for outage in listed)


def _by_client(things: Iterable[_T]) -> Iterable[tuple[str, Iterable[_T]]]:
    ordered = sorted(things, key=attrgetter("client"))
    return groupby(ordered, key=attrgetter("client"))
