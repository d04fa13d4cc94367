"""The loop's ``sock_*`` calls, over the sockets of simulated machines."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.handles import current_machine
from bodydouble_sim.network.frames import is_address
from bodydouble_sim.network.resolver import resolve
from bodydouble_sim.network.sending_files import FileSender, check_stream, check_transport, send_pieces
from bodydouble_sim.network.socket_stream import StreamEnd
from bodydouble_sim.network.sockets import MachineSocket

if TYPE_CHECKING:
    from bodydouble_sim.network.socket_datagram import DatagramEnd


def simulated(call: str, sock: Any) -> MachineSocket:
    """The socket, if it is a simulated machine's.

    Raises:
        RefusedError: it is not.
    """
    if not isinstance(sock, MachineSocket):
        raise RefusedError(
            f"{call}: expected a socket made on the simulated machine, by socket.socket() in its own code, "
            f"got {type(sock).__name__}; or use streams, create_connection and create_server"
        )
    return sock


def stream_of(call: str, sock: Any) -> StreamEnd:
    """What a stream socket holds.

    Raises:
        RefusedError: it is not a simulated machine's.
        ValueError: it is not one of streams.
    """
    end = simulated(call, sock).end
    if not isinstance(end, StreamEnd):
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")  # noqa: TRY004 - asyncio's error
    return end


class SocketCalls(asyncio.AbstractEventLoop):
    """The part of the loop that works on sockets."""

    async def sock_recv(self, sock: Any, nbytes: int) -> bytes:
        """At most so many bytes; empty at the end of input."""
        received: bytes = await _end("sock_recv", sock).until(partial(sock.recv, nbytes))
        return received

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """As `sock_recv`, into a buffer."""
        size: int = await _end("sock_recv_into", sock).until(partial(sock.recv_into, buf))
        return size

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> tuple[bytes, Any]:
        """The next datagram, cut to ``bufsize``, and who sent it."""
        received: tuple[bytes, Any] = await _end("sock_recvfrom", sock).until(partial(sock.recvfrom, bufsize))
        return received

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
        """As `sock_recvfrom`, into a buffer."""
        attempt = partial(sock.recvfrom_into, buf, nbytes)
        received: tuple[int, Any] = await _end("sock_recvfrom_into", sock).until(attempt)
        return received

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send everything, waiting for room as often as needed."""
        end = _end("sock_sendall", sock)
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[await end.until(partial(sock.send, rest)) :]

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> int:
        """Send a datagram."""
        await _ready()
        sent: int = await _end("sock_sendto", sock).until(partial(sock.sendto, data, address))
        return sent

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect; a name is looked up as the machine does.

        Raises:
            OSError: refused, no answer, no route.
        """
        end = _end("sock_connect", sock)
        await _ready()
        host, port = address
        if host and not is_address(host):
            host = await resolve(current_machine(), host)
        try:
            sock.connect((host, port))
        except BlockingIOError:
            await end.until(end.connected)

    async def sock_accept(self, sock: Any) -> tuple[MachineSocket, Any]:
        """The next connection, as a non-blocking socket, and who it is from."""
        accepted: tuple[MachineSocket, Any] = await _end("sock_accept", sock).until(sock.accept)
        accepted[0].setblocking(False)
        return accepted

    async def sock_sendfile(
        self, sock: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool | None = True
    ) -> int:
        """Send (a part of) a file, in pieces.

        Raises:
            asyncio.SendfileNotAvailableError: without ``fallback`` only the kernel could, and there is none.
        """
        _end("sock_sendfile", sock)
        check_stream(sock)
        if not fallback:
            raise asyncio.SendfileNotAvailableError("a simulated machine has no sendfile of its own")
        return await send_pieces(partial(self.sock_sendall, sock), file, offset, count)

    async def sendfile(
        self, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
    ) -> int:
        """Send (a part of) a file over a transport; its protocol reads nothing meanwhile."""
        check_transport(transport, fallback=fallback)
        sender = FileSender(transport)
        try:
            return await send_pieces(sender.send, file, offset, count)
        finally:
            sender.restore()


def _end(call: str, sock: Any) -> StreamEnd | DatagramEnd:
    if simulated(call, sock).gettimeout() != 0:
        raise ValueError("the socket must be non-blocking")
    end: StreamEnd | DatagramEnd = sock.end
    return end


async def _ready() -> None:
    """The addresses are claimed by now, or code that runs at boot waits for them."""
    await current_machine().stack.ready()
