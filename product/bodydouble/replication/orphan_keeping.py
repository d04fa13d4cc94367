"""The target's side of orphans: removes them from a replica, or moves them to the orphan directory.

Nothing outside of the replica's places is touched but the orphan directory, which this machine's own settings name. An
orphan keeps the path that it has on this machine beneath ``ORPHAN_DIRECTORY/DAY``; what is there already stays, and the
newcomer gets a number. Repeated after a power cut, what was done is done: it is not there any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.replication.mapping import readable, within
from bodydouble.replication.protocol import BLOCK_BYTES
from bodydouble.state.store import make_directories
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    MAX_STREAMS,
    CreateFile,
    MakeStream,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetTimes,
    Write,
    WriteStream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bodydouble.replication.context import Context
    from bodydouble.replication.place import Place
    from bodydouble.replication.protocol import Orphans
    from bodydouble.vocabulary.operations import AnyOperation, Entry

_NUMBERS = 1000


class OrphanKeeping:
    """Carries out what a source orders about orphans.

    Args:
        context: the daemon's surroundings.
        place: the replica's.
        where: the replica in words, for events.
    """

    def __init__(self, context: Context, place: Place, where: str) -> None:
        self._context = context
        self._place = place
        self._where = where

    async def take(self, body: Orphans) -> None:
        """Remove or move; what cannot be done stays, with an event."""
        for name in body.names:
            path = paths.join(body.path, name) if name else body.path
            try:
                await self._one(path, body)
            except FileSystemError as error:
                text = f"{self._where}: orphan {path} stays: {error}"
                self._context.events.record(EventCode.ORPHAN_STAYS, text)

    async def _one(self, path: str, body: Orphans) -> None:
        selection = self._place.selection
        entry = await self._place.files.stat(path)
        if entry is None or selection.protects(path):
            return
        if entry.kind == "directory":
            if selection.replicates(path):
                await self._remove_directory(path)
        elif selection.selects(path):
            await (self._move(entry, body.day) if body.move else self._remove(entry))

    async def _remove_directory(self, path: str) -> None:
        try:
            await self._apply(RemoveDirectory(path))
        except FileSystemError as error:
            if error.code != "not_empty":
                raise

    async def _remove(self, entry: Entry) -> None:
        await self._apply(RemoveDirectory(entry.path) if entry.directory else RemoveFile(entry.path))

    async def _apply(self, operation: AnyOperation) -> None:
        await self._place.files.apply([operation], durable=True)

    # --- to the orphan directory ---

    async def _move(self, entry: Entry, day: str) -> None:
        directory = self._context.settings.orphan_directory
        if not directory:
            raise FileSystemError("denied", entry.path, "orphan_directory is not set on the target")
        here = self._place.path_map.there(entry.path)
        assert here is not None, "what is in the set has a place"
        new = await self._free(within(within(paths.normalise(directory), day), readable(here)))
        files = self._place.host_files
        await make_directories(files, paths.parent(new))
        try:
            await files.apply([Rename(here, new)], durable=True)
        except FileSystemError:
            if entry.kind != "file" or await files.stat(here) is None:
                raise
            await self._copy(entry, here, new)  # on another volume, most likely

    async def _free(self, path: str) -> str:
        """``path``, or the first of it with a number where there is nothing yet."""
        files = self._place.host_files
        for number in range(_NUMBERS):
            candidate = f"{path}.{number}" if number else path
            if await files.stat(candidate) is None:
                return candidate
        raise FileSystemError("exists", path, f"and {_NUMBERS - 1} more of that name")

    async def _copy(self, entry: Entry, here: str, new: str) -> None:
        if len(entry.streams) >= MAX_STREAMS:
            raise FileSystemError("denied", entry.path, "it has more named streams than are copied to another volume")
        files = self._place.host_files
        try:
            await files.apply([CreateFile(new, entry.metadata, entry.mtime_ns)], durable=True)
            async for offset, data in self._blocks(here, entry.size):
                await files.apply([Write(new, offset, data, entry.mtime_ns)], durable=True)
            for stream, size in entry.streams:
                await files.apply([MakeStream(new, stream)], durable=True)
                async for offset, data in self._blocks(here, size, stream):
                    await files.apply([WriteStream(new, stream, offset, data)], durable=True)
            await files.apply([SetTimes(new, entry.mtime_ns, entry.created_ns)], durable=True)
        except FileSystemError:
            if await files.stat(new) is not None:
                await files.apply([RemoveFile(new)], durable=True)
            raise
        await files.apply([RemoveFile(here)], durable=True)

    async def _blocks(self, path: str, size: int, stream: str = "") -> AsyncIterator[tuple[int, bytes]]:
        for offset in range(0, size, BLOCK_BYTES):
            yield offset, await self._place.host_files.read(path, offset, BLOCK_BYTES, stream)
