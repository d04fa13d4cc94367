"""The name space of a volume: finding, entering and leaving names, and the space that files take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.storage import short_names
from bodydouble_sim.storage.names import fold
from bodydouble_sim.storage.node import Link, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_sim.storage.content import FileContent
    from bodydouble_sim.storage.disk import Disk

_DATA = ":$DATA"


class _Taken:
    """Names and aliases that a directory has already."""

    def __init__(self, directory: Node) -> None:
        self._directory = directory

    def __contains__(self, name: object) -> bool:
        children = self._directory.children or {}
        return name in children or name in self._directory.aliases


class Tree:
    """Names below one root, and what they name.

    Args:
        root: the root's product form (``C:``).
        disk: what the files lie on.
        top: the root directory.

    Attributes:
        root: see above.
        disk: see above.
        dirty: files with pages in the cache, in the order in which they became so.
    """

    def __init__(self, root: str, disk: Disk, top: Node) -> None:
        self.root = root
        self.disk = disk
        self.dirty: dict[FileContent, None] = {}
        self.top = Link(root, root, "", None, top)
        top.link = self.top
        self._found: dict[str, Link] = {}
        self._paths: dict[Link, str] = {}

    # --- finding ----------------------------------------------------------------------------------------------------

    def find(self, path: str) -> Link | None:
        """The name at a path, in any case and by alias; None when there is none.

        Raises:
            FileSystemError: ``not_found``: the path is on another volume.
        """
        known = self._found.get(path)
        if known is not None:
            return known
        parts = fold(path).split("/")
        if parts[0] != self.root:
            raise FileSystemError("not_found", path, f"not on volume {self.root}")
        link = self.top
        for part in parts[1:]:
            if not part:  # separators count once, however many there are
                continue
            node = link.node
            below = None if node.children is None else node.children.get(part) or node.aliases.get(part)
            if below is None:
                below = self._stream(node, part) if ":" in part else None
                if below is None:
                    return None
            link = below
        self._found[path] = link
        if path not in link.spellings:
            link.spellings.append(path)
        return link

    @staticmethod
    def _stream(directory: Node, part: str) -> Link | None:
        name, _, stream = part.removesuffix(_DATA).partition(":")
        children = directory.children
        base = None if children is None else children.get(name) or directory.aliases.get(name)
        if base is None or not stream:
            return base
        return base.node.streams.get(stream)

    def path(self, link: Link) -> str:
        """The path with every component spelled as it was created."""
        known = self._paths.get(link)
        if known is None:
            parent = link.parent
            if parent is None:
                return link.name
            above = parent.link
            separator = ":" if link.stream else "/"
            known = self._paths[link] = f"{'' if above is None else self.path(above)}{separator}{link.name}"
        return known

    def walk(self, below: Link | None = None) -> Iterator[Link]:
        """Every name below a directory (the root when omitted), each directory before what is in it."""
        for link in (below or self.top).node.children.values() if (below or self.top).node.children else ():
            yield link
            if link.node.children:
                yield from self.walk(link)

    # --- names come and go ------------------------------------------------------------------------------------------

    def new_link(self, parent: Node, name: str, node: Node) -> Link:
        """A name for a node, with its alias; it is not entered yet."""
        short = ""
        if parent.children is not None and not short_names.is_short(name):
            short = short_names.alias(name, _Taken(parent))
        return Link(name, fold(name), short, parent, node)

    def enter(self, link: Link) -> None:
        """Put a name where it belongs; a node that had none lies on the disk from now on."""
        parent, node = link.parent, link.node
        assert parent is not None
        if link.stream:
            parent.streams = {**parent.streams, link.key: link}
        else:
            assert parent.children is not None
            if link.short:
                if link.short in _Taken(parent):  # it was given away while this name was gone
                    link.short = short_names.alias(link.name, _Taken(parent))
                parent.aliases[link.short] = link
            parent.children[link.key] = link
        if node.link is None:
            node.link = link
            self._claim(node)
        else:
            node.others = (*node.others, link)

    def leave(self, link: Link) -> None:
        """Take a name away; with its last one, a node gives its space back."""
        parent, node = link.parent, link.node
        assert parent is not None
        if link.stream:
            parent.streams = {key: other for key, other in parent.streams.items() if other is not link}
        else:
            assert parent.children is not None
            del parent.children[link.key]
            if link.short:
                del parent.aliases[link.short]
        if node.link is link:
            node.link, *others = node.others or (None,)
            node.others = tuple(other for other in others if other is not None)
        else:
            node.others = tuple(other for other in node.others if other is not link)
        self._forget(link)
        if node.link is None:
            self._release(node)

    def _forget(self, link: Link) -> None:
        """Forget where a name was found; with a directory, or a file that has streams, all that is below it."""
        node = link.node
        if node.children is not None or node.streams:
            self._found.clear()
            self._paths.clear()
            return
        for path in link.spellings:
            self._found.pop(path, None)
        link.spellings.clear()
        self._paths.pop(link, None)

    def _claim(self, node: Node) -> None:
        for content in node.contents():
            self.disk.place(content)
            if content.dirty:
                self.dirty[content] = None

    def _release(self, node: Node) -> None:
        for content in node.contents():
            self.disk.vacate(content)
            self.dirty.pop(content, None)

    def reaches(self, node: Node, passed: tuple[Node, ...] = ()) -> bool:
        """Whether some name leads from the root to the node, without passing some others twice."""
        if node is self.top.node:
            return True
        return node not in passed and any(self.leads(link, (*passed, node)) for link in links(node))

    def leads(self, link: Link, passed: tuple[Node, ...] = ()) -> bool:
        """Whether a name is in a directory that `reaches`."""
        parent = link.parent
        if parent is None or ((parent.streams if link.stream else parent.children) or {}).get(link.key) is not link:
            return False
        return self.reaches(parent, passed)


def links(node: Node) -> tuple[Link, ...]:
    """All names of a node."""
    return node.others if node.link is None else (node.link, *node.others)


def inside(node: Node | None, directory: Node) -> bool:
    """Whether a node is a directory or somewhere below it."""
    while node is not None:
        if node is directory:
            return True
        node = None if node.link is None else node.link.parent
    return False
