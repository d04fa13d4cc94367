"""One run from a scenario to a result: provider, runner, checkers, report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError
from bodydouble_labs import report
from bodydouble_labs import result as results
from bodydouble_labs.checkers import run_checkers
from bodydouble_labs.history import History
from bodydouble_labs.providers.base import RunOutcome
from bodydouble_labs.runner.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bodydouble_labs.checkers import Check
    from bodydouble_labs.providers.base import Provider, Stage
    from bodydouble_labs.result import Result
    from bodydouble_labs.runner.progress import Progress, ProgressListener
    from bodydouble_labs.scenario.model import Scenario

INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over. ``interrupted``: by Ctrl-C; the result covers what happened until then."""

    scenario: Scenario
    result: Result
    history: History
    interrupted: bool = False


@dataclass
class _Seen:
    """What a run has shown so far; complete also when the run was broken off.

    ``wall`` is seconds on the wall until the timeline was over: rendering what was captured comes after that.
    """

    history: History
    outcome: RunOutcome
    wall: float = 0.0
    reason: str = ""
    interrupted: bool = False


def conduct(
    scenario: Scenario,
    provider: Provider,
    *,
    seed: int,
    directory: Path,
    wall_clock: Callable[[], float],
    progress: ProgressListener = lambda _progress: None,
) -> Run:
    """Run a scenario on a provider, judge it, and write the report into ``directory``.

    ``wall_clock`` counts the steady seconds of the machine that the lab itself runs on.

    Raises:
        OSError: the report could not be written.
    """
    missing = provider.missing(scenario)
    if missing is not None:
        skipped = results.skipped(scenario=scenario, provider=provider.name, seed=seed, reason=missing)
        return Run(scenario, skipped, History())
    directory.mkdir(parents=True, exist_ok=True)
    seen = _perform(scenario, provider, seed, directory, wall_clock=wall_clock, progress=progress)
    result = _judge(scenario, provider, seed, seen)
    written = report.write(directory, result, seen.history, scenario)
    listed = list(dict.fromkeys([*result.artifacts, *written]))
    result = msgspec.structs.replace(result, artifacts=listed)
    return Run(scenario, result, seen.history, seen.interrupted)


def _perform(
    scenario: Scenario,
    provider: Provider,
    seed: int,
    directory: Path,
    *,
    wall_clock: Callable[[], float],
    progress: ProgressListener,
) -> _Seen:
    """Let the provider run the timeline; whatever breaks it off becomes the reason why the run is invalid."""
    seen = _Seen(History(), RunOutcome("", 0.0, []))
    began = wall_clock()

    def note(now: Progress) -> None:
        seen.outcome = RunOutcome("", now.elapsed, [])
        seen.wall = wall_clock() - began
        progress(now)

    async def main(stage: Stage) -> None:
        seen.history = stage.history
        await Runner(scenario, stage, seed, note).run()
        seen.wall = wall_clock() - began

    try:
        seen.outcome = provider.run(scenario, seed, directory, main)
    except KeyboardInterrupt:
        seen.reason, seen.interrupted = INTERRUPTED, True
    except BodydoubleError as error:
        seen.reason = str(error)
    except Exception as error:  # noqa: BLE001 - a defect of the lab is a verdict (invalid), never a lost run
        seen.reason = f"{type(error).__name__}: {error} (a defect of the lab)"
    return seen


def _judge(scenario: Scenario, provider: Provider, seed: int, seen: _Seen) -> Result:
    # A run that was broken off is not judged: what the product did not get to do is not its failure.
    checks: list[Check] = [] if seen.interrupted else run_checkers(seen.history, scenario)
    return results.assemble(
        scenario=scenario,
        provider=provider.name,
        seed=seed,
        history=seen.history,
        checks=checks,
        trace_hash=seen.outcome.trace_hash,
        explored=provider.explores,
        virtual_s=seen.outcome.virtual_seconds,
        wall_s=seen.wall,
        artifacts=seen.outcome.artifacts,
        reason=seen.reason,
    )
