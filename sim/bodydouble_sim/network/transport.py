"""asyncio's transport and server over simulated TCP connections."""

from __future__ import annotations

import asyncio
import socket
from asyncio.constants import _SendfileMode
from collections import deque
from typing import TYPE_CHECKING, Any

from bodydouble_sim.handles import OWNER
from bodydouble_sim.network.frames import ACK, Sealed
from bodydouble_sim.network.options import SimSocket
from bodydouble_sim.network.tcp import CLOSED, DATA, ESTABLISHED, MSS, WINDOW, TcpConnection
from bodydouble_sim.network.tls import HANDSHAKE, is_hello

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Iterable

    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.options import SocketOptions
    from bodydouble_sim.network.ports import Key, TcpPorts

SEND_BUFFER = 64 * 1024  # what the stack takes off the application's hands before it is acknowledged
HIGH_WATER = 64 * 1024  # asyncio's default
_BYTES = (bytes, bytearray, memoryview)
PROTOCOL_FAILURES = (Exception, asyncio.CancelledError, SystemExit)
"""What a protocol's callback may raise without ending the world: the frame that it answers is the simulator's own."""


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
        "_sealed",
        "_writing_paused",
    )
    _sendfile_compatible = _SendfileMode.FALLBACK
    _start_tls_compatible = True

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
        self._sealed = False
        self._inbox: deque[bytes] = deque()
        self._high = HIGH_WATER
        self._low = HIGH_WATER // 4

    def __repr__(self) -> str:
        return f"<TcpTransport {self.local}:{self.local_port} -> {self.remote}:{self.remote_port}>"

    # --- from the protocol machine ----------------------------------------------------------------------------------

    def on_established(self) -> None:
        """Make the protocol and hand it its transport."""
        self._show()
        try:
            self.set_protocol(self._context.run(self._factory))
        except PROTOCOL_FAILURES as error:  # asyncio hands it to whoever connects; a server goes on
            self._stillborn(error)
            return
        self._call(self._protocol.connection_made, self)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def _show(self, options: SocketOptions | None = None) -> None:
        """Say who is connected to whom."""
        name, peer = (self.local, self.local_port), (self.remote, self.remote_port)
        shown = SimSocket(socket.SOCK_STREAM, name, peer, connection=self, options=options)
        self._extra = {"peername": peer, "sockname": name, "socket": shown}

    def _stillborn(self, error: BaseException) -> None:
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
        except PROTOCOL_FAILURES as error:  # a protocol's failure concerns its connection only
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
        except PROTOCOL_FAILURES as error:  # as above
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

    def _tell_lost(self, error: BaseException | None) -> None:
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
        except PROTOCOL_FAILURES as error:  # reported
            self._report(callback.__name__, error)

    def _report(self, what: str, error: BaseException) -> None:
        self.loop.call_exception_handler(
            {"message": f"{what} of {self!r} failed", "exception": error, "transport": self}
        )

    def _protocol_failed(self, error: BaseException) -> None:
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
        shut = self._is_shut()
        while self._inbox and not self._reading_paused and not self._closing:
            payload = self._inbox.popleft()
            self._inbox_size -= len(payload)
            self._feed(payload)
        self._reopen(shut=shut)
        if self._eof_pending and not self._inbox and not self._reading_paused:
            self.on_eof()

    def _is_shut(self) -> bool:
        return WINDOW - self._inbox_size < 2 * MSS

    def _reopen(self, *, shut: bool) -> None:
        """Tell the peer that a window that was shut is open again (RFC 1122, 4.2.3.3)."""
        if shut and not self._is_shut() and self.state == ESTABLISHED:
            self.emit(ACK, self.snd_nxt, b"")

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
        if self._sealed or (data[0] == HANDSHAKE and is_hello(data)):
            self._write_sealed(data)
        elif size <= self.mss and not self._pending and self.snd_nxt - self.snd_una + size <= self.snd_wnd:
            self._queue(DATA, data, size)
        else:
            mss = self.mss
            self._pending.extend([data[at : at + mss] for at in range(0, size, mss)])
            self._unsent += size
            self.push()
        if not self._writing_paused and self.get_write_buffer_size() > self._high:
            self._pause_writer()

    def _write_sealed(self, data: bytes) -> None:
        """TLS goes on: from its first message on what is written is ciphertext, which the trace must not hold."""
        self._sealed = True
        mss = self.mss
        self._pending.extend([Sealed(data[at : at + mss]) for at in range(0, len(data), mss)])
        self._unsent += len(data)
        self.push()

    def _pause_writer(self) -> None:
        self._writing_paused = True
        try:
            self._protocol.pause_writing()  # the caller is in the protocol's context already
        except PROTOCOL_FAILURES as error:  # reported
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

    def belongs_to(self, owner: Incarnation) -> bool:
        """Whether its protocol is code of that life."""
        return self._context.get(OWNER) is owner

    def orphan(self) -> None:
        """The process that had it was killed: the system closes it as `abort` does, and calls nobody."""
        self._opened = self._gone = None
        self._writing_paused = False
        self.abort()

    def _force_close(self, error: BaseException | None) -> None:
        self._closing = True
        surplus = self.get_write_buffer_size()
        pending = self._pending
        while surplus > 0 and pending:
            piece = pending.pop()
            kept = type(piece)(piece[: max(0, len(piece) - surplus)])
            surplus -= len(piece) - len(kept)
            self._unsent -= len(piece) - len(kept)
            if kept:
                pending.append(kept)
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
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
        return shown.options.lingers_zero()
