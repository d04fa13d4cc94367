"""Records of orphans: files and directories on the target, beneath the roots of a set, that the source does not have.

Source: Double-Take's guides, "Orphan files": per target; logged, moved or deleted; only those older than an age; with a
mirror, a verification or a restoration, or by themselves.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec evaluates annotations
from typing import Literal

import msgspec

from bodydouble.vocabulary.records import Age, OrphanAction, Record

ORPHANS_SHOWN = 1_000


class OrphanRequest(Record, frozen=True):
    """Look for orphans now, without a mirror.

    Attributes:
        action: ``log`` changes nothing; ``move`` puts them into the target's orphan directory; ``delete`` removes them.
        min_age: seconds since the last write, by the source's calendar; younger ones stay.
    """

    action: Literal["log", "move", "delete"] = "log"
    min_age: Age = 0.0


class Orphan(Record, frozen=True):
    """One orphan.

    Attributes:
        path: on the source, in product form; the target has it where the mapping says.
        kind: ``link`` is a symbolic link or a junction.
        size: bytes.
        last_write: None when the calendar cannot show it.
        young: too young: it stays.
    """

    path: str
    kind: Literal["file", "directory", "link"]
    size: int = 0
    last_write: datetime | None = None
    young: bool = False


class OrphanTotals(Record, frozen=True):
    """What was found.

    Attributes:
        files: files and links.
        directories: directories.
        bytes: size of the files.
        young: of both, those that stay because they are too young.
    """

    files: int = 0
    directories: int = 0
    bytes: int = 0
    young: int = 0


class OrphanReport(Record, frozen=True):
    """The orphans that a mirror, or a search by itself, found. What the target could not carry out is its event.

    Attributes:
        connection: the connection's number.
        during: what looked for them.
        action: what was ordered with those that are old enough.
        orphans: the first `ORPHANS_SHOWN`, in the order in which they were found: what is inside before a directory.
        ended: None while it runs.
        detail: why it was interrupted.
    """

    connection: int
    replication_set: str
    target: str
    during: Literal["mirror", "search"]
    action: OrphanAction
    min_age: float
    started: datetime
    state: Literal["running", "complete", "interrupted"] = "running"
    ended: datetime | None = None
    totals: OrphanTotals = OrphanTotals()
    orphans: list[Orphan] = msgspec.field(default_factory=list)
    detail: str = ""
