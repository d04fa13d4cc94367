"""The wire's frames as a promiscuous client on the bridge hears them: a pcapng file, and who sent how many.

Format: the pcapng draft (draft-ietf-opsawg-pcapng), one section, one Ethernet interface, nanosecond stamps from the
kernel. Checksums that veth left to hardware that it does not have are wrong in the file, as in any capture on a veth.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

LIMIT: Final = 256 * 1024 * 1024
"""Bytes after which nothing more is written, so that a long run does not fill the disk."""

_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_PROMISC = 263, 1, 1
_SO_TIMESTAMPNS = 35
_FRAME = 65536
_SENDER = slice(6, 12)
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_ETHERNET = 1
_NANOSECONDS = struct.pack("<HHB3xI", 9, 1, 9, 0)
"""Option if_tsresol, 10 to the minus 9, and the end of options."""


class Capture:
    """Hears what passes on an interface while it is entered.

    Attributes:
        listener: is given every frame.
    """

    def __init__(self, interface: str, path: Path | None) -> None:
        """Hear ``interface`` of this network namespace, and write what is heard to ``path`` if there is one."""
        self.listener: Callable[[bytes], None] = lambda _frame: None
        self._interface = interface
        self._path = path
        self._file: BinaryIO | None = None
        self._written = 0
        self._heard: Counter[bytes] = Counter()

    async def __aenter__(self) -> Self:
        self._socket = _promiscuous(self._interface)
        self._file = self._path.open("wb") if self._path is not None else None
        self._write(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        self._write(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, _FRAME) + _NANOSECONDS)
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._read()
        self._socket.close()
        if self._file is not None:
            self._file.close()

    def frames_from(self, mac: str) -> int:
        """Frames heard from a MAC address (``02:bd:00:00:00:01``) until now, also those beyond `LIMIT`."""
        self._read()
        return self._heard[bytes.fromhex(mac.replace(":", ""))]

    def _read(self) -> None:
        while True:
            try:
                frame, ancillary, _, _ = self._socket.recvmsg(_FRAME, 64)
            except BlockingIOError:
                return
            self._heard[frame[_SENDER]] += 1
            self.listener(frame)
            self._keep(frame, _stamp(ancillary))

    def _keep(self, frame: bytes, at: int) -> None:
        if self._file is None or self._written + len(frame) > LIMIT:
            return
        head = struct.pack("<IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(frame), len(frame))
        self._write(_PACKET, head + frame + bytes(-len(frame) % 4))

    def _write(self, kind: int, body: bytes) -> None:
        if self._file is None:
            return
        length = struct.pack("<I", len(body) + 12)
        self._written += self._file.write(struct.pack("<I", kind) + length + body + length)


def _promiscuous(interface: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    membership = struct.pack("iHH8s", socket.if_nametoindex(interface), _PACKET_MR_PROMISC, 0, b"")
    wire.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    wire.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    wire.setblocking(False)
    wire.bind((interface, _ETH_P_ALL))
    return wire


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack_from("qq", data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0
