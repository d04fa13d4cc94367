"""Asking the wire for a computer name as a Windows client without WINS does: three broadcasts (RFC 1002, 5.1.1).

Never from a cache, though Windows keeps answers for ten minutes: each request by name shows who owns the name now.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from ipaddress import IPv4Interface
from itertools import count
from typing import Final

from bodydouble.adapters.network import nbns
from bodydouble.errors import IdentityError

ATTEMPTS: Final = 3
ANSWER_TIMEOUT: Final = 0.75
"""Seconds between broadcasts: BcastNameQueryCount and BcastQueryTimeout of Windows 2000."""
_PACKET = 1024


class NameQuery:
    """A name client on the subnet of its own address."""

    def __init__(self, address: str) -> None:
        """Ask from ``address`` (``10.0.0.100/24``)."""
        self._everyone = (str(IPv4Interface(address).network.broadcast_address), nbns.PORT)
        self._transactions = count(1)

    async def resolve(self, name: str) -> str:
        """The first address that its owner answers with.

        Raises:
            OSError: nobody answers for it.
            IdentityError: no computer name.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.setblocking(False)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for _ in range(ATTEMPTS):
                if address := await self._ask(wire, name):
                    return address
        raise OSError(errno.EHOSTUNREACH, f"nobody answers for the name {name}")

    async def _ask(self, wire: socket.socket, name: str) -> str:
        loop = asyncio.get_running_loop()
        question = nbns.query(name, transaction=next(self._transactions) & 0xFFFF)
        await loop.sock_sendto(wire, nbns.encode(question), self._everyone)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                while True:
                    if addresses := _answered(await loop.sock_recv(wire, _PACKET), question):
                        return addresses[0]
        except TimeoutError:
            return ""


def _answered(data: bytes, question: nbns.Packet) -> tuple[str, ...]:
    try:
        packet = nbns.decode(data)
    except IdentityError:
        return ()
    if not packet.response or packet.transaction != question.transaction or packet.code or not packet.records:
        return ()
    return packet.records[0].addresses
