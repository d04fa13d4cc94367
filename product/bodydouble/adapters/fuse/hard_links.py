"""Files that have several names when the filter starts, found once before it is mounted.

A change through any name must be reported under every other, also under one that no application has asked for yet.
Names that come later pass through the filter. The walk costs one stat a file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bodydouble.adapters.posix.names import speakable

if TYPE_CHECKING:
    from bodydouble.adapters.fuse.nodes import NodeTable

Name = tuple[str, ...]


def find_names(root: int) -> list[list[Name]]:
    """Components of the names of each file that has at least two of them beneath an open directory. Blocking.

    Raises:
        OSError: the directory cannot be read.
    """
    found: dict[tuple[int, int], list[Name]] = {}
    for path, directories, files, fd in os.fwalk(".", dir_fd=root):
        directories[:] = sorted(filter(speakable, directories))
        above = tuple(path.split("/")[1:])
        for name in sorted(filter(speakable, files)):
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_nlink > 1:
                found.setdefault((status.st_dev, status.st_ino), []).append((*above, name))
    return [names for names in found.values() if len(names) > 1]


def pin_names(nodes: NodeTable, root: int, groups: list[list[Name]]) -> None:
    """Make the names that `find_names` found, and the directories above them, known."""
    for names in groups:
        for name in names:
            with suppress(FileNotFoundError):  # removed since
                _pin(nodes, root, name)


def _pin(nodes: NodeTable, root: int, name: Name) -> None:
    node = nodes.root
    for depth in range(len(name)):
        status = os.stat("/".join(name[: depth + 1]), dir_fd=root, follow_symlinks=False)
        node = nodes.pin(node, name[depth], status)
