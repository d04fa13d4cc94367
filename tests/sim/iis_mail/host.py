"""A Windows system on the real loop whose SMTP and NNTP services tests start; its volume is in memory."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bodydouble_sim.iis.nntp_service import NntpOptions, NntpService
from bodydouble_sim.iis.smtp_options import SmtpOptions
from bodydouble_sim.iis.smtp_service import SmtpService
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.files import VolumeFiles
from bodydouble_sim.windows.system import WindowsSystem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

START_NS = 1_038_819_600_000_000_000
MAILROOT = "C:/InetPub/mailroot"
NEWS = "C:/InetPub/nntpfile"


class Clock:
    """A calendar that tests turn by hand; a microsecond passes at each look."""

    def __init__(self) -> None:
        self.now = START_NS

    def __call__(self) -> int:
        self.now += 1000
        return self.now


class Host:
    """A Windows system whose services tests start one by one.

    Attributes:
        mail: what the SMTP service is configured as.
        news: what the NNTP service is configured as.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.volume = NtfsVolume("C", self.clock)
        self.system = self.installed()
        self.mail = SmtpOptions("source", MAILROOT, 0, pickup=0.01)
        self.news = NntpOptions("source", NEWS, port=0)
        self.accounts: dict[str, str] = {}

    def installed(self) -> WindowsSystem:
        def spawn(coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(coro, name=name)

        made = WindowsSystem(VolumeFiles({"C": self.volume}), self.clock, spawn, random.Random(1))
        made.install("SOURCE")
        return made

    def smtp(self) -> SmtpService:
        return SmtpService(self.system, lambda: self.mail, tuple, lambda name, given: self.accounts.get(name) == given)

    @asynccontextmanager
    async def serving_mail(self, **options: Any) -> AsyncIterator[int]:
        """The SMTP service on a port that the kernel chose."""
        self.mail = replace(self.mail, **options)
        service = self.smtp()
        async with self._serving(service) as port:
            yield port

    @asynccontextmanager
    async def serving_news(self, **options: Any) -> AsyncIterator[int]:
        """The NNTP service on a port that the kernel chose."""
        self.news = replace(self.news, **options)
        async with self._serving(NntpService(self.system, lambda: self.news)) as port:
            yield port

    @staticmethod
    @asynccontextmanager
    async def _serving(service: SmtpService | NntpService) -> AsyncIterator[int]:
        deaths: list[str] = []
        await service.start(deaths.append)
        server = service._listeners[0]._server
        assert isinstance(server, asyncio.Server)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            await service.stop()
        assert deaths == []

    def names(self, directory: str) -> list[str]:
        """File names in a directory of the mailroot (``Queue``) or at a path."""
        path = directory if ":" in directory else f"{MAILROOT}/{directory}"
        return [entry.path.rpartition("/")[2] for entry in self.system.files.list(path)]

    def contents(self, directory: str) -> list[bytes]:
        """The files of a directory of the mailroot."""
        return [self.system.files.read(f"{MAILROOT}/{directory}/{name}") for name in self.names(directory)]

    def lose_power(self, seed: int) -> None:
        """The power is cut; a new system begins on what the volume kept."""
        self.volume.power_loss(random.Random(seed))
        self.system = self.installed()


async def talk(port: int, *steps: bytes) -> list[bytes]:
    """Send each step when the one before was answered by a line; all lines that came until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [await _answer(reader)]
    for step in steps:
        writer.write(step)
        lines.append(await _answer(reader))
    writer.close()
    await writer.wait_closed()
    return lines


async def _answer(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    while line[3:4] == b"-":
        line = await reader.readline()
    return line


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that the service under test brings about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - files have no event
            await asyncio.sleep(0.002)
