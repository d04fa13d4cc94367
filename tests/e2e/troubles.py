"""Random troubles among source, target and witness: ``python -m tests.e2e.troubles --count 1000``.

Each seed draws up to five troubles that overlap: cut cables, parted pairs, one-way loss, flapping links, latency, loss,
power cuts, killed daemons. With a paired witness there must never be two owners, and exactly one when all is healed.
As docs/split-brain.md asks, the source's address is left to its guard. Its daemon is not killed: a source without it
guards nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click
from tests.e2e.trio import PEACE, Trio

from bodydouble_sim.network.faults import Match
from bodydouble_sim.network.troubles import Flap, Latency, Loss, Partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.standing_in import Server

    from bodydouble_sim.network.faults import Fault
    from bodydouble_sim.world import World

Kind = Literal["cut off", "parted", "one way", "flap", "latency", "loss", "power", "kill"]
NAMES = ("SOURCE", "TARGET", "WITNESS")
KINDS: tuple[Kind, ...] = ("cut off", "parted", "one way", "flap", "latency", "loss", "power", "kill")
LONGEST = 60.0
WATCHED = 130.0
"""Seconds from the beginning within which all troubles are over."""


@dataclass(frozen=True, slots=True, order=True)
class Drawn:
    """One trouble.

    Attributes:
        start: seconds after everything was protected.
        duration: in seconds.
        kind: what it is.
        machine: whose.
        other: from whom it is parted.
        much: how bad, 0 to 1.
        rate: how fast a link comes back, 0 to 1.
    """

    start: float
    duration: float
    kind: Kind
    machine: str
    other: str
    much: float
    rate: float


def drawn(seed: int) -> list[Drawn]:
    """The troubles of a seed."""
    draw = random.Random(f"{seed}:troubles")
    return sorted(_drawn(draw) for _ in range(draw.randint(1, 5)))


def _drawn(draw: random.Random) -> Drawn:
    duration = draw.choice([draw.uniform(0.3, 3), draw.uniform(3, 15), draw.uniform(15, LONGEST)])
    kind = draw.choice(KINDS)
    machine = draw.choice(NAMES[1:] if kind == "kill" else NAMES)
    other = draw.choice([name for name in NAMES if name != machine])
    start = draw.uniform(0, 50)
    return Drawn(round(start, 2), round(duration, 2), kind, machine, other, draw.random(), draw.random())


class Troubled(Trio):
    """The three machines while several troubles come and go.

    Attributes:
        began: seconds after everything was protected at which there came to be two owners.
        owners: at the end.
    """

    def __init__(self, troubles: list[Drawn]) -> None:
        super().__init__(witnesses=True, left_to_guard=True)
        self.troubles = troubles
        self.began: list[float] = []
        self.owners: list[str] = []
        self._down: set[str] = set()

    def suffer(self) -> None:
        """Protect, let the troubles come and go, and let time pass."""
        try:
            self.world.run(asyncio.wait_for(self._suffer(), 3600))
        finally:
            self.world.close()

    async def _suffer(self) -> None:
        await self._protect()
        since = asyncio.get_running_loop().time()
        parts = [asyncio.ensure_future(self._bring(each)) for each in self.troubles]
        before = 0.0
        for seconds in (WATCHED, PEACE):
            for _ in range(round(seconds)):
                await self._watch(1.0)
                if self.both > before:
                    self.began.append(round(asyncio.get_running_loop().time() - since))
                before = self.both
            await asyncio.gather(*parts)
            self.healed = True
        self.owners = [each.windows.name for each in (self.source, self.target) if each.answers]

    async def _bring(self, trouble: Drawn) -> None:
        await asyncio.sleep(trouble.start)
        server = {"SOURCE": self.source, "TARGET": self.target, "WITNESS": self.witness}[trouble.machine]
        if trouble.kind in ("power", "kill"):
            await self._lose(server, trouble)
            return
        fault = _FAULTS[trouble.kind](self.world, server, trouble)
        fault.start()
        await asyncio.sleep(trouble.duration)
        fault.heal()

    async def _lose(self, server: Server, trouble: Drawn) -> None:
        """The machine loses its power, or its daemon, unless it has lost either already."""
        if trouble.machine in self._down:
            return
        self._down.add(trouble.machine)
        if trouble.kind == "power":
            server.windows.power_off()
        else:
            server.windows.system.scm.crash("Bodydouble.exe")
        server.daemon = None
        await asyncio.sleep(trouble.duration)
        if trouble.kind == "power":
            server.windows.power_on()
        else:
            await server.windows.command("net start Bodydouble")
        await server.ready()
        self._down.discard(trouble.machine)

    @property
    def problems(self) -> list[str]:
        """What may not be."""
        found = []
        if self.both:
            found.append(f"two owners for {self.both:.2f} s, from {self.began} s on")
        if len(self.owners) != 1:
            found.append(f"owners at the end: {', '.join(self.owners) or 'nobody'}")
        return found


def _cut_off(world: World, _server: Server, trouble: Drawn) -> Fault:
    return Partition(world, [trouble.machine], [name for name in NAMES if name != trouble.machine])


def _parted(world: World, _server: Server, trouble: Drawn) -> Fault:
    return Partition(world, [trouble.machine], [trouble.other])


def _one_way(world: World, _server: Server, trouble: Drawn) -> Fault:
    others = [name for name in NAMES if name != trouble.machine] if trouble.much < 0.5 else [trouble.other]
    return Partition(world, [trouble.machine], others, one_way=True)


def _flap(world: World, server: Server, trouble: Drawn) -> Fault:
    return Flap(world, server.windows.nics[0], down=0.3 + trouble.much * 20, up=0.5 + trouble.rate * 8)


def _latency(world: World, _server: Server, trouble: Drawn) -> Fault:
    return Latency(world, 0.1 + trouble.much * 4, Match(sender=trouble.machine), Match(receiver=trouble.machine))


def _loss(world: World, _server: Server, trouble: Drawn) -> Fault:
    return Loss(world, 0.05 + trouble.much * 0.9, Match(sender=trouble.machine), Match(receiver=trouble.machine))


_FAULTS: dict[str, Callable[[World, Server, Drawn], Fault]] = {
    "cut off": _cut_off, "parted": _parted, "one way": _one_way, "flap": _flap, "latency": _latency, "loss": _loss,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Play seeds, and say which of them had two owners or none."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.troubles", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="seeds (1000)")
    parser.add_argument("--from-seed", type=int, default=1, help="the first (1)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    chosen = parser.parse_args(arguments)
    began, failed = time.monotonic(), []
    for done, seed in enumerate(range(chosen.from_seed, chosen.from_seed + chosen.count), 1):
        trio = Troubled(drawn(seed))
        trio.suffer()
        if trio.problems:
            failed.append(seed)
            click.echo(f"\nseed {seed}: {'; '.join(trio.problems)}", err=True)
            click.echo("\n".join(f"  {each}" for each in trio.troubles), err=True)
        click.echo(
            f"\r{done}/{chosen.count} seeds, {len(failed)} failed, {time.monotonic() - began:.0f} s", nl=False, err=True
        )
    click.echo(err=True)
    summary = {"from_seed": chosen.from_seed, "count": chosen.count, "failed_seeds": failed}
    click.echo(json.dumps(summary) if chosen.json else "\n".join(f"{key}: {value}" for key, value in summary.items()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
