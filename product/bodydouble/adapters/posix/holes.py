"""Holes: ranges of a file that read as zeros and take no space."""

from __future__ import annotations

import errno
import os

from bodydouble.adapters.posix.libc import punch_hole

_NO_HOLES = (errno.EOPNOTSUPP, errno.ENOSYS)
_ZEROS = bytes(64 * 1024)


def punch(fd: int, offset: int, size: int) -> None:
    """Make what of a range lies within the file's length read as zeros, without space where the volume can.

    Raises:
        OSError: the system refused.
    """
    end = min(offset + size, os.fstat(fd).st_size)
    if offset >= end:
        return
    try:
        punch_hole(fd, offset, end - offset)
    except OSError as error:
        if error.errno not in _NO_HOLES:
            raise
        _fill(fd, offset, end)


def _fill(fd: int, offset: int, end: int) -> None:
    """The same on a volume without holes."""
    while offset < end:
        offset += os.pwrite(fd, memoryview(_ZEROS)[: end - offset], offset)
