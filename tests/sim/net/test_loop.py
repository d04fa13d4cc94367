from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.errors import DeadlockError, RefusedError, SimulationError, StalledError
from bodydouble_sim.task import SimFuture
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_a_year_of_sleep_takes_no_time(world: World) -> None:
    async def main() -> float:
        await asyncio.sleep(365 * 86400)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert world.run(main()) == 365 * 86400
    assert time.monotonic() - began < 1


def test_timers_of_one_deadline_run_in_the_order_in_which_they_were_set(world: World) -> None:
    ran: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(5):
            loop.call_at(1.0, ran.append, number)
        await asyncio.sleep(2)

    world.run(main())
    assert ran == [0, 1, 2, 3, 4]


def test_a_timer_never_fires_before_the_clock_shows_its_deadline(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for step in range(2000):
            due = loop.time() + 0.1 + step * 1.3e-7
            fired = loop.create_future()
            loop.call_at(due, fired.set_result, None)
            await fired
            assert due <= loop.time() < due + 1e-8

    world.run(main())


def test_a_cancelled_timer_does_not_fire_and_does_not_fill_the_heap(world: World) -> None:
    fired: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(5000):
            loop.call_later(1000, fired.append, number).cancel()
        await asyncio.sleep(1)

    world.run(main())
    assert not fired
    assert len(world.loop.heap) < 2500


def test_waiting_for_what_never_comes_is_a_deadlock_that_names_the_waiter(world: World) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError, match="lab/lab"):
        world.run(main())


def test_an_instant_that_never_ends_is_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bodydouble_sim.loop._STALL_STEPS", 1000)

    async def main() -> None:
        while True:  # noqa: ASYNC110 - this is the fault
            await asyncio.sleep(0)

    with pytest.raises(StalledError, match="without time advancing"):
        world.run(main())


def test_tasks_in_sets_wake_in_the_order_of_their_creation(world: World) -> None:
    order: list[int] = []

    async def worker(number: int, gate: asyncio.Event) -> None:
        await gate.wait()
        order.append(number)

    async def main() -> list[int]:
        gate = asyncio.Event()
        tasks = {asyncio.create_task(worker(number, gate)) for number in range(200)}
        await asyncio.sleep(0)
        for task in tasks:
            task.add_done_callback(lambda _: None)
        gate.set()
        done, _ = await asyncio.wait(tasks)
        return [hash(task) for task in done]

    hashes = world.run(main())
    assert hashes == sorted(hashes)
    assert order == list(range(200))


def test_what_asyncio_awaits_for_itself_is_the_interpreters_own_future_and_nothing_else_is(world: World) -> None:
    async def main() -> None:
        lock, reader = asyncio.Lock(), asyncio.StreamReader()
        queue, empty = asyncio.Queue[int](1), asyncio.Queue[int]()
        await lock.acquire()
        queue.put_nowait(1)
        private: tuple[Any, ...] = (asyncio.sleep(1), asyncio.Event().wait(), lock.acquire(), empty.get(), queue.put(2))
        waiting: list[Any] = [asyncio.create_task(one, name="private") for one in (*private, reader.read())]
        given = asyncio.get_running_loop().create_future()
        asked = asyncio.get_running_loop().create_task(asyncio.wait({given}), name="asked")
        await asyncio.sleep(0)
        assert [type(task._fut_waiter) for task in waiting] == [asyncio.Future] * len(waiting)
        assert isinstance(given, SimFuture)
        for task in (*waiting, asked):
            task.cancel()
        await asyncio.gather(*waiting, asked, return_exceptions=True)

    world.run(main())


def test_a_timer_that_ran_does_not_count_as_dead_weight_when_it_is_cancelled(world: World) -> None:
    async def main() -> None:
        for _ in range(10):
            await asyncio.sleep(1)  # which cancels its timer afterwards
        timer = asyncio.get_running_loop().call_later(1, lambda: None)
        assert world.loop._cancelled_timers == 0
        timer.cancel()
        assert world.loop._cancelled_timers == 1
        await asyncio.sleep(2)

    world.run(main())
    assert world.loop._cancelled_timers == 0


def test_futures_hash_by_a_number_that_every_run_draws_alike() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(10)]
        return [hash(future) for future in reversed(futures)]

    numbers = []
    for _ in range(2):
        world = World(1)
        numbers.append(world.run(main()))
        world.close()
    assert numbers[0] == numbers[1]


def test_default_task_names_are_the_same_in_every_world() -> None:
    async def main() -> str:
        async def nothing() -> None:
            pass

        task = asyncio.create_task(nothing())
        await task
        return task.get_name()

    names = []
    for _ in range(2):
        world = World(1)
        names.append(world.run(main()))
        world.close()
    assert names[0] == names[1]


def test_executor_calls_run_inline(world: World) -> None:
    async def main() -> tuple[int, str]:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, pow, 2, 10), await asyncio.to_thread("x".upper)

    assert world.run(main()) == (1024, "X")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("add_signal_handler", (15, print)),
        ("add_reader", (0, print)),
        ("subprocess_exec", (asyncio.SubprocessProtocol, "true")),
        ("run_forever", ()),
        ("stop", ()),
    ],
)
def test_what_a_simulated_machine_cannot_do_is_refused_by_name(world: World, call: str, arguments: Any) -> None:
    with pytest.raises(RefusedError):
        getattr(world.loop, call)(*arguments)


def test_the_network_is_refused_to_code_on_no_machine(world: World) -> None:
    async def main() -> None:
        with pytest.raises(RefusedError, match=r"Machine\.spawn"):
            await asyncio.open_connection("10.0.0.1", 80)

    world.run(main())


def test_an_exception_that_nobody_retrieved_is_recorded() -> None:
    async def fails() -> None:
        raise ValueError("lost")

    async def main() -> None:
        asyncio.create_task(fails(), name="loser")  # noqa: RUF006 - losing it is the point
        await asyncio.sleep(1)
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    world = World(1)
    world.run(main())
    world.close()
    assert {type(context["exception"]) for context in world.loop.unhandled} == {ValueError, ZeroDivisionError}


def test_an_abandoned_asynchronous_generator_is_closed(world: World) -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def main() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(1)

    world.run(main())
    assert closed == [True]


def test_timeouts_task_groups_and_queues_work(world: World) -> None:
    @asynccontextmanager
    async def held(lock: asyncio.Lock) -> AsyncIterator[None]:
        async with lock:
            yield

    async def main() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(2)
        lock = asyncio.Lock()

        async def produce() -> None:
            for number in range(5):
                async with held(lock):
                    await asyncio.sleep(0.5)
                await queue.put(number)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await queue.get()
        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            return [await queue.get() for _ in range(5)]

    assert world.run(main()) == [0, 1, 2, 3, 4]


def test_a_closed_world_does_not_run(world: World) -> None:
    async def main() -> None:
        pass

    world.close()
    coroutine = main()
    with pytest.raises(SimulationError):
        world.run(coroutine)


def test_bare_steps_are_fast(world: World) -> None:
    async def main() -> None:
        for _ in range(100_000):
            await asyncio.sleep(0)

    began = time.perf_counter()
    world.run(main())
    assert 100_000 / (time.perf_counter() - began) > 30_000  # thirty times that on an idle core
