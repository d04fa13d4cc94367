"""Losses: which acknowledged records did not come home, and what explains each.

A record begun before a power loss of the source and acknowledged was acknowledged by the source, also when the
acknowledgement reached the client an instant after the cut: a connection does not move to the stand-in. A record is
lost when it is not on the final tree with exactly the bytes that were sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from bodydouble_labs.checkers import outages, story

if TYPE_CHECKING:
    from bodydouble_labs.history import History, Tree, WrittenRecord
    from bodydouble_labs.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class Loss:
    """One acknowledged record that is not intact on a final tree.

    Attributes:
        host: whose tree lacks it.
        age: seconds from its acknowledgement to the power loss that may explain it; None when none may.
    """

    record: WrittenRecord
    host: str
    problem: str
    age: float | None


def losses(history: History, scenario: Scenario) -> list[Loss]:
    """Every acknowledged record that is missing or altered on the final trees, by tree, in order of acknowledgement.

    On a tree that was not taken nothing is found; the checker refuses such a run.
    """
    cuts = story.power_losses(history, scenario)
    records = sorted((r for r in history.records if r.acknowledged is not None), key=attrgetter("acknowledged", "key"))
    found = []
    for host in (story.source(scenario), story.target(scenario)):
        digests = _digests(history.trees.get(host, {}))
        for record in records if host in history.trees else ():
            problem = _problem(record, digests.get(story.path_in_root(scenario, record.path).lower()))
            if problem:
                found.append(Loss(record, host, problem, _age(record, cuts)))
    return found


def rpo(found: list[Loss]) -> tuple[float, int]:
    """Seconds of acknowledged work that the power losses took (0.0: nothing), and how many records.

    Only losses that a power loss may explain count; the others are defects, not a recovery point.
    """
    explained = {loss.record.key: loss.age for loss in found if loss.age is not None}
    return max(explained.values(), default=0.0), len(explained)


def vanished(history: History, found: list[Loss]) -> list[str]:
    """Reads of records that the server answered were missing although they were acknowledged before and not lost."""
    lost = {loss.record.key for loss in found}
    acknowledged = {r.key: r.acknowledged for r in history.records if r.acknowledged is not None and r.key not in lost}
    return [
        f"{request.record} at {request.started:.3f} s"
        for request in sorted(history.requests, key=attrgetter("started", "client"))
        if outages.is_missing_record(request) and acknowledged.get(request.record, story.NEVER) < request.started
    ]


def _digests(tree: Tree) -> dict[str, str]:
    # Windows volumes tell names apart without regard to case, and so must a search for a file by its name.
    return {path.lower(): entry.digest for path, entry in tree.items() if not entry.directory}


def _problem(record: WrittenRecord, digest: str | None) -> str:
    if digest is None:
        return "missing"
    return "" if digest == record.digest else "altered"


def _age(record: WrittenRecord, cuts: list[float]) -> float | None:
    cut = next((cut for cut in cuts if record.started <= cut), None)
    return None if cut is None or record.acknowledged is None else max(0.0, cut - record.acknowledged)
