"""Scan: what a replication set holds on a file system, a directory at a time.

Nothing holds all names: at any moment there are the entries of one directory and the paths of the directories still to
be listed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bodydouble.ports import FileSystem
    from bodydouble.replication.rules import Selection
    from bodydouble.vocabulary.operations import Entry


async def listings(
    file_system: FileSystem, selection: Selection, roots: Sequence[str]
) -> AsyncIterator[tuple[str, list[Entry]]]:
    """Each directory at and beneath ``roots`` with what of the set is directly inside; parents before children.

    What cannot be listed counts as empty: whoever mirrors it says so.
    """
    stack = [path for path in reversed(roots) if not selection.replicates_nothing(path)]
    while stack:
        path = stack.pop()
        try:
            found = await file_system.list_directory(path)
        except FileSystemError:
            continue
        entries = [entry for entry in found if selection.replicates(entry.path)]
        yield path, entries
        stack.extend(entry.path for entry in reversed(entries) if entry.kind == "directory")


def weight(entries: Sequence[Entry]) -> tuple[int, int]:
    """How many files and links these are, and their bytes."""
    sizes = [entry.size for entry in entries if entry.kind != "directory"]
    return len(sizes), sum(sizes)
