"""ICMP echo (RFC 792) over a datagram ICMP socket where the system allows it, else over a raw one."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from typing import TYPE_CHECKING

from bodydouble.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER = struct.Struct("!BBHHH")
_PAYLOAD = b"Bodydouble heartbeat".ljust(32, b".")


class IcmpPinger:
    """The `Pinger` port. Each ping has its own socket, so that pings do not steal each other's replies."""

    def __init__(self) -> None:
        self._sequences: Iterator[int] = itertools.count(1)
        self._identifier = os.getpid() & 0xFFFF

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        """See the port.

        Raises:
            IdentityError: ICMP sockets are not allowed. Not None, which would count as a heartbeat missed.
        """
        sequence = next(self._sequences) & 0xFFFF
        with _open() as icmp:
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(timeout):
                    await self._exchange(icmp, address, sequence)
            except (TimeoutError, OSError):
                return None  # no answer, or the network says that there will be none
            return asyncio.get_running_loop().time() - started

    async def _exchange(self, icmp: socket.socket, address: str, sequence: int) -> None:
        loop = asyncio.get_running_loop()
        raw = icmp.type == socket.SOCK_RAW
        await loop.sock_sendto(icmp, echo_request(self._identifier, sequence), (address, 0))
        while True:
            data, sender = await loop.sock_recvfrom(icmp, 2048)
            if sender[0] == address and self._is_reply(_without_ip_header(data) if raw else data, sequence, raw=raw):
                return

    def _is_reply(self, message: bytes, sequence: int, *, raw: bool) -> bool:
        if len(message) < _HEADER.size:
            return False
        kind, _, _, identifier, answered = _HEADER.unpack_from(message)
        # The kernel chooses the identifier of a datagram socket and delivers nobody else's replies to it.
        return kind == _ECHO_REPLY and answered == sequence and (not raw or identifier == self._identifier)


def echo_request(identifier: int, sequence: int) -> bytes:
    """The echo request's bytes, checksum included."""
    blank = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, sequence) + _PAYLOAD
    return _HEADER.pack(_ECHO_REQUEST, 0, _checksum(blank), identifier, sequence) + _PAYLOAD


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _without_ip_header(packet: bytes) -> bytes:
    return packet[(packet[0] & 15) * 4 :] if packet else b""


def _open() -> socket.socket:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            icmp = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        except PermissionError:
            continue
        except OSError as error:
            raise IdentityError(f"no ICMP socket: {error.strerror}") from error
        icmp.setblocking(False)
        return icmp
    raise IdentityError("ICMP echo is not allowed: run as root, or put the group in net.ipv4.ping_group_range")
