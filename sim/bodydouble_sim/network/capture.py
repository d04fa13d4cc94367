"""pcapng files of captured frames, for Wireshark and tshark.

Frames stay tuples during a run; scapy (an optional dependency, slow to import and slower to build packets) renders
them here and nowhere else. It builds some 2,000 packets a second, a run has a hundred thousand frames: so it builds one
packet for each kind of TCP frame between two hosts, and those that differ from it only in ports, numbers and payload
get these patched in. Checksums, lengths and Ethernet padding are real.
"""

from __future__ import annotations

import struct
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from bodydouble_sim.network.frames import (
    ARP,
    FRAGMENT,
    FRAGMENTATION_NEEDED,
    ICMP,
    TCP,
    TIME_EXCEEDED,
    UNREACHABLE,
    Frame,
    hopped,
    time_to_live,
)
from bodydouble_sim.network.icmp import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

_WRAP = (1 << 32) - 1
_ETHERNET = 14  # bytes of an Ethernet header
_IP = 20  # bytes of an IPv4 header without options
_LONGEST_COMMENT = 60_000  # the format counts them in 16 bits
_FRAGMENT_UNIT = 8
_MINIMUM = 60  # bytes of an Ethernet frame without its checksum


class _Commented(bytes):
    """A packet's bytes with comments, as scapy's writer asks for them."""

    comments: list[bytes]


def write_pcapng(
    frames: Iterable[tuple[int, Frame]],
    path: Path | str,
    *,
    start: datetime | None = None,
    remarks: Iterable[tuple[int, Frame, str]] = (),
    marks: Iterable[tuple[int, str]] = (),
) -> int:
    """Write frames as captured by `Segment.capture`; returns how many.

    A frame is seen where its sender puts it on the wire: one that a fault then dropped is there, with a remark.

    Args:
        frames: ``(virtual nanoseconds, frame)``.
        path: the file to write.
        start: the calendar instant of virtual time 0 (`World.start`); the Unix epoch when omitted.
        remarks: what faults did to single frames (`Segment.remarks`); each becomes a comment on its packet.
        marks: what happened at an instant of virtual nanoseconds (a fault begins, the product records an event): a
            comment on the first packet at or after it, or on the last one.
    """
    from scapy.layers.l2 import Ether  # noqa: PLC0415 - optional, and half a second to import
    from scapy.utils import RawPcapNgWriter  # noqa: PLC0415 - as above

    began = 0.0 if start is None else start.timestamp()
    rendering = Rendering()
    written = 0
    with RawPcapNgWriter(str(path)) as writer:
        writer.write_header(Ether())
        for when, frame, comments in _commented(list(frames), remarks, marks):
            raw = _Commented(rendering.padded(frame))
            raw.comments = comments
            writer.write_packet(raw, sec=began + when / 1_000_000_000)
            written += 1
    return written


def _commented(
    frames: list[tuple[int, Frame]], remarks: Iterable[tuple[int, Frame, str]], marks: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, Frame, list[bytes]]]:
    """Every frame with its comments: the marks that wait for one, then the remarks on it."""
    on_frame: dict[tuple[int, Frame], list[str]] = {}
    for when, frame, text in remarks:
        on_frame.setdefault((when, frame), []).append(text)
    waiting = deque(sorted(marks, key=itemgetter(0)))
    for number, (when, frame) in enumerate(frames, 1):
        texts = []
        while waiting and (waiting[0][0] <= when or number == len(frames)):
            texts.append(waiting.popleft()[1])
        texts += on_frame.pop((when, frame), [])
        yield when, frame, [text.encode()[:_LONGEST_COMMENT] for text in texts]


def render(frame: Frame) -> bytes:
    """One frame as it is on the wire, built by scapy (half a millisecond)."""
    return Rendering().padded(frame)


class Rendering:
    """Renders frames to bytes, remembering what scapy built for each kind of TCP frame.

    scapy asks the host for its interfaces when it is imported, so a rendering that is needed while a world runs has to
    be made before: code of a world gets no sockets of the host.
    """

    def __init__(self) -> None:
        import scapy.layers.inet  # noqa: F401, PLC0415 - only who renders pays for it

        self._built: dict[tuple[Any, ...], bytes] = {}

    def padded(self, frame: Frame) -> bytes:
        """The bytes of one frame, as on the wire: at least as many as Ethernet carries."""
        return self._of(frame).ljust(_MINIMUM, b"\x00")

    def _of(self, frame: Frame) -> bytes:
        if frame[0] != TCP:
            return _build(frame)
        kind = (*frame[:5], frame[7], time_to_live(frame))  # who to whom, and the flags
        if kind not in self._built:
            self._built[kind] = _build(hopped((*frame[:8], 0, 0, 0, b""), time_to_live(frame)))
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

    layer = IP(src=frame[3], dst=frame[4], ttl=time_to_live(frame))
    kind = frame[0]
    if kind == TCP:
        layer.flags = "DF"
        return layer / _tcp(frame)
    if kind == FRAGMENT:
        return _fragment(layer, frame)
    return layer / (_icmp(frame) if kind == ICMP else _udp(frame))


def _fragment(layer: Any, frame: Frame) -> Any:
    from scapy.packet import Raw  # noqa: PLC0415 - as above

    kind, layer.id, offset, more, payload = frame[5:]
    layer.proto, layer.frag, layer.flags = PROTOCOLS[kind], offset // _FRAGMENT_UNIT, "MF" if more else 0
    return layer / Raw(payload)


def _tcp(frame: Frame) -> Any:
    from scapy.layers.inet import TCP as TCP_LAYER  # noqa: PLC0415 - as above

    source, destination, flags = frame[5:8]
    options = [("MSS", 1460)] if flags & 2 else []
    return TCP_LAYER(sport=source, dport=destination, flags=flags, options=options)


def _icmp(frame: Frame) -> Any:
    from scapy.layers.inet import ICMP as ICMP_LAYER  # noqa: PLC0415 - as above

    kind, code, identifier, sequence, payload = frame[5:]
    if kind in (UNREACHABLE, TIME_EXCEEDED):  # the payload is the beginning of the packet that it is about (RFC 792)
        needed = {"nexthopmtu": sequence} if (kind, code) == (UNREACHABLE, FRAGMENTATION_NEEDED) else {}
        return ICMP_LAYER(type=kind, code=code, **needed) / payload
    return ICMP_LAYER(type=kind, code=code, id=identifier, seq=sequence) / payload


def _udp(frame: Frame) -> Any:
    from scapy.layers.inet import UDP  # noqa: PLC0415 - as above
    from scapy.packet import Raw  # noqa: PLC0415 - as above

    return UDP(sport=frame[5], dport=frame[6]) / Raw(frame[7])
