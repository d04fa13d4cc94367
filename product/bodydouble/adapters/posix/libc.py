"""System calls that Python 3.11 does not offer.

syncfs(2), renameat2(2), openat2(2), fallocate(2), fstatfs(2), umount2(2).
"""

from __future__ import annotations

import ctypes
import os

RENAME_NOREPLACE = 1
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_STATFS_BYTES = 512
"""More than any architecture's answer takes; the kind is its first word."""
_MNT_DETACH = 2
_OPENAT2 = 437
"""Its number is the same on every architecture."""
_RESOLVE = 0x02 | 0x04 | 0x08
"""Without magic links, without symbolic links, beneath the directory."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def syncfs(fd: int) -> None:
    """Make everything on the volume that holds ``fd`` durable; reports write-back errors since Linux 5.8.

    Raises:
        OSError: the volume could not write.
    """
    if _libc.syncfs(fd) != 0:
        raise _last_error()


def open_beneath(directory: int, path: str, flags: int) -> int:
    """Open what ``path`` is beneath an open directory; no symbolic link is followed, wherever it is on the way.

    Raises:
        OSError: ELOOP where one is; ENOSYS before Linux 5.6, and EPERM where a container forbids what it does not know.
    """
    how = _OpenHow(flags, 0, _RESOLVE)
    fd = int(_libc.syscall(_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))
    if fd < 0:
        raise _last_error()
    return fd


def rename_without_replacing(old: str, old_directory: int, new: str, new_directory: int) -> None:
    """Rename unless the new name exists, in one step.

    Raises:
        OSError: EEXIST when it does; anything else rename(2) reports.
    """
    names = os.fsencode(old), os.fsencode(new)
    if _libc.renameat2(old_directory, names[0], new_directory, names[1], RENAME_NOREPLACE) != 0:
        raise _last_error()


def punch_hole(fd: int, offset: int, size: int) -> None:
    """Make a range read as zeros and give its space back; the length stays.

    Raises:
        OSError: EOPNOTSUPP where the volume keeps no holes.
    """
    arguments = ctypes.c_int64(offset), ctypes.c_int64(size)
    if _libc.fallocate64(fd, _KEEP_SIZE | _PUNCH_HOLE, *arguments) != 0:
        raise _last_error()


def volume_kind(fd: int) -> int:
    """The number of the kind of file system that an open file lies on, as statfs(2) lists them.

    Raises:
        OSError: the volume does not answer.
    """
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.fstatfs(fd, answer) != 0:
        raise _last_error()
    return int(ctypes.c_long.from_buffer(answer).value) & 0xFFFFFFFF


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def unmount(path: str, *, lazily: bool) -> None:
    """Unmount what is mounted topmost at ``path``; lazily: out of sight at once, gone with its last open file.

    Raises:
        OSError: EBUSY when files are open there; EINVAL when nothing is mounted there.
    """
    if _libc.umount2(os.fsencode(path), _MNT_DETACH if lazily else 0) != 0:
        raise _last_error()
