"""From what the filter reports to what goes into the stream: rules applied, renames resolved at the border. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble.replication.protocol import MAX_OPERATION_BYTES, MirrorStart, RemoveTree
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import CreateFile, MakeHardLink, Rename, Truncate, Write

if TYPE_CHECKING:
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.rules import Selection
    from bodydouble.vocabulary.operations import AnyOperation


@dataclass(frozen=True, slots=True)
class Translation:
    """What one reported operation becomes.

    Attributes:
        bodies: elements for the stream, in order.
        appeared: a path that came into the set with content that the stream does not carry; it must be mirrored.
    """

    bodies: list[Body] = field(default_factory=list)
    appeared: str | None = None


def translate(operation: AnyOperation, selection: Selection, *, carried: bool = False) -> Translation:
    """Translate one operation of an application.

    A rename that leaves the set becomes a removal. One that enters it puts the replica back into mirroring for what
    appeared, because the bytes were written where nobody watched. So does a hard link in the set to a file that has no
    other name in it. A file that was created is empty on the replica too, whatever an orphan of its name held there.

    Args:
        operation: what happened.
        selection: the rules.
        carried: it was carried out by this machine as a target, and says all that it did (see `feed`).
    """
    if isinstance(operation, Rename):
        return _rename(operation, selection)
    if not selection.replicates(operation.path):
        return Translation()
    if isinstance(operation, CreateFile) and not carried:
        return Translation([operation, Truncate(operation.path, 0, operation.mtime_ns)])
    if isinstance(operation, MakeHardLink) and not _both(operation, selection):
        return Translation([MirrorStart()], operation.path)
    if isinstance(operation, Write) and len(operation.data) > MAX_OPERATION_BYTES:
        return Translation(_split(operation))
    return Translation([operation])


def _both(operation: MakeHardLink, selection: Selection) -> bool:
    """Whether the target can give the other file one more name."""
    return selection.replicates(operation.existing) and selection.together(operation.existing, operation.path)


def _rename(operation: Rename, selection: Selection) -> Translation:
    old, new = operation.path, operation.new_path
    if selection.moves_whole(old, new):
        return Translation([operation])
    bodies: list[Body] = []
    appeared = None
    if not selection.replicates_nothing(old):
        bodies.append(RemoveTree(old))
    if not selection.replicates_nothing(new):
        bodies.append(MirrorStart())
        appeared = new
    return Translation(bodies, appeared)


def _split(operation: Write) -> list[Body]:
    size = MAX_OPERATION_BYTES
    return [
        Write(operation.path, operation.offset + at, operation.data[at : at + size], operation.mtime_ns)
        for at in range(0, len(operation.data), size)
    ]


def handled_by(operation: AnyOperation, root: str, roots: list[str], selection: Selection) -> bool:
    """Whether the attachment at ``root`` is the one that takes this operation.

    A rename from one root to another is reported at both; the one that holds the old name takes it.
    """
    if not isinstance(operation, Rename):
        return True
    key = selection.key
    holder = next((each for each in roots if paths.is_beneath(key(operation.path), key(each))), None)
    if holder is None:
        holder = next((each for each in roots if paths.is_beneath(key(operation.new_path), key(each))), None)
    return holder == root
