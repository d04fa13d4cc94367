"""What is mounted where, and taking our own mounts away. Blocking; used in pool threads."""

from __future__ import annotations

import errno
import os
import re
import threading
from pathlib import Path

from bodydouble.adapters.posix.backing import DIRECTORY
from bodydouble.adapters.posix.libc import syncfs, unmount
from bodydouble.errors import FilterError

#: The file system type that the filter's mounts show in /proc/mounts.
TYPE = "fuse.bodydouble"
_DEAD = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO}
_DYING_SECONDS = 3.0


def topmost(root: str) -> str | None:
    """File system type of the topmost mount exactly at ``root``, None when nothing is mounted there."""
    found = None
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields, _, tail = line.partition(b" - ")
        if _unescaped(fields.split()[4]) == os.fsencode(root):
            found = tail.split()[0].decode()
    return found


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)


def detach_stale(root: str) -> None:
    """Take away what a crashed predecessor left mounted over ``root``.

    A predecessor that was just killed may still be dying, hence the short patience.

    Raises:
        FilterError: a living filter serves the mount.
        OSError: the system refused.
    """
    patience = threading.Event()
    waited = 0.0
    while topmost(root) == TYPE:
        if _dead(root):
            unmount(root, lazily=True)
        elif waited >= _DYING_SECONDS:
            raise FilterError(f"{root}: another running daemon already filters it; stop that one first")
        else:
            patience.wait(0.1)
            waited += 0.1


def _dead(root: str) -> bool:
    try:
        Path(root).stat()
    except OSError as error:
        return error.errno in _DEAD
    return False


def take_away(root: str) -> None:
    """Unmount our filter; when files are open there, write out what is dirty and detach it from sight.

    The event loop has to serve the mount meanwhile: the kernel writes dirty pages through it.

    Raises:
        OSError: the system refused.
    """
    if topmost(root) != TYPE:
        return
    try:
        unmount(root, lazily=False)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _write_out(root)
        unmount(root, lazily=True)


def _write_out(root: str) -> None:
    fd = os.open(root, DIRECTORY)
    try:
        syncfs(fd)
    finally:
        os.close(fd)
