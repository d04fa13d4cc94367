"""A service whose program is a coroutine in a process of its own, which can be killed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bodydouble_sim.process import Process
from bodydouble_sim.windows.service import TaskProgram

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble_sim.machine import Machine


class ProcessProgram(TaskProgram):
    """A `TaskProgram` on a simulated machine. When it is killed, nothing of it runs any more.

    Args:
        name: the service's name.
        program: makes the coroutine.
        machine: where the process runs.
    """

    def __init__(self, name: str, program: Callable[[], Coroutine[Any, Any, None]], machine: Machine) -> None:
        super().__init__(name, program, self._begin)
        self._machine = machine
        self._service = name
        self._gone = asyncio.Event()
        self.process: Process | None = None

    def _begin(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self.process = Process(self._machine, self._service)
        return self.process.spawn(coro, name=f"{self._machine.name}/{name}")

    async def stop(self) -> None:
        """Cancel the program and wait for its end, or until it is killed."""
        self._wanted = False
        if self._task is not None:
            self._task.cancel()
            gone = asyncio.create_task(self._gone.wait(), name=f"{self._service} is killed")
            await asyncio.wait([self._task, gone], return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()

    def kill(self) -> None:
        """Kill the process."""
        self._wanted = False
        self._gone.set()
        if self.process is not None:
            self.process.kill()
