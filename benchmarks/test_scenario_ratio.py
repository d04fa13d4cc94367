"""How much faster than the wall a whole scenario runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner.run import conduct
from bodydouble_labs.scenario.loader import find, load

if TYPE_CHECKING:
    from pathlib import Path


def test_iis5_power_loss_virtual_by_wall_seconds(benchmark: Any, tmp_path: Path) -> None:
    scenario = load(find("iis5-power-loss"))

    def run() -> float:
        result = conduct(scenario, SimProvider(), seed=1, directory=tmp_path, wall_clock=time.perf_counter).result
        assert result.verdict == "pass", result.reason
        return result.ratio

    benchmark.extra_info["virtual_by_wall"] = benchmark.pedantic(run, rounds=2, warmup_rounds=1)
