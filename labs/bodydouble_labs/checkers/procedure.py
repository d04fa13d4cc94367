"""The procedure: what the timeline asked of the product was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.checkers.check import Check, count

if TYPE_CHECKING:
    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import Expectations, Scenario

NAME = "procedure"


def check(history: History, expect: Expectations, scenario: Scenario) -> Check:
    """Check that the product did what the timeline asked.

    Claimed on ``pass``: every step of the timeline was made, and none ended with the product refusing a request or not
    reaching in time what was waited for. A timeline that was broken off for another reason is ``invalid``.
    """
    del expect
    if history.unmet:
        return Check(NAME, "fail", "; ".join(history.unmet))
    steps, planned = sum(mark.kind == "step" for mark in history.marks), len(scenario.timeline)
    if steps < planned:
        return Check(NAME, "invalid", f"the timeline was broken off after {steps} of {count(planned, 'step')}")
    return Check(NAME, "pass", f"{count(steps, 'step')} made")
