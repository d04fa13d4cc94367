"""Processes: code of a machine that may be killed while the machine goes on.

At a kill (``SIGKILL``, a crash, ``TerminateProcess``) nothing of the process runs any more, no ``finally`` and no
``except CancelledError``, exactly as at a power cut: a process is an incarnation within the machine's. What the
*system* does then is another matter. It closes what the process had open: ports, connections, the filter's attachments.
What it was about to do for the process it may finish (`carry_out`), and programs that the process had started go on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from bodydouble_sim.errors import MachineStateError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble_sim.machine import Machine

T = TypeVar("T")


class Process:
    """One process of a machine's present life.

    Args:
        machine: where it runs.
        name: for the trace.

    Raises:
        MachineStateError: the power is off.
    """

    def __init__(self, machine: Machine, name: str) -> None:
        if machine.incarnation is None:
            raise MachineStateError(f"{machine.name} is off; it cannot run {name}")
        self._machine = machine
        self._name = name
        self.life = machine.incarnation.begin_process(machine.world.loop.now)
        machine.world.incarnations.append(self.life)

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start a task of the process.

        Raises:
            MachineStateError: it is dead.
        """
        if self.life.dead:
            coro.close()
            raise MachineStateError(f"{self._name} on {self._machine.name} is dead; it cannot run {name}")
        return self._machine.world.loop.create_task(coro, name=name, context=self.life.context.copy())

    def kill(self) -> None:
        """End it at once. Idempotent; nothing happens when the power went first."""
        if self.life.dead:
            return
        self._machine.world.trace.record("process", self._machine.name, "killed", self._name)
        self._machine.fence(self.life)
        for close in self.life.closers:
            close()
        self._machine.stack.release(self.life)


async def carry_out(machine: Machine, call: Coroutine[Any, Any, T], *, name: str) -> T:
    """Have the system, or a process of its own, do something for the calling process, which waits for it.

    Who is cancelled while it waits takes the request back; who is killed does not, and it is finished.
    """
    task = machine.spawn(call, name=f"{machine.name}/{name}")
    assert machine.incarnation is not None
    task.add_done_callback(_look_at, context=machine.incarnation.context)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        raise


def _look_at(task: asyncio.Task[Any]) -> None:
    """Its failure concerns the process that asked, which may be dead."""
    if not task.cancelled():
        task.exception()
