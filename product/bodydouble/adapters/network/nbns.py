"""The NetBIOS name service's packets (RFC 1002, section 4.2): pure encoding and decoding, no I/O.

Lab clients use it as well: ``encode(query("SOURCE", transaction=1))`` broadcast to port 137, ``decode`` on the answer,
``answer.records[0].addresses``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from bodydouble.errors import IdentityError

PORT = 137
#: Longest NetBIOS name, without the type byte.
LONGEST_NAME = 15
#: RFC 1002, 4.2.1.1: the RCODE of "active error", the name is owned by another node.
ACTIVE_ERROR = 6

WORKSTATION = 0x00
SERVER = 0x20

_NB = 0x0020
_INTERNET = 0x0001
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_RESPONSE, _AUTHORITATIVE, _RECURSION_DESIRED, _RECURSION_AVAILABLE, _BROADCAST = 0x8000, 0x0400, 0x0100, 0x0080, 0x0010
_POINTER = 0xC0
_ENCODED_NAME = 32
_GROUP = 0x8000


class Operation(IntEnum):
    """OPCODE values."""

    QUERY = 0
    REGISTRATION = 5
    RELEASE = 6


@dataclass(frozen=True, slots=True)
class Name:
    """A NetBIOS name: at most 15 characters, compared upper case, and the type byte (RFC 1001, section 14)."""

    text: str
    kind: int = WORKSTATION
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """An NB resource record: whose name, where, and whether many may share it."""

    name: Name
    addresses: tuple[str, ...]
    group: bool = False
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. ``questions`` and ``records`` hold what a node of type B sends and understands."""

    transaction: int
    operation: Operation
    response: bool = False
    broadcast: bool = False
    recursion_desired: bool = True
    code: int = 0
    questions: tuple[Name, ...] = ()
    records: tuple[Record, ...] = ()


def query(name: str, *, transaction: int, kind: int = WORKSTATION) -> Packet:
    """Ask everybody on the segment who answers for a name."""
    return Packet(transaction, Operation.QUERY, broadcast=True, questions=(Name(name, kind),))


def registration(name: str, address: str, *, transaction: int, kind: int, demand: bool = False) -> Packet:
    """Claim a unique name; as a demand, tell that it is taken (RFC 1002, 4.2.2 and 4.2.3)."""
    subject = Name(name, kind)
    return Packet(
        transaction,
        Operation.REGISTRATION,
        broadcast=True,
        recursion_desired=not demand,
        questions=(subject,),
        records=(Record(subject, (address,)),),
    )


def release(name: str, address: str, *, transaction: int, kind: int) -> Packet:
    """Give a name up (RFC 1002, 4.2.9)."""
    subject = Name(name, kind)
    return Packet(
        transaction,
        Operation.RELEASE,
        broadcast=True,
        recursion_desired=False,
        questions=(subject,),
        records=(Record(subject, (address,)),),
    )


def positive_answer(question: Packet, addresses: tuple[str, ...], ttl: int) -> Packet:
    """Answer a query: the name is ours and lives at these addresses (RFC 1002, 4.2.13)."""
    record = Record(question.questions[0], addresses, ttl=ttl)
    return Packet(question.transaction, Operation.QUERY, response=True, records=(record,))


def refusal(claim: Packet, address: str) -> Packet:
    """Defend a name against another node's claim (RFC 1002, 4.2.6)."""
    record = Record(claim.questions[0], (address,))
    return Packet(claim.transaction, Operation.REGISTRATION, response=True, code=ACTIVE_ERROR, records=(record,))


def encode(packet: Packet) -> bytes:
    """The packet's bytes.

    Raises:
        IdentityError: a name is too long or not ASCII.
    """
    answers = len(packet.records) if packet.response else 0
    head = _HEADER.pack(
        packet.transaction, _flags(packet), len(packet.questions), answers, 0, len(packet.records) - answers
    )
    questions = b"".join(_encode_name(name) + struct.pack("!HH", _NB, _INTERNET) for name in packet.questions)
    return head + questions + b"".join(_encode_record(record) for record in packet.records)


def decode(data: bytes) -> Packet:
    """The packet in ``data``; records of other types than NB are left out.

    Raises:
        IdentityError: malformed, or an operation that this node does not speak.
    """
    try:
        return _decode(data)
    except (struct.error, IndexError, ValueError) as error:
        raise IdentityError(f"malformed NetBIOS name service packet of {len(data)} bytes: {error}") from error


def _flags(packet: Packet) -> int:
    flags = packet.operation << 11 | packet.code
    if packet.response:
        flags |= _RESPONSE | _AUTHORITATIVE
        if packet.operation is Operation.REGISTRATION:
            flags |= _RECURSION_AVAILABLE
    if packet.recursion_desired:
        flags |= _RECURSION_DESIRED
    return flags | _BROADCAST if packet.broadcast else flags


def _encode_name(name: Name) -> bytes:
    text = name.text.upper().encode("ascii", "replace")
    if not name.text.isascii() or not 0 < len(text) <= LONGEST_NAME:
        raise IdentityError(f"{name.text!r} is no NetBIOS name: 1 to {LONGEST_NAME} ASCII characters are allowed")
    padded = text.ljust(LONGEST_NAME) + bytes([name.kind])
    nibbles = bytes(half + ord("A") for byte in padded for half in (byte >> 4, byte & 15))
    labels = [nibbles, *(label.encode("ascii") for label in name.scope.split(".") if label)]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _encode_record(record: Record) -> bytes:
    flags = _GROUP if record.group else 0
    data = b"".join(struct.pack("!H", flags) + IPv4Address(address).packed for address in record.addresses)
    return _encode_name(record.name) + _RECORD.pack(_NB, _INTERNET, record.ttl, len(data)) + data


def _decode(data: bytes) -> Packet:
    transaction, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    offset = _HEADER.size
    names, records = [], []
    for _ in range(questions):
        name, offset = _decode_name(data, offset)
        names.append(name)
        offset += 4
    for _ in range(answers + authorities + additional):
        record, offset = _decode_record(data, offset)
        if record is not None:
            records.append(record)
    return Packet(
        transaction,
        Operation(flags >> 11 & 15),
        response=bool(flags & _RESPONSE),
        broadcast=bool(flags & _BROADCAST),
        recursion_desired=bool(flags & _RECURSION_DESIRED),
        code=flags & 15,
        questions=tuple(names),
        records=tuple(records),
    )


def _decode_record(data: bytes, offset: int) -> tuple[Record | None, int]:
    name, offset = _decode_name(data, offset)
    kind, _, ttl, length = _RECORD.unpack_from(data, offset)
    start = offset + _RECORD.size
    if start + length > len(data):
        raise ValueError("record longer than the packet")
    if kind != _NB:
        return None, start + length
    entries = [struct.unpack_from("!H4s", data, at) for at in range(start, start + length - 5, 6)]
    addresses = tuple(str(IPv4Address(packed)) for _, packed in entries)
    group = any(flags & _GROUP for flags, _ in entries)
    return Record(name, addresses, group, ttl), start + length


def _decode_name(data: bytes, offset: int) -> tuple[Name, int]:
    if data[offset] & _POINTER == _POINTER:
        target = struct.unpack_from("!H", data, offset)[0] & 0x3FFF
        if target >= offset:
            raise ValueError("name pointer does not point back")
        return _decode_name(data, target)[0], offset + 2
    labels = []
    while (length := data[offset]) != 0:
        labels.append(data[offset + 1 : offset + 1 + length])
        offset += 1 + length
    if not labels or len(labels[0]) != _ENCODED_NAME or any(not 0 <= byte - ord("A") <= 15 for byte in labels[0]):  # noqa: PLR2004 - a nibble
        raise ValueError("not an encoded NetBIOS name")
    halves = [byte - ord("A") for byte in labels[0]]
    raw = bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
    scope = b".".join(labels[1:]).decode("ascii")
    return Name(raw[:LONGEST_NAME].decode("latin-1").rstrip(" \0"), raw[LONGEST_NAME], scope), offset + 1
