"""One run in a process of its own: prints hash and verdict as JSON; with a third argument keeps the trace there.

``python -m bodydouble_labs.replay.child SCENARIO-FILE SEED [DIRECTORY]``
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import msgspec

from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.loader import load


class Report(msgspec.Struct, frozen=True):
    """What a child says about its run."""

    trace_hash: str
    verdict: str
    reason: str
    virtual_s: float


def run(file: Path, seed: int, directory: Path, *, keep_trace: bool) -> Report:
    """Run a scenario once in the simulator."""
    result = conduct(
        load(file), SimProvider(keep_trace=keep_trace), seed=seed, directory=directory, wall_clock=lambda: 0.0
    ).result
    reasons = [check.detail for check in result.checks if check.verdict != "pass"]
    return Report(result.trace_hash, result.verdict, result.reason or "; ".join(reasons), result.virtual_s)


def main(arguments: list[str]) -> None:
    """The process."""
    file, seed = Path(arguments[0]), int(arguments[1])
    if len(arguments) > 2:  # noqa: PLR2004 - the optional third
        report = run(file, seed, Path(arguments[2]), keep_trace=True)
    else:
        with tempfile.TemporaryDirectory(prefix="bodydouble-replay-") as directory:
            report = run(file, seed, Path(directory), keep_trace=False)
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main(sys.argv[1:])
