"""Feed: what this machine applies as a target reaches its own streams, so that a chain of machines replicates.

A filter does not report what the product itself applies. So whoever applies offers each operation to the local streams
whose sets cover it, in order and after it took effect. A stream's mirror reads the same files meanwhile; it must never
see an effect that was not offered yet, or the operation that is offered later would find its work done. Hence the lock
of each replica: an apply with what it offers is one step, and so is a read.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.replication.mapping import overlap
from bodydouble.replication.passing import PassingFileSystem, ReadOnlyFileSystem
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeHardLink,
    Rename,
    Truncate,
    paths_of,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from bodydouble.ports import FileSystem, Sink


async def _settled() -> None:
    """No filter: nothing waits to be reported."""


class Feed:
    """The local streams, and the replicas that feed them.

    Args:
        key: the form in which the host's file system compares paths.
        settled: waits until the filter has reported what applications did, see `bodydouble.ports.FileFilter`.
    """

    def __init__(self, key: Callable[[str], str], settled: Callable[[], Awaitable[None]] = _settled) -> None:
        self.key = key
        self.settled = settled
        self._sinks: list[FeedAttachment] = []
        self._replicas: list[FeedingFileSystem] = []

    def attach(self, root: str, sink: Sink) -> FeedAttachment:
        """Offer ``sink`` what is applied at or beneath ``root`` from now on; a rename over its border whole."""
        attachment = FeedAttachment(self, root, sink)
        self._sinks.append(attachment)
        return attachment

    def remove(self, attachment: FeedAttachment) -> None:
        """Offer it nothing more. Idempotent."""
        if attachment in self._sinks:
            self._sinks.remove(attachment)

    def join(self, replica: FeedingFileSystem, earlier: FeedingFileSystem | None) -> None:
        """A replica is applied through ``replica`` from now on, instead of through ``earlier``."""
        if earlier is not None:
            self.leave(earlier)
        self._replicas.append(replica)

    def leave(self, replica: FeedingFileSystem) -> None:
        """It is applied no more."""
        if replica in self._replicas:
            self._replicas.remove(replica)

    def listeners(self, places: Sequence[str]) -> list[FeedAttachment]:
        """Who hears of something in one of these directories."""
        return [each for each in self._sinks if overlap([each.root], places, self.key)]

    def locks(self, path: str) -> list[asyncio.Lock]:
        """What is to be held while ``path`` is read for a stream."""
        key = self.key(path)
        return [each.lock for each in self._replicas if each.concerns(key)]


class FeedAttachment:
    """A stream's hold on the feed."""

    def __init__(self, feed: Feed, root: str, sink: Sink) -> None:
        self.root = root
        self._feed = feed
        self._key = feed.key(root)
        self._sink = sink

    def detach(self) -> None:
        """Offer nothing more. Idempotent."""
        self._feed.remove(self)

    def offer(self, operation: AnyOperation) -> None:
        """Something was carried out."""
        concerned = operation.path if isinstance(operation, MakeHardLink) else None
        for path in paths_of(operation) if concerned is None else (concerned,):
            key = self._feed.key(path)
            taken = isinstance(operation, Rename) and paths.is_beneath(self._key, key)
            if taken or paths.is_beneath(key, self._key):
                self._sink(operation)
                return


class FeedingFileSystem(PassingFileSystem):
    """A `bodydouble.ports.FileSystem` that offers what it carries out to the feed.

    Args:
        files: the host's.
        feed: who hears of it.
        places: the directories of the replica that is applied through this.
        lock: the replica's.
    """

    def __init__(self, files: FileSystem, feed: Feed, places: Sequence[str], lock: asyncio.Lock) -> None:
        super().__init__(files)
        self.places = places
        self.lock = lock
        self._feed = feed
        self._keys = [feed.key(place) for place in places]

    def concerns(self, key: str) -> bool:
        """Whether a path, in the form in which paths are compared, is in the replica or above it."""
        return any(paths.is_beneath(key, place) or paths.is_beneath(place, key) for place in self._keys)

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """See the port. Whoever cancels this lets it end first, or what was done is offered to nobody."""
        async with self.lock:
            listeners = self._feed.listeners(self.places)
            if not listeners:
                await self._files.apply(operations, durable=durable)
                return
            await self._feed.settled()  # what applications did before is heard of before what is applied now
            done = 0
            for part in parts(operations, self._feed.key):
                try:
                    await self._carry_out(part, listeners, durable=durable)
                except FileSystemError as error:
                    error.done += done
                    raise
                done += len(part)

    async def _carry_out(self, part: list[AnyOperation], listeners: Sequence[FeedAttachment], *, durable: bool) -> None:
        sizes = {each.path: await self._size(each.path) for each in part if isinstance(each, CreateFile)}
        try:
            await self._files.apply(part, durable=durable)
        except FileSystemError as error:
            _offer(part[: error.done], sizes, listeners)
            raise
        _offer(part, sizes, listeners)

    async def _size(self, path: str) -> int:
        entry = await self._files.stat(path)
        return 0 if entry is None else entry.size


def parts(operations: Sequence[AnyOperation], key: Callable[[str], str]) -> Iterator[list[AnyOperation]]:
    """Cut a batch so that the length of each file that a part creates is known before the part begins."""
    part: list[AnyOperation] = []
    touched: set[str] = set()
    for operation in operations:
        if isinstance(operation, CreateFile) and (key(operation.path) in touched or "" in touched):
            yield part
            part, touched = [], set()
        part.append(operation)
        touched.update(key(path) for path in paths_of(operation))
        if isinstance(operation, Rename):
            touched.add("")  # what lies beneath was renamed as well
    if part:
        yield part


def _offer(done: Sequence[AnyOperation], sizes: dict[str, int], listeners: Sequence[FeedAttachment]) -> None:
    for at, operation in enumerate(done):
        for listener in listeners:
            listener.offer(operation)
        following = done[at + 1] if at + 1 < len(done) else None
        cut = isinstance(following, Truncate) and following.path == operation.path and not following.size
        if isinstance(operation, CreateFile) and not cut:
            # Further on there may be something else of that name: it becomes as long as the file is here.
            for listener in listeners:
                listener.offer(Truncate(operation.path, sizes[operation.path], operation.mtime_ns))


class GatedFileSystem(ReadOnlyFileSystem):
    """A `bodydouble.ports.FileSystem` for a stream's reads: each is made between two applies, never during one.

    Args:
        files: the host's.
        feed: knows the replicas.
    """

    def __init__(self, files: FileSystem, feed: Feed) -> None:
        super().__init__(files)
        self._feed = feed

    @asynccontextmanager
    async def _reading(self, path: str) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for lock in self._feed.locks(path):
                await stack.enter_async_context(lock)
            yield
