from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from bodydouble_labs.errors import LabError
from bodydouble_labs.replay import Campaign, Replayed
from bodydouble_labs.replay.campaign import first_difference
from bodydouble_labs.replay.child import run
from bodydouble_labs.scenario.loader import find

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
