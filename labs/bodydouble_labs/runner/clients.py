"""Steps of the clients and of time, and the last look at the hosts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_labs.workload import Workload

if TYPE_CHECKING:
    from bodydouble_labs.runner.bench import Bench
    from bodydouble_labs.scenario.steps import RunForStep, VerifyStep, WorkloadStep


async def workload(bench: Bench, step: WorkloadStep) -> None:
    """Clients begin or end their work."""
    benches = bench.each(step.protection)
    if step.workload == "start":
        for each in benches:
            each.workload = Workload(each.scenario, each.stage, each.history, each.content, each.seed)
            each.workload.start()
        return
    leaving = [each.workload for each in benches if each.workload is not None]
    for each in benches:
        each.workload = None
    await asyncio.gather(*(clients.stop() for clients in leaving))


async def run_for(_bench: Bench, step: RunForStep) -> None:
    """Let the time pass."""
    await asyncio.sleep(step.run_for)


async def verify(bench: Bench, step: VerifyStep) -> None:
    """Take the final trees."""
    for each in bench.each(step.protection):
        for host in (each.source, each.target):
            each.history.trees[host.name] = await host.snapshot(each.scenario.protected_root)
