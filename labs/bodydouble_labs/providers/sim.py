"""The ``sim`` provider: the whole scenario in one process, in virtual time, the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_labs.providers.base import RunOutcome, capture_name
from bodydouble_labs.providers.sim_stage import SimStage
from bodydouble_labs.scenario.steps import FaultStep
from bodydouble_sim.exploration import DecisionTape
from bodydouble_sim.network.bpf import missing_library
from bodydouble_sim.network.capture import write_pcapng
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.scenario.model import Scenario

TRACE = "trace.txt"
TAPE = "tape.jsonl"


class SimProvider:
    """Simulated machines on a virtual clock.

    Args:
        pcap: write the latest frames of each segment to a pcapng file named by it; faults and product events are
            comments in it.
        keep_trace: write every event of the trace to ``trace.txt``, to find out where two runs part.
        explore: draw which ready task runs next, and write the decisions to ``tape.jsonl``; a tape: follow it.
    """

    name = "sim"

    def __init__(self, *, pcap: bool = False, keep_trace: bool = False, explore: bool | DecisionTape = False) -> None:
        self._pcap = pcap
        self._keep_trace = keep_trace
        self._explore = explore

    @property
    def explores(self) -> bool:
        """Whether the order of ready tasks is drawn, or follows a tape."""
        return self._explore is not False

    def missing(self, scenario: Scenario) -> str | None:
        """What filter expressions need, where they are used; the simulator models whatever the schema allows."""
        filtered = any(isinstance(step, FaultStep) and step.match is not None for step in scenario.timeline)
        return missing_library() if filtered else None

    def run(
        self, scenario: Scenario, seed: int, directory: Path, main: Callable[[Stage], Awaitable[None]]
    ) -> RunOutcome:
        """See `bodydouble_labs.providers.base.Provider.run`.

        Raises:
            TapeError: the run has other choices than the tape that it should follow.
        """
        world = World(seed, keep_trace=self._keep_trace, capture=self._pcap, explore=self._explore)
        stage = SimStage(world, scenario)
        kept: list[str] = []
        try:
            try:
                world.run(_drive(stage, main))
            finally:
                kept += self._keep(world, stage, directory)
            if isinstance(self._explore, DecisionTape):
                self._explore.check_followed()
            return RunOutcome(world.trace.digest, stage.elapsed(), kept)
        finally:
            world.close()

    def _keep(self, world: World, stage: SimStage, directory: Path) -> list[str]:
        """Write what was asked to be kept, also of a run that broke off; the files' names."""
        kept = []
        if self._pcap:
            for name, segment in stage.segments.items():
                kept.append(capture_name(name))
                frames, remarks = segment.frames(), segment.remarks
                write_pcapng(frames, directory / kept[-1], start=world.start, remarks=remarks, marks=stage.marks())
        if self._explore is True and world.tape is not None:
            world.tape.trace_hash = world.trace.digest
            world.tape.write(directory / TAPE)
            kept.append(TAPE)
        if self._keep_trace:
            (directory / TRACE).write_text("".join(f"{line}\n" for line in world.trace.lines))
            kept.append(TRACE)
        return kept


async def _drive(stage: SimStage, main: Callable[[Stage], Awaitable[None]]) -> None:
    """Boot everything, run ``main`` on the client, look whether what was to be silent was."""
    await stage.power_on()

    async def on_the_client() -> None:
        await main(stage)

    try:
        await stage.client.spawn(on_the_client(), name="lab-main")
    finally:
        stage.close()
