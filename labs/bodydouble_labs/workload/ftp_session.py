"""An FTP client's session (RFC 959, EPSV of RFC 2428): log in, store files, close everything it opened, at once.

Written out rather than taken from a library because a lab needs two things of it: that a store counts only with the
server's final 226, and that an upload that fails leaves no connection for the garbage collector to close some time
later, which no run would do at the same instant as another.
"""

from __future__ import annotations

import asyncio
import re

from bodydouble_labs.workload.outcomes import RefusalError

_EXTENDED_PORT = re.compile(r"\(\|\|\|(\d{1,5})\|\)")
_PRELIMINARY, _COMPLETE, _INTERMEDIATE = "1", "2", "3"


class FtpSession:
    """One control connection, logged in anonymously, in binary mode."""

    def __init__(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._address = address
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: str, port: int) -> FtpSession:
        """Connect and log in.

        Raises:
            OSError: no connection, or it broke.
            RefusalError: the server does not let us in.
        """
        session = cls(address, *await asyncio.open_connection(address, port))
        try:
            await session._expect(_COMPLETE)
            if (await session._command("USER anonymous", _COMPLETE + _INTERMEDIATE))[0] == _INTERMEDIATE:
                await session._command("PASS lab@bodydouble.invalid", _COMPLETE)
            await session._command("TYPE I", _COMPLETE)
        except BaseException:
            session.close()
            raise
        return session

    async def store(self, path: str, data: bytes) -> None:
        """Upload a file; returns when the server has confirmed it with its final reply.

        Raises:
            OSError: the connection broke: nobody knows what the server kept.
            RefusalError: the server said no.
        """
        answer = await self._command("EPSV", _COMPLETE)
        match = _EXTENDED_PORT.search(answer)
        if match is None:
            raise RefusalError(f"no port in the answer to EPSV: {answer}")
        _, writer = await asyncio.open_connection(self._address, int(match[1]))
        try:
            await self._command(f"STOR {path}", _PRELIMINARY)
            writer.write(data)
            await writer.drain()
        finally:
            writer.close()
        await self._expect(_COMPLETE)

    async def quit(self) -> None:
        """Say goodbye and close."""
        try:
            await self._command("QUIT", _COMPLETE)
        finally:
            self.close()

    def close(self) -> None:
        """Close the control connection without a word."""
        self._writer.close()

    async def _command(self, line: str, kinds: str) -> str:
        self._writer.write(f"{line}\r\n".encode())
        return await self._expect(kinds)

    async def _expect(self, kinds: str) -> str:
        """The next reply, if it is of one of the kinds (first digits)."""
        line = await self._line()
        if line[3:4] == "-":  # a reply of many lines ends with its code and a blank
            while not (last := await self._line()).startswith(f"{line[:3]} "):
                pass
            line = last
        if line[:1] not in kinds:
            raise RefusalError(line)
        return line

    async def _line(self) -> str:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("closed before the reply")
        return line.decode("latin-1").rstrip("\r\n")
