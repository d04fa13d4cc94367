"""ICMP echo (RFC 792; RFC 1122, 3.2.2.6: every host answers)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_sim.network.frames import ECHO_REPLY, ECHO_REQUEST, ICMP, UNREACHABLE, Frame

if TYPE_CHECKING:
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.stack import IpStack

_PAYLOAD = b"abcdefghijklmnopqrstuvwabcdefghi"  # what ping.exe sends
_IDENTIFIER = 0x0200  # as Windows 2000 numbers its first


class Echo:
    """Answers echo requests and keeps the questions that are open."""

    def __init__(self, stack: IpStack) -> None:
        self._stack = stack
        self._sequence = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[None]]] = {}

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        """Seconds until the reply came, or None."""
        stack = self._stack
        try:
            nic, source = stack.route(address)
        except OSError:
            await asyncio.sleep(timeout)
            return None
        self._sequence += 1
        sequence = self._sequence
        waiter: asyncio.Future[None] = stack.loop.create_future()
        self._waiting[sequence] = (address, waiter)
        began = stack.loop.time()
        rest = (ECHO_REQUEST, 0, _IDENTIFIER, sequence, _PAYLOAD)
        stack.send(nic, ICMP, source, address, rest)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(sequence, None)
        return stack.loop.time() - began

    def receive(self, nic: Nic | None, frame: Frame) -> None:
        """Answer a request; wake who waits for a reply; hand an error to the socket that it is about."""
        _, _, _, source, destination, kind, _, identifier, sequence, payload = frame
        stack = self._stack
        if kind == ECHO_REQUEST:
            if nic is None or stack.owns(destination):
                stack.send(nic, ICMP, destination, source, (ECHO_REPLY, 0, identifier, sequence, payload))
        elif kind == ECHO_REPLY:
            address, waiter = self._waiting.get(sequence, ("", None))
            if waiter is not None and address == source and not waiter.done():
                waiter.set_result(None)
        elif kind == UNREACHABLE:
            stack.udp.refused(source, payload)
