from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.checkers import outages, story
from bodydouble_labs.history import History, Mark, PowerSpan, Request, ServiceSample
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


def test_only_the_sites_services_and_the_products_own_are_shown(history: History, scenario: Scenario) -> None:
    for name in ("Eventlog", "RpcSs", "Bodydouble", "cisvc"):
        history.services.append(ServiceSample(5.0, "target", name, "running"))
    shown = timeline(history, scenario)
    labels = [lane.label for lane in shown.services if lane.of == "target"]
    assert labels == [*(name for name in scenario.services_of("source") if name in labels), "Bodydouble"]
    assert {"Eventlog", "RpcSs", "cisvc"} <= {sample.service for sample in history.services}


def event(at: float, code: EventCode, text: str, host: str = "target") -> Mark:
    return Mark(at, "event", host, text, code=int(code))


ADDED = event(10.0, EventCode.ADDRESS_ADDED, "Address 10.0.0.10/24 added to Local Area Connection")
NAMED = event(11.0, EventCode.NAME_ADDED, "Name SOURCE added")
UNNAMED = event(50.0, EventCode.NAME_REMOVED, "Name SOURCE removed")
REMOVED = event(60.0, EventCode.ADDRESS_REMOVED, "Address 10.0.0.10/24 removed from Local Area Connection")
END = Mark(100.0, "step", "", "end")


def stand_ins(scenario: Scenario, *marks: Mark, power: list[PowerSpan] | None = None) -> list[tuple[str, float, float]]:
    shown = timeline(History(marks=[*marks, END], power=power or []), scenario)
    return [(span.title, span.begins, span.ends) for lane in shown.stand_ins for span in lane.spans]


def test_a_host_stands_in_from_the_first_thing_added_until_the_last_removed(scenario: Scenario) -> None:
    assert stand_ins(scenario, ADDED, NAMED, UNNAMED, REMOVED) == [("SOURCE 10.0.0.10", 10.0, 60.0)]


def test_a_failed_over_identity_that_is_never_given_back_is_held_to_the_end(scenario: Scenario) -> None:
    assert stand_ins(scenario, ADDED, NAMED, UNNAMED) == [("SOURCE 10.0.0.10", 10.0, 100.0)]


def test_a_complete_failback_ends_the_stand_in_whatever_was_not_reported(scenario: Scenario) -> None:
    done = event(70.0, EventCode.FAILBACK_COMPLETE, "Failback of SOURCE is complete")
    assert stand_ins(scenario, ADDED, NAMED, done) == [("SOURCE 10.0.0.10", 10.0, 70.0)]


def test_only_what_was_added_is_said_to_stand_in(scenario: Scenario) -> None:
    assert stand_ins(scenario, NAMED, UNNAMED) == [("SOURCE", 11.0, 50.0)]
    assert stand_ins(scenario, UNNAMED, REMOVED) == []


def test_a_host_without_power_does_not_stand_in(scenario: Scenario) -> None:
    power = [PowerSpan("target", 0.0, 20.0), PowerSpan("target", 30.0, None)]
    drawn = stand_ins(scenario, ADDED, REMOVED, power=power)
    assert drawn == [("10.0.0.10", 10.0, 20.0), ("10.0.0.10", 30.0, 60.0)]


def test_clients_are_listed_as_the_scenario_does_with_how_they_ask(history: History, scenario: Scenario) -> None:
    labels = [lane.label for lane in timeline(history, scenario).clients]
    assert labels == ["by-address (HTTP by address)", "by-name (HTTP by name)", "orders (FTP by address)"]


def test_each_outage_is_one_failed_span(history: History, scenario: Scenario) -> None:
    drawn = states(lane(timeline(history, scenario).clients, "by-name"))
    assert [state for state, _, _ in drawn] == ["good", "failed", "good", "failed", "good"]
    assert drawn[1][1:] == (300.5, 326.5)


def test_wrong_content_and_lost_records_have_states_of_their_own(scenario: Scenario) -> None:
    requests = [
        Request("by-name", "http-get", "name", 0.0, 0.1, "wrong-content"),
        Request("by-name", "http-get", "name", 1.0, 1.1, "status", "missing record"),
        Request("by-name", "http-get", "name", 2.0, 2.1, "status", "500"),
    ]
    drawn = lane(timeline(History(requests=requests), scenario).clients, "by-name")
    assert [span.state for span in drawn.spans] == ["wrong", "lost", "failed"]


def test_a_record_torn_by_the_power_cut_is_drawn_as_lost_like_the_checker_says(
    history: History, scenario: Scenario
) -> None:
    torn = next(record.key for record in history.records if record.started == int(CUT))
    intact = history.records[0].key
    history.requests = [
        Request("by-name", "http-get", "name", at, at + 0.1, "wrong-content", record=key)
        for at, key in ((CUT - 0.3, torn), (CUT + 30, torn), (CUT + 31, intact))
    ]
    drawn = lane(timeline(history, scenario).clients, "by-name")
    assert [span.state for span in drawn.spans] == ["wrong", "lost", "wrong"]
    at_risk = story.at_risk(history, scenario)
    called_torn = [outages.is_torn_record(request, at_risk) for request in history.requests]
    assert called_torn == [span.state == "lost" for span in drawn.spans]


def test_steps_are_numbered_in_order_of_time_with_the_notes_place(history: History, scenario: Scenario) -> None:
    history.marks.reverse()
    steps = timeline(history, scenario).steps
    assert [step.number for step in steps] == list(range(1, 20))
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
