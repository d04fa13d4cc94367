"""Checker 1: the replica is always some earlier state of the source."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from bodydouble_labs.checkers import story
from bodydouble_labs.checkers.check import Check, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_labs.history import History, ReplicaSample, WrittenRecord
    from bodydouble_labs.scenario.model import Expectations, Scenario

NAME = "write-order"


def check(history: History, expect: Expectations, scenario: Scenario) -> Check:
    """Check that the replica never showed a state that the source did not have before.

    Claimed on ``pass``, with at least one of the two kinds of evidence:

    - Operation by operation (providers that can): each replica state observed equalled the source's state after some
      prefix of its operations. The history lists those that did not.
    - By records, seen from outside: in each sample of the replica, if record ``b`` is there intact, then so is every
      record ``a`` that was acknowledged before ``b`` was begun. Records on different sides of a power loss are not
      compared: a record that the power loss took is the loss checker's matter.

    A run that compared nothing is ``invalid``: no sample held a record that another one preceded, or the provider
    undertook to compare operation by operation and compared none.
    """
    del expect
    if history.order_violations:
        first = min(history.order_violations, key=attrgetter("at"))
        violations = count(len(history.order_violations), "replica state")
        return Check(
            NAME, "fail", f"{violations} equal to no prefix of the source; first at {first.at:.3f} s: {first.detail}"
        )
    eras = _eras(history.records, [window.begins for window in story.cut_windows(history, scenario)])
    compared = 0
    for sample in history.replica_samples:
        for era in eras:
            missing, later, number = _compare(sample, era)
            compared += number
            if missing is not None and later is not None:
                return Check(NAME, "fail", _swapped(sample, missing, later))
    return _evidence(history, compared)


def _evidence(history: History, compared: int) -> Check:
    if history.order_watched and history.order_checked <= 1:  # the watch compares once when it begins
        return Check(NAME, "invalid", "the replica was watched operation by operation, and none of them was compared")
    parts = []
    if history.order_checked:
        parts.append(f"{count(history.order_checked, 'replica state')} equal to a prefix of the source's operations")
    if compared:
        samples = count(len(history.replica_samples), "sample")
        parts.append(f"{samples} of the replica kept the order of records ({compared:,} comparisons)")
    return Check(NAME, "pass", "; ".join(parts)) if parts else Check(NAME, "invalid", "nothing was compared")


@dataclass(frozen=True, slots=True)
class _Era:
    """Acknowledged records of one stretch between power losses, by acknowledgement; all its records by key."""

    records: dict[str, WrittenRecord]
    acknowledged: list[WrittenRecord]
    times: list[float]


def _eras(records: Sequence[WrittenRecord], cuts: Sequence[float]) -> list[_Era]:
    groups: defaultdict[int, list[WrittenRecord]] = defaultdict(list)
    for record in records:
        groups[sum(cut < record.started for cut in cuts)].append(record)
    eras = []
    for number in sorted(groups):
        pairs = [(r.acknowledged, r) for r in groups[number] if r.acknowledged is not None]
        pairs.sort(key=lambda pair: (pair[0], pair[1].key))
        by_key = {record.key: record for record in groups[number]}
        eras.append(_Era(by_key, [record for _, record in pairs], [at for at, _ in pairs]))
    return eras


def _compare(sample: ReplicaSample, era: _Era) -> tuple[WrittenRecord | None, WrittenRecord | None, int]:
    """The first missing record and a present one that was begun after it; how many records were asked for."""
    # Some present b was begun after a's acknowledgement exactly if the latest-begun present record was.
    present = set(sample.present)
    known = [era.records[key] for key in sample.present if key in era.records]
    latest = max(known, key=attrgetter("started"), default=None)
    if latest is None:
        return None, None, 0
    required = era.acknowledged[: bisect_left(era.times, latest.started)]
    missing = next((record for record in required if record.key not in present), None)
    return missing, latest, len(required)


def _swapped(sample: ReplicaSample, missing: WrittenRecord, later: WrittenRecord) -> str:
    return (
        f"replica at {sample.at:.3f} s has {later.key} (begun {later.started:.3f} s) "
        f"without {missing.key} (acknowledged {missing.acknowledged:.3f} s)"
    )
