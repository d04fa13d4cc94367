"""``python -m benchmarks.replication``: the product's daemons and their peers under the same workloads in one run."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from benchmarks.replication import large, layer, load, million, order, programs, small
from benchmarks.replication.report import Aim, Rounds, medians, surroundings, table
from benchmarks.replication.stage import Stage, missing
from benchmarks.replication.systems import (
    LAYERS,
    ORDERED,
    REPLICATING,
    BareFilter,
    Bodydouble,
    Running,
    System,
    opened,
    version_of,
)

Round = Callable[[Stage, Running, int, int], dict[str, float]]


@dataclass(frozen=True)
class Workload:
    """One workload: what is measured, on which systems, how much of it, what should be reached, how many rounds."""

    run: Round
    systems: tuple[System, ...]
    size: int
    unit: str
    aims: tuple[Aim, ...] = ()
    rounds: int = 3


WORKLOADS = {
    "small": Workload(
        small.run,
        REPLICATING,
        5000,
        "files",
        (
            Aim("creates_per_s", 3000, at_least=True),
            Aim("lag_s", 1.5),
            Aim("sent_mb", 21),
            Aim("rsync_lines", 0),
        ),
    ),
    "large": Workload(
        large.run, REPLICATING, 512, "MiB", (Aim("lag_s", 1.3), Aim("random_sent_mb", 9), Aim("rsync_lines", 0))
    ),
    "layer": Workload(
        layer.run,
        LAYERS,
        20000,
        "operations",
        tuple(
            Aim(f"{kind}_per_s", 1.0, at_least=True, system="filter", against="bindfs")
            for kind in ("sequential", "random", "create_4k")
        ),
    ),
    "order": Workload(
        order.run,
        ORDERED,
        20,
        "cuts",
        (Aim("violated", 0), Aim("torn", 0), Aim("missing_median_ms", 100)),
        rounds=1,
    ),
    "load": Workload(load.run, (Bodydouble(),), 10, "seconds", (Aim("lag_p99_ms", 100),)),
    "million": Workload(
        million.run,
        (BareFilter(),),
        1_000_000,
        "files",
        (Aim("source_peak_mb", 300, system="filter"), Aim("target_peak_mb", 300, system="filter")),
        rounds=1,
    ),
    "programs": Workload(programs.run, (Bodydouble(),), 20, "seconds", (Aim("rsync_lines", 0),), rounds=1),
}
EXAMPLES = """
\b
Examples:
  sudo .venv/bin/python -m benchmarks.replication
  sudo .venv/bin/python -m benchmarks.replication small large --systems bodydouble,lsyncd --rounds 1
  sudo .venv/bin/python -m benchmarks.replication small --size small=500 --json > small.json
"""


@click.command(epilog=EXAMPLES)
@click.argument("workloads", nargs=-1, type=click.Choice(list(WORKLOADS)), metavar="[WORKLOAD]...")
@click.option("--systems", default="", help="Only these, separated by commas; without it all that are installed.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of each; medians are shown. 3, of long workloads 1.")
@click.option("--cuts", type=click.IntRange(1), help="Short for --size order=N.")
@click.option("--seed", default=1, show_default=True, help="Draws names, places and bytes.")
@click.option("--size", "sizes", multiple=True, metavar="WORKLOAD=N", help="Another amount than the usual one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, with every round.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/var/tmp"),
    show_default=True,
    help="On the file system to be measured; a directory is made there and removed at the end.",
)
def main(
    *,
    workloads: tuple[str, ...],
    systems: str,
    rounds: int | None,
    cuts: int | None,
    seed: int,
    sizes: tuple[str, ...],
    as_json: bool,
    directory: Path,
) -> None:
    """Measure real-time replication, as root on one Linux machine.

    WORKLOAD: small, large, layer, order, load, million, programs; without any, all of them. Source and target are two
    network namespaces; they and everything else that is made are removed at the end, also on Ctrl-C. A system that is
    not installed is skipped with that reason. Exit status 1: this machine cannot be measured on.
    """
    wanted = [name for name in systems.split(",") if name]
    chosen = _chosen(workloads, wanted)
    if reason := missing():
        raise click.ClickException(reason)
    amounts = {name: workload.size for name, workload in WORKLOADS.items()} | _amounts(sizes)
    amounts["order"] = cuts or amounts["order"]
    # What ends a process ends it in order here: mounts and directories go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    facts = surroundings(seed) | {
        "versions": {name: version_of(name) for name in ("lsyncd", "unison", "bindfs", "rsync")}
    }
    _say(", ".join(f"{key} {value}" for key, value in facts.items()))
    output: dict[str, Any] = facts | {"workloads": {}}
    with Stage(directory) as stage:
        for name in chosen:
            results, skipped = _measure(
                name, stage, wanted, rounds=rounds or WORKLOADS[name].rounds, seed=seed, amount=amounts[name]
            )
            output["workloads"][name] = _record(results, skipped, amounts[name])
            if not as_json:
                click.echo(
                    "\n"
                    + table(
                        f"{name}, {amounts[name]} {WORKLOADS[name].unit}", results, skipped, list(WORKLOADS[name].aims)
                    )
                )
    if as_json:
        click.echo(json.dumps(output, indent=1))


def _systems_of(workloads: tuple[str, ...]) -> dict[str, list[str]]:
    return {name: [system.name for system in WORKLOADS[name].systems] for name in workloads}


def _chosen(workloads: tuple[str, ...], wanted: list[str]) -> tuple[str, ...]:
    """The workloads to run; all that have one of the systems, when none is named. A name that fits nothing is refused.

    Raises:
        click.UsageError: a system that none of them has, or a workload that has none of the systems.
    """
    systems = _systems_of(workloads or tuple(WORKLOADS))
    for each in wanted:
        if not any(each in known for known in systems.values()):
            said = "; ".join(f"{name} has {', '.join(known)}" for name, known in systems.items())
            raise click.UsageError(f"--systems {each}: {said}")
    fitting = tuple(name for name, known in systems.items() if not wanted or set(wanted) & set(known))
    for name in workloads:
        if name not in fitting:
            raise click.UsageError(f"--systems {','.join(wanted)}: {name} has {', '.join(systems[name])}")
    return fitting


def _measure(
    name: str, stage: Stage, wanted: list[str], *, rounds: int, seed: int, amount: int
) -> tuple[Rounds, dict[str, str]]:
    workload = WORKLOADS[name]
    chosen = [each for each in workload.systems if not wanted or each.name in wanted]
    of_programs = programs.missing() if name == "programs" else ""
    skipped = {each.name: reason for each in chosen if (reason := each.missing() or of_programs)}
    results: Rounds = {each.name: [] for each in chosen if each.name not in skipped}
    for number in range(rounds):
        # Round by round, so that what else happens on the machine meets all systems alike.
        for system in chosen:
            if system.name in skipped:
                continue
            with opened(system, stage) as running:
                figures = workload.run(stage, running, seed + number, amount)
            results[system.name].append(figures)
            shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
            _say(f"{name} {number + 1}/{rounds} {system.name}: {shown}")
    return results, skipped


def _record(results: Rounds, skipped: dict[str, str], amount: int) -> dict[str, Any]:
    return {
        "size": amount,
        "median": {system: medians(each) for system, each in results.items()},
        "rounds": results,
        "skipped": skipped,
    }


def _amounts(sizes: tuple[str, ...]) -> dict[str, int]:
    amounts = {}
    for each in sizes:
        name, _, amount = each.partition("=")
        if name not in WORKLOADS or not amount.isdecimal() or not int(amount):
            raise click.UsageError(f"--size {each}: expected WORKLOAD=N, such as small=500")
        amounts[name] = int(amount)
    return amounts


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
