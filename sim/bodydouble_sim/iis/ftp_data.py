"""FTP data connections: passive (the server listens on a port of its own) and active (it connects to the client)."""

from __future__ import annotations

import asyncio

WAIT = 30.0


class DataConnection:
    """The data connection that the next transfer of a session uses.

    Args:
        local: the address that the client reached the server at.
    """

    def __init__(self, local: str) -> None:
        self._local = local
        self._server: asyncio.AbstractServer | None = None
        self._accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None = None
        self._active: tuple[str, int] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def listen(self) -> int:
        """Listen on a free port and return it (PASV, EPSV).

        Raises:
            OSError: no port could be had.
        """
        self.close()
        self._accepted = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._connected, self._local, 0)
        port = self._server.sockets[0].getsockname()[1]
        return int(port)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._accepted is None or self._accepted.done():
            writer.close()
            return
        self._writer = writer
        self._accepted.set_result((reader, writer))

    def aim(self, host: str, port: int) -> None:
        """Connect to the client for the next transfer (PORT)."""
        self.close()
        self._active = (host, port)

    @property
    def prepared(self) -> bool:
        """Whether PASV, EPSV or PORT came before."""
        return self._accepted is not None or self._active is not None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connected streams.

        Raises:
            OSError: the client did not connect within `WAIT` seconds, or refused ours (`TimeoutError` is one).
        """
        async with asyncio.timeout(WAIT):
            if self._accepted is not None:
                return await self._accepted
            if self._active is None:
                raise ConnectionError("no PASV or PORT came before the transfer")
            reader, self._writer = await asyncio.open_connection(*self._active)
            return reader, self._writer

    def close(self) -> None:
        """Give up the port and the connection."""
        if self._server is not None:
            self._server.close()
        if self._writer is not None:
            self._writer.close()
        self._server = self._accepted = self._active = self._writer = None

    def abort(self) -> None:
        """As `close`, but what is not sent yet is dropped."""
        if self._writer is not None:
            self._writer.transport.abort()
        self.close()
