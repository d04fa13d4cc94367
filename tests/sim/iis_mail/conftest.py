"""A host on the real loop, and machines in a simulated world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.sim.iis_mail.host import Host

from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def world() -> Iterator[World]:
    made = World(7)
    yield made
    made.close()
    assert made.loop.unhandled == []


@pytest.fixture
def windows(world: World) -> Callable[..., WindowsMachine]:
    segment = world.network.segment("lan")

    def build(name: str, address: str, **options: Any) -> WindowsMachine:
        machine = WindowsMachine(world, name, **options)
        machine.plug(segment, address)
        return machine

    return build
