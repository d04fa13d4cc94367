"""pcapng files of captured frames, for Wireshark and tshark.

Frames stay tuples during a run; scapy (an optional dependency, slow to import and slower to build packets) renders
them here and nowhere else. TCP checksums, lengths and Ethernet padding are real.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bodydouble_sim.network.frames import ARP, ICMP, TCP, UNREACHABLE, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

_WRAP = (1 << 32) - 1
_MINIMUM = 60  # bytes of an Ethernet frame without its checksum


def write_pcapng(frames: Iterable[tuple[int, Frame]], path: Path | str, *, start: datetime | None = None) -> int:
    """Write frames as captured by `Segment.capture`; returns how many.

    Args:
        frames: ``(virtual nanoseconds, frame)``.
        path: the file to write.
        start: the calendar instant of virtual time 0 (`World.start`); the Unix epoch when omitted.
    """
    from scapy.utils import PcapNgWriter  # noqa: PLC0415 - optional, and half a second to import

    began = 0.0 if start is None else start.timestamp()
    written = 0
    with PcapNgWriter(str(path)) as writer:
        for when, frame in frames:
            packet = _render(frame)
            packet.time = began + when / 1_000_000_000
            writer.write(packet)
            written += 1
    return written


def _render(frame: Frame) -> Any:
    from scapy.layers.l2 import Ether  # noqa: PLC0415 - as above

    body = _arp(frame) if frame[0] == ARP else _ip(frame)
    raw = bytes(Ether(src=frame[1], dst=frame[2]) / body)
    return Ether(raw.ljust(_MINIMUM, b"\x00"))


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

    source, destination, flags, seq, ack, window, payload = frame[5:]
    options = [("MSS", 1460)] if flags & 2 else []
    return (
        TCP_LAYER(
            sport=source,
            dport=destination,
            flags=flags,
            seq=seq & _WRAP,
            ack=ack & _WRAP,
            window=max(0, window),
            options=options,
        )
        / payload
    )


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
