"""Views: a host's files under the names that a stream has for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError, PathError
from bodydouble.replication.mapping import within
from bodydouble.replication.rules import fold, same
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Entry,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    Rename,
    SetMetadata,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from bodydouble.ports import FileFilter, FileSystem, FilterAttachment, Lost, ResumedAttachment, Sink
    from bodydouble.replication.mapping import PathMap
    from bodydouble.vocabulary.capabilities import Capabilities

_PLAIN = Metadata()


class MappedFileSystem:
    """A `bodydouble.ports.FileSystem` that shows what `PathMap` places elsewhere under its names on the source.

    What is in no root of the set cannot be reached.

    Args:
        files: the host's.
        path_map: where things are.
        plain: neither show nor change metadata, because the other host's means nothing here.
    """

    def __init__(self, files: FileSystem, path_map: PathMap, *, plain: bool) -> None:
        self._files = files
        self._map = path_map
        self._plain = plain

    @property
    def case_sensitive(self) -> bool:
        """As the host's volumes are."""
        return self._files.case_sensitive

    async def list_directory(self, path: str) -> list[Entry]:
        """See the port."""
        with self._renaming():
            entries = await self._files.list_directory(self._there(path))
        return [self._seen(entry, within(path, paths.name(entry.path))) for entry in entries]

    async def stat(self, path: str) -> Entry | None:
        """See the port; nothing is where no root is."""
        if self._map.there(path) is None:
            return None
        with self._renaming():
            entry = await self._files.stat(self._there(path))
        return None if entry is None else self._seen(entry, path)

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        """See the port."""
        with self._renaming():
            return await self._files.read(self._there(path), offset, size, stream)

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """See the port."""
        with self._renaming():
            return await self._files.find_data(self._there(path), offset)

    async def capabilities(self, path: str) -> Capabilities:
        """See the port."""
        with self._renaming():
            return await self._files.capabilities(self._there(path))

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """See the port."""
        moved = [_renamed(operation, self._there, plain=self._plain) for operation in operations]
        with self._renaming():
            await self._files.apply(moved, durable=durable)

    async def flush(self, path: str) -> None:
        """See the port."""
        with self._renaming():
            await self._files.flush(self._there(path))

    async def free_space(self, path: str) -> int:
        """See the port."""
        with self._renaming():
            return await self._files.free_space(self._there(path))

    def _there(self, path: str) -> str:
        place = self._map.there(path)
        if place is None:
            raise FileSystemError("denied", path, "in no root of the replication set")
        try:
            paths.check_file(place)
        except PathError as error:
            raise FileSystemError("io", path, f"mapped to a path that cannot be: {error}") from error
        return place

    def _seen(self, entry: Entry, path: str) -> Entry:
        metadata = _PLAIN if self._plain else entry.metadata
        return msgspec.structs.replace(entry, path=path, metadata=metadata)

    @contextmanager
    def _renaming(self) -> Iterator[None]:
        """Errors of the host, under the names that the stream has."""
        try:
            yield
        except FileSystemError as error:
            path = self._map.here(error.path, same if self.case_sensitive else fold)
            raise FileSystemError(error.code, path or error.path, error.detail, done=error.done) from error


class MappedFilter:
    """A `bodydouble.ports.FileFilter` that reports changes under their names on the source; see `MappedFileSystem`."""

    def __init__(self, file_filter: FileFilter, path_map: PathMap, *, case_sensitive: bool, plain: bool) -> None:
        self._filter = file_filter
        self._map = path_map
        self._plain = plain
        self._key = same if case_sensitive else fold

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> FilterAttachment:
        """See the port."""
        return await self._filter.attach(self._place(root), self._naming(sink), lost)

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> ResumedAttachment:
        """See the port."""
        named = {self._place(root): self._naming(sink) for root, sink in sinks.items()}
        return self._filter.resume(position, named, lost)

    def notes(self, name: str) -> memoryview | None:
        """See the port."""
        return self._filter.notes(name)

    def keep_notes(self, names: Collection[str]) -> None:
        """See the port."""
        self._filter.keep_notes(names)

    def _place(self, root: str) -> str:
        place = self._map.there(root)
        assert place is not None, "only roots of the set are watched"
        return place

    def _naming(self, sink: Sink) -> Sink:
        return lambda operation: sink(_renamed(operation, self._name, plain=self._plain))

    async def settled(self) -> None:
        """See the port."""
        await self._filter.settled()

    def _name(self, place: str) -> str:
        """The source's name; what is outside of the replica gets a name that no rule can select."""
        return place if self._map.one_to_one else self._map.here(place, self._key) or OUTSIDE


OUTSIDE = "/\x00"
"""Contains what no path may contain, so that no rule selects it and no target is told of it."""


def _renamed(operation: AnyOperation, name: Callable[[str], str], *, plain: bool) -> AnyOperation:
    """The operation under other names; ``plain`` without metadata."""
    fields: dict[str, str | Metadata] = {"path": name(operation.path)}
    if isinstance(operation, Rename):
        fields["new_path"] = name(operation.new_path)
    elif isinstance(operation, MakeHardLink):
        fields["existing"] = name(operation.existing)
    if plain and isinstance(operation, MakeDirectory | CreateFile | MakeSymbolicLink | SetMetadata):
        fields["metadata"] = _PLAIN
    return msgspec.structs.replace(operation, **fields)
