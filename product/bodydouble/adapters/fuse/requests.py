"""Waiting for the kernel's next request without ever reading when there is none.

pyfuse3's asyncio layer waits for the FUSE descriptor to become readable and then reads it, blocking. When the
application that made the request is killed in between, the kernel takes the request back and that read would hang the
whole event loop until the next request. So the descriptor is asked once more right before the read. The same question
saves a trip through the selector while requests keep coming; now and then the loop gets its turn.
"""

from __future__ import annotations

import asyncio
import select

import pyfuse3
import pyfuse3.asyncio

#: Requests served in a row before everything else on the loop gets its turn.
_IN_A_ROW = 16


class RequestWaiter:
    """Replaces ``pyfuse3.asyncio.wait_readable``."""

    def __init__(self) -> None:
        self._wait = pyfuse3.asyncio.wait_readable
        self._polls: dict[int, select.poll] = {}
        self._in_a_row = 0

    async def __call__(self, fd: int) -> None:
        """Return when a request is there (or the session is over)."""
        if self._in_a_row >= _IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        self._in_a_row += 1
        while not self._readable(fd):
            self._in_a_row = 0
            await self._wait(fd)

    def _readable(self, fd: int) -> bool:
        if fd not in self._polls:
            self._polls[fd] = select.poll()
            self._polls[fd].register(fd, select.POLLIN)
        return bool(self._polls[fd].poll(0))


def enable() -> None:
    """Switch pyfuse3 to asyncio with the careful wait. Idempotent."""
    pyfuse3.asyncio.enable()
    pyfuse3.asyncio.notify_closing = _notify_closing
    if not isinstance(pyfuse3.asyncio.wait_readable, RequestWaiter):
        pyfuse3.asyncio.wait_readable = RequestWaiter()


def _notify_closing(fd: int) -> None:
    """Wake whoever waits. pyfuse3's own trips over a wait that just ended but has not been resumed yet."""
    for waiting in pyfuse3.asyncio._read_futures[fd]:  # noqa: SLF001 - the layer keeps them nowhere else
        if not waiting.done():
            waiting.set_exception(pyfuse3.asyncio.ClosedResourceError())
