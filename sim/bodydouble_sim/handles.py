"""Who a callback belongs to: incarnations of machines, and the handles that carry their owner.

Every callback, timer and task of a run belongs to one *incarnation*: one power-on-to-power-off life of a machine, the
life of one process within it (`bodydouble_sim.process`), or the lab itself. The owner travels in a context variable, so
whatever a task starts belongs where the task belongs. Cutting the power, or killing the process, marks the incarnation
dead; the loop then parks its handles instead of running them.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.loop import SimLoop
    from bodydouble_sim.machine import Machine

_FIRST_SWEEP = 64


class Incarnation:
    """One life of a machine, from power on to power off, or of a process; ``machine`` is None for the lab's own.

    Attributes:
        number: counts a machine's lives from 1.
        born: virtual nanoseconds at which it began; frames sent earlier never reach it.
        dead: nothing that belongs to a dead incarnation ever runs again.
        context: the context that its tasks start from.
        parked: what must stay referenced until the world closes, so that no ``finally`` of it runs.
        processes: the lives of the machine's processes, which end with its own.
        closers: what the system does when the process is killed, to close what it had open.
    """

    __slots__ = ("_sweep_at", "born", "closers", "context", "dead", "machine", "number", "parked", "processes", "tasks")

    def __init__(self, machine: Machine | None, number: int, born: int) -> None:
        self.machine = machine
        self.number = number
        self.born = born
        self.dead = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.parked: list[Any] = []
        self.processes: list[Incarnation] = []
        self.closers: list[Callable[[], None]] = []
        self._sweep_at = _FIRST_SWEEP
        self.context = contextvars.Context()
        self.context.run(OWNER.set, self)

    @property
    def name(self) -> str:
        """The machine's name, or ``lab``."""
        return "lab" if self.machine is None else self.machine.name

    def begin_process(self, born: int) -> Incarnation:
        """A life within this one."""
        self.processes = [process for process in self.processes if not process.dead]
        process = Incarnation(self.machine, self.number, born)
        self.processes.append(process)
        return process

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Hold a task; finished ones are let go in sweeps, which costs less than a callback each."""
        tasks = self.tasks
        tasks.append(task)
        if len(tasks) >= self._sweep_at:
            self.sweep()

    def seal(self) -> None:
        """Its end: what failed and is still held by code that can no longer look at it is nobody's fault."""
        finished = [weakref.ref(task) for task in self.tasks if task.done()]
        self.sweep()
        for reference in finished:
            task: Any = reference()
            if task is not None:
                task._log_traceback = False  # noqa: SLF001 - asyncio's own switch
        self.dead = True

    def sweep(self) -> None:
        """Let go of finished tasks; one whose exception nobody retrieved then says so."""
        self.tasks = [kept for kept in self.tasks if not kept.done()]
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self.tasks))


OWNER: contextvars.ContextVar[Incarnation] = contextvars.ContextVar("bodydouble_sim_owner")


def close_when_killed(close: Callable[[], None]) -> None:
    """Have the system do something when the process that the running code belongs to is killed."""
    owner = OWNER.get(None)
    if owner is not None:
        owner.closers.append(close)


def current_machine() -> Machine:
    """The machine that the running code belongs to.

    Raises:
        RefusedError: the code belongs to the lab, which is on no machine.
    """
    owner = OWNER.get(None)
    if owner is None or owner.machine is None:
        raise RefusedError("this code runs on no machine; start it with Machine.spawn")
    return owner.machine


class SimHandle(asyncio.Handle):
    """A callback for the ready queue, with the incarnation that it belongs to."""

    __slots__ = ("_owner",)
    _owner: Incarnation

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context, owner: Incarnation
    ) -> None:
        # asyncio.Handle.__init__ is skipped on purpose: it asks the loop for its debug flag, once for every step.
        self._callback = callback
        self._args = args
        self._context = context
        self._owner = owner
        self._cancelled = False

    def cancel(self) -> None:
        """Never run the callback, and let go of what it refers to."""
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]  # as asyncio.Handle does

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def __repr__(self) -> str:
        return f"<SimHandle of {self._owner.name}>"


class SimTimer(asyncio.TimerHandle):
    """A callback for a deadline, with the incarnation that it belongs to."""

    __slots__ = ("_owner",)
    _owner: Incarnation

    def __init__(  # noqa: PLR0917 - made for every timer; keywords cost
        self,
        when: int,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: SimLoop,
        context: contextvars.Context,
        owner: Incarnation,
    ) -> None:
        self._when = when  # nanoseconds here; when() gives seconds
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._owner = owner
        self._cancelled = False
        self._scheduled = True  # in the heap

    def cancel(self) -> None:
        """Never run the callback; the heap entry is swept later."""
        if not self._cancelled:
            self._cancelled = True
            self._callback = self._args = None  # type: ignore[assignment]  # as asyncio.Handle does
            if self._scheduled:  # not one that ran, which `asyncio.sleep` cancels every time
                self._loop.note_cancelled_timer()

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def when(self) -> float:
        """The deadline in seconds of the loop's clock."""
        return self._when / 1_000_000_000

    def __repr__(self) -> str:
        return f"<SimTimer of {self._owner.name}>"
