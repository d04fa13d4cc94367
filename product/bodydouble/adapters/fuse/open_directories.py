"""Directories that applications are listing through the mount."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyfuse3

from bodydouble.adapters.fuse.answers import attributes
from bodydouble.adapters.posix.names import speakable
from bodydouble.adapters.posix.tree import sayable

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bodydouble.adapters.fuse.directories import Directories
    from bodydouble.adapters.fuse.nodes import Node, NodeTable


@dataclass(slots=True)
class _Listing:
    fd: int
    node: Node
    names: list[str]


class OpenDirectories:
    """Listings by handle. A listing is taken when its reading starts, so that changes meanwhile skip no entry."""

    def __init__(self, directories: Directories, nodes: NodeTable, executor: Executor) -> None:
        self._directories = directories
        self._nodes = nodes
        self._executor = executor
        self._listings: dict[int, _Listing] = {}
        self._next = 1

    def open(self, node: Node) -> int:
        """Open a directory for listing."""
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._directories.descriptor(node))
        number = self._next
        self._next += 1
        self._listings[number] = _Listing(fd, node, [])
        return number

    def read(self, number: int, start: int, token: pyfuse3.ReaddirToken) -> None:
        """Answer entries from position ``start`` on until the kernel's buffer is full."""
        listing = self._listings[number]
        if start == 0:
            names = os.listdir(listing.fd)  # noqa: PTH208 - of a descriptor, not of a path
            listing.names = sorted(name for name in names if speakable(name))
        for position in range(start, len(listing.names)):
            if not self._answer(listing, position, token):
                return

    def _answer(self, listing: _Listing, position: int, token: pyfuse3.ReaddirToken) -> bool:
        """Answer one entry; False when it did not fit."""
        name = listing.names[position]
        try:
            status = os.stat(name, dir_fd=listing.fd, follow_symlinks=False)
            if not sayable(name, listing.fd, status):
                return True
        except FileNotFoundError:
            return True
        node = self._nodes.looked_up(listing.node, name, status)
        if pyfuse3.readdir_reply(token, os.fsencode(name), attributes(node, status), position + 1):
            return True
        self._nodes.forget(node.number, 1)
        return False

    async def synchronise(self, number: int) -> None:
        """Make a directory durable, without holding up the loop."""
        fd = self._listings[number].fd
        await asyncio.get_running_loop().run_in_executor(self._executor, os.fsync, fd)

    def release(self, number: int) -> None:
        """Close a listing."""
        os.close(self._listings.pop(number).fd)

    def close(self) -> None:
        """Close every listing."""
        for number in list(self._listings):
            self.release(number)
