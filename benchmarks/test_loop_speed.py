"""How fast the bare loop runs: callbacks and timers, without a network."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bodydouble_sim.world import World

pytestmark = pytest.mark.benchmark(timer=time.process_time)  # seconds of one core, whoever else uses the machine

STEPS = 200_000


def run(world: World, steps: int) -> None:
    """So many loop steps, half of them timers: a chain of ``sleep(0)`` and short sleeps."""

    async def main() -> None:
        for _ in range(steps // 4):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)  # a timer and the step that it wakes

    world.run(main())


def test_bare_loop_steps(benchmark: Any) -> None:
    def chain() -> None:
        world = World(1, capture=False)
        loop = world.loop
        left = STEPS
        done = loop.create_future()

        def step() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.call_soon(step)
            else:
                done.set_result(None)

        async def main() -> None:
            loop.call_soon(step)
            await done

        world.run(main())
        world.close()

    benchmark.pedantic(chain, rounds=5, warmup_rounds=1)
    benchmark.extra_info["steps_per_second"] = round(STEPS / benchmark.stats.stats.min)


def test_task_steps_and_timers(benchmark: Any) -> None:
    def chain() -> None:
        world = World(1, capture=False)
        run(world, STEPS)
        world.close()

    benchmark.pedantic(chain, rounds=5, warmup_rounds=1)
    benchmark.extra_info["steps_per_second"] = round(STEPS / benchmark.stats.stats.min)
