"""The service control manager against a model, over random lives of a machine."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.files import VolumeFiles
from bodydouble_sim.windows.service import PausableIdleProgram, ServiceConfig, ServiceControlError
from bodydouble_sim.windows.system import WindowsSystem

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.records import StartupType

NEEDS = {"a": (), "b": ("a",), "c": ("b",), "d": ("a", "b"), "e": ()}
PROCESS = {"a": "one.exe", "b": "one.exe", "c": "two.exe", "d": "two.exe", "e": "three.exe"}
NAMES = st.sampled_from(sorted(NEEDS))
STARTUPS: list[StartupType] = ["automatic", "manual", "disabled"]


class ServiceLives(RuleBasedStateMachine):
    """Starts, stops, pauses, crashes, disabling, restarts and power cuts; the model knows what must run.

    Source: reference/windows-iis.md, "Services". A crash leaves services in other processes running although what they
    depend on is gone: those are `orphans`, the only ones that may run without it.
    """

    @initialize()
    def install(self) -> None:
        self.now = 0
        self.loop = asyncio.new_event_loop()
        files = VolumeFiles({"C": NtfsVolume("C", self.clock)})
        self.system = WindowsSystem(files, self.clock, self._spawn, random.Random(1))
        self.system.install("TARGET")
        for name, needs in NEEDS.items():
            config = ServiceConfig(name, f"Service {name}", "automatic", needs, PROCESS[name])
            self.system.scm.register(config, PausableIdleProgram)
        self.system.registry.flush()
        self.startup: dict[str, StartupType] = dict.fromkeys(NEEDS, "automatic")
        self.durable = dict(self.startup)
        self.changed = -10
        self.state = dict.fromkeys(NEEDS, "stopped")
        self.orphans: set[str] = set()

    def clock(self) -> int:
        """Nanoseconds; the model counts seconds."""
        return self.now * 1_000_000_000

    def _spawn(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self.loop.create_task(coro, name=name)

    def call(self, coro: Coroutine[Any, Any, None]) -> int:
        """The Windows error, 0: it worked."""
        try:
            self.loop.run_until_complete(coro)
        except ServiceControlError as error:
            return error.number
        return 0

    # --- what the model expects ---------------------------------------------------------------------------------------

    def starts(self, name: str) -> int:
        """Start in the model; the error."""
        if self.state[name] != "stopped":
            return 1056
        if self.startup[name] == "disabled":
            return 1058
        for needed in NEEDS[name]:
            if self.starts(needed) not in (0, 1056):
                return 1068
        self.state[name] = "running"
        self.orphans.discard(name)
        return 0

    def dependents(self, name: str) -> list[str]:
        """Who does not stand still and needs it, directly or not."""
        direct = [other for other, needs in NEEDS.items() if name in needs and self.state[other] != "stopped"]
        return [*direct, *(far for other in direct for far in self.dependents(other))]

    def boots(self) -> None:
        self.state = dict.fromkeys(NEEDS, "stopped")
        self.orphans.clear()
        for name in NEEDS:
            if self.startup[name] == "automatic" and self.state[name] == "stopped":
                self.starts(name)

    def settles(self) -> None:
        if self.now - self.changed >= 5:
            self.durable = dict(self.startup)

    def dirties(self) -> None:
        """The SYSTEM hive changes: five seconds from its first change it is written."""
        self.settles()
        if self.now - self.changed >= 5:
            self.changed = self.now

    # --- rules --------------------------------------------------------------------------------------------------------

    @rule(name=NAMES)
    def start(self, name: str) -> None:
        assert self.call(self.system.scm.start(name)) == self.starts(name)

    @rule(name=NAMES, dependents=st.booleans())
    def stop(self, name: str, *, dependents: bool) -> None:
        expected = 0
        if self.state[name] == "stopped":
            expected = 1062
        elif self.dependents(name) and not dependents:
            expected = 1051
        assert self.call(self.system.scm.stop(name, dependents=dependents)) == expected
        if expected == 0:
            for gone in [name, *self.dependents(name)]:
                self.state[gone] = "stopped"
                self.orphans.discard(gone)

    @rule(name=NAMES, pause=st.booleans())
    def pause_or_continue(self, name: str, *, pause: bool) -> None:
        scm = self.system.scm
        before, after = ("running", "paused") if pause else ("paused", "running")
        expected = {"stopped": 1062, before: 0}.get(self.state[name], 1052)
        assert self.call(scm.pause(name) if pause else scm.resume(name)) == expected
        if expected == 0:
            self.state[name] = after

    @rule(process=st.sampled_from(sorted(set(PROCESS.values()))))
    def crash(self, process: str) -> None:
        died = [name for name in NEEDS if PROCESS[name] == process and self.state[name] != "stopped"]
        assert self.system.scm.crash(process) == died
        for name in died:
            self.state[name] = "stopped"
            self.orphans.discard(name)
        for name, needs in NEEDS.items():
            if self.state[name] != "stopped" and any(self.state[needed] == "stopped" for needed in needs):
                self.orphans.add(name)

    @rule(name=NAMES, startup=st.sampled_from(STARTUPS))
    def set_startup(self, name: str, startup: StartupType) -> None:
        self.dirties()
        self.system.scm.set_startup(name, startup)
        self.startup[name] = startup

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.settles()

    @rule(restart=st.booleans())
    def shut_down_and_boot(self, *, restart: bool) -> None:
        if restart:
            self.loop.run_until_complete(self.system.shut_down())
            assert all(service.state == "stopped" for service in self.system.scm.services())
            self.durable = dict(self.startup)
            self.changed = -10
        self.loop.run_until_complete(self.system.boot())
        self.boots()
        self.dirties()  # a good boot writes the last known good control set

    @rule()
    def lose_power_and_boot(self) -> None:
        self.settles()
        self.system.lose_power()
        self.startup = dict(self.durable)
        self.changed = -10
        self.shut_down_and_boot(restart=False)

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def states_are_those_of_the_model(self) -> None:
        found = {name: self.system.scm.find(name).state for name in NEEDS}
        assert found == self.state
        assert {name: self.system.scm.find(name).config.startup for name in NEEDS} == self.startup

    @invariant()
    def no_service_runs_whose_dependency_does_not(self) -> None:
        for name, needs in NEEDS.items():
            if self.state[name] != "stopped" and name not in self.orphans:
                assert all(self.system.scm.find(needed).state != "stopped" for needed in needs), name

    def teardown(self) -> None:
        self.loop.close()


ServiceLives.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestServiceLives = pytest.mark.behaviour('reference/windows-iis.md, "Services"')(ServiceLives.TestCase)
