"""The simulated event loop: asyncio in virtual time.

Integer nanoseconds, a heap of ``(deadline, sequence, ...)`` entries and a deque of ready handles. When nothing is
ready the clock jumps to the next deadline. A handle runs only while the incarnation that it belongs to lives.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from asyncio import events
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from bodydouble_sim.errors import DeadlockError, RefusedError, SimulationError, StalledError
from bodydouble_sim.handles import OWNER, Incarnation, SimHandle, SimTimer
from bodydouble_sim.network.calls import NetworkCalls
from bodydouble_sim.task import KEEPS_ITS_FUTURES, SimFuture, SimTask

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SECOND = 1_000_000_000
_STALL_STEPS = 5_000_000
_COLLECT_MASK = (1 << 16) - 1  # now and then, when these bits of the tick are 0
_COLLECT_ALL_EVERY = 1 << 20
_SWEEP_TIMERS_ABOVE = 1000


class _StopLoop(Exception):  # noqa: N818 - a signal, not an error
    """Leaves the inner loop when the main task is done; costs nothing a step."""


class SimLoop(NetworkCalls, asyncio.AbstractEventLoop):
    """An asyncio event loop on virtual time.

    Args:
        ready: gives out the ready handles; first in, first out, unless schedules are explored.

    Attributes:
        now: virtual nanoseconds since the world began.
        unhandled: contexts handed to `call_exception_handler` (an unretrieved task exception, a failing callback):
            a lab that finds one here has found a defect.
        heap: ``(deadline, sequence, callback, argument)`` of all that is to come; a timer has no callback but itself.
        next_entry: gives the sequence number of the next entry.
        ticks: entries of the heap (frames and timers) that were run so far.
    """

    def __init__(self, ready: deque[asyncio.Handle] | None = None) -> None:
        self.now = 0
        self.unhandled: list[dict[str, Any]] = []
        self.lab = Incarnation(None, 1, 0)
        self._ready: deque[asyncio.Handle] = deque() if ready is None else ready
        self.heap: list[tuple[int, int, Callable[[Any], None] | None, Any]] = []
        self.next_entry = count().__next__
        self.next_number = count(1).__next__
        self._generators: weakref.WeakKeyDictionary[AsyncGenerator[Any, Any], Incarnation]
        self._generators = weakref.WeakKeyDictionary()
        self._cancelled_timers = 0
        self.ticks = 0
        self._running = False
        self._closed = False
        self._exception_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._task_factory: Any = None

    # --- the clock and the queues -----------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the world began."""
        return self.now / SECOND

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run ``callback`` in this instant, after what is ready already."""
        if context is None:
            context = copy_context()
        owner = context.get(OWNER)
        if owner is None:
            owner = OWNER.get(self.lab)
        handle = SimHandle(callback, args, context, owner)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`: a run has one thread.

        Raises:
            RefusedError: called while the loop does not run in this thread, that is, from another thread.
        """
        if self._running and events._get_running_loop() is not self:  # noqa: SLF001 - asyncio's own accessor
            raise RefusedError("a second thread reached the simulated loop; threads are not deterministic")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run ``callback`` after ``delay`` seconds."""
        return self._add_timer(self.now + ceil(delay * SECOND), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run ``callback`` once `time` is at least ``when``."""
        nanoseconds = int(when * SECOND)
        if nanoseconds / SECOND < when:  # anyio re-arms for ever when the clock is one rounding short of its deadline
            nanoseconds += 1
        return self._add_timer(nanoseconds, callback, args, context)

    def _add_timer(
        self, when: int, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> SimTimer:
        if context is None:
            context = copy_context()
        owner = context.get(OWNER)
        if owner is None:
            owner = OWNER.get(self.lab)
        when = max(when, self.now)
        timer = SimTimer(when, callback, args, self, context, owner)
        heappush(self.heap, (when, self.next_entry(), None, timer))
        return timer

    def schedule(self, delay: int, callback: Callable[[Any], None], argument: Any) -> None:
        """Call ``callback(argument)`` after ``delay`` nanoseconds, outside any machine: for wires and stacks only."""
        heappush(self.heap, (self.now + delay, self.next_entry(), callback, argument))

    def note_cancelled_timer(self) -> None:
        """Count a cancelled timer; once most of the heap is dead weight, sweep it."""
        self._cancelled_timers += 1
        if self._cancelled_timers > _SWEEP_TIMERS_ABOVE and self._cancelled_timers * 2 > len(self.heap):
            heap = self.heap  # changed in place: `_advance` holds on to it
            heap[:] = [entry for entry in heap if entry[2] is not None or not entry[3].cancelled()]
            heapify(heap)
            self._cancelled_timers = 0

    # --- running ----------------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:
        """Run until ``future`` (or coroutine) is done and return its result.

        Raises:
            DeadlockError: nothing is scheduled and it is not done.
            StalledError: one instant never ends.
        """
        self._refuse_nesting()
        task = future if asyncio.isfuture(future) else self.create_task(future, name="main")
        task.add_done_callback(_stop)
        try:
            self._run(task)
        finally:
            task.remove_done_callback(_stop)
        return task.result()

    def _refuse_nesting(self) -> None:
        if self._closed:
            raise SimulationError("the world of this loop is closed")
        if events._get_running_loop() is not None:  # noqa: SLF001 - asyncio's own accessor
            raise RefusedError("an event loop runs in this thread already")

    def _run(self, main: asyncio.Future[Any]) -> None:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._generator_begun, finalizer=self._generator_dropped)
        events._set_running_loop(self)  # noqa: SLF001 - what every third-party loop has to call
        self._running = True
        try:
            self._turn(main)
        except _StopLoop:
            pass
        finally:
            self._running = False
            events._set_running_loop(None)  # noqa: SLF001
            sys.set_asyncgen_hooks(*hooks)

    def _turn(self, main: asyncio.Future[Any]) -> None:  # noqa: C901, PLR0912 - one call a step would be a tenth of it
        """Run what is ready; when nothing is, jump to the next deadline. `_stop` leaves it."""
        ready, heap = self._ready, self.heap
        popleft = ready.popleft
        left = _STALL_STEPS
        while True:
            if ready:
                handle: Any = popleft()
                left -= 1
                if not left:
                    raise StalledError(f"{_STALL_STEPS} callbacks ran at {self.time():.9f} s without time advancing")
            elif heap:
                when, _, callback, handle = heappop(heap)
                if callback is None:
                    if handle._cancelled:  # noqa: SLF001 - one class in two modules
                        self._cancelled_timers -= 1
                        continue
                    handle._scheduled = False  # noqa: SLF001 - asyncio's own field
                self.now = when
                left = _STALL_STEPS
                self.ticks = ticks = self.ticks + 1
                if not ticks & _COLLECT_MASK:
                    gc.collect(2 if not ticks % _COLLECT_ALL_EVERY else 1)
                if callback is not None:
                    callback(handle)
                    continue
            else:
                raise DeadlockError(self._describe_deadlock(main))
            owner = handle._owner  # noqa: SLF001
            if owner.dead:
                owner.parked.append(handle)
                continue
            if handle._cancelled:  # noqa: SLF001
                continue
            try:
                args = handle._args  # noqa: SLF001
                if len(args) == 1:  # a task's wake-up, as most are: half the price of unpacking
                    handle._context.run(handle._callback, args[0])  # noqa: SLF001
                else:
                    handle._context.run(handle._callback, *args)  # noqa: SLF001
            except (_StopLoop, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - one process's SystemExit must not end the world
                self._callback_failed(handle, error)

    def _describe_deadlock(self, main: asyncio.Future[Any]) -> str:
        waiting = sorted(f"{self.lab.name}/{task.get_name()}" for task in self.lab.tasks if not task.done())
        what = main.get_name() if isinstance(main, asyncio.Task) else "the awaited future"
        return f"at {self.time():.6f} s nothing is scheduled and {what} is not done; waiting: {', '.join(waiting)}"

    def _callback_failed(self, handle: asyncio.Handle, error: BaseException) -> None:
        self.call_exception_handler(
            {"message": f"callback of {handle!r} failed: {error!r}", "exception": error, "handle": handle}
        )

    def run_forever(self) -> None:
        """Refused: a run has a main coroutine, and ends with it."""
        raise RefusedError("a simulated loop runs one main coroutine: World.run(main)")

    def stop(self) -> None:
        """Refused: return from the main coroutine."""
        raise RefusedError("return from the main coroutine instead of stopping the loop")

    def is_running(self) -> bool:
        """Whether a run is under way."""
        return self._running

    def is_closed(self) -> bool:
        """Whether the world was closed."""
        return self._closed

    def scheduled(self) -> list[object]:
        """Everything that waits to run; for `World.close`, which disposes of the coroutines in it."""
        handles: list[Any] = [*self._ready, *(entry[3] for entry in self.heap if entry[2] is None)]
        return [item for handle in handles for item in (handle._callback, handle._args)]  # noqa: SLF001

    def close(self) -> None:
        """Drop everything scheduled. `World.close` disposes of the tasks first."""
        self._closed = True
        self._ready.clear()
        self.heap.clear()

    # --- tasks, futures, generators ---------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose place in a set does not depend on its address, unless it can get into none."""
        if id(sys._getframe(1).f_code) in KEEPS_ITS_FUTURES:  # noqa: SLF001 - documented, for this interpreter
            return asyncio.Future(loop=self)
        return SimFuture(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        """Start a task of the incarnation that the context (else the caller) belongs to."""
        owner = OWNER.get(self.lab)
        if context is not None:
            inherited = context.get(OWNER)
            if inherited is None:
                context.run(OWNER.set, owner)
            else:
                owner = inherited
        if self._task_factory is not None:
            task: asyncio.Task[Any] = self._task_factory(self, coro, context=context)
        else:
            task = SimTask(coro, loop=self, number=self.next_number(), name=name, context=context)
        owner.adopt(task)
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Replace how tasks are made; they then lack the deterministic hash."""
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        """The factory set, or None."""
        return self._task_factory

    def _generator_begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators[generator] = OWNER.get(self.lab)

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        owner = self._generators.pop(generator, self.lab)
        if owner.dead:
            owner.parked.append(generator)
        elif not self._closed:
            closing: Coroutine[Any, Any, None] = generator.aclose()
            self.create_task(closing, name="close-generator", context=owner.context.copy())

    def generators_of(self, owner: Incarnation) -> list[AsyncGenerator[Any, Any]]:
        """The asynchronous generators that an incarnation began and that still exist."""
        return [generator for generator, whose in list(self._generators.items()) if whose is owner]

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators go with their machine."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's
        """Nothing to do: there is no executor."""

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run ``func`` inline at a later step of this instant, whichever executor: a run has one thread."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(_settle, future, func, args)
        return future

    def set_default_executor(self, executor: Any) -> None:
        """Without effect beyond asyncio's check: what is handed to an executor runs inline.

        Raises:
            TypeError: it is no ``ThreadPoolExecutor``.
        """
        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError("executor must be ThreadPoolExecutor instance")

    # --- errors -----------------------------------------------------------------------------------------------------

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Record what nobody handled, in `unhandled`; a handler that was set is called as well."""
        if self._closed:
            return
        self.unhandled.append(context)
        if self._exception_handler is not None:
            self._exception_handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Record only: a run prints nothing."""
        self.unhandled.append(context)

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        """Call ``handler`` too for what nobody handled."""
        self._exception_handler = handler

    def get_exception_handler(self) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None:
        """The handler set, or None."""
        return self._exception_handler

    def get_debug(self) -> bool:
        """Always False: debug mode reads the real clock."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Ignored."""


def _stop(_: object) -> None:
    raise _StopLoop


def _settle(future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
    if future.cancelled():
        return
    try:
        result = func(*args)
    except KeyboardInterrupt:
        raise
    except StopIteration as error:  # a future cannot hold one; left alone, whoever awaits would wait for ever
        future.set_exception(RuntimeError(f"a call in an executor raised {error!r}"))
    except BaseException as error:  # noqa: BLE001 - handed to whoever awaits, as a worker thread's is
        future.set_exception(error)
    else:
        future.set_result(result)
