"""What applications changed while a mirror runs. Pure.

A mirror reads files that applications write. It stays correct because it knows, at the instant it queues what it read,
which operations came in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.replication.protocol import RemoveTree, StreamItem
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeHardLink,
    MakeSymbolicLink,
    PunchHole,
    RemoveFile,
    Rename,
    SetTimes,
    StreamOperation,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.protocol import Body

    Key = Callable[[str], str]

MAX_PATHS = 200_000
_MAX_WRITES = 256


class Touches:
    """When each path was last changed, counted in operations.

    Args:
        key: the form in which the file system compares paths.
        limit: paths remembered; beyond it everything counts as just changed, which costs work and is never wrong.
    """

    def __init__(self, key: Key, limit: int = MAX_PATHS) -> None:
        self.now = 0
        self.key = key
        self._key = key
        self._limit = limit
        self._exact: dict[str, int] = {}
        self._trees: dict[str, int] = {}
        self._floor = 0

    def note(self, body: Body) -> None:
        """An element went into the stream."""
        if isinstance(body, StreamItem) and not isinstance(body, RemoveTree):
            return
        self.now += 1
        if isinstance(body, Rename | RemoveTree):
            self._trees[self._key(body.path)] = self.now
        if isinstance(body, Rename):
            self._trees[self._key(body.new_path)] = self.now
        self._exact[self._key(body.path)] = self.now
        self._shrink()

    def note_tree(self, path: str) -> None:
        """Everything at and beneath ``path`` changed."""
        self.now += 1
        self._trees[self._key(path)] = self.now
        self._shrink()

    def note_everything(self) -> None:
        """Anything may have changed."""
        self.now += 1
        self._floor = self.now

    def _shrink(self) -> None:
        if len(self._exact) + len(self._trees) > self._limit:
            self._exact.clear()
            self._trees.clear()
            self._floor = self.now

    def since(self, path: str, mark: int) -> bool:
        """Whether ``path`` was changed, or moved with a directory above it, after the moment ``mark``."""
        if self._floor > mark:
            return True
        key = self._key(path)
        if self._exact.get(key, 0) > mark:
            return True
        while self._trees:
            if self._trees.get(key, 0) > mark:
                return True
            above = paths.parent(key)
            if above == key:
                break
            key = above
        return False


class FileWatch:
    """What happens to one file between reading a chunk of it and queuing that chunk.

    Attributes:
        lost: the file was removed or renamed; the stream carries what became of it.
        again: something happened that only reading again can take in.
        mtime_ns: the last write that the operations told, None when they told none.
    """

    def __init__(self, path: str, key: Key) -> None:
        self.lost = False
        self.again = False
        self.mtime_ns: int | None = None
        self._key = key
        self._path = key(path)
        self._writes: list[Write] = []

    def begin(self) -> None:
        """A read begins now."""
        self.again = False
        self._writes.clear()

    def note(self, body: Body) -> None:
        """An element went into the stream."""
        if isinstance(body, StreamOperation) or (isinstance(body, StreamItem) and not isinstance(body, RemoveTree)):
            return
        if isinstance(body, Rename | RemoveTree | RemoveFile | MakeSymbolicLink) and self._concerns(body):
            self.lost = True
        elif isinstance(body, MakeHardLink) and self._key(body.path) == self._path:
            self.lost = True  # the name means another file now
        elif self._key(body.path) == self._path:
            self._change(body)

    def _concerns(self, body: Rename | RemoveTree | RemoveFile | MakeSymbolicLink) -> bool:
        if paths.is_beneath(self._path, self._key(body.path)):
            return True
        return isinstance(body, Rename) and paths.is_beneath(self._path, self._key(body.new_path))

    def _change(self, body: Body) -> None:
        if isinstance(body, Write | Truncate | PunchHole | SetTimes | CreateFile):
            self.mtime_ns = body.mtime_ns
        if isinstance(body, Write) and len(self._writes) < _MAX_WRITES:
            self._writes.append(body)
        else:
            self.again = True

    def hole(self, begin: int, end: int) -> int:
        """Where a hole from ``begin`` to ``end`` ends, given that the noted writes happened while it was found."""
        starts = [write.offset for write in self._writes if write.data and write.offset + len(write.data) > begin]
        return min([end, *(max(begin, start) for start in starts)])

    def length(self, size: int) -> int:
        """The file's length, given that ``size`` was found while the noted writes happened."""
        return max([size, *(write.offset + len(write.data) for write in self._writes if write.data)])

    def patch(self, data: bytes, offset: int, limit: int) -> bytes:
        """The chunk read at ``offset`` with the noted writes in it, at most ``limit`` bytes."""
        if not self._writes:
            return data
        chunk = bytearray(data)
        for write in self._writes:
            start, end = write.offset - offset, write.offset - offset + len(write.data)
            if end <= 0 or start >= limit or not write.data:
                if start >= limit and len(chunk) < limit:
                    chunk.extend(bytes(limit - len(chunk)))  # the write lies behind: what is between reads as zeros
                continue
            end = min(end, limit)
            chunk.extend(bytes(max(0, end - len(chunk))))
            first = max(start, 0)
            chunk[first:end] = write.data[first - start : end - start]
        return bytes(chunk)
