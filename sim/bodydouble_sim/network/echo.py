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
        try:
            nic, source = stack.route(address)
        except OSError:
            await asyncio.sleep(timeout)
            return None
        self._sequence += 1
        sequence = self._sequence
        waiter: asyncio.Future[bool] = stack.loop.create_future()
        self._waiting[sequence] = (address, waiter)
        loop = stack.loop
        began = loop.now
        loop.schedule(int(timeout * _SECOND), self._give_up, sequence)  # half the price of asyncio.timeout
        rest = (ECHO_REQUEST, 0, _IDENTIFIER, sequence, payload)
        stack.send(nic, ICMP, source, address, rest, ttl=ttl)
        try:
            answered = await waiter
        finally:
            self._waiting.pop(sequence, None)
        return (loop.now - began) / _SECOND if answered else None

    def _give_up(self, sequence: int) -> None:
        _, waiter = self._waiting.get(sequence, ("", None))
        if waiter is not None and not waiter.done():
            waiter.set_result(False)

    def receive(self, nic: Nic | None, frame: Frame) -> None:
        """Answer a request; wake who waits for a reply; hand an error to the socket that it is about."""
        source, destination, kind, _, identifier, sequence, payload = frame[3:]
        stack = self._stack
        if kind == ECHO_REQUEST:
            if nic is None or stack.owns(destination):
                stack.send(nic, ICMP, destination, source, (ECHO_REPLY, 0, identifier, sequence, payload))
        elif kind == ECHO_REPLY:
            address, waiter = self._waiting.get(sequence, ("", None))
            if waiter is not None and address == source and not waiter.done():
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
