"""The `FileSystem` port over a thread pool: one hop for each call, one hop for each batch.

What is not replicated, and why a volume that holds it looks smaller here than it is: devices, FIFOs and sockets are
listed nowhere; names that product form cannot say (not UTF-8, control characters) neither, nor symbolic links whose
target is no text. Which extended attributes are carried says `extended`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from bodydouble.adapters.posix.batch import Batch
from bodydouble.adapters.posix.tree import Tree
from bodydouble.errors import FileSystemError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from bodydouble.adapters.posix.backing import Backing
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import AnyOperation, Entry

P = ParamSpec("P")
T = TypeVar("T")


class PosixFileSystem:
    """Volumes of a POSIX host, reached beneath whatever the filter mounted over them.

    Args:
        backing: the directories opened before the filter was mounted.
        executor: threads for the blocking calls; closed by its owner.
    """

    def __init__(self, backing: Backing, executor: Executor) -> None:
        self._backing = backing
        self._tree = Tree(backing)
        self._executor = executor

    @property
    def case_sensitive(self) -> bool:
        """True: names that differ in case are different files."""
        return True

    async def list_directory(self, path: str) -> list[Entry]:
        """See the port."""
        return await self._in_thread(self._tree.list_directory, path)

    async def stat(self, path: str) -> Entry | None:
        """See the port."""
        return await self._in_thread(self._tree.stat, path)

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        """See the port; no file has named streams here."""
        if stream:
            raise FileSystemError("not_found", path, f"{stream}: this host has no named streams")
        return await self._in_thread(self._tree.read, path, offset, size)

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        """See the port."""
        return await self._in_thread(self._tree.find_data, path, offset)

    async def capabilities(self, path: str) -> Capabilities:
        """See the port."""
        return await self._in_thread(self._tree.capabilities, path)

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        """See the port."""
        work = asyncio.ensure_future(self._in_thread(self._apply, operations, durable))
        cancelled: asyncio.CancelledError | None = None
        while not work.done():  # a thread cannot be cancelled, and must not go on beside the batch that comes next
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            work.exception()  # taken note of
            raise cancelled
        work.result()

    async def flush(self, path: str) -> None:
        """See the port."""
        await self._in_thread(self._tree.flush, path)

    async def free_space(self, path: str) -> int:
        """See the port."""
        return await self._in_thread(self._tree.free_space, path)

    def _apply(self, operations: Sequence[AnyOperation], durable: bool) -> None:
        batch = Batch(self._tree, durable=durable)
        done = 0
        try:
            for operation in operations:
                batch.carry_out(operation)
                done += 1
            batch.finish()
        except BaseException as error:
            if isinstance(error, FileSystemError):
                error.done = done
            # What was carried out stays so, with its times; the first failure is the one to report.
            with suppress(FileSystemError):
                batch.finish()
            raise
        finally:
            if self._backing.on_change is not None:
                self._backing.on_change(operations)

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: call(*args, **kwargs))
