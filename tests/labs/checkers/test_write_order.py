from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bodydouble_labs.checkers import write_order
from bodydouble_labs.history import History, Mark, OrderViolation, ReplicaSample, WrittenRecord

if TYPE_CHECKING:
    from bodydouble_labs.checkers import Check
    from bodydouble_labs.scenario.model import Scenario


def run(history: History, scenario: Scenario) -> Check:
    return write_order.check(history, scenario.expect, scenario)


def record(number: int, started: float, acknowledged: float | None, writer: str = "w") -> WrittenRecord:
    key = f"{writer}-{number}"
    return WrittenRecord(key, writer, number, f"C:/InetPub/{key}.txt", 1, "d", started, acknowledged)


def test_good_run_passes_and_counts_both_kinds_of_evidence(history: History, scenario: Scenario) -> None:
    check = run(history, scenario)
    assert check.verdict == "pass"
    assert "4,212 replica states" in check.detail
    assert "samples of the replica kept the order" in check.detail


def test_a_violation_of_the_prefix_rule_fails_with_the_first_instant(history: History, scenario: Scenario) -> None:
    history.order_violations = [OrderViolation(190.0, "later"), OrderViolation(180.5, "b.txt before a.txt")]
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "2 replica states" in check.detail
    assert "180.500 s: b.txt before a.txt" in check.detail


def test_a_record_without_its_predecessor_fails(history: History, scenario: Scenario) -> None:
    sample = history.replica_samples[3]
    gap = ReplicaSample(sample.at, [key for key in sample.present if key != "orders-30"])
    history.replica_samples[3] = gap
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "without orders-30" in check.detail


def test_swapped_acknowledgement_order_fails(scenario: Scenario) -> None:
    records = [record(1, 0.0, 1.0), record(2, 2.0, 3.0)]
    history = History(records=records, replica_samples=[ReplicaSample(4.0, ["w-2"])])
    assert run(history, scenario).verdict == "fail"


def test_overlapping_records_may_arrive_in_any_order(scenario: Scenario) -> None:
    records = [record(1, 0.0, 2.0), record(2, 1.0, 3.0), record(3, 4.0, 5.0)]
    samples = [ReplicaSample(2.5, ["w-2"]), ReplicaSample(6.0, ["w-1", "w-2", "w-3"])]
    assert run(History(records=records, replica_samples=samples), scenario).verdict == "pass"


def test_an_unacknowledged_record_may_be_there_or_not(scenario: Scenario) -> None:
    records = [record(1, 0.0, 1.0), record(2, 2.0, None), record(3, 4.0, 5.0)]
    history = History(records=records, replica_samples=[ReplicaSample(6.0, ["w-1", "w-3"])])
    assert run(history, scenario).verdict == "pass"


def test_an_unacknowledged_record_that_is_there_still_needs_its_predecessors(scenario: Scenario) -> None:
    records = [record(1, 0.0, 1.0), record(2, 2.0, None)]
    history = History(records=records, replica_samples=[ReplicaSample(6.0, ["w-2"])])
    assert run(history, scenario).verdict == "fail"


def test_a_record_that_the_power_loss_took_is_not_asked_for_beside_later_ones(scenario: Scenario) -> None:
    records = [record(1, 0.0, 1.0), record(2, 2.0, 3.0), record(3, 10.0, 11.0), record(4, 12.0, 13.0)]
    history = History(records=records, replica_samples=[ReplicaSample(14.0, ["w-1", "w-3", "w-4"])])
    assert run(history, scenario).verdict == "fail"
    history.marks = [Mark(3.5, "fault", "source", "power-loss")]
    assert run(history, scenario).verdict == "pass"


def test_order_is_kept_among_the_stand_ins_records(scenario: Scenario) -> None:
    records = [record(3, 10.0, 11.0), record(4, 12.0, 13.0)]
    marks = [Mark(3.5, "fault", "source", "power-loss")]
    history = History(records=records, marks=marks, replica_samples=[ReplicaSample(14.0, ["w-4"])])
    assert run(history, scenario).verdict == "fail"


def test_nothing_compared_is_invalid(scenario: Scenario) -> None:
    assert run(History(), scenario).verdict == "invalid"
    empty = History(
        records=[record(1, 0.0, 1.0)], replica_samples=[ReplicaSample(2.0, []), ReplicaSample(3.0, ["w-1"])]
    )
    check = run(empty, scenario)
    assert (check.verdict, check.detail) == ("invalid", "nothing was compared")


def test_operation_by_operation_evidence_alone_passes(scenario: Scenario) -> None:
    assert run(History(order_checked=3), scenario).verdict == "pass"


def test_a_watch_that_compared_nothing_is_invalid_whatever_the_samples_say(
    history: History, scenario: Scenario
) -> None:
    history.order_watched, history.order_checked = True, 1
    check = run(history, scenario)
    assert check.verdict == "invalid"
    assert "none of them was compared" in check.detail


_RECORDS = st.lists(
    st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(0, 10)), st.booleans()), min_size=1, max_size=12
)


@given(_RECORDS)
def test_the_sweep_agrees_with_the_rule_pair_by_pair(
    scenario: Scenario, drawn: list[tuple[int, int | None, bool]]
) -> None:
    records = [
        record(number, float(started), None if took is None else float(started + took))
        for number, (started, took, _) in enumerate(drawn)
    ]
    present = {r.key for r, (_, _, there) in zip(records, drawn, strict=True) if there}
    broken = any(
        a.acknowledged is not None and a.acknowledged < b.started and b.key in present and a.key not in present
        for a in records
        for b in records
    )
    history = History(records=records, replica_samples=[ReplicaSample(99.0, sorted(present))])
    assert (run(history, scenario).verdict == "fail") == broken
