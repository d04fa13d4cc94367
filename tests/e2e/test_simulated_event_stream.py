"""The stream of events between simulated machines: the same in each run of a seed, and over when the power is cut."""

from __future__ import annotations

import asyncio

from bodydouble.control.client import ANSWER_TIMEOUT, ControlClient
from bodydouble.control.settings import ControlSettings
from bodydouble.daemon import Daemon, DaemonSettings
from bodydouble.vocabulary.events import EventCode
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

STATE = "C:/Program Files/Bodydouble/State"
ADDRESS = "10.0.0.20"
TOKEN = "a token of some length"


class Pair:
    """A daemon, and the machine of somebody who follows its events."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        lan = self.world.network.segment("lan")
        self.server = WindowsMachine(self.world, "SERVER")
        self.server.plug(lan, f"{ADDRESS}/24")
        self.console = WindowsMachine(self.world, "CONSOLE")
        self.console.plug(lan, "10.0.0.5/24")
        self.daemon: Daemon | None = None
        self.heard: list[tuple[float, int, str]] = []

    async def start(self) -> Daemon:
        for machine in (self.server, self.console):
            machine.power_on()
            await machine.wait_booted()
        self.server.system.make_directories(STATE)
        self.server.register_program_service("Bodydouble", "Bodydouble", self._serve)
        await self.server.command("net start Bodydouble")
        while self.daemon is None or not self.daemon.ready.is_set():  # noqa: ASYNC110 - it is another machine
            await asyncio.sleep(0.1)
        return self.daemon

    async def _serve(self) -> None:
        control = ControlSettings(token=TOKEN, address="0.0.0.0")
        self.daemon = Daemon(self.server.host(), DaemonSettings(state_directory=STATE, control=control))
        await self.daemon.run()

    def follow(self, certificate: bytes) -> asyncio.Task[None]:
        return self.console.spawn(self._follow(certificate), name="console")

    async def _follow(self, certificate: bytes) -> None:
        async with ControlClient(ADDRESS, 6330, TOKEN, certificate) as client:
            async for event in client.stream_events():
                self.heard.append((asyncio.get_running_loop().time(), event.number, event.text))

    def record(self, daemon: Daemon, text: str) -> None:
        async def note() -> None:
            daemon.events.record(EventCode.CONNECTED, text)

        self.server.spawn(note(), name="note")


def followed(seed: int) -> tuple[list[tuple[float, int, str]], str]:
    pair = Pair(seed)

    async def main() -> None:
        daemon = await pair.start()
        reading = pair.follow(daemon.trust.credential.certificate)
        for number in range(5):
            await asyncio.sleep(7 * number)
            pair.record(daemon, f"event {number}")
        await asyncio.sleep(1)
        assert [text for _, _, text in pair.heard][-5:] == [f"event {number}" for number in range(5)]
        pair.server.power_off()
        loop = asyncio.get_running_loop()
        cut = loop.time()
        await asyncio.wait([reading])
        assert reading.exception() is None
        assert loop.time() - cut <= ANSWER_TIMEOUT + 1, "a silent stream is over"

    pair.world.run(main())
    told = pair.heard, pair.world.trace.digest
    pair.world.close()
    return told


def test_a_stream_is_the_same_in_each_run_of_a_seed_and_ends_with_its_daemons_machine() -> None:
    first = followed(1)
    assert followed(1) == first
