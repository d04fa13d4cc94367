"""Carries out a timeline, step by step, and leaves a complete history behind whatever happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bodydouble.errors import BodydoubleError
from bodydouble_labs.errors import LabError, UnmetError
from bodydouble_labs.history import Mark
from bodydouble_labs.runner import clients, machines, network, product, scripted
from bodydouble_labs.runner.bench import Bench
from bodydouble_labs.runner.collector import Collector
from bodydouble_labs.runner.console import Console
from bodydouble_labs.runner.progress import Progress
from bodydouble_labs.runner.wiring import Wiring
from bodydouble_labs.scenario.steps import (
    RunForStep,
    action_of,
    host_of,
    title_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.runner.progress import ProgressListener
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.steps import AnyStep

ACTIONS: dict[str, Callable[[Bench, Any], Awaitable[None]]] = {
    "command": machines.command,
    "install": machines.install,
    "network": machines.network,
    "power": machines.power,
    "put": machines.put,
    "startup": machines.startup,
    "services": machines.services,
    "site": machines.site,
    "fault": machines.fault,
    "heal": network.heal,
    "workload": clients.workload,
    "run_for": clients.run_for,
    "verify": clients.verify,
    "pair": product.pair,
    "protect": product.protect,
    "wait_for": product.wait_for,
    "failback": product.failback,
    "decide": product.decide,
    "restore": product.restore,
    "dtcl": scripted.dtcl,
}
"""What carries out each action."""

PRODUCT_ACTIONS = ("pair", "protect", "wait_for", "failback", "decide", "restore", "dtcl")
"""Actions whose time limit judges the product (``fail``); that of all others judges the lab (``invalid``)."""

LIMIT = 300.0
"""Seconds that a step may take when it does not say."""
TICK = 5.0
"""Seconds between two words of progress within a step."""


class Runner:
    """Runs one scenario on one stage.

    Everything that goes wrong ends in the history: in ``unmet`` when it is the product's, in ``lab_errors`` when it is
    the lab's. Only a cancellation leaves `run` as an exception.
    """

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        seed: int,
        progress: ProgressListener = lambda _progress: None,
        console: Console | None = None,
    ) -> None:
        self._scenario = scenario
        self._stage = stage
        self._progress = progress
        self._protection = ""
        console = console or Console()
        wiring = Wiring(stage)
        collector = Collector(scenario, stage, console, wiring)
        self.bench = Bench(scenario, stage, seed, console, wiring, collector)

    async def run(self) -> None:
        """Carry out the timeline; returns when it ended or something stopped it."""
        collecting = asyncio.create_task(self._guard(self.bench.collector.run), name="lab-collector")
        try:
            await self._guard(self._timeline)
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
            await self._tidy()

    async def _tidy(self) -> None:
        """Stop the clients if a failure left them working, read the hosts a last time, close the console."""
        self._stage.stop_watching_order()
        for bench in self.bench.each():
            if bench.workload is not None:
                await bench.workload.cancel()
        await self._guard(self.bench.collector.collect)
        await self.bench.console.close()

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` and write down whose failure it was, if it failed."""
        history = self._stage.history
        try:
            await work()
        except UnmetError as error:
            history.of(self._protection).unmet.append(str(error))
        except BodydoubleError as error:
            history.lab_errors.append(str(error))
        except Exception as error:  # noqa: BLE001 - a defect of the lab must end as a verdict, not as silence
            history.lab_errors.append(f"{type(error).__name__}: {error} (a defect of the lab)")

    async def _timeline(self) -> None:
        for number, step in enumerate(self._scenario.timeline, 1):
            if step.phase:
                self.bench.mark(Mark(self._stage.elapsed(), "phase", "", step.phase))
            await self._step(number, step)
            if self._stage.history.lab_errors:
                return  # a client or the collector broke: what follows would prove nothing
        network.check_unhealed(self.bench)

    async def _step(self, number: int, step: AnyStep) -> None:
        began = self._stage.elapsed()
        self._protection = self._scenario.protection_of(step)
        bench = self.bench.of(self._protection)
        self.bench.collector.step = number
        self._tell(number, step)
        ticking = asyncio.create_task(self._tick(number, step), name=f"lab-progress-{number}")
        bench.last_seen = ""
        try:
            async with asyncio.timeout(_limit(step)) as limit:
                await ACTIONS[action_of(step)](bench, step)
            await self.bench.collector.states()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise _too_late(step, bench.last_seen) from error
        except BodydoubleError as error:
            raise type_of(error)(f"step {number}, {title_of(step)}: {error}") from error
        finally:
            ticking.cancel()
            bench.mark(Mark(began, "step", host_of(step), title_of(step), number, self._stage.elapsed()))

    async def _tick(self, number: int, step: AnyStep) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._tell(number, step)

    def _tell(self, number: int, step: AnyStep) -> None:
        self._progress(Progress(number, len(self._scenario.timeline), title_of(step), self._stage.elapsed()))


def _too_late(step: AnyStep, last_seen: str) -> BodydoubleError:
    kind = UnmetError if action_of(step) in PRODUCT_ACTIONS else LabError
    seen = f"; seen last: {last_seen}" if last_seen else ""
    return kind(f"{title_of(step)}: not within {_limit(step):g} s{seen}")


def type_of(error: BodydoubleError) -> type[BodydoubleError]:
    """The kind of error that a step's failure is passed on as."""
    return UnmetError if isinstance(error, UnmetError) else LabError


def _limit(step: AnyStep) -> float | None:
    return None if isinstance(step, RunForStep) else step.within or LIMIT
