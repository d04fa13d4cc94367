"""Making touched files and directories survive power loss."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bodydouble.adapters.posix.libc import syncfs

if TYPE_CHECKING:
    from collections.abc import Sequence

#: From this many objects on, one syncfs for the volume is cheaper than an fsync for each: every fsync of a journaling
#: file system commits its journal and flushes the disk's cache, syncfs does both once. It also writes other files'
#: dirty pages, which on a replica's volume are few.
_SYNC_VOLUME_FROM = 6


def make_durable(fds: Sequence[int]) -> None:
    """Return once everything behind ``fds`` is on stable storage.

    Raises:
        OSError: a volume could not write (also what it failed to write back since the descriptor was opened).
    """
    if len(fds) < _SYNC_VOLUME_FROM:
        for fd in fds:
            os.fsync(fd)
        return
    volumes = {os.fstat(fd).st_dev: fd for fd in fds}
    for fd in volumes.values():
        syncfs(fd)
