"""Unplaced: what of the source is not on the replica because another name had its place. Pure.

A file without its place must not come by halves: whatever happens to it happens to nothing, also once the place is
free, until a mirror brings all of it or the source's own is gone.
"""

from __future__ import annotations

from bodydouble.vocabulary import paths

MAX_UNPLACED = 100_000
"""That are remembered one by one."""


class Unplaced:
    """Paths that were left out, with all that is beneath.

    Attributes:
        unknown: there may be others: of an earlier daemon, or too many.
    """

    def __init__(self) -> None:
        self.unknown = False
        self._paths: set[str] = set()

    def clear(self) -> None:
        """A mirror begins: it says again what is left out."""
        self.unknown = False
        self._paths.clear()

    def __contains__(self, path: str) -> bool:
        """Whether just this path was left out."""
        return path in self._paths

    def covers(self, path: str) -> bool:
        """Whether ``path`` may be missing because it, or a directory that it is in, was left out."""
        if self.unknown:
            return True
        while self._paths and path not in self._paths:
            above = paths.parent(path)
            if above == path:
                return False
            path = above
        return bool(self._paths)

    def add(self, path: str) -> None:
        """It is left out."""
        if len(self._paths) < MAX_UNPLACED:
            self._paths.add(path)
        else:
            self.unknown = True

    def discard(self, path: str) -> None:
        """Nothing of the source is at ``path`` any more, or all of it is here."""
        if self._paths:
            self._paths = {each for each in self._paths if not paths.is_beneath(each, path)}

    def move(self, old: str, new: str) -> None:
        """The source renamed what is at ``old``; what was at ``new`` is gone."""
        if self._paths:
            self.discard(new)
            self._paths = {new + each[len(old) :] if paths.is_beneath(each, old) else each for each in self._paths}
