"""Agenda: the paths that a mirror still has to visit, in their order. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodydouble.replication.touches import Touches


class Agenda:
    """Paths to visit. One that is revisited was the source's own a moment ago: if it is gone, it goes on the target.

    Args:
        first: where to begin.
        touches: hear of what has to be looked at again.
    """

    def __init__(self, first: Iterable[str], touches: Touches) -> None:
        self._touches = touches
        self._pending: dict[str, bool] = dict.fromkeys(first, False)
        self._current = ""

    def __len__(self) -> int:
        """How many paths are left, without the one that is being visited."""
        return len(self._pending)

    def take(self) -> tuple[str, bool]:
        """The next path, which is being visited from now on, and whether it is revisited."""
        path = self._current = next(iter(self._pending))
        return path, self._pending.pop(path)

    def done(self) -> None:
        """The visit has ended."""
        self._current = ""

    def add(self, path: str) -> None:
        """Visit ``path``, too."""
        self._pending.setdefault(path, False)

    def revisit(self, *found: str) -> None:
        """Visit these paths because of what an application did, or of what was done with other names of a file."""
        self._pending |= dict.fromkeys(found, True)

    def again(self, path: str) -> None:
        """What is known of ``path`` and of all that is beneath does not hold any more."""
        self._touches.note_tree(path)
        self.revisit(path)

    def begin_anew(self, whole: Iterable[str]) -> None:
        """Nothing that is known of these trees holds any more."""
        for path in whole:
            self._touches.note_tree(path)
            self._pending[path] = False

    def concerns(self, path: str) -> bool:
        """Whether ``path`` is above, at or beneath something that is being visited or still to be."""
        key = self._touches.key
        mine = key(path)
        return any(
            paths.is_beneath(mine, key(other)) or paths.is_beneath(key(other), mine)
            for other in (self._current, *self._pending)
            if other
        )
