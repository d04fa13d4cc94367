"""Checker 4: clients got their pages, save for the time that failover and failback take."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from bodydouble_labs.checkers import outages, story
from bodydouble_labs.checkers.check import Check, count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble_labs.checkers.outages import Outage
    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import Expectations, Scenario

NAME = "availability"


def check(history: History, expect: Expectations, scenario: Scenario) -> Check:
    """Check that clients were served, and that what they were served was right.

    Claimed on ``pass``: no answer ever carried wrong content, save for records that a power loss cut short within the
    RPO; every client (readers by address and by name, writers)
    recovered from each of its outages; each outage belongs to a power loss or to a planned failback (see
    `outages.outages`); readers' failover outages, from the start of the first failed to the end of the first good
    request, took no longer than ``max_rto``, and their planned ones no longer than ``max_planned_outage``.
    A writer's outage must be explained and end, but is no measure of the RTO: its long time-outs would be.

    ``invalid``: there is no reader, one made no request, or a power loss was not seen by any client.
    """
    found = outages.outages(history, scenario)
    at_risk = story.at_risk(history, scenario)
    if problems := _lies(history, at_risk) + _outage_problems(found, expect):
        return Check(NAME, "fail", "; ".join(problems))
    if reason := _unseen(history, scenario, found):
        return Check(NAME, "invalid", reason)
    return Check(NAME, "pass", _summary(history, found, at_risk))


def _lies(history: History, at_risk: Mapping[str, float]) -> list[str]:
    wrong = [
        request
        for request in history.requests
        if request.outcome == "wrong-content" and not outages.is_torn_record(request, at_risk)
    ]
    if not wrong:
        return []
    first = min(wrong, key=attrgetter("started"))
    where = f"first by {first.client} at {first.started:.3f} s: {first.detail or first.record or 'no detail'}"
    return [f"{count(len(wrong), 'answer')} with wrong content, {where}"]


def _outage_problems(found: outages.Outages, expect: Expectations) -> list[str]:
    listed = sorted(found.failover + found.planned + found.unexplained, key=attrgetter("started", "client"))
    problems = [f"{_text(outage)} and never recovered" for outage in listed if outage.ended is None]
    problems += [f"unexplained outage: {_text(o)}" for o in found.unexplained if o.ended is not None]
    problems += [
        f"{_text(outage)}: longer than the RTO of {expect.max_rto:g} s"
        for outage in found.failover
        if outage.reader and outage.ended is not None and outage.duration > expect.max_rto
    ]
    planned, limit = found.planned_s, expect.max_planned_outage
    if planned is not None and limit is not None and planned > limit:
        problems.append(f"planned outage of {planned:.3f} s, longer than {limit:g} s")
    return problems


def _unseen(history: History, scenario: Scenario, found: outages.Outages) -> str:
    readers = [reader.name for reader in scenario.workload.readers]
    if not readers:
        return "the scenario has no reader"
    active = {request.client for request in history.requests}
    if silent := [name for name in readers if name not in active]:
        return f"{', '.join(silent)} made no request"
    for window in story.cut_windows(history, scenario):
        if not any(o.reader and outages.touches(o, window) for o in found.failover):
            return f"the fault at {window.begins:.3f} s was not seen by any client, though failover takes time"
    return ""


def _text(outage: Outage) -> str:
    length = "" if outage.ended is None else f" for {outage.duration:.3f} s"
    failed = f"{count(outage.failed, 'failed request')}, first {outage.reason}"
    return f"{outage.client} by {outage.via} was out from {outage.started:.3f} s{length} ({failed})"


def _summary(history: History, found: outages.Outages, at_risk: Mapping[str, float]) -> str:
    good = sum(request.outcome == "ok" for request in history.requests)
    parts = [f"{good:,} of {count(len(history.requests), 'request')} good"]
    if found.rto_s is not None:
        clients = ", ".join(f"{o.client} {o.duration:.3f} s" for o in found.failover)
        parts.append(f"failover outage {found.rto_s:.3f} s ({clients})")
    if found.planned_s is not None:
        parts.append(f"planned outage {found.planned_s:.3f} s")
    if missing := sum(map(outages.is_missing_record, history.requests)):
        parts.append(f"{count(missing, 'read')} of records that the power loss took")
    if torn := sum(outages.is_torn_record(request, at_risk) for request in history.requests):
        parts.append(f"{count(torn, 'read')} of records that the power loss cut short")
    return "; ".join(parts)
