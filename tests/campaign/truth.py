"""Whether an operation says what a volume has: carried out on an equal volume, it would change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    StreamOperation,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)

if TYPE_CHECKING:
    from bodydouble.vocabulary.operations import AnyOperation, Entry
    from bodydouble_sim.storage.volume import Volume

_KINDS = {
    CreateFile: "file", Write: "file", Truncate: "file", PunchHole: "file", MakeHardLink: "file",
    MakeDirectory: "directory", MakeSymbolicLink: "link",
}  # fmt: skip


def untrue(operation: AnyOperation, volume: Volume) -> str:
    """What about ``operation`` is not so on ``volume``, in words; empty when it says what is there.

    Of renames and removals nobody can say it afterwards: they count as untrue, a mirror sends none. A rename that
    changes nothing but the case of a name is true where it is called so.
    """
    if isinstance(operation, Rename) and operation.path.upper() == operation.new_path.upper():
        named = volume.stat(operation.new_path)
        return "" if named is not None and named.path == operation.new_path else "nothing is called so"
    entry = volume.stat(operation.path)
    if entry is None:
        return "nothing is there"
    wanted = _KINDS.get(type(operation))
    if wanted is not None and entry.kind != wanted:
        return f"a {entry.kind} is there"
    if isinstance(operation, StreamOperation):
        return _untrue_stream(operation, entry, volume)
    return (
        _untrue_names(operation, entry, volume)
        or _untrue_attributes(operation, entry)
        or _untrue_bytes(operation, entry, volume)
    )


def _untrue_names(operation: AnyOperation, entry: Entry, volume: Volume) -> str:
    if isinstance(operation, Rename | RemoveFile | RemoveDirectory):
        return "a mirror renames and removes nothing by itself"
    if isinstance(operation, MakeSymbolicLink) and operation.target != entry.target:
        return f"it leads to {entry.target}"
    if isinstance(operation, MakeHardLink):
        other = volume.stat(operation.existing)
        if other is None or not entry.identity or entry.identity != other.identity:
            return f"{operation.existing} is another file"
    return ""


def _untrue_attributes(operation: AnyOperation, entry: Entry) -> str:
    if (
        isinstance(operation, CreateFile | MakeDirectory | SetMetadata | MakeSymbolicLink)
        and operation.metadata != entry.metadata
    ):
        return f"{entry.metadata}, queued was {operation.metadata}"
    created = getattr(operation, "created_ns", 0)
    if created and created != entry.created_ns:
        return f"created {entry.created_ns}, queued was {created}"
    mtime = getattr(operation, "mtime_ns", entry.mtime_ns)
    return f"last write {entry.mtime_ns}, queued was {mtime}" if mtime != entry.mtime_ns else ""


def _untrue_bytes(operation: AnyOperation, entry: Entry, volume: Volume) -> str:
    if isinstance(operation, Truncate) and operation.size != entry.size:
        return f"{entry.size} bytes, queued were {operation.size}"
    if isinstance(operation, Write):
        there = volume.read(operation.path, operation.offset, len(operation.data))
        return "" if there == operation.data else f"other bytes at {operation.offset}"
    if isinstance(operation, PunchHole):
        there = volume.read(operation.path, operation.offset, operation.size)
        return f"bytes where a hole was queued, at {operation.offset}" if there.strip(b"\0") else ""
    return ""


def _untrue_stream(operation: StreamOperation, entry: Entry, volume: Volume) -> str:
    sizes = {name.upper(): size for name, size in entry.streams}
    size = sizes.get(operation.stream.upper())
    if isinstance(operation, RemoveStream):
        gone = size is None if operation.stream else not sizes
        return "" if gone else "the stream is there"
    if size is None:
        return "there is no such stream"
    if isinstance(operation, TruncateStream) and operation.size != size:
        return f"{size} bytes, queued were {operation.size}"
    if isinstance(operation, WriteStream):
        place = f"{operation.path}:{operation.stream}"
        there = volume.read(place, operation.offset, len(operation.data))
        return "" if there == operation.data else f"other bytes of the stream at {operation.offset}"
    assert isinstance(operation, MakeStream | TruncateStream)
    return ""
