"""Files that mirrors left alone on the target because they are newer there ("only if the source is newer"). Pure.

The replica differs from the source in them. That is what was ordered; but as soon as an application changes such a file
on the source, its operations would be carried out on another file's bytes. So the stream remembers them, and sends the
file anew when that happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import MakeHardLink, RemoveFile, Rename

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation

MAX_LEFT = 100_000
"""A mirror that would leave more is ended: that target holds no replica of this source."""


class LeftFiles:
    """The files that are newer on the target, as far as is known.

    Args:
        key: the form in which the file system compares paths.
        limit: how many are remembered.
    """

    def __init__(self, key: Callable[[str], str], limit: int = MAX_LEFT) -> None:
        self._key = key
        self._limit = limit
        self._paths: dict[str, str] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._paths)

    def add(self, path: str, *, unlimited: bool = False) -> bool:
        """A mirror left ``path`` alone; False when there are too many to remember.

        Args:
            path: of the file.
            unlimited: so many are expected: the mirror leaves alone whatever is there.
        """
        if len(self._paths) >= self._limit and not unlimited:
            return False
        self._paths[self._key(path)] = path
        return True

    def clear(self) -> None:
        """A mirror begins that looks at everything again."""
        self._paths.clear()

    def forget(self, path: str) -> None:
        """``path`` is being sent."""
        self._paths.pop(self._key(path), None)

    def changed(self, operation: AnyOperation) -> str:
        """Take in what an application did; the path that must be sent because of it, empty when there is none."""
        if not self._paths:
            return ""
        if isinstance(operation, Rename):
            self._rename(operation)
        elif isinstance(operation, MakeHardLink):
            self.forget(operation.path)
            if self._key(operation.existing) in self._paths:
                self.add(operation.path)
        elif isinstance(operation, RemoveFile):
            self.forget(operation.path)
        elif self._key(operation.path) in self._paths:
            return operation.path
        return ""

    def _rename(self, operation: Rename) -> None:
        old, new = self._key(operation.path), self._key(operation.new_path)
        if old == new:
            return
        replaced = [key for key in self._paths if paths.is_beneath(key, new)]
        moved = [(key, path) for key, path in self._paths.items() if paths.is_beneath(key, old)]
        for key in (*replaced, *(key for key, _ in moved)):
            self._paths.pop(key, None)
        for _, path in moved:
            self.add(operation.new_path + path[len(operation.path) :])
