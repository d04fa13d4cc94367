"""A world: one virtual clock, one network, one trace, one seed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine  # noqa: TC003 - used in a signature that tools read
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from bodydouble_sim.disposal import retire
from bodydouble_sim.errors import SimulationError
from bodydouble_sim.exploration import DecisionTape, ExploringQueue
from bodydouble_sim.loop import SimLoop
from bodydouble_sim.network.segment import Network
from bodydouble_sim.surroundings import Surroundings
from bodydouble_sim.trace import Trace

if TYPE_CHECKING:
    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.machine import Machine

T = TypeVar("T")

_START = datetime(2002, 12, 2, 9, tzinfo=UTC)
_THAW_EVERY = 1 << 18


class World:
    """Everything of one run.

    Args:
        seed: all randomness of the run derives from it.
        keep_trace: keep the trace readable (`Trace.lines`), not only its digest.
        start: what the virtual calendar says when the run begins.
        capture: keep the latest frames of every segment for `write_pcapng`.
        explore: draw which ready task runs next instead of first in, first out; a tape: repeat what it recorded.

    Attributes:
        tape: the decisions of a run that explores, else None.
    """

    def __init__(
        self,
        seed: int,
        *,
        keep_trace: bool = False,
        start: datetime = _START,
        capture: bool = True,
        explore: bool | DecisionTape = False,
    ) -> None:
        self.seed = seed
        self.capture = capture
        self._randoms: dict[str, Random] = {}
        self.tape = DecisionTape(seed) if explore is True else explore or None
        ready = None
        if self.tape is not None:
            ready = ExploringQueue(self.tape, self.random("schedule") if explore is True else None)
        self.loop = SimLoop(ready)  # type: ignore[abstract]  # the calls that it refuses are set by name
        self.trace = Trace(self.loop, keep=keep_trace)
        self.machines: dict[str, Machine] = {}
        self.incarnations: list[Incarnation] = [self.loop.lab]
        self.network = Network(self)
        self.start = start
        self._thawed_at = 0
        self._surroundings = Surroundings(self)

    def random(self, subsystem: str) -> Random:
        """The one random stream of a subsystem, seeded by name: another's extra draw does not shift it."""
        stream = self._randoms.get(subsystem)
        if stream is None:
            stream = self._randoms[subsystem] = Random(f"{self.seed}:{subsystem}")  # noqa: S311 - a simulation
        return stream

    def now(self) -> datetime:
        """The virtual calendar, UTC."""
        return self.start + timedelta(microseconds=self.loop.now // 1000)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` as the lab's own code (on no machine) until it returns; machines live on between runs.

        The collector is frozen and off meanwhile, and collects at fixed steps: finalizers must not run at moments
        that depend on the process.

        Raises:
            DeadlockError: nothing is scheduled and ``main`` is not done.
            SimulationError: the world is closed.
        """
        if self.loop.is_closed():
            main.close()
            raise SimulationError("this world is closed")
        enabled = gc.isenabled()
        gc.disable()
        gc.freeze()
        try:
            with self._surroundings.entered():
                result: T = self.loop.run_until_complete(self._lab_task(main))
            return result
        finally:
            for owner in self.incarnations:
                owner.sweep()
            self._collect()
            if enabled:
                gc.enable()

    def _collect(self) -> None:
        """End the freeze, with a collection: of what this run made or, every so many steps, of everything.

        What lived when a run began is frozen until its end. A world that runs in slices would keep for ever whatever
        outlives one slice and ends in a later one (a closed connection, until its last timer), if it were always
        frozen again before anybody collects it. Collecting everything costs what the process holds, so not every time.
        """
        if self.loop.ticks - self._thawed_at >= _THAW_EVERY:
            self._thawed_at = self.loop.ticks
            gc.unfreeze()
            gc.collect()
        else:
            gc.collect()
            gc.unfreeze()

    def _lab_task(self, main: Coroutine[Any, Any, T]) -> Any:
        return self.loop.create_task(main, name="lab", context=self.loop.lab.context.copy())

    def close(self) -> None:
        """Dispose of everything that still waits, running none of its code. Idempotent."""
        if self.loop.is_closed():
            return
        for machine in self.machines.values():
            machine.vanish()
        owners, self.incarnations = self.incarnations, []
        for owner in owners:
            owner.dead = True
            owner.parked += self.loop.generators_of(owner)
        scheduled = self.loop.scheduled()
        self.loop.close()
        for owner in owners:
            _dispose(owner)
        retire(scheduled)


def _dispose(owner: Incarnation) -> None:
    tasks = [task for task in owner.tasks if not task.done()]
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio's own switch
    retire([task.get_coro() for task in tasks])
    handles: list[Any] = [item for item in owner.parked if isinstance(item, asyncio.Handle)]
    retire([item for handle in handles for item in (handle._callback, handle._args)])  # noqa: SLF001
    retire(item for item in owner.parked if not isinstance(item, asyncio.Handle))
    owner.tasks = []
    owner.parked = []
