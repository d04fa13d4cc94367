"""The `FileFilter` port: FUSE mounts over directories, served by the filter program, which this daemon reads.

Start the filter before the applications: a file opened beneath a directory before the mount stays outside it.
The mounts show no set-user-ID effect and no devices (they are mounted nosuid,nodev).
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bodydouble.adapters.fuse import program
from bodydouble.adapters.fuse.notes import NotesMemory
from bodydouble.adapters.fuse.reader import Reader
from bodydouble.adapters.fuse.ring import Ring
from bodydouble.adapters.fuse.staleness import Staleness
from bodydouble.adapters.sinks import Behind, SinkTable
from bodydouble.errors import FilterError
from bodydouble.vocabulary.paths import is_beneath

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Executor

    from bodydouble.adapters.fuse.program import Program
    from bodydouble.adapters.posix.backing import Backing
    from bodydouble.ports import FilterAttachment, Lost, Sink

T = TypeVar("T")

RING_BYTES = 64 << 20
_TOO_SOON = 2.0
"""Seconds: a program that ends sooner is not started again."""


class FuseFilter:
    """Sees every change that applications make beneath the roots.

    Args:
        roots: the directories to protect, in product form, none beneath another.
        backing: resolves paths beneath the mounts for the product's own file system.
        executor: threads for starting and stopping.
        extended_attributes: whether applications may use them there, and access control lists.
        ring_bytes: how much of what applications do fits between them and this daemon.
    """

    def __init__(
        self,
        roots: list[str],
        backing: Backing,
        executor: Executor,
        *,
        extended_attributes: bool = True,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        self._roots = roots
        self._extended_attributes = extended_attributes
        self._ring_bytes = ring_bytes
        self._backing = backing
        self._executor = executor
        self._sinks = SinkTable()
        self._gone: set[str] = set()
        self._program: Program | None = None
        self._ring: Ring | None = None
        self._reader: Reader | None = None
        self._notes: NotesMemory | None = None
        self._staleness: Staleness | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._began = 0.0

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> FilterAttachment:
        """See the port.

        Raises:
            FilterError: ``root`` is beneath no mount, or its mount is gone.
        """
        above = self._above(root)
        if self._restarting is not None:
            await asyncio.wait([self._restarting])
        await self.settled()  # what was done before is not to be reported
        self._check_mounted(above)
        return self._sinks.attach(root, sink, lost)

    def _above(self, root: str) -> str:
        """The mount that ``root`` is beneath.

        Raises:
            FilterError: there is none.
        """
        above = next((each for each in self._roots if is_beneath(root, each)), None)
        if above is None:
            raise FilterError(f"{root}: not beneath {' or '.join(self._roots)}, which is what the filter watches")
        return above

    def _check_mounted(self, above: str) -> None:
        """See whether what is done there is read.

        Raises:
            FilterError: the mount is gone.
        """
        if self._reader is None or above in self._gone:
            raise FilterError(f"{above}: the filter is not mounted; restart the daemon")

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> Behind:
        """See the port.

        Raises:
            FilterError: see the port.
        """
        mounts = [self._above(root) for root in sinks]

        for above in mounts:
            self._check_mounted(above)
        return Behind(self._sinks, position, sinks, lost, partial(self._catch_up, mounts))

    async def _catch_up(self, mounts: list[str], behind: Behind) -> None:
        reader = self._reader
        if reader is not None:
            await reader.catch_up(behind)
        for above in mounts:
            self._check_mounted(above)

    def notes(self, name: str) -> memoryview | None:
        """See the port."""
        return None if self._notes is None else self._notes.notes(name)

    def keep_notes(self, names: Collection[str]) -> None:
        """See the port."""
        if self._notes is not None:
            self._notes.keep(names)

    async def settled(self) -> None:
        """See the port."""
        if self._reader is not None:
            await self._reader.settled()

    async def start(self) -> None:
        """Mount; or take over the mounts and the program of a predecessor that crashed.

        Raises:
            FilterError: not root, no /dev/fuse, no program, no such directory, another daemon filters it, or the system
                refused.
        """
        obtain = partial(program.obtain, self._roots, self._ring_bytes, extended=self._extended_attributes)
        if os.geteuid() != 0 or not await self._in_thread(Path("/dev/fuse").exists):
            raise FilterError(f"{self._roots[0]}: mounting the filter needs root and /dev/fuse")
        self._began = asyncio.get_running_loop().time()
        try:
            self._program = await self._in_thread(obtain)
        except OSError as error:
            raise FilterError(f"{self._roots[0]}: cannot be filtered: {error.strerror}") from error
        try:
            self._take_up(self._program)
        except BaseException:
            await self.stop()
            raise

    def _take_up(self, running: Program) -> None:
        self._gone.clear()
        for root, fd in zip(running.roots, running.backing, strict=True):
            self._backing.adopt(root, os.dup(fd))
        self._ring = Ring(running.memory, running.ring_bytes, running.roots)
        with suppress(OSError):  # then nothing can be resumed
            self._notes = NotesMemory(running.memory, running.ring_bytes)
        self._reader = Reader(self._ring, running.bell, self._sinks)
        self._reader.start()
        self._staleness = Staleness(running.line, running.roots)
        self._backing.on_change = self._staleness.changed
        asyncio.get_running_loop().add_reader(running.line, self._hear)

    def _hear(self) -> None:
        """The program says something, or has ended."""
        assert self._program is not None
        try:
            said = self._program.line.recv(1024).decode()
        except BlockingIOError:
            return
        except OSError:
            said = ""
        if not said:
            self._program_ended()
        elif said.startswith("fresh ") and self._staleness is not None:
            self._staleness.answered(int(said.removeprefix("fresh ")))
        elif said.startswith("ended "):
            self._unmounted(self._program.roots[int(said.removeprefix("ended "))])

    def _program_ended(self) -> None:
        """It crashed, or somebody killed it: applications cannot reach their files until there is another one."""
        ended, self._program = self._program, None
        assert ended is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(ended.line)
        self._backing.on_change = None
        self._let_go(ended)
        why = f"the filter program of {', '.join(self._roots)} ended by itself"
        loop.call_exception_handler({"message": why, "exception": FilterError(why)})
        self._sinks.lose(why)
        self._restarting = loop.create_task(self._restart(ended), name="filter restart")

    async def _restart(self, ended: Program) -> None:
        """Take its dead mounts away and mount anew, unless it ended too soon for that to help."""
        try:
            await self._in_thread(ended.reap)
            if asyncio.get_running_loop().time() - self._began < _TOO_SOON:
                raise FilterError("it had only just been started")  # noqa: TRY301 - one way out
            await self.start()
        except FilterError as error:
            for root in self._roots:
                self._unmounted(root, f"and is not started again: {error}")
        finally:
            self._restarting = None

    def _unmounted(self, root: str, more: str = "") -> None:
        """Say so when a mount ends by another hand: from then on changes are not seen."""
        if root in self._gone:
            return
        self._gone.add(root)
        error = FilterError(f"{root}: the filter was unmounted {more}; changes are no longer seen".replace(" ;", ";"))
        asyncio.get_running_loop().call_exception_handler({"message": str(error), "exception": error})
        self._sinks.lose(str(error), root)

    async def stop(self) -> None:
        """Unmount; what applications still hold open there answers with an error from now on. Idempotent.

        Raises:
            FilterError: a mount cannot be taken away.
        """
        if self._restarting is not None:
            await asyncio.wait([self._restarting])
        running, self._program = self._program, None
        if running is None:
            await self._in_thread(partial(program.take_dead_mounts_away, self._roots))
            return
        asyncio.get_running_loop().remove_reader(running.line)
        self._backing.on_change = None
        try:
            await self._in_thread(running.stop)
        except OSError as error:
            raise FilterError(f"{self._roots[0]}: cannot be unmounted: {error.strerror}") from error
        finally:
            self._let_go(running)

    async def leave(self) -> None:
        """Read no more, and leave mounts and program to the next daemon."""
        if self._restarting is not None:
            await asyncio.wait([self._restarting])
        running, self._program = self._program, None
        if running is not None:
            asyncio.get_running_loop().remove_reader(running.line)
            self._backing.on_change = None
            self._let_go(running)

    def _let_go(self, ended: Program) -> None:
        if self._reader is not None:
            self._reader.finish()
            self._reader = None
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        if self._notes is not None:
            self._notes.close()
            self._notes = None
        ended.close()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)
