"""StateStore: the daemon's durable records, one JSON file each.

A file is replaced as a whole (written beside, then renamed over), so that power loss leaves the old or the new
record and never a mixture. Every file carries the version of its format.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bodydouble.errors import FileSystemError, StateError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import CreateFile, MakeDirectory, Metadata, Rename, Truncate, Write

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem, WallClock

T = TypeVar("T")

FORMAT_VERSION = 1
MAX_FILE_BYTES = 64 * 1024 * 1024
_READ_BYTES = 256 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class _Envelope(msgspec.Struct):
    version: int
    value: msgspec.Raw


class StateStore:
    """Records by name in one directory of the host's file system.

    Args:
        file_system: the host's volumes.
        directory: product form; made on the first save.
        clock: dates the files; without it they carry the epoch.
    """

    def __init__(self, file_system: FileSystem, directory: str, clock: WallClock | None = None) -> None:
        self.directory = paths.normalise(directory)
        self._file_system = file_system
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._made = False

    async def load(self, name: str, type_: type[T]) -> T | None:
        """The record saved under ``name``, or None when none ever was.

        Raises:
            StateError: the file is not what this version writes; the message names the file and what is wrong.
        """
        path = self._path(name)
        try:
            content = await self._read_all(path)
        except FileSystemError as error:
            raise StateError(f"{path}: cannot be read ({error.code})") from error
        return None if content is None else self._decode(path, content, type_)

    async def save(self, name: str, value: msgspec.Struct) -> None:
        """Make ``value`` the durable record of ``name``; it survives power loss once this returns.

        Raises:
            StateError: ``name`` is not a record's name.
            FileSystemError: the volume refused; the earlier record still stands.
        """
        path = self._path(name)
        content = msgspec.json.encode({"version": FORMAT_VERSION, "value": value})
        async with self._locks.setdefault(name, asyncio.Lock()):
            if not self._made:
                await make_directories(self._file_system, self.directory)
                self._made = True
            await self._replace(path, content)

    async def _replace(self, path: str, content: bytes) -> None:
        beside = path + ".new"
        now = 0 if self._clock is None else int(self._clock.now().timestamp()) * 1_000_000_000
        await self._file_system.apply(
            [
                CreateFile(beside, Metadata(), now),
                Truncate(beside, 0, now),  # what an interrupted save left behind
                Write(beside, 0, content, now),
            ],
            durable=True,
        )
        # A batch of its own: file systems may keep a rename and lose the bytes of the file that was renamed.
        await self._file_system.apply([Rename(beside, path)], durable=True)

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise StateError(f"{name!r}: a record's name has only a-z, 0-9 and -")
        return paths.join(self.directory, f"{name}.json")

    async def _read_all(self, path: str) -> bytes | None:
        entry = await self._file_system.stat(path)
        if entry is None:
            return None
        if entry.directory or entry.size > MAX_FILE_BYTES:
            raise StateError(f"{path}: expected a file of at most {MAX_FILE_BYTES} bytes")
        return await read_file(self._file_system, path, entry.size)

    @staticmethod
    def _decode(path: str, content: bytes, type_: type[T]) -> T:
        try:
            envelope = msgspec.json.decode(content, type=_Envelope)
            if envelope.version != FORMAT_VERSION:
                raise StateError(
                    f"{path}: format version {envelope.version}, this version reads {FORMAT_VERSION}; "
                    "use the version that wrote it, or move the file away to start afresh"
                )
            return msgspec.json.decode(envelope.value, type=type_)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StateError(f"{path}: {error}") from error


async def read_file(file_system: FileSystem, path: str, size: int) -> bytes:
    """All ``size`` bytes of a file, read in bounded pieces.

    Raises:
        FileSystemError: the volume refused.
    """
    content = bytearray()
    while len(content) < size:
        piece = await file_system.read(path, len(content), min(_READ_BYTES, size - len(content)))
        if not piece:
            break
        content += piece
    return bytes(content)


async def make_directories(file_system: FileSystem, path: str) -> None:
    """Make ``path`` and its missing ancestors; those that exist keep their metadata.

    Raises:
        FileSystemError: the volume refused, or a file stands in the way.
    """
    missing: list[str] = []
    while paths.parent(path) != path and await file_system.stat(path) is None:
        missing.append(path)
        path = paths.parent(path)
    if missing:
        await file_system.apply([MakeDirectory(each, Metadata()) for each in reversed(missing)], durable=True)
