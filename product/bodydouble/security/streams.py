"""Streams of a connection whose long reads arrive where they are wanted, without passing through a buffer."""

from __future__ import annotations

import asyncio
from typing import cast

_SPACE_BYTES = 16 * 1024
"""For what nobody waits for yet; a TLS record at most."""
_LONG_BYTES = 16 * 1024
"""From this length on a read has its own place."""


class DirectProtocol(asyncio.StreamReaderProtocol, asyncio.BufferedProtocol):
    """Feeds a `DirectReader`.

    Args:
        reader: what is read from.
    """

    def __init__(self, reader: DirectReader) -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        reader.protocol = self
        self._reader = reader
        self._space = memoryview(bytearray(_SPACE_BYTES))
        self._place: memoryview | None = None
        self._filled: asyncio.Future[bool] | None = None

    async def fill(self, place: memoryview) -> bool:
        """Return when the next bytes have filled ``place``; False when the connection ends before.

        Raises:
            OSError: the connection broke.
        """
        self._place = place
        self._filled = asyncio.get_running_loop().create_future()
        try:
            return await self._filled
        finally:
            self._place = self._filled = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio."""
        del sizehint
        return self._space if self._place is None else self._place

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        if self._place is None:
            self._reader.feed_data(self._space[:nbytes])
            return
        self._place = self._place[nbytes:]
        if not self._place:
            self._place = None
            self._end(filled=True)

    def _end(self, *, filled: bool) -> None:
        if self._filled is not None and not self._filled.done():
            self._filled.set_result(filled)

    def eof_received(self) -> bool:
        """See asyncio."""
        self._end(filled=False)
        return bool(super().eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if exc is not None and self._filled is not None and not self._filled.done():
            self._filled.set_exception(exc)
        self._end(filled=False)
        super().connection_lost(exc)


class DirectReader(asyncio.StreamReader):
    """A reader that does not copy what is long. Read by one task; a read that is cancelled loses what it had."""

    protocol: DirectProtocol

    async def readexactly(self, n: int) -> bytes:
        """See asyncio; what is long comes as a `bytearray`.

        Raises:
            asyncio.IncompleteReadError: the connection ended before.
            OSError: it broke.
        """
        if n < _LONG_BYTES:
            return await super().readexactly(n)
        head = await self.read(n)
        if len(head) == n:
            return head
        if (broken := self.exception()) is not None:
            raise broken
        content = bytearray(n)
        content[: len(head)] = head
        if self.at_eof() or not await self.protocol.fill(memoryview(content)[len(head) :]):
            raise asyncio.IncompleteReadError(head, n)
        return cast("bytes", content)


def direct_streams() -> tuple[DirectReader, DirectProtocol]:
    """A reader and the protocol for its transport."""
    reader = DirectReader(loop=asyncio.get_running_loop())
    return reader, DirectProtocol(reader)
