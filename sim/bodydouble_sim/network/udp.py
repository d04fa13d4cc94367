"""UDP (RFC 768; RFC 1122, 4.1) and asyncio's datagram transport over it."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

from bodydouble_sim.handles import OWNER
from bodydouble_sim.network.frames import ICMP, NO_ADDRESS, PORT_UNREACHABLE, UDP, UNREACHABLE, Frame
from bodydouble_sim.network.icmp import quote
from bodydouble_sim.network.options import SimSocket
from bodydouble_sim.network.ports import EPHEMERAL
from bodydouble_sim.network.transport import PROTOCOL_FAILURES

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.options import SocketOptions
    from bodydouble_sim.network.stack import IpStack

LARGEST = 65507


class UdpPorts:
    """The UDP ports of one machine's present life."""

    def __init__(self, stack: IpStack) -> None:
        self.stack = stack
        self._random = stack.world.random(f"udp:{stack.machine.name}")
        self._next_port = self._random.choice(EPHEMERAL)
        self.endpoints: dict[tuple[str, int], UdpTransport] = {}
        self.handlers: dict[int, Callable[[Nic | None, str, int, bytes], None]] = {}

    def bind(self, endpoint: UdpTransport, address: str, port: int) -> int:
        """Open a port (0: any free one) and return it.

        Raises:
            OSError: it is in use (EADDRINUSE).
        """
        if port == 0:
            port = self._free_port(address)
        if (address, port) in self.endpoints or port in self.handlers:
            raise OSError(errno.EADDRINUSE, f"{self.stack.machine.name}: UDP {address}:{port} is in use")
        self.endpoints[address, port] = endpoint
        return port

    def move(self, endpoint: UdpTransport, address: str) -> tuple[str, int]:
        """An endpoint of every address becomes one of a single address, unless that has the port; returns its name."""
        before, after = endpoint.name, (address, endpoint.name[1])
        if self.endpoints.get(before) is not endpoint or after in self.endpoints:
            return before
        del self.endpoints[before]
        self.endpoints[after] = endpoint
        return after

    def _free_port(self, address: str) -> int:
        for _ in EPHEMERAL:
            port = self._next_port
            self._next_port = port + 1 if port + 1 in EPHEMERAL else EPHEMERAL.start
            if (address, port) not in self.endpoints and (NO_ADDRESS, port) not in self.endpoints:
                return port
        raise OSError(errno.EADDRINUSE, f"{self.stack.machine.name}: every UDP port is in use")

    def send(self, source: str, port: int, to: tuple[str, int], payload: bytes) -> None:
        """Send a datagram, from ``source`` or (wildcard) from the address of the adapter that it leaves by.

        Raises:
            OSError: no route.
        """
        nic, own = self.stack.route(to[0])
        self.stack.send(nic, UDP, own if source == NO_ADDRESS else source, to[0], (port, to[1], payload))

    def receive(self, nic: Nic | None, frame: Frame) -> None:
        """Hand a datagram to its endpoint; a closed port is answered by ICMP port unreachable."""
        _, _, _, source, destination, source_port, port, payload = frame
        broadcast = self.stack.is_broadcast(nic, destination)
        if not broadcast and nic is not None and not self.stack.owns(destination):
            return
        handler = self.handlers.get(port)
        if handler is not None:
            handler(nic, source, source_port, payload)
            return
        endpoint = self.endpoints.get((destination, port)) or self.endpoints.get((NO_ADDRESS, port))
        if endpoint is not None:
            endpoint.deliver(payload, (source, source_port))
        elif not broadcast:
            self.stack.send(nic, ICMP, destination, source, (UNREACHABLE, PORT_UNREACHABLE, 0, 0, quote(frame)))

    def refused(self, destination: str, port: int, remote_port: int) -> None:
        """A datagram of ours met a closed port: tell the endpoint that is connected to it."""
        for (_, local), endpoint in list(self.endpoints.items()):
            if local == port and endpoint.remote == (destination, remote_port):
                endpoint.fail(ConnectionRefusedError(errno.ECONNREFUSED, f"{destination}:{remote_port} refused"))

    def release(self, owner: Incarnation) -> None:
        """A process was killed: its ports are closed."""
        for endpoint in [each for each in self.endpoints.values() if each.belongs_to(owner)]:
            endpoint.close()

    def die(self) -> None:
        """The power went: every endpoint stops where it is."""
        for endpoint in self.endpoints.values():
            endpoint.die()


class UdpTransport(asyncio.DatagramTransport):
    """A datagram endpoint."""

    def __init__(
        self,
        ports: UdpPorts,
        local: tuple[str, int],
        remote: tuple[str, int] | None,
        context: contextvars.Context,
        options: SocketOptions,
    ) -> None:
        self._ports = ports
        self._stack = ports.stack
        self._context = context
        self._options = options
        self._closing = False
        self._protocol: Any = None
        self.remote: tuple[str, int] | None = None
        self.name = (local[0], ports.bind(self, *local))
        super().__init__()
        self._show()
        if remote is not None:
            self.connect(remote)

    def _show(self) -> None:
        shown = SimSocket(socket.SOCK_DGRAM, self.name, self.remote, options=self._options)
        self._extra = {"sockname": self.name, "socket": shown}
        if self.remote is not None:
            self._extra["peername"] = self.remote

    def connect(self, remote: tuple[str, int]) -> None:
        """Send to ``remote`` and hear only it; a wildcard port then has the address that leads there.

        Raises:
            OSError: no route (the port is closed then).
        """
        try:
            _, source = self._stack.route(remote[0])
        except OSError:
            self.close()
            raise
        self.remote = remote
        if self.name[0] == NO_ADDRESS:
            self.name = self._ports.move(self, source)
        self._show()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give datagrams to ``protocol``."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The present protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def belongs_to(self, owner: Incarnation) -> bool:
        """Whether its protocol is code of that life."""
        return self._context.get(OWNER) is owner

    def deliver(self, payload: bytes, source: tuple[str, int]) -> None:
        """A datagram came; a connected endpoint takes only its peer's."""
        if not self._closing and self._protocol is not None and self.remote in (None, source):
            self._run(self._protocol.datagram_received, payload, source)

    def fail(self, error: OSError) -> None:
        """An earlier datagram could not be delivered."""
        if not self._closing and self._protocol is not None:
            self._run(self._protocol.error_received, error)

    def _run(self, callback: Callable[..., object], *args: Any) -> None:
        try:
            self._context.run(callback, *args)
        except PROTOCOL_FAILURES as error:  # a protocol's failure concerns its endpoint only
            context = {"message": "datagram protocol failed", "exception": error, "transport": self}
            self._stack.loop.call_exception_handler(context)
            self.abort()

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram; what cannot be sent is reported to ``error_received``.

        Raises:
            TypeError: not bytes.
            ValueError: no address, or another than the peer of a connected endpoint.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        to = addr or self.remote
        if to is None:
            raise ValueError("no address to send to")
        if self.remote not in (None, to):
            raise ValueError(f"Invalid address: must be None or {self.remote}")
        if self._closing:
            return
        try:
            self.post(bytes(data), to)
        except OSError as error:
            self._stack.loop.schedule(0, self.fail, error)

    def post(self, payload: bytes, to: tuple[str, int]) -> None:
        """Send one datagram.

        Raises:
            OSError: it is too long (EMSGSIZE), no route, or a broadcast without permission (EACCES).
        """
        self._refuse(to[0], len(payload))
        self._ports.send(*self.name, (to[0], to[1]), payload)

    def _refuse(self, address: str, size: int) -> None:
        if size > LARGEST:
            raise OSError(errno.EMSGSIZE, f"{size} bytes do not fit a datagram")
        nic, _ = self._stack.route(address)
        if not self._options.broadcasts() and self._stack.is_broadcast(nic, address):
            raise PermissionError(errno.EACCES, "broadcast needs allow_broadcast=True or SO_BROADCAST")

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """Close the port. Idempotent."""
        if self._closing:
            return
        self._closing = True
        if self._ports.endpoints.get(self.name) is self:
            del self._ports.endpoints[self.name]
        if self._protocol is not None:
            self._stack.loop.call_soon(self._protocol.connection_lost, None, context=self._context)

    def die(self) -> None:
        """Stop in silence."""
        self._closing = True

    def abort(self) -> None:
        """As `close`."""
        self.close()
