"""A filter on a simulated volume: which changes it hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.operations import Rename
from bodydouble_sim.storage.names import fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation


class AttachedFilter:
    """One sink and its root in product form; a rename of a directory above the root concerns it as well."""

    def __init__(self, root: str, sink: Callable[[AnyOperation], None]) -> None:
        self.root = fold(root).rstrip("/")
        self.sink = sink

    def sees(self, operation: AnyOperation) -> bool:
        """Whether it is to hear of ``operation``, which took effect."""
        if self._beneath(operation.path):
            return True
        if not isinstance(operation, Rename):
            return False
        return self._beneath(operation.new_path) or self._above(operation.path) or self._above(operation.new_path)

    def _beneath(self, path: str) -> bool:
        path = fold(path)
        return path.startswith(self.root) and (len(path) == len(self.root) or path[len(self.root)] == "/")

    def _above(self, path: str) -> bool:
        return self.root.startswith(fold(path) + "/")
