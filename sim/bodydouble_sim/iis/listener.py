"""A listening service whose clients each get a coroutine: FTP, SMTP and NNTP stand on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble_sim.windows.system import WindowsSystem

LINE_LIMIT = 8 * 1024

if TYPE_CHECKING:
    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class StreamListener:
    """Listens on one port and owns its clients' tasks.

    Args:
        system: the machine that the tasks belong to.
        name: for task names.
        serve: talks to one client until it is done.
    """

    def __init__(self, system: WindowsSystem, name: str, serve: Serve) -> None:
        self._system = system
        self._name = name
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._accepted = 0

    async def start(self, address: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        self._server = await asyncio.start_server(self._connected, address, port, limit=LINE_LIMIT)

    @property
    def port(self) -> int:
        """The port that it really has."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        task = self._system.spawn(self._client(reader, writer), f"{self._name} client {self._accepted}")
        self._clients[task] = writer
        task.add_done_callback(lambda ended: self._clients.pop(ended, None))

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, ValueError):
            return  # the client went away, or sent a line without an end
        finally:
            writer.close()

    def close(self) -> None:
        """Stop listening and drop every client at once."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task, writer in list(self._clients.items()):
            writer.transport.abort()
            task.cancel()

    async def stop(self) -> None:
        """`close`, and wait until the clients' tasks have ended."""
        clients = list(self._clients)
        self.close()
        if clients:
            await asyncio.wait(clients)
