"""Descriptors of backing directories, so that the pass-through works relative to them."""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from bodydouble.adapters.fuse.nodes import key_of

if TYPE_CHECKING:
    from bodydouble.adapters.fuse.nodes import Node

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 256


class Directories:
    """Opens directories on demand and keeps the last few open.

    A descriptor follows its directory through renames, so a cached one never goes wrong; it is only checked against
    the node when it is opened by name.

    Args:
        root: descriptor of the backing root; not closed here.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: OrderedDict[Node, int] = OrderedDict()

    def descriptor(self, node: Node) -> int:
        """A descriptor of the directory; valid until the next call.

        Raises:
            OSError: ESTALE when its name now means something else.
        """
        if node.parent is None:
            return self._root
        if node in self._open:
            self._open.move_to_end(node)
            return self._open[node]
        fd = os.open(node.name, _STEP, dir_fd=self.descriptor(node.parent))
        if key_of(os.fstat(fd)) != node.key:
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        self._open[node] = fd
        self._evict()
        return fd

    def _evict(self) -> None:
        if len(self._open) > _MOST:
            os.close(self._open.popitem(last=False)[1])

    def drop(self, node: Node) -> None:
        """Close the directory's descriptor, if one is cached."""
        if (fd := self._open.pop(node, None)) is not None:
            os.close(fd)

    def close(self) -> None:
        """Close every cached descriptor."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()
