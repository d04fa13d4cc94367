"""The door of a live body: a Unix socket on which clients ask for one command each.

A request and its answer are JSON objects behind a 4-byte big-endian length of at most `LIMIT`. A client that goes away
ends its command, as closing a console window does.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import TYPE_CHECKING, Annotated

import msgspec

from bodydouble.errors import BodydoubleError
from bodydouble_sim.live.client import LIMIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FAILED = 1


class Command(msgspec.Struct, frozen=True, tag_field="kind", tag="command", forbid_unknown_fields=True):
    """Run one line."""

    line: Annotated[str, msgspec.Meta(max_length=8192)]


class Batch(msgspec.Struct, frozen=True, tag_field="kind", tag="batch", forbid_unknown_fields=True):
    """Run a batch file."""

    path: str
    arguments: list[str]
    environment: dict[str, str]


class Query(msgspec.Struct, frozen=True, tag_field="kind", tag="query", forbid_unknown_fields=True):
    """Ask for a service's state."""

    name: str


Request = Command | Batch | Query
Answer = tuple[int, str]


class Door:
    """Listens on a Unix socket.

    Args:
        perform: carries out a request and returns exit code and output.
    """

    def __init__(self, perform: Callable[[Request], Awaitable[Answer]]) -> None:
        self._perform = perform
        self._server: asyncio.AbstractServer | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._count = 0

    async def open(self, path: str) -> None:
        """Listen; from now on the body counts as ready.

        Raises:
            OSError: the socket cannot be made.
        """
        self._server = await asyncio.start_unix_server(self._connected, path)

    async def close(self) -> None:
        """Listen no more and end what clients wait for."""
        if self._server is not None:
            self._server.close()
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        if clients:
            await asyncio.wait(clients)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        task = asyncio.create_task(self._client(reader, writer), name=f"door client {self._count}")
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            exit_code, output = await self._answer(reader)
            data = json.dumps({"exit_code": exit_code, "output": output}).encode()
            writer.write(struct.pack(">I", len(data)) + data)
            await writer.drain()
        except (OSError, EOFError):
            return  # it went away
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        if length > LIMIT:
            return FAILED, f"a request of {length} bytes is refused: at most {LIMIT} are allowed\n"
        try:
            request = msgspec.json.decode(await reader.readexactly(length), type=Request)
        except msgspec.MsgspecError as error:
            return FAILED, f"not a request: {error}\n"
        return await self._watched(reader, request)

    async def _watched(self, reader: asyncio.StreamReader, request: Request) -> Answer:
        work = asyncio.ensure_future(self._perform(request))
        gone = asyncio.create_task(reader.read(1), name="door client watch")
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise EOFError
            return work.result()
        except BodydoubleError as error:
            return FAILED, f"{error}\n"
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait([work, gone])
