"""The automated restoration, in place of the operator's steps 14 to 19."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bodydouble.dtcl import shipped
from bodydouble.restore.service import RestorationService
from bodydouble_labs.errors import ScenarioError
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.steps import RunForStep

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble_labs.runner import Run
    from bodydouble_labs.scenario.model import Scenario

BEGIN, END = "  - step: Restore the data to the source\n", "  - step: The source serves again\n"
SCRIPTED = "  - {step: Run the automated restoration, dtcl: restore, within: 300}\n"


def scripted(directory: Path, step: str = SCRIPTED) -> Scenario:
    """The shipped scenario, its three last steps of the procedure done by the script."""
    shipped_file = find("iis5-power-loss")
    text = shipped_file.read_text()
    before, rest = text.split(BEGIN)
    after = rest.partition(END)[2]
    shutil.copytree(shipped_file.parent / "scripts", directory / "scripts")
    file = directory / "scripted.yaml"
    file.write_text(f"{before}{step}{END}{after}")
    return load(file)


def judged(scenario: Scenario, directory: Path) -> Run:
    brief = [
        msgspec.structs.replace(step, run_for=20.0) if isinstance(step, RunForStep) else step
        for step in scenario.timeline
    ]
    scenario = msgspec.structs.replace(scenario, timeline=brief)
    return conduct(scenario, SimProvider(), seed=1, directory=directory / "out", wall_clock=lambda: 0.0)


def test_the_script_restores_starts_the_services_and_connects_again(tmp_path: Path) -> None:
    result = judged(scripted(tmp_path), tmp_path).result
    assert [(check.name, check.detail) for check in result.checks if check.verdict != "pass"] == []
    assert result.verdict == "pass", result.reason


def test_a_script_that_forgets_the_services_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shipped.example("restore")
    forgetful = "\n".join(line for line in text.splitlines() if "service start" not in line)
    monkeypatch.setattr(shipped, "example", lambda _name: forgetful)
    assert judged(scripted(tmp_path), tmp_path).result.verdict == "fail"


def test_a_restoration_that_fails_ends_the_script_at_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_service: RestorationService, _restoration: Any, _replica: Any) -> None:
        raise OSError("planted")

    monkeypatch.setattr(RestorationService, "_complete", refuse)
    unmet = judged(scripted(tmp_path), tmp_path).history.unmet
    line = next(number for number, text in enumerate(shipped.example("restore").splitlines(), 1) if "[wait on" in text)
    assert len(unmet) == 1
    assert f"restore:{line}:" in unmet[0]
    assert "wait on restore timeout 1d: restoration 1 is failed" in unmet[0]


def test_a_script_that_does_not_ship_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="expected a script that comes with the product: restore"):
        scripted(tmp_path, "  - {step: Levitate, dtcl: levitate}\n")
