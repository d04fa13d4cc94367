"""How two entries of source and target are compared. Pure, but for digests, which are read in blocks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bodydouble.replication.protocol import BLOCK_BYTES

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem
    from bodydouble.vocabulary.operations import Entry

_TIME_GRAIN_NS = 100
"""NTFS keeps times in units of 100 ns; finer differences between two hosts mean nothing."""


def same_time(here: Entry, there: Entry) -> bool:
    """Whether both were last written at the same moment."""
    return _grains(here) == _grains(there)


def is_newer(here: Entry, there: Entry) -> bool:
    """Whether ``here`` was written later than ``there``."""
    return _grains(here) > _grains(there)


def _grains(entry: Entry) -> int:
    return entry.mtime_ns // _TIME_GRAIN_NS


def difference(here: Entry, there: Entry) -> str:
    """What tells two entries of one path apart, without their bytes, in words; empty when nothing does.

    The times of directories say nothing: they change with what is inside and are not replicated.
    """
    if (here.kind, here.directory) != (there.kind, there.directory):
        return f"a {here.kind}, on the target a {there.kind}"
    found: list[str] = []
    if here.target != there.target:
        found.append(f"leads to {here.target}, on the target to {there.target}")
    if here.size != there.size and not here.directory:
        found.append(f"size {here.size}, on the target {there.size}")
    if not here.directory and not same_time(here, there):
        found.append("last write")
    if here.metadata.attributes != there.metadata.attributes:
        found.append("attributes")
    if here.metadata.security != there.metadata.security:
        found.append("security")
    if here.metadata.extended != there.metadata.extended:
        found.append("extended attributes")
    return ", ".join(found)


def digest_bytes(data: bytes) -> bytes:
    """The digest that source and target compare."""
    return hashlib.blake2b(data, digest_size=16).digest()


async def digest_file(file_system: FileSystem, path: str, size: int) -> bytes:
    """The digest of a whole file, read in blocks.

    Raises:
        FileSystemError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for offset in range(0, size, BLOCK_BYTES):
        digest.update(await file_system.read(path, offset, BLOCK_BYTES))
    return digest.digest()
