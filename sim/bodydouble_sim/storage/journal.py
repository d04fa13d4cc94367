"""What a volume tells the keeper of its metadata, so that a power loss can be worked out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random

    from bodydouble_sim.storage.content import Cut
    from bodydouble_sim.storage.node import Link


class Journal(Protocol):
    """The un-flushed metadata of a volume. Calls between two `begin` belong to one operation."""

    def begin(self, now: int) -> None:
        """An operation begins at ``now`` (ns)."""

    def entered(self, link: Link, parent_mtime_ns: int) -> None:
        """A name was entered; its directory had that time before."""

    def leaving(self, link: Link, parent_mtime_ns: int, *, freed: bool) -> None:
        """A name is about to leave its directory; ``freed``: and its file is removed with it."""

    def changing(self, link: Link) -> None:
        """Attributes, security, flags or times are about to change."""

    def resized(self, link: Link, old_size: int, cut: Cut | None) -> None:
        """A file's length has changed; ``cut`` is what a truncation dropped."""

    def flush(self, link: Link | None) -> None:
        """What concerns a file is durable now; everything when None."""

    def lose_before_pages(self, stream: random.Random, now: int) -> int:
        """Power loss: draw what survives before the pages in the cache are drawn; returns changes lost."""

    def lose_after_pages(self, stream: random.Random, now: int) -> int:
        """Power loss: draw what survives after the pages; returns changes lost."""
