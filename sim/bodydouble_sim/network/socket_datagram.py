"""The datagram half of sockets: a UDP port whose datagrams wait until somebody asks."""

from __future__ import annotations

import asyncio
import contextvars
import errno
from collections import deque
from typing import TYPE_CHECKING, Any

from bodydouble_sim.network.frames import NO_ADDRESS
from bodydouble_sim.network.readiness import Readiness
from bodydouble_sim.network.socket_stream import failure
from bodydouble_sim.network.udp import UdpTransport

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.options import SocketOptions

RECEIVE_BUFFER = 208 * 1024  # bytes of datagrams that wait at most; Linux's default
_NOWHERE = (NO_ADDRESS, 0)


class DatagramEnd(Readiness, asyncio.DatagramProtocol):
    """What a datagram socket is to its machine: nothing yet, or a port with the datagrams that wait in it.

    Attributes:
        dropped: datagrams that found the buffer full.
    """

    def __init__(self, machine: Machine, options: SocketOptions) -> None:
        super().__init__()
        self.machine = machine
        self.options = options
        self.dropped = 0
        self._transport: UdpTransport | None = None
        self._lost: Exception | None = None
        self._inbox: deque[tuple[bytes, tuple[str, int]]] = deque()
        self._inbox_size = 0

    @property
    def name(self) -> tuple[str, int]:
        """Local address and port."""
        return _NOWHERE if self._transport is None else self._transport.name

    @property
    def peer(self) -> tuple[str, int]:
        """Remote address and port.

        Raises:
            OSError: not connected (ENOTCONN).
        """
        if self._transport is None or self._transport.remote is None:
            raise failure(errno.ENOTCONN)
        return self._transport.remote

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Keep it, unless too much waits already."""
        if self._inbox_size + len(data) > RECEIVE_BUFFER:
            self.dropped += 1
            return
        self._inbox.append((data, addr))
        self._inbox_size += len(data)
        self.wake()

    def error_received(self, exc: Exception) -> None:
        """Keep it for the next call."""
        self._lost = exc
        self.wake()

    def bind(self, address: str, port: int) -> None:
        """Take a port (0: any free one).

        Raises:
            OSError: it has one (EINVAL), or somebody else has that (EADDRINUSE).
        """
        if self._transport is not None:
            raise failure(errno.EINVAL)
        ports = self.machine.stack.udp
        self._transport = UdpTransport(ports, (address, port), None, contextvars.copy_context(), self.options)
        self._transport.set_protocol(self)

    def _bound(self) -> UdpTransport:
        if self._transport is None:
            self.bind(*_NOWHERE)
        assert self._transport is not None
        return self._transport

    def connect(self, address: str, port: int) -> None:
        """Send to that address and hear only it.

        Raises:
            OSError: no route.
        """
        self._bound().connect((address, port))

    def connected(self) -> None:
        """Done already."""

    def receive(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """The next datagram, cut to ``size`` bytes, and who sent it.

        Raises:
            BlockingIOError: none came yet.
            OSError: an earlier datagram of ours could not be delivered.
        """
        self._tell_loss()
        if not self._inbox:
            raise failure(errno.EAGAIN)
        data, sender = self._inbox.popleft()
        self._inbox_size -= len(data)
        return data[:size], sender

    def _tell_loss(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost

    def send(self, data: Any) -> int:
        """Send a datagram to the peer.

        Raises:
            OSError: not connected (EDESTADDRREQ), or as `send_to`.
        """
        if self._transport is None or self._transport.remote is None:
            raise failure(errno.EDESTADDRREQ)
        return self.send_to(data, self._transport.remote)

    def send_to(self, data: Any, to: tuple[str, int]) -> int:
        """Send a datagram.

        Raises:
            OSError: it is too long (EMSGSIZE), no route, a broadcast without SO_BROADCAST (EACCES), or an earlier one
                could not be delivered.
        """
        self._tell_loss()
        payload = bytes(data)
        self._bound().post(payload, to)
        return len(payload)

    def shutdown(self, *, reading: bool, writing: bool) -> None:
        """Refused to a socket without a peer, without meaning for one that has one."""
        del reading, writing
        _ = self.peer

    def close(self) -> None:
        """Close the port."""
        if self._transport is not None:
            self._transport.close()
        self.wake()

    def give_port(self) -> UdpTransport:
        """The port, for a protocol to take over."""
        return self._bound()

    def hand_over(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the protocol what waits."""
        transport = self._bound()
        transport.set_protocol(protocol)
        while self._inbox:
            transport.deliver(*self._inbox.popleft())
