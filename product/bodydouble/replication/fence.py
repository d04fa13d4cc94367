"""Fence: what a stream reads is never newer than what it was told.

A filter may report a change some time after it took effect. A mirror that reads a file and then looks whether it was
told of changes meanwhile would take new content for old. So nothing that was read is handed out before everything that
may show in it was reported.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bodydouble.replication.passing import ReadOnlyFileSystem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bodydouble.ports import FileFilter, FileSystem


class FencedFileSystem(ReadOnlyFileSystem):
    """A `bodydouble.ports.FileSystem` for a stream's reads.

    Args:
        files: the host's.
        file_filter: reports changes of them.
    """

    def __init__(self, files: FileSystem, file_filter: FileFilter) -> None:
        super().__init__(files)
        self._filter = file_filter

    @asynccontextmanager
    async def _reading(self, path: str) -> AsyncIterator[None]:
        del path  # the filter tells of all of them together
        try:
            yield
        finally:
            await self._filter.settled()
