from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    made = World(1, keep_trace=True)
    yield made
    made.close()
    assert made.loop.unhandled == []


class Bare(Machine):
    async def boot(self) -> None:
        pass


@pytest.fixture
def machines(world: World) -> tuple[Machine, Machine]:
    segment = world.network.segment("lan")
    a, b = Bare(world, "A"), Bare(world, "B")
    a.plug(segment, "10.0.0.10/24")
    b.plug(segment, "10.0.0.20/24")
    a.power_on()
    b.power_on()
    return a, b
