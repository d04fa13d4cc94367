"""A Windows system on the real loop (volumes in memory), and machines in a simulated world."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.iis import setup as iis_setup
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.files import VolumeFiles
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.system import WindowsSystem
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

START_NS = 1_038_819_600_000_000_000


class Clock:
    """A calendar that tests turn by hand; a nanosecond passes at each look."""

    def __init__(self) -> None:
        self.now = START_NS

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def advance(clock: Clock) -> Callable[[int], None]:
    """Turn the calendar on by so many nanoseconds."""

    def turn(nanoseconds: int) -> None:
        clock.now += nanoseconds

    return turn


@pytest.fixture
def volume(clock: Clock) -> NtfsVolume:
    return NtfsVolume("C", clock)


@pytest.fixture
def system(volume: NtfsVolume, clock: Clock) -> WindowsSystem:
    def spawn(coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(coro, name=name)

    files = VolumeFiles({"C": volume})
    made = WindowsSystem(files, clock, spawn, random.Random(1))
    made.install("TARGET")
    iis_setup.provide(made)
    return made


@pytest.fixture
def world() -> Iterator[World]:
    made = World(7)
    yield made
    made.close()
    assert made.loop.unhandled == []


@pytest.fixture
def windows(world: World) -> Callable[[str, str], WindowsMachine]:
    segment = world.network.segment("lan")

    def build(name: str, address: str) -> WindowsMachine:
        machine = WindowsMachine(world, name)
        machine.plug(segment, address, duplicate=True)  # an administrator may err: what then happens is Windows' matter
        return machine

    return build
