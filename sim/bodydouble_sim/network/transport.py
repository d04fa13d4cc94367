"""asyncio's transport over a simulated TCP connection, and the socket-like object that it shows."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.network.frames import ACK
from bodydouble_sim.network.ports import Listener
from bodydouble_sim.network.tcp import CLOSED, DATA, ESTABLISHED, MSS, WINDOW, TcpConnection

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.ports import Key, TcpPorts

    Connect: TypeAlias = Callable[[Nic | None, Key, Callable[[], None]], "TcpTransport"]

SEND_BUFFER = 64 * 1024  # what the stack takes off the application's hands before it is acknowledged
HIGH_WATER = 64 * 1024  # asyncio's default
_LINGER_ZERO = struct.pack("ii", 1, 0)
_BYTES = (bytes, bytearray, memoryview)


class SimSocket:
    """What ``get_extra_info("socket")`` gives: addresses and options, but no file descriptor."""

    def __init__(
        self,
        kind: int,
        name: tuple[str, int],
        peer: tuple[str, int] | None = None,
        *,
        connection: TcpConnection | None = None,
    ) -> None:
        self.family = socket.AF_INET
        self.type = kind
        self.proto = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
        self._name = name
        self._peer = peer
        self._connection = connection
        self._options: dict[tuple[int, int], Any] = {}

    def getsockname(self) -> tuple[str, int]:
        """Local address and port."""
        return self._name

    def getpeername(self) -> tuple[str, int]:
        """Remote address and port.

        Raises:
            OSError: not connected.
        """
        if self._peer is None:
            raise OSError(107, "socket is not connected")
        return self._peer

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Remembered; SO_LINGER with zero seconds and SO_KEEPALIVE change what the connection does."""
        self._options[level, option] = value
        if self._connection is not None and (level, option) == (socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            self._connection.keep_alive(wanted=bool(value))

    def getsockopt(self, level: int, option: int, _: int = 0) -> Any:
        """What `setsockopt` was given, else 0."""
        return self._options.get((level, option), 0)

    def fileno(self) -> int:
        """-1: there is no descriptor."""
        return -1

    def close(self) -> None:
        """Nothing: the transport owns the connection."""


class TcpTransport(TcpConnection):
    """A connection as asyncio protocols see it.

    Callbacks run in the context that the connection was made in (a listener's for accepted ones), so that what they
    start belongs to the same machine.
    """

    __slots__ = (
        "__weakref__",
        "_buffered",
        "_closing",
        "_context",
        "_eof_pending",
        "_factory",
        "_gone",
        "_high",
        "_inbox",
        "_lost_told",
        "_low",
        "_opened",
        "_protocol",
        "_reading_paused",
        "_writing_paused",
    )

    def __init__(
        self,
        ports: TcpPorts,
        nic: Nic | None,
        key: Key,
        context: contextvars.Context,
        factory: Callable[[], asyncio.BaseProtocol],
        *,
        opened: asyncio.Future[Any] | None = None,
        gone: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(ports, nic, key, ports.first_sequence())
        self._context = context
        self._factory = factory
        self._opened = opened
        self._gone = gone
        self._protocol: Any = None
        self._buffered = False
        self._closing = False
        self._reading_paused = False
        self._writing_paused = False
        self._eof_pending = False
        self._lost_told = False
        self._inbox: deque[bytes] = deque()
        self._high = HIGH_WATER
        self._low = HIGH_WATER // 4

    def __repr__(self) -> str:
        return f"<TcpTransport {self.local}:{self.local_port} -> {self.remote}:{self.remote_port}>"

    # --- from the protocol machine ----------------------------------------------------------------------------------

    def on_established(self) -> None:
        """Make the protocol and hand it its transport."""
        self._extra = {
            "peername": (self.remote, self.remote_port),
            "sockname": (self.local, self.local_port),
            "socket": SimSocket(
                socket.SOCK_STREAM, (self.local, self.local_port), (self.remote, self.remote_port), connection=self
            ),
        }
        try:
            self.set_protocol(self._context.run(self._factory))
        except Exception as error:  # noqa: BLE001 - asyncio hands it to whoever connects; a server goes on
            self._stillborn(error)
            return
        self._call(self._protocol.connection_made, self)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def _stillborn(self, error: Exception) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error)
        else:
            self._report("protocol factory", error)
        self.abort()

    def on_data(self, payload: bytes) -> None:
        """Give payload to the protocol, or keep it while reading is paused or a close still sends."""
        if self._lost_told:
            self.reset()  # RFC 1122, 4.2.2.13: data for a closed application is answered by a reset
        elif self._reading_paused or self._inbox or self._closing:
            self._inbox.append(payload)
            self._inbox_size += len(payload)
        else:
            self._feed(payload)

    def _feed(self, payload: bytes) -> None:
        try:
            if self._buffered:
                self._fill(payload)
            else:
                self._context.run(self._protocol.data_received, payload)
        except Exception as error:  # noqa: BLE001 - a protocol's failure concerns its connection only
            self._protocol_failed(error)

    def _fill(self, payload: bytes) -> None:
        """asyncio.BufferedProtocol: into its buffer, piece by piece, as long as it takes more."""
        while payload:
            buffer = memoryview(self._context.run(self._protocol.get_buffer, -1))
            if buffer.nbytes == 0:
                raise RuntimeError("get_buffer() returned an empty buffer")
            size = min(len(buffer), len(payload))
            buffer[:size] = payload[:size]
            payload = payload[size:]
            self._context.run(self._protocol.buffer_updated, size)
            if payload and (self._reading_paused or self._closing or not self._buffered):
                self._inbox.appendleft(payload)
                self._inbox_size += len(payload)
                self.loop.schedule(0, self._deliver_kept, None)
                return

    def on_eof(self) -> None:
        """Tell the protocol; it keeps its own direction open by answering true."""
        if self._closing:
            return
        if self._reading_paused or self._inbox:
            self._eof_pending = True
            return
        self._eof_pending = False
        try:
            keep_open = self._context.run(self._protocol.eof_received)
        except Exception as error:  # noqa: BLE001 - as above
            self._protocol_failed(error)
            return
        if not keep_open:
            self.close()

    def on_room(self) -> None:
        """The peer took something: let the protocol write again, finish a close that waited for room."""
        waiting = self.get_write_buffer_size()
        if self._writing_paused and waiting <= self._low:
            self._writing_paused = False
            self._call(self._protocol.resume_writing)
        if self._closing and waiting == 0:
            self._leave(None)

    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone: fail the open, or tell the protocol.

        One that both ends finished in order stays open for the protocol, as a socket does, until it closes.
        """
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error or ConnectionAbortedError("connection aborted"))
        elif error is not None:
            self._tell_lost(error)
        else:
            self._closing = self._lost_told

    def _tell_lost(self, error: Exception | None) -> None:
        self._closing = True
        if not self._lost_told:
            self._lost_told = True
            if self._protocol is not None:
                self.loop.call_soon(self._protocol.connection_lost, error, context=self._context)
            if self._gone is not None:
                self.loop.call_soon(self._gone, context=self._context)

    def _call(self, callback: Callable[..., object], *args: Any) -> None:
        """Call the protocol where asyncio only reports a failure: at the beginning, and about room to write."""
        try:
            self._context.run(callback, *args)
        except Exception as error:  # noqa: BLE001 - reported
            self._report(callback.__name__, error)

    def _report(self, what: str, error: Exception) -> None:
        self.loop.call_exception_handler(
            {"message": f"{what} of {self!r} failed", "exception": error, "transport": self}
        )

    def _protocol_failed(self, error: Exception) -> None:
        self._report("protocol", error)
        self._force_close(error)

    def die(self) -> None:
        """Stop in silence; the transport then counts as closing, so that no writer's finalizer complains."""
        super().die()
        self._closing = True

    # --- reading ----------------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether data is passed on as it comes."""
        return not self._reading_paused and not self._closing

    def pause_reading(self) -> None:
        """Keep what comes; the window shrinks with it."""
        self._reading_paused = True

    def resume_reading(self) -> None:
        """Pass on what was kept, and open the window again."""
        if not self._reading_paused:
            return
        self._reading_paused = False
        if self._inbox or self._eof_pending:
            self.loop.schedule(0, self._deliver_kept, None)

    def _deliver_kept(self, _: object) -> None:
        shut = WINDOW - self._inbox_size < 2 * MSS
        while self._inbox and not self._reading_paused and not self._closing:
            payload = self._inbox.popleft()
            self._inbox_size -= len(payload)
            self._feed(payload)
        if shut and WINDOW - self._inbox_size >= 2 * MSS and self.state == ESTABLISHED:
            self.emit(ACK, self.snd_nxt, b"")
        if self._eof_pending and not self._inbox and not self._reading_paused:
            self.on_eof()

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes, at once as far as the peer's window allows."""
        if self._fin_wanted and not self._closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not isinstance(data, _BYTES):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        size = len(data)
        if self._closing or self.state == CLOSED or not size:
            return
        if type(data) is not bytes:
            data = bytes(data)
            size = len(data)
        if size <= MSS and not self._pending and self.snd_nxt - self.snd_una + size <= self.snd_wnd:
            self._queue(DATA, data, size)
        else:
            self._pending.extend([data[at : at + MSS] for at in range(0, size, MSS)])
            self._unsent += size
            self.push()
        if not self._writing_paused and self.get_write_buffer_size() > self._high:
            self._pause_writer()

    def _pause_writer(self) -> None:
        self._writing_paused = True
        try:
            self._protocol.pause_writing()  # the caller is in the protocol's context already
        except Exception as error:  # noqa: BLE001 - reported
            self._report("pause_writing", error)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        """Bytes that the stack has not taken over yet: unacknowledged ones beyond its send buffer."""
        return max(0, self._unsent + self.snd_nxt - self.snd_una - SEND_BUFFER)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high water mark, bytes."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when `pause_writing` and `resume_writing` are called, as asyncio defines it."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        if not self._writing_paused and self.get_write_buffer_size() > high:
            self._pause_writer()

    def can_write_eof(self) -> bool:
        """True: TCP has half-close."""
        return True

    def write_eof(self) -> None:
        """Send FIN after what was written; reading goes on."""
        if not self._fin_wanted and self.state == ESTABLISHED:
            self._fin_wanted = True
            self.push()

    # --- the end ----------------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes to another protocol."""
        self._protocol = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The present protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the connection was lost."""
        return self._closing

    def close(self) -> None:
        """Send what was written, then FIN; unread input turns that into a reset (RFC 1122, 4.2.2.13)."""
        if self._closing:
            return
        self._closing = True
        if self.get_write_buffer_size() == 0:
            self._leave(None)

    def abort(self) -> None:
        """Drop what the stack has not taken over and close. The rest goes out, and FIN, as with a real socket.

        A reset needs SO_LINGER with zero seconds on ``get_extra_info("socket")``, or unread input.
        """
        self._force_close(None)

    def _force_close(self, error: Exception | None) -> None:
        self._closing = True
        surplus = self.get_write_buffer_size()
        pending = self._pending
        while surplus > 0 and pending:
            piece = pending.pop()
            kept = piece[: max(0, len(piece) - surplus)]
            surplus -= len(piece) - len(kept)
            self._unsent -= len(piece) - len(kept)
            if kept:
                pending.append(kept)
        self._leave(error)

    def _leave(self, error: Exception | None) -> None:
        """Where asyncio closes the socket, which the protocol is told."""
        if self._lost_told:
            return
        self._tell_lost(error)
        if self._inbox or self.state != ESTABLISHED or self._lingers_zero():
            self.reset()
        elif not self._fin_wanted:
            self._fin_wanted = True
            self.push()

    def _lingers_zero(self) -> bool:
        shown: SimSocket = self.get_extra_info("socket")
        linger = shown.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER)
        return bool(linger) and bytes(linger) == _LINGER_ZERO


class SimServer(asyncio.AbstractServer):
    """What ``create_server`` gives.

    Its ports are chosen at once and open when it begins to serve.
    """

    def __init__(self, ports: TcpPorts, addresses: list[str], port: int, connect: Connect) -> None:
        self._ports = ports
        self._loop = ports.stack.loop
        self._connect = connect
        self._listeners = [Listener(address, port, self._accept) for address in addresses]
        self._serving = False
        self._closed = False
        self._connections = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None
        for listener in self._listeners:
            ports.listen(listener)  # the port must be free, as for bind()
        for listener in self._listeners:
            ports.unlisten(listener)

    def _accept(self, nic: Nic | None, key: Key) -> TcpTransport:
        self._connections += 1
        return self._connect(nic, key, self._detach)

    def _detach(self) -> None:
        self._connections -= 1
        self._wake()

    def _wake(self) -> None:
        if self._closed and not self._connections:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    @property
    def sockets(self) -> tuple[SimSocket, ...]:
        """One socket-like object a listening port; none after `close`."""
        return tuple(SimSocket(socket.SOCK_STREAM, (listener.address, listener.port)) for listener in self._listeners)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return self._serving

    def begin(self) -> None:
        """Open the ports.

        Raises:
            OSError: one is in use (EADDRINUSE).
        """
        if not self._serving:
            for listener in self._listeners:
                self._ports.listen(listener)
            self._serving = True

    async def start_serving(self) -> None:
        """Accept connections. Idempotent."""
        self.begin()

    async def serve_forever(self) -> None:
        """Accept connections until cancelled.

        Raises:
            RuntimeError: it is closed, or serves for ever already.
        """
        if self._forever is not None:
            raise RefusedError("this server serves for ever already")
        if self._closed:
            raise RefusedError("this server is closed")
        self.begin()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()

    def close(self) -> None:
        """Accept nothing more; connections go on. Idempotent."""
        for listener in self._listeners:
            self._ports.unlisten(listener)
        self._listeners = []
        self._serving = False
        self._closed = True
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._wake()

    async def wait_closed(self) -> None:
        """Wait for `close` and the end of the connections; as in Python 3.11, a closed server does not wait."""
        if not self._closed:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
