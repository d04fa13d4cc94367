"""Source, target and witness, simulated machines with the unchanged daemon, and who of them owns the address.

Owners are counted from outside, twenty times a second: machines that have the address on an adapter whose cable is
plugged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.e2e.standing_in import ADAPTER, STATE, Server

from bodydouble.control.settings import ControlSettings
from bodydouble.daemon import Daemon, DaemonSettings
from bodydouble.guard.settings import GuardSettings
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import (
    AcceptRequest,
    ConnectRequest,
    InterfaceAddress,
    MonitorRequest,
    OfferRequest,
    ReplicationSet,
    Rule,
)
from bodydouble_sim.world import World

Trouble = Callable[["Trio"], Any]
SERVICE = "10.0.0.10"
OWN = InterfaceAddress(interface=ADAPTER, address=f"{SERVICE}/24")
TIME_TO_FAIL = 10.0
LOST_AFTER = 6.0
FAULT = 60.0
PEACE = 60.0
LOOK = 0.05


class Guarded(Server):
    """A server whose daemon may guard an address."""

    guard = GuardSettings()

    async def _serve(self) -> None:
        settings = DaemonSettings(
            state_directory=STATE, control=ControlSettings(token="a token of some length"), guard=self.guard
        )
        self.daemon = Daemon(self._host(), settings)
        await self.daemon.run()

    @property
    def answers(self) -> bool:
        """Whether it has the service's address on a plugged adapter."""
        nic = self.windows.nics[0]
        return self.windows.powered and nic.up and self.windows.stack.owns(SERVICE)


class Trio:
    """Source, target and witness, protected, until somebody makes trouble.

    Args:
        witnesses: the third machine is one.
        left_to_guard: the source's system does not have the address by itself: its guard adds it.
    """

    def __init__(self, *, witnesses: bool, left_to_guard: bool = False) -> None:
        self.world = World(1)
        self.source = Guarded(self.world, "SOURCE", ["10.0.0.12", *([] if left_to_guard else [SERVICE])])
        self.target = Guarded(self.world, "TARGET", ["10.0.0.20"])
        self.witness = Guarded(self.world, "WITNESS", ["10.0.0.30"])
        asked = ["10.0.0.30:6320"] if witnesses else []
        self.source.guard = GuardSettings(addresses=[OWN], witnesses=asked, interval=0.5, lost_after=LOST_AFTER)
        self.request = MonitorRequest(
            source="SOURCE", addresses=[OWN], interval=2.0, missed=5,
            witnesses=asked,
        )  # fmt: skip
        self.both = 0.0
        self.owner = ""
        self.completed = 0
        self.after = 0.0
        self.healed = False

    def play(self, trouble: Trouble) -> None:
        """Protect, let the trouble last, heal it, and let time pass."""
        try:
            self.world.run(asyncio.wait_for(self._play(trouble), 3600))
        finally:
            self.world.close()

    async def _protect(self) -> None:
        for server in (self.source, self.target, self.witness):
            await server.install()
        await self._pair(self.source, self.target, "10.0.0.20")
        await self._pair(self.target, self.witness, "10.0.0.30")
        await self._pair(self.source, self.witness, "10.0.0.30")
        source, target = await self.source.ready(), await self.target.ready()
        await self.source.call(self._connect(source), name="connect")
        await self.target.call(target.failover.create_monitor(self.request), name="monitor")
        await asyncio.sleep(20)

    async def _play(self, trouble: Trouble) -> None:
        await self._protect()
        fault = trouble(self)
        fault.start()
        await self._watch(FAULT)
        fault.heal()
        self.healed = True
        await self._watch(PEACE)
        self.owner = ", ".join(each.windows.name for each in (self.source, self.target) if each.answers)
        codes = [event.code for event in (await self.target.ready()).events.after(0)]
        self.completed = codes.count(EventCode.FAILOVER_COMPLETE)

    async def _watch(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK)):
            if self.source.answers and self.target.answers:
                self.both += LOOK
                self.after += LOOK if self.healed else 0
            await asyncio.sleep(LOOK)

    @staticmethod
    async def _pair(accepting: Server, offering: Server, address: str) -> None:
        code = (await offering.ready()).pairing.offer(OfferRequest()).code
        accept = (await accepting.ready()).pairing.accept(AcceptRequest(host=address, code=code))
        await accepting.call(accept, name="pair")

    @staticmethod
    async def _connect(source: Daemon) -> None:
        await source.replication.save_set(ReplicationSet("data", [Rule("C:/Data")]))
        status = await source.replication.connect(ConnectRequest(replication_set="data", target="10.0.0.20"))
        while source.replication.connection(status.id).status().state != "replicating":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
