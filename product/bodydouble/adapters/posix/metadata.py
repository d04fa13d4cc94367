"""Owner, group and mode as `Metadata.security`: ``uid:gid:mode`` in decimal, decimal, octal."""

from __future__ import annotations

import os
import re
import stat as modes

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.operations import Entry, Metadata

_SECURITY = re.compile(rb"(\d{1,10}):(\d{1,10}):([0-7]{1,5})")


def metadata_of(status: os.stat_result) -> Metadata:
    """What a file carries besides bytes, name and times; POSIX has no attribute bits."""
    return Metadata(security=b"%d:%d:%o" % (status.st_uid, status.st_gid, modes.S_IMODE(status.st_mode)))


def replicable(status: os.stat_result) -> bool:
    """Whether the product replicates this kind of file: regular files and directories only."""
    return modes.S_ISREG(status.st_mode) or modes.S_ISDIR(status.st_mode)


def entry_of(path: str, status: os.stat_result) -> Entry:
    """The port's view of a file or directory."""
    directory = modes.S_ISDIR(status.st_mode)
    return Entry(path, directory, 0 if directory else status.st_size, status.st_mtime_ns, metadata_of(status))


def set_metadata(fd: int, metadata: Metadata, path: str) -> None:
    """Give an open file or directory its owner, group and mode.

    A security descriptor that is empty (a volume without one) changes nothing.

    Raises:
        FileSystemError: ``denied`` when the descriptor is another platform's.
        OSError: the system refused.
    """
    if not metadata.security:
        return
    match = _SECURITY.fullmatch(metadata.security)
    if match is None:
        raise FileSystemError("denied", path, f"security {metadata.security!r} is not uid:gid:mode")
    uid, gid, mode = int(match[1]), int(match[2]), int(match[3], 8)
    status = os.fstat(fd)
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.fchown(fd, uid, gid)
    # After the owner: changing it drops set-user-ID bits.
    if modes.S_IMODE(os.fstat(fd).st_mode) != mode:
        os.fchmod(fd, mode)
