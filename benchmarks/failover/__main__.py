"""``python -m benchmarks.failover``: how long a failover takes on real daemons in network namespaces."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from benchmarks.failover.measure import SLACK, Measurement, Outage
from benchmarks.failover.outage import OutageError

from bodydouble_labs.providers.netns import NetnsProvider
from bodydouble_labs.scenario.loader import find, load

EXAMPLES = """
\b
Examples:
  sudo .venv/bin/python -m benchmarks.failover
  sudo .venv/bin/python -m benchmarks.failover --runs 3 --interval 5 --missed 5 --json
"""


@click.command(epilog=EXAMPLES)
@click.option("--runs", type=click.IntRange(1), default=30, show_default=True, help="Failovers.")
@click.option(
    "--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between heartbeats."
)
@click.option(
    "--missed", type=click.IntRange(1), default=3, show_default=True, help="Missed heartbeats that make a failure."
)
@click.option(
    "--scenario", default="iis5-power-loss", show_default=True, help="Its timeline up to the monitor sets it up."
)
@click.option("--seed", default=1, show_default=True, help="Draws pages and tokens.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, with every failover.")
def main(*, runs: int, interval: float, missed: int, scenario: str, seed: int, as_json: bool) -> None:
    """Cut the source's power, and ask for a page by its address with curl until the stand-in answers.

    As root on Linux, with curl and tcpdump. Exit status 1: a failover took longer than its detection (interval x
    missed) and a second, or never came; 3: this machine cannot be measured on.
    """
    chosen = load(find(scenario)).with_monitor(interval=interval, missed=missed)
    missing = NetnsProvider().missing(chosen) or _programs()
    if missing:
        click.echo(f"cannot measure here: {missing}", err=True)
        sys.exit(3)
    outages: list[Outage] = []

    def note(outage: Outage) -> None:
        outages.append(outage)
        click.echo(f"{len(outages)}/{runs} failovers, {outage.seconds:.2f} s", err=True)

    with tempfile.TemporaryDirectory(prefix="bodydouble-failover-") as directory:
        try:
            NetnsProvider().run(chosen, seed, Path(directory), Measurement(chosen, seed, runs, note).run)
        except OutageError as error:
            raise click.ClickException(str(error)) from None
    detection = interval * missed
    _show(outages, detection, as_json=as_json)
    sys.exit(0 if max(each.seconds for each in outages) <= detection + SLACK else 1)


def _programs() -> str:
    missing = [name for name in ("curl", "tcpdump") if shutil.which(name) is None]
    return f"{', '.join(missing)} missing: apt-get install {' '.join(missing)}" if missing else ""


def _show(outages: list[Outage], detection: float, *, as_json: bool) -> None:
    seconds = sorted(each.seconds for each in outages)
    summary = {
        "failovers": len(outages),
        "detection_s": detection,
        "aim_s": detection + SLACK,
        "median_s": round(statistics.median(seconds), 3),
        "worst_s": round(seconds[-1], 3),
        "later_than_the_aim": sum(each > detection + SLACK for each in seconds),
        "announcements_least": min(each.announcements for each in outages),
        "announced_worst_s": round(max(each.announced for each in outages), 3),
    }
    if as_json:
        click.echo(json.dumps(summary | {"outages": [asdict(each) for each in outages]}))
    else:
        click.echo("\n".join(f"{key}: {value}" for key, value in summary.items()))


if __name__ == "__main__":
    main()
