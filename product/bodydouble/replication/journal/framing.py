"""The bytes of a journal's segment. Pure.

A segment begins with a header: magic, number of its first record, identity of the journal (its length and UTF-8), and a
CRC-32 of all that. Each record is its length, a CRC-32 and its payload. A record's checksum goes on from the one before
it, back to the header's: a record counts only behind exactly its predecessors, in exactly this journal. So what a power
cut left of older bytes, or of a later record without the one before it, never passes for a record.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from bodydouble.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RECORD_BYTES = 72 * 1024 * 1024
"""A write of the greatest length with its names and security fits."""
MAX_IDENTITY_BYTES = 4096

_MAGIC = b"BDJ1"
_HEADER = struct.Struct(">4sQH")
_RECORD = struct.Struct(">II")
_CRC = struct.Struct(">I")
RECORD_OVERHEAD = _RECORD.size


class Header(NamedTuple):
    """What a segment says of itself: ``size`` bytes, and the checksum that its first record goes on from."""

    identity: str
    first: int
    size: int
    crc: int


class Frame(NamedTuple):
    """One record: its payload, the offset behind it, and the checksum that the next one goes on from."""

    payload: bytes
    end: int
    crc: int


def encode_header(identity: str, first: int) -> bytes:
    """The header of a segment.

    Raises:
        StateError: the identity is too long.
    """
    name = identity.encode("utf-8", "surrogatepass")
    if len(name) > MAX_IDENTITY_BYTES:
        raise StateError(f"journal: identity of {len(name)} bytes, at most {MAX_IDENTITY_BYTES} are allowed")
    content = _HEADER.pack(_MAGIC, first, len(name)) + name
    return content + _CRC.pack(zlib.crc32(content))


def header_bytes() -> int:
    """The longest that a header can be."""
    return _HEADER.size + MAX_IDENTITY_BYTES + _CRC.size


def decode_header(content: bytes) -> Header | None:
    """The header at the beginning of ``content``; None when there is no valid one."""
    if len(content) < _HEADER.size:
        return None
    magic, first, length = _HEADER.unpack_from(content)
    end = _HEADER.size + length
    if magic != _MAGIC or length > MAX_IDENTITY_BYTES or len(content) < end + _CRC.size:
        return None
    (crc,) = _CRC.unpack_from(content, end)
    if crc != zlib.crc32(content[:end]):
        return None
    try:
        identity = content[_HEADER.size : end].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return Header(identity, first, end + _CRC.size, crc)


def encode_record(payload: bytes, crc: int) -> tuple[bytes, int]:
    """The bytes of a record behind the checksum ``crc``, and its own checksum.

    Raises:
        StateError: the payload is empty or too long.
    """
    pieces, following = record_pieces((payload,), crc)
    return b"".join(pieces), following


def record_pieces(payload: Sequence[bytes], crc: int) -> tuple[list[bytes], int]:
    """The same of a payload in pieces: bytes to be written behind each other, none of them copied.

    Raises:
        StateError: see `encode_record`.
    """
    length = sum(map(len, payload))
    if not 0 < length <= MAX_RECORD_BYTES:
        raise StateError(f"journal: record of {length} bytes, 1 to {MAX_RECORD_BYTES} are allowed")
    following = _checksum(length, payload, crc)
    return [_RECORD.pack(length, following), *payload], following


def decode_record(content: bytes | bytearray, at: int, crc: int) -> Frame | None:
    """The record at ``at``; None when no whole, valid one is there."""
    wanted = record_bytes(content, at)
    if wanted is None or at + wanted > len(content):
        return None
    length, stored = _RECORD.unpack_from(content, at)
    payload = bytes(content[at + _RECORD.size : at + wanted])
    if _checksum(length, (payload,), crc) != stored:
        return None
    return Frame(payload, at + wanted, stored)


def record_bytes(content: bytes | bytearray, at: int) -> int | None:
    """Bytes of the record at ``at`` as it announces itself; None when that is cut off or cannot be."""
    if at + _RECORD.size > len(content):
        return None
    length, _ = _RECORD.unpack_from(content, at)
    return _RECORD.size + int(length) if 0 < length <= MAX_RECORD_BYTES else None


def _checksum(length: int, payload: Sequence[bytes], crc: int) -> int:
    crc = zlib.crc32(_CRC.pack(length), crc)
    for piece in payload:
        crc = zlib.crc32(piece, crc)
    return crc
