"""What the kernel's inode numbers stand for: files and directories by name, tracked through renames and removals."""

from __future__ import annotations

import stat as modes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyfuse3

if TYPE_CHECKING:
    import os

#: Device, inode and kind of a backing file. The kind is part of it because a backing inode number may be used again
#: for another kind of file while the kernel still remembers the removed one.
Key = tuple[int, int, int]


def key_of(status: os.stat_result) -> Key:
    """What tells one backing file from another."""
    return status.st_dev, status.st_ino, modes.S_IFMT(status.st_mode)


@dataclass(slots=True, eq=False)
class Node:
    """A file, directory or symbolic link that the kernel knows, or that has several names.

    Attributes:
        number: the inode number the kernel uses.
        key: which backing file.
        parent: the directory that holds it; None for the root.
        name: its name in there.
        others: further names (hard links), each with its directory.
        pinned: kept although the kernel does not know it, because of the names that lead through it.
        without_capability: it is known to have no ``security.capability``.
        lookups: how many times the kernel was told of it and has not forgotten it.
        orphaned: its name was removed or replaced; what is still open keeps working and reports nothing.
        descriptors: open descriptors of it, oldest first.
    """

    number: int
    key: Key
    parent: Node | None
    name: str
    others: list[tuple[Node, str]] = field(default_factory=list)
    pinned: bool = False
    without_capability: bool = False
    lookups: int = 0
    orphaned: bool = False
    descriptors: list[int] = field(default_factory=list)

    def components(self) -> list[str] | None:
        """Names from the root down, None when the node or a directory above it is gone."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            if node.orphaned:
                return None
            names.append(node.name)
            node = node.parent
        names.reverse()
        return names

    def every_components(self) -> list[list[str]]:
        """`components` for each of its names, sorted."""
        first = self.components()
        found = [] if first is None else [first]
        for parent, name in self.others:
            above = parent.components()
            if above is not None and not self.orphaned:
                found.append([*above, name])
        return sorted(found)

    def places(self) -> list[tuple[Node, str]]:
        """Every name with its directory."""
        return [] if self.parent is None or self.orphaned else [(self.parent, self.name), *self.others]

    def settle(self, places: list[tuple[Node, str]]) -> None:
        """These are its names now, at least one."""
        (self.parent, self.name), *self.others = places


class NodeTable:
    """Nodes by the kernel's number and by backing file."""

    def __init__(self, root_status: os.stat_result) -> None:
        self.root = Node(pyfuse3.ROOT_INODE, key_of(root_status), None, "")
        self._by_number: dict[int, Node] = {self.root.number: self.root}
        self._by_key: dict[Key, Node] = {self.root.key: self.root}
        self._next = self.root.number + 1

    def get(self, number: int) -> Node:
        """The node behind one of the kernel's numbers."""
        return self._by_number[number]

    def find(self, status: os.stat_result) -> Node | None:
        """The node of a backing file, when the kernel knows it."""
        return self._by_key.get(key_of(status))

    def looked_up(self, parent: Node, name: str, status: os.stat_result) -> Node:
        """The node for ``name`` in ``parent``, counted as known to the kernel once more."""
        node = self.find(status)
        if node is None:
            node = Node(self._next, key_of(status), parent, name)
            self._next += 1
            self._by_number[node.number] = self._by_key[node.key] = node
        elif node is not self.root:
            # The product itself may have renamed it beneath the mount; the latest names are the likeliest.
            several = 1 if modes.S_ISDIR(status.st_mode) else status.st_nlink
            others = [place for place in node.places() if place != (parent, name)]
            node.settle([(parent, name), *others][:several])
        node.lookups += 1
        return node

    def pin(self, parent: Node, name: str, status: os.stat_result) -> Node:
        """Know a name that the kernel has not asked for; whatever happens to it is to be followed."""
        node = self.looked_up(parent, name, status)
        node.lookups -= 1
        node.pinned = True
        return node

    def moved(self, status: os.stat_result, old: tuple[Node, str], new: tuple[Node, str]) -> None:
        """A file has a new name in place of an old one."""
        if (node := self.find(status)) is not None:
            node.settle([new, *(place for place in node.places() if place not in (old, new))])

    def removed(self, status: os.stat_result, parent: Node, name: str) -> None:
        """A file has lost a name; after the last its backing inode number may be used again at once."""
        if (node := self.find(status)) is None:
            return
        left = [place for place in node.places() if place != (parent, name)]
        if left:
            node.settle(left)
            return
        node.orphaned = True
        del self._by_key[node.key]
        if not node.lookups:
            del self._by_number[node.number]

    def forget(self, number: int, lookups: int) -> Node | None:
        """The kernel forgot a node ``lookups`` times; the node when it is now unknown to the kernel."""
        node = self._by_number[number]
        node.lookups -= lookups
        if node.lookups > 0 or node.pinned or node is self.root:
            return None
        del self._by_number[number]
        if self._by_key.get(node.key) is node:
            del self._by_key[node.key]
        return node
