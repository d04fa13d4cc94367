"""An in-memory volume for both file ports, with injectable failures, and a host made of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from tests.peers import SeededEntropy

from bodydouble.errors import FileSystemError, FilterError
from bodydouble.ports import Host
from bodydouble.replication.directory_times import directories_of
from bodydouble.replication.rules import fold
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Entry,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
    changes_names,
)
from bodydouble.vocabulary.records import HostIdentity
from bodydouble_sim.storage.filter_memory import FilterMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from bodydouble.ports import Lost, Sink

Picture = dict[str, tuple[bool, bytes, int, Metadata, str | None, tuple[str, ...]]]


@dataclass
class Body:
    """What the names of one file share."""

    number: int
    data: bytearray = field(default_factory=bytearray)
    holes: list[tuple[int, int]] = field(default_factory=list)
    streams: dict[str, bytearray] = field(default_factory=dict)
    mtime: int = 0
    created: int = 0
    metadata: Metadata = field(default_factory=Metadata)

    def fill(self, begin: int, end: int) -> None:
        """No hole is there any more."""
        pieces = [
            piece for hole in self.holes for piece in ((hole[0], min(hole[1], begin)), (max(hole[0], end), hole[1]))
        ]
        self.holes = sorted({piece for piece in pieces if piece[0] < piece[1]})


@dataclass
class Node:
    path: str
    directory: bool
    body: Body
    target: str | None = None

    @property
    def data(self) -> bytearray:
        return self.body.data

    @data.setter
    def data(self, data: bytearray) -> None:
        self.body.data = data

    @property
    def mtime(self) -> int:
        return self.body.mtime

    @mtime.setter
    def mtime(self, mtime: int) -> None:
        self.body.mtime = mtime

    @property
    def metadata(self) -> Metadata:
        return self.body.metadata

    @metadata.setter
    def metadata(self, metadata: Metadata) -> None:
        self.body.metadata = metadata


class MemoryVolume:
    """FileSystem, FileFilter, and the face that applications use (`do`).

    Attributes:
        lateness: seconds until the filter reports a change, unless somebody waits for it; 0.0 for at once.
        memory: what the filter keeps; it has notes only when it `remembers` over a restart of the daemon.
    """

    lateness = 0.0
    remembers = False

    def __init__(self, *, case_sensitive: bool = True) -> None:
        self.case_sensitive = case_sensitive
        self.nodes: dict[str, Node] = {"/": Node("/", True, Body(0))}
        self.bodies = 0
        self.sinks: list[tuple[str, Sink]] = []
        self.losers: list[Lost] = []
        self.memory = FilterMemory()
        self.unreported: list[tuple[AnyOperation, list[str]]] = []
        self.applied: list[AnyOperation] = []
        self.fail: Callable[[AnyOperation], str | None] = lambda _operation: None
        self.on_applied: Callable[[AnyOperation], None] = lambda _operation: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.no_filter = False
        self.ticks: Iterator[int] | None = None
        self.keeps: Callable[[str], Capabilities] = lambda _path: Capabilities()
        self.protected = "/state"

    def key(self, path: str) -> str:
        return path if self.case_sensitive else fold(path)

    def get(self, path: str) -> Node | None:
        return self.nodes.get(self.key(path))

    def inside(self, path: str) -> list[Node]:
        key = self.key(path)
        return [node for k, node in self.nodes.items() if k != key and paths.is_beneath(k, key)]

    def children(self, path: str) -> list[Node]:
        key = self.key(path)
        return [node for k, node in self.nodes.items() if k != "/" and paths.parent(k) == key]

    # --- applications ---

    def do(self, operation: AnyOperation) -> None:
        """An application's change: takes effect, then every filter hears of it."""
        names = self.names(operation)
        self.change(operation)
        self.unreported.append((operation, names))
        if self.lateness:
            asyncio.get_running_loop().call_later(self.lateness, self.report)
        else:
            self.report()

    def report(self) -> None:
        """Everything that was not reported yet."""
        unreported, self.unreported = self.unreported, []
        for operation, names in unreported:
            self._tell(operation, names)

    def _tell(self, operation: AnyOperation, names: list[str]) -> None:
        for name in names:
            reported = msgspec.structs.replace(operation, path=name)
            self.memory.append(reported)
            for root, sink in list(self.sinks):
                if self.touches(reported, root):
                    sink(reported)

    def touches(self, operation: AnyOperation, root: str) -> bool:
        touched = [operation.path] + ([operation.new_path] if isinstance(operation, Rename) else [])
        taken = isinstance(operation, Rename) and any(
            paths.is_beneath(self.key(root), self.key(path)) for path in touched
        )
        return taken or any(paths.is_beneath(self.key(path), self.key(root)) for path in touched)

    def names(self, operation: AnyOperation) -> list[str]:
        """Under which names an operation is reported: all of the file's, unless it concerns a name itself."""
        node = self.get(operation.path)
        if node is None or changes_names(operation):
            return [operation.path]
        return sorted(other.path for other in self.nodes.values() if other.body is node.body)

    def picture(self, root: str) -> Picture:
        """What the lab compares: everything beneath a root; streams after the bytes, directories without times."""
        nodes = sorted([*self.inside(root), *([n] if (n := self.get(root)) else [])], key=lambda n: n.path)
        return {
            n.path: (
                n.directory,
                bytes(n.data)
                + b"".join(b"\0%s=%s" % (name.encode(), n.body.streams[name]) for name in sorted(n.body.streams)),
                0 if n.directory else n.mtime,
                n.metadata,
                n.target,
                self._group(n, nodes),
            )
            for n in nodes
        }

    @staticmethod
    def _group(node: Node, nodes: list[Node]) -> tuple[str, ...]:
        names = tuple(other.path for other in nodes if other.body is node.body)
        return names if len(names) > 1 else ()

    def new(self, path: str, directory: bool) -> Node:
        self.bodies += 1
        return Node(path, directory, Body(self.bodies))

    # --- semantics ---

    def change(self, op: AnyOperation) -> None:
        """What the operation does; names that come and go change their directories' times, while `ticks` says which."""
        self._change(op)
        for path in directories_of(op):
            if self.ticks is not None and (node := self.get(path)) is not None:
                node.mtime = next(self.ticks)

    def _change(self, op: AnyOperation) -> None:  # noqa: C901, PLR0912, PLR0915 - one case an operation
        match op:
            case MakeDirectory():
                self._parent(op.path)
                node = self.nodes.setdefault(self.key(op.path), self.new(op.path, True))
                if not node.directory:
                    raise FileSystemError("exists", op.path)
                node.metadata, node.body.created = op.metadata, op.created_ns or node.body.created
            case CreateFile():
                self._parent(op.path)
                node = self.nodes.setdefault(self.key(op.path), self.new(op.path, False))
                if node.directory or node.target is not None:
                    raise FileSystemError("exists", op.path)
                node.metadata, node.mtime = op.metadata, op.mtime_ns
                node.body.created = op.created_ns or node.body.created
            case Write():
                node = self._file(op.path)
                node.data.extend(bytes(max(0, op.offset - len(node.data))))
                node.data[op.offset : op.offset + len(op.data)] = op.data
                node.body.fill(op.offset, op.offset + len(op.data))
                node.mtime = op.mtime_ns
            case Truncate():
                node = self._file(op.path)
                node.data = node.data[: op.size] + bytes(max(0, op.size - len(node.data)))
                node.mtime = op.mtime_ns
                node.body.fill(op.size, 1 << 62)
            case PunchHole():
                node = self._file(op.path)
                end = min(op.offset + op.size, len(node.data))
                if op.offset < end:
                    node.data[op.offset : end] = bytes(end - op.offset)
                    node.body.fill(op.offset, end)
                    node.body.holes.append((op.offset, end))
                node.mtime = op.mtime_ns
            case Rename():
                self._rename(op)
            case RemoveFile():
                if self._any(op.path).directory:
                    raise FileSystemError("io", op.path)
                del self.nodes[self.key(op.path)]
            case StreamOperation():
                self._stream(op)
            case MakeHardLink():
                self._hard_link(op)
            case MakeSymbolicLink():
                self._parent(op.path)
                there = self.get(op.path)
                if there is not None and there.target is None:
                    raise FileSystemError("exists", op.path)
                node = self.nodes[self.key(op.path)] = self.new(op.path, False)  # other names of the old one keep it
                node.target, node.metadata, node.mtime = op.target, op.metadata, op.mtime_ns
                node.body.created = op.created_ns
            case RemoveDirectory():
                if not self._any(op.path).directory:
                    raise FileSystemError("not_found", op.path)
                if self.children(op.path):
                    raise FileSystemError("not_empty", op.path)
                del self.nodes[self.key(op.path)]
            case SetMetadata():
                self._any(op.path).metadata = op.metadata
            case SetTimes():
                self._any(op.path).mtime = op.mtime_ns
                self._any(op.path).body.created = op.created_ns or self._any(op.path).body.created

    def _any(self, path: str) -> Node:
        node = self.get(path)
        if node is None:
            raise FileSystemError("not_found", path)
        return node

    def _file(self, path: str) -> Node:
        node = self._any(path)
        if node.directory or node.target is not None:
            raise FileSystemError("io", path)
        return node

    def _stream(self, op: StreamOperation) -> None:
        if (node := self._any(op.path)).target is not None:
            raise FileSystemError("io", op.path)  # a link has none of its own
        streams = node.body.streams
        if isinstance(op, MakeStream):
            streams[op.stream] = bytearray()
        elif isinstance(op, RemoveStream):
            for name in [name for name in streams if op.stream in ("", name)]:
                del streams[name]
        elif (data := streams.get(op.stream)) is None:
            raise FileSystemError("not_found", op.path)
        elif isinstance(op, WriteStream):
            data.extend(bytes(max(0, op.offset - len(data))))
            data[op.offset : op.offset + len(op.data)] = op.data
        elif isinstance(op, TruncateStream):
            streams[op.stream] = data[: op.size] + bytes(max(0, op.size - len(data)))

    def _hard_link(self, op: MakeHardLink) -> None:
        existing = self._any(op.existing)
        self._parent(op.path)
        there = self.get(op.path)
        if existing.directory or (there is not None and there.directory):
            raise FileSystemError("exists", op.path)
        if there is None or there.body is not existing.body:
            self.nodes[self.key(op.path)] = Node(op.path, False, existing.body, existing.target)

    def _parent(self, path: str) -> None:
        parent = self.get(paths.parent(path))
        if parent is None or not parent.directory:
            raise FileSystemError("not_found", path)

    def _rename(self, op: Rename) -> None:
        node = self._any(op.path)
        self._parent(op.new_path)
        there = self.get(op.new_path)
        if there is not None and there is not node:
            if there.directory != node.directory:
                raise FileSystemError("exists", op.new_path)
            if there.directory and self.children(op.new_path):
                raise FileSystemError("not_empty", op.new_path)
        if node.directory and there is not node and paths.is_beneath(self.key(op.new_path), self.key(op.path)):
            raise FileSystemError("io", op.path)
        moved = [node, *self.inside(op.path)]
        for each in moved:
            del self.nodes[self.key(each.path)]
        for each in moved:
            each.path = op.new_path + each.path[len(op.path) :]
            self.nodes[self.key(each.path)] = each

    # --- FileSystem ---

    def _entry(self, node: Node) -> Entry:
        links = sum(other.body is node.body for other in self.nodes.values())
        identity = str(node.body.number) if links > 1 else ""
        return Entry(
            node.path, node.directory, len(node.data), node.mtime, node.metadata, node.target, identity, links,
            bool(node.body.holes), tuple(sorted((name, len(data)) for name, data in node.body.streams.items())),
            node.body.created,
        )  # fmt: skip

    async def list_directory(self, path: str) -> list[Entry]:
        await asyncio.sleep(0)
        node = self.get(path)
        if node is None or not node.directory:
            raise FileSystemError("not_found", path)
        return [self._entry(child) for child in sorted(self.children(path), key=lambda n: paths.name(n.path))]

    async def stat(self, path: str) -> Entry | None:
        await asyncio.sleep(0)
        node = self.get(path)
        return None if node is None else self._entry(node)

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        await asyncio.sleep(0)
        if stream and stream not in self._any(path).body.streams:
            raise FileSystemError("not_found", path)
        whole = self._any(path).body.streams[stream] if stream else self._file(path).data
        data = bytes(whole[offset : offset + size])
        await asyncio.sleep(0)
        return data

    async def capabilities(self, path: str) -> Capabilities:
        kept = self.keeps(path)
        return msgspec.structs.replace(kept, case_sensitive=kept.case_sensitive and self.case_sensitive)

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        await asyncio.sleep(0)
        node = self._file(path)
        holes = sorted(node.body.holes)
        for begin, end in holes:
            if begin <= offset < end:
                offset = end
        await asyncio.sleep(0)
        end = min([len(node.data), *(begin for begin, _ in holes if begin > offset)])
        return (offset, end) if offset < end else None

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        if any(not paths.is_beneath(op.path, self.protected) for op in operations):
            await self.gate.wait()
        else:
            log = all("/statistics." in op.path for op in operations)
            assert durable or log, "only a replica may be settled later, and statistics may be lost"
        for done, operation in enumerate(operations):
            code = self.fail(operation)
            if code is not None:
                raise FileSystemError(code, operation.path, done=done)
            try:
                self.change(operation)
            except FileSystemError as error:
                error.done = done
                raise
            if not paths.is_beneath(operation.path, self.protected):
                self.applied.append(operation)
                self.on_applied(operation)
        await asyncio.sleep(0)

    async def flush(self, path: str) -> None:
        assert path
        await asyncio.sleep(0)

    async def free_space(self, path: str) -> int:
        return (1 << 40) - len(path)

    # --- FileFilter ---

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> MemoryAttachment:
        await asyncio.sleep(0)
        if self.no_filter:
            raise FilterError(f"{root}: no filter")
        self.report()
        self.sinks.append((root, sink))
        self.losers += [] if lost is None else [lost]
        return MemoryAttachment(self, (root, sink))

    async def settled(self) -> None:
        self.report()

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> MemoryResumed:
        return MemoryResumed(self, position, dict(sinks), lost)

    def notes(self, name: str) -> memoryview | None:
        return self.memory.notes(name) if self.remembers else None

    def keep_notes(self, names: Collection[str]) -> None:
        self.memory.keep_notes(names)


class MemoryResumed:
    """Catches up a few records at a time, while applications go on."""

    def __init__(self, volume: MemoryVolume, position: int, sinks: dict[str, Sink], lost: Lost) -> None:
        self.volume = volume
        self.behind: int | None = position
        self.sinks = sinks
        self.lost = lost

    @property
    def position(self) -> int:
        return self.volume.memory.position if self.behind is None else self.behind

    def detach(self) -> None:
        for each in self.sinks.items():
            with suppress(ValueError):
                self.volume.sinks.remove(each)

    async def caught_up(self) -> None:
        memory = self.volume.memory
        while self.behind is not None and self.behind < memory.position:
            if missing := memory.missing(self.behind):
                raise FilterError(f"{missing} bytes were written over")
            for operation, self.behind in islice(memory.after(self.behind), 3):  # noqa: B020 - each one's end
                for root, sink in self.sinks.items():
                    if self.volume.touches(operation, root):
                        sink(operation)
            await asyncio.sleep(0)
        self.behind = None
        self.volume.sinks += self.sinks.items()
        self.volume.losers.append(self.lost)


@dataclass
class MemoryAttachment:
    volume: MemoryVolume
    hold: tuple[str, Sink]

    @property
    def position(self) -> int:
        return self.volume.memory.position

    def detach(self) -> None:
        with suppress(ValueError):
            self.volume.sinks.remove(self.hold)


class FixedIdentity:
    """Only says who it is; the active name is somebody else's, as during a failover script."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def query(self) -> HostIdentity:
        return HostIdentity(primary_name="BORROWED", permanent_name=self.name, added_names=[], addresses=[])


class TickingClock:
    def __init__(self) -> None:
        self.at = datetime(2002, 12, 2, 9, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


def memory_host(name: str, volume: MemoryVolume) -> Host:
    unused: Any = None
    identity: Any = FixedIdentity(name)
    return Host(
        file_system=volume, file_filter=volume, identity=identity, services=unused, scripts=unused, pinger=unused,
        clock=TickingClock(), entropy=SeededEntropy(name),
    )  # fmt: skip
