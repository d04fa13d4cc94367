"""Collects, every now and then and beside the timeline, what the hosts show: events, statistics, services, records.

Reads are bulk reads: the product keeps events and one-second samples itself, so nothing is lost between two of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import ControlError
from bodydouble_labs.history import IdentitySample, Mark, MonitorSample, QueueSample, ReplicaSample, ServiceSample

if TYPE_CHECKING:
    from datetime import datetime

    from bodydouble.vocabulary.records import MonitorStatus
    from bodydouble_labs.history import Identity
    from bodydouble_labs.providers.base import LabHost, Stage
    from bodydouble_labs.runner.console import Console
    from bodydouble_labs.runner.wiring import Wiring
    from bodydouble_labs.scenario.model import Scenario

INTERVAL = 10.0
"""Seconds between two collections."""


class Collector:
    """Reads the hosts into the stage's history."""

    def __init__(self, scenario: Scenario, stage: Stage, console: Console, wiring: Wiring) -> None:
        self._scenario = scenario
        self._stage = stage
        self._console = console
        self._wiring = wiring
        self._lock = asyncio.Lock()
        self._last_event: dict[str, int] = {}
        self._last_sample: dict[str, float] = {}
        self._services: dict[tuple[str, str], str] = {}
        self.step = 0
        """The number of the step that is being made."""
        self._identities: dict[str, Identity] = {}
        self._monitors: dict[tuple[str, str], tuple[object, ...]] = {}
        self.monitored: dict[str, None] = {}
        """The protections whose source is monitored."""
        self.replicas: dict[str, None] = {}
        """The protections that have a replica to look at."""

    async def run(self) -> None:
        """Collect until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.collect()

    async def collect(self) -> None:
        """Read everything once."""
        async with self._lock:
            await self._read_states()
            for host in self._stage.hosts.values():
                if self._wiring.reachable(host.name):
                    await self._read_daemon(host)
            for protection in self.replicas:
                await self._read_replica(protection)

    async def states(self) -> None:
        """Read what the consoles and the Failover Control Center show at the end of a step."""
        async with self._lock:
            await self._read_states()
            for host in self._monitoring():
                await self._read_monitors(host)

    async def _read_states(self) -> None:
        for host in self._stage.hosts.values():
            await self._read_services(host)
        at = self._stage.elapsed()
        hosts = {name: await host.identity() for name, host in self._stage.hosts.items()}
        if hosts != self._identities:
            self._identities = hosts
            self._stage.history.identities.append(IdentitySample(at, hosts, self.step))

    def _monitoring(self) -> list[LabHost]:
        """The hosts that were told to monitor and can be asked."""
        names = dict.fromkeys(self._scenario.protections[name].monitor.on for name in self.monitored)
        return [self._stage.hosts[name] for name in names if self._wiring.reachable(name)]

    async def _read_monitors(self, host: LabHost) -> None:
        try:
            listed = await self._console.of(host).monitors()
        except ControlError:
            return
        for status in listed:
            self.monitor_seen(host.name, status)

    def monitor_seen(self, host: str, status: MonitorStatus) -> None:
        """Write down what is shown of a monitor; equal consecutive samples (but for the counting) are left out."""
        source = status.request.source
        shown = (status.state, status.bullet, status.status_line, status.time_to_fail is None)
        if self._monitors.get((host, source)) == shown:
            return
        self._monitors[host, source] = shown
        self._stage.history.monitors.append(
            MonitorSample(
                at=self._stage.elapsed(),
                host=host,
                source=source,
                state=status.state,
                time_to_fail=status.time_to_fail,
                bullet=status.bullet,
                status_line=status.status_line,
                step=self.step,
            )
        )

    async def _read_services(self, host: LabHost) -> None:
        states = await host.service_states() if self._wiring.powered(host.name) else {}
        known = [service for name, service in self._services if name == host.name]
        for service in dict.fromkeys([*known, *states]):
            state = states.get(service, "off")
            if self._services.get((host.name, service)) != state:
                self._services[host.name, service] = state
                sample = ServiceSample(self._stage.elapsed(), host.name, service, state, self.step)
                self._stage.history.services.append(sample)

    async def _read_daemon(self, host: LabHost) -> None:
        try:
            await self._read_events(host)
            await self._read_statistics(host)
        except ControlError:
            return  # it is being rebooted, or has just lost its power: what it kept is read when it is back

    async def _read_events(self, host: LabHost) -> None:
        for event in await self._console.of(host).events(self._last_event.get(host.name, 0)):
            self._last_event[host.name] = event.number
            mark = Mark(self._when(event.time), "event", host.name, event.text, code=event.code)
            self._stage.history.marks.append(mark)

    async def _read_statistics(self, host: LabHost) -> None:
        for sample in await self._console.of(host).statistics(self._last_sample.get(host.name, -1.0)):
            self._last_sample[host.name] = sample.at
            self._stage.history.samples.append(
                QueueSample(
                    self._when(sample.time), host.name, sample.queue_operations, sample.queue_bytes, sample.time_to_fail
                )
            )

    def _when(self, instant: datetime) -> float:
        """Calendar time to elapsed time; both go on at the same pace."""
        return self._stage.elapsed() - (self._stage.wall_clock() - instant).total_seconds()

    async def _read_replica(self, protection: str) -> None:
        """The records that stand intact in a replica, seen beside the product."""
        scenario, history = self._scenario.of(protection), self._stage.history.of(protection)
        target = self._stage.hosts[scenario.protection.connection.target]
        if not self._wiring.powered(target.name):
            return
        at = self._stage.elapsed()
        tree = await target.snapshot(f"{scenario.site.root}\\{scenario.site.records}")
        digests = {path.rpartition("/")[2].lower(): entry.digest for path, entry in tree.items()}
        present = [record.key for record in history.records if digests.get(f"{record.key}.txt") == record.digest]
        history.replica_samples.append(ReplicaSample(at, present))
