"""Generated scripts in a whole failover and failback: the product runs them, the lab sees the services."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bodydouble.profiles.catalog import find_profile
from bodydouble.profiles.samples import sample
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario import loader
from bodydouble_labs.scenario.steps import PutStep

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble.profiles.profile import ScriptEvent
    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import Scenario

EVENTS: dict[str, ScriptEvent] = {"POSTOVER.BAT": "post-failover", "PREBACK.BAT": "pre-failback"}


def with_samples(scenario: Scenario, profile: str) -> Scenario:
    """The scenario with generated scripts in place of the note's."""
    chosen = [each.name for each in find_profile(profile).services]
    files = {
        f"scripts/{file}": sample(find_profile(profile), event, source="SOURCE", services=chosen).encode()
        for file, event in EVENTS.items()
    }
    assert set(files) == set(scenario.files)
    timeline = [
        msgspec.structs.replace(step, put=[msgspec.structs.replace(each, replace={}) for each in step.put])
        if isinstance(step, PutStep)
        else step
        for step in scenario.timeline
    ]
    return msgspec.structs.replace(scenario, files=files, timeline=timeline)


def at(history: History, host: str, second: float) -> dict[str, str]:
    """The services' states on a host at a moment."""
    return {each.service: each.state for each in history.services if each.host == host and each.at <= second}


def ended(history: History, kind: ScriptEvent) -> Any:
    """When a script of the monitor ended, and how."""
    return next(mark for mark in history.marks if mark.code == 9112 and mark.text.startswith(f"{kind} script"))


@pytest.mark.parametrize("profile", ["iis4", "iis5"])
def test_generated_scripts_carry_a_failover_and_a_failback(profile: str, tmp_path: Path) -> None:
    scenario = with_samples(loader.load(loader.find(f"{profile}-power-loss")), profile)
    run = conduct(scenario, SimProvider(), seed=1, directory=tmp_path, wall_clock=time.perf_counter)
    assert run.result.verdict == "pass", run.result
    history = run.history
    names = {each.name for each in find_profile(profile).services}
    over, back = ended(history, "post-failover"), ended(history, "pre-failback")
    assert "ended with exit code 0" in over.text, over.text
    assert "ended with exit code 0" in back.text, back.text
    step = 60.0  # the lab looks at the services after each step of the timeline, and every few seconds
    before, standing, after = (at(history, "target", when) for when in (over.at - step, over.at + step, back.at + step))
    assert {before[name] for name in names} == {"stopped"}
    assert {standing[name] for name in names} == {"running"}
    assert {after[name] for name in names} == {"stopped"}
