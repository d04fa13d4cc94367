from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bodydouble_labs.checkers import loss, losses
from bodydouble_labs.history import History, Mark, Request, TreeEntry, WrittenRecord

if TYPE_CHECKING:
    import pytest

    from bodydouble_labs.checkers import Check
    from bodydouble_labs.scenario.model import Scenario

CUT = 300.4


def run(history: History, scenario: Scenario, **limits: float) -> Check:
    return loss.check(history, msgspec.structs.replace(scenario.expect, **limits), scenario)


def acknowledged_between(history: History, begin: float, end: float) -> WrittenRecord:
    return next(r for r in history.records if r.acknowledged is not None and begin <= r.acknowledged < end)


def remove(history: History, record: WrittenRecord, *hosts: str) -> None:
    for host in hosts or ("source", "target"):
        history.trees[host].pop(record.path.removeprefix("C:/InetPub/"), None)


def corrupt(history: History, record: WrittenRecord, host: str) -> None:
    tree, path = history.trees[host], record.path.removeprefix("C:/InetPub/")
    tree[path] = msgspec.structs.replace(tree[path], digest="00" * 32)


def test_a_loss_inside_the_rpo_passes_and_is_measured(history: History, scenario: Scenario) -> None:
    check = run(history, scenario)
    assert check.verdict == "pass"
    assert check.detail.endswith("1 lost to the power loss (RPO 0.350 s)")
    seconds, operations = losses.rpo(losses.losses(history, scenario))
    assert (round(seconds, 3), operations) == (0.35, 1)


def test_rpo_is_zero_when_nothing_is_lost(history: History, scenario: Scenario) -> None:
    taken = acknowledged_between(history, 300.0, CUT)
    for tree in history.trees.values():
        tree[taken.path.removeprefix("C:/InetPub/")] = TreeEntry(False, 2000, taken.digest, 32, "everyone", 0)
    assert losses.rpo(losses.losses(history, scenario)) == (0.0, 0)
    assert run(history, scenario, max_rpo=0).verdict == "pass"


def test_a_loss_beyond_the_rpo_fails(history: History, scenario: Scenario) -> None:
    remove(history, acknowledged_between(history, 290.0, 291.5))
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "before the power loss: more than 5 s" in check.detail


def test_too_many_lost_records_fail(history: History, scenario: Scenario) -> None:
    assert run(history, scenario, max_rpo_operations=1).verdict == "pass"
    check = run(history, scenario, max_rpo_operations=0)
    assert check.verdict == "fail"
    assert "1 acknowledged record lost to the power loss, more than 0" in check.detail


def test_a_record_of_the_stand_in_must_come_home(history: History, scenario: Scenario) -> None:
    remove(history, acknowledged_between(history, 400.0, 402.0))
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "no power loss explains it" in check.detail


def test_a_record_after_failback_must_be_on_the_target_as_well(history: History, scenario: Scenario) -> None:
    remove(history, acknowledged_between(history, 600.0, 602.0), "target")
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "is missing on target" in check.detail


def test_a_corrupted_record_fails(history: History, scenario: Scenario) -> None:
    corrupt(history, acknowledged_between(history, 200.0, 202.0), "source")
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert "is altered on source" in check.detail


def test_an_acknowledgement_that_arrives_just_after_the_cut_counts_as_the_sources(
    history: History, scenario: Scenario
) -> None:
    late = WrittenRecord("orders-x", "orders", 999, "C:/InetPub/x.txt", 1, "d", CUT - 0.001, CUT + 0.0002)
    history.records.append(late)
    assert run(history, scenario).verdict == "pass"
    history.records[-1] = msgspec.structs.replace(late, started=CUT + 0.0001)
    assert run(history, scenario).verdict == "fail"


def test_the_same_loss_without_a_power_loss_fails(history: History, scenario: Scenario) -> None:
    history.marks = [mark for mark in history.marks if mark.kind != "fault"]
    assert run(history, scenario).verdict == "fail"


def test_the_power_span_says_when_power_went_rather_than_the_mark(history: History, scenario: Scenario) -> None:
    history.marks = [
        msgspec.structs.replace(mark, at=CUT + 1.5) if mark.kind == "fault" else mark for mark in history.marks
    ]
    seconds, _ = losses.rpo(losses.losses(history, scenario))
    assert round(seconds, 3) == 0.35


def test_windows_names_are_found_whatever_their_case(history: History, scenario: Scenario) -> None:
    for host, tree in history.trees.items():
        history.trees[host] = {path.upper(): entry for path, entry in tree.items()}
    assert run(history, scenario).verdict == "pass"


def test_a_reader_that_misses_a_record_which_is_not_lost_fails(history: History, scenario: Scenario) -> None:
    record = acknowledged_between(history, 400.0, 402.0)
    history.requests.append(
        Request("by-name", "http-get", "name", 450.0, 450.1, "status", "missing record", record.key)
    )
    check = run(history, scenario)
    assert check.verdict == "fail"
    assert f"missing when read: {record.key} at 450.000 s" in check.detail


def test_a_reader_that_misses_a_lost_record_is_told_the_truth(history: History, scenario: Scenario) -> None:
    record = acknowledged_between(history, 300.0, CUT)
    history.requests.append(
        Request("by-name", "http-get", "name", 450.0, 450.1, "status", "missing record", record.key)
    )
    assert run(history, scenario).verdict == "pass"


def test_no_acknowledged_record_is_invalid(history: History, scenario: Scenario) -> None:
    history.records = [msgspec.structs.replace(record, acknowledged=None) for record in history.records]
    assert run(history, scenario).verdict == "invalid"


def test_no_record_on_the_stand_in_is_invalid(history: History, scenario: Scenario) -> None:
    history.records = [record for record in history.records if not CUT < record.started < 500.0]
    check = run(history, scenario)
    assert check.verdict == "invalid"
    assert "while the target stood in" in check.detail


def test_a_missing_tree_is_invalid(history: History, scenario: Scenario) -> None:
    del history.trees["target"]
    assert run(history, scenario).verdict == "invalid"


def test_a_record_outside_of_the_protected_root_is_invalid_not_a_pass(
    history: History, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    del monkeypatch
    from bodydouble_labs.checkers import run_checkers  # noqa: PLC0415 - only this test runs them all

    history.records[0] = msgspec.structs.replace(history.records[0], path="C:/Temp/x.txt")
    verdicts = {check.name: check for check in run_checkers(history, scenario)}
    assert verdicts["loss"].verdict == "invalid"
    assert "C:/Temp/x.txt" in verdicts["loss"].detail


@given(st.sets(st.integers(1, 30), max_size=10), st.integers(0, 30))
def test_a_run_passes_exactly_when_only_the_newest_seconds_are_gone(
    scenario: Scenario, gone: set[int], max_rpo: int
) -> None:
    records = [
        WrittenRecord(f"w-{n}", "w", n, f"C:/InetPub/{n}.txt", 1, f"d{n}", n - 0.5, float(n)) for n in range(1, 31)
    ]
    records.append(WrittenRecord("w-s", "w", 99, "C:/InetPub/s.txt", 1, "ds", 50.0, 51.0))
    names = {r.path.removeprefix("C:/InetPub/"): r for r in records if r.number not in gone}
    tree = {path: TreeEntry(False, 1, record.digest, 0, "", 0) for path, record in names.items()}
    history = History(records=records, marks=[Mark(30.0, "fault", "source", "power-loss")])
    history.trees = {"source": tree, "target": tree}
    allowed = all(30 - number <= max_rpo for number in gone)
    assert (run(history, scenario, max_rpo=max_rpo).verdict == "pass") == allowed
    assert losses.rpo(losses.losses(history, scenario)) == (float(30 - min(gone, default=30)), len(gone))
