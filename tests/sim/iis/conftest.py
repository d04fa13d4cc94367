"""Windows NT 4.0 and 2000 on the real loop (volumes in memory), ready for IIS, with accounts and access lists."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.sim.iis.drive import Clock, Files

from bodydouble_sim.iis import setup as iis_setup
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.system import WindowsSystem
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from bodydouble_sim.windows.version import WindowsVersion


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def build(clock: Clock) -> Callable[..., WindowsSystem]:
    """Make a system of a version; it has drives C and D."""

    def make(version: WindowsVersion, service_pack: int | None = None, name: str = "TARGET") -> WindowsSystem:
        def spawn(coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(coro, name=name)

        files = Files({letter: NtfsVolume(letter, clock) for letter in "CD"})
        system = WindowsSystem(files, clock, spawn, random.Random(1), version=version, service_pack=service_pack)
        system.install(name)
        iis_setup.provide(system)
        return system

    return make


@pytest.fixture
def system(build: Callable[..., WindowsSystem]) -> WindowsSystem:
    """Windows 2000."""
    return build(WINDOWS_2000)


@pytest.fixture
def nt4(build: Callable[..., WindowsSystem]) -> WindowsSystem:
    """Windows NT 4.0."""
    return build(NT_4)


@pytest.fixture(params=[NT_4, WINDOWS_2000], ids=["nt4", "2000"])
def either(request: pytest.FixtureRequest, build: Callable[..., WindowsSystem]) -> WindowsSystem:
    """One and the other."""
    return build(request.param)


@pytest.fixture
def world() -> Iterator[World]:
    made = World(7)
    yield made
    made.close()
    assert made.loop.unhandled == []
