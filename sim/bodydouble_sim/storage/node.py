"""Files and directories as a volume keeps them, and their attribute bits.

Source of the bits: Microsoft's "File Attribute Constants".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import MAX_STREAMS, Entry
from bodydouble_sim.storage.content import FileContent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.vocabulary.operations import Metadata

READONLY, HIDDEN, SYSTEM, ARCHIVE = 1, 2, 4, 32
SPARSE, REPARSE, COMPRESSED = 0x200, 0x400, 0x800
SETTABLE = READONLY | HIDDEN | SYSTEM | ARCHIVE
"""What SetFileAttributes changes here; the other bits have calls of their own."""

EVERYONE_FULL_CONTROL = b"O:BAG:SYD:(A;OICI;FA;;;WD)"

Entries = list[Entry]


class Node:
    """A file (``content`` set) or a directory (``children`` set); a named stream is a file inside a file.

    Attributes:
        metadata: attributes that are replicated, and the security descriptor.
        flags: SPARSE, COMPRESSED and REPARSE.
        mtime_ns, created_ns, accessed_ns: times, to the file system's resolution.
        content: a file's bytes.
        children: a directory's entries by folded name.
        aliases: the same entries by their 8.3 alias, where they have one.
        streams: named streams by folded name.
        link: the name that it goes by; None when it has been removed.
        others: further names (hard links).
        target: where a junction leads, in product form; empty for everything else.
        units: bytes that each compression unit occupies, for sparse and compressed files.
    """

    __slots__ = (
        "accessed_ns",
        "aliases",
        "children",
        "content",
        "created_ns",
        "flags",
        "link",
        "metadata",
        "mtime_ns",
        "others",
        "streams",
        "target",
        "units",
    )

    def __init__(self, metadata: Metadata, mtime_ns: int, created_ns: int, *, directory: bool) -> None:
        self.metadata = metadata
        self.flags = 0
        self.mtime_ns = mtime_ns
        self.created_ns = created_ns
        self.accessed_ns = created_ns
        self.children: dict[str, Link] | None = {} if directory else None
        self.aliases: dict[str, Link] = {} if directory else _NO_LINKS
        self.content: FileContent | None = None if directory else FileContent()
        self.streams: dict[str, Link] = _NO_LINKS
        self.link: Link | None = None
        self.others: tuple[Link, ...] = ()
        self.target = ""
        self.units: list[int] | None = None

    def contents(self) -> Iterator[FileContent]:
        """Its bytes and those of its streams."""
        if self.content is not None:
            yield self.content
        for stream in self.streams.values():
            yield from stream.node.contents()


class Link:
    """A name of a node in a directory, or of a stream in a file.

    Attributes:
        name: as it was given.
        key: the form under which it is found.
        short: its 8.3 alias, empty when it is its own.
        parent: where the name is; None for the root.
        node: what it names.
        spellings: paths under which it was looked up and is remembered.
        stream: whether it is a stream's.
    """

    __slots__ = ("key", "name", "node", "parent", "short", "spellings", "stream")

    def __init__(
        self, name: str, key: str, short: str, parent: Node | None, node: Node, *, stream: bool = False
    ) -> None:
        self.name = name
        self.key = key
        self.short = short
        self.parent = parent
        self.node = node
        self.spellings: list[str] = []
        self.stream = stream


_NO_LINKS: dict[str, Link] = {}
"""Shared by all nodes that can have none; never written to."""


def _streams(node: Node) -> tuple[tuple[str, int], ...]:
    found = [(each.name, len(each.node.content.data)) for each in node.streams.values() if each.node.content]
    return tuple(sorted(found)[:MAX_STREAMS])


def entry(link: Link, path: str) -> Entry:
    """What a listing shows of a name."""
    node = link.node
    content = node.content
    size = 0 if content is None else len(content.data)
    sparse = bool(node.flags & SPARSE)
    if not node.others and not node.target and not sparse and not node.streams:
        return Entry(path, content is None, size, node.mtime_ns, node.metadata, created_ns=node.created_ns)
    identity = "" if content is None or not node.others else f"{content.place:x}"
    more = node.target or None, identity, 1 + len(node.others), sparse, _streams(node), node.created_ns
    return Entry(path, content is None, size, node.mtime_ns, node.metadata, *more)
