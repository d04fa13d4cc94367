"""The body of a request as it arrives, by length or in chunks (RFC 2616, 3.6.1 and 4.4)."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING

from bodydouble_sim.iis.http_message import HEAD_LIMIT
from bodydouble_sim.iis.http_status import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_LINE_LIMIT = 1024
HIGH_WATER = 256 * 1024


class BodyDecoder:
    """Takes the bytes of one body off a connection's stream.

    Args:
        length: of the body; None when it comes in chunks.
    """

    def __init__(self, length: int | None) -> None:
        self._chunked = length is None
        self._left = length or 0
        self._state = "size" if self._chunked else "data"
        self._trailer = 0
        self.done = length == 0

    def take(self, buffer: bytes) -> tuple[bytes, bytes]:
        """The body's bytes in ``buffer``, and what is not used (yet).

        Raises:
            RefusalError: 400, the chunks make no sense.
        """
        parts: list[bytes] = []
        while buffer and not self.done:
            if self._state == "data":
                part, buffer = buffer[: self._left], buffer[self._left :]
                parts.append(part)
                self._left -= len(part)
                if not self._left:
                    self.done = not self._chunked
                    self._state = "end"
            else:
                if self._state == "end" and not b"\r\n".startswith(buffer[:2]):
                    raise RefusalError(400)
                line, newline, rest = buffer.partition(b"\r\n")
                if not newline:
                    if len(buffer) > _LINE_LIMIT:
                        raise RefusalError(400)
                    break
                buffer = rest
                self._line(line)
        return b"".join(parts), buffer

    def _line(self, line: bytes) -> None:
        if self._state == "end":
            if line:
                raise RefusalError(400)
            self._state = "size"
        elif self._state == "size":
            match = _SIZE.fullmatch(line)
            if match is None or len(line) > _LINE_LIMIT:
                raise RefusalError(400)
            self._left = int(match[1], 16)
            self._state = "data" if self._left else "trailer"
        else:
            self._trailer += len(line)
            if self._trailer > HEAD_LIMIT:
                raise RefusalError(400)
            self.done = not line


class Body:
    """What a handler reads of a request's body.

    Args:
        wanted: called once, before the handler first waits for bytes (``100 Continue``).
        drained: called when the handler has taken what had arrived.
    """

    def __init__(self, wanted: Callable[[], None], drained: Callable[[], None]) -> None:
        self._wanted = wanted
        self._drained = drained
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._error: RefusalError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._asked = False
        self.held = 0

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        if data:
            self._chunks.append(data)
            self.held += len(data)
            self._wake()

    def end(self, error: RefusalError | None = None) -> None:
        """No more bytes will come: the body is complete, or ``error`` says why not."""
        self._ended, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def chunk(self) -> bytes:
        """The next bytes, empty at the end.

        Raises:
            RefusalError: 400, the rest makes no sense.
        """
        if not self._asked:
            self._asked = True
            self._wanted()
        while not self._chunks and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._chunks:
            data = self._chunks.popleft()
            self.held -= len(data)
            self._drained()
            return data
        if self._error is not None:
            raise self._error
        return b""

    async def whole(self, limit: int) -> bytes:
        """All of it.

        Raises:
            RefusalError: 413 when it is longer than ``limit`` bytes; 400.
        """
        parts: list[bytes] = []
        size = 0
        while data := await self.chunk():
            size += len(data)
            if size > limit:
                raise RefusalError(413)
            parts.append(data)
        return b"".join(parts)
