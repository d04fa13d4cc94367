"""Journal: numbered records on disk, appended at one end and forgotten at the other.

What `Journal.append` has returned for survives power loss; what it had not yet is a torn tail, which the next
`Journal.open` drops. Numbers are consecutive. Segments have 5 MB each, as the queue's files of Double-Take; one is
removed as soon as every record in it is forgotten.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from bodydouble.errors import FileSystemError, StateError
from bodydouble.replication.journal.framing import encode_header, record_pieces
from bodydouble.replication.journal.reading import SegmentReader
from bodydouble.state.store import make_directories
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.ports import FileSystem, WallClock

    Payload = bytes | Sequence[bytes]

SEGMENT_BYTES = 5_000_000
_LONG_BYTES = 64 * 1024
"""From this length on a write of its own costs less than a copy."""
_SUFFIX = ".journal"
_NAME = re.compile(r"([0-9]{20})\.journal")


class Opened(NamedTuple):
    """What `Journal.open` found: records kept, and bytes that were no valid records in their place."""

    records: int
    dropped_bytes: int


@dataclass(slots=True)
class _Segment:
    """One file: its first number, how many records, how many valid bytes, and the checksum that goes on from there."""

    path: str
    first: int
    size: int
    crc: int
    count: int = 0

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class Journal:
    """Records with consecutive numbers in one directory. One task appends; another one may forget meanwhile.

    Args:
        file_system: the host's volumes.
        directory: product form; its own, nothing else is to be kept there.
        clock: dates the files.
        segment_bytes: a segment that has reached this is followed by another one.
    """

    def __init__(
        self, file_system: FileSystem, directory: str, clock: WallClock, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.directory = directory
        self.identity = ""
        self.last = 0
        self._file_system = file_system
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._unsure = False

    @property
    def first(self) -> int:
        """Number of the oldest record kept; one more than `last` when there is none."""
        return self._segments[0].first if self._segments else self.last + 1

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    # --- life ---

    async def begin(self, identity: str, after: int = 0) -> None:
        """Start afresh: an empty journal of that identity, whose first record will be ``after + 1``.

        Raises:
            FileSystemError: the volume refused; nothing is certain but that `open` keeps no record of another identity.
        """
        await self._remove([path for _, path in await self._files()])
        self.identity, self.last, self._segments = identity, after, []

    async def open(self, identity: str, after: int) -> Opened:
        """Take in what an earlier run left of the journal ``identity``, as far as it goes on from ``after``.

        Records up to ``after`` are forgotten, torn and damaged ones dropped with everything behind them.

        Raises:
            FileSystemError: the volume refused.
        """
        self.identity, self.last, self._segments = identity, after, []
        files = await self._files()
        needed = [i for i in range(len(files)) if i + 1 == len(files) or files[i + 1][0] > after + 1]
        dropped = 0
        kept: set[str] = set()
        for i in needed:
            segment = await self._scan(*files[i])
            if segment is None or not self._continues(segment):
                break
            if segment.last < self.last:
                break
            kept.add(segment.path)
            self._segments.append(segment)
            self.last = segment.last
            dropped += await self._cut(segment)
            if dropped:
                break
        stray = [path for _, path in files if path not in kept]
        dropped += await self._sizes([path for at, path in files if path not in kept and at > after])
        await self._remove(stray)
        return Opened(self.last - after, dropped)

    def _continues(self, segment: _Segment) -> bool:
        """Whether the segment's records follow without a gap, and reach what is needed."""
        return segment.first <= self.last + 1 if not self._segments else segment.first == self._segments[-1].last + 1

    async def remove(self) -> None:
        """Remove every file and the directory.

        Raises:
            FileSystemError: the volume refused.
        """
        await self.begin("", 0)
        if await self._file_system.stat(self.directory) is not None:
            await self._file_system.apply([RemoveDirectory(self.directory)], durable=True)

    # --- records ---

    async def append(self, payloads: Sequence[Payload]) -> None:
        """Append records with the next numbers; they survive power loss once this returns.

        A payload may come in pieces that lie behind each other.

        Raises:
            FileSystemError: the volume refused; none of them counts.
            StateError: a payload is empty or too long.
        """
        staged = [_copy(self._segments[-1])] if self._segments else []
        operations = self._cut_back(staged)
        last = self.last
        for payload in payloads:
            if not staged or staged[-1].size >= self._segment_bytes:
                operations += self._create(staged, last + 1)
            _add(staged[-1], payload, operations)
            last += 1
        if not self._segments:
            await make_directories(self._file_system, self.directory)
        self._unsure = True
        await self._file_system.apply(_merged(operations, self._now()), durable=True)
        self._unsure = False
        self._segments[-1:] = staged
        self.last = last

    def _cut_back(self, staged: list[_Segment]) -> list[AnyOperation]:
        """Drop what an append that failed, or was cancelled, left behind the last record."""
        return [Truncate(staged[0].path, staged[0].size, self._now())] if self._unsure and staged else []

    def _create(self, staged: list[_Segment], first: int) -> list[AnyOperation]:
        header = encode_header(self.identity, first)
        path = paths.join(self.directory, f"{first:020}{_SUFFIX}")
        staged.append(_Segment(path, first, len(header), int.from_bytes(header[-4:], "big")))
        now = self._now()
        return [CreateFile(path, Metadata(), now), Truncate(path, 0, now), Write(path, 0, header, now)]

    async def forget(self, upto: int) -> None:
        """Records up to ``upto`` are needed no more: remove the segments that hold nothing else, but for the last one.

        Raises:
            FileSystemError: the volume refused; the segments are removed another time.
        """
        gone = [segment for segment in self._segments[:-1] if segment.last <= upto]
        if gone:
            await self._file_system.apply([RemoveFile(segment.path) for segment in gone], durable=True)
            self._segments = self._segments[len(gone) :]

    def reader(self, after: int) -> JournalReader:
        """Reads the records behind ``after``, also those that are appended later."""
        return JournalReader(self, self._file_system, after)

    def segment_of(self, number: int) -> tuple[str, int] | None:
        """Path and first number of the segment that holds a record; None when it is not kept."""
        at = bisect_right(self._segments, number, key=lambda segment: segment.first) - 1
        if at < 0 or number > self._segments[at].last:
            return None
        return self._segments[at].path, self._segments[at].first

    # --- files ---

    def _now(self) -> int:
        return int(self._clock.now().timestamp()) * 1_000_000_000

    async def _files(self) -> list[tuple[int, str]]:
        """First number and path of each segment file, in order."""
        try:
            entries = await self._file_system.list_directory(self.directory)
        except FileSystemError as error:
            if error.code == "not_found":
                return []
            raise
        named = [(_NAME.fullmatch(paths.name(entry.path)), entry.path) for entry in entries if not entry.directory]
        return sorted((int(match[1]), path) for match, path in named if match is not None)

    async def _scan(self, first: int, path: str) -> _Segment | None:
        """A segment with all valid records; None when it is not one of this journal."""
        reader = SegmentReader(self._file_system, path)
        header = await reader.header()
        if header is None or header.identity != self.identity or header.first != first:
            return None
        count = 0
        while await reader.next() is not None:
            count += 1
        return _Segment(path, first, reader.offset, reader.crc, count)

    async def _cut(self, segment: _Segment) -> int:
        """Cut off what is no valid record, durably; how many bytes that were."""
        entry = await self._file_system.stat(segment.path)
        size = segment.size if entry is None else entry.size
        if size > segment.size:
            await self._file_system.apply([Truncate(segment.path, segment.size, self._now())], durable=True)
        return max(0, size - segment.size)

    async def _sizes(self, files: list[str]) -> int:
        entries = [await self._file_system.stat(path) for path in files]
        return sum(entry.size for entry in entries if entry is not None)

    async def _remove(self, files: list[str]) -> None:
        if files:
            await self._file_system.apply([RemoveFile(path) for path in files], durable=True)


class JournalReader:
    """A place in a journal.

    Args:
        journal: what to read.
        file_system: the host's volumes.
        after: the number before the first one to read.
    """

    def __init__(self, journal: Journal, file_system: FileSystem, after: int) -> None:
        self.position = after
        self._journal = journal
        self._file_system = file_system
        self._segment: SegmentReader | None = None
        self._next = 0

    async def read(self, max_bytes: int, max_records: int) -> list[bytes]:
        """The next records, at least one when there is any.

        Raises:
            FileSystemError: the volume refused.
            StateError: a record that is there cannot be read: it was damaged on disk.
        """
        found: list[bytes] = []
        size = 0
        while self.position < self._journal.last and len(found) < max_records and size < max_bytes:
            payload = await self._one()
            size += len(payload)
            found.append(payload)
        return found

    async def _one(self) -> bytes:
        where = self._journal.segment_of(self.position + 1)
        # Behind the last record of a segment lies the next segment, and the file may be forgotten by now.
        same = self._segment is not None and where is not None and where[0] == self._segment.path
        payload = await self._segment.next() if self._segment is not None and same else None
        if payload is None:
            payload = await self._seek()
        self.position += 1
        return payload

    async def _seek(self) -> bytes:
        """Open the segment that holds the next record, and find it there."""
        number = self.position + 1
        where = self._journal.segment_of(number)
        if where is None:
            raise StateError(f"{self._journal.directory}: record {number} is not kept")
        path, first = where
        self._segment = SegmentReader(self._file_system, path)
        payload = None
        if await self._segment.header() is not None:
            for _ in range(number - first + 1):
                payload = await self._segment.next()
        if payload is None:
            self._segment = None
            raise StateError(f"{path}: record {number} is damaged")
        return payload


def _copy(segment: _Segment) -> _Segment:
    return _Segment(segment.path, segment.first, segment.size, segment.crc, segment.count)


def _add(segment: _Segment, payload: Payload, operations: list[AnyOperation]) -> None:
    pieces, segment.crc = record_pieces((payload,) if isinstance(payload, bytes) else payload, segment.crc)
    for piece in pieces:
        operations.append(Write(segment.path, segment.size, piece, 0))
        segment.size += len(piece)
    segment.count += 1


def _merged(operations: list[AnyOperation], now: int) -> list[AnyOperation]:
    """Consecutive short writes as one: a hundred small records are one call to the volume. Long ones are not copied."""
    merged: list[AnyOperation] = []
    run: list[Write] = []
    for operation in operations:
        if _short(operation) and (not run or run[-1].path == operation.path):
            run.append(operation)
            continue
        _close(run, merged, now)
        run = []
        if _short(operation):
            run.append(operation)
        elif isinstance(operation, Write):
            _close([operation], merged, now)
        else:
            merged.append(operation)
    _close(run, merged, now)
    return merged


def _short(operation: AnyOperation) -> TypeGuard[Write]:
    return isinstance(operation, Write) and len(operation.data) < _LONG_BYTES


def _close(run: list[Write], merged: list[AnyOperation], now: int) -> None:
    if run:
        data = run[0].data if len(run) == 1 else b"".join([write.data for write in run])
        merged.append(Write(run[0].path, run[0].offset, data, now))
