"""A daemon that is killed on a simulated machine is not stopped in order: it says nothing, and writes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e.standing_in import OWN, STATE, Boundaries, Server

from bodydouble.vocabulary.events import EventCode
from bodydouble_sim.windows.process_program import ProcessProgram
from bodydouble_sim.windows.service import TaskProgram
from bodydouble_sim.world import World

if TYPE_CHECKING:
    import pytest


def codes_after_a_kill() -> tuple[list[int], bool]:
    """The events that the next start finds, and whether the dead daemon wrote anything."""
    world = World(1)
    target = Server(world, "TARGET", [OWN], Boundaries(None))
    written: list[str] = []

    async def play() -> list[int]:
        await target.install()
        await asyncio.sleep(5)
        target.windows.volumes["C"].add_observer(
            lambda operation: written.append(operation.path) if operation.path.startswith(STATE) else None
        )
        target.kill_daemon()
        await asyncio.sleep(1)
        wrote.append(bool(written))
        daemon = await target.ready()
        return [event.code for event in daemon.events.after(0)]

    wrote: list[bool] = []
    try:
        return world.run(play()), wrote[0]
    finally:
        world.close()


def test_a_killed_daemon_says_and_writes_nothing() -> None:
    codes, wrote = codes_after_a_kill()
    assert codes.count(EventCode.SERVICE_STARTED) == 2
    assert EventCode.SERVICE_STOPPED not in codes
    assert not wrote


def test_a_daemon_that_is_cancelled_instead_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: the kill of before, after which every clean-up ran."""
    monkeypatch.setattr(ProcessProgram, "kill", TaskProgram.kill)
    codes, wrote = codes_after_a_kill()
    assert wrote
    assert EventCode.SERVICE_STOPPED in codes
