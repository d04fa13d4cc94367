"""Daemons of the replication service in one process, on loopback TCP, with breakable connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tests.peers import open_trust, pin
from tests.product.replication.memory import MemoryVolume, memory_host

from bodydouble.replication.service import ReplicationService
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.restore.service import RestorationService
from bodydouble.security.pairing import Pairing
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import CreateFile, MakeDirectory, Metadata, Write
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule
from bodydouble_sim.storage.filter_memory import FilterMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROOT = "/web"
PATIENCE = 15.0
WEB = ReplicationSet(name="web", rules=[Rule(path=ROOT)])


async def until(condition: Callable[[], object], what: str = "") -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - conditions of other machines have no event here
            await asyncio.sleep(0.001)
    assert condition(), what


class Site:
    """One machine: a volume that persists and a daemon that comes and goes; paired with every other one."""

    running: ClassVar[list[Site]] = []

    def __init__(self, name: str, volume: MemoryVolume | None = None, **settings: Any) -> None:
        self.name = name
        self.volume = volume or MemoryVolume()
        self.host = memory_host(name, self.volume)
        self.settings = ReplicationSettings(
            **{
                "address": "127.0.0.1", "port": 0, "retry_interval": 0.02,
                "slow_retry_interval": 0.1, "ping_interval": 0.5, "peer_timeout": 3.0, **settings,
            }
        )  # fmt: skip
        self.time = 1000
        self.stands_in = ""

    async def start(self) -> None:
        store = StateStore(self.volume, "/state", self.host.clock)
        self.events = EventLog(self.volume, "/state", self.host.clock)
        await self.events.open()
        self.trust = await open_trust(self.name, self.host, store, self.events)
        for other in self.running:
            await pin(self.trust, other.name)
            await pin(other.trust, self.name)
        self.pairing = Pairing(self.trust, self.host.entropy, self.events)
        self.service = ReplicationService(
            self.host, self.settings, store, self.events, trust=self.trust, pairing=self.pairing
        )
        self.restoration = RestorationService(self.service, store, lambda source: source == self.stands_in)
        self.running.append(self)
        self.task = asyncio.create_task(self.service.run(), name=f"site-{self.name}")
        ready = asyncio.create_task(self.service.ready.wait(), name="ready")
        await asyncio.wait([self.task, ready], return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            ready.cancel()
            self.task.result()
        await self.restoration.load()

    async def stop(self) -> None:
        if self in self.running:
            self.running.remove(self)
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def crash(self) -> None:
        """As after a power cut: the note of a clean stop is missing, and so is what the filter kept."""
        await self.kill()
        self.volume.memory = FilterMemory()

    async def kill(self) -> None:
        """As after a crash of the daemon: the note of a clean stop is missing."""
        before = {key: bytes(n.data) for key, n in self.volume.nodes.items() if key.startswith("/state/")}
        await self.stop()
        self.volume.nodes["/state/run.json"].data = bytearray(before["/state/run.json"])

    def mkdir(self, path: str) -> None:
        self.volume.do(MakeDirectory(path, Metadata()))

    def put(self, path: str, data: bytes) -> None:
        self.time += 1000
        self.volume.do(CreateFile(path, Metadata(), self.time))
        if data:
            self.volume.do(Write(path, 0, data, self.time))

    def codes(self) -> list[EventCode]:
        return [EventCode(event.code) for event in self.events.after(0)]

    def state(self) -> str:
        return self.service.connections()[0].state


@asynccontextmanager
async def running(*sites: Site) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for site in sites:
            await site.start()
            stack.push_async_callback(_stop, site)
        yield


async def _stop(site: Site) -> None:
    await site.stop()


class Relay:
    """A TCP relay between source and target that a test can cut."""

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = True
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay(reader, writer), name="relay")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target())
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, far_writer]
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


def request(port: int, **fields: Any) -> ConnectRequest:
    return ConnectRequest(**{"replication_set": "web", "target": "127.0.0.1", "port": port, **fields})


async def protect(source: Site, port: int, **fields: Any) -> None:
    await source.service.save_set(WEB)
    await source.service.connect(request(port, **fields))


def same(source: Site, target: Site, root: str = ROOT) -> bool:
    return source.volume.picture(root) == target.volume.picture(root)


async def mirrored(source: Site, target: Site) -> None:
    await until(lambda: source.state() == "replicating")
    await until(lambda: same(source, target))
