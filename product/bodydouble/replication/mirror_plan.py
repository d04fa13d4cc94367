"""MirrorPlan: what one mirror is to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble.replication.orphans import OrphanPolicy
    from bodydouble.vocabulary.records import MirrorKind


COMPARES: dict[MirrorKind, str] = {
    "full": "sends everything",
    "difference": "takes files of equal size and time of last write for equal",
    "checksum": "compares by checksum",
}
"""What a kind of mirror does with a file that both sides have, in an operator's words."""


@dataclass(frozen=True, slots=True)
class MirrorPlan:
    """What to mirror and how.

    Attributes:
        kind: full, difference or checksum.
        orphans: what to do with selected paths that only the target has.
        paths: where to begin.
        begun: the moment, in `Touches`, from which operations count as during this mirror.
        directories: those of which only attributes and security are to be sent.
        newer_only: leave files alone that are newer on the target, unless applications changed them meanwhile.
        missing_only: leave everything alone that the target has, likewise.
        flat: of a directory among ``paths`` only itself, which the stream carries: what is beneath stays as it is.
        whole: these are all roots of the set.
        calculate: count files and bytes before anything else.
    """

    kind: MirrorKind
    orphans: OrphanPolicy
    paths: list[str]
    begun: int = 0
    directories: list[str] = field(default_factory=list)
    newer_only: bool = False
    missing_only: bool = False
    flat: bool = False
    whole: bool = True
    calculate: bool = False
