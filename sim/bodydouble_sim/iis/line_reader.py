"""Lines from a client that may send anything: commands of a bounded length, and text up to a lone dot."""

from __future__ import annotations

import asyncio


class LineTooLongError(ValueError):
    """A command line is longer than allowed; it has been read to its end."""


class LineReader:
    """Reads a client's commands and texts.

    Args:
        reader: the connection; its own limit bounds what is held of a line.
        idle: seconds of silence after which `TimeoutError` is raised.
    """

    def __init__(self, reader: asyncio.StreamReader, idle: float) -> None:
        self._reader = reader
        self._idle = idle

    async def command(self, limit: int) -> bytes | None:
        """The next line without its end; None at the end of the connection.

        Raises:
            LineTooLongError: longer than ``limit`` octets.
            TimeoutError: silence.
        """
        line, whole = await self._piece()
        if not line:
            return None
        if not whole or len(line) > limit:
            while not whole:
                _, whole = await self._piece()
            raise LineTooLongError(f"a line of more than {limit} octets")
        return line.rstrip(b"\r\n")

    async def text(self, limit: int) -> tuple[bytes, int]:
        """A text up to the line that is a lone dot (RFC 2821, 4.5.2; RFC 977, 2.4.1), dots at line starts undone.

        Only CR LF ends a line: a lone line feed is text, so that nobody smuggles a second message through us.

        Returns:
            The text, cut off once it is longer than ``limit``, and its full length.

        Raises:
            EOFError: the connection ended inside the text.
            TimeoutError: silence.
        """
        kept, length, tail = bytearray(), 0, b"\r\n"
        while True:
            line, _ = await self._piece()
            if not line:
                raise EOFError("the connection ended inside a text")
            if tail == b"\r\n" and line == b".\r\n":
                return bytes(kept), length
            if tail == b"\r\n" and line.startswith(b"."):
                line = line[1:]
            tail = (tail + line)[-2:]
            length += len(line)
            if len(kept) <= limit:
                kept += line

    async def _piece(self) -> tuple[bytes, bool]:
        """Up to the next line feed or as much as the reader holds, and whether it is a whole line."""
        async with asyncio.timeout(self._idle):
            try:
                return await self._reader.readuntil(b"\n"), True
            except asyncio.LimitOverrunError as error:
                return await self._reader.readexactly(error.consumed), False
            except asyncio.IncompleteReadError as error:
                return error.partial, True
