"""Ending TCP connections that use an address which is being taken away (sock_diag(7), SOCK_DESTROY).

Linux leaves the connections of a removed address open until they time out; on Windows they die with it, which is what
the `Identity` port promises. Needs CONFIG_INET_DIAG_DESTROY; without it connections end by their own time-outs.
"""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOCK_DIAG = 4
_BY_FAMILY, _DESTROY = 20, 21
_REQUEST, _ACK, _DUMP = 0x001, 0x004, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
#: family, protocol, extensions, padding, states, then the socket's identity (48 bytes, network order inside)
_QUERY = struct.Struct("=BBBxI48s")
_MESSAGE = struct.Struct("=BBBB48s")
_SOURCE = slice(4, 20)
#: Every TCP state but LISTEN (10): a server bound to the address keeps its socket and gets no more clients.
_CONNECTIONS = 0xFFFFFFFF & ~(1 << 10)


def end_connections(address: str) -> None:
    """Abort every TCP connection whose local address is ``address``. Blocking, short.

    Raises:
        OSError: not allowed, or the kernel has no socket destruction.
    """
    packed = IPv4Address(address).packed
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as diag:
        _end(diag, socket.AF_INET, packed + b"\0" * 12)
        _end(diag, socket.AF_INET6, b"\0" * 10 + b"\xff\xff" + packed)


def _end(diag: socket.socket, family: int, source: bytes) -> None:
    diag.send(_packed(_BY_FAMILY, _REQUEST | _DUMP, family, b"\0" * 48))
    identities = [identity for identity in _dumped(diag) if identity[_SOURCE] == source]
    for identity in identities:
        diag.send(_packed(_DESTROY, _REQUEST | _ACK, family, identity))
        for kind, body in _messages(diag.recv(65536)):
            # A connection that ended by itself meanwhile is as good.
            if kind == _ERROR and (number := -struct.unpack_from("=i", body)[0]) not in (0, 2):
                raise OSError(number, os.strerror(number))


def _packed(kind: int, flags: int, family: int, identity: bytes) -> bytes:
    body = _QUERY.pack(family, socket.IPPROTO_TCP, 0, _CONNECTIONS, identity)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _dumped(diag: socket.socket) -> Iterator[bytes]:
    while True:
        for kind, body in _messages(diag.recv(262144)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", body)[0]
                raise OSError(number, os.strerror(number))
            yield _MESSAGE.unpack_from(body)[4]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3
