"""The campaign on a real machine: ``python -m tests.campaign.linux --count 300`` (``make campaign-linux``).

Two daemons of their own processes, in namespaces with a cable between them, the source with its filter over a directory
on the disk (root, FUSE and rsync). Each workload is drawn from its seed: system calls through the filter, and a fault.
Then everything is healed, and rsync has to find nothing to do between what lies beneath the filter and the replica.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from benchmarks.replication.product import Pair, missing
from benchmarks.replication.stage import Stage, StageError
from benchmarks.replication.stage import missing as stage_missing
from tests.campaign.calls import CALLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.records import ConnectionStatus

PATIENCE = 90.0
"""Seconds within which a healed pair has to be equal."""
SMALL = "retry_interval = 0.2\nqueue_bytes = 400000\ndisk_queue_bytes = 0\nmirror_window_bytes = 150000"


class Campaign:
    """A pair of daemons and the workloads that it goes through.

    Args:
        stage: both machines.
    """

    def __init__(self, stage: Stage) -> None:
        self.counts: Counter[str] = Counter()
        self._stage = stage
        self._pair = Pair(stage, stage.fresh("campaign"))
        for machine in (self._pair.sending, self._pair.receiving):
            file = machine.log.parent / "daemon.toml"
            file.write_text(file.read_text().replace("retry_interval = 0.2", SMALL))
        self._faults: list[Callable[[random.Random], None]] = [
            *(self._nothing, self._nothing, self._cut, self._kill_target),
            *(self._kill_source, self._restart_target, self._exhaust),
        ]

    def run(self, seeds: range, progress: Callable[[int], None]) -> list[str]:
        """Each seed's workload; what failed, in words."""
        failures: list[str] = []
        with self._pair as pair:
            pair.connect(mirror="checksum", orphans="delete")
            for seed in seeds:
                problem = self._workload(seed)
                self.counts["workloads"] += 1
                if problem:
                    events = "\n".join(pair.events()[-12:])
                    failures.append(f"seed {seed}: {problem}\n{events}")
                progress(len(failures))
                if problem:
                    break  # what follows would begin with two sides that differ
        return failures

    def _workload(self, seed: int) -> str:
        stream = random.Random(f"linux {seed}")
        fault = stream.choice(self._faults)
        steps = stream.randint(15, 60)
        for step in range(steps):
            self._step(stream)
            if step == steps // 2:
                self.counts[fault.__name__.strip("_")] += 1
                fault(stream)
        return self._differences()

    def _step(self, stream: random.Random) -> None:
        kind = stream.choice(list(CALLS))
        try:
            CALLS[kind](self._pair.source, stream)
        except OSError:
            return
        self.counts[kind.__name__] += 1

    # --- faults -----------------------------------------------------------------------------------------------------

    def _nothing(self, _stream: random.Random) -> None:
        return

    def _cut(self, stream: random.Random) -> None:
        """The cable is out for a while, and applications go on."""
        self._stage.cut()
        for _ in range(stream.randint(0, 20)):
            self._step(stream)
        time.sleep(stream.choice((0.0, 0.3)))
        self._stage.join()

    def _kill_target(self, stream: random.Random) -> None:
        self._pair.receiving.kill()
        for _ in range(stream.randint(0, 20)):
            self._step(stream)
        self._pair.receiving.start()

    def _kill_source(self, stream: random.Random) -> None:
        """Applications keep the filter, and nobody listens to it."""
        self._pair.sending.kill()
        for _ in range(stream.randint(0, 20)):
            self._step(stream)
        self._pair.sending.start()

    def _restart_target(self, _stream: random.Random) -> None:
        self._pair.receiving.stop()
        self._pair.receiving.start()

    def _exhaust(self, stream: random.Random) -> None:
        """More than the queue holds, while the target is away."""
        self._stage.cut()
        for number in range(10):
            (self._pair.source / "large").write_bytes(stream.randbytes(100) * 1000 + bytes([number]))
        self._stage.join()

    # --- peace ------------------------------------------------------------------------------------------------------

    def _differences(self) -> str:
        """What rsync finds once the source says that all is applied; empty when nothing."""
        end = time.monotonic() + PATIENCE
        found = "the source never said that all is applied"
        while time.monotonic() < end:
            status = self._pair.status()
            if _is_settled(status):
                found = self._rsync()
                if not found:
                    return ""
            time.sleep(0.1)  # times of directories follow a moment later
        return f"{found.strip()} ({self._pair.status().state})"

    def _rsync(self) -> str:
        command = ["rsync", "-aniHAXc", "--delete", f"{self._pair.truth}/", f"{self._pair.replica}/"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.stdout + done.stderr


def _is_settled(status: ConnectionStatus) -> bool:
    return status.state == "replicating" and not status.queue_operations and status.applied == status.generated


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.linux", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="workloads (300)")
    parser.add_argument("--from-seed", type=int, default=1, help="seed of the first workload (1)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on the file system to use (/var/tmp)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    chosen = parser.parse_args(arguments)
    if why := stage_missing() or missing():
        click.echo(f"campaign-linux: {why}", err=True)
        return 3
    began, seeds = time.monotonic(), range(chosen.from_seed, chosen.from_seed + chosen.count)
    click.echo(f"campaign-linux: {chosen.count} workloads, seeds {seeds[0]} to {seeds[-1]}", err=True)
    with Stage(chosen.directory) as stage:
        campaign = Campaign(stage)

        def progress(failed: int) -> None:
            line = f"{campaign.counts['workloads']}/{chosen.count} workloads, {failed} failed"
            click.echo(f"\r{line}, {time.monotonic() - began:.0f} s", nl=False, err=True)

        try:
            failures = campaign.run(seeds, progress)
        except StageError as error:
            failures = [f"the stage: {error}"]
    click.echo(err=True)
    for failure in failures:
        click.echo(failure, err=True)
    summary: dict[str, Any] = {
        "from_seed": chosen.from_seed, "failed": len(failures), **dict(sorted(campaign.counts.items())),
    }  # fmt: skip
    click.echo(json.dumps(summary) if chosen.json else "\n".join(f"{key}: {value}" for key, value in summary.items()))
    return 1 if failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends it ends it in order: mounts and programs go
    sys.exit(main())
