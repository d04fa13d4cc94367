"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rounds = dict[str, list[dict[str, float]]]
"""Rounds by system; a system that was skipped has none."""


@dataclass(frozen=True)
class Aim:
    """What a figure of a system should be, at least or at most; with ``against``, its ratio to another system's."""

    key: str
    value: float
    at_least: bool = False
    system: str = "bodydouble"
    against: str = ""

    def line(self, found: dict[str, dict[str, float]]) -> str:
        """What is to be said about it; empty when it was not measured."""
        value = found.get(self.system, {}).get(self.key)
        if value is None or (self.against and self.key not in found.get(self.against, {})):
            return ""
        if not self.against:
            return f"aim {self.key}: {self.judge(value)}"
        ratio = value / found[self.against][self.key]
        return f"aim {self.key}, {self.system} / {self.against} = {ratio:.2f}: {self.judge(ratio)}"

    def judge(self, value: float) -> str:
        """``met`` or by how much it was missed."""
        if value >= self.value if self.at_least else value <= self.value:
            return "met"
        return f"missed: {value:.3g}, aim {'>=' if self.at_least else '<='} {self.value:g}"


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]} if rounds else {}


def surroundings(seed: int) -> dict[str, Any]:
    """What has to be known of the machine and the versions for a figure to mean something."""
    load = os.getloadavg()[0]
    return {
        "seed": seed,
        "machine": f"{os.cpu_count()} x {_processor()}, {_memory_gib():.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
        "load": round(load, 2),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def table(name: str, results: Rounds, skipped: dict[str, str], aims: list[Aim]) -> str:
    """One workload's medians, a row a system; below it what Bodydouble should have reached."""
    found = {system: medians(rounds) for system, rounds in results.items() if rounds}
    columns = list(dict.fromkeys(key for figures in found.values() for key in figures))
    rows = [["system", *columns]]
    rows += [[system, *(_shown(figures.get(key)) for key in columns)] for system, figures in found.items()]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["", f"{name} (median of {max((len(each) for each in results.values()), default=0)})"]
    for row in rows:
        cells = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells))
    lines += [f"{system}: skipped, {reason}" for system, reason in skipped.items()]
    lines += [line for aim in aims if (line := aim.line(found))]
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
