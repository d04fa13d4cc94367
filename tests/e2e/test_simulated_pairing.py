"""Pairing on simulated machines: keys follow from the seed, and a power cut leaves what repeating completes."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.control.settings import ControlSettings
from bodydouble.daemon import Daemon, DaemonSettings
from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.records import AcceptRequest, OfferRequest
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Coroutine

STATE = "C:/Program Files/Bodydouble/State"
CONSISTENT = {
    ("", ""),
    ("unfinished", ""),
    ("unfinished", "unfinished"),
    ("paired", "unfinished"),
    ("paired", "paired"),
}


class Machine:
    """A simulated machine with the daemon as its service."""

    def __init__(self, world: World, name: str, address: str) -> None:
        self.address = address
        self.windows = WindowsMachine(world, name)
        self.windows.plug(world.network.segment("lan"), f"{address}/24")
        self.daemon: Daemon | None = None

    async def install(self) -> None:
        self.windows.power_on()
        await self.windows.wait_booted()
        self.windows.system.make_directories(STATE)
        self.windows.register_program_service("Bodydouble", "Bodydouble", self._serve)
        await self.windows.command("net start Bodydouble")
        await self.ready()

    async def _serve(self) -> None:
        control = ControlSettings(token="a token of some length")
        self.daemon = Daemon(self.windows.host(), DaemonSettings(state_directory=STATE, control=control))
        await self.daemon.run()

    async def ready(self) -> Daemon:
        while self.daemon is None or not self.daemon.ready.is_set():  # noqa: ASYNC110 - it is another machine
            await asyncio.sleep(0.1)
        return self.daemon

    async def cycle(self) -> None:
        """Lose the power and come back."""
        self.windows.power_off()
        self.daemon = None
        self.windows.power_on()
        await self.windows.wait_booted()
        await self.ready()

    def perform(self, part: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Something that this machine does."""
        return self.windows.spawn(part, name="test")

    @property
    def state(self) -> str:
        assert self.daemon is not None
        peers = self.daemon.trust.peers()
        return peers[0].state if peers else ""


async def offered(offers: Machine) -> str:
    daemon = await offers.ready()
    return daemon.pairing.offer(OfferRequest()).code


async def accept(accepts: Machine, offers: Machine, code: str) -> None:
    daemon = await accepts.ready()
    await daemon.pairing.accept(AcceptRequest(host=offers.address, code=code))


def world_of(seed: int) -> tuple[World, Machine, Machine]:
    world = World(seed)
    return world, Machine(world, "OFFERS", "10.0.0.20"), Machine(world, "ACCEPTS", "10.0.0.10")


def test_keys_codes_and_traces_follow_from_the_seed() -> None:
    def told(seed: int) -> tuple[str, str, str]:
        world, offers, accepts = world_of(seed)

        async def main() -> str:
            await offers.install()
            await accepts.install()
            code = await offered(offers)
            await accepts.perform(accept(accepts, offers, code))
            assert (offers.state, accepts.state) == ("paired", "paired")
            assert offers.daemon is not None
            return f"{offers.daemon.trust.credential.fingerprint} {code}"

        secrets = world.run(main())
        key = offers.windows.volumes["C"].read(f"{STATE}/credential.json")
        told_of = secrets, hashlib.sha256(key).hexdigest(), world.trace.digest
        world.close()
        return told_of

    first = told(1)
    assert told(1) == first
    assert all(one != other for one, other in zip(first, told(2), strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_at_any_moment_leaves_what_a_repetition_completes(seed: int) -> None:
    draw = random.Random(seed)
    world, offers, accepts = world_of(seed)

    async def main() -> None:
        await offers.install()
        await accepts.install()
        code = await offered(offers)
        pairing = accepts.perform(accept(accepts, offers, code))
        await asyncio.sleep(draw.uniform(0, 0.08))
        victim = offers if draw.random() < 0.5 else accepts
        await victim.cycle()
        if victim is offers:
            ended: object = (await asyncio.gather(pairing, return_exceptions=True))[0]
            assert ended is None or isinstance(ended, BodydoubleError)
        assert (offers.state, accepts.state) in CONSISTENT
        await accepts.perform(accept(accepts, offers, await offered(offers)))
        assert (offers.state, accepts.state) == ("paired", "paired")
        await offers.cycle()
        await accepts.cycle()
        assert (offers.state, accepts.state) == ("paired", "paired")

    try:
        world.run(main())
    finally:
        world.close()
