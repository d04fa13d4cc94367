"""The whole campaign: ``python -m tests.campaign --count 2000`` (``make campaign``).

Each batch of 25 workloads has a seed of its own; two processes share the seeds. What failed is printed with the line
that repeats it, ``--from-seed SEED --count 25``, and Hypothesis's blob; ``--shrink`` looks for a smaller one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

import click
from tests.campaign.batches import BATCH, told


def batches(first: int, count: int) -> list[tuple[int, int]]:
    """Seeds with how many workloads each is for."""
    return [(first + number, min(BATCH, count - number * BATCH)) for number in range(-(-count // BATCH))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="workloads (2000)")
    parser.add_argument("--from-seed", type=int, default=1, help="seed of the first batch of 25 (1)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--shrink", action="store_true", help="reduce what failed")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    chosen = parser.parse_args(arguments)
    plan = batches(chosen.from_seed, chosen.count)
    click.echo(f"campaign: {chosen.count} workloads, seeds {plan[0][0]} to {plan[-1][0]}", err=True)
    began, sums, failures = time.monotonic(), Counter[str](), {}
    fresh = 8 * chosen.jobs
    for at in range(
        0, len(plan), fresh
    ):  # processes are replaced now and then (not by the pool, which may wait for ever)
        with ProcessPoolExecutor(chosen.jobs) as pool:
            part = [pool.submit(told, seed, count, chosen.shrink) for seed, count in plan[at : at + fresh]]
            for done in as_completed(part):
                seed, counts, failure = done.result()
                sums.update(counts)
                if failure:
                    failures[seed] = failure
                    repeat = f"--from-seed {seed} --count {BATCH} --shrink"
                    click.echo(f"\nseed {seed} failed; repeat: {repeat}\n{failure}", err=True)
                line = f"{sums['workloads']}/{chosen.count} workloads, {len(failures)} batches failed"
                click.echo(f"\r{line}, {time.monotonic() - began:.0f} s", nl=False, err=True)
    click.echo(err=True)
    summary = {"from_seed": chosen.from_seed, "failed_seeds": sorted(failures), **dict(sorted(sums.items()))}
    click.echo(json.dumps(summary) if chosen.json else "\n".join(f"{key}: {value}" for key, value in summary.items()))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
