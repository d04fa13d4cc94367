"""Frames as flat tuples, and how they are laid out.

Every frame begins ``(kind, source MAC, destination MAC, ...)``; MACs and addresses are strings, so nothing is converted
on the hot path. TCP sequence numbers grow without wrapping; `capture` wraps them to 32 bits on export.

- arp: ``(..., operation, sender MAC, sender address, target MAC, target address)``
- icmp: ``(..., source, destination, type, code, identifier, sequence, payload)``
- fragment: ``(..., source, destination, kind of packet, number, offset, more, bytes)``
- udp: ``(..., source, destination, source port, destination port, payload)``
- tcp: ``(..., source, destination, source port, destination port, flags, seq, ack, window, payload)``
"""

from __future__ import annotations

import socket
import struct
from typing import Any, TypeAlias
from zlib import crc32

Frame: TypeAlias = tuple[Any, ...]

ARP = "arp"
ICMP = "icmp"
UDP = "udp"
TCP = "tcp"
FRAGMENT = "fragment"

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
NO_MAC = "00:00:00:00:00:00"
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - the unspecified address of RFC 1122, bound by wildcard listeners
LIMITED_BROADCAST = "255.255.255.255"

ARP_REQUEST = 1
ARP_REPLY = 2

ECHO_REPLY = 0
UNREACHABLE = 3
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
NET_UNREACHABLE = 0
HOST_UNREACHABLE = 1
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4
TIME_TO_LIVE = 128  # DefaultTTL of Windows 2000

_IP_HEADERS = {ICMP: 28, UDP: 28, TCP: 40, FRAGMENT: 20}  # IP header and the packet's own

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10


class Sealed(bytes):
    """A payload that is ciphertext: its length belongs into the trace, its contents do not."""

    __slots__ = ()


def fingerprint(payload: bytes) -> int | str:
    """What the trace says of a payload's contents."""
    return "sealed" if type(payload) is Sealed else crc32(payload)


class HoppedFrame(tuple[Any, ...]):  # noqa: SLOT001 - a tuple has no room for named slots
    """A frame whose time to live is not `TIME_TO_LIVE`: forwarded by a router, or sent with another."""

    ttl: int


def hopped(frame: Frame, ttl: int) -> Frame:
    """The frame with a time to live of its own."""
    made = HoppedFrame(frame)
    made.ttl = ttl
    return made


def time_to_live(frame: Frame) -> int:
    """How many hops a frame has left (RFC 791)."""
    return frame.ttl if type(frame) is HoppedFrame else TIME_TO_LIVE


def ip_length(frame: Frame) -> int:
    """Bytes of an IP packet with its header."""
    length: int = _IP_HEADERS[frame[0]] + len(frame[-1])
    return length


def carries(frame: Frame) -> str:
    """What a frame is, or what a fragment is a piece of."""
    kind: str = frame[5] if frame[0] == FRAGMENT else frame[0]
    return kind


def to_number(address: str) -> int:
    """An IPv4 address as a 32-bit number."""
    number: int = struct.unpack("!I", socket.inet_aton(address))[0]
    return number


def to_address(number: int) -> str:
    """A 32-bit number as an IPv4 address."""
    return socket.inet_ntoa(struct.pack("!I", number))


def is_address(text: str) -> bool:
    """Whether ``text`` is a dotted IPv4 address."""
    try:
        socket.inet_pton(socket.AF_INET, text)
    except OSError:
        return False
    return True
