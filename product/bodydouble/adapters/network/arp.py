"""ARP over Ethernet: announcing an address, and asking the wire whether somebody has it (RFC 826, RFC 5227)."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from bodydouble.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ETHERTYPE = 0x0806
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_BROADCAST = b"\xff" * 6
_NOBODY = b"\0" * 6
_REQUEST = 1
_ETHERNET, _IPV4 = 1, 0x0800
_IFREQ = struct.Struct("16sH22x")
_SIOCGIFFLAGS = 0x8913
_UP_AND_RUNNING = 0x1 | 0x40

#: RFC 5227 probes three times; an answer on one segment takes far less than this.
_PROBES = 3
_CARRIER_CHECKS = 8
_PROBE_SECONDS = 0.15  # a neighbour's kernel answers within milliseconds, and clients wait for the end of this


@dataclass(frozen=True, slots=True)
class Arp:
    """What an ARP frame says."""

    operation: int
    sender_mac: bytes
    sender: str
    target: str


def request(mac: bytes, sender: str, target: str) -> bytes:
    """A broadcast ARP request, 42 bytes. Sender and target equal: a gratuitous one. Sender 0.0.0.0: a probe."""
    return _FRAME.pack(
        _BROADCAST,
        mac,
        _ETHERTYPE,
        _ETHERNET,
        _IPV4,
        6,
        4,
        _REQUEST,
        mac,
        IPv4Address(sender).packed,
        _NOBODY,
        IPv4Address(target).packed,
    )


def parse(frame: bytes) -> Arp | None:
    """The ARP content of a frame, None when it is something else."""
    if len(frame) < _FRAME.size:
        return None
    _, _, ethertype, hardware, protocol, _, _, operation, mac, sender, _, target = _FRAME.unpack_from(frame)
    if (ethertype, hardware, protocol) != (_ETHERTYPE, _ETHERNET, _IPV4):
        return None
    return Arp(operation, mac, str(IPv4Address(sender)), str(IPv4Address(target)))


def announce(interface: str, address: str) -> None:
    """Broadcast one gratuitous ARP request.

    Raises:
        IdentityError: unknown interface, or not allowed.
    """
    with _open(interface, protocol=0) as wire, _saying(interface):
        wire.send(request(_mac(wire), address, address))


async def in_use(interface: str, address: str) -> bool:
    """Whether another machine claims ``address``, asked for about half a second.

    Raises:
        IdentityError: unknown interface, not allowed, or the interface is down or has no carrier: nobody could answer
            then, and that nobody does would say nothing.
    """
    loop = asyncio.get_running_loop()
    with _open(interface, protocol=_ETHERTYPE) as wire, _saying(interface):
        if not await _comes_up(wire, interface):
            raise IdentityError(f"{interface}: down or without carrier, so whether {address} is in use cannot be asked")
        mac = _mac(wire)
        for _ in range(_PROBES):
            await loop.sock_sendall(wire, request(mac, "0.0.0.0", address))  # noqa: S104 - RFC 5227: a probe's sender
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    return await _claimed(wire, mac, address)
            except TimeoutError:
                continue
    return False


async def _claimed(wire: socket.socket, mac: bytes, address: str) -> bool:
    loop = asyncio.get_running_loop()
    while True:
        arp = parse(await loop.sock_recv(wire, 2048))
        if arp is not None and arp.sender == address and arp.sender_mac != mac:
            return True


def _open(interface: str, protocol: int) -> socket.socket:
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        raise IdentityError(f"{interface}: ARP needs root or CAP_NET_RAW") from error
    try:
        wire.bind((interface, protocol))
    except OSError as error:
        wire.close()
        raise IdentityError(f"{interface}: no ARP on this interface: {error.strerror}") from error
    wire.setblocking(False)
    return wire


@contextmanager
def _saying(interface: str) -> Iterator[None]:
    """Turn the system's refusals, such as an interface that goes down, into the port's error."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        raise IdentityError(f"{interface}: no ARP on this interface: {error.strerror}") from error


async def _comes_up(wire: socket.socket, interface: str) -> bool:
    """Whether the interface runs, now or in a moment: the kernel says so a little after its carrier came."""
    for _ in range(_CARRIER_CHECKS):
        if _running(wire, interface):
            return True
        await asyncio.sleep(_PROBE_SECONDS)
    return False


def _running(wire: socket.socket, interface: str) -> bool:
    """Whether the interface is up and has its carrier (netdevice(7), SIOCGIFFLAGS)."""
    request_ = _IFREQ.pack(interface.encode(), 0)
    flags: int = _IFREQ.unpack(fcntl.ioctl(wire, _SIOCGIFFLAGS, request_))[1]
    return flags & _UP_AND_RUNNING == _UP_AND_RUNNING


def _mac(wire: socket.socket) -> bytes:
    # Not from /sys: in a network namespace it may show another namespace's interfaces.
    mac: bytes = wire.getsockname()[4]
    return mac[:6]
