"""EventLog: what happened, numbered, in memory at once and on disk soon after.

On disk the log is JSON lines, one event each. The file is started anew at a fixed size and the one before is kept, so
that the disk holds at least the last thousands of events and never grows without bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError, StateError
from bodydouble.state.store import make_directories, read_file
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import CreateFile, Metadata, Rename, Truncate, Write
from bodydouble.vocabulary.records import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.ports import FileSystem, WallClock
    from bodydouble.vocabulary.events import EventCode

    Listener = Callable[[Event], None]

KEPT_EVENTS = 10_000
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_TEXT = 2_000
CRASH_GAP = 1_000
"""Numbers left out after a stop that was not clean: events that only memory held may have been shown to someone."""
_BATCH = 500
_RETRY_SECONDS = 5.0
_CLOSED = b'{"closed":true}\n'


class EventLog:
    """The events log of one daemon.

    Args:
        file_system: the host's volumes.
        directory: where ``events.jsonl`` and its predecessor ``events-old.jsonl`` live (product form).
        clock: dates the events.
    """

    def __init__(self, file_system: FileSystem, directory: str, clock: WallClock) -> None:
        self._file_system = file_system
        self._directory = paths.normalise(directory)
        self._path = paths.join(self._directory, "events.jsonl")
        self._old_path = paths.join(self._directory, "events-old.jsonl")
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._unwritten: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._listeners: list[Listener] = []
        self._wake = asyncio.Event()
        self._number = 0
        self._size = 0

    async def open(self) -> None:
        """Read what earlier runs wrote; a torn last line is cut off.

        Raises:
            StateError: a file of the log cannot be read.
        """
        try:
            await make_directories(self._file_system, self._directory)
            await self._read(self._old_path)
            clean, self._size = await self._read(self._path)
        except FileSystemError as error:
            raise StateError(f"{error.path}: the events log cannot be read ({error.code})") from error
        if self._events:
            self._number = self._events[-1].number + (0 if clean else CRASH_GAP)

    async def _read(self, path: str) -> tuple[bool, int]:
        """Take in one file; whether it was closed cleanly, and where the next line goes."""
        entry = await self._file_system.stat(path)
        if entry is None:
            return True, 0
        content = await read_file(self._file_system, path, min(entry.size, 2 * MAX_FILE_BYTES))
        clean, good = False, 0
        for line in content.splitlines(keepends=True):
            closed = line == _CLOSED
            event = None if closed else _decode(line)
            if event is None and not closed:
                break
            if event is not None and event.number > self._last_number():
                self._events.append(event)
            clean, good = closed, good + len(line)
        return clean and good == entry.size, good

    def _last_number(self) -> int:
        return self._events[-1].number if self._events else 0

    def record(self, code: EventCode, text: str) -> Event:
        """Note that something happened; listeners hear of it before this returns. Texts are cut at 2,000 characters."""
        self._number += 1
        event = Event(number=self._number, time=self._clock.now(), code=int(code), text=text[:MAX_TEXT])
        self._events.append(event)
        self._unwritten.append(event)
        self._wake.set()
        for listener in list(self._listeners):
            listener(event)
        return event

    def after(self, number: int, limit: int = 1000) -> list[Event]:
        """At most ``limit`` events with numbers greater than ``number``, oldest first."""
        # From the end, because most who ask have all but the latest.
        newer = list(takewhile(lambda event: event.number > number, reversed(self._events)))
        return newer[: -limit - 1 : -1]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every event from now on; the returned function ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    async def run(self) -> None:
        """Write events to disk as they come; when cancelled, write the rest and close the log.

        A volume that refuses does not stop the daemon: the events stay in memory and are tried again.
        """
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while not await self._write_batch():  # noqa: ASYNC110 - waits for a volume, not for another task
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await self._close()

    async def _close(self) -> None:
        if await self._write_batch():
            try:
                await self._append(_CLOSED)
            except FileSystemError:
                return  # the next start then merely leaves a gap in the numbers

    async def _write_batch(self) -> bool:
        """Write everything there is; False when the volume refused."""
        while self._unwritten:
            batch = list(islice(self._unwritten, _BATCH))
            try:
                await self._append(b"".join(msgspec.json.encode(event) + b"\n" for event in batch))
            except FileSystemError:
                return False
            while self._unwritten and self._unwritten[0].number <= batch[-1].number:
                self._unwritten.popleft()
        return True

    async def _append(self, lines: bytes) -> None:
        now = int(self._clock.now().timestamp()) * 1_000_000_000
        if self._size > MAX_FILE_BYTES:
            await self._file_system.apply([Rename(self._path, self._old_path)], durable=True)
            self._size = 0
        await self._file_system.apply(
            [
                CreateFile(self._path, Metadata(), now),
                Truncate(self._path, self._size, now),  # a torn or half-written tail must not stay
                Write(self._path, self._size, lines, now),
            ],
            durable=True,
        )
        self._size += len(lines)


def _decode(line: bytes) -> Event | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
