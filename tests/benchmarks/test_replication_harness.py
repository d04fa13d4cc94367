"""The harness of `benchmarks.replication`: what it takes for a good replica, and what it says of aims."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from benchmarks.replication import large, layer, load, order, small
from benchmarks.replication.__main__ import main
from benchmarks.replication.report import Aim, medians, table
from benchmarks.replication.systems import Running
from benchmarks.replication.trees import differences, lag, same_bytes
from click.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

FILES = 40
PLAN = small.SmallPlan.drawn(1, FILES)


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    """What the workload leaves behind on a plain directory."""
    root = tmp_path / "replica"
    root.mkdir()
    small.perform(PLAN, root)
    return root


def test_plan_has_the_shares_of_the_workload_and_follows_from_the_seed() -> None:
    assert small.SmallPlan.drawn(1, FILES) == PLAN
    assert small.SmallPlan.drawn(2, FILES) != PLAN
    assert (len(PLAN.creates), len(PLAN.patches), len(PLAN.renames), len(PLAN.deletes)) == (40, 8, 2, 2)


def test_finished_workload_meets_what_was_expected(replica: Path) -> None:
    assert PLAN.expected().met_by(replica)


def test_one_changed_byte_is_seen(replica: Path) -> None:
    path = next(iter(PLAN.expected().files))
    content = bytearray((replica / path).read_bytes())
    content[-1] ^= 1
    (replica / path).write_bytes(content)
    assert not PLAN.expected().met_by(replica)


def test_deleted_file_that_is_there_and_missing_one_are_seen(replica: Path) -> None:
    (replica / PLAN.deletes[0]).touch()
    assert not PLAN.expected().met_by(replica)
    (replica / PLAN.deletes[0]).unlink()
    (replica / PLAN.renames[0][1]).unlink()
    assert not PLAN.expected().met_by(replica)


def test_large_files_are_compared_byte_by_byte(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(3_000_000))
    assert not same_bytes(one, other, [])
    other.write_bytes(bytes(2_999_999) + b"x")
    assert not same_bytes(one, other, [0])
    other.write_bytes(bytes(3_000_000))
    assert same_bytes(one, other, [0, 4096])


@pytest.mark.program("rsync")
def test_rsync_names_what_differs(replica: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(replica, copy)
    assert not [line for line in differences(replica, copy) if not line.startswith(".d")]
    (copy / PLAN.renames[0][1]).write_bytes(b"other")
    assert any(PLAN.renames[0][1] in line for line in differences(replica, copy))


def test_lag_that_never_ends_is_infinite() -> None:
    assert lag(lambda: False, 0.0, 0.0) == float("inf")


def test_layer_measures_each_kind_of_operation(tmp_path: Path) -> None:
    running = Running(tmp_path, tmp_path, tmp_path)
    measured = layer.run(NO_STAGE, running, 1, 20)
    assert set(measured) == {"sequential_per_s", "random_per_s", "create_4k_per_s", "unlink_per_s"}
    assert all(measured.values())


@pytest.mark.program("rsync")
def test_large_measures_a_replica_that_is_the_source_itself(tmp_path: Path) -> None:
    measured = large.run(NO_STAGE, Running(tmp_path, tmp_path, tmp_path), 1, 1)
    assert measured["sent_mb"] == 0
    assert measured["lag_s"] < large.PATIENCE


class _NoStage:
    """Where nothing passes over a wire."""

    def wire_bytes(self) -> tuple[int, int]:
        return 0, 0


NO_STAGE = _NoStage()


def test_aims_that_are_missed_are_said() -> None:
    rounds = [{"lag_s": lag_} for lag_ in (1.0, 9.0, 2.0)]
    assert medians(rounds) == {"lag_s": 2.0}
    text = table("small", {"bodydouble": rounds, "lsyncd": []}, {"unison": "not here"}, [Aim("lag_s", 1.5)])
    assert "aim lag_s: missed: 2, aim <= 1.5" in text
    assert "unison: skipped, not here" in text
    assert Aim("rate", 3000, at_least=True).judge(3000) == "met"


def test_help_shows_examples_and_a_wrong_size_is_refused() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    assert "--systems bodydouble,lsyncd" in shown.output
    wrong = CliRunner().invoke(main, ["small", "--size", "small=none"])
    assert wrong.exit_code in (1, 2)
    assert json.dumps(wrong.output)


def test_ratio_to_a_peer_is_an_aim_of_its_own() -> None:
    aim = Aim("rate", 1.0, at_least=True, system="filter", against="bindfs")
    assert aim.line({"filter": {"rate": 8.0}, "bindfs": {"rate": 10.0}}).endswith("missed: 0.8, aim >= 1")
    assert aim.line({"filter": {"rate": 10.0}, "bindfs": {"rate": 10.0}}).endswith("met")
    assert not aim.line({"filter": {"rate": 10.0}, "bindfs": {}})


# --- order ------------------------------------------------------------------------------------------


def records(count: int) -> bytes:
    return b"".join(order.record(number) for number in range(1, count + 1))


@pytest.mark.parametrize(
    ("in_a", "in_b", "replaced"), [(0, 0, None), (1, 0, None), (100, 100, None), (100, 100, 100), (250, 249, 200)]
)
def test_replicas_that_are_the_source_at_some_moment_violate_nothing(
    in_a: int, in_b: int, replaced: int | None
) -> None:
    found = order.check(records(in_a), records(in_b), None if replaced is None else order.current(replaced))
    assert (found.violations, found.torn, found.present) == ([], 0, in_b)


@pytest.mark.parametrize(
    ("a", "b", "current", "word"),
    [
        (records(7), records(8), None, "A only 7"),
        (records(9), records(7), None, "B only 7"),
        (records(101), records(100), None, "current is that of 0"),
        (records(150), records(150), order.current(200), "current is that of 200"),
        (records(3) + records(1), records(3), None, "no record behind 3"),
        (records(3)[:-5] + b"\0\0\0\0\0", records(2), None, "no record behind 2"),
    ],
)
def test_planted_violations_of_the_order_are_found(a: bytes, b: bytes, current: bytes | None, word: str) -> None:
    assert word in " ".join(order.check(a, b, current).violations)


def test_mixture_of_two_versions_is_torn() -> None:
    mixed = order.current(100)[:2048] + order.current(200)[2048:]
    assert order.check(records(250), records(250), mixed).torn == 1
    assert order.check(records(250), records(250), b"").torn == 1


def test_application_writes_what_the_checker_expects(tmp_path: Path) -> None:
    application = order.Application(tmp_path / "run")
    application.run(0.3)
    for _ in range(100):
        application._write()
    application.close()
    found = order._left(tmp_path / "run")
    assert (found.violations, found.torn, found.present) == ([], 0, application.written)


def test_cuts_are_counted_and_their_losses_measured(tmp_path: Path) -> None:
    def lose() -> None:
        path = next(each for each in sorted(tmp_path.glob("cut-*"), reverse=True) if not (each / "seen").exists())
        (path / "seen").touch()
        for name in "AB":
            content = (path / name).read_bytes()
            (path / name).write_bytes(content[: -2 * order.RECORD] if path.name == "cut-0" else content)

    running = Running(tmp_path, tmp_path, tmp_path, cut=lose)
    with patch.object(order, "CALM", 0.05), patch.object(order, "CUT_BETWEEN", (0.01, 0.1)):
        measured = order.run(NO_STAGE, running, 1, 2)
    assert (measured["violated"], measured["torn"], measured["missing_worst"]) == (0, 0, 2)


def test_lag_of_a_mark_ends_when_it_or_a_later_one_is_seen() -> None:
    assert load.lag_of(3, 1.0, {2: 1.5, 5: 4.0, 9: 8.0}) == 3.0
    assert load.lag_of(10, 1.0, {9: 8.0}) == float("inf")


def test_load_measures_a_replica_that_is_the_source_itself(tmp_path: Path) -> None:
    with patch.object(load, "BURST", 0.05):
        measured = load.run(NO_STAGE, Running(tmp_path, tmp_path, tmp_path), 1, 1)
    assert 0 <= measured["lag_p50_ms"] <= measured["lag_p99_ms"] < 1000 * load.PATIENCE


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["million", "--systems", "bodydouble"], "--systems bodydouble: million has filter"),
        (["small", "million", "--systems", "bodydouble"], "--systems bodydouble: million has filter"),
        (["small", "load", "--systems", "rsync"], "--systems rsync: small has bodydouble, lsyncd, unison; load has"),
        (["--systems", "nobody"], "--systems nobody: small has"),
    ],
)
def test_a_system_that_a_workload_does_not_have_is_refused_with_those_it_has(
    arguments: list[str], expected: str
) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert expected in done.output.replace("\n", " ")
