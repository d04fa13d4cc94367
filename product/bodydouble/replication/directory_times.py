"""Times of directories: what is done inside a directory changes its time of last write, on each side to its own.

So a source sends the time of each directory in which something was done, a little later: once for many operations, and
last, because whatever is done inside afterwards would change it again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble.replication.protocol import Orphans, RemoveTree
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeSymbolicLink,
    Operation,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetTimes,
    changes_names,
    paths_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.ports import FileSystem
    from bodydouble.replication.protocol import Body
    from bodydouble.replication.rules import Selection

DELAY = 0.5
"""Seconds from the first operation in a directory until its time is sent."""
_LEAVING = (Rename, RemoveDirectory, RemoveFile, RemoveTree, MakeSymbolicLink)


def directories_of(body: Body) -> tuple[str, ...]:
    """The directories whose times an element of the stream changes."""
    if isinstance(body, MakeDirectory):
        return body.path, paths.parent(body.path)
    if isinstance(body, Rename):
        return paths.parent(body.path), paths.parent(body.new_path)
    if isinstance(body, Orphans):
        return body.path, paths.parent(body.path)
    if isinstance(body, CreateFile | RemoveTree) or (isinstance(body, Operation) and changes_names(body)):
        return (paths.parent(body.path),)
    return ()


class DirectoryTimes:
    """Knows in which directories something was done, and sends their times.

    Args:
        file_system: where to look.
        selection: the rules; only what they select has its time sent.
        put: queues an element.

    Attributes:
        count: how many elements were queued.
        on_settled: called when the times for everything up to one number of elements are queued, with that and with
            the number now.
    """

    def __init__(self, file_system: FileSystem, selection: Selection, put: Callable[[Body], object]) -> None:
        self.count: Callable[[], int] = lambda: 0
        self.on_settled: Callable[[int, int], None] = lambda _begun, _ended: None
        self._file_system = file_system
        self._selection = selection
        self._key = selection.key
        self._put = put
        self._pending: dict[str, str] = {}
        self._above: set[str] = set()
        self._some = asyncio.Event()
        self._sending = asyncio.Lock()
        self._flight = ""
        self._again = self._lost = self._followed = False

    # --- called for everything that goes into the stream ---

    def note(self, body: Body) -> None:
        """An element was queued."""
        if isinstance(body, SetTimes):
            self._again = self._again or self._key(body.path) == self._key(self._flight)
            return
        if isinstance(body, _LEAVING):
            self._leave(body)
        for path in directories_of(body):
            self.owe(path)

    def owe(self, path: str) -> None:
        """The time of a directory is to be sent: something was done in it, or the replica has another."""
        key = self._key(path)
        if self._flight and key == self._key(self._flight):
            self._again = True
        if key in self._pending or not self._selection.selects(path):
            return
        self._pending[key] = path
        while (above := paths.parent(key)) != key and above not in self._above:
            self._above.add(above)
            key = above
        self._some.set()

    def _leave(self, body: Rename | RemoveDirectory | RemoveFile | RemoveTree | MakeSymbolicLink) -> None:
        """What has that name is no more, or has another name."""
        for path in paths_of(body) if isinstance(body, Operation) else (body.path,):
            if self._flight and paths.is_beneath(self._key(self._flight), self._key(path)):
                self._lost = True
        if isinstance(body, Rename):
            self._follow(self._key(body.path), body)

    def _follow(self, old: str, rename: Rename) -> None:
        if self._flight and paths.is_beneath(self._key(self._flight), old):
            self._followed = True
            self.owe(rename.new_path + self._flight[len(old) :])
        if old in self._pending or old in self._above:
            self._followed = True
            for key in [key for key in self._pending if paths.is_beneath(key, old)]:
                self.owe(rename.new_path + self._pending.pop(key)[len(old) :])

    # --- sending ---

    @property
    def pending(self) -> bool:
        """Whether times are still to be sent."""
        return bool(self._pending or self._flight)

    async def run(self) -> None:
        """Send times as they become due; until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(DELAY)
            await self.settle()

    async def settle(self) -> None:
        """Send the times of all directories in which something was done before this call."""
        async with self._sending:
            begun, self._followed = self.count(), False
            for _ in range(len(self._pending)):
                if not self._pending:
                    break
                await self._send(self._pending.pop(next(iter(self._pending))))
            if not self._pending:
                self._above.clear()
                self._some.clear()
            if not self._followed:
                self.on_settled(begun, self.count())

    async def _send(self, path: str) -> None:
        self._flight, self._again, self._lost = path, False, False
        try:
            entry = await self._file_system.stat(path)
        except FileSystemError:
            entry = None
        finally:
            self._flight = ""
        if self._lost or entry is None or entry.kind != "directory":
            return
        if self._again:
            self.owe(path)
        else:
            self._put(SetTimes(path, entry.mtime_ns))
