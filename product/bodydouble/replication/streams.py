"""Named streams, as a mirror sends them after the file or directory that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.replication.comparison import digest_streams
from bodydouble.replication.protocol import BLOCK_BYTES
from bodydouble.replication.touches import FileWatch
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    MakeHardLink,
    MakeStream,
    RemoveFile,
    RemoveStream,
    StreamOperation,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.ports import FileSystem
    from bodydouble.replication.protocol import Body, ListedEntry
    from bodydouble.replication.touches import Touches
    from bodydouble.vocabulary.operations import Entry


async def same_streams(file_system: FileSystem, here: Entry, there: ListedEntry | None, *, checksum: bool) -> bool:
    """Whether the replica's file has the same streams: by names and lengths, or by their bytes as well.

    Raises:
        FileSystemError: the source's cannot be read.
    """
    if here.streams != (() if there is None else there.entry.streams):
        return False
    if not checksum or there is None or not here.streams:
        return True
    return await digest_streams(file_system, here) == there.streams


class StreamSender:
    """Makes the streams of one file after the other equal to those of the source.

    Args:
        file_system: where to read.
        touches: what applications changed.
        put: queues an element.
        room: waits until more may be queued.
        checksum: compare bytes, too.
    """

    def __init__(
        self,
        file_system: FileSystem,
        touches: Touches,
        put: Callable[[Body], None],
        room: Callable[[], Awaitable[None]],
        *,
        checksum: bool,
    ) -> None:
        self._file_system = file_system
        self._touches = touches
        self._key = touches.key
        self._checksum = checksum
        self._put = put
        self._room = room
        self._path = ""
        self._stream = ""
        self._watch: FileWatch | None = None
        self._changed = False

    def note(self, body: Body) -> None:
        """An application's operation was queued."""
        if self._watch is None:
            return
        if isinstance(body, StreamOperation) and self._key(body.path) == self._key(self._path):
            self._changed = True
            self._note_stream(body)
        elif isinstance(body, MakeHardLink) and self._key(body.path) == self._key(self._path):
            self._watch.note(RemoveFile(body.path))  # the name means another file now
        elif not isinstance(body, StreamOperation):
            self._watch.note(body)

    def _note_stream(self, body: StreamOperation) -> None:
        """What happened to the stream that is being read, as if it were a file in its file."""
        assert self._watch is not None
        place = paths.join(self._path, self._stream)
        if self._key(body.stream) != self._key(self._stream) and not isinstance(body, RemoveStream):
            return
        if isinstance(body, WriteStream):
            self._watch.note(Write(place, body.offset, body.data, 0))
        elif isinstance(body, TruncateStream):
            self._watch.note(Truncate(place, body.size, 0))
        elif isinstance(body, MakeStream):
            self._watch.note(Truncate(place, 0, 0))
        elif self._key(body.stream) in ("", self._key(self._stream)):
            self._watch.note(RemoveFile(place))

    async def match(self, here: Entry, there: ListedEntry | None, mark: int, *, trusted: bool) -> None:
        """Send the streams of a file or directory, listed at ``mark``, if they are not there already.

        Args:
            here: as the source has it.
            there: as the replica has it; None when it has none.
            mark: the moment of both.
            trusted: lengths that are equal, and digests if asked for, say that it needs nothing.

        Raises:
            FileSystemError: they cannot be read.
        """
        theirs = () if there is None else there.entry.streams
        touched = self._touches.since(here.path, mark)
        if not (here.streams or theirs or touched):
            return
        same = trusted and not touched and await same_streams(self._file_system, here, there, checksum=self._checksum)
        if not same or self._touches.since(here.path, mark):
            await self.send(here.path, None if there is None else there.entry)

    async def send(self, path: str, there: Entry | None) -> None:
        """Send all streams of a file; where the file goes meanwhile, the stream carries what becomes of it.

        Raises:
            FileSystemError: they cannot be read.
        """
        self._path, self._stream = path, ""
        self._watch = FileWatch(paths.join(path, "-"), self._key)
        try:
            here = await self._listed()
            if here is None:
                return
            for name, _ in there.streams if there is not None else ():
                if self._key(name) not in [self._key(each) for each, _ in here.streams]:
                    self._put(RemoveStream(path, name))
            for name, size in here.streams:
                self._put(MakeStream(path, name))
                self._put(TruncateStream(path, name, size))
            for name, _ in here.streams:
                await self._send_bytes(path, name)
        finally:
            self._watch = None

    async def _listed(self) -> Entry | None:
        """The file with its streams as they are now; None when it is gone."""
        assert self._watch is not None
        while True:
            await self._room()
            self._changed = False
            entry = await self._file_system.stat(self._path)
            if self._watch.lost or entry is None:
                return None
            if not self._changed:
                return entry

    async def _send_bytes(self, path: str, stream: str) -> None:
        self._stream = stream
        self._watch = watch = FileWatch(paths.join(path, stream), self._key)
        offset = 0
        while True:
            await self._room()
            watch.begin()
            data = await self._file_system.read(path, offset, BLOCK_BYTES, stream)
            if watch.lost:
                return
            if watch.again:
                continue
            data = watch.patch(data, offset, BLOCK_BYTES)
            if data:
                self._put(WriteStream(path, stream, offset, data))
            offset += len(data)
            if len(data) < BLOCK_BYTES:
                return
