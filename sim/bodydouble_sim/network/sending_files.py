"""Files over connections: ``loop.sendfile`` and ``loop.sock_sendfile`` in pieces, for want of a kernel that could."""

from __future__ import annotations

import asyncio
import socket
from asyncio.constants import SENDFILE_FALLBACK_READBUFFER_SIZE as PIECE
from asyncio.constants import _SendfileMode
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def send_pieces(send: Callable[[bytes], Awaitable[None]], file: Any, offset: int, count: int | None) -> int:
    """Send ``count`` bytes (None: all) of a file from ``offset`` on; its position is behind them then.

    Raises:
        ValueError: the file is a text file, or a number is out of range.
        TypeError: a number is none.
    """
    _check(file, offset, count)
    if offset:
        file.seek(offset)
    sent = 0
    try:
        while count is None or sent < count:
            piece = file.read(PIECE if count is None else min(PIECE, count - sent))
            if not piece:
                break
            await send(piece)
            sent += len(piece)
    finally:
        if sent and hasattr(file, "seek"):
            file.seek(offset + sent)
    return sent


def _check(file: Any, offset: int, count: int | None) -> None:
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if count is not None and not isinstance(count, int):
        raise TypeError(f"count must be a positive integer (got {count!r})")
    if count is not None and count <= 0:
        raise ValueError(f"count must be a positive integer (got {count!r})")
    if not isinstance(offset, int):
        raise TypeError(f"offset must be a non-negative integer (got {offset!r})")
    if offset < 0:
        raise ValueError(f"offset must be a non-negative integer (got {offset!r})")


def check_stream(sock: Any) -> None:
    """Refuse a datagram socket.

    Raises:
        ValueError: it is one.
    """
    if sock.type != socket.SOCK_STREAM:
        raise ValueError("only SOCK_STREAM type sockets are supported")


def check_transport(transport: Any, *, fallback: bool) -> None:
    """Refuse a transport that files cannot be sent over.

    Raises:
        RefusedError: it is closing, is none of streams, or only the kernel's ``sendfile`` was wanted.
    """
    if transport.is_closing():
        raise RefusedError("Transport is closing")
    if getattr(transport, "_sendfile_compatible", _SendfileMode.UNSUPPORTED) is _SendfileMode.UNSUPPORTED:
        raise RefusedError(f"sendfile is not supported for transport {transport!r}")
    if not fallback:
        raise RefusedError(f"fallback is disabled and native sendfile is not supported for transport {transport!r}")


class FileSender(asyncio.Protocol):
    """Stands in for a transport's protocol while a file is sent: nothing is read, and room to write is awaited."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._protocol = transport.get_protocol()
        self._read = transport.is_reading()
        self._room: asyncio.Future[None] | None = None
        self._lost = False
        transport.pause_reading()
        transport.set_protocol(self)

    async def send(self, piece: bytes) -> None:
        """Write a piece and wait until there is room again.

        Raises:
            ConnectionError: the peer is gone.
        """
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        self._transport.write(piece)
        if self._room is not None:
            await self._room

    def pause_writing(self) -> None:
        """There is no room."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """There is room."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone: tell the sender, and the protocol whose connection it was."""
        self._lost = True
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_exception(exc or ConnectionError("Connection is closed by peer"))
        self._protocol.connection_lost(exc)

    def restore(self) -> None:
        """Give the transport back."""
        if self._lost:
            return
        self._transport.set_protocol(self._protocol)
        if self._room is not None:  # cancelled: the protocol must know that it may not write
            self._protocol.pause_writing()
        if self._read:
            self._transport.resume_reading()
