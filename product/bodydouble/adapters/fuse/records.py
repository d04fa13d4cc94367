"""Records of changes as the filter program writes them into its ring, and the operations that they say.

``product/filter/ring.c`` is the other side. A record is a header of 48 bytes, then the path, a second name, and data:
bytes that were written, or extended attributes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bodydouble.errors import FilterError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.operations import AnyOperation, Extended

HEADER = struct.Struct("<IHHIIQqIIII")
"""Length, kind, root, sizes of path and second name, number, last write, owner, group, mode, size of the data."""
LENGTH = struct.Struct("<IHH")
_SIZE = struct.Struct("<Q")
_ATTRIBUTE = struct.Struct("<HI")
PAD = 0
ALIGN = 8


class RecordError(FilterError):
    """A record in the filter's ring is damaged: what it said, and what follows it, cannot be told."""


class _Record:
    """The parts of one record, cut out of the ring."""

    __slots__ = ("data", "mtime", "number", "path", "roots", "second", "security")

    def __init__(self, view: memoryview, roots: Sequence[str]) -> None:
        _, _, root, path, second, self.number, self.mtime, uid, gid, mode, data = HEADER.unpack_from(view)
        end = HEADER.size + path
        if end + second + data > len(view):
            raise RecordError(f"a record of {len(view)} bytes claims {end + second + data}")
        self.roots = roots
        self.path = self.named(root, str(view[HEADER.size : end], "utf-8"))
        self.second = str(view[end : end + second], "utf-8") if second else ""
        self.data = view[end + second : end + second + data]
        self.security = (uid, gid, mode)

    def named(self, root: int, beneath: str) -> str:
        """A whole path.

        Raises:
            RecordError: there is no such root.
        """
        if root >= len(self.roots):
            raise RecordError(f"a record of root {root}, there are {len(self.roots)}")
        return f"{self.roots[root]}/{beneath}" if beneath else self.roots[root]

    @property
    def other(self) -> str:
        """The other path."""
        return self.named(self.number, self.second)

    @property
    def size(self) -> int:
        """How many bytes are concerned."""
        (size,) = _SIZE.unpack(self.data)
        return int(size)

    @property
    def metadata(self) -> Metadata:
        """Owner, group, mode and extended attributes."""
        return Metadata(security=b"%d:%d:%o" % self.security, extended=_extended(self.data) if self.data else ())


def _extended(data: memoryview) -> Extended:
    found = []
    at = 0
    while at < len(data):
        name_size, value_size = _ATTRIBUTE.unpack_from(data, at)
        at += _ATTRIBUTE.size
        end = at + name_size + value_size
        if end > len(data):
            raise RecordError(f"an extended attribute ends at {end} of {len(data)} bytes")
        found.append((str(data[at : at + name_size], "utf-8"), bytes(data[at + name_size : end])))
        at = end
    return tuple(found)


_KINDS: list[Callable[[_Record], AnyOperation] | None] = [
    None,
    lambda each: MakeDirectory(each.path, each.metadata),
    lambda each: CreateFile(each.path, each.metadata, each.mtime),
    lambda each: Write(each.path, each.number, bytes(each.data), each.mtime),
    lambda each: Truncate(each.path, each.number, each.mtime),
    lambda each: Rename(each.path, each.other),
    lambda each: RemoveFile(each.path),
    lambda each: RemoveDirectory(each.path),
    lambda each: SetMetadata(each.path, each.metadata),
    lambda each: SetTimes(each.path, each.mtime),
    lambda each: MakeHardLink(each.path, each.other),
    lambda each: MakeSymbolicLink(each.path, each.second, each.metadata, each.mtime),
    lambda each: PunchHole(each.path, each.number, each.size, each.mtime),
]


def measure(view: memoryview) -> tuple[int, int]:
    """Length and kind of the record at the beginning of ``view``, which ends where the records end.

    Raises:
        RecordError: it cannot be one.
    """
    if len(view) < LENGTH.size:
        raise RecordError(f"a record in {len(view)} bytes")
    length, kind, _ = LENGTH.unpack_from(view)
    least = LENGTH.size if kind == PAD else HEADER.size
    if length < least or length % ALIGN or length > len(view) or kind >= len(_KINDS):
        raise RecordError(f"a record of kind {kind} and {length} bytes, {len(view)} are left")
    return length, kind


def decode(view: memoryview, roots: Sequence[str]) -> AnyOperation | None:
    """The operation that a record says; None for one that only fills the ring's end.

    Args:
        view: exactly one record, as `measure` found it.
        roots: the protected directories, in the order in which the program knows them.

    Raises:
        RecordError: the record is damaged.
    """
    make = _KINDS[LENGTH.unpack_from(view)[1]]
    if make is None:
        return None
    try:
        operation: AnyOperation = make(_Record(view, roots))
    except (UnicodeDecodeError, struct.error) as error:
        raise RecordError(f"a record of {len(view)} bytes is damaged: {error}") from error
    return operation
