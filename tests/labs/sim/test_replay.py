from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from bodydouble.cli.main import cli
from bodydouble_labs.errors import LabError
from bodydouble_labs.replay import Campaign, Replayed
from bodydouble_labs.replay.campaign import first_difference
from bodydouble_labs.replay.child import run
from bodydouble_labs.result import Result
from bodydouble_labs.scenario.loader import find
from bodydouble_sim.exploration import DecisionTape

if TYPE_CHECKING:
    from pathlib import Path

CHILD = """
import json, os, pathlib, sys
file, seed, *rest = sys.argv[1:]
differs = seed == "2"
said = os.environ["PYTHONHASHSEED"] if differs else "all"
if rest:
    pathlib.Path(rest[0]).mkdir()
    lines = ["0 power on", "5 " + said, "9 power off"]
    pathlib.Path(rest[0], "trace.txt").write_text("\\n".join(lines) + "\\n")
if seed == "3":
    sys.exit("boom")
print(json.dumps({"trace_hash": said + seed, "verdict": "pass", "reason": "", "virtual_s": 1.0}))
"""


def replay(tmp_path: Path, seeds: list[int]) -> list[Replayed]:
    child = tmp_path / "child.py"
    child.write_text(CHILD)

    async def main() -> list[Replayed]:
        campaign = Campaign(tmp_path / "x.yaml", 2, [sys.executable, str(child)])
        return [done async for done in campaign.run(seeds)]

    return asyncio.run(main())


def test_equal_runs_are_the_same(tmp_path: Path) -> None:
    (done,) = replay(tmp_path, [1])
    assert (done.same, done.trace_hash, done.difference) == (True, "all1", "")


def test_the_first_event_that_differs_is_named(tmp_path: Path) -> None:
    first, second = replay(tmp_path, [1, 2])
    assert first.same
    assert not second.same
    assert second.difference == "event 2: 5 1 | 5 2000"


def test_a_child_that_breaks_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="seed 3: the run's process ended with status 1: boom"):
        replay(tmp_path, [3])


def test_a_trace_that_is_shorter_differs_where_it_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n2\n")
    (tmp_path / "b").write_text("1\n")
    assert first_difference(tmp_path / "a", tmp_path / "b") == "event 2: 2 | (the run is over)"
    assert "equal" in first_difference(tmp_path / "a", tmp_path / "a")


def test_a_child_reports_the_run_and_keeps_its_trace(tmp_path: Path) -> None:
    text = (
        find("iis5-power-loss").read_text().replace("run_for: 180", "run_for: 5").replace("run_for: 300", "run_for: 5")
    )
    file = tmp_path / "short.yaml"
    file.write_text(text.replace("run_for: 120", "run_for: 5"))
    report = run(file, 1, tmp_path / "out", keep_trace=True)
    assert (report.verdict, report.reason) == ("pass", "")
    assert len(report.trace_hash) == 32
    assert (tmp_path / "out" / "trace.txt").is_file()


def short(tmp_path: Path) -> Path:
    text = find("iis5-power-loss").read_text()
    for seconds in (180, 300, 120):
        text = text.replace(f"run_for: {seconds}", "run_for: 5")
    file = tmp_path / "short.yaml"
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Result]:
    """A scenario file, the tape of an explored run of it, and the run's result."""
    place = tmp_path_factory.mktemp("explored")
    scenario = short(place)
    done = CliRunner().invoke(cli, ["lab", "run", str(scenario), "--explore", "--json", "--out", str(place / "out")])
    assert done.exit_code == 0, done.output
    return scenario, place / "out" / "tape.jsonl", msgspec.json.decode(done.stdout, type=Result)


def replayed(scenario: Path, *arguments: str) -> tuple[int, Replayed]:
    done = CliRunner().invoke(cli, ["lab", "replay", str(scenario), *arguments, "--json"])
    (result,) = msgspec.json.decode(done.stdout, type=list[Replayed])
    return done.exit_code, result


def test_an_explored_run_says_so_and_leaves_its_tape(explored: tuple[Path, Path, Result]) -> None:
    scenario, tape, result = explored
    assert (result.verdict, result.explored) == ("pass", True)
    assert "tape.jsonl" in result.artifacts
    assert DecisionTape.read(tape).trace_hash == result.trace_hash
    plain = run(scenario, 1, tape.parent / "plain", keep_trace=False)
    assert plain.trace_hash != result.trace_hash


def test_seed_and_tape_lead_to_the_same_trace(explored: tuple[Path, Path, Result]) -> None:
    scenario, tape, result = explored
    for arguments in (["--tape", str(tape)], ["--explore", "--seeds", "1"]):
        status, again = replayed(scenario, *arguments)
        assert (status, again.same, again.trace_hash) == (0, True, result.trace_hash)


def changed(tape: Path, lines: list[bytes]) -> Path:
    file = tape.with_name("changed.jsonl")
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def test_a_changed_decision_is_refused_with_its_number(explored: tuple[Path, Path, Result]) -> None:
    scenario, tape, _ = explored
    lines = tape.read_bytes().splitlines()
    lines[20] = b'{"options":2,"chosen":1,"ran":"nobody"}'
    status, again = replayed(scenario, "--tape", str(changed(tape, lines)))
    assert (status, again.same, again.verdict, again.difference) == (3, False, "invalid", "")
    assert again.reason.startswith("decision 20 of the tape ran nobody, 1 of 2; here ")


@pytest.mark.parametrize(
    ("more", "said"), [(1, "the run was over after"), (-1, "the run made 1 more: the tape was cut")]
)
def test_a_tape_of_another_length_is_refused(explored: tuple[Path, Path, Result], more: int, said: str) -> None:
    scenario, tape, _ = explored
    lines = tape.read_bytes().splitlines()
    lines = [*lines, lines[-1]] if more > 0 else lines[:more]
    status, again = replayed(scenario, "--tape", str(changed(tape, lines)))
    assert (status, again.same) == (3, False)
    assert said in again.reason


def test_a_tape_of_another_trace_is_a_difference(explored: tuple[Path, Path, Result]) -> None:
    scenario, tape, result = explored
    lines = tape.read_bytes().replace(result.trace_hash.encode(), b"0" * 32).splitlines()
    status, again = replayed(scenario, "--tape", str(changed(tape, lines)))
    assert (status, again.same) == (1, False)
    assert again.difference == f"the tape's run had the trace {'0' * 32}"


def test_what_is_no_tape_is_a_wrong_command_line(explored: tuple[Path, Path, Result], tmp_path: Path) -> None:
    scenario, tape, _ = explored
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(tape.read_bytes()[:-5])
    for arguments, said in (
        (["--tape", str(torn)], "torn.jsonl, line "),
        (["--tape", str(tmp_path / "none")], "none: cannot be read: No such file or directory"),
        (["--tape", str(tape), "--seeds", "1"], "the tape says what to repeat; leave --seeds out"),
    ):
        done = CliRunner().invoke(cli, ["lab", "replay", str(scenario), *arguments])
        assert done.exit_code == 2
        assert said in done.stderr


def test_schedules_are_explored_on_the_simulator_only(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["lab", "run", str(short(tmp_path)), "--explore", "--on", "netns"])
    assert done.exit_code == 2
    assert "--explore: only the simulator decides which task runs next" in done.stderr
