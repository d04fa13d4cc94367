"""ICMP echo (RFC 792; RFC 1122, 3.2.2.6: every host answers)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from bodydouble_sim.network.frames import (
    ECHO_REPLY,
    ECHO_REQUEST,
    FRAGMENTATION_NEEDED,
    ICMP,
    PORT_UNREACHABLE,
    TCP,
    TIME_EXCEEDED,
    TIME_TO_LIVE,
    UDP,
    UNREACHABLE,
    Frame,
)
from bodydouble_sim.network.icmp import IcmpError, read_quote

if TYPE_CHECKING:
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.stack import IpStack

_PAYLOAD = b"abcdefghijklmnopqrstuvwabcdefghi"  # what ping.exe sends
_REMEMBERED = 64
_IDENTIFIER = 0x0200  # as Windows 2000 numbers its first
_SECOND = 1_000_000_000


class Echo:
    """Answers echo requests and keeps the questions that are open.

    Attributes:
        errors: the latest ICMP errors about packets of this machine.
    """

    def __init__(self, stack: IpStack) -> None:
        self._stack = stack
        self._sequence = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[bool]]] = {}
        self.errors: deque[IcmpError] = deque(maxlen=_REMEMBERED)

    async def ping(
        self,
        address: str,
        timeout: float,  # noqa: ASYNC109 - the port's signature
        ttl: int = TIME_TO_LIVE,
        payload: bytes = _PAYLOAD,
    ) -> float | None:
        """Seconds until the reply came; None: none came, or a router said that it cannot (the last of `errors`)."""
        stack = self._stack
        loop = stack.loop
        if not stack.settled:
            await stack.ready()
        way = stack.lookup_route(address)
        if way is None:
            await asyncio.sleep(timeout)
            return None
        self._sequence = sequence = self._sequence + 1
        waiter: asyncio.Future[bool] = asyncio.Future(loop=loop)  # never in a set, so it needs no hash of its own
        self._waiting[sequence] = (address, waiter)
        began = loop.now
        loop.schedule(int(timeout * _SECOND), self._give_up, sequence)  # half the price of asyncio.timeout
        rest = (ECHO_REQUEST, 0, _IDENTIFIER, sequence, payload)
        stack.send(way.nic, ICMP, way.source, address, rest, ttl=ttl)
        try:
            answered = await waiter
        finally:
            del self._waiting[sequence]
        return (loop.now - began) / _SECOND if answered else None

    def _give_up(self, sequence: int) -> None:
        if sequence in self._waiting:
            waiter = self._waiting[sequence][1]
            if not waiter.done():
                waiter.set_result(False)

    def receive(self, nic: Nic | None, frame: Frame) -> None:
        """Answer a request; wake who waits for a reply; hand an error to the socket that it is about."""
        _, _, _, source, destination, kind, _, identifier, sequence, payload = frame
        if kind == ECHO_REQUEST:
            stack = self._stack
            if nic is None or stack.owns(destination):
                stack.send(nic, ICMP, destination, source, (ECHO_REPLY, 0, identifier, sequence, payload))
        elif kind == ECHO_REPLY:
            if sequence in self._waiting:
                address, waiter = self._waiting[sequence]
                if address == source and not waiter.done():
                    waiter.set_result(True)
        elif kind in (UNREACHABLE, TIME_EXCEEDED):
            self._failed(frame)

    def _failed(self, frame: Frame) -> None:
        """A packet of ours did not arrive.

        Unreachable networks and hosts and exceeded times to live are soft errors: TCP goes on trying (RFC 1122,
        4.2.3.9), and ping tells at once.
        """
        by, own, kind, code, _, mtu, payload = frame[3:]
        quoted = read_quote(payload)
        if quoted is None:
            return
        self.errors.append(IcmpError(by, kind, code, quoted.destination))
        if quoted.kind == UDP and kind == UNREACHABLE and code == PORT_UNREACHABLE:
            self._stack.udp.refused(quoted.destination, quoted.first, quoted.second)
        elif quoted.kind == TCP and kind == UNREACHABLE and code == FRAGMENTATION_NEEDED:
            self._stack.tcp.too_long((own, quoted.first, quoted.destination, quoted.second), mtu)
        elif quoted.kind == ICMP:
            address, waiter = self._waiting.get(quoted.second, ("", None))
            if waiter is not None and address == quoted.destination and not waiter.done():
                waiter.set_result(False)
