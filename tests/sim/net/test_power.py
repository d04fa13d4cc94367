from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim import disposal
from bodydouble_sim.errors import MachineStateError
from bodydouble_sim.handles import OWNER
from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Bare(Machine):
    async def boot(self) -> None:
        pass


def code_that_marks_every_way_out(ran: list[str]) -> list[Any]:  # noqa: C901 - one function a way out
    """Coroutine functions whose finally, with, callbacks or generators would show if they ran."""

    @contextlib.contextmanager
    def section() -> Iterator[None]:
        try:
            yield
        finally:
            ran.append("contextmanager")

    @contextlib.asynccontextmanager
    async def asection() -> AsyncIterator[None]:
        try:
            yield
        finally:
            ran.append("asynccontextmanager")

    async def inner() -> None:
        try:
            await asyncio.sleep(60)
            ran.append("woke")
        except BaseException:
            ran.append("except")
            raise
        finally:
            ran.append("finally")

    async def generator() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            ran.append("generator")

    async def nested() -> None:
        async with asyncio.TaskGroup() as group, asection(), contextlib.AsyncExitStack() as stack:
            stack.enter_context(section())
            stack.callback(ran.append, "exit stack")
            group.create_task(inner())
            with section():
                await inner()

    async def iterating() -> None:
        async for _ in generator():
            await asyncio.sleep(60)

    async def timed() -> None:
        asyncio.get_running_loop().call_later(5, ran.append, "timer")
        asyncio.get_running_loop().create_future().add_done_callback(lambda _: ran.append("callback"))
        async with asyncio.timeout(10):
            await inner()

    async def eager() -> None:
        while True:
            await asyncio.sleep(0.001)
            if OWNER.get().dead:
                ran.append("step of a dead incarnation")

    return [nested, iterating, timed, eager]


def test_nothing_of_a_dead_incarnation_runs_not_even_at_the_end_of_the_world() -> None:
    ran: list[str] = []
    world = World(1)
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")

    async def main() -> None:
        machine.power_on()
        for number, function in enumerate(code_that_marks_every_way_out(ran)):
            machine.spawn(function(), name=f"work-{number}")
        await asyncio.sleep(3)
        machine.power_off()
        await asyncio.sleep(600)
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world.run(main())
        assert ran == []
        world.close()
        gc.collect()
    assert ran == []
    assert disposal.CAN_RETIRE


def test_the_marks_do_run_when_a_task_is_cancelled_instead(world: World) -> None:
    """The planted defect: without the fence the same code is seen to run."""
    ran: list[str] = []
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")

    async def main() -> None:
        machine.power_on()
        functions = code_that_marks_every_way_out(ran)
        tasks = [machine.spawn(function(), name="work") for function in functions]
        await asyncio.sleep(3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(1)

    world.run(main())
    assert {"finally", "contextmanager", "asynccontextmanager", "exit stack", "generator", "timer"} - set(ran) == {
        "timer"
    } - set(ran)


def test_a_coroutine_that_never_started_is_disposed_of_in_silence() -> None:
    world = World(1)
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")

    async def work() -> None:
        await asyncio.sleep(1)

    async def main() -> None:
        machine.power_on()
        machine.spawn(work(), name="never-stepped")
        machine.power_off()
        await asyncio.sleep(0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world.run(main())
        world.close()
        gc.collect()


def test_closing_a_world_of_live_machines_is_silent_too() -> None:
    ran: list[str] = []
    world = World(1)
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")

    async def main() -> None:
        machine.power_on()
        for number, function in enumerate(code_that_marks_every_way_out(ran)):
            machine.spawn(function(), name=f"work-{number}")
        lost = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(3)
        assert not lost.done()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world.run(main())
        world.close()
        gc.collect()
    assert ran == []


def test_tasks_started_by_a_machines_task_belong_to_it(world: World) -> None:
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")
    seen: list[str] = []

    async def child() -> None:
        seen.append(OWNER.get().name)

    async def parent() -> None:
        import contextvars  # noqa: PLC0415 - only here

        await asyncio.create_task(child())
        await asyncio.get_running_loop().create_task(child(), context=contextvars.Context())

    async def main() -> None:
        machine.power_on()
        await machine.spawn(parent(), name="parent")
        await child()

    world.run(main())
    assert seen == ["A", "A", "lab"]


def test_the_lab_may_wait_for_a_machines_task_and_survives_its_power_loss(world: World) -> None:
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")

    async def main() -> bool:
        machine.power_on()
        task = machine.spawn(asyncio.sleep(60), name="sleeper")
        asyncio.get_running_loop().call_later(2, machine.power_off)
        done, _ = await asyncio.wait([task], timeout=600)
        return bool(done)

    assert world.run(main()) is False


def test_power_cycles_count_lives_and_run_boot_again(world: World) -> None:
    boots: list[int] = []

    class Counting(Machine):
        async def boot(self) -> None:
            assert self.incarnation is not None
            boots.append(self.incarnation.number)

    machine = Counting(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")
    losses: list[bool] = []
    machine.power_loss_hooks.append(lambda: losses.append(machine.powered))

    async def main() -> None:
        for _ in range(3):
            machine.power_on()
            await asyncio.sleep(5)
            machine.power_off()
            await asyncio.sleep(5)

    world.run(main())
    assert boots == [1, 2, 3]
    assert losses == [False] * 3
    assert [line.split()[1:] for line in world.trace.lines if " power " in line][:2] == [
        ["power", "A", "on", "1"],
        ["power", "A", "off", "1"],
    ]


def test_power_requests_that_do_not_fit_are_refused(world: World) -> None:
    machine = Bare(world, "A")

    async def main() -> None:
        with pytest.raises(MachineStateError):
            machine.power_off()
        with pytest.raises(MachineStateError):
            machine.spawn(asyncio.sleep(1), name="x")
        machine.power_on()
        with pytest.raises(MachineStateError):
            machine.power_on()
        with pytest.raises(MachineStateError):
            machine.plug(world.network.segment("lan"), "10.0.0.1/24")
        with pytest.raises(MachineStateError):
            Bare(world, "A")

    world.run(main())


def test_a_fence_that_leaks_is_seen(world: World) -> None:
    """The planted defect: an incarnation that is not marked dead goes on running."""
    ran: list[str] = []
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")

    async def main() -> None:
        machine.power_on()
        life = machine.incarnation
        assert life is not None
        for number, function in enumerate(code_that_marks_every_way_out(ran)):
            machine.spawn(function(), name=f"work-{number}")
        await asyncio.sleep(3)
        machine.power_off()
        life.dead = False
        await asyncio.sleep(600)

    world.run(main())
    assert {"timer", "except", "finally"} <= set(ran)
    world.loop.unhandled.clear()


def test_a_failure_whose_waiter_lost_power_is_not_reported_as_lost(world: World) -> None:
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")

    async def fails() -> None:
        raise ValueError("would have been handled")

    async def parent() -> None:
        task = asyncio.create_task(fails())
        await asyncio.sleep(60)
        with contextlib.suppress(ValueError):
            await task

    async def main() -> None:
        machine.power_on()
        machine.spawn(parent(), name="parent")
        await asyncio.sleep(30)
        machine.power_off()
        await asyncio.sleep(60)

    world.run(main())


@pytest.mark.parametrize("swept", [False, True])
def test_a_task_that_never_took_its_first_step_goes_without_a_warning(swept: bool) -> None:
    """It was started in the instant of the cut; nothing awaited its coroutine, and nothing ever will."""
    world = World(1)
    machine = Bare(world, "A")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")
    ran: list[str] = []

    async def work() -> None:
        ran.append("a step")

    async def starts() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            machine.power_off()
            await asyncio.sleep(1)

    async def main() -> None:
        machine.power_on()
        await asyncio.sleep(3)
        machine.spawn(starts(), name="starts")
        machine.spawn(starts(), name="starts in vain")
        await asyncio.sleep(3)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unraisable: list[Any] = []
        hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
        try:
            world.run(main())
            if swept:
                for incarnation in world.incarnations:
                    incarnation.sweep()
                gc.collect()
            world.close()
            gc.collect()
        finally:
            sys.unraisablehook = hook
    assert ran == []
    assert unraisable == []
