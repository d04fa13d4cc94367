"""NTFS's log file: after a power loss the metadata are those after some operation, never in between.

Source: Windows NT 4.0 Resource Kit, "NTFS Recoverability" (each operation on metadata is a transaction: recovery redoes
the committed ones that the log has and rolls back the others; user data are not logged). The log itself is written
lazily ("lazy commit"), in order: what a power loss takes is the *last* operations. A flush of any file writes the log
out, and with it everything before. How soon the log is written without a flush is a choice of this model:
`LOG_WRITE_NS`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from bodydouble_sim.storage.content import Cut, FileContent
    from bodydouble_sim.storage.node import Link, Node
    from bodydouble_sim.storage.tree import Tree

LOG_WRITE_NS = 5_000_000_000


class NtfsLog:
    """`bodydouble_sim.storage.journal.Journal` as a sequence of undo records."""

    def __init__(self, tree: Tree, resize: Callable[[Node, FileContent], None]) -> None:
        self._tree = tree
        self._resized = resize
        self._records: deque[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = deque()
        self._number = 0
        self._now = 0

    def begin(self, now: int) -> None:
        """See `Journal.begin`."""
        self._number += 1
        self._now = now
        if self._records and now - self._records[0][1] > LOG_WRITE_NS:
            self._write_out(now)

    def _write_out(self, now: int) -> None:
        records = self._records
        while records and now - records[0][1] > LOG_WRITE_NS:
            records.popleft()

    def entered(self, link: Link, parent_mtime_ns: int) -> None:
        """See `Journal.entered`."""
        self._records.append((self._number, self._now, self._undo_enter, (link, parent_mtime_ns)))

    def leaving(self, link: Link, parent_mtime_ns: int, *, freed: bool) -> None:  # noqa: ARG002 - FAT's concern
        """See `Journal.leaving`."""
        self._records.append((self._number, self._now, self._undo_leave, (link, parent_mtime_ns)))

    def changing(self, link: Link) -> None:
        """See `Journal.changing`."""
        node = link.node
        state = (node, node.metadata, node.flags, node.mtime_ns, node.created_ns, node.accessed_ns, node.target)
        self._records.append((self._number, self._now, self._undo_change, state))

    def resized(self, link: Link, old_size: int, cut: Cut | None) -> None:
        """See `Journal.resized`."""
        self._records.append((self._number, self._now, self._undo_resize, (link.node, old_size, cut)))

    def flush(self, link: Link | None) -> None:  # noqa: ARG002 - the log is written in order, up to its end
        """See `Journal.flush`."""
        self._records.clear()

    # --- recovery ---------------------------------------------------------------------------------------------------

    def lose_before_pages(self, stream: random.Random, now: int) -> int:
        """See `Journal.lose_before_pages`: the last operations are rolled back, how many is drawn."""
        self._write_out(now)
        numbers = list(dict.fromkeys(record[0] for record in self._records))
        kept = stream.randint(0, len(numbers))
        lost = set(numbers[kept:])
        for number, _, undo, arguments in reversed(self._records):
            if number in lost:
                undo(*arguments)
        self._records.clear()
        return len(lost)

    def lose_after_pages(self, stream: random.Random, now: int) -> int:  # noqa: ARG002 - nothing is left to draw
        """See `Journal.lose_after_pages`."""
        return 0

    def _undo_enter(self, link: Link, parent_mtime_ns: int) -> None:
        self._tree.leave(link)
        assert link.parent is not None
        link.parent.mtime_ns = parent_mtime_ns

    def _undo_leave(self, link: Link, parent_mtime_ns: int) -> None:
        self._tree.enter(link)
        assert link.parent is not None
        link.parent.mtime_ns = parent_mtime_ns

    def _undo_change(self, node: Node, *state: Any) -> None:
        flags = node.flags
        node.metadata, node.flags, node.mtime_ns, node.created_ns, node.accessed_ns, node.target = state
        if node.flags != flags and node.content is not None:
            self._resized(node, node.content)

    def _undo_resize(self, node: Node, old_size: int, cut: Cut | None) -> None:
        content = node.content
        assert content is not None
        if cut is None:
            content.resize(old_size)
        else:
            content.restore(cut)
        if content.dirty and node.link is not None:
            self._tree.dirty[content] = None
        self._resized(node, content)
