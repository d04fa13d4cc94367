"""Groups: runs of stream elements that may be repeated from whatever a power cut left of them. Pure.

Operations with contents, lengths, times and metadata can be repeated: each says what the outcome is. A rename or a
removal cannot, once something else has happened at the names that it changed. So a group ends before

- an element whose path is at, beneath or above a name that the group renamed or removed already;
- a rename or removal of something that the group has changed already, or of what holds such a thing.

What the group *made* is an exception to both: a file that it created, and cut to no bytes, as a file's first elements
here. Repeated, it is made again with all its bytes, so it may be written, renamed over anything that the group has not
changed, and removed; and at a name that such a file left, or a removed one, the group may create another.

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
    MakeHardLink,
    MakeSymbolicLink,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    Write,
    paths_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.protocol import Body

QUESTIONS = (ListRequest, BlocksRequest, VolumeRequest)
_REPEATABLE = (MakeDirectory, CreateFile, Write, Truncate, PunchHole, SetMetadata, SetTimes, StreamOperation)
_REMOVALS = (RemoveFile, RemoveDirectory, RemoveTree)
MAX_WINDOW_ITEMS = 16 * 1024
"""How much has to be repeated after a power cut, at most."""


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
        self.closed = False
        self._key = key
        self._renamed = _Names()
        self._removed = _Names()
        self._touched = _Names()
        self._made: set[str] = set()
        self._left: set[str] = set()
        self._created = ""
        self._count = 0

    def take(self, body: Body) -> bool:
        """Add an element; False, and it was not added, when it belongs to the next group."""
        if not self.fits(body):
            return False
        self.add(body)
        return True

    def fits(self, body: Body) -> bool:
        """Whether an element may follow in this group."""
        return not self.closed and self._fits(body)

    def _fits(self, body: Body) -> bool:
        if isinstance(body, QUESTIONS):
            return True
        if isinstance(body, _REPEATABLE):
            path = self._key(body.path)
            own = path in self._made or (path in self._left and isinstance(body, CreateFile))
            return own or not self._moved(path)
        if isinstance(body, _REMOVALS):
            path = self._key(body.path)
            return path in self._made or (not self._renamed.near(path) and self._free(path))
        if isinstance(body, Rename):
            return self._fits_rename(self._key(body.path), self._key(body.new_path))
        if isinstance(body, MakeSymbolicLink | MakeHardLink):
            names = [self._key(path) for path in paths_of(body)]
            return not self._touched.hold(self._key(body.path)) and not any(self._moved(name) for name in names)
        return not self._count

    def _fits_rename(self, old: str, new: str) -> bool:
        fresh = not self._touched.hold(new) and not self._moved(new)
        if old in self._made:
            return fresh or new in self._made or new in self._left
        return fresh and self._free(old) and not self._moved(old)

    def _moved(self, path: str) -> bool:
        return self._renamed.near(path) or self._removed.near(path)

    def _free(self, path: str) -> bool:
        """Whether what is at ``path`` may be renamed or removed and the group repeated nevertheless."""
        return path in self._made or not self._touched.hold(path)

    def add(self, body: Body) -> None:
        """Add an element that `fits`."""
        self._count += 1
        created, self._created = self._created, ""
        if isinstance(body, QUESTIONS):
            return
        if isinstance(body, _REPEATABLE):
            self._touch(body, self._key(body.path), created)
        elif isinstance(body, _REMOVALS):
            self._remove(body, self._key(body.path))
        elif isinstance(body, Rename):
            self._rename(self._key(body.path), self._key(body.new_path))
        elif isinstance(body, MakeSymbolicLink | MakeHardLink):
            for path in paths_of(body):
                self._made.discard(self._key(path))  # it may have another name now
                self._touched.add(self._key(path))
        else:
            self.closed = True  # alone: what it changes is part of the position

    def _touch(self, body: Body, path: str, created: str) -> None:
        if isinstance(body, CreateFile) and path in self._left:
            self._left.discard(path)
            self._made.add(path)  # nothing is there: it begins without bytes
        elif isinstance(body, CreateFile) and not self._touched.hold(path):
            self._created = path
        elif isinstance(body, Truncate) and not body.size and created == path:
            self._made.add(path)
        self._touched.add(path)

    def _remove(self, body: Body, path: str) -> None:
        self._removed.add(path)
        self._made.discard(path)
        if isinstance(body, RemoveFile):
            self._left.add(path)

    def _rename(self, old: str, new: str) -> None:
        self._renamed.add(old)
        self._renamed.add(new)
        if old in self._made:
            self._made.discard(old)
            self._left.add(old)
            self._left.discard(new)
            self._made.add(new)


class Window:
    """What is applied and not settled yet: one group, and while it is being settled what follows is one by itself, too.

    Args:
        key: the form in which the file system compares paths.
    """

    def __init__(self, key: Callable[[str], str]) -> None:
        self.count = 0
        self._key = key
        self._groups = [Group(key)]
        self._before = 0

    @property
    def closed(self) -> bool:
        """Whether it holds an element that has to be settled at once."""
        return any(group.closed for group in self._groups)

    def take(self, body: Body) -> bool:
        """Add an element; False, and it was not added, when the window has to be settled first."""
        if self.count >= MAX_WINDOW_ITEMS or not all(group.fits(body) for group in self._groups):
            return False
        for group in self._groups:
            group.add(body)
        self.count += 1
        return True

    def split(self) -> None:
        """What is in it is about to be settled."""
        self._groups.append(Group(self._key))
        self._before = self.count

    def settled(self) -> None:
        """What was in it at the last `split` is settled."""
        del self._groups[:-1]
        self.count -= self._before
