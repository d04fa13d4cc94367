"""Extended attributes through the mount: passed on to the backing file, and reported with all the others."""

from __future__ import annotations

import errno
import os
import stat as modes
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyfuse3

from bodydouble.adapters.posix.extended import place_in, read_extended, read_value, replicated
from bodydouble.vocabulary.operations import MAX_EXTENDED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.adapters.fuse.directories import Directories
    from bodydouble.adapters.fuse.nodes import Node
    from bodydouble.adapters.fuse.open_files import OpenFiles
    from bodydouble.adapters.fuse.reporter import Reporter
    from bodydouble.adapters.posix.extended import Place


CAPABILITY = b"security.capability"


class ExtendedAttributes:
    """Gets, sets, lists and removes attributes of nodes.

    Args:
        directories: for reaching symbolic links, which cannot be opened.
        files: for reaching everything else.
        reporter: told of each change after it took effect.
    """

    def __init__(self, directories: Directories, files: OpenFiles, reporter: Reporter) -> None:
        self._directories = directories
        self._files = files
        self._reporter = reporter

    @contextmanager
    def _place(self, node: Node) -> Iterator[Place]:
        if modes.S_ISLNK(node.key[2]):
            if node.orphaned or node.parent is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            yield place_in(self._directories.descriptor(node.parent), node.name)
            return
        with self._files.descriptor(node, None, os.O_RDONLY) as fd:
            yield fd

    def get(self, node: Node, name: str) -> bytes:
        """The value; ENODATA when there is none.

        That a file has no capability is remembered until it is given one through the mount. Should the product give it
        one beneath, nothing is left open: the backing volume takes a capability off a file that is written to.
        """
        with self._place(node) as place:
            value = read_value(place, name)
        if value is None:
            node.without_capability = node.without_capability or os.fsencode(name) == CAPABILITY
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return value

    def names(self, node: Node) -> list[str]:
        """The names of all."""
        with self._place(node) as place:
            return os.listxattr(place, follow_symlinks=isinstance(place, int))

    def set(self, node: Node, name: str, value: bytes) -> None:
        """Set one; ENOSPC when the file's attributes would be more than an operation carries."""
        with self._place(node) as place:
            others = sum(len(each) + len(old) for each, old in read_extended(place) if each != name)
            if replicated(name) and others + len(name) + len(value) > MAX_EXTENDED_BYTES:
                raise pyfuse3.FUSEError(errno.ENOSPC)
            node.without_capability = False
            os.setxattr(place, name, value, follow_symlinks=isinstance(place, int))
            self._report(node, place, name)

    def remove(self, node: Node, name: str) -> None:
        """Remove one; ENODATA when there is none."""
        with self._place(node) as place:
            os.removexattr(place, name, follow_symlinks=isinstance(place, int))
            self._report(node, place, name)

    def _report(self, node: Node, place: Place, name: str) -> None:
        if replicated(name):
            status = os.fstat(place) if isinstance(place, int) else os.lstat(place)
            self._reporter.metadata(node, status, place)
