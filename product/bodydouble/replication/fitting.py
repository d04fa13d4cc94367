"""Fitting: what a replica's volume cannot keep is left out, counted and said once; the rest is applied.

- Permissions, attributes and extended attributes are left out of the operations that carry them.
- A further name of a file becomes a copy of it. A filter reports a change of a file once for each of its names, so the
  copies stay equal.
- A symbolic link is not made; what happens to its name later happens to nothing.
- A hole is zeros that take space. Of a file that is too long, the beginning is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.replication.passing import PassingFileSystem
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
    from collections.abc import Callable, Sequence

    from bodydouble.ports import FileSystem

_EVERYTHING = Capabilities()
_COPY_BYTES = 1024 * 1024
_ON_A_NAME = (Rename, RemoveFile, RemoveDirectory, SetMetadata, SetTimes, StreamOperation)
"""What may happen to the name of a link that was not made."""


class FittingFileSystem(PassingFileSystem):
    """A `bodydouble.ports.FileSystem` that makes operations fit what its volumes keep.

    Args:
        files: the replica's.
        roots: its roots; what lies in one of them is taken to be on one volume.
        key: the form in which paths are compared.
        foreign: the source is another kind of host, whose metadata mean nothing here: it sends none.
        on_first: told of a thing that is not kept for the first time: what, and of which path.

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
    ) -> None:
        super().__init__(files)
        self.not_kept: dict[str, int] = {}
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

    # --- the port ---

    async def capabilities(self, path: str) -> Capabilities:
        """See the port."""
        await self._look()
        return self._kept(path)

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
        batch = _Batch(self._files, durable=durable)
        for number, operation in enumerate(operations):
            batch.number = number
            fitted = self._fit(operation)
            if fitted is not None:
                batch.put(fitted)
            else:
                await self._by_what_is_there(operation, batch)
        batch.number = len(operations)
        await batch.flush()

    # --- volumes ---

    async def _look(self) -> None:
        if self._known is None:
            known = {root: await self._ask(path) for root, path in self._roots}
            self._lean = self._foreign or any(_leaves_out(each) for each in known.values())
            self._known = known

    async def _ask(self, root: str) -> Capabilities:
        try:
            kept = await self._files.capabilities(root)
        except FileSystemError:
            return _EVERYTHING  # whatever is wrong with the volume, the operations themselves will say it
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
        """Whether what is missing at ``path`` may be a link that could not be made."""
        kept = await self.capabilities(path)
        return not (kept.symbolic_links and kept.junctions)

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
        if isinstance(operation, MakeDirectory | CreateFile) and operation.created_ns and not kept.created_grain_ns:
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


def _leaves_out(kept: Capabilities) -> bool:
    grain = 1 if kept.created_grain_ns else 0
    return msgspec.structs.replace(kept, time_grain_ns=1, created_grain_ns=grain) != _EVERYTHING


class _Batch:
    """Operations that fit, with the number of the one that each stands for.

    Attributes:
        number: of the operation that is being fitted; what is put stands for it.
    """

    def __init__(self, files: FileSystem, *, durable: bool) -> None:
        self.number = 0
        self._files = files
        self._durable = durable
        self._operations: list[AnyOperation] = []
        self._numbers: list[int] = []
        self._made: set[str] = set()

    def put(self, operations: list[AnyOperation]) -> None:
        for operation in operations:
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
