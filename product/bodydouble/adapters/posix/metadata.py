"""Metadata of POSIX files; owner, group and mode are its ``security``: ``uid:gid:mode`` in decimal, decimal, octal."""

from __future__ import annotations

import os
import re
import stat as modes

from bodydouble.adapters.posix.extended import Place, drop_extended, place_in, read_extended, write_extended
from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import HOLE_BYTES, Entry, Metadata

_MAX_ID = 2**32 - 2
"""The number after it means "leave it as it is" to the system."""
_ALL_BITS = 0o7777
_BLOCK = 512
"""What stat(2) counts space in."""
_SECURITY = re.compile(rb"(\d{1,10}):(\d{1,10}):([0-7]{1,5})")


def metadata_of(status: os.stat_result, place: Place) -> Metadata:
    """What a file carries besides bytes, name and times; POSIX has no attribute bits.

    Raises:
        OSError: the extended attributes cannot be read.
    """
    security = b"%d:%d:%o" % (status.st_uid, status.st_gid, modes.S_IMODE(status.st_mode))
    return Metadata(security=security, extended=read_extended(place))


def replicable(status: os.stat_result) -> bool:
    """Whether the product replicates this kind of file: regular files, directories and symbolic links."""
    return modes.S_ISREG(status.st_mode) or modes.S_ISDIR(status.st_mode) or modes.S_ISLNK(status.st_mode)


def entry_of(path: str, status: os.stat_result, place: Place, target: str | None = None) -> Entry:
    """The port's view of a file, directory or (with its target) symbolic link.

    Raises:
        OSError: the extended attributes cannot be read.
    """
    directory = modes.S_ISDIR(status.st_mode)
    size = status.st_size if modes.S_ISREG(status.st_mode) else 0
    links = 1 if directory else status.st_nlink
    identity = f"{status.st_dev:x}:{status.st_ino:x}" if links > 1 else ""
    sparse = size - _BLOCK * status.st_blocks >= HOLE_BYTES
    metadata = metadata_of(status, place)
    return Entry(path, directory, size, status.st_mtime_ns, metadata, target, identity, links, sparse)


def set_metadata(fd: int, metadata: Metadata, path: str) -> None:
    """Give an open file or directory its owner, group, mode and extended attributes.

    A security descriptor that is empty (a volume without one) changes nothing.

    Raises:
        FileSystemError: ``denied`` when the descriptor is another platform's.
        OSError: the system refused.
    """
    owner = _owner_and_mode(metadata, path)
    if owner is None:
        return
    uid, gid, mode = owner
    status = os.fstat(fd)
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.fchown(fd, uid, gid)
    # After the owner: changing it drops set-user-ID bits and capabilities. An access list that goes takes its part of
    # the mode with it, one that comes brings the mode along that it was read with.
    drop_extended(fd, metadata.extended)
    if modes.S_IMODE(os.fstat(fd).st_mode) != mode:
        os.fchmod(fd, mode)
    write_extended(fd, metadata.extended)


def set_link_metadata(name: str, directory: int, metadata: Metadata, path: str) -> None:
    """Give the symbolic link ``name`` in an open directory its owner, group and extended attributes; it has no mode.

    Raises:
        FileSystemError, OSError: as `set_metadata`.
    """
    owner = _owner_and_mode(metadata, path)
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if owner is not None and (status.st_uid, status.st_gid) != owner[:2]:
        os.chown(name, owner[0], owner[1], dir_fd=directory, follow_symlinks=False)
    if owner is not None:
        place = place_in(directory, name)
        drop_extended(place, metadata.extended)
        write_extended(place, metadata.extended)


def _owner_and_mode(metadata: Metadata, path: str) -> tuple[int, int, int] | None:
    if not metadata.security:
        return None
    match = _SECURITY.fullmatch(metadata.security)
    if match is None:
        raise FileSystemError("denied", path, f"security {metadata.security!r} is not uid:gid:mode")
    uid, gid, mode = int(match[1]), int(match[2]), int(match[3], 8)
    if max(uid, gid) > _MAX_ID or mode > _ALL_BITS:
        raise FileSystemError("denied", path, f"security {metadata.security!r} is out of range")
    return uid, gid, mode
