"""What the loop itself promises: order, time, tasks, executors, and who hears of a failure."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.networking.arms import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conformance.networking.arms import Net

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour")


async def test_callbacks_run_in_the_order_in_which_they_were_given(net: Net) -> None:
    del net
    ran: list[int] = []
    loop = asyncio.get_running_loop()
    for number in range(10):
        (loop.call_soon if number % 2 else loop.call_soon_threadsafe)(ran.append, number)
    assert ran == []
    await asyncio.sleep(0)
    assert ran == list(range(10))


async def test_timers_run_in_the_order_of_their_deadlines(net: Net) -> None:
    ran: list[int] = []
    loop = asyncio.get_running_loop()
    now = loop.time()
    for number in (3, 1, 2, 0):
        loop.call_at(now + number * net.pause / 10, ran.append, number)
    await until(lambda: len(ran) == 4)
    assert ran == [0, 1, 2, 3]


async def test_a_timer_tells_its_deadline_and_can_be_cancelled(net: Net) -> None:
    ran: list[int] = []
    loop = asyncio.get_running_loop()
    before = loop.time()
    timer = loop.call_later(net.pause / 10, ran.append, 1)
    assert before + net.pause / 10 - 1e-6 <= timer.when() <= loop.time() + net.pause / 10
    timer.cancel()
    assert timer.cancelled()
    soon = loop.call_soon(ran.append, 2)
    soon.cancel()
    assert soon.cancelled()
    await asyncio.sleep(net.pause)
    assert ran == []


async def test_sleep_lasts_at_least_as_long_as_asked(net: Net) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await asyncio.sleep(net.pause, "result") == "result"
    assert loop.time() - began >= net.pause - 0.001


async def test_a_callback_keeps_the_context_that_it_was_given(net: Net) -> None:
    del net
    seen: list[str] = []
    COLOUR.set("red")
    asyncio.get_running_loop().call_soon(lambda: seen.append(COLOUR.get()))
    COLOUR.set("blue")
    context = contextvars.Context()
    context.run(COLOUR.set, "green")
    asyncio.get_running_loop().call_soon(lambda: seen.append(COLOUR.get()), context=context)
    await asyncio.sleep(0)
    assert seen == ["red", "green"]


async def test_one_failing_task_cancels_its_group(net: Net) -> None:
    del net
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("one")

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - leaving the group is what raises
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(waits())
            group.create_task(fails())
    assert [str(error) for error in caught.value.exceptions] == ["one"]
    assert ended == ["cancelled", "cancelled"]


async def test_wait_returns_at_the_first_that_is_done(net: Net) -> None:
    fast = asyncio.create_task(asyncio.sleep(0, "fast"))
    slow = asyncio.create_task(asyncio.sleep(100))
    done, pending = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
    assert (done, pending) == ({fast}, {slow})
    done, pending = await asyncio.wait([slow], timeout=net.pause / 10)
    assert (done, pending) == (set(), {slow})
    slow.cancel()
    await asyncio.wait([slow])


async def test_wait_returns_at_the_first_that_fails(net: Net) -> None:
    del net

    async def fails() -> None:
        raise LookupError

    good, bad = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(fails())
    slow = asyncio.create_task(asyncio.sleep(100))
    done, pending = await asyncio.wait([good, bad, slow], return_when=asyncio.FIRST_EXCEPTION)
    assert bad in done
    assert pending == {slow}
    assert isinstance(bad.exception(), LookupError)
    slow.cancel()


async def test_gather_keeps_the_order_of_its_arguments(net: Net) -> None:
    async def later(number: int) -> int:
        await asyncio.sleep(net.pause / 100 * (5 - number))
        if number == 2:
            raise LookupError
        return number

    results = await asyncio.gather(*map(later, range(5)), return_exceptions=True)
    assert [type(one) if isinstance(one, Exception) else one for one in results] == [0, 1, LookupError, 3, 4]


async def test_as_completed_follows_completion(net: Net) -> None:
    async def later(number: int) -> int:
        await asyncio.sleep(net.pause / 10 * (3 - number))
        return number

    assert [await one for one in asyncio.as_completed([later(0), later(1), later(2)])] == [2, 1, 0]


async def test_a_timeout_is_an_error_and_its_absence_nothing(net: Net) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(net.pause / 10) as outer:
            await asyncio.sleep(100)
    assert outer.expired()
    async with asyncio.timeout(100) as outer:
        await asyncio.sleep(0)
    assert not outer.expired()


async def test_of_nested_timeouts_the_earlier_one_fires(net: Net) -> None:
    with pytest.raises(TimeoutError):  # noqa: PT012 - one statement in two
        async with asyncio.timeout(net.pause / 10) as outer:
            async with asyncio.timeout(100) as inner:
                await asyncio.sleep(200)
    assert outer.expired()
    assert not inner.expired()


async def test_a_timeout_can_be_moved(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(net.pause / 10) as moved:
        moved.reschedule(loop.time() + 100)
        await asyncio.sleep(net.pause)
    assert not moved.expired()


async def test_a_shielded_task_survives_the_cancellation_of_its_waiter(net: Net) -> None:
    inner = asyncio.create_task(asyncio.sleep(net.pause / 10, "kept"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(inner), net.pause / 100)
    assert await inner == "kept"


async def test_cancellation_runs_finally_and_can_be_swallowed(net: Net) -> None:
    del net
    steps: list[str] = []

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("caught")
            await asyncio.sleep(0)
            return "survived"
        finally:
            steps.append("finally")
        return "undisturbed"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    assert task.cancel()
    assert await task == "survived"
    assert steps == ["caught", "finally"]
    assert not task.cancel()


async def test_waiters_of_a_lock_and_a_queue_are_served_in_order(net: Net) -> None:
    del net
    lock, queue = asyncio.Lock(), asyncio.Queue[int]()
    order: list[int] = []

    async def worker(number: int) -> None:
        async with lock:
            order.append(number)
            await asyncio.sleep(0)
        order.append(await queue.get())

    workers = [asyncio.create_task(worker(number)) for number in range(5)]
    await asyncio.sleep(0)
    for number in range(5):
        queue.put_nowait(10 + number)
    await asyncio.gather(*workers)
    assert [one for one in order if one < 10] == [0, 1, 2, 3, 4]
    assert [one for one in order if one >= 10] == [10, 11, 12, 13, 14]


async def test_events_conditions_semaphores_and_barriers_work(net: Net) -> None:
    del net
    barrier, semaphore, condition = asyncio.Barrier(3), asyncio.Semaphore(2), asyncio.Condition()
    inside = 0
    most = 0

    async def worker() -> None:
        nonlocal inside, most
        await barrier.wait()
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
        async with condition:
            condition.notify_all()

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(worker())
        async with condition:
            await condition.wait()
    assert most == 2


async def test_a_call_to_thread_returns_raises_and_keeps_the_context(net: Net) -> None:
    del net
    COLOUR.set("red")
    assert await asyncio.to_thread(COLOUR.get) == "red"
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)


async def test_an_executor_call_returns_and_raises(net: Net) -> None:
    del net
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, pow, 2, 10) == 1024
    with ThreadPoolExecutor(1) as pool:
        assert await loop.run_in_executor(pool, pow, 2, 11) == 2048
    wrong: Any = "no executor"
    with pytest.raises(TypeError):
        loop.set_default_executor(wrong)
    assert threading.current_thread() is threading.main_thread()


async def test_a_call_to_thread_that_exits_tells_its_caller(net: Net) -> None:
    del net
    with pytest.raises(SystemExit):
        await asyncio.to_thread(sys.exit, 3)


async def test_tasks_have_names_and_know_who_runs(net: Net) -> None:
    del net

    async def who() -> str:
        task = asyncio.current_task()
        assert task in asyncio.all_tasks()
        return task.get_name() if task else ""

    assert await asyncio.create_task(who(), name="worker") == "worker"


async def test_a_callback_that_fails_is_reported_and_the_loop_goes_on(net: Net) -> None:
    asyncio.get_running_loop().call_soon(lambda: 1 // 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [type(context["exception"]) for context in net.unhandled] == [ZeroDivisionError]
    net.unhandled.clear()


async def test_a_failure_that_nobody_retrieves_is_reported(net: Net) -> None:
    async def fails() -> None:
        raise LookupError("lost")

    failing = [asyncio.create_task(fails())]
    await asyncio.sleep(0)
    failing.clear()
    for _ in range(200):  # the simulator lets go of finished tasks in sweeps
        await asyncio.create_task(asyncio.sleep(0))
    gc.collect()
    assert [str(context["exception"]) for context in net.unhandled] == ["lost"]
    net.unhandled.clear()


async def test_an_abandoned_generator_is_closed(net: Net) -> None:
    del net
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async for _ in numbers():
        break
    gc.collect()
    await until(lambda: closed)


async def test_the_loop_says_that_it_runs(net: Net) -> None:
    del net
    loop = asyncio.get_running_loop()
    assert loop.is_running()
    assert not loop.is_closed()
    with pytest.raises(RuntimeError):
        loop.run_until_complete(loop.create_future())
