"""From what the filter reports to what goes into the stream: rules applied, renames resolved at the border. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble.replication.protocol import BLOCK_BYTES, MAX_OPERATION_BYTES, MirrorStart, RemoveTree
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    RemoveDirectory,
    RemoveStream,
    Rename,
    SetMetadata,
    Truncate,
    Write,
    WriteStream,
    paths_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.protocol import Body
    from bodydouble.replication.rules import Selection
    from bodydouble.vocabulary.operations import AnyOperation


@dataclass(frozen=True, slots=True)
class Translation:
    """What one reported operation becomes.

    Attributes:
        bodies: elements for the stream, in order.
        appeared: paths that came into the set with content that the stream does not carry; they must be mirrored.
        shallow: what appeared are a directory's attributes only.
    """

    bodies: list[Body] = field(default_factory=list)
    appeared: list[str] = field(default_factory=list)
    shallow: bool = False


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
    if not selection.selects(operation.path):
        return _on_the_way(operation, selection)
    if isinstance(operation, CreateFile) and not carried:
        bodies: list[Body] = [operation, Truncate(operation.path, 0, operation.mtime_ns)]
        # Only hosts with drives have streams.
        return Translation([*bodies, RemoveStream(operation.path, "")] if paths.has_drive(operation.path) else bodies)
    if isinstance(operation, MakeHardLink) and not _both(operation, selection):
        return _appearing([operation.path])
    return Translation(_split(operation))


def _on_the_way(operation: AnyOperation, selection: Selection) -> Translation:
    """What happens to a path that is not selected: it matters if it is a directory on the way to what is.

    Whether attributes are those of a directory nobody says here; the mirror sees.
    """
    if not selection.replicates(operation.path):
        return Translation()
    if isinstance(operation, MakeDirectory | RemoveDirectory):
        return Translation([operation])
    if isinstance(operation, SetMetadata):
        return Translation([MirrorStart()], [operation.path], shallow=True)
    return Translation()


def _both(operation: MakeHardLink, selection: Selection) -> bool:
    """Whether the target can give the other file one more name."""
    return selection.selects(operation.existing) and selection.together(operation.existing, operation.path)


def _rename(operation: Rename, selection: Selection) -> Translation:
    """A rename inside the set, over its border, or of a directory above one of its roots."""
    old, new = operation.path, operation.new_path
    if selection.moves_whole(old, new):
        return Translation([operation])
    bodies: list[Body] = [RemoveTree(path) for path in selection.parts(old)]
    came = _appearing(selection.parts(new))
    return Translation(bodies + came.bodies, came.appeared)


def _appearing(places: list[str]) -> Translation:
    """Something unknown took the place of whatever was there, which may have been a name of another file."""
    return Translation([MirrorStart(), *[RemoveTree(path) for path in places]] if places else [], places)


def _split(operation: AnyOperation) -> list[Body]:
    """In parts, if its data are too long for one element."""
    if isinstance(operation, Write) and len(operation.data) > (size := MAX_OPERATION_BYTES):
        return [
            Write(operation.path, operation.offset + at, operation.data[at : at + size], operation.mtime_ns)
            for at in range(0, len(operation.data), size)
        ]
    if isinstance(operation, WriteStream) and len(operation.data) > (size := BLOCK_BYTES):
        return [
            WriteStream(operation.path, operation.stream, operation.offset + at, operation.data[at : at + size])
            for at in range(0, len(operation.data), size)
        ]
    return [operation]


def handled_by(operation: AnyOperation, root: str, roots: list[str], selection: Selection) -> bool:
    """Whether the attachment at ``root`` is the one that takes this operation.

    A rename from one root to another is reported at both; the one that holds the old name takes it. One that takes
    several roots with it is reported at each; the first takes it.
    """
    if not isinstance(operation, Rename):
        return True
    return _holder(operation, roots, selection.key) == root


def _holder(rename: Rename, roots: list[str], key: Callable[[str], str]) -> str | None:
    for path in (key(rename.path), key(rename.new_path)):
        for each in roots:
            if paths.is_beneath(path, key(each)):
                return each
    above = [each for each in roots for path in paths_of(rename) if paths.is_beneath(key(each), key(path))]
    return above[0] if above else None
