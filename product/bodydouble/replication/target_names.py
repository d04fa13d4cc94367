"""Names that a target of another kind cannot have: left out as if a rule excluded them, and said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import PathError
from bodydouble.vocabulary import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.replication.mapping import PathMap

LONGEST_NAME = 255
"""Of a component: UTF-16 units on volumes of hosts with drives, bytes on others."""


class TargetNames:
    """Which of the source's paths the target can have.

    Args:
        path_map: where they are on the target.
        on_first: told of the first one that it cannot have.
    """

    def __init__(self, path_map: PathMap, on_first: Callable[[str], None]) -> None:
        self._map = path_map
        self._on_first: Callable[[str], None] | None = on_first

    def fit(self, path: str) -> bool:
        """Whether the target can have ``path``."""
        place = self._map.there(path)
        if place is None or _can_be(place):
            return True
        if self._on_first is not None:
            self._on_first(path)
            self._on_first = None
        return False


def _can_be(place: str) -> bool:
    try:
        paths.check_file(place)
    except PathError:
        return False
    encoding, unit = ("utf-16-le", 2) if paths.has_drive(place) else ("utf-8", 1)
    return all(len(part.encode(encoding)) <= LONGEST_NAME * unit for part in place.split("/"))
