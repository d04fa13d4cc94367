"""ICMP errors (RFC 792): the quoted beginning of the packet that an error is about."""

from __future__ import annotations

import struct
from typing import NamedTuple

from bodydouble_sim.network.frames import (
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP,
    TCP,
    UDP,
    Frame,
    time_to_live,
    to_address,
    to_number,
)

_HEADER = struct.Struct("!BBHHHBBHII")
_BEGINNING = struct.Struct("!HHI")  # the 64 bits that RFC 792 asks for
_VERSION = 0x45
_PROTOCOLS = {ICMP: 1, TCP: 6, UDP: 17}
_KINDS = {number: kind for kind, number in _PROTOCOLS.items()}
_UDP_HEADER = 8
_TCP_HEADER = 20


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
    kind, _, _, source, destination = frame[:5]
    protocol = _PROTOCOLS[kind]
    length = _HEADER.size + (_TCP_HEADER if kind == TCP else _UDP_HEADER) + len(frame[-1])
    fields = (_VERSION, 0, length, 0, 0, time_to_live(frame), protocol)
    addresses = to_number(source), to_number(destination)
    checksum = _checksum(_HEADER.pack(*fields, 0, *addresses))
    return _HEADER.pack(*fields, checksum, *addresses) + _beginning(frame)


def _beginning(frame: Frame) -> bytes:
    if frame[0] == ICMP:
        return struct.pack("!BBHHH", frame[5], frame[6], 0, frame[7], frame[8])
    third: int = frame[8] & 0xFFFFFFFF if frame[0] == TCP else (_UDP_HEADER + len(frame[-1])) << 16
    return _BEGINNING.pack(frame[5], frame[6], third)


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
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
    """Whether an error may be sent about a packet: never about another error (RFC 1122, 3.2.2)."""
    return frame[0] != ICMP or frame[5] in (ECHO_REPLY, ECHO_REQUEST)
