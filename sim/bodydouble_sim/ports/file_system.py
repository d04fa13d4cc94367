"""`bodydouble.ports.FileSystem` over simulated volumes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import paths_of
from bodydouble_sim.storage.names import fold

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import AnyOperation, Entry
    from bodydouble_sim.storage.volume import Volume

READ_SECONDS = (0.00005, 0.0005)
FLUSH_SECONDS = (0.001, 0.008)


class SimFileSystem:
    """Reads and writes volumes with the latency of a disk, so that applications get in between.

    Args:
        volumes: by drive letter.
        stream: draws the latencies: reads answer within `READ_SECONDS`, flushes take `FLUSH_SECONDS`, times the disk's
            `bodydouble_sim.storage.disk.Disk.slowness`.
    """

    def __init__(self, volumes: Mapping[str, Volume], stream: random.Random) -> None:
        self._volumes = volumes
        self._stream = stream

    @property
    def case_sensitive(self) -> bool:
        """Windows volumes ignore case."""
        return False

    def _on(self, path: str) -> Volume:
        volume = self._volumes.get(path[:1].upper()) if path[1:2] == ":" else None
        if volume is None:
            raise FileSystemError("not_found", path, "no such drive")
        return volume

    async def _take(self, path: str, bounds: tuple[float, float]) -> None:
        seconds = self._stream.uniform(*bounds)
        volume = self._volumes.get(path[:1].upper())
        if volume is not None and volume.disk.slowness != 1.0:
            volume.disk.touched["slowed"] += 1
            seconds *= volume.disk.slowness
        await asyncio.sleep(seconds)

    def _exact(self, path: str) -> str:
        """The path, if it is spelled with names and not with 8.3 aliases or streams, which mean something else."""
        if path.find(":", 2) > 0:
            raise FileSystemError("not_found", path, "a stream, and no file")
        if "~" in path:
            found, parent = self._on(path).stat(path), path.rpartition("/")[0]
            above = None if found is not None else self._on(path).stat(parent)
            for entry, asked in ((found, path), (above, parent)):
                if entry is not None and fold(entry.path) != fold(asked):
                    raise FileSystemError("not_found", path, f"an alias of {entry.path}")
        return path

    async def list_directory(self, path: str) -> list[Entry]:
        """See `bodydouble.ports.FileSystem.list_directory`."""
        await self._take(path, READ_SECONDS)
        volume, exact = self._on(path), self._exact(path)
        found = volume.stat(exact)
        if found is not None and found.kind == "link":
            raise FileSystemError("not_found", path, "a junction, and no directory")
        return volume.list(exact)

    async def stat(self, path: str) -> Entry | None:
        """See `bodydouble.ports.FileSystem.stat`; None on a drive that does not exist."""
        await self._take(path, READ_SECONDS)
        if path[:1].upper() not in self._volumes:
            return None
        entry = self._on(path).stat(path)
        return entry if entry is not None and path.find(":", 2) < 0 and fold(entry.path) == fold(path) else None

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        """See `bodydouble.ports.FileSystem.read`: the bytes are those of one instant between call and answer."""
        await self._take(path, READ_SECONDS)
        exact = self._exact(path)
        data = self._on(path).read(f"{exact}:{stream}" if stream else exact, offset, size)
        await self._take(path, READ_SECONDS)
        return data

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """See `bodydouble.ports.FileSystem.find_data`."""
        await self._take(path, READ_SECONDS)
        return self._on(path).find_data(self._exact(path), offset)

    async def capabilities(self, path: str) -> Capabilities:
        """See `bodydouble.ports.FileSystem.capabilities`."""
        return self._on(path).capabilities()

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """See `bodydouble.ports.FileSystem.apply`; filters do not see it."""
        failure: FileSystemError | None = None
        done: list[AnyOperation] = []
        for operation in operations:
            try:
                for path in paths_of(operation):
                    self._exact(path)
                self._on(operation.path).apply((operation,), bypass_filter=True)
            except FileSystemError as error:
                failure = error
                failure.done = len(done)
                break
            done.append(operation)
        await self._take(operations[0].path if operations else "", FLUSH_SECONDS if durable else READ_SECONDS)
        if durable:
            self._make_durable(done)
        if failure is not None:
            raise failure

    def _make_durable(self, done: Sequence[AnyOperation]) -> None:
        try:
            for volume in self._volumes.values():
                volume.flush_written([operation for operation in done if self._on(operation.path) is volume])
        except FileSystemError as error:
            error.done = len(done)
            raise

    async def flush(self, path: str) -> None:
        """See `bodydouble.ports.FileSystem.flush`."""
        await self._take(path, FLUSH_SECONDS)
        self._on(path).flush()

    async def free_space(self, path: str) -> int:
        """See `bodydouble.ports.FileSystem.free_space`."""
        return self._on(path).free_space()
