"""The few Linux calls that Python 3.11's library lacks: namespaces and mounts, with checked errors.

Sources: unshare(2), mount(2), umount2(2); constants from <linux/sched.h> and <linux/mount.h>.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWNET = 0x4000_0000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move the calling thread, and every thread and process it starts later, to fresh namespaces.

    Raises:
        OSError: the kernel refused (not root, or the kind of namespace is not built in).
    """
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str = "none", flags: int = 0, options: str = "") -> None:
    """Mount ``source`` on ``target``; with `MS_BIND` a directory, else a file system of type ``kind``.

    Raises:
        OSError: the kernel refused; the message names the target.
    """
    arguments = (source.encode(), target.encode(), kind.encode())
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def unmount(target: str) -> None:
    """Detach what is mounted on ``target``, at once for new users and for good when the last one is gone.

    Raises:
        OSError: nothing is mounted there.
    """
    _check(_libc.umount2(target.encode(), ctypes.c_int(MNT_DETACH)), f"umount {target}")


def is_mounted(target: str, kind_prefix: str) -> bool:
    """Whether the uppermost mount on ``target`` in this mount namespace is of a kind like ``fuse`` or ``fuse.x``.

    Source of the fields: proc(5), /proc/pid/mountinfo.
    """
    kinds = [
        fields[fields.index("-") + 1]
        for fields in map(str.split, Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())
        if fields[4] == target
    ]
    return bool(kinds) and kinds[-1].startswith(kind_prefix)


def leave_for_fresh_namespaces() -> None:
    """Leave this process's network and mounts for anonymous ones, which the kernel removes with their last process.

    Nothing mounted from here on is seen outside. The way back does not exist: a process does this once a run.

    Raises:
        OSError: not root.
    """
    unshare(CLONE_NEWNET | CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
