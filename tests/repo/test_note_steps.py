"""docs/note-steps.md names every numbered step of the application note, and nothing that does not exercise it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/note-steps.md").read_text(encoding="utf-8")
SCENARIO = (ROOT / "labs/scenarios/iis5-power-loss.yaml").read_text(encoding="utf-8")
STEPS = {
    "Install Software on the Source": 3,
    "Install and Configure Software on the Target": 10,
    "Configure and Begin Mirroring and Replication": 11,
    "Configure Failover and Begin Failure Monitoring": 9,
    "Restoring Your IIS Data": 19,
}
"""The note's sections and how many numbered steps each has."""


def rows() -> list[tuple[str, str, str]]:
    """Section, step and what exercises it, for each row of the page."""
    found = []
    section = ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| step"):
            step, _, here, by = (cell.strip() for cell in line.strip("|").split(" | "))
            assert here
            found.append((section, step, by))
    return found


def unknown(by: str) -> str:
    """What a row claims and nobody finds; empty when it is there."""
    test = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", by)
    if test is not None:
        path = ROOT / test[1]
        there = path.is_file() and f"def {test[2]}(" in path.read_text(encoding="utf-8")
        return "" if there else by
    note = re.fullmatch(r"`iis5-power-loss`: (.+)", by)
    return "" if note is not None and f"note: {note[1]}\n" in SCENARIO else by


@pytest.mark.parametrize("section", STEPS)
def test_every_numbered_step_has_its_row(section: str) -> None:
    steps = [step for where, step, _ in rows() if where == section]
    assert steps == [str(number) for number in range(1, STEPS[section] + 1)]


def test_what_exercises_a_step_is_there() -> None:
    assert [claimed for *_, by in rows() if (claimed := unknown(by))] == []


@pytest.mark.parametrize(
    "claimed",
    ["`tests/repo/test_note_steps.py::test_nobody`", "`tests/none.py::test_x`", "`iis5-power-loss`: 99", "by hand"],
)
def test_claim_that_is_not_so_is_seen(claimed: str) -> None:
    assert unknown(claimed) == claimed
