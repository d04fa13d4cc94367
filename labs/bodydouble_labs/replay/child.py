"""One run in a process of its own: prints hash and verdict as JSON; with a third argument keeps the trace there.

``python -m bodydouble_labs.replay.child SCENARIO-FILE SEED [DIRECTORY] [--explore | --tape FILE]``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec

from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.loader import load
from bodydouble_sim.exploration import DecisionTape


class Report(msgspec.Struct, frozen=True):
    """What a child says about its run."""

    trace_hash: str
    verdict: str
    reason: str
    virtual_s: float


def run(file: Path, seed: int, directory: Path, *, keep_trace: bool, explore: bool | DecisionTape = False) -> Report:
    """Run a scenario once in the simulator."""
    provider = SimProvider(keep_trace=keep_trace, explore=explore)
    result = conduct(load(file), provider, seed=seed, directory=directory, wall_clock=lambda: 0.0).result
    reasons = [f"{check.title}: {check.detail}" for check in result.checks if check.verdict != "pass"]
    return Report(result.trace_hash, result.verdict, result.reason or "; ".join(reasons), result.virtual_s)


def main(arguments: list[str]) -> None:
    """The process."""
    given = _parser().parse_args(arguments)
    explore = given.explore if given.tape is None else DecisionTape.read(given.tape)
    if given.directory is not None:
        report = run(given.file, given.seed, given.directory, keep_trace=True, explore=explore)
    else:
        with tempfile.TemporaryDirectory(prefix="bodydouble-replay-") as directory:
            report = run(given.file, given.seed, Path(directory), keep_trace=False, explore=explore)
    sys.stdout.buffer.write(msgspec.json.encode(report))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bodydouble_labs.replay.child")
    parser.add_argument("file", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("--explore", action="store_true")
    parser.add_argument("--tape", type=Path)
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
