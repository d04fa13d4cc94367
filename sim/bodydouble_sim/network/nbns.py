"""The NetBIOS name service's packets (RFC 1002, 4.2): broadcast queries, registrations, releases and their answers."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from bodydouble_sim.network.frames import NO_ADDRESS, to_address, to_number

PORT = 137
NAME_LENGTH = 15
TIME_TO_LIVE = 300_000  # seconds; what a Windows node claims

QUERY = 0
REGISTRATION = 5
RELEASE = 6

RESPONSE = 0x8000
AUTHORITATIVE = 0x0400
RECURSION_DESIRED = 0x0100
BROADCAST = 0x0010
NAME_ERROR = 3  # the name does not exist
ACTIVE_ERROR = 6  # the name is owned by another node

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIHHI")
_NB = 0x0020
_INTERNET = 0x0001
_QUESTION_POINTER = b"\xc0\x0c"
_ENCODED_LENGTH = 32
_WORKSTATION = 0x00
_OPCODE_SHIFT = 11
_TYPED = re.compile(r"(.+)<([0-9A-F]{2})>", re.DOTALL)


class Packet(NamedTuple):
    """A name service packet: ``address`` is 0.0.0.0 in a query, ``broadcast`` whether everybody was asked."""

    transaction: int
    operation: int
    response: bool
    code: int
    name: str
    address: str
    broadcast: bool


def split(name: str) -> tuple[str, int]:
    """A name and its type byte, which names of domains have at their end in hexadecimal (``LAB<1B>``, KB 163409)."""
    typed = _TYPED.fullmatch(name)
    return (typed[1], int(typed[2], 16)) if typed else (name, _WORKSTATION)


def canonical(name: str) -> str:
    """A name as tables have it: in upper case, 15 characters at most, with its type unless that is a computer's."""
    plain, kind = split(name.upper())
    return plain[:NAME_LENGTH] + (f"<{kind:02X}>" if kind != _WORKSTATION else "")


def _encode_name(name: str) -> bytes:
    """First-level encoding (RFC 1001, 14.1): fifteen characters and a type byte, two letters each."""
    plain, kind = split(name)
    raw = plain.upper().encode("ascii", "replace")[:NAME_LENGTH].ljust(NAME_LENGTH) + bytes([kind])
    letters = bytes(65 + half for byte in raw for half in (byte >> 4, byte & 15))
    return bytes([_ENCODED_LENGTH]) + letters + b"\x00"


def _decode_name(encoded: bytes) -> str:
    letters = encoded[1 : 1 + _ENCODED_LENGTH]
    pairs = zip(letters[::2], letters[1::2], strict=True)
    raw = bytes((high - 65) << 4 | (low - 65) for high, low in pairs)
    kind = raw[NAME_LENGTH]
    plain = raw[:NAME_LENGTH].decode("ascii", "replace").rstrip()
    return plain if kind == _WORKSTATION else f"{plain}<{kind:02X}>"


def _record(address: str) -> bytes:
    return _RECORD.pack(_NB, _INTERNET, TIME_TO_LIVE, 6, 0, to_number(address))


def query(transaction: int, name: str, *, broadcast: bool = True) -> bytes:
    """NAME QUERY REQUEST (4.2.12)."""
    header = _HEADER.pack(transaction, RECURSION_DESIRED | (BROADCAST if broadcast else 0), 1, 0, 0, 0)
    return header + _encode_name(name) + struct.pack("!HH", _NB, _INTERNET)


def claim(operation: int, transaction: int, name: str, address: str, *, broadcast: bool = True) -> bytes:
    """NAME REGISTRATION REQUEST (4.2.2) or NAME RELEASE REQUEST (4.2.9)."""
    flags = operation << _OPCODE_SHIFT | (RECURSION_DESIRED if operation == REGISTRATION else 0)
    flags |= BROADCAST if broadcast else 0
    header = _HEADER.pack(transaction, flags, 1, 0, 0, 1)
    question = _encode_name(name) + struct.pack("!HH", _NB, _INTERNET)
    return header + question + _QUESTION_POINTER + _record(address)


def answer(operation: int, transaction: int, name: str, address: str, code: int = 0) -> bytes:
    """POSITIVE NAME QUERY RESPONSE (4.2.13) or NEGATIVE NAME REGISTRATION RESPONSE (4.2.6)."""
    flags = RESPONSE | operation << _OPCODE_SHIFT | AUTHORITATIVE | RECURSION_DESIRED | code
    return _HEADER.pack(transaction, flags, 0, 1, 0, 0) + _encode_name(name) + _record(address)


def parse(payload: bytes) -> Packet | None:
    """Read a packet; None when it is not one of ours."""
    if len(payload) < _HEADER.size + _ENCODED_LENGTH + 2:
        return None
    transaction, flags, *_ = _HEADER.unpack_from(payload)
    name = _decode_name(payload[_HEADER.size : _HEADER.size + _ENCODED_LENGTH + 2])
    operation = flags >> _OPCODE_SHIFT & 15
    carries = bool(flags & RESPONSE) or operation != QUERY
    address = to_address(struct.unpack("!I", payload[-4:])[0]) if carries else NO_ADDRESS
    to_all = bool(flags & BROADCAST)
    return Packet(transaction, operation, bool(flags & RESPONSE), flags & 15, name, address, to_all)
