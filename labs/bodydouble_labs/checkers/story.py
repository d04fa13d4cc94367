"""The instants of a run that several checkers reason about, read from its marks, power spans and scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.paths import is_beneath, normalise
from bodydouble_labs.errors import LabError
from bodydouble_labs.scenario.steps import DtclStep, FailbackStep, ServicesStep, title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bodydouble_labs.history import History, Mark
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.steps import AnyStep

NEVER = float("inf")
WITNESSED_WITHIN = 5.0
"""Seconds between a fault's mark and the end of the power span that belongs to it, at most."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run in seconds; ``ends`` is infinite for the rest of it."""

    begins: float
    ends: float


def source(scenario: Scenario) -> str:
    """The host that is protected."""
    return scenario.protection.connection.source


def target(scenario: Scenario) -> str:
    """The host that stands in."""
    return scenario.protection.connection.target


def power_losses(history: History, scenario: Scenario) -> list[float]:
    """When the source lost its power, in order: the end of the power span that belongs to the fault's mark."""
    host = source(scenario)
    marks = (mark for mark in history.marks if mark.kind == "fault" and mark.host == host and _is_power_loss(mark))
    return sorted(_gone(history, mark) for mark in marks)


def cut_windows(history: History, scenario: Scenario) -> list[Window]:
    """Each power loss of the source until something is healed next."""
    heals = sorted(mark.at for mark in history.marks if mark.kind == "heal")
    return [Window(at, _first_after(heals, at)) for at in power_losses(history, scenario)]


def at_risk(history: History, scenario: Scenario) -> dict[str, float]:
    """Records that a power loss may take within the RPO, wholly or in part, with the instant of that power loss."""
    limit = scenario.expect.max_rpo
    return {
        record.key: cut
        for cut in power_losses(history, scenario)
        for record in history.records
        if record.acknowledged is not None and record.acknowledged >= cut - limit and record.started <= cut
    }


def planned_windows(history: History, scenario: Scenario) -> list[Window]:
    """Each failback until the services run on the source.

    A failback begins with the operator's step (or, on a run without such a step, with the product's event). The
    services run when the step that starts them, or the script that does, ended, or when the web service was next seen
    running on the source.
    """
    steps = _marks_of(history, (step for step in scenario.timeline if isinstance(step, FailbackStep)))
    begins = [mark.at for mark in steps] or [
        mark.at for mark in history.marks if mark.kind == "event" and mark.code == EventCode.FAILBACK_STARTED
    ]
    return [Window(at, _services_run(history, scenario, at)) for at in sorted(begins)]


def path_in_root(scenario: Scenario, path: str) -> str:
    """A Windows path relative to the protected root, as final trees spell it.

    Raises:
        LabError: the path is outside of the protected root, so no tree can show it.
    """
    root = normalise(scenario.protected_root)
    full = normalise(path)
    if not is_beneath(full.lower(), root.lower()):
        raise LabError(f"{path} is not beneath the protected root {scenario.protected_root}")
    return full[len(root) :].lstrip("/")


def _is_power_loss(mark: Mark) -> bool:
    return "power-loss" in mark.text.lower().replace(" ", "-")


def _gone(history: History, mark: Mark) -> float:
    # The mark is made when the fault is asked for or when a witness has seen it; the span says when power really went.
    ends = [span.until for span in history.power if span.host == mark.host and span.until is not None]
    nearest = min(ends, key=lambda until: abs(until - mark.at), default=mark.at)
    return nearest if abs(nearest - mark.at) <= WITNESSED_WITHIN else mark.at


def _services_run(history: History, scenario: Scenario, after: float) -> float:
    host = source(scenario)
    starts = (
        step
        for step in scenario.timeline
        if isinstance(step, DtclStep)
        or (isinstance(step, ServicesStep) and step.on == host and step.services == "start")
    )
    steps = [mark.until or mark.at for mark in _marks_of(history, starts) if mark.at >= after]
    seen = [
        sample.at
        for sample in history.services
        if sample.host == host and sample.service == "W3SVC" and sample.state == "running" and sample.at >= after
    ]
    return min(steps or seen, default=NEVER)


def _marks_of(history: History, steps: Iterable[AnyStep]) -> list[Mark]:
    titles = {title_of(step) for step in steps}
    return [mark for mark in history.marks if mark.kind == "step" and mark.text in titles]


def _first_after(times: Sequence[float], at: float) -> float:
    return next((time for time in times if time > at), NEVER)
