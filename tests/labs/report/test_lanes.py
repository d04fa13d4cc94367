from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble_labs.history import History, Mark, Request, ServiceSample
from bodydouble_labs.report.lanes import Lane, timeline

if TYPE_CHECKING:
    from bodydouble_labs.scenario.model import Scenario

CUT, REPAIR = 300.4, 480.0


def lane(lanes: list[Lane], of: str, label: str = "") -> Lane:
    return next(lane for lane in lanes if lane.of == of and label in lane.label)


def states(lane: Lane) -> list[tuple[str, float, float]]:
    return [(span.state, span.begins, span.ends) for span in lane.spans]


def test_power_is_off_between_two_spans_and_the_cable_lies_over_it(history: History, scenario: Scenario) -> None:
    shown = timeline(history, scenario)
    drawn = states(lane(shown.power, "source"))
    assert ("off", CUT, REPAIR) in drawn
    assert ("unplugged", 13.5, 81.5) in drawn
    assert drawn[-1][0] == "unplugged"


def test_services_show_only_while_the_host_has_power(history: History, scenario: Scenario) -> None:
    drawn = states(lane(timeline(history, scenario).services, "source", "W3SVC"))
    assert drawn[0] == ("running", 5.0, CUT)
    assert drawn[1][:2] == ("stopped", REPAIR)


def test_a_service_of_a_host_without_power_is_not_drawn(history: History, scenario: Scenario) -> None:
    history.services.append(ServiceSample(90.0, "target", "W3SVC", "off"))
    shown = timeline(history, scenario)
    assert "off" not in {span.state for lane in shown.services for span in lane.spans}


def test_clients_are_listed_as_the_scenario_does_with_how_they_ask(history: History, scenario: Scenario) -> None:
    labels = [lane.label for lane in timeline(history, scenario).clients]
    assert labels == ["by-address (HTTP by address)", "by-name (HTTP by name)", "orders (FTP by address)"]


def test_each_outage_is_one_failed_span(history: History, scenario: Scenario) -> None:
    drawn = states(lane(timeline(history, scenario).clients, "by-name"))
    assert [state for state, _, _ in drawn] == ["good", "failed", "good", "failed", "good"]
    assert drawn[1][1:] == (300.5, 326.5)


def test_wrong_content_and_missing_records_have_states_of_their_own(scenario: Scenario) -> None:
    requests = [
        Request("by-name", "http-get", "name", 0.0, 0.1, "wrong-content"),
        Request("by-name", "http-get", "name", 1.0, 1.1, "status", "missing record"),
        Request("by-name", "http-get", "name", 2.0, 2.1, "status", "500"),
    ]
    drawn = lane(timeline(History(requests=requests), scenario).clients, "by-name")
    assert [span.state for span in drawn.spans] == ["wrong", "missing", "failed"]


def test_steps_are_numbered_in_order_of_time_with_the_notes_place(history: History, scenario: Scenario) -> None:
    history.marks.reverse()
    steps = timeline(history, scenario).steps
    assert [step.number for step in steps] == list(range(1, 18))
    assert (steps[3].mark.text, steps[3].note) == ("Reconnect the source", "Install, step 9")


def test_time_to_fail_is_interrupted_while_nothing_counts_down(history: History, scenario: Scenario) -> None:
    shown = timeline(history, scenario)
    assert len(shown.time_to_fail) == 2
    assert shown.time_to_fail[0][-1] == (326.0, 0.0)
    assert shown.time_out == pytest.approx(25.0)


def test_queues_are_interrupted_while_the_host_is_off(history: History, scenario: Scenario) -> None:
    assert len(timeline(history, scenario).queues["source"]) == 2


def test_an_empty_history_has_an_axis_all_the_same(scenario: Scenario) -> None:
    shown = timeline(History(), scenario)
    assert shown.end == 1.0
    assert shown.hosts == ["source", "target"]


def test_the_axis_reaches_the_last_thing_seen(scenario: Scenario) -> None:
    history = History(marks=[Mark(3.0, "step", "source", "x", until=9.0)])
    assert timeline(history, scenario).end == 9.0
