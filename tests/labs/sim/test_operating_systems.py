"""Whole scenarios on NT 4.0 and 2000, with the file systems that each mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner.run import conduct
from bodydouble_labs.scenario.loader import load, shipped_directory
from bodydouble_labs.scenario.steps import RunForStep

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble_labs.runner.run import Run

DRIVES, NT_4 = "drives: {C: ntfs}", "windows-nt-4, service_pack: 6"


def run_of(tmp_path: Path, shipped: str, *changes: tuple[str, str], seconds: float = 20.0) -> Run:
    """A shipped scenario with changes everywhere in its text, and less time in its long stretches."""
    text = (shipped_directory() / f"{shipped}.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / f"{shipped}.yaml"
    file.write_text(text)
    scenario = load(file)
    steps = [
        msgspec.structs.replace(step, run_for=seconds) if isinstance(step, RunForStep) else step
        for step in scenario.timeline
    ]
    scenario = msgspec.structs.replace(scenario, timeline=steps)
    return conduct(scenario, SimProvider(), seed=1, directory=tmp_path, wall_clock=lambda: 0.0)


def states(run: Run, host: str, service: str) -> list[str]:
    """What a service was, without repetitions."""
    found = [sample.state for sample in run.history.services if (sample.host, sample.service) == (host, service)]
    return [state for index, state in enumerate(found) if index == 0 or found[index - 1] != state]


@pytest.mark.behaviour("the note, Configure Failover: on IIS 4.0 the Content Index lines are uncommented")
def test_the_content_index_starts_with_the_failover_and_stops_before_the_failback(tmp_path: Path) -> None:
    run = run_of(tmp_path, "iis4-power-loss")
    assert run.result.verdict == "pass", run.result
    assert "running" in states(run, "target", "cisvc")
    assert states(run, "target", "cisvc")[-1] == "stopped"
    assert states(run, "source", "cisvc")[-1] == "running"


@pytest.mark.behaviour("the note, Configure Failover: commented out, the Content Index is not started")
def test_the_content_index_stays_stopped_while_its_lines_are_comments(tmp_path: Path) -> None:
    commented = "'rem net start \"Content Index\"': 'net start \"Content Index\"'"
    run = run_of(tmp_path, "iis4-power-loss", (commented, "'rem net start': 'rem net start'"))
    failed_over = next(mark.at for mark in run.history.marks if mark.text == "The target stands in")
    after = {
        s.service for s in run.history.services if s.host == "target" and s.state == "running" and s.at > failed_over
    }
    assert "W3SVC" in after
    assert "cisvc" not in after
    failed = [check for check in run.result.checks if check.verdict != "pass"]
    assert [check.name for check in failed] == ["runbook"], run.result
    assert "cisvc on target is stopped" in failed[0].detail


@pytest.mark.parametrize(("shipped", "name"), [("iis4-power-loss", "fat16"), ("iis5-power-loss", "fat32")])
def test_data_on_a_fat_drive_comes_home_too(tmp_path: Path, shipped: str, name: str) -> None:
    changes = [(DRIVES, f"drives: {{C: ntfs, D: {name}}}"), ("/drive:C", "/drive:D"), (r"C:\InetPub", r"D:\InetPub")]
    run = run_of(tmp_path, shipped, *changes)
    assert run.result.verdict == "pass", run.result


def test_a_target_of_another_release_is_told_and_judged(tmp_path: Path) -> None:
    source = "computer_name: SOURCE, operating_system: "
    set_up = "on: source\n    command: 'install-iis /version:"
    changes = [(source + NT_4, source + "windows-2000"), (set_up + "4.0", set_up + "5.0")]
    run = run_of(tmp_path, "iis4-power-loss", *changes)
    assert run.result.verdict == "pass", run.result
    assert len(run.result.remarks) == 1


@pytest.mark.behaviour("the note: the replication set must include all directories that are used by any web sites")
def test_what_the_replication_set_lacks_is_a_remark_and_changes_no_verdict(tmp_path: Path) -> None:
    excluded = "- {include: 'C:\\InetPub'}", "- {include: 'C:\\InetPub'}\n      - {exclude: 'C:\\InetPub\\mailroot'}"
    run = run_of(tmp_path, "iis5-power-loss", excluded, seconds=5.0)
    assert run.result.verdict == "pass", run.result
    directories = ("drop directory", "queue directory", "badmail directory", "pickup directory")
    assert len(run.result.remarks) == len(directories)
    for remark, directory in zip(run.result.remarks, directories, strict=True):
        assert directory in remark
        assert r"C:\InetPub\mailroot" in remark
        assert "the rule C:/InetPub/mailroot excludes it" in remark
    told = {mark.text for mark in run.history.marks if "mailroot" in mark.text}
    assert len(told) == 2 * len(directories), "events of the source, at save and at connect"
