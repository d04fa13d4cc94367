"""pcapng files of captured frames, for Wireshark and tshark.

Frames stay tuples during a run; scapy (an optional dependency, slow to import and slower to build packets) renders
them here and nowhere else. It builds some 2,000 packets a second, a run has a hundred thousand frames: so it builds one
packet for each kind of TCP frame between two hosts, and those that differ from it only in ports, numbers and payload
get these patched in. Checksums, lengths and Ethernet padding are real.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from bodydouble_sim.network.frames import ARP, ICMP, TCP, UNREACHABLE, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

_WRAP = (1 << 32) - 1
_ETHERNET = 14  # bytes of an Ethernet header
_IP = 20  # bytes of an IPv4 header without options
_MINIMUM = 60  # bytes of an Ethernet frame without its checksum


def write_pcapng(frames: Iterable[tuple[int, Frame]], path: Path | str, *, start: datetime | None = None) -> int:
    """Write frames as captured by `Segment.capture`; returns how many.

    Args:
        frames: ``(virtual nanoseconds, frame)``.
        path: the file to write.
        start: the calendar instant of virtual time 0 (`World.start`); the Unix epoch when omitted.
    """
    from scapy.layers.l2 import Ether  # noqa: PLC0415 - optional, and half a second to import
    from scapy.utils import RawPcapNgWriter  # noqa: PLC0415 - as above

    began = 0.0 if start is None else start.timestamp()
    rendering = _Rendering()
    written = 0
    with RawPcapNgWriter(str(path)) as writer:
        writer.write_header(Ether())
        for when, frame in frames:
            raw = rendering.of(frame).ljust(_MINIMUM, b"\x00")
            writer.write_packet(raw, sec=began + when / 1_000_000_000)
            written += 1
    return written


def render(frame: Frame) -> bytes:
    """One frame as it is on the wire, built by scapy (half a millisecond)."""
    return _Rendering().of(frame).ljust(_MINIMUM, b"\x00")


class _Rendering:
    """Renders frames to bytes, remembering what scapy built for each kind of TCP frame."""

    def __init__(self) -> None:
        self._built: dict[tuple[Any, ...], bytes] = {}

    def of(self, frame: Frame) -> bytes:
        """The bytes of one frame, as on the wire."""
        if frame[0] != TCP:
            return _build(frame)
        kind = (*frame[:5], frame[7])  # who to whom, and the flags
        if kind not in self._built:
            self._built[kind] = _build((*frame[:8], 0, 0, 0, b""))
        return _patched(self._built[kind], frame)


def _build(frame: Frame) -> bytes:
    from scapy.layers.l2 import Ether  # noqa: PLC0415 - as above

    body = _arp(frame) if frame[0] == ARP else _ip(frame)
    return bytes(Ether(src=frame[1], dst=frame[2]) / body)


def _patched(built: bytes, frame: Frame) -> bytes:
    """The TCP frame ``built`` with the ports, numbers and payload of ``frame``; offsets as in RFC 791 and RFC 793."""
    from scapy.utils import checksum  # noqa: PLC0415 - as above

    source, destination, _, seq, ack, window, payload = frame[5:]
    ip, segment = bytearray(built[_ETHERNET : _ETHERNET + _IP]), bytearray(built[_ETHERNET + _IP :] + payload)
    struct.pack_into("!H", ip, 2, _IP + len(segment))
    struct.pack_into("!H", ip, 10, 0)
    struct.pack_into("!H", ip, 10, checksum(bytes(ip)))
    struct.pack_into("!HHII", segment, 0, source, destination, seq & _WRAP, ack & _WRAP)
    struct.pack_into("!HH", segment, 14, max(0, window), 0)
    pseudo_header = bytes(ip[12:20]) + struct.pack("!BBH", 0, ip[9], len(segment))
    struct.pack_into("!H", segment, 16, checksum(pseudo_header + bytes(segment)))
    return built[:_ETHERNET] + bytes(ip) + bytes(segment)


def _arp(frame: Frame) -> Any:
    from scapy.layers.l2 import ARP as ARP_LAYER  # noqa: PLC0415 - as above

    operation, sender_mac, sender, target_mac, target = frame[3:]
    return ARP_LAYER(op=operation, hwsrc=sender_mac, psrc=sender, hwdst=target_mac, pdst=target)


def _ip(frame: Frame) -> Any:
    from scapy.layers.inet import IP  # noqa: PLC0415 - as above

    layer = IP(src=frame[3], dst=frame[4], ttl=128)  # Windows begins at 128
    kind = frame[0]
    if kind == TCP:
        return layer / _tcp(frame)
    return layer / (_icmp(frame) if kind == ICMP else _udp(frame))


def _tcp(frame: Frame) -> Any:
    from scapy.layers.inet import TCP as TCP_LAYER  # noqa: PLC0415 - as above

    source, destination, flags = frame[5:8]
    options = [("MSS", 1460)] if flags & 2 else []
    return TCP_LAYER(sport=source, dport=destination, flags=flags, options=options)


def _icmp(frame: Frame) -> Any:
    from scapy.layers.inet import ICMP as ICMP_LAYER  # noqa: PLC0415 - as above
    from scapy.layers.inet import IP, UDP  # noqa: PLC0415 - as above

    kind, code, identifier, sequence, payload = frame[5:]
    if kind == UNREACHABLE:  # the wire carries the header that it is about (RFC 792)
        quoted = IP(src=frame[4], dst=frame[3]) / UDP(
            sport=int.from_bytes(payload[:2], "big"), dport=int.from_bytes(payload[2:], "big")
        )
        return ICMP_LAYER(type=kind, code=code) / quoted
    return ICMP_LAYER(type=kind, code=code, id=identifier, seq=sequence) / payload


def _udp(frame: Frame) -> Any:
    from scapy.layers.inet import UDP  # noqa: PLC0415 - as above
    from scapy.packet import Raw  # noqa: PLC0415 - as above

    return UDP(sport=frame[5], dport=frame[6]) / Raw(frame[7])
