from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs import checkers
from bodydouble_labs.checkers import run_checkers
from bodydouble_labs.history import History

if TYPE_CHECKING:
    import pytest

    from bodydouble_labs.scenario.model import Scenario


def test_every_checker_passes_a_good_run(history: History, scenario: Scenario) -> None:
    listed = run_checkers(history, scenario)
    assert [(check.name, check.verdict) for check in listed] == [
        ("procedure", "pass"),
        ("runbook", "pass"),
        ("write-order", "pass"),
        ("convergence", "pass"),
        ("loss", "pass"),
        ("availability", "pass"),
        ("one-owner", "pass"),
    ]


def test_no_checker_passes_an_empty_history(scenario: Scenario) -> None:
    assert {check.verdict for check in run_checkers(History(), scenario)} == {"invalid"}


def test_a_crashing_checker_is_invalid_with_the_last_line_of_its_traceback(
    history: History, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(checkers, "CHECKERS", {"write-order": crash, "loss": checkers.CHECKERS["loss"]})
    first, second = run_checkers(history, scenario)
    assert (first.name, first.verdict) == ("write-order", "invalid")
    assert first.detail == "the checker crashed: ZeroDivisionError: by nothing"
    assert second.verdict == "pass"


def test_a_product_that_did_not_do_what_was_asked_fails(history: History, scenario: Scenario) -> None:
    history.unmet.append("wait for failed-over: not within 60 s")
    check = run_checkers(history, scenario)[0]
    assert (check.name, check.verdict, check.detail) == ("procedure", "fail", "wait for failed-over: not within 60 s")


def test_a_timeline_that_was_broken_off_is_invalid(history: History, scenario: Scenario) -> None:
    history.marks = [mark for mark in history.marks if mark.text != "Take the final trees"]
    check = run_checkers(history, scenario)[0]
    assert (check.name, check.verdict) == ("procedure", "invalid")
    assert "after 18 of 19 steps" in check.detail
