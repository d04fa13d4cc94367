"""ICMP errors (RFC 792): the quoted beginning of the packet that an error is about."""

from __future__ import annotations

import struct
from typing import NamedTuple

from bodydouble_sim.network.frames import (
    ECHO_REPLY,
    ECHO_REQUEST,
    FRAGMENT,
    ICMP,
    TCP,
    UDP,
    Frame,
    carries,
    ip_length,
    time_to_live,
    to_address,
    to_number,
)

_HEADER = struct.Struct("!BBHHHBBHII")
_BEGINNING = struct.Struct("!HHI")  # the 64 bits that RFC 792 asks for
_VERSION = 0x45
PROTOCOLS = {ICMP: 1, TCP: 6, UDP: 17}
_KINDS = {number: kind for kind, number in PROTOCOLS.items()}
_UDP_HEADER = 8
_DONT_FRAGMENT, _MORE = 0x4000, 0x2000
_UNIT = 8


class IcmpError(NamedTuple):
    """An error about a packet of ours: who says so, ICMP type and code, and where the packet should have gone."""

    by: str
    kind: int
    code: int
    destination: str


class Quote(NamedTuple):
    """What a quoted packet was: ``first`` and ``second`` are its ports, or an echo's identifier and sequence."""

    kind: str
    destination: str
    first: int
    second: int


def quote(frame: Frame) -> bytes:
    """A packet's IP header and first 8 bytes."""
    source, destination = frame[3:5]
    number, flags = 0, _DONT_FRAGMENT if frame[0] == TCP else 0
    if frame[0] == FRAGMENT:
        number, flags = frame[6], (_MORE if frame[8] else 0) | frame[7] // _UNIT
    fields = (_VERSION, 0, ip_length(frame), number, flags, time_to_live(frame), PROTOCOLS[carries(frame)])
    addresses = to_number(source), to_number(destination)
    total = checksum(_HEADER.pack(*fields, 0, *addresses))
    return _HEADER.pack(*fields, total, *addresses) + _beginning(frame)


def _beginning(frame: Frame) -> bytes:
    if frame[0] == FRAGMENT:
        beginning: bytes = frame[-1][: _BEGINNING.size]
        return beginning
    if frame[0] == ICMP:
        return struct.pack("!BBHHH", frame[5], frame[6], 0, frame[7], frame[8])
    third: int = frame[8] & 0xFFFFFFFF if frame[0] == TCP else (_UDP_HEADER + len(frame[-1])) << 16
    return _BEGINNING.pack(frame[5], frame[6], third)


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071); over data that holds its own it is 0."""
    even = data + b"\0" if len(data) % 2 else data
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def read_quote(payload: bytes) -> Quote | None:
    """What an error's payload quotes; None: nothing that can be read."""
    if len(payload) < _HEADER.size + _BEGINNING.size:
        return None
    header = _HEADER.unpack_from(payload)
    kind = _KINDS.get(header[6])
    if kind is None:
        return None
    at = _HEADER.size + (4 if kind == ICMP else 0)
    first, second = struct.unpack_from("!HH", payload, at)
    return Quote(kind, to_address(header[9]), first, second)


def may_answer(frame: Frame) -> bool:
    """Whether an error may be sent about a packet: never about another error or a later fragment (RFC 1122, 3.2.2)."""
    if frame[0] == FRAGMENT:
        return frame[7] == 0 and (frame[5] != ICMP or frame[-1][0] in (ECHO_REPLY, ECHO_REQUEST))
    return frame[0] != ICMP or frame[5] in (ECHO_REPLY, ECHO_REQUEST)
