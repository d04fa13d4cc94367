"""Groups: runs of stream elements that may be repeated from whatever a power cut left of them. Pure.

Operations with contents, lengths, times and metadata can be repeated: each says what the outcome is. A rename or a
removal cannot, once something else has happened at the names that it changed. So a group ends before

- an element whose path is at, beneath or above a name that the group renamed or removed already;
- a rename or removal of something that the group has changed already, or of what holds such a thing. What the group
  *made* is an exception (created, and cut to no bytes, as a file's first elements here): repeated, it is made again.

Within a group then: a rename whose old name is missing was done, a removal whose path is missing was done, and
everything else is repeated. Removals may follow removals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.replication.protocol import (
    BlocksRequest,
    ListRequest,
    RemoveTree,
    VolumeRequest,
)
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.protocol import Body

QUESTIONS = (ListRequest, BlocksRequest, VolumeRequest)
_REPEATABLE = (MakeDirectory, CreateFile, Write, Truncate, PunchHole, SetMetadata, SetTimes)
_REMOVALS = (RemoveFile, RemoveDirectory, RemoveTree)


class _Names:
    """Paths, and which others are at, beneath or above them."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._above: set[str] = set()

    def add(self, path: str) -> None:
        if path in self._exact:
            return
        self._exact.add(path)
        while (above := paths.parent(path)) != path and above not in self._above:
            self._above.add(above)
            path = above

    def hold(self, path: str) -> bool:
        """Whether a name is at or beneath ``path``."""
        return path in self._exact or path in self._above

    def near(self, path: str) -> bool:
        """Whether a name is at, beneath or above ``path``."""
        if not self._exact or self.hold(path):
            return bool(self._exact)
        while path not in self._exact:
            above = paths.parent(path)
            if above == path:
                return False
            path = above
        return True


class Group:
    """One group while it is being put together.

    Args:
        key: the form in which the file system compares paths.
    """

    def __init__(self, key: Callable[[str], str]) -> None:
        self._key = key
        self._renamed = _Names()
        self._removed = _Names()
        self._touched = _Names()
        self._made: set[str] = set()
        self._created = ""
        self._count = 0
        self._closed = False

    def take(self, body: Body) -> bool:
        """Add an element; False, and it was not added, when it belongs to the next group."""
        if self._closed or not self._fits(body):
            return False
        self._add(body)
        self._count += 1
        return True

    def _fits(self, body: Body) -> bool:
        if isinstance(body, QUESTIONS):
            return True
        if isinstance(body, _REPEATABLE):
            return not self._moved(self._key(body.path))
        if isinstance(body, _REMOVALS):
            path = self._key(body.path)
            return not self._renamed.near(path) and self._free(path)
        if isinstance(body, Rename):
            old, new = self._key(body.path), self._key(body.new_path)
            free = self._free(old) and not self._touched.hold(new)
            return free and not self._moved(old) and not self._moved(new)
        return not self._count

    def _moved(self, path: str) -> bool:
        return self._renamed.near(path) or self._removed.near(path)

    def _free(self, path: str) -> bool:
        """Whether what is at ``path`` may be renamed or removed and the group repeated nevertheless."""
        return path in self._made or not self._touched.hold(path)

    def _add(self, body: Body) -> None:
        created, self._created = self._created, ""
        if isinstance(body, QUESTIONS):
            return
        if isinstance(body, _REPEATABLE):
            self._touch(body, self._key(body.path), created)
        elif isinstance(body, _REMOVALS):
            self._removed.add(self._key(body.path))
        elif isinstance(body, Rename):
            self._renamed.add(self._key(body.path))
            self._renamed.add(self._key(body.new_path))
        else:
            self._closed = True  # alone: what it changes is part of the position

    def _touch(self, body: Body, path: str, created: str) -> None:
        if isinstance(body, CreateFile) and not self._touched.hold(path):
            self._created = path
        elif isinstance(body, Truncate) and not body.size and created == path:
            self._made.add(path)
        self._touched.add(path)
