"""What a FAT volume has on the platter: directory entries and cluster chains, written lazily and each by itself.

Fault model (reference/windows-iis.md, "File systems": no journal, chkdsk, lost clusters): an entry of a directory
(name, attributes, times, length, first cluster) and the chain of a file's clusters lie in different sectors. A power
loss finds each that was changed since the last flush or the lazy writer's last visit either new or old, whatever became
of the others. So a rename may leave both names (cross-linked), the old, the new, or none of them (a lost chain); a
length may not fit its chain. `FatVolume.check` is the repair.

Simplified: each entry is taken to lie in a sector of its own, and what a directory's own clusters hold is found again
only through its entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble_sim.storage.content import LAZY_WRITE_NS
from bodydouble_sim.storage.tree import links

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from bodydouble.vocabulary.operations import Metadata
    from bodydouble_sim.storage.content import Cut, FileContent
    from bodydouble_sim.storage.node import Link, Node
    from bodydouble_sim.storage.tree import Tree

_MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class _Entry:
    """A directory entry as the platter has it."""

    link: Link
    metadata: Metadata
    times: tuple[int, int, int]
    size: int


@dataclass(slots=True)
class _Slot:
    """Where a directory entry is behind: what the platter has (None: nothing), and since when."""

    entry: _Entry | None
    since: int


@dataclass(slots=True)
class _Chain:
    """Where a cluster chain is behind: the length it has on the platter, and the bytes that were cut off since.

    Attributes:
        size: bytes that the platter's chain was allocated for.
        low: the least length since then: below it, the bytes are the file's own.
        tail: the bytes from ``low`` to ``size``.
        since: when it fell behind.
        freed: the file was removed.
    """

    size: int
    low: int
    tail: bytes
    since: int
    freed: bool = False


@dataclass(slots=True)
class Damage:
    """What a power loss left behind for chkdsk.

    Attributes:
        folders: names of directory entries that led to a directory which another entry leads to already; removed.
        lengths: files whose length does not fit their chain, with all bytes of the chain.
        lost: the bytes of chains that no entry leads to.
    """

    folders: list[str] = field(default_factory=list)
    lengths: dict[Node, bytes] = field(default_factory=dict)
    lost: list[bytes] = field(default_factory=list)


class FatTables:
    """`bodydouble_sim.storage.journal.Journal` of a FAT volume."""

    def __init__(self, tree: Tree, cluster: int) -> None:
        self._tree = tree
        self._cluster = cluster
        self._slots: dict[tuple[Node, str], _Slot] = {}
        self._chains: dict[Node, _Chain] = {}
        self._now = 0
        self.damage = Damage()

    # --- what changes -----------------------------------------------------------------------------------------------

    def begin(self, now: int) -> None:
        """See `Journal.begin`."""
        self._now = now
        if len(self._slots) > _MOST_REMEMBERED:
            self._slots = {key: slot for key, slot in self._slots.items() if now - slot.since <= LAZY_WRITE_NS}
            self._chains = {node: chain for node, chain in self._chains.items() if now - chain.since <= LAZY_WRITE_NS}

    def entered(self, link: Link, parent_mtime_ns: int) -> None:  # noqa: ARG002 - a directory's time is its entry's
        """See `Journal.entered`."""
        self._remember(link, None)

    def leaving(self, link: Link, parent_mtime_ns: int, *, freed: bool) -> None:  # noqa: ARG002
        """See `Journal.leaving`."""
        self._remember(link, _entry(link))
        if freed and link.node.content is not None:
            chain = self._chain(link.node, len(link.node.content.data))
            chain.freed = True

    def changing(self, link: Link) -> None:
        """See `Journal.changing`."""
        if link.parent is not None:
            self._remember(link, _entry(link))

    def resized(self, link: Link, old_size: int, cut: Cut | None) -> None:
        """See `Journal.resized`."""
        content = link.node.content
        assert content is not None
        chain = self._chain(link.node, old_size)
        size = len(content.data)
        if cut is not None and size < chain.low:
            chain.tail = cut.tail[: chain.low - size] + chain.tail
            chain.low = size

    def _remember(self, link: Link, entry: _Entry | None) -> None:
        assert link.parent is not None
        key = (link.parent, link.key)
        known = self._slots.get(key)
        if known is None or self._now - known.since > LAZY_WRITE_NS:
            self._slots[key] = _Slot(entry, self._now)

    def _chain(self, node: Node, size: int) -> _Chain:
        known = self._chains.get(node)
        if known is None or self._now - known.since > LAZY_WRITE_NS:
            known = self._chains[node] = _Chain(size, size, b"", self._now)
        return known

    def flush(self, link: Link | None) -> None:
        """See `Journal.flush`: a file's chain, its entry and those of the directories above it."""
        if link is None:
            self._slots.clear()
            self._chains.clear()
            return
        self._chains.pop(link.node, None)
        while link is not None and link.parent is not None:
            self._slots.pop((link.parent, link.key), None)
            link = link.parent.link

    # --- power loss -------------------------------------------------------------------------------------------------

    def lose_before_pages(self, stream: random.Random, now: int) -> int:  # noqa: ARG002 - the bytes come first
        """See `Journal.lose_before_pages`."""
        return 0

    def lose_after_pages(self, stream: random.Random, now: int) -> int:
        """See `Journal.lose_after_pages`: each entry and each chain is old or new."""
        slots = [(key, slot) for key, slot in self._slots.items() if now - slot.since <= LAZY_WRITE_NS]
        chains = {node: chain for node, chain in self._chains.items() if now - chain.since <= LAZY_WRITE_NS}
        concerned = dict.fromkeys(self._concerned(slots, chains))
        old = [(key, slot) for key, slot in slots if stream.random() < 0.5]  # noqa: PLR2004 - either is as likely
        self.damage = Damage()
        sizes = self._put_back(old)
        self._single_out([node for node in concerned if node.children is not None and node.others])
        lost = len(old)
        chained: dict[Node, bytes] = {}
        for node, chain in chains.items():
            behind = stream.random() < 0.5  # noqa: PLR2004
            lost += behind
            chained[node] = self._clusters(node.content, chain, behind=behind)
        for node in concerned:
            if node.content is not None:
                self._fit(node, node.content, sizes.get(node), chained.get(node))
        self._recount()
        self._slots.clear()
        self._chains.clear()
        return lost

    def _concerned(self, slots: list[tuple[tuple[Node, str], _Slot]], chains: dict[Node, _Chain]) -> Iterator[Node]:
        """Files that may be lost or damaged: those of the entries and chains that were behind, and all below them."""
        for (parent, key), slot in slots:
            now = (parent.children or {}).get(key)
            for link in (slot.entry.link if slot.entry else None, now):
                if link is not None:
                    yield link.node
                    yield from (below.node for below in self._tree.walk(link))
        yield from chains

    def _put_back(self, slots: list[tuple[tuple[Node, str], _Slot]]) -> dict[Node, int]:
        """Give directories the entries that the platter has; returns the lengths that these say."""
        sizes: dict[Node, int] = {}
        for (parent, key), _ in slots:
            link = (parent.children or {}).get(key)
            if link is not None:
                self._tree.leave(link)
        for _, slot in slots:
            if slot.entry is not None:
                node = slot.entry.link.node
                self._tree.enter(slot.entry.link)
                node.metadata = slot.entry.metadata
                node.mtime_ns, node.created_ns, node.accessed_ns = slot.entry.times
                sizes[node] = slot.entry.size
        return sizes

    def _single_out(self, directories: list[Node]) -> None:
        """A directory keeps the first entry that leads to it: which of several is right cannot be told."""
        for node in directories:
            names = links(node)
            kept = next((link for link in names if self._tree.leads(link, (node,))), names[0])
            for link in names:
                if link is not kept:
                    self._tree.leave(link)
                    self.damage.folders.append(link.name)

    def _clusters(self, content: FileContent | None, chain: _Chain, *, behind: bool) -> bytes:
        """All bytes of the chain that the platter has."""
        assert content is not None
        if behind:
            data = bytes(content.data[: chain.low]).ljust(chain.low, b"\0") + chain.tail
        else:
            data = b"" if chain.freed else bytes(content.data)
        return data.ljust(-(-len(data) // self._cluster) * self._cluster, b"\0")

    def _fit(self, node: Node, content: FileContent, size: int | None, chain: bytes | None) -> None:
        """Give a file the bytes that its entry and its chain leave it, and note what does not fit."""
        content.flush()
        if size is None:
            size = len(content.data)
        if chain is None:
            chain = bytes(content.data).ljust(-(-len(content.data) // self._cluster) * self._cluster, b"\0")
        if not self._tree.reaches(node):
            if chain:
                self.damage.lost.append(chain)
            return
        content.data[:] = chain[:size]
        if -(-size // self._cluster) * self._cluster != len(chain):
            self.damage.lengths[node] = chain

    def _recount(self) -> None:
        """Space as the entries now have it; what only lost chains hold is free once chkdsk has looked at them."""
        disk = self._tree.disk
        for content in list(disk.contents.values()):
            disk.vacate(content)
        seen: dict[Node, None] = dict.fromkeys(link.node for link in self._tree.walk())
        for node in seen:
            for content in node.contents():
                content.allocated = -(-len(content.data) // self._cluster) * self._cluster
                disk.place(content)


def _entry(link: Link) -> _Entry:
    node = link.node
    size = 0 if node.content is None else len(node.content.data)
    return _Entry(link, node.metadata, (node.mtime_ns, node.created_ns, node.accessed_ns), size)
