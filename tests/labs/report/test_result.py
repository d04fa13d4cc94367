from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bodydouble_labs import result
from bodydouble_labs.checkers import run_checkers
from bodydouble_labs.errors import LabError
from bodydouble_labs.history import History
from bodydouble_labs.result import Check, Result, assemble

if TYPE_CHECKING:
    from bodydouble_labs.checkers import Verdict
    from bodydouble_labs.scenario.model import Scenario


def of(verdict: Verdict) -> Result:
    return Result(scenario="s", provider="sim", seed=1, verdict=verdict)


def test_a_good_run_passes_with_all_figures(history: History, scenario: Scenario) -> None:
    made = assemble(
        scenario=scenario,
        provider="sim",
        seed=7,
        history=history,
        checks=run_checkers(history, scenario),
        trace_hash="ab",
        virtual_s=660.0,
        wall_s=2.0,
    )
    assert (made.verdict, made.reason) == ("pass", "")
    assert (made.rpo_s, made.rpo_operations, made.rto_s, made.planned_outage_s) == (0.35, 1, 26.01, 40.01)
    assert (made.virtual_s, made.wall_s, made.ratio) == (660.0, 2.0, 330.0)


def test_a_lab_error_makes_a_good_run_invalid(history: History, scenario: Scenario) -> None:
    history.lab_errors.append("the witness died")
    made = assemble(scenario=scenario, provider="sim", seed=7, history=history, checks=run_checkers(history, scenario))
    assert (made.verdict, made.reason) == ("invalid", "the witness died")


def test_a_run_that_the_lab_broke_off_is_invalid_though_clients_never_recovered(
    history: History, scenario: Scenario
) -> None:
    history.requests = [request for request in history.requests if request.started < 320]
    checks = run_checkers(history, scenario)
    assert "fail" in {check.verdict for check in checks}
    made = assemble(
        scenario=scenario, provider="sim", seed=7, history=history, checks=checks, reason="no witness of the fault"
    )
    assert (made.verdict, made.reason) == ("invalid", "no witness of the fault")


def test_a_failed_check_outweighs_an_invalid_one(history: History, scenario: Scenario) -> None:
    checks = [Check("a", "invalid", "no tree"), Check("b", "fail", "lost")]
    made = assemble(scenario=scenario, provider="sim", seed=7, history=history, checks=checks)
    assert (made.verdict, made.reason) == ("fail", "a: no tree")


def test_an_invalid_check_is_never_a_pass(history: History, scenario: Scenario) -> None:
    checks = [Check("a", "pass", ""), Check("b", "invalid", "no tree")]
    assert assemble(scenario=scenario, provider="sim", seed=7, history=history, checks=checks).verdict == "invalid"


def test_a_run_without_checks_is_invalid(scenario: Scenario) -> None:
    made = assemble(scenario=scenario, provider="sim", seed=7, history=History(), checks=[], reason="the lab stopped")
    assert (made.verdict, made.reason) == ("invalid", "the lab stopped; nothing was checked")
    assert (made.rpo_s, made.rto_s) == (None, None)


def test_an_outage_that_never_ended_is_no_figure(history: History, scenario: Scenario) -> None:
    history.requests = [request for request in history.requests if request.started < 320]
    made = assemble(scenario=scenario, provider="sim", seed=7, history=history, checks=run_checkers(history, scenario))
    assert (made.verdict, made.rto_s) == ("fail", None)


def test_a_skipped_scenario_carries_its_reason(scenario: Scenario) -> None:
    made = result.skipped(scenario=scenario, provider="netns", seed=1, reason="needs root")
    assert (made.verdict, made.reason, made.checks) == ("skipped", "needs root", [])


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([], 0),
        (["pass", "skipped"], 0),
        (["pass", "invalid", "skipped"], 3),
        (["invalid", "fail", "pass"], 1),
        (["fail"], 1),
    ],
)
def test_exit_status_puts_failure_before_invalidity(verdicts: list[Verdict], status: int) -> None:
    assert result.exit_status([of(verdict) for verdict in verdicts]) == status


def test_json_round_trip_keeps_everything() -> None:
    made = Result(
        scenario="s",
        provider="sim",
        seed=2,
        verdict="fail",
        checks=[Check("a", "fail", "x")],
        rpo_s=0.0,
        artifacts=["b"],
    )
    assert result.decode(result.encode(made)) == made
    assert json.loads(result.encode(made))["checks"] == [{"name": "a", "verdict": "fail", "detail": "x"}]


@pytest.mark.parametrize("data", [b"", b"{}", b'{"scenario": 1}', b"\xff"])
def test_what_is_no_result_is_refused(data: bytes) -> None:
    with pytest.raises(LabError, match="not a result"):
        result.decode(data)
