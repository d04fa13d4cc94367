"""asyncio's server over the simulated network."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.network.options import SimSocket
from bodydouble_sim.network.ports import Listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.ports import Key, TcpPorts
    from bodydouble_sim.network.transport import TcpTransport

    Connect: TypeAlias = Callable[[Nic | None, Key, Callable[[], None]], TcpTransport]


class SimServer(asyncio.AbstractServer):
    """What ``create_server`` gives.

    Its ports are taken at once and open when it begins to serve.
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
            ports.bind(listener)

    def _accept(self, nic: Nic | None, key: Key) -> TcpTransport:
        self._connections += 1
        return self._connect(nic, key, self._detach)

    def attach(self) -> Callable[[], None]:
        """Count a connection that a socket accepted before it became this server's; call the result at its end."""
        self._connections += 1
        return self._detach

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
