"""The failover service: all monitors of one target, kept across restarts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError, ConnectionStateError, InputError
from bodydouble.failover.monitor import Monitor
from bodydouble.failover.records import MonitorBook, SavedMonitor
from bodydouble.failover.request import check_fits_host, check_request
from bodydouble.failover.states import STANDING_IN, advance, check_deletable
from bodydouble.failover.turns import Turns
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from bodydouble.failover.surroundings import Replication, ServiceAnswers
    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.records import FailbackDecision, MonitorRequest, MonitorStatus

BOOK = "monitors"
"""Name of the state file."""


@dataclass(slots=True)
class _Running:
    monitor: Monitor
    task: asyncio.Task[None]


class FailoverService:
    """Monitors sources from this machine and fails their identity over to it and back.

    Args:
        host: the host's ports.
        store: keeps the monitors and their states.
        events: the events log.
        marks: the mark is durable before any of the source's addresses is added.
        service: asks sources whose service is to answer.
    """

    def __init__(
        self, host: Host, store: StateStore, events: EventLog, marks: Replication, service: ServiceAnswers
    ) -> None:
        self._host = host
        self._store = store
        self._events = events
        self._marks = marks
        self._service = service
        self._boot = ""
        self._turns = Turns()
        self._running: dict[str, _Running] = {}
        self._group: asyncio.TaskGroup | None = None
        self._saving = asyncio.Lock()
        self._changing = asyncio.Lock()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Resume every monitor where it was left and watch until cancelled.

        Raises:
            StateError: the saved monitors cannot be understood.
        """
        book = await self._store.load(BOOK, MonitorBook) or MonitorBook([])
        self._boot = await self._present_boot()
        under_way = [each.request.source for each in book.monitors if each.state in ("failing-over", "failing-back")]
        self._turns = Turns([source for source in book.scripts if source in under_way])
        async with asyncio.TaskGroup() as self._group:
            for saved in book.monitors:
                self._resume(saved)
            self.ready.set()
            await asyncio.Event().wait()

    async def _present_boot(self) -> str:
        try:
            return (await self._host.identity.query()).boot
        except (BodydoubleError, OSError):
            return ""

    def _resume(self, saved: SavedMonitor) -> None:
        # Who stood in goes through failover: added names and addresses did not survive if the machine was rebooted.
        self._start(SavedMonitor(saved.request, advance(saved.request.source, saved.state, "restart"), saved.journal))

    def _start(self, saved: SavedMonitor) -> Monitor:
        if self._group is None:
            raise ConnectionStateError("the failover service is not running")
        source = saved.request.source
        monitor = Monitor(
            self._host, self._events, self._marks, self._service,
            save=self._save, saved=saved, boot=self._boot, turns=self._turns,
        )  # fmt: skip
        self._running[source] = _Running(monitor, self._group.create_task(monitor.run(), name=f"monitor {source}"))
        return monitor

    async def _save(self) -> None:
        async with self._saving:
            monitors = [item.monitor.saved() for item in self._running.values()]
            await self._store.save(BOOK, MonitorBook(monitors, self._turns.order()))

    # --- operators' actions ---------------------------------------------------------------------------------------

    def monitors(self) -> list[MonitorStatus]:
        """Every monitor as the Failover Control Center shows it, in the order of creation."""
        return [item.monitor.status() for item in self._running.values()]

    def stands_in(self, source: str) -> bool:
        """Whether clients may be served here in the place of ``source``."""
        return any(
            item.monitor.state in STANDING_IN and name.casefold() == source.casefold()
            for name, item in self._running.items()
        )

    async def create_monitor(self, request: MonitorRequest) -> MonitorStatus:
        """Begin to monitor a source. A stopped monitor of the same source is replaced.

        Raises:
            InputError: a setting is out of range, or does not fit this machine or the other monitors.
            ConnectionStateError: the source has a monitor that is not stopped.
            PairingError: its service is to answer, and it is not paired with this machine.
        """
        check_request(request)
        if request.heartbeat == "service":
            self._service.check_paired(request.source)
        if request.identity == "replace" and self._host.own_name is None:
            raise InputError("identity: this machine cannot give its own name up")
        request = msgspec.structs.replace(request, missed=request.misses)
        async with self._changing:
            self._check_fits_others(request)
            check_fits_host(request, await self._host.identity.query())
            await self._forget(request.source)
            monitor = self._start(SavedMonitor(request, "monitoring"))
            try:
                await self._save()
            except BodydoubleError:
                await self._forget(request.source)
                raise
        self._events.record(EventCode.MONITOR_STARTED, f"Monitoring of {request.source} started")
        return monitor.status()

    def _check_fits_others(self, request: MonitorRequest) -> None:
        for source, item in self._running.items():
            if source == request.source:
                if item.monitor.state != "stopped":
                    raise ConnectionStateError(f"{source!r} is monitored already: delete that monitor first")
                continue
            if request.identity == "replace" == item.monitor.request.identity:
                raise InputError(f"identity: this machine's is replaced by {source!r} already, and it has only one")
            taken = {address.address.partition("/")[0] for address in item.monitor.request.addresses}
            for address in request.addresses:
                if address.address.partition("/")[0] in taken:
                    raise InputError(f"addresses: {address.address} belongs to the monitor of {source!r} already")

    async def delete_monitor(self, source: str) -> None:
        """Forget a monitor.

        Raises:
            InputError: the source has no monitor.
            ConnectionStateError: this machine stands in for the source: fail back first.
        """
        async with self._changing:
            check_deletable(source, self._find(source).state)
            await self._forget(source)
            await self._save()
        self._events.record(EventCode.MONITOR_STOPPED, f"Monitoring of {source} ended: the monitor was deleted")

    async def _forget(self, source: str) -> None:
        item = self._running.pop(source, None)
        if item is not None:
            self._turns.give_up_kept(source)
            item.task.cancel()
            await asyncio.wait([item.task])

    async def failover(self, source: str) -> MonitorStatus:
        """Fail over now; returns once that is durable, before the work is done.

        Raises:
            InputError: the source has no monitor.
            ConnectionStateError: the state does not allow it, or the source still answers.
        """
        monitor = self._find(source)
        await monitor.fail_over()
        return monitor.status()

    async def failback(self, source: str) -> MonitorStatus:
        """Give the source's identity back; returns once that is durable, before the work is done.

        Raises:
            InputError: the source has no monitor.
            ConnectionStateError: this machine does not stand in for the source.
        """
        monitor = self._find(source)
        await monitor.fail_back()
        return monitor.status()

    async def decide(self, source: str, decision: FailbackDecision) -> MonitorStatus:
        """Answer failback's prompt: continue or stop monitoring.

        Raises:
            InputError: the source has no monitor.
            ConnectionStateError: failback is not complete, or the source is not online yet.
        """
        monitor = self._find(source)
        await monitor.decide(decision)
        return monitor.status()

    def _find(self, source: str) -> Monitor:
        item = self._running.get(source)
        if item is None:
            known = ", ".join(self._running) or "none"
            raise InputError(f"no monitor of {source!r}; monitored sources: {known}")
        return item.monitor
