"""Two simulated machines with the replication service, disks that lose what was not flushed, and a cable to pull.

The machines are bare: no Windows, no control API, no pairing conversation, so that a workload takes a tenth
of a second. The service, its state, its journals and its wire are the product's own.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
from tests.campaign.changes import OUTSIDE, ROOT
from tests.campaign.pictures import take_picture
from tests.peers import credential_of, pin

from bodydouble.errors import BodydoubleError, FileSystemError
from bodydouble.ports import Host
from bodydouble.replication.service import ReplicationService
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.security.certificate import Credential
from bodydouble.security.pairing import Pairing
from bodydouble.security.trust import Trust
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveDirectory,
    Rename,
    SetTimes,
    StreamOperation,
    paths_of,
)
from bodydouble.vocabulary.records import HostIdentity
from bodydouble_labs.providers.sim_order import VolumeWitness
from bodydouble_sim.machine import Machine
from bodydouble_sim.ports.clock import SimClock
from bodydouble_sim.ports.entropy import SimEntropy
from bodydouble_sim.ports.file_filter import SimFileFilter
from bodydouble_sim.ports.file_system import SimFileSystem
from bodydouble_sim.storage.disk import Disk
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.campaign.pictures import Picture

    from bodydouble.replication.replica import Replica
    from bodydouble.replication.source import SourceConnection
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble.vocabulary.records import Event
    from bodydouble_sim.network.segment import Segment
    from bodydouble_sim.storage.volume import Volume
    from bodydouble_sim.world import World

STATE = "D:/state"
PORT = 6320
DATA_BYTES = 16 * 1024 * 1024
STATE_BYTES = 64 * 1024 * 1024
SETTINGS: dict[str, Any] = {
    "port": PORT, "retry_interval": 1.0, "slow_retry_interval": 2.0, "ping_interval": 1.0, "peer_timeout": 3.0,
    "connect_timeout": 3.0, "queue_floor_bytes": 1024 * 1024,
}  # fmt: skip

_MAKING = (MakeDirectory, CreateFile, MakeSymbolicLink)

_credential = cache(credential_of)
"""A test machine's credential follows from its name and takes a millisecond to make."""


class _Names:
    """The identity of a bare machine: it only says who it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def query(self) -> HostIdentity:
        return HostIdentity(primary_name=self._name, permanent_name=self._name, added_names=[], addresses=[])


class Station:
    """One machine: volumes that persist, power, and a daemon that comes and goes.

    Args:
        world: where it is.
        segment: where its cable is plugged.
        name: its name.
        number: the last part of its address.
        settings: of its replication service, on top of `SETTINGS`.

    Attributes:
        told: every event of all its lives, and what happened to the machine itself in words.
        edited: called with what applications do here.
    """

    def __init__(self, world: World, segment: Segment, name: str, number: int, settings: dict[str, Any]) -> None:
        self.name, self.address = name, f"10.0.0.{number}"
        self.machine = Machine(world, name)
        self.machine.plug(segment, [f"{self.address}/24"])
        base = int(world.start.timestamp()) * 1_000_000_000
        self.clock = SystemClock(lambda: base + world.loop.now)
        self.volumes: dict[str, Volume] = {
            "C": NtfsVolume("C", self.clock, Disk(DATA_BYTES)),
            "D": NtfsVolume("D", self.clock, Disk(STATE_BYTES)),
        }
        self.settings = ReplicationSettings(**{"address": self.address, **SETTINGS, **settings})
        self.service: ReplicationService | None = None
        self.failure: BaseException | None = None
        self.told: list[Event | str] = []
        self.on_event: Callable[[Event], None] = lambda _event: None
        self.on_service: Callable[[ReplicationService], None] = lambda _service: None
        self._world = world
        self._changes = 0
        self._stream = world.random(f"power:{name}")
        for path in (ROOT, OUTSIDE):
            self.volumes["C"].apply([MakeDirectory(path, Metadata())], durable=True)
        self.witness = VolumeWitness(self.volumes["C"])
        self._task: asyncio.Task[None] | None = None

    # --- applications ---

    def do(self, operation: AnyOperation) -> bool:
        """What an application does; whether the volume did it. A machine without power does nothing."""
        operation = self._aimed(operation)
        if not self.machine.powered or self._left_out(operation):
            return False
        try:
            self.volumes["C"].apply([self._dated(operation)], bypass_filter=False)
        except FileSystemError:
            return False
        return True

    def _left_out(self, operation: AnyOperation) -> str:
        """Why no application does such a thing here; empty when one may."""
        volume, last = self.volumes["C"], isinstance(operation, StreamOperation)
        there = volume.stat(operation.path)
        led = any(volume.through_junction(path, last=last) for path in paths_of(operation))
        outside = isinstance(operation, MakeHardLink) and operation.existing.startswith(OUTSIDE)
        leaves = isinstance(operation, Rename) and there is not None and there.directory and _leaves(operation)
        opened = isinstance(operation, CreateFile) and there is not None
        streams = isinstance(operation, MakeSymbolicLink) and there is not None and there.streams
        cases = (
            (led, "a program would be led elsewhere"),
            (outside, "a mirror of the new name alone cannot know that it is one of a file in the set"),
            (leaves, "the replica loses what is in it file by file, which no state of the source is like"),
            (opened, "the filter tells of files that came to be, not of ones that were opened"),
            (streams, "a mirror sends no streams of a junction"),
        )
        return next((why for holds, why in cases if holds), "")

    def _aimed(self, operation: AnyOperation) -> AnyOperation:
        """At something that is there, where the drawn path is not and the operation makes nothing."""
        field = "existing" if isinstance(operation, MakeHardLink) else "path"
        path = getattr(operation, field)
        if isinstance(operation, _MAKING) or self.volumes["C"].stat(path) is not None:
            return operation
        there = self._entries(directories=isinstance(operation, MakeDirectory | RemoveDirectory | Rename))
        if not there:
            return operation
        return msgspec.structs.replace(operation, **{field: there[crc32(path.encode()) % len(there)]})

    def _entries(self, *, directories: bool) -> list[str]:
        found, stack = [], [ROOT]
        while stack:
            for entry in self.volumes["C"].list(stack.pop()):
                stack += [entry.path] if entry.kind == "directory" else []
                found += [entry.path] if directories or not entry.directory else []
        return found

    def _dated(self, operation: AnyOperation) -> AnyOperation:
        """With a time of last write that no other change has: a mirror may go by size and time."""
        if not hasattr(operation, "mtime_ns"):
            return operation
        self._changes += 1
        drawn = operation.mtime_ns if isinstance(operation, SetTimes) else self.clock()
        return msgspec.structs.replace(operation, mtime_ns=drawn - drawn % 10_000_000 + self._changes * 100)

    # --- power and daemon ---

    def host(self) -> Host:
        unused: Any = None
        identity: Any = _Names(self.name)
        return Host(
            file_system=SimFileSystem(self.volumes, self._world.random(f"disk:{self.name}")),
            file_filter=SimFileFilter(self.volumes),
            identity=identity, services=unused, scripts=unused, pinger=unused,
            clock=SimClock(self.clock), entropy=SimEntropy(self._world.random(f"secrets:{self.name}")),
        )  # fmt: skip

    def power_on(self) -> None:
        """Boot, and start the daemon."""
        self.told.append("power on")
        self.machine.power_on()
        for volume in self.volumes.values():
            volume.check()
        self.witness.restart()
        self.start()

    def power_off(self, *, hard: bool) -> None:
        """End this life: ``hard`` is a power cut; otherwise the daemon is killed and the system keeps its cache."""
        self.told.append("power cut" if hard else "killed")
        self.service = None
        self.machine.power_off()
        for volume in self.volumes.values():
            if hard:
                volume.power_loss(self._stream)
            else:
                volume.flush()
                volume._filters.clear()  # the killed process held them
        self.witness.restart()

    def start(self) -> None:
        """Start the daemon."""
        self._task = self.machine.spawn(self._run(), name=f"{self.name}/daemon")

    def stop(self) -> None:
        """Stop the daemon in good order; it is gone after some virtual time."""
        self.told.append("stopped")
        assert self._task is not None
        self._task.cancel()

    def supervise(self) -> bool:
        """Start the daemon again if it ended; whether it is up."""
        if self.stopped:
            self.start()
        return self.ready

    @property
    def stopped(self) -> bool:
        return self._task is None or self._task.done()

    async def _run(self) -> None:
        try:
            await self._serve()
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self.failure = error
            raise
        finally:
            self.service = None

    async def _serve(self) -> None:
        host = self.host()
        store = StateStore(host.file_system, STATE, host.clock)
        events = EventLog(host.file_system, STATE, host.clock)
        await events.open()
        events.subscribe(self._hear)
        if await store.load("credential", Credential) is None:
            await store.save("credential", _credential(self.name))
        trust = Trust(host, store, events)
        await trust.load()
        for other in self._world.machines:
            await pin(trust, other)
        service = ReplicationService(
            host, self.settings, store, events, trust=trust, pairing=Pairing(trust, host.entropy, events)
        )
        writing = asyncio.create_task(events.run(), name=f"{self.name}/events")
        try:
            self.told.append("daemon started")
            self.on_service(service)
            self.service = service
            await service.run()
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def _hear(self, event: Event) -> None:
        self.told.append(event)
        self.on_event(event)

    def check_alive(self) -> None:
        """A daemon ends by itself only when its state cannot be written or read.

        Raises:
            BaseException: what ended it.
        """
        if self.failure is not None and not _is_refusal(self.failure):
            raise self.failure

    # --- looking ---

    @property
    def ready(self) -> bool:
        return self.service is not None and self.service.ready.is_set()

    @property
    def connection(self) -> SourceConnection | None:
        """The source's one connection, while its daemon runs."""
        return None if self.service is None else self.service._connections.get(1)

    def replica(self, source: str) -> Replica | None:
        """The target's one replica, while its daemon runs."""
        return None if self.service is None else self.service.registry.find(source, "data")

    def picture(self) -> Picture:
        """Everything beneath the root."""
        return take_picture(self.volumes["C"], ROOT)


def _leaves(operation: Rename) -> bool:
    return operation.path.startswith(ROOT) and not operation.new_path.startswith(ROOT)


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_refusal(each) for each in error.exceptions)
    return isinstance(error, BodydoubleError)


def wanting(missing: Callable[[], object], bound: float, step: float = 0.25) -> Any:
    """Let time pass until nothing is missing; what is, in the end."""

    async def wait() -> object:
        end = asyncio.get_running_loop().time() + bound
        while (what := missing()) and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(step)
        return what

    return wait()
