from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.labs.conftest import changed

from bodydouble_labs.checkers import availability, outages, story
from bodydouble_labs.history import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_labs.checkers import Check
    from bodydouble_labs.history import History, Outcome
    from bodydouble_labs.scenario.model import Scenario


def run(history: History, scenario: Scenario, **limits: float) -> Check:
    return availability.check(history, msgspec.structs.replace(scenario.expect, **limits), scenario)


def alter(history: History, which: Callable[[Request], bool], outcome: Outcome, detail: str = "") -> None:
    history.requests = [
        msgspec.structs.replace(r, outcome=outcome, detail=detail) if which(r) else r for r in history.requests
    ]


def at(client: str, begin: float, end: float) -> Callable[[Request], bool]:
    return lambda request: request.client == client and begin <= request.started < end


def test_good_run_passes_with_its_figures(history: History, scenario: Scenario) -> None:
    check = run(history, scenario)
    assert check.verdict == "pass"
    assert "failover outage 26.010 s" in check.detail
    assert "planned outage 40.010 s" in check.detail


def test_rto_runs_from_the_start_of_the_first_failed_to_the_end_of_the_first_good_request(
    history: History, scenario: Scenario
) -> None:
    alter(history, at("by-name", 299.0, 300.0), "ok")
    history.requests.append(Request("by-name", "http-get", "name", 300.3, 302.3, "timeout"))
    found = outages.outages(history, scenario)
    assert found.rto_s == pytest.approx(326.51 - 300.3)


def test_rto_is_the_longest_over_readers_by_address_and_by_name(history: History, scenario: Scenario) -> None:
    alter(history, at("by-name", 326.0, 329.0), "timeout")
    check = run(history, scenario, max_rto=30)
    assert check.verdict == "pass"
    assert "failover outage 29.010 s" in check.detail
    assert run(history, scenario).verdict == "fail"


def test_an_outage_longer_than_the_rto_fails(history: History, scenario: Scenario) -> None:
    check = run(history, scenario, max_rto=26)
    assert check.verdict == "fail"
    assert "longer than the RTO of 26 s" in check.detail


def test_a_writers_outage_is_no_measure_of_the_rto(history: History, scenario: Scenario) -> None:
    alter(history, at("orders", 326.0, 340.0), "timeout")
    check = run(history, scenario)
    assert check.verdict == "pass"
    assert "failover outage 26.010 s" in check.detail


def test_an_outage_without_a_reason_fails(history: History, scenario: Scenario) -> None:
    alter(history, at("by-address", 200.0, 202.0), "refused", "port 80")
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "unexplained outage: by-address by address was out from 200.100 s for 2.010 s" in check.detail
    assert "first refused (port 80)" in check.detail


def test_a_writers_outage_without_a_reason_fails(history: History, scenario: Scenario) -> None:
    alter(history, at("orders", 600.0, 602.0), "status", "550")
    assert run(history, scenario).verdict == "fail"


def test_a_second_outage_while_the_target_stands_in_fails(history: History, scenario: Scenario) -> None:
    alter(history, at("by-address", 400.0, 402.0), "timeout")
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "unexplained outage" in check.detail


def test_an_outage_that_began_and_was_noticed_before_the_fault_is_unexplained(
    history: History, scenario: Scenario
) -> None:
    alter(history, at("by-address", 299.0, 300.3), "timeout")
    assert run(history, scenario).verdict == "fail"


def test_wrong_content_fails_even_once(history: History, scenario: Scenario) -> None:
    alter(history, at("by-name", 250.0, 251.0), "wrong-content", "page 3 holds page 4")
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "1 answer with wrong content, first by by-name at 250.500 s: page 3 holds page 4" in check.detail


def test_a_client_that_never_recovers_fails(history: History, scenario: Scenario) -> None:
    alter(history, at("by-name", 300.0, 9999.0), "timeout")
    check = run(history, scenario, max_rto=1000)
    assert check.verdict == "fail"
    assert "by-name by name was out from 300.500 s" in check.detail
    assert "never recovered" in check.detail


def test_a_planned_outage_beyond_its_limit_fails(history: History, scenario: Scenario) -> None:
    assert run(history, scenario, max_planned_outage=41).verdict == "pass"
    check = run(history, scenario, max_planned_outage=40)
    assert check.verdict == "fail"
    assert "planned outage of 40.010 s" in check.detail


def test_a_planned_outage_is_planned_only_with_a_failback(history: History, scenario: Scenario) -> None:
    history.marks = [m for m in history.marks if "ail back" not in m.text and "ailback" not in m.text]
    assert run(history, scenario).verdict == "fail"


def test_the_products_own_event_marks_a_failback_too(history: History, scenario: Scenario) -> None:
    history.marks = [m for m in history.marks if m.text != "Fail back"]
    assert run(history, scenario).verdict == "pass"


def test_an_answer_that_a_record_is_missing_is_no_outage(history: History, scenario: Scenario) -> None:
    alter(history, at("by-name", 200.0, 203.0), "status", "missing record")
    check = run(history, scenario)
    assert check.verdict == "pass"
    assert "3 reads of records" in check.detail


def test_an_answer_that_a_record_is_missing_ends_no_outage(history: History, scenario: Scenario) -> None:
    alter(history, at("by-name", 326.0, 330.0), "status", "missing record")
    assert outages.outages(history, scenario).rto_s == pytest.approx(330.51 - 300.5)


def test_a_fault_that_no_client_saw_is_invalid(history: History, scenario: Scenario) -> None:
    alter(history, lambda request: 300.0 < request.started < 480.0, "ok")
    check = run(history, scenario)
    assert check.verdict == "invalid"
    assert "was not seen by any client" in check.detail


def test_a_silent_reader_is_invalid(history: History, scenario: Scenario) -> None:
    history.requests = [r for r in history.requests if r.client != "by-name"]
    check = run(history, scenario)
    assert (check.verdict, check.detail) == ("invalid", "by-name made no request")


def test_a_scenario_without_readers_is_invalid(history: History, scenario: Scenario) -> None:
    workload = msgspec.structs.replace(scenario.workload, readers=[])
    assert run(history, changed(scenario, workload=workload)).verdict == "invalid"


@given(st.lists(st.booleans(), max_size=30))
def test_outages_are_exactly_the_runs_of_failed_requests(good: list[bool]) -> None:
    requests = [
        Request("r", "http-get", "name", float(n), n + 0.5, "ok" if fine else "timeout") for n, fine in enumerate(good)
    ]
    found = outages.of_client(reversed(requests), {})
    inside = {n for outage in found for n in range(len(good)) if outage.started <= n < (outage.ended or 999) - 0.5}
    assert inside == {n for n, fine in enumerate(good) if not fine}
    assert sum(outage.failed for outage in found) == good.count(False)


def altered_read_of_the_last_record_before_the_cut(history: History, scenario: Scenario, age: float) -> None:
    """A reader gets other bytes on the stand-in; the record was acknowledged ``age`` seconds before the cut or more."""
    cut = story.power_losses(history, scenario)[0]
    record = [r for r in history.records if r.acknowledged is not None and r.acknowledged <= cut - age][-1]
    history.requests.append(
        Request("by-address", "http-get", "address", cut + 60.05, cut + 60.06, "wrong-content", record=record.key)
    )


def test_a_record_that_the_power_loss_cut_short_within_the_rpo_is_no_lie(history: History, scenario: Scenario) -> None:
    altered_read_of_the_last_record_before_the_cut(history, scenario, age=0.0)
    check = run(history, scenario)
    assert check.verdict == "pass", check
    assert "1 read of records that the power loss cut short" in check.detail


def test_an_altered_record_older_than_the_rpo_is_a_lie(history: History, scenario: Scenario) -> None:
    altered_read_of_the_last_record_before_the_cut(history, scenario, age=scenario.expect.max_rpo + 0.1)
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "wrong content" in check.detail
