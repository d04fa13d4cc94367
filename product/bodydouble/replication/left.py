"""Files that mirrors left alone on the target: newer there ("only if the source is newer"), or simply there. Pure.

The replica differs from the source in them. That is what was ordered; but as soon as an application changes such a file
on the source, its operations would be carried out on another file's bytes. So the stream remembers them, and sends the
file anew when that happens.

A mirror that leaves alone whatever is there leaves nearly everything, and is a restoration, in which nobody should
write. So there it is the other way round: whatever was not sent counts as left, and only what was sent is remembered,
as far as there is room; what is forgotten of it is sent once more if it is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeHardLink,
    PunchHole,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation

MAX_LEFT = 100_000
"""A mirror that would leave more because they are newer is ended: that target holds no replica of this source."""
MAX_SENT = 10_000
"""So many are remembered that were sent, where everything else counts as left."""

_INTO_A_FILE = (CreateFile, Write, Truncate, PunchHole, SetMetadata, SetTimes, StreamOperation)
"""What may be about a file that was left alone; the last three about a directory, too."""


class LeftFiles:
    """The files that are newer on the target, as far as is known.

    Args:
        key: the form in which the file system compares paths.
        limit: how many are remembered.

    Attributes:
        everything: whatever was not sent counts as left.
    """

    everything = False

    def __init__(self, key: Callable[[str], str], limit: int = MAX_LEFT) -> None:
        self._key = key
        self._limit = limit
        self._paths: dict[str, str] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._paths)

    def add(self, path: str) -> bool:
        """A mirror left ``path`` alone; False when there are too many to remember."""
        if len(self._paths) >= self._limit:
            return False
        self._paths[self._key(path)] = path
        return True

    def recount(self) -> None:
        """The mirror looks at everything once more; what it leaves is known already."""

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


class AllButSent(LeftFiles):
    """Whatever was not sent counts as left alone.

    Args:
        key: the form in which the file system compares paths.
        limit: how many of those that were sent are remembered.
    """

    everything = True

    def __init__(self, key: Callable[[str], str], limit: int = MAX_SENT) -> None:
        super().__init__(key, limit)
        self._count = 0

    def __len__(self) -> int:
        """How many the mirror met; one that it had to look at again counts again."""
        return self._count

    def add(self, path: str) -> bool:  # noqa: ARG002 - it is not remembered
        """See the base."""
        self._count += 1
        return True

    def recount(self) -> None:
        """See the base."""
        self._count = 0

    def forget(self, path: str) -> None:
        """See the base."""
        if len(self._paths) >= self._limit:
            self._paths.clear()
        self._paths[self._key(path)] = path

    def changed(self, operation: AnyOperation) -> str:
        """See the base; what is returned may be a directory, of which nothing beneath was changed."""
        if isinstance(operation, Rename):
            self._drop(operation.path)
            self._drop(operation.new_path)
        elif isinstance(operation, MakeHardLink):
            self._drop(operation.path)
        elif isinstance(operation, _INTO_A_FILE) and self._key(operation.path) not in self._paths:
            return operation.path
        return ""

    def _drop(self, path: str) -> None:
        """What is at ``path`` and beneath is perhaps another file now, one that was not sent."""
        top = self._key(path)
        for key in [key for key in self._paths if paths.is_beneath(key, top)]:
            del self._paths[key]
