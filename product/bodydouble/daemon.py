"""The daemon: every service of one machine, composed over its `Host` and run under one roof.

The same class runs on source and target, on a real loop and on a simulated one: it takes no signals, starts no thread
and reads no clock but the loop's and the host's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from bodydouble import __version__
from bodydouble.control.api import Backends, build_app
from bodydouble.control.server import ControlServer
from bodydouble.control.settings import ControlSettings  # noqa: TC001 - msgspec reads the annotations
from bodydouble.control.statistics import StatisticsRing
from bodydouble.control.statistics_log import StatisticsLog, StatisticsSettings
from bodydouble.failover.service import FailoverService
from bodydouble.guard.service import Guard
from bodydouble.guard.settings import GuardSettings
from bodydouble.replication.heartbeat import ServiceHeartbeat
from bodydouble.replication.service import ReplicationService
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.restore.service import RestorationService
from bodydouble.security.pairing import Pairing
from bodydouble.security.tokens import Tokens
from bodydouble.security.trust import Trust
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from bodydouble.ports import Host


ANSWER_SECONDS = 0.2
"""What is being answered when an operator orders the end gets so long."""


class _ShutdownError(Exception):
    """An operator ordered the end."""


class DaemonSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one daemon.

    Attributes:
        state_directory: where the daemon keeps its state and events, in product form; outside every replication set.
        control: the control API.
        replication: the replication service.
        statistics: the statistics log.
        guard: this machine's own addresses, where another one may take them over.
    """

    state_directory: str
    control: ControlSettings
    replication: ReplicationSettings = ReplicationSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    guard: GuardSettings = GuardSettings()


class Daemon:
    """One machine's replication, failover, restoration and control services.

    Args:
        host: the machine's ports.
        settings: see `DaemonSettings`.

    Raises:
        InputError: a setting is out of range.
    """

    def __init__(self, host: Host, settings: DaemonSettings) -> None:
        store = StateStore(host.file_system, settings.state_directory, host.clock)
        self.events = EventLog(host.file_system, settings.state_directory, host.clock)
        self.trust = Trust(host, store, self.events)
        self.pairing = Pairing(self.trust, host.entropy, self.events)
        self.replication = ReplicationService(
            host, settings.replication, store, self.events, trust=self.trust, pairing=self.pairing
        )
        self.failover = FailoverService(
            host, store, self.events, self.replication.standing_in, ServiceHeartbeat(self.trust)
        )
        self.restoration = RestorationService(self.replication, store, self.failover.stands_in)
        self.guard = Guard(
            host, settings.guard, store, self.events, self.replication.stood_in_for,
            leasing=self.replication.standing_in,
        )  # fmt: skip
        self.statistics_log = StatisticsLog(
            host.file_system, store.directory, host.clock, self.events, settings.statistics
        )
        self.statistics = StatisticsRing(
            host.clock, self.replication, self.failover, self.statistics_log, self.restoration
        )
        self._ended = asyncio.Event()
        self.tokens = Tokens(settings.control.token, store, host.entropy, host.clock, self.events)
        self.backends = Backends(
            host,
            self.events,
            self.replication,
            self.restoration,
            self.failover,
            self.guard,
            self.statistics,
            self.trust,
            self.pairing,
            self._shut_down,
            self.tokens,
        )
        self.control = ControlServer(settings.control, build_app(self.backends), self.trust)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled, or until an operator orders the end.

        A component that fails stops the others, and its error leaves here.

        Raises:
            StateError: the daemon's own files cannot be understood.
            InputError: an address or port cannot be listened on.
        """
        await self.events.open()
        writer = asyncio.create_task(self.events.run(), name="events log")
        self.events.record(EventCode.SERVICE_STARTED, f"Bodydouble {__version__} started")
        reason = ""
        try:
            await self._serve(writer)
        except BaseExceptionGroup as group:
            error = _first(group)
            if not isinstance(error, _ShutdownError):
                reason = f": {error}"
                raise error from None
        finally:
            self.ready.clear()
            self.events.record(EventCode.SERVICE_STOPPED, f"Bodydouble stopped{reason}")
            await _end(writer)

    def _shut_down(self) -> None:
        """An operator orders the end; who ordered it is answered first."""
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._ended.set)

    async def _until_ended(self) -> None:
        await self._ended.wait()
        raise _ShutdownError

    async def _serve(self, writer: asyncio.Task[None]) -> None:
        """Start the services in the order in which they need each other, then wait."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_outlast(writer), name="events log guard")
            group.create_task(self._until_ended(), name="shutdown")
            await self.trust.load()
            group.create_task(self.guard.run(), name="guard")
            await self.guard.ready.wait()  # a second owner is off the network before anything else is done
            await self.tokens.load()
            group.create_task(self.replication.run(), name="replication")
            # Failover may have to mark sources at once, in the state that the replication service loads first.
            await self.replication.ready.wait()
            group.create_task(self.failover.run(), name="failover")
            await self.failover.ready.wait()
            await self.restoration.load()
            group.create_task(self.statistics.run(), name="statistics")
            group.create_task(self.statistics_log.run(), name="statistics log")
            group.create_task(self.control.run(), name="control")
            await self.control.ready.wait()
            self.ready.set()


async def _outlast(task: asyncio.Task[None]) -> None:
    """Fail when ``task`` fails, without handing it a cancellation of its own."""
    await asyncio.shield(task)


async def _end(writer: asyncio.Task[None]) -> None:
    """Let the events log write the rest and close; a failure of its own has been reported by then."""
    writer.cancel()
    await asyncio.wait([writer])
    if not writer.cancelled():
        writer.exception()


def _first(error: BaseException) -> BaseException:
    """The first error inside nested groups; an order to end counts only by itself."""
    while isinstance(error, BaseExceptionGroup):
        others = [each for each in error.exceptions if not isinstance(each, _ShutdownError)]
        error = others[0] if others else error.exceptions[0]
    return error
