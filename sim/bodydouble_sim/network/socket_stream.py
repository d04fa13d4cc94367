"""The stream half of sockets: a connection whose data stays in it until somebody asks, and the queue of a listener."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from bodydouble_sim.network.frames import NO_ADDRESS
from bodydouble_sim.network.options import SocketOptions
from bodydouble_sim.network.ports import Listener
from bodydouble_sim.network.readiness import Readiness
from bodydouble_sim.network.tcp import CLOSED, ESTABLISHED, SYN_RECEIVED, SYN_SENT
from bodydouble_sim.network.transport import SEND_BUFFER, TcpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.ports import Key, TcpPorts

_NOWHERE = (NO_ADDRESS, 0)
_LONGEST_BACKLOG = 200  # of a Windows NT server, KB 113576


def failure(number: int) -> OSError:
    """The error of that number, as the system words it."""
    return OSError(number, os.strerror(number))


class SocketConnection(TcpTransport):
    """A connection that a socket holds.

    Its reading is paused, so what comes stays in it and shuts the window in time, until the socket asks for it or a
    protocol takes the connection over.

    Attributes:
        lost: the error that ended it and that nobody was told yet.
        notify: called whenever something changed.
    """

    __slots__ = ("lost", "notify", "options")

    def __init__(self, ports: TcpPorts, nic: Nic | None, key: Key, options: SocketOptions) -> None:
        super().__init__(ports, nic, key, contextvars.copy_context(), asyncio.Protocol)
        self.lost: Exception | None = None
        self.notify: Callable[[], None] = _nobody
        self.options = options
        self._reading_paused = True

    def on_established(self) -> None:
        """There is no protocol to make yet."""
        self._show(self.options)
        self.notify()

    def on_data(self, payload: bytes) -> None:
        """Keep it, or give it to the protocol that took over."""
        super().on_data(payload)
        self.notify()

    def on_eof(self) -> None:
        """As data."""
        super().on_eof()
        self.notify()

    def on_room(self) -> None:
        """There is room to send."""
        super().on_room()
        self.notify()

    def on_lost(self, error: Exception | None) -> None:
        """Keep the error for the next call."""
        if self._protocol is None:
            self.lost = error
            self._closing = self._lost_told
        else:
            super().on_lost(error)
        self.notify()

    def take(self, size: int) -> bytes | None:
        """At most ``size`` bytes of what came; empty at the end of input, None: nothing came yet."""
        if not self._inbox:
            return b"" if self._eof_pending or self.state == CLOSED else None
        shut = self._is_shut()
        taken = bytearray()
        while self._inbox and len(taken) < size:
            piece = self._inbox.popleft()
            rest = piece[size - len(taken) :]
            if rest:
                self._inbox.appendleft(rest)
            taken += piece[: size - len(taken)]
        self._inbox_size -= len(taken)
        self._reopen(shut=shut)
        return bytes(taken)

    def room(self) -> int:
        """Bytes that the stack takes over now."""
        return max(0, SEND_BUFFER - self._unsent - (self.snd_nxt - self.snd_una))

    def shut(self) -> bool:
        """Whether nothing more may be written."""
        return self._fin_wanted

    def hand_over(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        context: contextvars.Context,
        gone: Callable[[], None] | None = None,
    ) -> asyncio.BaseProtocol:
        """Give the connection, with what came already, to the protocol that ``factory`` makes."""
        protocol = context.run(factory)
        self.notify = _nobody
        self._context, self._gone = context, gone
        self.set_protocol(protocol)
        self._call(self._protocol.connection_made, self)
        if self.lost is not None:
            super().on_lost(self.lost)
        self.resume_reading()
        return protocol


def _nobody() -> None:
    """Nobody waits."""


class StreamEnd(Readiness):
    """What a stream socket is to its machine: nothing yet, a port, a listener's queue, or a connection."""

    def __init__(self, machine: Machine, options: SocketOptions) -> None:
        super().__init__()
        self.machine = machine
        self.options = options
        self.connection: SocketConnection | None = None
        self.port: Listener | None = None
        self._listening = False
        self._input_shut = False
        self._backlog = 0
        self._arrived: deque[StreamEnd] = deque()
        self._taker: Callable[[SocketConnection], None] | None = None

    @property
    def name(self) -> tuple[str, int]:
        """Local address and port."""
        if self.connection is not None:
            return self.connection.local, self.connection.local_port
        return _NOWHERE if self.port is None else (self.port.address, self.port.port)

    @property
    def peer(self) -> tuple[str, int]:
        """Remote address and port.

        Raises:
            OSError: not connected (ENOTCONN).
        """
        connection = self._connected()
        return connection.remote, connection.remote_port

    def bind(self, address: str, port: int) -> None:
        """Take a port (0: any free one).

        Raises:
            OSError: it has one (EINVAL), or somebody else has that (EADDRINUSE).
        """
        if self.port is not None or self.connection is not None:
            raise failure(errno.EINVAL)
        taken = Listener(address, port, self._answer)
        self.machine.stack.tcp.bind(taken)
        self.port = taken

    # --- listening --------------------------------------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        """Open the port; so many connections at most wait for `accept`."""
        if self.connection is not None:
            raise failure(errno.EINVAL)
        if self.port is None:
            self.bind(*_NOWHERE)
        assert self.port is not None
        self._backlog = min(max(1, backlog), _LONGEST_BACKLOG)
        self._listening = True
        self.machine.stack.tcp.listen(self.port)

    def _answer(self, nic: Nic | None, key: Key) -> SocketConnection | None:
        """A SYN came. A full queue refuses it (KB 113576), where Linux would let the client try again."""
        if len(self._arrived) >= self._backlog:
            return None
        end = StreamEnd(self.machine, SocketOptions())
        end.connection = SocketConnection(self.machine.stack.tcp, nic, key, end.options)
        end.connection.notify = partial(self._established, end)
        return end.connection

    def _established(self, end: StreamEnd) -> None:
        connection = end.connection
        if connection is not None and connection.state == ESTABLISHED:
            connection.notify = end.wake
            self._welcome(end)

    def _welcome(self, end: StreamEnd) -> None:
        if self._taker is not None and end.connection is not None:
            self._taker(end.connection)
        elif self._listening:
            self._arrived.append(end)
            self.wake()
        elif end.connection is not None:
            end.connection.reset()

    def accept(self) -> StreamEnd:
        """The connection that waits longest.

        Raises:
            BlockingIOError: none waits.
            OSError: not listening (EINVAL).
        """
        if not self._listening:
            raise failure(errno.EINVAL)
        if not self._arrived:
            raise failure(errno.EAGAIN)
        return self._arrived.popleft()

    # --- a connection -----------------------------------------------------------------------------------------------

    def connect(self, address: str, port: int) -> None:
        """Begin to connect.

        Raises:
            BlockingIOError: it has begun (EINPROGRESS).
            OSError: connected (EISCONN), connecting (EALREADY), no route, no port.
        """
        if self._listening or self.connection is not None:
            connecting = self.connection is not None and self.connection.state == SYN_SENT
            raise failure(errno.EALREADY if connecting else errno.EISCONN)
        stack = self.machine.stack
        nic, local = stack.route(address)
        wanted = 0
        if self.port is not None:
            wanted = self.port.port
            local = local if self.port.address == NO_ADDRESS else self.port.address
        key = (local, wanted or stack.tcp.ephemeral(local, address, port), address, port)
        if key in stack.tcp.connections:
            raise failure(errno.EADDRINUSE)
        self.connection = SocketConnection(stack.tcp, nic, key, self.options)
        self.connection.notify = self.wake
        stack.tcp.connections[key] = self.connection
        self.connection.open()
        raise failure(errno.EINPROGRESS)

    def connected(self) -> None:
        """How `connect` went.

        Raises:
            BlockingIOError: it is not over.
            OSError: it failed; the socket may try again.
        """
        connection = self.connection
        if connection is None:
            raise failure(errno.ENOTCONN)
        if connection.state == SYN_SENT:
            raise failure(errno.EINPROGRESS)
        if connection.lost is not None:
            self.connection = None
            raise connection.lost

    def _connected(self) -> SocketConnection:
        connection = self.connection
        if connection is None:
            raise failure(errno.ENOTCONN)
        if connection.state in (SYN_SENT, SYN_RECEIVED):
            raise failure(errno.ENOTCONN)
        return connection

    def _open(self) -> SocketConnection:
        """The connection, unless it is being made or an error ended it, which is told once."""
        connection = self.connection
        if connection is not None and connection.state == SYN_SENT:
            raise failure(errno.EAGAIN)
        return self._connected()

    def receive(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """At most ``size`` bytes and who sent them; empty at the end of input.

        Raises:
            BlockingIOError: nothing came yet.
            OSError: not connected, or the connection is lost.
        """
        connection = self._open()
        data = b"" if self._input_shut else connection.take(size)
        if not data:
            self._tell_loss(connection)
        if data is None:
            raise failure(errno.EAGAIN)
        return data, self.peer

    def _tell_loss(self, connection: SocketConnection) -> None:
        lost, connection.lost = connection.lost, None
        if lost is not None:
            raise lost

    def send(self, data: Any) -> int:
        """Send what there is room for, and say how much that was.

        Raises:
            BlockingIOError: there is no room.
            OSError: not connected, shut down, or the connection is lost.
        """
        connection = self._open()
        self._tell_loss(connection)
        if connection.shut() or connection.state == CLOSED:
            raise failure(errno.EPIPE)
        room = connection.room()
        view = memoryview(data).cast("B")
        if not room and view:
            raise failure(errno.EAGAIN)
        connection.write(bytes(view[:room]))
        return min(room, len(view))

    def shutdown(self, *, reading: bool, writing: bool) -> None:
        """Close one direction or both.

        Raises:
            OSError: not connected (ENOTCONN).
        """
        connection = self._connected()
        if reading:
            self._input_shut = True
            self.wake()
        if writing:
            connection.write_eof()

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection, and the port; connections that nobody accepted are reset."""
        if self.port is not None:
            self.machine.stack.tcp.unlisten(self.port)
        self._listening = False
        while self._arrived:
            waiting = self._arrived.popleft().connection
            if waiting is not None:
                waiting.reset()
        if self.connection is not None:
            self.connection.close()
        self.wake()

    def give_connection(self) -> SocketConnection:
        """The connection, for a protocol to take over.

        Raises:
            OSError: not connected (ENOTCONN).
        """
        return self._connected()

    def give_port(self) -> tuple[str, int]:
        """Address and port, for a server to listen on; they are free until it does.

        Raises:
            OSError: it has no port, or a connection (EINVAL).
        """
        if self.port is None or self.connection is not None:
            raise failure(errno.EINVAL)
        self.machine.stack.tcp.unlisten(self.port)
        return self.port.address, self.port.port

    def pass_on(self, taker: Callable[[SocketConnection], None]) -> None:
        """Give the connections that wait, and those that are being made, to the server that has the port now."""
        self._taker = taker
        while self._arrived:
            self._welcome(self._arrived.popleft())
