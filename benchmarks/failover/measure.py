"""The same source loses its power again and again; what each failover takes, seen from the client's place."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.failover.outage import Announcements, OutageError, until_served

from bodydouble_labs.runner.runner import ACTIONS, Runner
from bodydouble_labs.scenario.steps import (
    DecideStep,
    FailbackStep,
    PowerStep,
    ProtectStep,
    WaitForStep,
    WorkloadStep,
    action_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.runner.bench import Bench
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.steps import AnyStep

WIRE = "lan"
SLACK = 1.0
"""Seconds that a failover may take beyond its detection."""
GIVES_UP = 30.0
"""Seconds after which nobody waits for the stand-in any more."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One failover.

    Attributes:
        seconds: from the cut of the source's power to the stand-in's first right answer.
        announced: seconds from the cut to the first gratuitous ARP of the address.
        announcements: how many were heard until the failover was complete.
    """

    seconds: float
    announced: float
    announcements: int


class Measurement:
    """Failovers of one source, one after the other.

    Args:
        scenario: its timeline is carried out up to the monitor, without the workload.
        seed: of tokens and pages.
        runs: how many failovers.
        on_outage: told of each.
    """

    def __init__(self, scenario: Scenario, seed: int, runs: int, on_outage: Callable[[Outage], None]) -> None:
        self._scenario = scenario
        self._seed = seed
        self._runs = runs
        self._on_outage = on_outage

    async def run(self, stage: Stage) -> None:
        """Set everything up, then measure.

        Raises:
            OutageError: the stand-in did not serve, or did not announce itself.
        """
        bench = Runner(self._scenario, stage, self._seed).bench
        try:
            for step in _preparation(self._scenario):
                await ACTIONS[action_of(step)](bench, step)
            address = bench.address(self._scenario.protection.monitor.source)
            async with Announcements(WIRE, address) as announcements:
                for _ in range(self._runs):
                    self._on_outage(await self._one(bench, address, announcements))
                    await self._home(bench)
        finally:
            await bench.console.close()

    async def _one(self, bench: Bench, address: str, announcements: Announcements) -> Outage:
        page = bench.content.pages[0]
        url = f"http://{address}{page.url_path}"
        await until_served(url, page.body, GIVES_UP)
        cut, cut_wall = time.monotonic(), time.time()
        await bench.source.power_off()
        bench.wiring.switched_off(bench.source.name)
        served = await until_served(url, page.body, GIVES_UP)
        await _act(bench, WaitForStep(wait_for="failed-over"))
        heard = announcements.since(cut_wall)
        if not heard:
            raise OutageError(f"tcpdump heard no gratuitous ARP for {address}")
        return Outage(served - cut, heard[0] - cut_wall, len(heard))

    async def _home(self, bench: Bench) -> None:
        """The source comes back, and is monitored again."""
        source = bench.source.name
        await _act(bench, FailbackStep(failback=source))
        await _act(bench, PowerStep(on=source, power="on"))
        await _act(bench, DecideStep(decide="continue"))


async def _act(bench: Bench, step: AnyStep) -> None:
    await ACTIONS[action_of(step)](bench, step)


def _preparation(scenario: Scenario) -> list[AnyStep]:
    """Everything up to the monitor that needs no clients at work."""
    steps: list[AnyStep] = []
    for step in scenario.timeline:
        if not isinstance(step, WorkloadStep):
            steps.append(step)
        if isinstance(step, ProtectStep) and step.protect == "monitor":
            return steps
    raise OutageError(f"{scenario.name} has no monitor")
