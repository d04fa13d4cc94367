"""Replica: the target's copy of one replication set, and applying the stream to it."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError, FileSystemError, PathError, ProtocolError
from bodydouble.replication.bounds import check_values
from bodydouble.replication.comparison import digest_bytes, digest_file, digest_streams
from bodydouble.replication.fitting import FittingFileSystem
from bodydouble.replication.groups import QUESTIONS
from bodydouble.replication.orphan_keeping import OrphanKeeping
from bodydouble.replication.place import Place
from bodydouble.replication.protocol import (
    BLOCK_BYTES,
    MAX_BLOCKS,
    SMALL_FILE_BYTES,
    AnyMessage,
    Blocks,
    BlocksRequest,
    Item,
    ListedEntry,
    Listing,
    ListRequest,
    MirrorComplete,
    MirrorStart,
    MirrorStopped,
    Orphans,
    Placement,
    RemoveTree,
    Settle,
    Settled,
    StreamItem,
    Task,
    Volume,
    VolumeRequest,
)
from bodydouble.replication.tasks import to_the_end
from bodydouble.state.store import make_directories
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    Entry,
    MakeHardLink,
    MakeSymbolicLink,
    Operation,
    RemoveDirectory,
    RemoveFile,
    Rename,
    metadata_size,
    paths_of,
)
from bodydouble.vocabulary.records import ReplicationSet  # noqa: TC001 - msgspec reads it at run time
from bodydouble.vocabulary.shares import Share  # noqa: TC001 - the same

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.rules import Selection

MAX_SKIPPED = 1000
MAX_SKIPPED_BYTES = 512 * 1024
"""Longer answers than one frame holds would end the session, and the next one just so."""
_PAGE_BYTES = 256 * 1024
_PAGE_DIGEST_BYTES = 16 * 1024 * 1024
_REMOVE_BATCH = 1000
_STRUCTURAL = (Rename, RemoveFile, RemoveDirectory, MakeHardLink, MakeSymbolicLink)
_TAKING_AWAY = (Rename, RemoveFile, RemoveDirectory)
"""What leaves its path missing, so that a missing path says that it was done. Making a link may be repeated."""


class ReplicaDivergedError(BodydoubleError):
    """An operation could not be applied: replica and source differ."""


class ReplicaRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a replica on disk.

    Attributes:
        number: names the file of its position.
        restore_required: this machine stood in for the source; what is here may be newer than what the source has.
        complete: the last mirror completed, and no crash of this machine since.
        ever_complete: a mirror completed once, so that there is something to stand in with and to restore from.
        placement: where it is kept, and through which machines its data comes.
        paused: an operator ordered that nothing is applied for now.
        mirror_stopped: the last mirror was ended on the source before it was complete.
        shares: what the source's file server shares of the set, as the source names its directories.
    """

    number: int
    source: str
    replication_set: ReplicationSet
    restore_required: bool = False
    complete: bool = False
    ever_complete: bool = False
    placement: Placement = Placement()
    paused: bool = False
    mirror_stopped: bool = False
    shares: list[Share] = []


class Replica:
    """A replica and how it is brought forward.

    Args:
        context: the daemon's surroundings.
        record: what is known of it.
        save: makes the changed record durable.
        purpose_restore: the replica is this machine's own data, being restored.

    Attributes:
        restoring: a restoration from it runs.
        stood_in: how many times this machine has begun to stand in with it since the daemon started.
    """

    def __init__(
        self,
        context: Context,
        record: ReplicaRecord,
        save: Callable[[Replica], Awaitable[None]],
        *,
        purpose_restore: bool = False,
    ) -> None:
        self.record = record
        self.purpose_restore = purpose_restore
        self.stream = ""
        self.applied = 0
        self.mirroring = False
        self.overwritten = False
        self.restoring = False
        self.stood_in = 0
        self.lock = asyncio.Lock()
        self._context = context
        self._applying = asyncio.Lock()
        self._save = save
        self._skipped: dict[str, None] = {}
        self._skipped_bytes = 0
        self._overflow = False
        self._told_own = False
        self._listed: tuple[str, list[Entry]] | None = None
        self.place: Place
        self._settle_down(None)

    def _settle_down(self, earlier: Place | None) -> None:
        """Take the place that the record says."""
        record = self.record
        self.place = Place(self._context, record.replication_set, record.placement, self._applying)
        foreign = self.place.path_map.foreign
        self._file_system = FittingFileSystem(
            self.place.files, self.selection.roots, self.key, self._tell_not_kept,
            foreign=foreign, tells_case=record.placement.case_sensitive, selects=self.selection.selects,
        )  # fmt: skip
        self._context.feed.join(self.place.host_files, None if earlier is None else earlier.host_files)

    def _tell_not_kept(self, what: str, path: str) -> None:
        text = f"{self.record.source}: {self.record.replication_set.name}: {what} are not kept here, first of {path}"
        self._context.events.record(EventCode.NOT_KEPT, text)

    @property
    def not_kept(self) -> dict[str, int]:
        """How many times each thing that the volumes here do not keep was left out, since the daemon started."""
        return dict(self._file_system.not_kept)

    @property
    def selection(self) -> Selection:
        """The set's rules, on this machine."""
        return self.place.selection

    def key(self, path: str) -> str:
        """The form in which paths are compared."""
        return self.selection.key(path)

    async def change(self, **fields: bool | ReplicationSet | Placement | list[Share]) -> None:
        """Change the record, durably."""
        earlier, self.record = self.record, msgspec.structs.replace(self.record, **fields)
        if earlier != self.record:
            if (earlier.replication_set, earlier.placement) != (self.record.replication_set, self.record.placement):
                self._settle_down(self.place)
            await self._save(self)

    def begin(self, stream: str) -> None:
        """A new stream follows, from its first element."""
        self.overwritten = self.record.restore_required
        self.stream = stream
        self.applied = 0
        self.mirroring = False
        self._forget_skipped()
        self._told_own = False
        self._file_system.begin()

    def resume(self, stream: str, applied: int, *, mirroring: bool) -> None:
        """The daemon was restarted where ``stream`` had been applied up to ``applied``."""
        self.stream, self.applied, self.mirroring = stream, applied, mirroring
        self._file_system.resume()
        self._overflow = mirroring  # what had been skipped is not known any more: the mirror looks at everything again

    # --- checks on what a peer sends ---

    def check(self, item: Item) -> None:
        """Refuse an element that no source may send.

        Raises:
            ProtocolError: a path outside the roots or malformed, a number out of range.
        """
        body = item.body
        if isinstance(body, MirrorStart | MirrorComplete | MirrorStopped | Settle | Task):
            return
        for path in paths_of(body) if isinstance(body, Operation) else (body.path,):
            self._check_path(path)
        if isinstance(body, Orphans):
            for name in body.names:
                self._check_name(body.path, name)
        check_values(body)

    def _check_name(self, directory: str, name: str) -> None:
        if "/" in name:
            raise ProtocolError(f"{name!r} is no name of a file")
        self._check_path(paths.join(directory, name) if name else directory)

    def _check_path(self, path: str) -> None:
        try:
            paths.check_file(path)
        except PathError as error:
            raise ProtocolError(str(error)) from error
        if not self.selection.within_roots(path):
            raise ProtocolError(f"{path!r} is outside the replication set's roots")

    # --- applying ---

    async def execute(self, items: list[Item], *, repeat: bool = False, asked: bool = True) -> list[AnyMessage]:
        """Apply consecutive elements in order; the answers to the questions among them.

        Args:
            items: of one group, see `groups`.
            repeat: it may have been carried out before, in part.
            asked: somebody waits for answers; otherwise questions are passed over.

        Raises:
            ReplicaDivergedError: an operation failed after the mirror was complete.
            FileSystemError: ``no_space``, or the record could not be saved: the group may be repeated later.
        """
        answers: list[AnyMessage] = []
        operations: list[AnyOperation] = []
        for item in items:
            if not isinstance(item.body, QUESTIONS):
                self._listed = None
            elif not asked:
                continue
            if own := self._own(item.body):
                answers += self._nothing(item, own)
                continue
            if isinstance(item.body, StreamItem):
                await self._flush(operations, repeat=repeat)
                operations = []
                answers += await self._special(item)
            else:
                operations.append(item.body)
        await self._flush(operations, repeat=repeat)
        self.applied = items[-1].sequence
        return answers

    def _own(self, body: Body) -> str:
        """What of this machine's own an element is about, wherever a source may have something of that name."""
        named = paths_of(body) if isinstance(body, Operation) else (getattr(body, "path", ""),)
        return next((path for path in named if path and self.selection.protects(path)), "")

    def _nothing(self, item: Item, own: str) -> list[AnyMessage]:
        """The answer about what is this machine's own: there is nothing; the operator hears of it once a stream."""
        body = item.body
        if isinstance(body, ListRequest):
            return [Listing(item.sequence, [], more=False)]
        if isinstance(body, BlocksRequest):
            return [Blocks(item.sequence, [])]
        if isinstance(body, VolumeRequest):
            return [Volume(item.sequence, Capabilities())]
        if not self._told_own:
            self._told_own = True
            text = f"{self.record.source}: {own} is this machine's own: what the source has there is left out"
            self._context.events.record(EventCode.REPLICATION_ERROR, text)
        return []

    async def _flush(self, operations: list[AnyOperation], *, repeat: bool) -> None:
        if self.mirroring:
            await self._apply_tolerantly(operations)
        elif repeat:
            await self._apply_again(operations)
        else:
            await self._apply_strictly(operations)

    async def _apply_again(self, operations: list[AnyOperation]) -> None:
        """Repeat operations: what was renamed or removed the first time is missing now."""
        begun = 0
        for at, operation in enumerate(operations):
            if isinstance(operation, _TAKING_AWAY):
                await self._apply_strictly(operations[begun:at])
                begun = at + 1 if await self._was_done(operation) else at
        await self._apply_strictly(operations[begun:])

    async def _was_done(self, operation: AnyOperation) -> bool:
        if await self._file_system.stat(operation.path) is not None:
            return False
        if isinstance(operation, Rename) and await self._file_system.stat(operation.new_path) is None:
            if await self._file_system.loses(operation.path):
                return True  # a link that could not be made
            raise ReplicaDivergedError(f"{operation.path} is missing, under its new name {operation.new_path} as well")
        return True

    async def _carry_out(self, operations: list[AnyOperation]) -> None:
        """Apply operations; they survive power loss after `flush` only."""
        await to_the_end(self._file_system.apply(operations, durable=False))

    async def flush(self) -> None:
        """What was applied survives power loss once this returns.

        Raises:
            FileSystemError: a volume could not write; what was applied since the last flush has to be applied again.
        """
        for place in self.place.targets:
            await self.place.host_files.flush(place)

    async def _apply_strictly(self, operations: list[AnyOperation]) -> None:
        for part in _ending_with(operations, (RemoveDirectory,)):
            try:
                await self._carry_out(part)
            except FileSystemError as error:
                if error.code == "no_space":
                    raise
                last = part[-1]
                if not (isinstance(last, RemoveDirectory) and error.code == "not_empty" and error.path == last.path):
                    raise ReplicaDivergedError(str(error)) from error
                # It holds orphans, or files that the rules leave out: they are not the source's to remove.

    async def _apply_tolerantly(self, operations: list[AnyOperation]) -> None:
        """While a mirror runs, operations on what the replica does not have yet are skipped."""
        for part in _apart(operations, _STRUCTURAL):
            try:
                await self._carry_out(part)
            except FileSystemError as error:
                if len(part) == 1:
                    self._skip(part[0], error)
                    continue
                for operation in part:  # nothing in it renames or removes: doing it again changes nothing
                    try:
                        await self._carry_out([operation])
                    except FileSystemError as single:
                        self._skip(operation, single)

    def _skip(self, operation: AnyOperation, error: FileSystemError) -> None:
        if error.code == "no_space":
            raise error
        if isinstance(operation, Rename):
            self._remember(operation.path)
            self._remember(operation.new_path)
        elif isinstance(operation, MakeHardLink):
            self._remember(operation.path)  # where it leads may only be missing so far
        elif error.code != "not_found":
            self._remember(operation.path)

    def _remember(self, path: str) -> None:
        if path in self._skipped:
            return
        self._skipped_bytes += len(path.encode())
        if len(self._skipped) < MAX_SKIPPED and self._skipped_bytes <= MAX_SKIPPED_BYTES:
            self._skipped[path] = None
        else:
            self._overflow = True

    # --- the mirror's elements ---

    async def _special(self, item: Item) -> list[AnyMessage]:
        body = item.body
        if isinstance(body, Settle):
            return [self._settle(item.sequence)]
        if isinstance(body, ListRequest):
            return [await self._list(item.sequence, body)]
        if isinstance(body, BlocksRequest):
            return [await self._blocks(item.sequence, body)]
        if isinstance(body, VolumeRequest):
            return [Volume(item.sequence, await self._file_system.capabilities(body.path))]
        if isinstance(body, Task):
            return [await self.run_task(body)] if body.on == "execute" else []
        await self._change(body)
        return []

    async def _change(self, body: Body) -> None:
        """What needs no answer."""
        if isinstance(body, MirrorStart):
            await self._start_mirror()
        elif isinstance(body, MirrorComplete):
            await self._complete_mirror()
        elif isinstance(body, MirrorStopped):
            await self.change(complete=False, mirror_stopped=True)
        elif isinstance(body, RemoveTree):
            await self._remove_tree(body.path)
        elif isinstance(body, Orphans):
            where = f"{self.record.source}: {self.record.replication_set.name}"
            await OrphanKeeping(self._context, self.place, where).take(body)
            self._file_system.look_again()

    async def run_task(self, task: Task) -> AnyMessage:
        """Run a task of the stream; see `TaskRunner.run_durably`."""
        where = f"{self.record.source}: {self.record.replication_set.name}"
        return await self._context.tasks.run_durably(task, self.record.number, where)

    async def _start_mirror(self) -> None:
        self.mirroring = True
        self._file_system.mirrored_again()
        if self.record.mirror_stopped:
            self._forget_skipped()  # a mirror of everything follows, whatever was skipped until now
        await self.change(complete=False, mirror_stopped=False)
        for place in self.place.targets:
            try:
                await make_directories(self.place.host_files, paths.parent(place))
            except FileSystemError as error:
                if error.code == "no_space":
                    raise
                raise ReplicaDivergedError(str(error)) from error

    async def _complete_mirror(self) -> None:
        self.mirroring = False
        # A source of version 4.1 that mirrored over a stand-in's newer data left nothing to restore.
        still_required = self.record.restore_required and not self.overwritten
        await self.change(complete=True, ever_complete=True, restore_required=still_required)

    def _settle(self, sequence: int) -> Settled:
        answer = Settled(sequence, list(self._skipped), self._overflow)
        self.mirroring = bool(self._skipped) or self._overflow
        self._forget_skipped()
        return answer

    def _forget_skipped(self) -> None:
        self._skipped.clear()
        self._skipped_bytes = 0
        self._overflow = False

    async def _list(self, sequence: int, request: ListRequest) -> Listing:
        entries = await self._find(request)
        listed: list[ListedEntry] = []
        size = hashed = 0
        for entry in entries:
            size += 4 * (len(entry.path) + len(entry.target or "")) + metadata_size(entry.metadata) + 128
            size += sum(4 * len(name) + 16 for name, _ in entry.streams)
            if listed and (size > _PAGE_BYTES or hashed > _PAGE_DIGEST_BYTES):
                return Listing(sequence, listed, more=True)
            digest = b""
            if request.digests and entry.kind == "file" and entry.size <= SMALL_FILE_BYTES:
                digest = await self._digest(entry)
                hashed += entry.size
            streams = await self._streams(entry) if request.digests and entry.streams else b""
            hashed += sum(length for _, length in entry.streams) if streams else 0
            listed.append(ListedEntry(entry, digest, streams))
        if not request.itself:
            self._listed = None
        return Listing(sequence, listed, more=False)

    async def _find(self, request: ListRequest) -> list[Entry]:
        try:
            if request.itself:
                entry = await self._file_system.find(request.path)
                return [] if entry is None else [entry]
            entries = await self._sorted(request)
        except FileSystemError as error:
            if error.code == "not_found":
                return []
            raise ReplicaDivergedError(str(error)) from error
        return entries[bisect_right(entries, request.after, key=lambda entry: paths.name(entry.path)) :]

    async def _sorted(self, request: ListRequest) -> list[Entry]:
        """A directory's entries by name; for a further page those of the first one, if nothing was done in between."""
        if request.after and self._listed is not None and self._listed[0] == request.path:
            return self._listed[1]
        entries = await self._file_system.list_directory(request.path)
        wanted = [entry for entry in entries if not self.selection.replicates_nothing(entry.path)]
        wanted.sort(key=lambda entry: paths.name(entry.path))
        self._listed = (request.path, wanted)
        return wanted

    async def _streams(self, entry: Entry) -> bytes:
        try:
            return await digest_streams(self._file_system, entry)
        except FileSystemError:
            return b"unreadable"

    async def _digest(self, entry: Entry) -> bytes:
        try:
            return await digest_file(self._file_system, entry.path, entry.size)
        except FileSystemError:
            return b""  # unreadable here: the source sends it

    async def _blocks(self, sequence: int, request: BlocksRequest) -> Blocks:
        digests: list[bytes] = []
        try:
            while len(digests) < MAX_BLOCKS:
                offset = (request.first + len(digests)) * BLOCK_BYTES
                data = await self._file_system.read(request.path, offset, BLOCK_BYTES)
                if not data:
                    break
                digests.append(digest_bytes(data))
        except FileSystemError:
            digests.clear()
        return Blocks(sequence, digests)

    async def _remove_tree(self, path: str) -> None:
        """Remove what the rules select at and beneath ``path``, children first."""
        found = [entry] if (entry := await self._file_system.stat(path)) is not None else []
        self._file_system.removed(path)
        order: list[Entry] = []
        while found:
            order.append(each := found.pop())
            if each.kind == "directory" and not self.selection.replicates_nothing(each.path):
                try:
                    found += await self._file_system.list_directory(each.path)
                except FileSystemError as error:
                    raise ReplicaDivergedError(str(error)) from error
        files = [RemoveFile(e.path) for e in order if not e.directory and self.selection.selects(e.path)]
        for at in range(0, len(files), _REMOVE_BATCH):
            await self._remove(list(files[at : at + _REMOVE_BATCH]))
        for each in reversed(order):
            if each.directory and self.selection.replicates(each.path):
                await self._remove([RemoveDirectory(each.path)])

    async def _remove(self, operations: list[AnyOperation]) -> None:
        try:
            await self._carry_out(operations)
        except FileSystemError as error:
            if error.code not in ("not_empty", "not_found"):
                raise ReplicaDivergedError(str(error)) from error


def _ending_with(operations: list[AnyOperation], kinds: tuple[type, ...]) -> list[list[AnyOperation]]:
    """Cut so that an operation of ``kinds`` is always the last of its part."""
    parts: list[list[AnyOperation]] = [[]]
    for operation in operations:
        parts[-1].append(operation)
        if isinstance(operation, kinds):
            parts.append([])
    return [part for part in parts if part]


def _apart(operations: list[AnyOperation], kinds: tuple[type, ...]) -> list[list[AnyOperation]]:
    """Cut so that an operation of ``kinds`` is always alone in its part."""
    parts: list[list[AnyOperation]] = [[]]
    for operation in operations:
        if isinstance(operation, kinds):
            parts += [[operation], []]
        else:
            parts[-1].append(operation)
    return [part for part in parts if part]
