"""DNS (RFC 1035): address records of one zone over UDP, a server that answers for them, and a machine's resolver.

Written out here, not taken from dnspython: the simulator would use one question and one record of it.

The resolver asks as Windows 2000 does: its first server, then all of them, waiting 1, 2, 2, 4 and 8 s (DNSQueryTimeouts
of the Windows 2000 Registry Reference); here one after the other. A name without a dot gets each configured suffix.
Answers are kept for their time to live, "no such name" for 5 minutes (NegativeCacheTime, 300 s).
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, NamedTuple

from bodydouble_sim.network.frames import NO_ADDRESS, to_address, to_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble_sim.machine import Machine

PORT = 53
TIME_TO_LIVE = 3600  # seconds; the default of a Windows 2000 zone's records
NO_SUCH_NAME = 3
NOT_IMPLEMENTED = 4
ADDRESS = 1
INTERNET = 1
_RESPONSE = 0x8000
_OPCODE = 0x7800
_AUTHORITATIVE = 0x0400
_RECURSION_DESIRED = 0x0100
_CODE = 0x000F
_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHHIHI")
_POINTER = 0xC00C
_LONGEST_LABEL = 63
_LONGEST_NAME = 253
_SECOND = 1_000_000_000
_NEGATIVE_AGE = 300
_WAITS = (1.0, 2.0, 2.0, 4.0, 8.0)
_TRANSACTIONS = 0x10000


class Message(NamedTuple):
    """A DNS message with its question and, in an answer, the first address (0.0.0.0: none)."""

    transaction: int
    response: bool
    code: int
    name: str
    kind: int
    address: str = NO_ADDRESS
    ttl: int = 0


def is_domain_name(name: str) -> bool:
    """Whether a name can be asked for (RFC 1035, 2.3.4)."""
    labels = name.rstrip(".").split(".")
    return len(name) <= _LONGEST_NAME and name.isascii() and all(0 < len(label) <= _LONGEST_LABEL for label in labels)


def encoded(name: str) -> bytes:
    """A name as the wire has it: its labels, each after its length (RFC 1035, 3.1)."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


def question(transaction: int, name: str) -> bytes:
    """A recursive query for a name's address."""
    header = _HEADER.pack(transaction, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + encoded(name) + _QUESTION.pack(ADDRESS, INTERNET)


def answer(asked: Message, address: str | None, code: int = 0) -> bytes:
    """An authoritative answer: one address record, or an error code."""
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION_DESIRED | code
    header = _HEADER.pack(asked.transaction, flags, 1, 0 if address is None else 1, 0, 0)
    body = encoded(asked.name) + _QUESTION.pack(asked.kind, INTERNET)
    if address is not None:
        body += _RECORD.pack(_POINTER, ADDRESS, INTERNET, TIME_TO_LIVE, 4, to_number(address))
    return header + body


def parse(payload: bytes) -> Message | None:
    """Read a message with one question; None when it is none, or is damaged."""
    try:
        transaction, flags, questions, answers, _, _ = _HEADER.unpack_from(payload)
        name, at = _name(payload, _HEADER.size)
        kind, _ = _QUESTION.unpack_from(payload, at)
        code = NOT_IMPLEMENTED if flags & _OPCODE else flags & _CODE
        message = Message(transaction, bool(flags & _RESPONSE), code, name, kind)
        if questions != 1 or not answers:
            return message if questions == 1 else None
        _, _, _, ttl, _, address = _RECORD.unpack_from(payload, at + _QUESTION.size)
        return message._replace(address=to_address(address), ttl=ttl)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None


def _name(payload: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := payload[at]:
        if length > _LONGEST_LABEL:
            raise IndexError("a pointer in a question")
        labels.append(payload[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels), at + 1


class DnsServer(asyncio.DatagramProtocol):
    """Answers for the names of a zone; serve it with ``create_datagram_endpoint(..., ("0.0.0.0", 53))``.

    Attributes:
        zone: names to addresses; may change while it serves.
    """

    def __init__(self, zone: Mapping[str, str]) -> None:
        self.zone = {name.rstrip(".").lower(): address for name, address in zone.items()}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # asyncio's own
        """Remember where to answer."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        asked = parse(data)
        if asked is None or asked.response or self._transport is None:
            return
        if asked.code:
            self._transport.sendto(answer(asked, None, NOT_IMPLEMENTED), addr)
            return
        address = self.zone.get(asked.name.lower())
        code = NO_SUCH_NAME if address is None else 0
        self._transport.sendto(answer(asked, address if asked.kind == ADDRESS else None, code), addr)


class DnsClient:
    """A machine's resolver.

    Attributes:
        servers: addresses of name servers, in the order in which they are asked; none: DNS is not used.
        suffixes: domains tried, in order, after a name without a dot.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.servers: list[str] = []
        self.suffixes: list[str] = []
        self._cache: dict[str, tuple[str | None, int]] = {}
        self._transaction = 0

    def reset(self) -> None:
        """Forget the answers, as a boot does, or ``ipconfig /flushdns``."""
        self._cache = {}

    async def query(self, name: str) -> str | None:
        """The address of a name; None: no server knows it, or none answers."""
        plain = name.rstrip(".").lower()
        if not self.servers or not is_domain_name(plain):
            return None
        names = [plain] if "." in plain or not self.suffixes else [f"{plain}.{suffix}" for suffix in self.suffixes]
        for full in names:
            found = await self._lookup(full)
            if found is not None:
                return found
        return None

    async def _lookup(self, name: str) -> str | None:
        loop = self._machine.world.loop
        known = self._cache.get(name)
        if known is not None and known[1] > loop.now:
            return known[0]
        for wait in _WAITS:
            for server in self.servers[:1] if wait == _WAITS[0] else self.servers:
                said = await self._ask(server, name, wait)
                if said is not None:
                    address = said.address if said.address != NO_ADDRESS else None
                    age = said.ttl if address else _NEGATIVE_AGE
                    self._cache[name] = (address, loop.now + age * _SECOND)
                    return address
        return None

    async def _ask(self, server: str, name: str, wait: float) -> Message | None:
        loop = asyncio.get_running_loop()
        transaction = self._transaction = (self._transaction + 1) % _TRANSACTIONS
        answered: asyncio.Future[Message | None] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Listener(transaction, name, answered), remote_addr=(server, PORT)
        )
        try:
            transport.sendto(question(transaction, name))
            async with asyncio.timeout(wait):
                return await answered
        except TimeoutError:
            return None
        finally:
            transport.close()


class _Listener(asyncio.DatagramProtocol):
    """Waits for the answer to one question; a refusal is as good as silence."""

    def __init__(self, transaction: int, name: str, answered: asyncio.Future[Message | None]) -> None:
        self._transaction = transaction
        self._name = name
        self._answered = answered

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        said = parse(data)
        fits = said is not None and said.response and (said.transaction, said.name) == (self._transaction, self._name)
        if fits and not self._answered.done():
            self._answered.set_result(said)

    def error_received(self, exc: Exception) -> None:
        del exc
        if not self._answered.done():
            self._answered.set_result(None)
