"""Tasks and futures whose hash is a creation number instead of an address.

``asyncio.wait``, ``TaskGroup`` and ``all_tasks`` keep tasks in sets, and sets iterate by hash: with the default hash
two runs of one seed wake waiters in different orders. A hash that counts creations makes the order a function of the
run alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextvars import Context

    from bodydouble_sim.loop import SimLoop

KEEPS_ITS_FUTURES = {
    id(function.__code__): function.__code__
    for function in (
        asyncio.sleep,
        asyncio.Event.wait,
        asyncio.Lock.acquire,
        asyncio.Queue.get,
        asyncio.Queue.put,
        asyncio.StreamReader._wait_for_data,  # type: ignore[attr-defined]  # noqa: SLF001 - only its code is looked at
    )
}
"""Code of asyncio's functions that never let go of the futures that they ask a loop for, by its ``id``.

Such a future gets into no set and needs no hash, and the interpreter awaits its own class in two thirds of the time
that a subclass takes. Nearly every wait of a run is one of these.
"""


class SimTask(asyncio.Task[Any]):
    """The interpreter's own task (the C one), hashed by its number among the loop's tasks."""

    def __init__(
        self, coro: Any, *, loop: SimLoop, number: int, name: str | None = None, context: Context | None = None
    ) -> None:
        self.number = number  # before the base class registers the task in a set
        super().__init__(coro, loop=loop, name=f"sim-task-{number}" if name is None else name, context=context)

    def __hash__(self) -> int:
        return self.number


class SimFuture(asyncio.Future[Any]):
    """A future that draws its hash from the loop the first time that it is put into a set."""

    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            loop: Any = self.get_loop()
            self._number = loop.next_number()
            return self._number
