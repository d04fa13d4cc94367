"""Batches of workloads: each has a seed of its own, from which Hypothesis draws `BATCH` workloads or a few more."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RULE_MARKER, run_state_machine_as_test
from tests.campaign.workload import Workload, totals

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 25
STEPS = 30
"""Steps of one workload; a step is an operation or a dozen, a fault, or an operator's order."""
FIND: Sequence[Phase] = (Phase.generate,)
FIND_AND_SHRINK: Sequence[Phase] = (Phase.generate, Phase.shrink)


def focused(rules: Sequence[str]) -> type[Workload]:
    """Workloads of work, and of nothing else but the rules named."""
    kept = ("do_", "work_", "let_time_pass", *rules)
    left_out = [
        name for name in dir(Workload) if hasattr(getattr(Workload, name), RULE_MARKER) and not name.startswith(kept)
    ]
    return type("Workload", (Workload,), dict.fromkeys(left_out))


def run_batch(
    seed: int, *, count: int = BATCH, phases: Sequence[Phase] = FIND, machine: type[Workload] = Workload
) -> None:
    """Run ``count`` workloads that follow from a seed.

    Raises:
        BaseException: what the first one that failed raised; its notes say how to repeat it.
    """
    machine = type("Workload", (machine,), {})
    machine._hypothesis_internal_use_seed = seed  # what `hypothesis.seed` sets
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=False,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=phases,
        ),
    )


def told(seed: int, count: int, shrink: bool) -> tuple[int, dict[str, int], str]:
    """One batch in this process: its seed, what it did, and why it failed."""
    totals.clear()
    failure = ""
    try:
        run_batch(seed, count=count, phases=FIND_AND_SHRINK if shrink else FIND)
    except Exception as error:  # noqa: BLE001 - whatever it is, the campaign goes on and tells
        failure = "".join(traceback.format_exception(error, limit=-4))
    return seed, dict(totals), failure


__all__ = ["BATCH", "FIND", "FIND_AND_SHRINK", "focused", "run_batch", "told", "totals"]
