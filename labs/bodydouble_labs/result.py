"""The result of one run, and what a set of results means to whoever called."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import BodydoubleError
from bodydouble_labs.checkers import losses, outages, story
from bodydouble_labs.checkers.check import Check, Verdict
from bodydouble_labs.checkers.views import views
from bodydouble_labs.errors import LabError
from bodydouble_labs.scenario.systems import remarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import Scenario

__all__ = ["Check", "Result", "Verdict", "assemble", "decode", "encode", "exit_status", "skipped"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of one scenario came to.

    Attributes:
        rpo_s: seconds of acknowledged work that a power loss took, 0.0 when nothing; None when not measured.
        rpo_operations: how many acknowledged records that is.
        rto_s: longest failover outage of a reader; None without one (or one that never ended: see the checks).
        planned_outage_s: longest outage of a reader around a failback; None without one. Of several protections these
            figures are the worst, each by itself.
        trace_hash: equal for equal runs where the provider is deterministic, else empty.
        explored: whether the order in which ready tasks ran was drawn; its decision tape is among the artifacts.
        virtual_s: length of the run on the provider's clock; ``wall_s`` on the wall's.
        ratio: virtual by wall seconds.
        reason: why the run was skipped or is invalid, empty otherwise.
        artifacts: files that the run left, relative to its directory.
        remarks: what the application note advises against in this scenario, and what the product warned of; they change
            no verdict.
    """

    scenario: str
    provider: str
    seed: int
    verdict: Verdict
    checks: list[Check] = []
    rpo_s: float | None = None
    rpo_operations: int | None = None
    rto_s: float | None = None
    planned_outage_s: float | None = None
    trace_hash: str = ""
    explored: bool = False
    virtual_s: float = 0.0
    wall_s: float = 0.0
    ratio: float = 0.0
    reason: str = ""
    artifacts: list[str] = []
    remarks: list[str] = []


def assemble(
    *,
    scenario: Scenario,
    provider: str,
    seed: int,
    history: History,
    checks: Sequence[Check],
    trace_hash: str = "",
    explored: bool = False,
    virtual_s: float = 0.0,
    wall_s: float = 0.0,
    artifacts: Sequence[str] = (),
    reason: str = "",
) -> Result:
    """Put a run's result together.

    A reason given or an error of the lab in the history makes the verdict ``invalid`` whatever the checks say: clients
    of a run that was broken off never recover, and that is not the product's failure. Otherwise a failed check makes
    it ``fail``; an invalid check, or no check at all, ``invalid``. The result's reason names everything that kept the
    run from being judged.
    """
    troubles = [text for text in (reason, *history.lab_errors) if text]
    gaps = [f"{check.title}: {check.detail}" for check in checks if check.verdict not in ("pass", "fail")]
    if not checks:
        gaps.append("nothing was checked")
    failed = any(check.verdict == "fail" for check in checks)
    verdict: Verdict = "invalid" if troubles else "fail" if failed else "invalid" if gaps else "pass"
    figures = _figures(history, scenario)
    return Result(
        scenario=scenario.name,
        provider=provider,
        seed=seed,
        verdict=verdict,
        checks=list(checks),
        rpo_s=figures.rpo_s,
        rpo_operations=figures.rpo_operations,
        rto_s=figures.rto_s,
        planned_outage_s=figures.planned_outage_s,
        trace_hash=trace_hash,
        explored=explored,
        virtual_s=round(virtual_s, 3),
        wall_s=round(wall_s, 3),
        ratio=round(virtual_s / wall_s, 1) if wall_s > 0 else 0.0,
        reason="; ".join(troubles + gaps),
        artifacts=list(artifacts),
        remarks=[*remarks(scenario), *history.warnings],
    )


def skipped(*, scenario: Scenario, provider: str, seed: int, reason: str) -> Result:
    """The result of a scenario that cannot run here, with what is missing."""
    return Result(scenario=scenario.name, provider=provider, seed=seed, verdict="skipped", reason=reason)


def exit_status(results: Iterable[Result]) -> int:
    """1 when any run failed, else 3 when any is invalid, else 0; skipped runs are listed and change nothing."""
    verdicts = {result.verdict for result in results}
    return 1 if "fail" in verdicts else 3 if "invalid" in verdicts else 0


def encode(result: Result) -> bytes:
    """The result as JSON, indented, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def decode(data: bytes) -> Result:
    """A result from its JSON.

    Raises:
        LabError: the bytes are no result.
    """
    try:
        return msgspec.json.decode(data, type=Result)
    except msgspec.MsgspecError as error:
        raise LabError(f"not a result: {error}") from error


@dataclass(frozen=True, slots=True)
class _Figures:
    rpo_s: float | None = None
    rpo_operations: int | None = None
    rto_s: float | None = None
    planned_outage_s: float | None = None


def _figures(history: History, scenario: Scenario) -> _Figures:
    """The worst of all protections, figure by figure."""
    each = [_figures_of(view.history, view.scenario) for view in views(history, scenario)]

    def worst(name: str) -> Any:
        return max((value for figures in each if (value := getattr(figures, name)) is not None), default=None)

    return _Figures(*(worst(field.name) for field in fields(_Figures)))


def _figures_of(history: History, scenario: Scenario) -> _Figures:
    found = outages.outages(history, scenario)
    rto_s, planned_s = _milliseconds(found.rto_s), _milliseconds(found.planned_s)
    if not {story.source(scenario), story.target(scenario)} <= history.trees.keys():
        return _Figures(rto_s=rto_s, planned_outage_s=planned_s)
    try:
        rpo_s, operations = losses.rpo(losses.losses(history, scenario))
    except BodydoubleError:  # the loss checker has met it too and said so
        return _Figures(rto_s=rto_s, planned_outage_s=planned_s)
    return _Figures(_milliseconds(rpo_s), operations, rto_s, planned_s)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None or math.isinf(seconds) else round(seconds, 3)
