"""The statistics log: samples as lines of JSON in files of bounded size, as Double-Take's DTStat had them.

Written through the host's file system port without waiting for the disk: a power cut may take the last lines, or tear
one, which readers pass over. A volume that refuses costs samples, and is told once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.state.store import make_directories
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import CreateFile, Metadata, RemoveFile, Rename, Write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.ports import FileSystem, WallClock
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import Sample

NAME = "statistics.jsonl"
_WAITING = 600
_BATCH = 100


class StatisticsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[statistics]``: what is kept of the statistics on disk.

    Attributes:
        log_interval: seconds between two samples in the log, which are taken once a second; 0: there is no log.
        log_bytes: how long one file may become; then it is set aside and a new one begun.
        log_files: how many files there are at most, the present one included.
    """

    log_interval: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    log_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 10 * 1024 * 1024
    log_files: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 2


class StatisticsLog:
    """Writes samples.

    Args:
        file_system: the host's volumes.
        directory: where the files are: `NAME`, and ``statistics.1.jsonl`` and so on, the older ones.
        clock: dates the files.
        events: where troubles are told.
        settings: see there.
    """

    def __init__(
        self, file_system: FileSystem, directory: str, clock: WallClock, events: EventLog, settings: StatisticsSettings
    ) -> None:
        self._file_system = file_system
        self._directory = directory
        self._clock = clock
        self._events = events
        self._settings = settings
        self._waiting: deque[Sample] = deque(maxlen=_WAITING)
        self._wake = asyncio.Event()
        self._due = float("-inf")
        self._trouble = ""

    def put(self, sample: Sample) -> None:
        """Write ``sample`` soon, if its time has come; while the volume does not keep up the oldest ones are lost."""
        if not self._settings.log_interval or sample.at < self._due:
            return
        # A tenth of a second of mercy, so that a sample a moment early does not make the next one a second late.
        self._due = sample.at + self._settings.log_interval - 0.1
        self._waiting.append(sample)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        if not self._settings.log_interval:
            await asyncio.Event().wait()
        await self._attempt(self._open)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and await self._attempt(self._write):
                pass

    async def _attempt(self, part: Callable[[], Awaitable[None]]) -> bool:
        """Do it; False, and an event for the first time, when the volume refused."""
        try:
            await part()
        except FileSystemError as error:
            if not self._trouble:
                text = f"the statistics log cannot be written: {error}; statistics go on in memory"
                self._events.record(EventCode.STATISTICS_NOT_WRITTEN, text)
            self._trouble = str(error)
            return False
        self._trouble = ""
        return True

    async def _open(self) -> None:
        """Go on behind what an earlier run wrote; its last line may be torn, so a new one begins in any case."""
        await make_directories(self._file_system, self._directory)
        if await self._length():
            await self._append(b"\n")

    async def _write(self) -> None:
        batch = list(islice(self._waiting, _BATCH))
        await self._append(b"".join(msgspec.json.encode(sample) + b"\n" for sample in batch))
        for sample in batch:
            if self._waiting and self._waiting[0] is sample:
                self._waiting.popleft()

    async def _append(self, lines: bytes) -> None:
        length = await self._length()
        if length and length + len(lines) > self._settings.log_bytes:
            await self._rotate()
            length = 0
        path, now = self._path(0), int(self._clock.now().timestamp()) * 1_000_000_000
        await self._file_system.apply(
            [CreateFile(path, Metadata(), now), Write(path, length, lines, now)], durable=False
        )

    async def _length(self) -> int:
        """How long the present file is, whoever changed it."""
        entry = await self._file_system.stat(self._path(0))
        return 0 if entry is None else entry.size

    async def _rotate(self) -> None:
        """Set the file aside, and drop the oldest one."""
        last = self._settings.log_files - 1
        if await self._file_system.stat(self._path(last)) is not None:
            await self._file_system.apply([RemoveFile(self._path(last))], durable=False)
        for number in range(last - 1, -1, -1):
            if await self._file_system.stat(self._path(number)) is not None:
                await self._file_system.apply([Rename(self._path(number), self._path(number + 1))], durable=False)

    def _path(self, number: int) -> str:
        name = NAME if not number else NAME.replace(".", f".{number}.", 1)
        return paths.join(self._directory, name)
