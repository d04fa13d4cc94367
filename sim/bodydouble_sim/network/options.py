"""Socket options: remembered for whoever asks, and in force where the model has what they change."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from bodydouble_sim.network.tcp import DATA_RETRIES, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIME, SECOND, KeepAlive

if TYPE_CHECKING:
    from bodydouble_sim.network.tcp import TcpConnection

_LINGER_ZERO = struct.pack("ii", 1, 0)
_KEEP_ALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
# Not every platform names all three; a number of our own then stands for the option that nobody can set.
_IDLE = (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1))
_INTERVAL = (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -2))
_COUNT = (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -3))
_DEFAULTS = {
    _IDLE: KEEP_ALIVE_TIME // SECOND,
    _INTERVAL: KEEP_ALIVE_INTERVAL // SECOND,
    _COUNT: DATA_RETRIES,
}


class SocketOptions:
    """The options of one socket.

    In force: SO_LINGER with zero seconds, SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL (seconds) and TCP_KEEPCNT, and
    SO_BROADCAST. Any other is remembered only.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], Any] = {}
        self._connection: TcpConnection | None = None

    def serve(self, connection: TcpConnection) -> None:
        """Put the options in force on a connection."""
        self._connection = connection
        connection.keep_alive(self._keep_alive())

    def set(self, level: int, option: int, value: Any) -> None:
        """As ``setsockopt``.

        Raises:
            OSError: a time or count of keep-alives that is not positive (EINVAL).
        """
        key = (level, option)
        if key in _DEFAULTS and value < 1:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._values[key] = value
        if self._connection is not None and (key == _KEEP_ALIVE or key in _DEFAULTS):
            self._connection.keep_alive(self._keep_alive())

    def get(self, level: int, option: int) -> Any:
        """What `set` was given; else what is in force, else 0."""
        key = (level, option)
        return self._values.get(key, _DEFAULTS.get(key, 0))

    def _keep_alive(self) -> KeepAlive | None:
        if not self._values.get(_KEEP_ALIVE):
            return None
        return KeepAlive(self.get(*_IDLE) * SECOND, self.get(*_INTERVAL) * SECOND, self.get(*_COUNT))

    def lingers_zero(self) -> bool:
        """Whether closing resets the connection."""
        linger = self.get(socket.SOL_SOCKET, socket.SO_LINGER)
        return bool(linger) and bytes(linger) == _LINGER_ZERO

    def broadcasts(self) -> bool:
        """Whether datagrams may go to every machine."""
        return bool(self.get(socket.SOL_SOCKET, socket.SO_BROADCAST))


class SimSocket:
    """What ``get_extra_info("socket")`` gives: addresses and options, but no file descriptor."""

    def __init__(
        self,
        kind: int,
        name: tuple[str, int],
        peer: tuple[str, int] | None = None,
        *,
        connection: TcpConnection | None = None,
        options: SocketOptions | None = None,
    ) -> None:
        self.family = socket.AF_INET
        self.type = kind
        self.proto = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
        self.options = SocketOptions() if options is None else options
        self._name = name
        self._peer = peer
        if connection is not None:
            self.options.serve(connection)

    def getsockname(self) -> tuple[str, int]:
        """Local address and port."""
        return self._name

    def getpeername(self) -> tuple[str, int]:
        """Remote address and port.

        Raises:
            OSError: not connected.
        """
        if self._peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peer

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """As `SocketOptions.set`."""
        self.options.set(level, option, value)

    def getsockopt(self, level: int, option: int, _: int = 0) -> Any:
        """As `SocketOptions.get`."""
        return self.options.get(level, option)

    def fileno(self) -> int:
        """-1: there is no descriptor."""
        return -1

    def close(self) -> None:
        """Nothing: the transport owns the connection."""
