"""Checker 3: nothing that was acknowledged is lost, beyond what the stated RPO allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.checkers import losses, story
from bodydouble_labs.checkers.check import Check, count

if TYPE_CHECKING:
    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import Expectations, Scenario

NAME = "loss"
SHOWN = 5
"""Records that the detail names."""


def check(history: History, expect: Expectations, scenario: Scenario) -> Check:
    """Check that every acknowledged record came home.

    Claimed on ``pass``: each record that a server acknowledged is on the final trees of source and target with exactly
    the bytes that were sent, except records that the source acknowledged within ``max_rpo`` seconds before its power
    loss (and no more than ``max_rpo_operations`` of them); and no reader was told that a record is missing which was
    acknowledged before and is not among these.

    ``invalid``: a final tree was not taken; no record was acknowledged at all, or, in a scenario with a power loss,
    none while the target stood in, so that nothing was at stake.
    """
    if reason := _nothing_at_stake(history, scenario):
        return Check(NAME, "invalid", reason)
    found = losses.losses(history, scenario)
    problems = _forbidden(found, expect) + [f"missing when read: {text}" for text in losses.vanished(history, found)]
    if problems:
        more = f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
        return Check(NAME, "fail", f"{'; '.join(problems[:SHOWN])}{more}")
    return Check(NAME, "pass", _summary(history, found))


def _nothing_at_stake(history: History, scenario: Scenario) -> str:
    missing = [h for h in (story.source(scenario), story.target(scenario)) if h not in history.trees]
    acknowledged = [record for record in history.records if record.acknowledged is not None]
    if missing:
        return f"no final tree of {' and '.join(missing)} was taken"
    if not acknowledged:
        return "no record was acknowledged: the workload did nothing"
    ends = [window.begins for window in story.planned_windows(history, scenario)]
    for cut in story.power_losses(history, scenario):
        until = min((end for end in ends if end > cut), default=story.NEVER)
        if not any(cut < record.started < until for record in acknowledged):
            return f"no record was acknowledged while the target stood in after {cut:.3f} s"
    return ""


def _forbidden(found: list[losses.Loss], expect: Expectations) -> list[str]:
    problems = [text for loss in found if (text := _objection(loss, expect.max_rpo))]
    _, operations = losses.rpo(found)
    limit = expect.max_rpo_operations
    if limit is not None and operations > limit:
        problems.insert(0, f"{count(operations, 'acknowledged record')} lost to the power loss, more than {limit}")
    return problems


def _objection(loss: losses.Loss, max_rpo: float) -> str:
    what = f"{loss.record.key} (acknowledged {loss.record.acknowledged:.3f} s) is {loss.problem} on {loss.host}"
    if loss.age is None:
        return f"{what}, and no power loss explains it"
    return f"{what}, {loss.age:.3f} s before the power loss: more than {max_rpo:g} s" if loss.age > max_rpo else ""


def _summary(history: History, found: list[losses.Loss]) -> str:
    seconds, operations = losses.rpo(found)
    acknowledged = sum(record.acknowledged is not None for record in history.records)
    intact = f"{count(acknowledged - operations, 'acknowledged record')} intact on both final trees"
    return f"{intact}; {operations:,} lost to the power loss (RPO {seconds:.3f} s)" if operations else intact
