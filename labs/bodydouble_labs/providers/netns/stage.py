"""The built scenario on this body: its hosts, and the lab process itself as the client on their network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bodydouble_labs.errors import FaultError
from bodydouble_labs.history import History
from bodydouble_labs.owners import OwnerLog
from bodydouble_labs.providers.netns.replica import ReplicaWatch
from bodydouble_labs.providers.netns.volume import IntactRecords

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bodydouble.ports import Pinger, WallClock
    from bodydouble_labs.providers.base import LabHost, NetworkFaults
    from bodydouble_labs.providers.netns.host import NetnsHost
    from bodydouble_labs.providers.netns.names import NameQuery
    from bodydouble_labs.scenario.model import NamedProtectionSpec

PING_TIMEOUT: Final = 1.0


class NetnsStage:
    """See `bodydouble_labs.providers.base.Stage`."""

    def __init__(
        self,
        hosts: Mapping[str, NetnsHost],
        protections: Mapping[str, NamedProtectionSpec],
        names: NameQuery,
        pinger: Pinger,
        clock: WallClock,
    ) -> None:
        """Begin the run's time now."""
        self.hosts: Mapping[str, LabHost] = hosts
        self._hosts = hosts
        self.history = History()
        self.network_faults: NetworkFaults | None = (
            None  # frames are the kernel's here; requirements skip such scenarios
        )
        self._pinger = pinger
        self._clock = clock
        self._names = names
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.owners = OwnerLog(self.history, self.elapsed)
        self._protections = protections
        self._watches: dict[str, ReplicaWatch] = {}

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._loop.time() - self._began

    def wall_clock(self) -> datetime:
        """The calendar, UTC."""
        return self._clock.now()

    async def resolve(self, name: str) -> str:
        """Ask for a computer name by NetBIOS broadcast.

        Raises:
            OSError: nobody answers for it.
        """
        return await self._names.resolve(name)

    async def ping(self, address: str) -> bool:
        """Whether ``address`` answers an ICMP echo within a second."""
        return await self._pinger.ping(address, PING_TIMEOUT) is not None

    def watch_order(self, protection: str) -> None:
        """Sample the target's replica from now on, see `netns.replica`; what to look for follows from the records."""
        if protection not in self._watches:
            self._watches[protection] = ReplicaWatch(self.history.of(protection), self.elapsed)
        target = self._protections[protection].connection.target
        self._watches[protection].start(IntactRecords(self._hosts[target].drives))

    def stop_watching_order(self, protection: str | None = None) -> None:
        """Sample no more."""
        for name, watch in self._watches.items():
            if protection in (None, name):
                watch.stop()

    def leave(self) -> None:
        """End what runs on the stage; a host heard on the wire while it had no power is an error of the lab."""
        self.stop_watching_order()
        self.owners.close()
        for host in self._hosts.values():
            try:
                host.check_silence()
            except FaultError as error:
                self.history.lab_errors.append(str(error))
