"""A million mutated inputs: ``python -m tests.fuzz`` (``make fuzz``).

Two processes; every 20,000 inputs have a seed of their own, from ``--seed`` on. A defect is printed with its seed and
the number of the input; ``--seed SEED --jobs 1 --count 20000`` repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

import click
from tests.fuzz.campaign import DefectError, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="inputs (1,000,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first process (1)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    chosen = parser.parse_args(arguments)
    part = 20_000 if chosen.jobs > 1 else chosen.count
    plan = [
        (chosen.seed + number, min(part, chosen.count - number * part)) for number in range(-(-chosen.count // part))
    ]
    click.echo(f"fuzz: {chosen.count} inputs, seeds {plan[0][0]} to {plan[-1][0]}, {part} each", err=True)
    began, tried, defects = time.monotonic(), Counter[str](), 0
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for done in as_completed([pool.submit(run, seed, count) for seed, count in plan]):
            try:
                tried.update(done.result())
            except DefectError as defect:
                defects += 1
                click.echo(f"\n{defect}", err=True)
            rate = tried.total() / (time.monotonic() - began)
            click.echo(f"\r{tried.total()}/{chosen.count} inputs, {rate:.0f} a second", nl=False, err=True)
    click.echo(err=True)
    click.echo(f"{tried.total()} inputs, {defects} defects: {dict(sorted(tried.items()))}")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
