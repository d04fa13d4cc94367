"""How two entries of source and target are compared. Pure, but for digests, which are read in blocks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bodydouble.replication.fitting import fit_metadata
from bodydouble.replication.protocol import BLOCK_BYTES

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import Entry

MAX_STREAM_BYTES = 16 * 1024 * 1024
"""Longer streams of one file are compared by their names and lengths only."""
_TIME_GRAIN_NS = 100
"""NTFS keeps times in units of 100 ns; finer differences between two hosts mean nothing."""


def same_time(here: Entry, there: Entry, kept: Capabilities) -> bool:
    """Whether both were last written at the same moment, as far as the volumes keep it."""
    return abs(_written(here, kept) - _written(there, kept)) < _grain(kept)


def is_newer(here: Entry, there: Entry, kept: Capabilities) -> bool:
    """Whether ``here`` was written later than ``there``."""
    return _written(here, kept) - _written(there, kept) >= _grain(kept)


def _written(entry: Entry, kept: Capabilities) -> int:
    """When it was last written, as far as the volumes can say."""
    return min(max(entry.mtime_ns, kept.earliest_ns), kept.latest_ns)


def _grain(kept: Capabilities) -> int:
    return max(_TIME_GRAIN_NS, kept.time_grain_ns)


def same_metadata(here: Entry, there: Entry, kept: Capabilities) -> bool:
    """Whether both have the same metadata, as far as the volumes keep them."""
    return here.metadata == there.metadata or fit_metadata(here.metadata, kept) == fit_metadata(there.metadata, kept)


def same_created(here: Entry, there: Entry, kept: Capabilities) -> bool:
    """Whether both were created at the same moment, as far as the volumes keep it."""
    grain = max(_TIME_GRAIN_NS, kept.created_grain_ns)
    return not kept.created_grain_ns or abs(here.created_ns - there.created_ns) < grain


def same_attributes(here: Entry, there: Entry, kept: Capabilities) -> bool:
    """Whether both have the same metadata and creation time."""
    return same_metadata(here, there, kept) and same_created(here, there, kept)


def keeps_link(entry: Entry, kept: Capabilities) -> bool:
    """Whether the volumes keep a symbolic link like ``entry``."""
    return kept.junctions if entry.directory else kept.symbolic_links


def same_link(here: Entry, there: Entry, kept: Capabilities) -> bool:
    """Whether two symbolic links are the same."""
    same_kind = (here.target, here.directory) == (there.target, there.directory)
    return same_kind and same_time(here, there, kept) and same_attributes(here, there, kept)


def difference(here: Entry, there: Entry, kept: Capabilities, *, times: bool = True) -> str:
    """What tells two entries of one path apart, without their bytes, in words; empty when nothing does.

    What one of the volumes cannot keep (``kept``: what both can) is no difference, nor are ``times`` if they do not
    count: those of a directory change with what is inside.
    """
    if (here.kind, here.directory) != (there.kind, there.directory):
        return f"a {here.kind}, on the target a {there.kind}"
    found: list[str] = []
    if here.target != there.target:
        found.append(f"leads to {here.target}, on the target to {there.target}")
    if here.size != there.size and not here.directory:
        found.append(f"size {here.size}, on the target {there.size}")
    if times and not same_time(here, there, kept):
        found.append("last write")
    if not same_created(here, there, kept):
        found.append("creation time")
    mine, theirs = fit_metadata(here.metadata, kept), fit_metadata(there.metadata, kept)
    if mine.attributes != theirs.attributes:
        found.append("attributes")
    if mine.security != theirs.security:
        found.append("security")
    if mine.extended != theirs.extended:
        found.append("extended attributes")
    if kept.streams and here.streams != there.streams:
        found.append("named streams")
    return ", ".join(found)


def digest_bytes(data: bytes) -> bytes:
    """The digest that source and target compare."""
    return hashlib.blake2b(data, digest_size=16).digest()


async def digest_streams(file_system: FileSystem, entry: Entry) -> bytes:
    """A digest of all named streams of a file, with their names; empty when they are too long to be compared.

    Raises:
        FileSystemError: they cannot be read.
    """
    if not entry.streams or sum(size for _, size in entry.streams) > MAX_STREAM_BYTES:
        return b""
    digest = hashlib.blake2b(digest_size=16)
    for name, size in entry.streams:
        digest.update(f"{name}:{size}:".encode())
        for offset in range(0, size, BLOCK_BYTES):
            digest.update(await file_system.read(entry.path, offset, BLOCK_BYTES, name))
    return digest.digest()


async def digest_file(file_system: FileSystem, path: str, size: int) -> bytes:
    """The digest of a whole file, read in blocks.

    Raises:
        FileSystemError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for offset in range(0, size, BLOCK_BYTES):
        digest.update(await file_system.read(path, offset, BLOCK_BYTES))
    return digest.digest()
