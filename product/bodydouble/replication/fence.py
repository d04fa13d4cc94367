"""Fence: what a stream reads is never newer than what it was told.

A filter may report a change some time after it took effect. A mirror that reads a file and then looks whether it was
told of changes meanwhile would take new content for old. So nothing that was read is handed out before everything that
may show in it was reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.ports import FileFilter, FileSystem
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import AnyOperation, Entry


class FencedFileSystem:
    """A `bodydouble.ports.FileSystem` for a stream's reads.

    Args:
        files: the host's.
        file_filter: reports changes of them.
    """

    def __init__(self, files: FileSystem, file_filter: FileFilter) -> None:
        self._files = files
        self._filter = file_filter

    @property
    def case_sensitive(self) -> bool:
        """As the host's volumes are."""
        return self._files.case_sensitive

    async def list_directory(self, path: str) -> list[Entry]:
        """See the port."""
        try:
            return await self._files.list_directory(path)
        finally:
            await self._filter.settled()

    async def stat(self, path: str) -> Entry | None:
        """See the port."""
        try:
            return await self._files.stat(path)
        finally:
            await self._filter.settled()

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        """See the port."""
        try:
            return await self._files.read(path, offset, size, stream)
        finally:
            await self._filter.settled()

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """See the port."""
        try:
            return await self._files.find_data(path, offset)
        finally:
            await self._filter.settled()

    async def capabilities(self, path: str) -> Capabilities:
        """See the port."""
        return await self._files.capabilities(path)

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """A stream changes nothing.

        Raises:
            FileSystemError: always.
        """
        raise FileSystemError("denied", operations[0].path if operations else "", f"only read here ({durable=})")

    async def flush(self, path: str) -> None:
        """See the port."""
        await self._files.flush(path)

    async def free_space(self, path: str) -> int:
        """See the port."""
        return await self._files.free_space(path)
