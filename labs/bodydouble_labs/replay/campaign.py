"""Many seeds, each twice, in fresh processes that hash text differently; and where two runs part, if they do."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bodydouble_labs.errors import LabError
from bodydouble_labs.providers.sim import TRACE
from bodydouble_labs.replay.child import Report
from bodydouble_sim.exploration import DecisionTape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

HASH_SEEDS = ("1", "2000")
"""PYTHONHASHSEED of the first and the second process."""


class Replayed(msgspec.Struct, frozen=True):
    """What came of one seed.

    Attributes:
        same: whether both runs had the same trace, and the one of the tape that they followed, if they did.
        difference: the first event that differs, in both runs' words, or what the tape's run had come to; empty when
            there is none, or where a run did not follow the tape (then ``reason`` says where they part).
    """

    seed: int
    same: bool
    verdict: str
    reason: str
    trace_hash: str
    difference: str = ""


class Campaign:
    """Replays one scenario.

    Args:
        file: the scenario file.
        jobs: how many processes run at a time.
        command: what a child process is; tests put another in its place.
        explore: whether the runs draw the order in which ready tasks run.
    """

    def __init__(self, file: Path, jobs: int, command: Sequence[str] | None = None, *, explore: bool = False) -> None:
        self._file = file
        self._jobs = jobs
        self._options = ["--explore"] if explore else []
        self._command = tuple(command or (sys.executable, "-m", "bodydouble_labs.replay.child"))

    async def run(self, seeds: Sequence[int]) -> AsyncIterator[Replayed]:
        """Replay the seeds; results come in the order of the seeds.

        Raises:
            LabError: a child process broke.
        """
        free = asyncio.Semaphore(self._jobs)
        tasks = [asyncio.create_task(self._replay(seed, free), name=f"replay-{seed}") for seed in seeds]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def follow(self, tape: Path) -> Replayed:
        """Replay one explored run by its decision tape.

        Raises:
            TapeError: the file is no tape.
            LabError: a child process broke.
        """
        recorded = DecisionTape.read(tape)
        self._options = ["--tape", str(tape)]
        done = await self._replay(recorded.seed, asyncio.Semaphore(self._jobs))
        if not done.same or done.trace_hash == (recorded.trace_hash or done.trace_hash):
            return done
        # A run that was broken off has no trace: its reason tells the decision from which on it was another one.
        difference = f"the tape's run had the trace {recorded.trace_hash}" if done.trace_hash else ""
        return msgspec.structs.replace(done, same=False, difference=difference)

    async def _replay(self, seed: int, free: asyncio.Semaphore) -> Replayed:
        one, other = await asyncio.gather(*(self._child(free, hashing, str(seed)) for hashing in HASH_SEEDS))
        same = one == other
        difference = "" if same else await self._difference(seed, free)
        return Replayed(seed, same, one.verdict, one.reason, one.trace_hash, difference)

    async def _difference(self, seed: int, free: asyncio.Semaphore) -> str:
        """Run both again with their traces kept, and find the first event that differs."""
        with tempfile.TemporaryDirectory(prefix="bodydouble-replay-") as place:
            directories = [Path(place, name) for name in ("one", "other")]
            await asyncio.gather(
                *(
                    self._child(free, hashing, str(seed), str(directory))
                    for hashing, directory in zip(HASH_SEEDS, directories, strict=True)
                )
            )
            return first_difference(*(directory / TRACE for directory in directories))

    async def _child(self, free: asyncio.Semaphore, hashing: str, *arguments: str) -> Report:
        async with free:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(self._file),
                *arguments,
                *self._options,
                env={**os.environ, "PYTHONHASHSEED": hashing},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                output, errors = await process.communicate()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
        return _report(output, errors, process.returncode, arguments[0])


def _report(output: bytes, errors: bytes, status: int | None, seed: str) -> Report:
    try:
        return msgspec.json.decode(output, type=Report)
    except msgspec.MsgspecError:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        words = last[0] if last else "no message"
        raise LabError(f"seed {seed}: the run's process ended with status {status}: {words}") from None


def first_difference(one: Path, other: Path) -> str:
    """The first line in which two kept traces differ, with its number; says so when they do not."""
    with one.open() as left_lines, other.open() as right_lines:
        for number, (left, right) in enumerate(zip_longest(left_lines, right_lines), 1):
            if left != right:
                return f"event {number}: {_event(left)} | {_event(right)}"
    return "the traces of two further runs are equal: the difference does not come every time"


def _event(line: str | None) -> str:
    return "(the run is over)" if line is None else line.rstrip("\n")
