"""The TCP ports of a machine: listeners, connections, TIME-WAIT, and answers to segments that belong to none."""

from __future__ import annotations

import errno
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

from bodydouble_sim.handles import OWNER
from bodydouble_sim.network.frames import ACK, FIN, NO_ADDRESS, RST, SYN, TCP, Frame
from bodydouble_sim.network.tcp import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.stack import IpStack
    from bodydouble_sim.network.tcp import TcpConnection

Key: TypeAlias = tuple[str, int, str, int]  # local address and port, remote address and port

SECOND = 1_000_000_000
TIME_WAIT = 240 * SECOND  # TcpTimedWaitDelay of Windows 2000
EPHEMERAL = range(1025, 5001)  # up to MaxUserPort
SEQUENCE_BITS = 32


class Listener:
    """A port that somebody took (``owner``), and what makes the connection that answers a SYN (None: refuse it)."""

    __slots__ = ("address", "connect", "owner", "port")

    def __init__(
        self,
        address: str,
        port: int,
        connect: Callable[[Nic | None, Key], TcpConnection | None],
    ) -> None:
        self.address = address
        self.port = port
        self.connect = connect
        self.owner = OWNER.get(None)


class TcpPorts:
    """Everything TCP of one machine's present life."""

    def __init__(self, stack: IpStack) -> None:
        self.stack = stack
        self._random = stack.world.random(f"tcp:{stack.machine.name}")
        self._next_port = self._random.choice(EPHEMERAL)
        self.connections: dict[Key, TcpConnection] = {}
        self.listeners: dict[tuple[str, int], Listener] = {}
        self._bound: dict[tuple[str, int], Listener] = {}  # the listening ones, and those that may listen yet
        self._time_wait: OrderedDict[Key, tuple[int, int, int]] = OrderedDict()

    def first_sequence(self) -> int:
        """An initial sequence number (RFC 793 asks that connections differ)."""
        return self._random.getrandbits(SEQUENCE_BITS)

    def ephemeral(self, local: str, remote: str, remote_port: int) -> int:
        """A free local port for a connection to that peer.

        Raises:
            OSError: all are in use (EADDRNOTAVAIL).
        """
        self._sweep_time_wait()
        for _ in EPHEMERAL:
            port = self._next_port
            self._next_port = port + 1 if port + 1 in EPHEMERAL else EPHEMERAL.start
            key = (local, port, remote, remote_port)
            if key not in self.connections and key not in self._time_wait and not self._taken(local, port):
                return port
        raise OSError(errno.EADDRNOTAVAIL, f"{self.stack.machine.name}: no local port is free")

    def listening(self, address: str, port: int) -> Listener | None:
        """Who listens on a port: the exact address before the wildcard."""
        return self.listeners.get((address, port)) or self.listeners.get((NO_ADDRESS, port))

    def _taken(self, address: str, port: int) -> bool:
        return (address, port) in self._bound or (NO_ADDRESS, port) in self._bound

    def bind(self, listener: Listener) -> None:
        """Take a port (0: any free one) without opening it.

        Raises:
            OSError: somebody has it (EADDRINUSE).
        """
        if listener.port == 0:
            listener.port = self._free_port(listener.address)
        key = (listener.address, listener.port)
        if key in self._bound:
            raise OSError(errno.EADDRINUSE, f"{self.stack.machine.name}: {key[0]}:{key[1]} is in use")
        self._bound[key] = listener

    def _free_port(self, address: str) -> int:
        for _ in EPHEMERAL:
            port = self._next_port
            self._next_port = port + 1 if port + 1 in EPHEMERAL else EPHEMERAL.start
            if not self._taken(address, port):
                return port
        raise OSError(errno.EADDRINUSE, f"{self.stack.machine.name}: every port is in use")

    def listen(self, listener: Listener) -> None:
        """Open a port that was taken by `bind`."""
        self.listeners[listener.address, listener.port] = listener

    def unlisten(self, listener: Listener) -> None:
        """Close a port and give it up; its connections go on."""
        key = (listener.address, listener.port)
        for table in (self.listeners, self._bound):
            if table.get(key) is listener:
                del table[key]

    def receive(self, nic: Nic | None, frame: Frame) -> None:
        """Hand a segment to its connection."""
        _, _, _, source, destination, source_port, port, flags, seq, ack, window, payload = frame
        key = (destination, port, source, source_port)
        connection = self.connections.get(key)
        if connection is not None:
            connection.segment(flags, seq, ack, window, payload)
        elif nic is None or self.stack.owns(destination):
            self._stray(nic, key, frame)

    def _stray(self, nic: Nic | None, key: Key, frame: Frame) -> None:
        """A segment of no connection: a new one, a finished one's, or an error (RFC 793, CLOSED and LISTEN)."""
        flags, seq, ack, window, payload = frame[7:]
        waiting = self._time_wait.get(key)
        if waiting is not None and not flags & (SYN | RST):
            if payload or flags & FIN:  # it was acknowledged, and the acknowledgement was lost
                self._answer(nic, key, ACK, waiting[0], waiting[1])
            return
        if flags & RST:
            return
        listener = self.listening(key[0], key[1])
        if flags & SYN and not flags & ACK and listener is not None:
            self._time_wait.pop(key, None)
            connection = listener.connect(nic, key)
            if connection is not None:
                self.connections[key] = connection
                connection.accept(seq, window)
                return
        if flags & ACK:
            self._answer(nic, key, RST, ack, 0)
        else:
            occupied = len(payload) + bool(flags & SYN) + bool(flags & FIN)
            self._answer(nic, key, RST | ACK, 0, seq + occupied)

    def _answer(self, nic: Nic | None, key: Key, flags: int, seq: int, ack: int) -> None:
        window = WINDOW if flags == ACK else 0
        self.stack.send(nic, TCP, key[0], key[2], (key[1], key[3], flags, seq, ack, window, b""))

    def too_long(self, key: Key, mtu: int) -> None:
        """A router has to pass a connection's segments on over a segment with that MTU."""
        connection = self.connections.get(key)
        if connection is not None:
            connection.fit(mtu)

    def finished(self, connection: TcpConnection) -> None:
        """Both directions are closed and acknowledged: keep the ports in TIME-WAIT (RFC 793) and forget the rest."""
        self._sweep_time_wait()  # a server that never connects to anybody would keep them all
        self._time_wait[connection.key] = (connection.snd_nxt, connection.rcv_nxt, self.stack.loop.now + TIME_WAIT)
        connection.end(None)

    def _sweep_time_wait(self) -> None:
        now = self.stack.loop.now
        waiting = self._time_wait
        while waiting and next(iter(waiting.values()))[2] <= now:
            waiting.popitem(last=False)
        while len(waiting) >= len(EPHEMERAL):
            waiting.popitem(last=False)

    def forget(self, connection: TcpConnection) -> None:
        """Take a connection out of the table."""
        if self.connections.get(connection.key) is connection:
            del self.connections[connection.key]

    def address_gone(self, address: str) -> None:
        """An address was removed: its connections die without a word on the wire."""
        for connection in list(self.connections.values()):
            if connection.local == address:
                connection.end(ConnectionAbortedError(errno.ECONNABORTED, f"{address} was removed"))

    def release(self, owner: Incarnation) -> None:
        """A process was killed: its ports are closed, and its connections without anybody who is told."""
        for listener in [each for each in self._bound.values() if each.owner is owner]:
            self.unlisten(listener)
        for connection in [each for each in self.connections.values() if each.belongs_to(owner)]:
            connection.orphan()

    def die(self) -> None:
        """The power went: every connection stops where it is."""
        for connection in self.connections.values():
            connection.die()
