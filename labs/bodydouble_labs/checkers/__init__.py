"""The checkers: what "correct" means, decided from a history alone.

A checker is a pure function of history, expectations and scenario. Its docstring states exactly what a ``pass`` claims
and what makes the run ``invalid``: too little was seen to claim anything.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import msgspec

from bodydouble_labs.checkers import availability, convergence, loss, one_owner, procedure, runbook, write_order
from bodydouble_labs.checkers.check import Check, Verdict
from bodydouble_labs.checkers.views import views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import Expectations, Scenario

    Checker = Callable[[History, Expectations, Scenario], Check]

__all__ = ["CHECKERS", "Check", "Verdict", "run_checkers"]

CHECKERS: Mapping[str, Checker] = {
    module.NAME: module.check
    for module in (procedure, runbook, write_order, convergence, loss, availability, one_owner)
}
"""Every checker by the name of its check, in the order in which they are listed."""


def run_checkers(history: History, scenario: Scenario) -> list[Check]:
    """Run every checker on every protection.

    One that crashes gives ``invalid`` with the last line of its traceback, never a pass.
    """
    return [
        msgspec.structs.replace(_run(name, checker, view.history, view.scenario), protection=view.name)
        for view in views(history, scenario)
        for name, checker in CHECKERS.items()
    ]


def _run(name: str, checker: Checker, history: History, scenario: Scenario) -> Check:
    try:
        return checker(history, scenario.expect, scenario)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a checker, the run has not been judged
        last = traceback.format_exception_only(error)[-1].strip()
        return Check(name, "invalid", f"the checker crashed: {last}")
