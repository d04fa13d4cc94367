"""Passing on: what a file system that stands before another one does of itself, which is nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from bodydouble.ports import FileSystem
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import AnyOperation, Entry


class PassingFileSystem:
    """A `bodydouble.ports.FileSystem` that hands everything on; whoever inherits says what is different.

    Args:
        files: what it stands before.
    """

    def __init__(self, files: FileSystem) -> None:
        self._files = files

    @property
    def case_sensitive(self) -> bool:
        """As the host's volumes are."""
        return self._files.case_sensitive

    def _reading(self, path: str) -> AbstractAsyncContextManager[None]:
        """What a read of ``path`` happens in."""
        del path
        return _nothing()

    async def list_directory(self, path: str) -> list[Entry]:
        """See the port."""
        async with self._reading(path):
            return await self._files.list_directory(path)

    async def stat(self, path: str) -> Entry | None:
        """See the port."""
        async with self._reading(path):
            return await self._files.stat(path)

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        """See the port."""
        async with self._reading(path):
            return await self._files.read(path, offset, size, stream)

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """See the port."""
        async with self._reading(path):
            return await self._files.find_data(path, offset)

    async def capabilities(self, path: str) -> Capabilities:
        """See the port."""
        return await self._files.capabilities(path)

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """See the port."""
        await self._files.apply(operations, durable=durable)

    async def flush(self, path: str) -> None:
        """See the port."""
        await self._files.flush(path)

    async def free_space(self, path: str) -> int:
        """See the port."""
        return await self._files.free_space(path)


class ReadOnlyFileSystem(PassingFileSystem):
    """What a stream reads through: it changes nothing."""

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """Nothing is carried out.

        Raises:
            FileSystemError: always.
        """
        raise FileSystemError("denied", operations[0].path if operations else "", f"only read here ({durable=})")


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield
