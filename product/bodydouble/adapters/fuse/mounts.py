"""What is mounted where, and taking our own mounts away. Blocking; used in pool threads."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from bodydouble.adapters.posix.backing import DIRECTORY
from bodydouble.adapters.posix.libc import syncfs, unmount
from bodydouble.adapters.posix.volumes import unescaped

#: The file system type that the filter's mounts show in /proc/mounts.
TYPE = "fuse.bodydouble"
_DEAD = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO}


def topmost(root: str) -> str | None:
    """File system type of the topmost mount exactly at ``root``, None when nothing is mounted there."""
    return _topmost(root)[0]


def served_by(root: str) -> str | None:
    """The name under which the filter program that serves ``root`` listens; None when no filter is mounted there."""
    kind, source = _topmost(root)
    return source if kind == TYPE else None


def _topmost(root: str) -> tuple[str | None, str]:
    found: tuple[str | None, str] = None, ""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields, _, tail = line.partition(b" - ")
        if unescaped(fields.split()[4]) == os.fsencode(root):
            kind, source = tail.split()[:2]
            found = kind.decode(), unescaped(source).decode()
    return found


def is_dead(root: str) -> bool:
    """Whether nobody serves the mount at ``root`` any more."""
    try:
        Path(root).stat()
    except OSError as error:
        return error.errno in _DEAD
    return False


def take_away(root: str) -> None:
    """Unmount our filter; when files are open there, write out what is dirty and detach it from sight.

    The program has to serve the mount meanwhile: the kernel writes dirty pages through it.

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
