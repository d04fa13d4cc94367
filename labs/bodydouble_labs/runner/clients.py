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
    if step.workload == "start":
        bench.workload = Workload(bench.scenario, bench.stage, bench.content, bench.seed)
        bench.workload.start()
        return
    clients, bench.workload = bench.workload, None
    if clients is not None:
        await clients.stop()


async def run_for(_bench: Bench, step: RunForStep) -> None:
    """Let the time pass."""
    await asyncio.sleep(step.run_for)


async def verify(bench: Bench, _step: VerifyStep) -> None:
    """Take the final trees."""
    root = bench.scenario.protected_root
    for host in (bench.source, bench.target):
        bench.stage.history.trees[host.name] = await host.snapshot(root)
