"""Records of mirrors: what an operator orders about one.

Source: Double-Take's guides, "Mirror": full, file differences, differences with block checksum, each optionally only
when the source is newer; start, stop, pause, resume.
"""

from __future__ import annotations

from typing import Literal

from bodydouble.vocabulary.records import Age, MirrorKind, OrphanAction, Record


class MirrorOrder(Record, frozen=True):
    """Mirror now. What is None is as the connection's own options say.

    Attributes:
        kind: how differences are found.
        newer_only: leave a file alone whose last write on the target is later.
        orphans: what to do with files that only the target has.
        orphan_age: seconds since the last write; orphans that are younger stay.
        calculate: count files and bytes first.
    """

    kind: MirrorKind | None = None
    newer_only: bool | None = None
    orphans: OrphanAction | None = None
    calculate: bool | None = None
    orphan_age: Age | None = None


AS_CONNECTED = MirrorOrder()
"""A mirror as the connection's own options say."""

MirrorWord = Literal["pause", "resume", "stop"]
"""What may be ordered about a mirror that runs."""
