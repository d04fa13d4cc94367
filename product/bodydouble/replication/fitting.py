"""Fitting: what a replica's volume cannot keep is left out, counted and said once; the rest is applied.

- Permissions, attributes and extended attributes are left out of the operations that carry them.
- A further name of a file becomes a copy of it. A filter reports a change of a file once for each of its names, so the
  copies stay equal.
- A symbolic link is not made; what happens to its name later happens to nothing.
- A hole is zeros that take space. Of a file that is too long, the beginning is kept.
- A name that the volume cannot have is left out. Of names that differ in case only, a volume that ignores case keeps
  the one that is there first. What happens to the other ones happens to nothing until a mirror finds the place free.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.replication.passing import PassingFileSystem
from bodydouble.replication.rules import fold
from bodydouble.replication.spelling import Spelling, Standing
from bodydouble.replication.unplaced import Unplaced
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Entry,
    MakeDirectory,
    MakeHardLink,
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
    Write,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from bodydouble.ports import FileSystem

_EVERYTHING = Capabilities()
_COPY_BYTES = 1024 * 1024
_ON_A_NAME = (Rename, RemoveFile, RemoveDirectory, SetMetadata, SetTimes, StreamOperation)
"""What may happen to the name of a link that was not made."""
_MAKING = (CreateFile, MakeDirectory, MakeSymbolicLink, MakeHardLink)
_NO_PLACE = {"taken": "names that differ in case only", "nameless": "names that the volume cannot have"}
"""What is left out, by how its path stands."""


class FittingFileSystem(PassingFileSystem):
    """A `bodydouble.ports.FileSystem` that makes operations fit what its volumes keep.

    Args:
        files: the replica's.
        roots: its roots; what lies in one of them is taken to be on one volume.
        key: the form in which paths are compared.
        on_first: told of a thing that is not kept for the first time: what, and of which path.
        foreign: the source is another kind of host, whose metadata mean nothing here: it sends none.
        tells_case: names on the source that differ in case only are two.
        selects: whether a file is the source's to remove.

    Attributes:
        not_kept: how many times each thing was left out.
    """

    def __init__(
        self,
        files: FileSystem,
        roots: Sequence[str],
        key: Callable[[str], str],
        on_first: Callable[[str, str], None],
        *,
        foreign: bool,
        tells_case: bool = False,
        selects: Callable[[str], bool] = lambda _path: True,
    ) -> None:
        super().__init__(files)
        self.not_kept: dict[str, int] = {}
        self._tells_case = tells_case
        self._selects = selects
        self._spelling = Spelling(files)
        self._unplaced = Unplaced()
        self._roots = [(key(root), root) for root in roots]
        self._key = key
        self._foreign = foreign
        self._on_first = on_first
        self._told: set[str] = set()
        self._known: dict[str, Capabilities] | None = None
        self._lean = False

    def begin(self) -> None:
        """A new stream: look at the volumes again, and say again what they do not keep."""
        self._known = None
        self._told.clear()
        self.mirrored_again()

    def look_again(self) -> None:
        """Somebody else may have changed names here."""
        self._spelling.forget()

    def mirrored_again(self) -> None:
        """A mirror begins, which brings what was left out as far as it can be here by now."""
        self.look_again()
        self._unplaced.clear()

    def resume(self) -> None:
        """A stream goes on that an earlier daemon had begun to apply: what it left out is not known."""
        self._unplaced.unknown = True

    def removed(self, path: str) -> None:
        """The source has nothing at ``path`` any more."""
        self._unplaced.discard(path)

    # --- the port ---

    async def capabilities(self, path: str) -> Capabilities:
        """See the port."""
        await self._look()
        return self._kept(path)

    async def stat(self, path: str) -> Entry | None:
        """See the port; nothing is where something of another case is."""
        return await self._files.stat(path) if await self._is_there(path) else None

    async def find(self, path: str) -> Entry | None:
        """What is at ``path``, or in its place: its own path is told by the entry."""
        await self._look()
        if self._ignores_case(path):
            return await self._spelling.find(path, self._root(path))
        return await self._files.stat(path)

    @asynccontextmanager
    async def _reading(self, path: str) -> AsyncIterator[None]:
        if not await self._is_there(path):
            raise FileSystemError("not_found", path)
        yield

    async def _is_there(self, path: str) -> bool:
        """Whether what the volume has at ``path``, if anything, is what the source means."""
        await self._look()
        return not self._ignores_case(path) or await self._standing(path) == "there"

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """See the port; ``done`` counts the operations that were given.

        A file that no volume of this kind can hold gets no longer: to wait for space would be to wait for ever.
        """
        begun, skipped = 0, False
        while begun < len(operations) or not operations:
            try:
                await self._apply(operations[begun:], durable=durable)
                break
            except FileSystemError as error:
                error.done += begun
                if error.code != "too_large" or error.done >= len(operations):
                    raise
                await self._leave_short(operations[error.done])
                begun, skipped = error.done + 1, True
        if skipped and durable:
            await self._files.flush(operations[0].path)

    async def _leave_short(self, operation: AnyOperation) -> None:
        self._leave_out("bytes beyond what a file of this volume can have", operation.path)
        if isinstance(operation, Write | Truncate | PunchHole):
            await self._files.apply([SetTimes(operation.path, operation.mtime_ns)], durable=False)

    async def _apply(self, operations: Sequence[AnyOperation], *, durable: bool) -> None:
        await self._look()
        if not self._lean:
            await self._files.apply(operations, durable=durable)
            return
        batch = _Batch(self._files, self._spelling, durable=durable)
        try:
            for number, operation in enumerate(operations):
                batch.number = number
                await self._put(operation, batch)
            batch.number = len(operations)
            await batch.flush()
        except BaseException:
            self.look_again()  # not everything that was noted was carried out
            raise

    async def _put(self, operation: AnyOperation, batch: _Batch) -> None:
        if self._ignores_case(operation.path) and not await self._has_its_place(operation, batch):
            return
        fitted = self._fit(operation)
        if fitted is not None:
            batch.put(fitted)
        else:
            await self._by_what_is_there(operation, batch)

    # --- volumes ---

    async def _look(self) -> None:
        if self._known is None:
            known = {root: await self._ask(path) for root, path in self._roots}
            self._lean = self._foreign or any(self._leaves_out(each) for each in known.values())
            self._known = known

    async def _ask(self, root: str) -> Capabilities:
        try:
            kept = await self._files.capabilities(root)
        except FileSystemError:
            kept = _EVERYTHING  # whatever is wrong with the volume, the operations themselves will say it
        if not self._files.case_sensitive:
            kept = msgspec.structs.replace(kept, case_sensitive=False)
        if self._foreign:
            return msgspec.structs.replace(kept, security=False, attributes=0, extended=())
        if paths.has_drive(root):  # no host with drives has what is not asked of this one
            return msgspec.structs.replace(kept, symbolic_links=True, extended=_EVERYTHING.extended)
        return msgspec.structs.replace(
            kept, attributes=_EVERYTHING.attributes, junctions=True, streams=True, created_grain_ns=1
        )

    def _kept(self, path: str) -> Capabilities:
        key, known = self._key(path), self._known or {}
        return next((kept for root, kept in known.items() if paths.is_beneath(key, root)), _EVERYTHING)

    async def loses(self, path: str) -> bool:
        """Whether what is missing at ``path`` may be what could not be made: a link, or a name that was taken."""
        kept = await self.capabilities(path)
        unplaced = self._ignores_case(path) and self._unplaced.covers(path)
        return unplaced or not (kept.symbolic_links and kept.junctions)

    def _leaves_out(self, kept: Capabilities) -> bool:
        grain = 1 if kept.created_grain_ns else 0
        case_sensitive = kept.case_sensitive or not self._tells_case
        found = msgspec.structs.replace(
            kept, time_grain_ns=1, created_grain_ns=grain, case_sensitive=case_sensitive,
            every_name=True, earliest_ns=_EVERYTHING.earliest_ns, latest_ns=_EVERYTHING.latest_ns,
        )  # fmt: skip
        return found != _EVERYTHING

    # --- names that differ in case only ---

    def _ignores_case(self, path: str) -> bool:
        """Whether names have to be told apart that the volume takes for one."""
        return self._tells_case and not self._kept(path).case_sensitive

    def _root(self, path: str) -> str | None:
        """The root that ``path`` is in, when it is spelled so there."""
        return next((root for _, root in self._roots if paths.is_beneath(path, root)), None)

    async def _standing(self, path: str, batch: _Batch | None = None) -> Standing:
        if not self._kept(path).keeps_name(paths.name(path)):
            return "nameless"
        settle = _Batch(self._files, self._spelling, durable=False).flush if batch is None else batch.flush
        return await self._spelling.standing(path, self._root(path), settle)

    async def _has_its_place(self, operation: AnyOperation, batch: _Batch) -> bool:
        """Whether an operation can be on what it means; if not, what follows for the rest is done."""
        if isinstance(operation, Rename):
            return await self._can_be_renamed(operation, batch)
        if isinstance(operation, MakeHardLink):
            return await self._can_be_linked(operation, batch)
        standing, path = await self._standing(operation.path, batch), operation.path
        if isinstance(operation, RemoveFile | RemoveDirectory):
            missing = standing in _NO_PLACE or (standing != "there" and self._unplaced.covers(path))
            self._unplaced.discard(path)
            return not missing and await self._must_be(standing, path, batch)
        return await self._may_be(standing, operation, batch)

    async def _may_be(self, standing: Standing, operation: AnyOperation, batch: _Batch) -> bool:
        """Whether something is at, or can be made at, the place of its name."""
        path = operation.path
        if standing in _NO_PLACE or (standing == "free" and path in self._unplaced):
            self._leave_out(_NO_PLACE.get(standing, _NO_PLACE["taken"]), path)
            self._unplaced.add(path)
            return False
        makes = standing == "free" and isinstance(operation, _MAKING)
        if standing == "there" or makes or not self._unplaced.covers(path):
            return await self._must_be(standing, path, batch)
        return False

    async def _must_be(self, standing: Standing, path: str, batch: _Batch) -> bool:
        """True, but where the volume would take another directory for the one that is missing."""
        if standing == "nowhere":
            await batch.flush()
            raise FileSystemError("not_found", path, "it, or its directory, is not here", done=batch.number)
        return True

    async def _can_be_linked(self, operation: MakeHardLink, batch: _Batch) -> bool:
        path, existing = operation.path, operation.existing
        standing, other = await self._standing(path, batch), await self._standing(existing, batch)
        if other in _NO_PLACE or (other != "there" and self._unplaced.covers(existing)):
            await self._take_away(path, standing, batch)
            self._unplaced.add(path)
            return False
        await self._must_be(other, existing, batch)
        self._unplaced.discard(path)  # what it named before it names no more
        return await self._may_be(standing, operation, batch)

    async def _can_be_renamed(self, rename: Rename, batch: _Batch) -> bool:
        path, new_path = rename.path, rename.new_path
        old, new = await self._standing(path, batch), await self._standing(new_path, batch)
        missing = old in _NO_PLACE or (old != "there" and self._unplaced.covers(path))
        if not missing:
            await self._must_be("nowhere" if old == "free" and not await self.loses(path) else old, path, batch)
            if new == "nowhere" and not self._unplaced.covers(new_path):
                await self._must_be(new, new_path, batch)
        self._unplaced.move(path, new_path)
        if missing:  # what would come is not here; what it replaced is gone
            await self._take_away(new_path, new, batch)
        elif new in ("there", "free") or _changes_case(rename):
            return True
        else:
            self._leave_out(_NO_PLACE.get(new, _NO_PLACE["taken"]), new_path)
            await self._take_away(path, old, batch)
        self._unplaced.add(new_path)
        return False

    async def _take_away(self, path: str, standing: Standing, batch: _Batch) -> None:
        """Remove what is at ``path`` with all that is beneath, but for what is not the source's."""
        entry = await batch.stat(path) if standing == "there" else None
        if entry is not None:
            await self._take_tree(entry, batch)

    async def _take_tree(self, entry: Entry, batch: _Batch) -> bool:
        """Whether all of it goes."""
        if entry.kind != "directory":
            batch.put([RemoveFile(entry.path)] if self._selects(entry.path) else [])
            return self._selects(entry.path)
        whole = True
        for each in await self._files.list_directory(entry.path):
            whole = await self._take_tree(each, batch) and whole
        batch.put([RemoveDirectory(entry.path)] if whole else [])
        return whole

    # --- fitting ---

    def _leave_out(self, what: str, path: str) -> None:
        self.not_kept[what] = self.not_kept.get(what, 0) + 1
        if what not in self._told:
            self._told.add(what)
            self._on_first(what, path)

    def _fit(self, operation: AnyOperation) -> list[AnyOperation] | None:
        """What is to be done instead; None when that depends on what is there."""
        kept = self._kept(operation.path)
        if isinstance(operation, Write | Truncate):
            return self._within_size(operation, kept)
        if isinstance(operation, PunchHole):
            if operation.size and not kept.holes:
                self._leave_out("holes", operation.path)
            return [operation]
        if isinstance(operation, StreamOperation) and not kept.streams:
            if not isinstance(operation, RemoveStream):
                self._leave_out("named streams", operation.path)
            return []
        if isinstance(operation, MakeHardLink):
            return [operation] if kept.hard_links and kept.symbolic_links and kept.junctions else None
        return None if self._concerns_links(operation, kept) else self._within_metadata(operation, kept)

    @staticmethod
    def _concerns_links(operation: AnyOperation, kept: Capabilities) -> bool:
        """Whether a symbolic link is not made, or was not made and the operation is on its name."""
        if isinstance(operation, MakeSymbolicLink):
            return not (kept.junctions if operation.junction else kept.symbolic_links)
        return isinstance(operation, _ON_A_NAME) and not (kept.symbolic_links and kept.junctions)

    def _within_metadata(self, operation: AnyOperation, kept: Capabilities) -> list[AnyOperation]:
        if not isinstance(operation, MakeDirectory | CreateFile | SetMetadata | MakeSymbolicLink):
            return [operation]
        if not isinstance(operation, SetMetadata) and operation.created_ns and not kept.created_grain_ns:
            self._leave_out("creation times", operation.path)
        fitted = fit_metadata(operation.metadata, kept)
        if self._foreign:
            self._leave_out("permissions and attributes", operation.path)
        if fitted == operation.metadata:
            return [operation]
        for what in _lost(operation.metadata, fitted):
            self._leave_out(what, operation.path)
        return [msgspec.structs.replace(operation, metadata=fitted)]

    def _within_size(self, operation: Write | Truncate, kept: Capabilities) -> list[AnyOperation]:
        most = kept.largest_file
        end = operation.size if isinstance(operation, Truncate) else operation.offset + len(operation.data)
        if end <= most:
            return [operation]
        self._leave_out(f"bytes beyond {most}", operation.path)
        if isinstance(operation, Truncate):
            return [msgspec.structs.replace(operation, size=most)]
        if operation.offset >= most:
            return [SetTimes(operation.path, operation.mtime_ns)]
        return [msgspec.structs.replace(operation, data=operation.data[: most - operation.offset])]

    async def _by_what_is_there(self, operation: AnyOperation, batch: _Batch) -> None:
        if isinstance(operation, MakeHardLink):
            await self._give_name(operation, batch)
        elif isinstance(operation, MakeSymbolicLink):
            self._leave_out("junctions" if operation.junction else "symbolic links", operation.path)
            there = await batch.stat(operation.path)
            batch.put([RemoveDirectory(operation.path)] if there is not None and there.directory else [])
        elif batch.made(operation.path) or await batch.stat(operation.path) is not None:
            batch.put(self._within_metadata(operation, self._kept(operation.path)))
        elif isinstance(operation, Rename):  # of a link that was not made; what it replaced is gone
            there = await batch.stat(operation.new_path)
            batch.put([RemoveFile(operation.new_path)] if there is not None and not there.directory else [])

    async def _give_name(self, operation: MakeHardLink, batch: _Batch) -> None:
        existing, path = await batch.stat(operation.existing), operation.path
        if self._key(path) == self._key(operation.existing):
            return
        if self._kept(path).hard_links and existing is not None:
            batch.put([operation])
        elif existing is not None and existing.kind == "file":
            self._leave_out("hard links", path)
            await self._copy(operation, existing, batch)
        elif await self.loses(operation.existing):  # a further name of a link that was not made
            there = await batch.stat(path)
            batch.put([RemoveFile(path)] if there is not None and not there.directory else [])
        else:
            raise FileSystemError("not_found", operation.existing, "no file to copy", done=batch.number)

    async def _copy(self, operation: MakeHardLink, existing: Entry, batch: _Batch) -> None:
        path = operation.path
        batch.put(
            [
                CreateFile(path, existing.metadata, existing.mtime_ns, existing.created_ns),
                Truncate(path, 0, existing.mtime_ns),
            ]
        )
        batch.put([Truncate(path, existing.size, existing.mtime_ns)])
        for offset in range(0, existing.size, _COPY_BYTES):
            data = await self._files.read(operation.existing, offset, _COPY_BYTES)
            if data.strip(b"\0"):
                batch.put([Write(path, offset, data, existing.mtime_ns)])
                await batch.flush()


def _changes_case(rename: Rename) -> bool:
    """Whether it gives the same thing another spelling only."""
    same_place = paths.parent(rename.path) == paths.parent(rename.new_path)
    return same_place and fold(rename.path) == fold(rename.new_path)


class _Batch:
    """Operations that fit, with the number of the one that each stands for.

    Attributes:
        number: of the operation that is being fitted; what is put stands for it.
    """

    def __init__(self, files: FileSystem, spelling: Spelling, *, durable: bool) -> None:
        self.number = 0
        self._files = files
        self._spelling = spelling
        self._durable = durable
        self._operations: list[AnyOperation] = []
        self._numbers: list[int] = []
        self._made: set[str] = set()

    def put(self, operations: list[AnyOperation]) -> None:
        for operation in operations:
            self._spelling.note(operation)
            if isinstance(operation, CreateFile | MakeDirectory | Write | Truncate):
                self._made.add(operation.path)
            elif not isinstance(operation, SetMetadata | SetTimes | PunchHole):
                self._made.clear()
        self._operations += operations
        self._numbers += [self.number] * len(operations)

    def made(self, path: str) -> bool:
        """Whether what was put leaves something at ``path``."""
        return path in self._made

    async def stat(self, path: str) -> Entry | None:
        """What is at ``path`` after everything that was put."""
        if self._operations:
            await self.flush()
        return await self._files.stat(path)

    async def flush(self) -> None:
        operations, numbers = self._operations, self._numbers
        self._operations, self._numbers = [], []
        self._made.clear()
        if not operations:
            return
        try:
            await self._files.apply(operations, durable=self._durable)
        except FileSystemError as error:
            error.done = numbers[error.done] if error.done < len(numbers) else self.number
            raise


def fit_metadata(metadata: Metadata, kept: Capabilities) -> Metadata:
    """What of it a volume keeps."""
    extended = metadata.extended
    if extended and "" not in kept.extended:
        extended = tuple(each for each in extended if kept.keeps_extended(each[0]))
    return Metadata(metadata.attributes & kept.attributes, metadata.security if kept.security else b"", extended)


def _lost(given: Metadata, fitted: Metadata) -> list[str]:
    lost = ["attributes"] if fitted.attributes != given.attributes else []
    lost += ["permissions"] if fitted.security != given.security else []
    return [*lost, "extended attributes"] if fitted.extended != given.extended else lost
