"""The `FileFilter` port: a FUSE mount over one directory, served by the product's event loop.

Start the filter before the applications: a file opened beneath the directory before the mount stays outside it.
The mount shows no set-user-ID effect and no devices (libfuse mounts nosuid,nodev).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyfuse3

from bodydouble.adapters.fuse import mounts, requests
from bodydouble.adapters.fuse.handlers import PassThrough, PlainPassThrough
from bodydouble.adapters.fuse.hard_links import find_names
from bodydouble.adapters.fuse.reporter import Reporter
from bodydouble.adapters.sinks import SinkTable
from bodydouble.errors import FilterError
from bodydouble.vocabulary.paths import is_beneath

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from bodydouble.adapters.posix.backing import Backing
    from bodydouble.ports import Attachment, Sink

A = TypeVar("A")
T = TypeVar("T")

_OPTIONS = {"fsname=bodydouble", "subtype=bodydouble", "default_permissions", "allow_other"}


class FuseFilter:
    """Sees every change that applications make beneath ``root``. One for each process: pyfuse3 serves one mount only.

    Args:
        root: the directory to protect, in product form.
        backing: holds the directory open from before the mount; the product's file system resolves through it.
        executor: threads for mounting, unmounting and fsync.
        extended_attributes: whether applications may use them there, and access control lists.
    """

    _serving: str | None = None

    def __init__(self, root: str, backing: Backing, executor: Executor, *, extended_attributes: bool = True) -> None:
        self._root = root
        self._extended_attributes = extended_attributes
        self._backing = backing
        self._executor = executor
        self._sinks = SinkTable()
        self._ready = asyncio.Event()
        self._stopping = False
        self._handlers: PassThrough | None = None
        self._session: asyncio.Task[None] | None = None

    async def attach(self, root: str, sink: Sink) -> Attachment:
        """See the port.

        Raises:
            FilterError: ``root`` is not beneath the mount, or the mount is gone.
        """
        if not is_beneath(root, self._root):
            raise FilterError(f"{root}: not beneath {self._root}, which is what the filter watches")
        if self._session is None or self._session.done():
            raise FilterError(f"{self._root}: the filter is not mounted; restart the daemon")
        return self._sinks.attach(root, sink)

    async def start(self) -> None:
        """Mount, after taking away what a crashed predecessor left.

        Raises:
            FilterError: not root, no /dev/fuse, no such directory, another mount in this process, or the system
                refused.
        """
        self._check_possible()
        try:
            await self._in_thread(mounts.detach_stale, self._root)
            backing = self._backing.hold(self._root)
            groups = await self._in_thread(find_names, backing)
        except OSError as error:
            raise FilterError(f"{self._root}: cannot be filtered: {error.strerror}") from error
        reporter = Reporter(self._root, self._sinks)
        handlers = PassThrough if self._extended_attributes else PlainPassThrough
        self._handlers = handlers(backing, reporter, self._executor, on_ready=self._ready.set)
        self._handlers.learn(groups)
        self._mount(self._handlers)
        self._session = asyncio.create_task(pyfuse3.main(), name=f"fuse session {self._root}")
        self._session.add_done_callback(self._ended)
        try:
            await self._until_ready(self._session)
        except BaseException:
            await self.stop()
            raise

    def _check_possible(self) -> None:
        if FuseFilter._serving is not None:
            raise FilterError(f"{self._root}: this process already filters {FuseFilter._serving}, one root is possible")
        if os.geteuid() != 0 or not Path("/dev/fuse").exists():
            raise FilterError(f"{self._root}: mounting the filter needs root and /dev/fuse")

    def _mount(self, handlers: PassThrough) -> None:
        requests.enable()
        try:
            pyfuse3.init(handlers, self._root, _OPTIONS)
        except RuntimeError as error:
            handlers.close()
            raise FilterError(f"{self._root}: {error}; libfuse said why on standard error") from error
        FuseFilter._serving = self._root

    async def _until_ready(self, session: asyncio.Task[None]) -> None:
        waiting = asyncio.create_task(self._ready.wait(), name="fuse session ready")
        await asyncio.wait({waiting, session}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._ready.is_set():
            raise FilterError(f"{self._root}: the mount ended before it began")

    def _ended(self, session: asyncio.Task[None]) -> None:
        """Say so when the mount ends by another hand: from then on changes are not seen."""
        if not self._stopping:
            error = FilterError(f"{self._root}: the filter was unmounted; changes are no longer seen")
            error.__cause__ = None if session.cancelled() else session.exception()
            session.get_loop().call_exception_handler({"message": str(error), "exception": error})

    async def stop(self) -> None:
        """Unmount; what applications still hold open there answers with an error from now on. Idempotent."""
        if self._session is None or self._handlers is None:
            return
        self._stopping = True
        session, self._session = self._session, None
        try:
            await self._in_thread(mounts.take_away, self._root)
        except OSError as error:
            raise FilterError(f"{self._root}: cannot be unmounted: {error.strerror}") from error
        finally:
            await self._end_session(session, self._handlers)

    @staticmethod
    async def _end_session(session: asyncio.Task[None], handlers: PassThrough) -> None:
        try:
            if not session.done():
                pyfuse3.terminate()
                await session
        finally:
            # False: the mount is gone already, and unmounting by path once more could hit the volume underneath.
            pyfuse3.close(unmount=False)
            FuseFilter._serving = None
            handlers.close()

    async def _in_thread(self, call: Callable[[A], T], argument: A) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call, argument)
