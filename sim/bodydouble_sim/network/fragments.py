"""IP fragments (RFC 791, 3.2): UDP and ICMP packets that are longer than a segment's MTU, cut and put together again.

TCP is never cut: its packets carry "don't fragment", and a sender learns of a smaller MTU by ICMP (RFC 1191). A
fragment is a frame of its own kind whose payload is a piece of the real packet; what is whole stays a tuple of fields.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bodydouble_sim.network.frames import ICMP, TIME_EXCEEDED, UDP, Frame, to_number
from bodydouble_sim.network.icmp import PROTOCOLS, checksum, may_answer, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.stack import IpStack

IP_HEADER = 20
_SECOND = 1_000_000_000
_TIMEOUT = 60 * _SECOND  # RFC 1122, 3.3.2: between 60 and 120 s
_REASSEMBLY_EXCEEDED = 1  # the code of ICMP time exceeded (RFC 792)
_MOST_INCOMPLETE = 64  # packets that wait for the rest at a time; then the oldest goes
_UNIT = 8  # offsets count units of 8 bytes
_LONGEST = 65535 - IP_HEADER
_UDP_HEADER = struct.Struct("!HHHH")
_ICMP_HEADER = struct.Struct("!BBHHH")
_NUMBERS = 1 << 16


def packed(kind: str, source: str, destination: str, rest: Frame) -> bytes:
    """A UDP or ICMP packet as its bytes after the IP header."""
    payload: bytes = rest[-1]
    if kind == ICMP:
        type_, code, identifier, sequence = rest[:-1]
        head = _ICMP_HEADER.pack(type_, code, 0, identifier, sequence)
        return _ICMP_HEADER.pack(type_, code, checksum(head + payload), identifier, sequence) + payload
    length = _UDP_HEADER.size + len(payload)
    pseudo = _pseudo_header(source, destination, length)
    total = checksum(pseudo + _UDP_HEADER.pack(*rest[:2], length, 0) + payload) or 0xFFFF
    return _UDP_HEADER.pack(*rest[:2], length, total) + payload


def unpacked(kind: str, source: str, destination: str, data: bytes) -> Frame | None:
    """The fields of a UDP or ICMP packet; None: it is damaged."""
    if len(data) < _UDP_HEADER.size:
        return None
    pseudo = b"" if kind == ICMP else _pseudo_header(source, destination, len(data))
    if checksum(pseudo + data):
        return None
    if kind == ICMP:
        type_, code, _, identifier, sequence = _ICMP_HEADER.unpack_from(data)
        return type_, code, identifier, sequence, data[_ICMP_HEADER.size :]
    return (*_UDP_HEADER.unpack_from(data)[:2], data[_UDP_HEADER.size :])


def _pseudo_header(source: str, destination: str, length: int) -> bytes:
    return struct.pack("!IIHH", to_number(source), to_number(destination), PROTOCOLS[UDP], length)


def pieces(data: bytes, mtu: int) -> Iterator[tuple[int, bool, bytes]]:
    """Offset, whether more follow, and bytes of each fragment."""
    size = (mtu - IP_HEADER) // _UNIT * _UNIT
    for at in range(0, len(data), size):
        yield at, at + size < len(data), data[at : at + size]


class _Incomplete:
    """A packet of which some fragments came."""

    def __init__(self) -> None:
        self.head: Frame | None = None  # the fragment at offset 0
        self.length: int | None = None
        self.parts: dict[int, bytes] = {}

    def add(self, frame: Frame) -> bool:
        """Take a fragment; False: it contradicts another."""
        offset, more, payload = frame[7:]
        end = offset + len(payload)
        known = self.parts.get(offset)
        if known is not None:
            return bool(known == payload)
        if end > _LONGEST or any(offset < at + len(part) and at < end for at, part in self.parts.items()):
            return False
        if offset == 0:
            self.head = frame
        if not more:
            self.length = end
        self.parts[offset] = payload
        return True

    def whole(self) -> bytes | None:
        """All of it, or None while something is missing."""
        if self.length is None or sum(map(len, self.parts.values())) != self.length:
            return None
        return b"".join(self.parts[at] for at in sorted(self.parts))


class Fragments:
    """A machine's side of fragmentation: numbers for packets that it cuts, and packets that are not whole yet.

    Attributes:
        lost: packets that were given up: too late, contradictory, damaged, or too many at a time.
    """

    def __init__(self, stack: IpStack) -> None:
        self._stack = stack
        self._number = 0
        self._incomplete: dict[tuple[str, str, str, int], _Incomplete] = {}
        self.lost = 0

    def cut(self, mtu: int, kind: str, source: str, destination: str, rest: Frame) -> Iterator[Frame]:
        """The fragments of a packet of this machine, without the fields that every IP packet has."""
        self._number = (self._number + 1) % _NUMBERS
        for piece in pieces(packed(kind, source, destination, rest), mtu):
            yield kind, self._number, *piece

    def receive(self, nic: Nic | None, frame: Frame) -> None:
        """Keep a fragment until the packet is whole."""
        source, destination, kind, number = frame[3:7]
        stack = self._stack
        if nic is not None and not stack.owns(destination) and not stack.is_broadcast(nic, destination):
            return
        key = source, destination, kind, number
        waiting = self._incomplete.get(key)
        if waiting is None:
            waiting = self._begin(key)
        if not waiting.add(frame):
            self._lose(key)
            return
        data = waiting.whole()
        if data is not None:
            del self._incomplete[key]
            rest = unpacked(kind, source, destination, data)
            if rest is None:
                self.lost += 1
            else:
                stack.deliver(nic, (kind, *frame[1:5], *rest))

    def _begin(self, key: tuple[str, str, str, int]) -> _Incomplete:
        if len(self._incomplete) >= _MOST_INCOMPLETE:
            self._lose(next(iter(self._incomplete)))
        begun = self._incomplete[key] = _Incomplete()
        self._stack.loop.schedule(_TIMEOUT, self._give_up, (key, begun))
        return begun

    def _lose(self, key: tuple[str, str, str, int]) -> None:
        del self._incomplete[key]
        self.lost += 1

    def _give_up(self, waited: tuple[tuple[str, str, str, int], _Incomplete]) -> None:
        """The rest did not come in time: tell the sender, if the beginning did (RFC 1122, 3.3.2)."""
        key, begun = waited
        if self._incomplete.get(key) is not begun:
            return
        self._lose(key)
        stack = self._stack
        source, destination = key[:2]
        route = stack.lookup_route(source)
        if begun.head is not None and route is not None and stack.owns(destination) and may_answer(begun.head):
            rest = (TIME_EXCEEDED, _REASSEMBLY_EXCEEDED, 0, 0, quote(begun.head))
            stack.send(route.nic, ICMP, destination, source, rest)


def again(frame: Frame, mtu: int) -> Iterator[Frame]:
    """A packet that a router has to cut: the fields behind the addresses of each fragment.

    Args:
        frame: a fragment that is cut once more.
        mtu: of the segment that it goes to.
    """
    kind, number, offset, more, payload = frame[5:]
    for at, others, piece in pieces(payload, mtu):
        yield kind, number, offset + at, others or more, piece
