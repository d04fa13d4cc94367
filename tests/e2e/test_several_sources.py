"""Three sources fail at once onto one simulated Windows 2000 machine, whose scripts all change its one active name.

Every source has a service on the target that looks at the active name while it starts, which takes seconds. Each has
to find its own source's name, whatever the other sources' scripts are about, and whatever befalls the target.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING

import pytest
from tests.e2e.standing_in import ADAPTER, OWN, Boundaries, Server

from bodydouble.failover.turns import Turns
from bodydouble.vocabulary.records import InterfaceAddress, MonitorRequest, MonitorScripts
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.service import IdleProgram, ServiceConfig
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bodydouble_sim.windows.system import WindowsSystem

NUMBERS = (1, 2, 3)
START_SECONDS = 3.0


class NamedProgram(IdleProgram):
    """A service that looks at the machine's active name when it begins to start and when it has started."""

    def __init__(self, number: int, system: WindowsSystem, seen: list[tuple[int, str, str]]) -> None:
        self._number = number
        self._system = system
        self._seen = seen

    async def start(self, died: Callable[[str], None]) -> None:
        """See `IdleProgram`."""
        before = self._system.names.active
        await asyncio.sleep(START_SECONDS)
        self._seen.append((self._number, before, self._system.names.active))
        await super().start(died)


class ThreeSources:
    """The target and its three sources.

    Attributes:
        seen: of each service that has started: its source's number, and the active name before and after.
    """

    def __init__(self, chosen: int | None = None, *, kill: bool = False) -> None:
        self.world = World(1)
        self.boundaries = Boundaries(chosen)
        self.target = Server(self.world, "TARGET", [OWN], self.boundaries)
        self.boundaries.cut = self.target.kill_daemon if kill else self.target.cut_power
        self.sources = [WindowsMachine(self.world, f"SOURCE{number}") for number in NUMBERS]
        for number, source in zip(NUMBERS, self.sources, strict=True):
            source.plug(self.world.network.segment("lan"), [f"10.0.0.{10 + number}/24"])
        self.seen: list[tuple[int, str, str]] = []

    def run(self) -> None:
        """Let the sources fail, and look at what the target makes of it."""
        try:
            self.world.run(asyncio.wait_for(self._play(), 3600))
        finally:
            self.world.close()

    async def _play(self) -> None:
        for source in self.sources:
            source.power_on()
            await source.wait_booted()
        await self.target.install()
        await self.target.windows.command("install-chngname C:\\DT")
        for number in NUMBERS:
            await self._prepare(number)
        self.target.windows.system.registry.flush()
        self.target.windows.volumes["C"].flush()
        self.boundaries.open = True
        for source in self.sources:
            source.power_off()
        while not self._all("failed-over"):
            assert len(self._scripts_under_way()) <= 1, "two scripts run at a time"
            await asyncio.sleep(0.05)
        self.boundaries.open = False
        self._check()

    async def _prepare(self, number: int) -> None:
        """The target's service and script for a source, and its monitor."""
        system, name = self.target.windows.system, f"Site{number}"
        config = ServiceConfig(name, name, "manual", (), f"{name}.exe")
        system.scm.register(config, lambda: NamedProgram(number, system, self.seen))
        lines = (f"C:\\DT\\chngname /s SOURCE{number}", f"net start {name}", "C:\\DT\\chngname /t", "exit 0", "")
        self.target.windows.put_file(f"C:\\start{number}.bat", "\r\n".join(lines).encode())
        monitor = MonitorRequest(
            source=f"SOURCE{number}",
            addresses=[InterfaceAddress(ADAPTER, f"10.0.0.{10 + number}/24")],
            interval=1.0,
            missed=2,
            scripts=MonitorScripts(post_failover=f"C:/start{number}.bat"),
        )
        daemon = await self.target.ready()
        await self.target.call(daemon.failover.create_monitor(monitor), name="monitor")

    def _all(self, state: str) -> bool:
        daemon = self.target.daemon
        if daemon is None or not daemon.ready.is_set():
            return False
        return [each.state for each in daemon.failover.monitors()] == [state] * len(NUMBERS)

    def _scripts_under_way(self) -> list[str]:
        """Services that are being started: only scripts start any here."""
        if not self.target.windows.powered:
            return []
        scm = self.target.windows.system.scm
        return [f"Site{number}" for number in NUMBERS if scm.find(f"Site{number}").state == "start-pending"]

    def _check(self) -> None:
        """Every service runs, and found its source's name; the machine runs under its own."""
        wrong = [each for each in self.seen if each[1:] != (f"SOURCE{each[0]}",) * 2]
        assert not wrong, f"services that found another name: {wrong}"
        system = self.target.windows.system
        assert [system.scm.find(f"Site{number}").state for number in NUMBERS] == ["running"] * len(NUMBERS)
        assert system.names.active == "TARGET"
        assert {f"SOURCE{number}" for number in NUMBERS} <= set(self.target.windows.netbios.names())


def test_every_service_finds_its_own_sources_name() -> None:
    ThreeSources().run()


PARTS = 4
FEWEST = 60
"""From the first script on a run has more boundaries than that."""


@cache
def boundaries_of_the_scripts() -> list[int]:
    """From the first script that begins to the last thing that is written down."""
    story = ThreeSources()
    story.run()
    labels = story.boundaries.labels
    return list(range(labels.index("before script.run C:/start1.bat"), len(labels)))


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kill", [False, True], ids=["power cut", "daemon killed"])
def test_whatever_befalls_the_target_every_service_finds_its_own_sources_name(part: int, *, kill: bool) -> None:
    numbers = boundaries_of_the_scripts()
    assert len(numbers) > FEWEST
    for number in numbers[part::PARTS]:
        ThreeSources(number, kill=kill).run()


def test_scripts_that_do_not_take_turns_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defect, planted: whoever wants a turn has it."""

    @asynccontextmanager
    async def at_once(*_arguments: object) -> AsyncIterator[bool]:
        yield True

    monkeypatch.setattr(Turns, "turn", at_once)
    with pytest.raises(AssertionError, match="two scripts run at a time"):
        ThreeSources().run()
