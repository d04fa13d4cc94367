"""The ``bodydouble lab`` commands: run, list, validate, schema, replay.

Exit status: 0 everything passed (skipped scenarios are listed); 1 a check failed, or two replays differed; 2 the
command line or a file is wrong; 3 a run is invalid; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bodydouble.cli.output import plain, print_json
from bodydouble.cli.session import Group, Session, examples, pass_session
from bodydouble.errors import InputError
from bodydouble_labs.errors import ScenarioError
from bodydouble_labs.scenario import loader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bodydouble_labs.providers.base import Provider
    from bodydouble_labs.replay import Campaign, Replayed
    from bodydouble_labs.result import Result
    from bodydouble_labs.runner import Run
    from bodydouble_labs.scenario.model import Scenario

INTERRUPTED = 130
INVALID = 3
FAILED = 1
SEEDS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
MOST_SEEDS = 100_000


def _loaded(arguments: Sequence[str]) -> list[Scenario]:
    """Every scenario named, checked before anything starts.

    Raises:
        InputError: the first that is wrong.
    """
    return [loader.load(loader.find(argument)) for argument in arguments]


def _provider(name: str, *, pcap: bool, explore: bool) -> Provider:
    if name == "netns":
        if explore:
            raise InputError("--explore: only the simulator decides which task runs next; use --on sim")
        from bodydouble_labs.providers.netns import NetnsProvider  # noqa: PLC0415 - only on Linux

        return NetnsProvider(pcap=pcap)
    from bodydouble_labs.providers.sim import SimProvider  # noqa: PLC0415 - the other commands start faster

    return SimProvider(pcap=pcap, explore=explore)


@click.group(
    cls=Group,
    epilog=examples(
        "bodydouble lab run iis5-power-loss",
        "bodydouble lab run my-scenario.yaml --on netns --seed 7 --out /tmp/results",
        "bodydouble lab replay iis5-power-loss --seeds 0-99 --jobs 4",
    ),
)
def lab() -> None:
    """The failover lab: runs scenarios on the unchanged product and proves what happened from outside."""


@lab.command(
    epilog=examples(
        "bodydouble lab run iis5-power-loss --seed 3",
        "bodydouble lab run iis5-power-loss --seed 3 --explore",
        "bodydouble lab run a.yaml b.yaml --json",
    )
)
@click.argument("scenarios", nargs=-1, required=True, metavar="FILE|NAME...")
@click.option("--on", type=click.Choice(["sim", "netns"]), default="sim", show_default=True, help="The host body.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Seed of all randomness.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the report.  [default: ./results/SCENARIO-PROVIDER-SEED]",
)
@click.option("--pcap/--no-pcap", default=True, show_default=True, help="Keep each segment's frames for Wireshark.")
@click.option("--explore", is_flag=True, help="Draw the order of ready tasks from the seed; keep a decision tape.")
@pass_session
@click.pass_context
def run(  # noqa: PLR0917 - click passes them by name
    context: click.Context,
    session: Session,
    scenarios: tuple[str, ...],
    on: str,
    seed: int,
    out: Path | None,
    pcap: bool,
    explore: bool,
) -> None:
    """Run scenarios and judge them.

    Writes result.json, events.jsonl, history.json, timeline.html, a pcapng file of each network segment and, with
    --explore, tape.jsonl for `bodydouble lab replay --tape`. Exit status: 0 all passed, 1 a check failed, 3 a
    run is invalid, 130 interrupted.
    """
    runs: list[Run] = []
    try:
        loaded = _loaded(scenarios)
        for number, scenario in enumerate(loaded):
            directory = _directory(out, scenario, on, seed, number if len(loaded) > 1 else None)
            runs.append(_run(session, scenario, _provider(on, pcap=pcap, explore=explore), seed, directory))
            if runs[-1].interrupted:
                break
    except KeyboardInterrupt:  # before a run began, or after its end: click would make it 1, a failed check
        context.exit(INTERRUPTED)
    results = [item.result for item in runs]
    if session.json:
        print_json(results[0] if len(loaded) == 1 else results)
    context.exit(INTERRUPTED if runs[-1].interrupted else _status(results))


def _status(results: Sequence[Result]) -> int:
    from bodydouble_labs.result import exit_status  # noqa: PLC0415 - see `_provider`

    return exit_status(results)


def _directory(out: Path | None, scenario: Scenario, provider: str, seed: int, number: int | None) -> Path:
    """Where a run's report goes: scenarios of one call never share a directory."""
    own = f"{scenario.name}-{provider}-{seed}"
    if out is None:
        return Path("results", own)
    return out if number is None else out / f"{number + 1:02d}-{own}"


def _run(session: Session, scenario: Scenario, provider: Provider, seed: int, directory: Path) -> Run:
    from bodydouble_labs.report import terminal  # noqa: PLC0415 - see `_provider`
    from bodydouble_labs.runner import conduct  # noqa: PLC0415 - see `_provider`
    from bodydouble_labs.watching import Watching  # noqa: PLC0415 - see `_provider`

    with Watching(Console(stderr=True), time.perf_counter) as watching:
        schedule = ", with an explored schedule" if provider.explores else ""
        watching.say(f"{scenario.name} on {provider.name}: seed {seed}{schedule}")
        try:
            done = conduct(
                scenario,
                provider,
                seed=seed,
                directory=directory,
                wall_clock=time.perf_counter,
                progress=watching.progress,
            )
        except OSError as error:
            raise InputError(f"{directory}: the report cannot be written: {error.strerror or error}") from error
    if not session.json:
        terminal.print_timeline(done.result, done.history, scenario, Console())
        if done.result.artifacts:
            click.echo(f"Report: {directory / 'timeline.html'}")
    return done


@lab.command(name="list", epilog=examples("bodydouble lab list"))
@pass_session
def list_(session: Session) -> None:
    """List the shipped scenarios."""
    listed = [loader.load(loader.find(name)) for name in loader.shipped_names()]
    if session.json:
        print_json([{"name": item.name, "title": item.title, "file": item.file} for item in listed])
        return
    width = max((len(item.name) for item in listed), default=0)
    for item in listed:
        click.echo(f"{item.name:<{width}}  {plain(item.title)}")


@lab.command(epilog=examples("bodydouble lab validate labs/scenarios/*.yaml"))
@click.argument("files", nargs=-1, required=True, metavar="FILE|NAME...")
@pass_session
@click.pass_context
def validate(context: click.Context, session: Session, files: tuple[str, ...]) -> None:
    """Check scenario files without running anything. Exit status 2 when any is wrong."""
    problems = {file: _problem(file) for file in files}
    if session.json:
        print_json([{"file": file, "valid": not problem, "problem": problem} for file, problem in problems.items()])
    for file, problem in problems.items():
        if problem:
            click.echo(f"bodydouble: {plain(problem)}", err=True)
        elif not session.json:
            click.echo(f"{file}: valid")
    context.exit(2 if any(problems.values()) else 0)


def _problem(file: str) -> str:
    try:
        loader.load(loader.find(file))
    except (ScenarioError, InputError) as error:
        return str(error)
    return ""


@lab.command(epilog=examples("bodydouble lab schema > scenario.schema.json"))
def schema() -> None:
    """Print the JSON Schema of scenario files."""
    from bodydouble_labs.scenario.schema import scenario_schema  # noqa: PLC0415 - only wanted here

    click.echo(json.dumps(scenario_schema(), indent=2))


@lab.command(
    epilog=examples(
        "bodydouble lab replay iis5-power-loss --seeds 0-99 --jobs 4",
        "bodydouble lab replay iis5-power-loss --seeds 3 --explore",
        "bodydouble lab replay iis5-power-loss --tape results/iis5-power-loss-sim-3/tape.jsonl",
    )
)
@click.argument("scenario", metavar="FILE|NAME")
@click.option("--seeds", help="One seed, or a range FIRST-LAST.  [default: 0-9]")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes at a time.")
@click.option("--explore", is_flag=True, help="Draw the order of ready tasks from the seed.")
@click.option(
    "--tape",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Follow the decision tape of a run with --explore; its seed is on the tape.",
)
@pass_session
@click.pass_context
def replay(  # noqa: PLR0917 - click passes them by name
    context: click.Context,
    session: Session,
    scenario: str,
    seeds: str | None,
    jobs: int,
    explore: bool,
    tape: Path | None,
) -> None:
    """Run each seed twice in fresh processes and compare the traces.

    On a difference both runs are made again with their traces kept, and the first event that differs is printed. A
    tape's runs must also have the trace that the tape was recorded with; one that does not fit the code or the scenario
    any more is refused with the first decision that differs. Exit status: 0 all equal and passed, 1 a difference or a
    failed check, 2 the command line or a file is wrong, 3 a run is invalid.
    """
    if tape is not None and (explore or seeds is not None):
        raise InputError(f"--tape: the tape says what to repeat; leave {'--explore' if explore else '--seeds'} out")
    loaded = loader.load(loader.find(scenario))
    wanted = _seeds(seeds or "0-9") if tape is None else []
    what = f"seeds {wanted[0]} to {wanted[-1]}" if wanted else f"the tape {tape}"
    click.echo(f"{loaded.name}: {what}, each in two processes", err=True)
    try:
        results = asyncio.run(_replay(session, _campaign(Path(loaded.file), jobs, explore=explore), wanted, tape))
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        context.exit(INTERRUPTED)
    if session.json:
        print_json(results)
    else:
        _summary(results)
    context.exit(_replay_status(results))


def _campaign(file: Path, jobs: int, *, explore: bool) -> Campaign:
    from bodydouble_labs.replay import Campaign  # noqa: PLC0415 - see `_provider`

    return Campaign(file, jobs, explore=explore)


def _seeds(text: str) -> list[int]:
    """The seeds of ``7`` or ``0-99``.

    Raises:
        InputError: it is neither, or too many.
    """
    match = SEEDS.fullmatch(text)
    if match is None:
        raise InputError(f"--seeds: expected one seed or a range like 0-99, got {text!r}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first or last - first >= MOST_SEEDS:
        raise InputError(f"--seeds: expected a range from low to high with at most {MOST_SEEDS} seeds, got {text!r}")
    return list(range(first, last + 1))


async def _replay(session: Session, campaign: Campaign, seeds: list[int], tape: Path | None) -> list[Replayed]:
    results = []
    async for done in campaign.run(seeds) if tape is None else _followed(campaign, tape):
        results.append(done)
        if not session.json or not done.same:
            _say(done)
    return results


async def _followed(campaign: Campaign, tape: Path) -> AsyncIterator[Replayed]:
    from bodydouble_sim.errors import TapeError  # noqa: PLC0415 - see `_provider`

    try:
        yield await campaign.follow(tape)
    except TapeError as error:
        raise InputError(f"--tape: {error}") from None


def _say(done: Replayed) -> None:
    words = "same" if done.same else "DIFFERENT" if done.difference else "REFUSED"
    click.echo(f"seed {done.seed}: {words}  {done.trace_hash}  {done.verdict} {plain(done.reason)}".rstrip(), err=True)
    if done.difference:
        click.echo(f"  {plain(done.difference)}", err=True)


def _summary(results: list[Replayed]) -> None:
    same = sum(item.same for item in results)
    verdicts = sorted({item.verdict for item in results})
    counts = ", ".join(f"{sum(item.verdict == verdict for item in results)} {verdict}" for verdict in verdicts)
    click.echo(f"{same} of {len(results)} seeds replayed to the byte; verdicts: {counts}")


def _replay_status(results: list[Replayed]) -> int:
    if any(item.difference or item.verdict == "fail" for item in results):
        return FAILED
    return INVALID if any(item.verdict == "invalid" for item in results) else 0
