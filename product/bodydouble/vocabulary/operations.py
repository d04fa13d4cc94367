"""Operations: one change each to a protected file system, with the bytes it carries.

Paths are in *product form*: absolute, ``/`` as the only separator, no ``.`` or ``..`` components, no trailing slash;
on Windows they start with a drive (``C:/InetPub/wwwroot``), elsewhere with ``/``. `bodydouble.vocabulary.paths` holds
the rules. Times are integer nanoseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["file", "directory", "link"]

Extended = tuple[tuple[str, bytes], ...]
"""Extended attributes: names with values, sorted by name."""

MAX_TARGET_CHARACTERS = 4096
MAX_STREAMS = 256
HOLE_BYTES = 64 * 1024
"""Bytes without space from which a file counts as sparse: smaller savings say more about a volume than about a file."""
MAX_EXTENDED_BYTES = 256 * 1024
"""Names and values of one file's extended attributes together, at most."""


class Metadata(msgspec.Struct, frozen=True, array_like=True):
    """What a file or directory carries besides its bytes, its name and its times.

    Attributes:
        attributes: Windows file attribute bits that are replicated (READONLY 1, HIDDEN 2, SYSTEM 4, ARCHIVE 32);
            0 where the file system has none.
        security: the security descriptor in the host's own encoding, opaque to the product (POSIX: ``uid:gid:mode``
            in decimal, decimal, octal). Empty where the file system has none: a file that gets it keeps the security
            that it has, a new one gets what its volume gives to new files.
        extended: extended attributes, on POSIX hosts access control lists among them; empty where there are none.
    """

    attributes: int = 0
    security: bytes = b""
    extended: Extended = ()


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A file, directory or symbolic link as a file system shows it.

    Attributes:
        path: product form.
        directory: True for a directory, and for a junction, which is a symbolic link that Windows shows as one.
        size: length in bytes; 0 for a directory and for a link.
        mtime_ns: last write, nanoseconds since 1970 UTC.
        metadata: attributes and security.
        target: where a symbolic link leads, as it was given; None for everything else.
        identity: equal for the names of one file on one volume as long as it has several; empty when it has one.
        links: how many names the file has on the volume.
        sparse: the file has holes: at least `HOLE_BYTES` of its length take no space on the volume.
        created_ns: when it was created, where the volume lets the product set that; 0 elsewhere.
        streams: names and lengths of its named streams, sorted by name; the first `MAX_STREAMS`.
    """

    path: str
    directory: bool
    size: int
    mtime_ns: int
    metadata: Metadata
    target: str | None = None
    identity: str = ""
    links: int = 1
    sparse: bool = False
    streams: tuple[tuple[str, int], ...] = ()
    created_ns: int = 0

    @property
    def kind(self) -> Kind:
        """What it is; a symbolic link is never looked through."""
        if self.target is not None:
            return "link"
        return "directory" if self.directory else "file"


class Operation(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all operations; ``path`` is what is changed."""

    path: str


class MakeDirectory(Operation, frozen=True, tag="mkdir"):
    """Make a directory; its parent exists. An existing directory only takes the metadata, and the creation time."""

    metadata: Metadata
    created_ns: int = 0
    """When it was created; 0: not known, and left to the volume."""


class CreateFile(Operation, frozen=True, tag="create"):
    """Create an empty file; its parent exists. An existing file keeps its bytes and takes metadata and times."""

    metadata: Metadata
    mtime_ns: int
    created_ns: int = 0
    """See `MakeDirectory`."""


class Write(Operation, frozen=True, tag="write"):
    """Write ``data`` at ``offset``; a gap before it reads as zeros. ``mtime_ns`` is the file's last write after it."""

    offset: int
    data: bytes
    mtime_ns: int


class Truncate(Operation, frozen=True, tag="truncate"):
    """Set the file's length to ``size`` bytes, dropping the tail or adding zeros."""

    size: int
    mtime_ns: int


class PunchHole(Operation, frozen=True, tag="punch"):
    """Make ``size`` bytes from ``offset`` read as zeros and give their space back where the volume can.

    The length stays: what lies beyond the end is not there. With ``size`` 0 the file only becomes one that may have
    holes, where the volume makes a difference.
    """

    offset: int
    size: int
    mtime_ns: int


class Rename(Operation, frozen=True, tag="rename"):
    """Rename a file or directory; an existing file (or empty directory) at ``new_path`` is replaced atomically."""

    new_path: str


class RemoveFile(Operation, frozen=True, tag="remove"):
    """Remove a name of a file, or a symbolic link."""


class RemoveDirectory(Operation, frozen=True, tag="rmdir"):
    """Remove an empty directory, or a junction."""


class SetMetadata(Operation, frozen=True, tag="metadata"):
    """Replace the attributes, security and extended attributes of a file or directory."""

    metadata: Metadata


class SetTimes(Operation, frozen=True, tag="times"):
    """Set the last-write time of a file or directory, and with ``created_ns`` its creation time."""

    mtime_ns: int
    created_ns: int = 0


class MakeHardLink(Operation, frozen=True, tag="hardlink"):
    """Give the file (or symbolic link) at ``existing`` the further name ``path``.

    Another file at ``path`` loses that name; when both are one file already, nothing happens.
    """

    existing: str


class MakeSymbolicLink(Operation, frozen=True, tag="symlink"):
    """Make a symbolic link that leads to ``target``, which is text and need not lead anywhere.

    A symbolic link at ``path`` is replaced; a ``junction`` also takes the place of an empty directory.
    """

    target: str
    metadata: Metadata
    mtime_ns: int
    junction: bool = False
    created_ns: int = 0
    """See `MakeDirectory`."""


class StreamOperation(Operation, frozen=True):
    """Base of what is done to a named stream of the file or directory at ``path``; its times stay as they are."""

    stream: str


class MakeStream(StreamOperation, frozen=True, tag="stream"):
    """Make an empty stream; an existing one loses its bytes."""


class WriteStream(StreamOperation, frozen=True, tag="stream-write"):
    """Write ``data`` at ``offset`` of a stream; a gap before it reads as zeros."""

    offset: int
    data: bytes


class TruncateStream(StreamOperation, frozen=True, tag="stream-truncate"):
    """Set a stream's length to ``size`` bytes, dropping the tail or adding zeros."""

    size: int


class RemoveStream(StreamOperation, frozen=True, tag="stream-remove"):
    """Remove a stream, or all of them when ``stream`` is empty; one that is not there needs no removing."""


AnyOperation = (
    MakeDirectory
    | CreateFile
    | Write
    | Truncate
    | PunchHole
    | Rename
    | RemoveFile
    | RemoveDirectory
    | SetMetadata
    | SetTimes
    | MakeHardLink
    | MakeSymbolicLink
    | MakeStream
    | WriteStream
    | TruncateStream
    | RemoveStream
)


def paths_of(operation: Operation) -> tuple[str, ...]:
    """Every path that ``operation`` names: what is changed, then a rename's new name or a hard link's other name."""
    if isinstance(operation, Rename):
        return operation.path, operation.new_path
    if isinstance(operation, MakeHardLink):
        return operation.path, operation.existing
    return (operation.path,)


def changes_names(operation: Operation) -> bool:
    """Whether ``operation`` changes which names there are, rather than the file that a name means."""
    return isinstance(
        operation, MakeDirectory | Rename | RemoveFile | RemoveDirectory | MakeHardLink | MakeSymbolicLink
    )


def payload_size(operation: Operation) -> int:
    """Bytes that ``operation`` weighs in a queue: its data and metadata plus a fixed 256 for the objects themselves."""
    if isinstance(operation, Write | WriteStream):
        return 256 + len(operation.data)
    if isinstance(operation, MakeDirectory | CreateFile | SetMetadata | MakeSymbolicLink):
        return 256 + metadata_size(operation.metadata)
    return 256


def metadata_size(metadata: Metadata) -> int:
    """Bytes of security and extended attributes, names included."""
    return len(metadata.security) + sum(len(name) + len(value) for name, value in metadata.extended)
