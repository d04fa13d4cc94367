"""The records that the site has acknowledged, for readers to ask for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble_labs.workload.content import Document

RECENT = 20


class Shelf:
    """The last acknowledged records, newest last."""

    def __init__(self) -> None:
        self._recent: deque[tuple[str, Document]] = deque(maxlen=RECENT)

    def put(self, key: str, document: Document) -> None:
        """Remember an acknowledged record."""
        self._recent.append((key, document))

    def recent(self) -> list[tuple[str, Document]]:
        """Keys and contents of the last acknowledged records."""
        return list(self._recent)
