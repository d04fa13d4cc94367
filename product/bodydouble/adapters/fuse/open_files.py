"""Files that applications hold open through the mount."""

from __future__ import annotations

import asyncio
import errno
import os
import stat as modes
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyfuse3

from bodydouble.adapters.fuse.nodes import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from bodydouble.adapters.fuse.directories import Directories
    from bodydouble.adapters.fuse.nodes import Node
    from bodydouble.adapters.fuse.reporter import Reporter

#: O_NONBLOCK: whatever took the file's name beneath the mount, opening it must not hang the event loop.
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(slots=True)
class _Handle:
    fd: int
    node: Node
    synchronous: bool


class OpenFiles:
    """Handles by number, and everything that reads or changes a file's bytes.

    Args:
        directories: for opening files relative to their directories.
        reporter: told of each change after it took effect.
        executor: for fsync, which may take long.
    """

    def __init__(self, directories: Directories, reporter: Reporter, executor: Executor) -> None:
        self._directories = directories
        self._reporter = reporter
        self._executor = executor
        self._handles: dict[int, _Handle] = {}
        self._next = 1

    def open(self, node: Node, flags: int) -> pyfuse3.FileInfo:
        """Open a file, truncating it when the application says so."""
        access = flags & os.O_ACCMODE
        truncate = bool(flags & os.O_TRUNC)
        fd = self._open(node, os.O_RDWR if truncate and access == os.O_RDONLY else access)
        try:
            if truncate:
                self._truncate(fd, node, 0)
        except OSError:
            os.close(fd)
            raise
        return self.admit(node, fd, flags)

    def admit(self, node: Node, fd: int, flags: int) -> pyfuse3.FileInfo:
        """Take a freshly opened descriptor in."""
        number = self._next
        self._next += 1
        # O_SYNC and O_DIRECT stay out of the backing descriptor: the former would block the loop, the latter asks for
        # aligned buffers. Synchronous writes are followed by an fsync in a thread instead.
        self._handles[number] = _Handle(fd, node, bool(flags & (os.O_SYNC | os.O_DSYNC)))
        node.descriptors.append(fd)
        return pyfuse3.FileInfo(fh=number, keep_cache=False, direct_io=False)

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Bytes from an open file."""
        return os.pread(self._handles[number].fd, size, offset)

    async def write(self, number: int, offset: int, data: bytes) -> int:
        """Write all of ``data``; the offset is the kernel's, also for files opened for appending."""
        handle = self._handles[number]
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(handle.fd, memoryview(data)[written:], offset + written)
        finally:
            # Also what went in before the volume was full: it took effect.
            if written:
                self._reporter.written(handle.node, offset, bytes(data[:written]), os.fstat(handle.fd))
        self._drop_privileges(handle.fd, handle.node)
        if handle.synchronous:
            await self.synchronise(number)
        return len(data)

    def truncate(self, node: Node, number: int | None, size: int) -> None:
        """Set a file's length."""
        with self.descriptor(node, number, os.O_WRONLY) as fd:
            self._truncate(fd, node, size)

    async def synchronise(self, number: int) -> None:
        """Make an open file durable, without holding up the loop."""
        fd = self._handles[number].fd
        await asyncio.get_running_loop().run_in_executor(self._executor, os.fsync, fd)

    def release(self, number: int) -> None:
        """The last application closed the file."""
        handle = self._handles.pop(number)
        handle.node.descriptors.remove(handle.fd)
        os.close(handle.fd)

    def close(self) -> None:
        """Close everything, at the end of the mount."""
        for number in list(self._handles):
            self.release(number)

    @contextmanager
    def descriptor(self, node: Node, number: int | None, access: int) -> Iterator[int]:
        """A descriptor of the node for one change: the application's own when it named one."""
        if number is not None:
            yield self._handles[number].fd
            return
        fd = self._open(node, access)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open(self, node: Node, access: int) -> int:
        if modes.S_ISDIR(node.key[2]):
            return os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directories.descriptor(node))
        if node.orphaned and node.descriptors:
            return os.open(f"/proc/self/fd/{node.descriptors[-1]}", access | os.O_CLOEXEC)
        if node.orphaned or node.parent is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        fd = os.open(node.name, access | _SAFE, dir_fd=self._directories.descriptor(node.parent))
        try:
            _check(node, os.fstat(fd))
        except OSError:
            os.close(fd)
            raise
        return fd

    def _truncate(self, fd: int, node: Node, size: int) -> None:
        os.ftruncate(fd, size)
        self._reporter.truncated(node, os.fstat(fd))
        self._drop_privileges(fd, node)

    def _drop_privileges(self, fd: int, node: Node) -> None:
        """Take set-ID bits off a changed program; libfuse tells the kernel that the file system does this itself."""
        mode = modes.S_IMODE(os.fstat(fd).st_mode)
        dropped = mode & ~modes.S_ISUID
        if mode & modes.S_IXGRP:
            dropped &= ~modes.S_ISGID
        if dropped != mode:
            os.fchmod(fd, dropped)
            self._reporter.metadata(node, os.fstat(fd), fd)


def _check(node: Node, status: os.stat_result) -> None:
    if key_of(status) != node.key:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
