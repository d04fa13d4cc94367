"""The network of the host as programs on a live body see it: Linux's interfaces under their own names."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.windows.network_view import Adapter

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIOCGIFCONF = 0x8912
_SIOCGIFNETMASK = 0x891B
_REQUEST = 40  # struct ifreq: a name of 16 bytes, a socket address, padding
_NAME = 16
_REQUESTS = 256
_LOOPBACK = "lo"
_ROUTES = Path("/proc/net/route")
_INTERFACES = Path("/sys/class/net")
_RESOLVER = Path("/etc/resolv.conf")
_ECHO = struct.Struct("!BBHHH")
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_PAYLOAD = b"abcdefghijklmnopqrstuvwabcdefghi"  # what ping.exe sends
_IDENTIFIER = 0x0200


class LiveNetwork:
    """`bodydouble_sim.windows.network_view.NetworkView` of the host, or of the namespace that the body runs in.

    It has no WINS servers: Linux knows none.
    """

    def __init__(self) -> None:
        self._sequence = 0

    def adapters(self) -> list[Adapter]:
        """See `NetworkView.adapters`: interfaces that have an IPv4 address or carry Ethernet."""
        held = list(_addresses())
        gateways = _gateways()
        servers = tuple(_name_servers())
        return [
            Adapter(
                name,
                _text(_INTERFACES / name / "address").upper().replace(":", "-"),
                tuple(address for interface, address in held if interface == name),
                gateways.get(name),
                servers,
                (),
                _text(_INTERFACES / name / "carrier") == "1",
            )
            for _, name in sorted(socket.if_nameindex())
            if name != _LOOPBACK
        ]

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        """See `NetworkView.ping`.

        Raises:
            RefusedError: the host lets this process send no ICMP.
        """
        with _icmp() as wire:
            wire.setblocking(False)
            self._sequence = (self._sequence + 1) % 2**16
            try:
                async with asyncio.timeout(timeout):
                    return await _echo(wire, address, self._sequence)
            except (TimeoutError, OSError):
                return None

    async def resolve(self, name: str) -> str | None:
        """See `NetworkView.resolve`, in the way of the host."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET)
        except (socket.gaierror, UnicodeError):
            return None
        return str(found[0][4][0])


def _icmp() -> socket.socket:
    """A datagram ICMP socket where the host allows it, else a raw one.

    Raises:
        RefusedError: it allows neither.
    """
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        except PermissionError:
            continue
    raise RefusedError(
        "the host lets this process send no ICMP: it has to be root, or its group in net.ipv4.ping_group_range"
    )


async def _echo(wire: socket.socket, address: str, sequence: int) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    wire.connect((address, 0))  # sends nothing
    await loop.sock_sendall(wire, _request(sequence))
    while True:
        answer = await loop.sock_recv(wire, 1024)
        if wire.type == socket.SOCK_RAW:
            answer = answer[(answer[0] & 15) * 4 :]  # behind the IP header
        if len(answer) >= _ECHO.size and _is_reply(answer, sequence):
            return loop.time() - began


def _is_reply(message: bytes, sequence: int) -> bool:
    kind, _, _, _, answered = _ECHO.unpack_from(message)
    return kind == _ECHO_REPLY and answered == sequence and message.endswith(_PAYLOAD)


def _request(sequence: int) -> bytes:
    """An echo request with its checksum (RFC 1071); a datagram socket puts its own number and checksum in."""
    packet = _ECHO.pack(_ECHO_REQUEST, 0, 0, _IDENTIFIER, sequence) + _PAYLOAD
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return _ECHO.pack(_ECHO_REQUEST, 0, ~total & 0xFFFF, _IDENTIFIER, sequence) + _PAYLOAD


def _addresses() -> Iterator[tuple[str, str]]:
    """Interface and address with prefix length, for every IPv4 address of the host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for request in _interface_list(asked):
            name = request[:_NAME].rstrip(b"\0").decode().partition(":")[0]
            address = socket.inet_ntoa(request[_NAME + 4 : _NAME + 8])
            mask = fcntl.ioctl(asked, _SIOCGIFNETMASK, request)
            bits = int.from_bytes(mask[_NAME + 4 : _NAME + 8], "big").bit_count()
            yield name, f"{address}/{bits}"


def _interface_list(asked: socket.socket) -> list[bytes]:
    """One struct ifreq for every IPv4 address."""
    room = array.array("B", bytes(_REQUEST * _REQUESTS))
    place, length = room.buffer_info()
    used = struct.unpack("iP", fcntl.ioctl(asked, _SIOCGIFCONF, struct.pack("iP", length, place)))[0]
    data = room.tobytes()
    return [data[offset : offset + _REQUEST] for offset in range(0, used, _REQUEST)]


def _gateways() -> dict[str, str]:
    """The default gateway of each interface."""
    found: dict[str, str] = {}
    for line in _text(_ROUTES).splitlines()[1:]:
        interface, destination, gateway, *_ = line.split()
        if int(destination, 16) == 0 and int(gateway, 16) != 0:
            found.setdefault(interface, socket.inet_ntoa(struct.pack("=I", int(gateway, 16))))
    return found


def _name_servers() -> Iterator[str]:
    for line in _text(_RESOLVER).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and "." in words[1]:
            yield words[1]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
