"""Steps at the network: faults that last until they are healed, each counting what it touched as its witness."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from bodydouble_labs.errors import FaultError, LabError
from bodydouble_labs.history import Mark

if TYPE_CHECKING:
    from bodydouble_labs.providers.base import NetworkFaults
    from bodydouble_labs.runner.bench import Bench
    from bodydouble_labs.scenario.steps import FaultStep, HealStep


async def begin(bench: Bench, step: FaultStep, window: float) -> None:
    """Let a fault of the network begin, at an instant of the next ``window`` seconds that the seed decides."""
    faults = _faults(bench)
    await asyncio.sleep(window * random.Random(f"{bench.seed}:fault:{step.fault}").random())  # noqa: S311 - seeded
    faults.begin(step)
    host = step.on if step.on in bench.stage.hosts else ""
    bench.mark(Mark(bench.stage.elapsed(), "fault", host, _described(step)))


async def heal(bench: Bench, step: HealStep) -> None:
    """Let it end.

    Raises:
        FaultError: it touched nothing.
    """
    touched = _faults(bench).heal(step.heal)
    bench.mark(Mark(bench.stage.elapsed(), "heal", "", f"{step.heal}, {touched:,} frames touched"))
    _need(step.heal, touched)


def check_unhealed(bench: Bench) -> None:
    """At the end of the timeline: faults that were never healed have to have touched something, too.

    Raises:
        FaultError: one touched nothing.
    """
    faults = bench.stage.network_faults
    for name, touched in (faults.unhealed() if faults is not None else {}).items():
        _need(name, touched)


def _need(name: str, touched: int) -> None:
    if not touched:
        raise FaultError(f"the fault {name} touched no frame: it did not happen")


def _faults(bench: Bench) -> NetworkFaults:
    if bench.stage.network_faults is None:
        raise LabError("this provider has no faults of the network")
    return bench.stage.network_faults


def _described(step: FaultStep) -> str:
    words: list[str] = [step.fault]
    if step.between is not None:
        first, second = step.between
        words.append(f"from {first} to {second}" if step.one_way else f"between {first} and {second}")
    if step.fault == "spoofed-arp":
        words.append(f"for {step.on}")
    words += [str(part) for part in (step.address, step.protocol, step.match) if part is not None]
    if step.port is not None:
        words.append(f"port {step.port}")
    return " ".join(words)
